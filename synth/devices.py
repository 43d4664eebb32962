"""Chips and their capacities."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from ..spec.base import look_up
from ..spec.errors import ConfigError

__all__ = ["DEVICES", "Capacity", "Device", "Family", "device"]


class Family(StrEnum):
    """Families of chips. All devices of a family have the same cells."""

    ECP5 = "ecp5"
    ICE40 = "ice40"
    XILINX7 = "xilinx7"
    ULTRASCALE_PLUS = "ultrascale+"
    GENERIC = "generic"


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Capacity of a device, in the units of :class:`~thresher.synth.netlist.Resources`.

    Attributes
    ----------
    lut : int
        Look-up tables: with four inputs on ECP5, with six on Xilinx. On iCE40 logic cells.
    ff : int
    bram : int
        Block memories: 18 Kbit each on ECP5 and Xilinx, 4 Kbit on iCE40.
    dsp : int
        Multipliers: MULT18X18D on ECP5, SB_MAC16 on iCE40, DSP48 on Xilinx.
    """

    lut: int
    ff: int
    bram: int
    dsp: int


@dataclass(frozen=True, kw_only=True)
class Device:
    """A chip.

    Attributes
    ----------
    name : str
        Name on the command line, in small letters.
    family : Family
    capacity : Capacity or None
        ``None`` for ``generic``, which is not a chip.
    place : tuple of str
        Options of nextpnr that name the device; empty if nextpnr does not support it.
    speeds : tuple of int
        Speed grades, the slowest first; empty if there is only one.
    """

    name: str
    family: Family
    capacity: Capacity | None = None
    place: tuple[str, ...] = ()
    speeds: tuple[int, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """Names of the fields of :attr:`capacity` in messages."""
        lut = "logic cells" if self.family is Family.ICE40 else "LUT"
        return {"lut": lut, "ff": "flip-flops", "bram": "block memories", "dsp": "multipliers"}

    @property
    def fabric(self) -> str:
        """Name of the cells that it has, for estimates of sizes; see :mod:`~thresher.cost.memories`."""
        if self.family is Family.ICE40 and self.capacity and not self.capacity.dsp:
            return f"{self.family} without multipliers"
        return str(self.family)

    @property
    def available(self) -> dict[str, int]:
        """:attr:`capacity` by the names in the JSON of estimates; empty without a capacity."""
        held = self.capacity
        return {} if held is None else {"lut4": held.lut, "ff": held.ff, "bram": held.bram, "dsp": held.dsp}

    @property
    def routable(self) -> bool:
        """Whether nextpnr places and routes it."""
        return bool(self.place)

    def speed(self, wanted: int | None) -> int | None:
        """The wanted speed grade, or the slowest; ``None`` if the device has no grades.

        Raises
        ------
        ConfigError
            The device has no such grade.
        """
        if wanted is None:
            return self.speeds[0] if self.speeds else None
        if wanted not in self.speeds:
            grades = ", ".join(map(str, self.speeds))
            allowed = f"{self.name} has {grades}" if grades else f"{self.name} has no speed grades, leave it out"
            raise ConfigError("speed", wanted, allowed)
        return wanted


def _ecp5(size: str, lut: int, bram: int, dsp: int) -> Device:
    return Device(
        name=f"lfe5u-{size}f",
        family=Family.ECP5,
        capacity=Capacity(lut=lut, ff=lut, bram=bram, dsp=dsp),
        place=(f"--{size}k",),
        speeds=(6, 7, 8),
    )


def _ecp5_5g(size: str, lut: int, bram: int, dsp: int) -> Device:
    """An ECP5 with serial transceivers, which are not used."""
    part = _ecp5(size, lut, bram, dsp)
    return dataclasses.replace(part, name=f"lfe5um5g-{size}f", place=(f"--um5g-{size}k",), speeds=(8,))


def _ice40(name: str, lut: int, bram: int, dsp: int, package: str) -> Device:
    return Device(
        name=f"ice40{name}",
        family=Family.ICE40,
        capacity=Capacity(lut=lut, ff=lut, bram=bram, dsp=dsp),
        place=(f"--{name}", "--package", package),
    )


def _xilinx(name: str, family: Family, lut: int, bram36: int, dsp: int) -> Device:
    return Device(name=name, family=family, capacity=Capacity(lut=lut, ff=2 * lut, bram=2 * bram36, dsp=dsp))


DEVICES = {
    item.name: item
    for item in (
        # The 12F has the die of the 25F, and nextpnr uses all of it.
        _ecp5("12", 24_288, 56, 28),
        _ecp5("25", 24_288, 56, 28),
        _ecp5("45", 43_848, 108, 72),
        _ecp5("85", 83_640, 208, 156),
        _ecp5_5g("85", 83_640, 208, 156),
        _ice40("up5k", 5_280, 30, 8, "sg48"),
        _ice40("hx8k", 7_680, 32, 0, "ct256"),
        _xilinx("xc7a35t", Family.XILINX7, 20_800, 50, 90),
        _xilinx("xc7a100t", Family.XILINX7, 63_400, 135, 240),
        _xilinx("xczu3eg", Family.ULTRASCALE_PLUS, 70_560, 216, 360),
        Device(name="generic", family=Family.GENERIC),
    )
}
"""Devices by name. Capacities are those of nextpnr, or of the vendor's data sheets."""


def device(name: str) -> Device:
    """The named device.

    Raises
    ------
    ConfigError
        The name is unknown.
    """
    return look_up("device", name.lower(), DEVICES)
