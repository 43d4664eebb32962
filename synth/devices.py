"""The chips that hardware is mapped to, and what each of them holds."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from ..spec.errors import ConfigError

__all__ = ["DEVICES", "Capacity", "Device", "Family", "device"]


class Family(StrEnum):
    """What Yosys maps to. Cells of one family are the same on all of its devices."""

    ECP5 = "ecp5"
    ICE40 = "ice40"
    XILINX7 = "xilinx7"
    ULTRASCALE_PLUS = "ultrascale+"
    GENERIC = "generic"


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a device holds, in the units of :class:`~thresher.synth.netlist.Resources`.

    Attributes
    ----------
    lut : int
        Look-up tables: of four inputs on ECP5, of six on Xilinx. On iCE40 logic cells, with a flip-flop each.
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
        As users give it, in small letters.
    family : Family
    capacity : Capacity or None
        ``None``: there is no such chip, only counts (``generic``).
    place : tuple of str
        Options that tell nextpnr the device; empty where only Yosys counts.
    speeds : tuple of int
        Speed grades that nextpnr knows, the slowest first; empty if the device has one only.
    """

    name: str
    family: Family
    capacity: Capacity | None = None
    place: tuple[str, ...] = ()
    speeds: tuple[int, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """What :attr:`capacity` counts, by field, as users call it."""
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
        """:attr:`capacity` by the names of JSON that estimates have, too; empty without."""
        held = self.capacity
        return {} if held is None else {"lut4": held.lut, "ff": held.ff, "bram": held.bram, "dsp": held.dsp}

    @property
    def routable(self) -> bool:
        """Whether nextpnr places and routes it."""
        return bool(self.place)

    def speed(self, wanted: int | None) -> int | None:
        """The speed grade to time with: the wanted one, or the slowest, or ``None`` where there are none.

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
    """With serial transceivers, which nothing here uses."""
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
        # The 12F is sold as half of this: it is the die of the 25F, and nextpnr uses all of it.
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
"""By name. Capacities are those that nextpnr counts with, or of the vendor's data sheets."""


def device(name: str) -> Device:
    """The named device.

    Raises
    ------
    ConfigError
        The name is unknown.
    """
    found = DEVICES.get(name.lower())
    if found is None:
        raise ConfigError("device", name, "must be one of " + ", ".join(DEVICES))
    return found
