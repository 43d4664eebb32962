"""PLL settings for the clock of a core, computed by ``ecppll`` (ECP5) or ``icepll`` (iCE40)."""

import re
from dataclasses import dataclass
from pathlib import Path

from ...spec.errors import ConfigError
from ..devices import Family
from ..tools import Source, SynthesisError, find, run

__all__ = ["Pll", "make_pll", "read_settings"]

TOOLS = {Family.ECP5: "ecppll", Family.ICE40: "icepll"}
OUTPUT_MHZ = {Family.ECP5: (3.125, 400.0), Family.ICE40: (16.0, 275.0)}
PARAMETERS = {
    Family.ECP5: ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV", "CLKOP_CPHASE"),
    Family.ICE40: ("DIVR", "DIVF", "DIVQ", "FILTER_RANGE"),
}
VERILOG = "pll.v"
LARGEST_PARAMETER = 1 << 10
LARGEST_ERROR = 0.02
"""Largest relative difference of the clock from the wanted one."""


@dataclass(frozen=True, kw_only=True)
class Pll:
    """Settings of a PLL.

    Attributes
    ----------
    family : Family
        ``ecp5``: an EHXPLLL with its output CLKOP as feedback. ``ice40``: an SB_PLL40 with simple feedback.
    parameters : dict of str to int
        Dividers and phase (ECP5), or dividers and filter (iCE40), by the names of the primitive's parameters.
    output_mhz : float
    """

    family: Family
    parameters: dict[str, int]
    output_mhz: float


def make_pll(family: Family, input_mhz: float, wanted_mhz: float, *, folder: Path, source: Source) -> Pll:
    """Compute the settings whose output is nearest to the wanted clock.

    Parameters
    ----------
    folder : Path
        The tool works in this folder and leaves its log there.

    Raises
    ------
    ConfigError
        The clock is outside the PLL's range, or the nearest one differs by more than 2 %.
    SynthesisError
        The tool is missing or failed.
    """
    low, high = OUTPUT_MHZ[family]
    if not low <= wanted_mhz <= high:
        raise ConfigError("clock", wanted_mhz, f"the PLL makes clocks from {low:g} to {high:g} MHz")
    tool = find(TOOLS[family], source)
    (folder / VERILOG).unlink(missing_ok=True)
    arguments = ["-i", f"{input_mhz:.6f}", "-o", f"{wanted_mhz:.6f}", "-f", VERILOG]
    run(tool, arguments, folder=folder, log=f"{tool.name}.log")
    parameters, ratio = read_settings(folder / VERILOG, family)
    output_mhz = input_mhz * ratio
    if abs(output_mhz / wanted_mhz - 1) > LARGEST_ERROR:
        allowed = f"the nearest clock that the PLL makes is {output_mhz:.4g} MHz"
        raise ConfigError("clock", wanted_mhz, allowed)
    return Pll(family=family, parameters=parameters, output_mhz=output_mhz)


def read_settings(path: Path, family: Family) -> tuple[dict[str, int], float]:
    """Parameters of the PLL in the Verilog that a tool wrote, and the ratio of output to input.

    Raises
    ------
    SynthesisError
        The file is missing or has no such settings.
    """
    try:
        found = _parameters(path.read_text("utf-8"))
        parameters = {name: found[name] for name in PARAMETERS[family]}
        if max(parameters.values()) > LARGEST_PARAMETER:
            raise ValueError
        return parameters, _ratio(family, parameters)
    except (OSError, KeyError, ValueError, ZeroDivisionError):
        told = f"{TOOLS[family]} printed no settings of a PLL: see its log in {path.parent}"
        raise SynthesisError(told) from None


def _parameters(verilog: str) -> dict[str, int]:
    """The numbers in an instance, decimal or binary: ``.CLKI_DIV(2)``, ``.DIVF(7'b0111111)``."""
    found = re.findall(r"\.(\w+)\((?:(\d+)|\d+'b([01]+))\)", verilog)
    return {name: int(decimal) if decimal else int(binary, 2) for name, decimal, binary in found}


def _ratio(family: Family, parameters: dict[str, int]) -> float:
    if family is Family.ECP5:
        return parameters["CLKFB_DIV"] / parameters["CLKI_DIV"]
    return (parameters["DIVF"] + 1) / (parameters["DIVR"] + 1) / (1 << parameters["DIVQ"])
