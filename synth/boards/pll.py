"""From a board's clock to that of the core: dividers of the PLLs of ECP5 and iCE40."""

from dataclasses import dataclass

from ...spec.errors import ConfigError

__all__ = ["Ecp5Pll", "Ice40Pll", "ecp5_pll", "ice40_pll"]

MOST_OFF = 0.02
"""How far the clock may be from the one asked for."""

ECP5_PHASE_DETECTOR_MHZ = 3.125, 400.0
ECP5_OSCILLATOR_MHZ = 400.0, 800.0
ECP5_OUTPUT_MHZ = 3.125, 400.0
ECP5_LARGEST_DIVIDER = 128

ICE40_INPUT_MHZ = 10.0, 133.0
ICE40_OUTPUT_MHZ = 16.0, 275.0
ICE40_OSCILLATOR_MHZ = 533.0, 1066.0
ICE40_FILTERS_MHZ = (17, 26, 44, 66, 101)
"""The loop filter's range is one more with each of these that the phase detector's frequency reaches."""


@dataclass(frozen=True, kw_only=True)
class Ecp5Pll:
    """Settings of an EHXPLLL whose feedback is its output CLKOP.

    Attributes
    ----------
    input_mhz : float
    reference, feedback, output : int
        Dividers CLKI_DIV, CLKFB_DIV, CLKOP_DIV.
    """

    input_mhz: float
    reference: int
    feedback: int
    output: int

    @property
    def output_mhz(self) -> float:
        """Frequency of CLKOP."""
        return self.input_mhz / self.reference * self.feedback

    @property
    def oscillator_mhz(self) -> float:
        """Frequency of the VCO."""
        return self.output_mhz * self.output


@dataclass(frozen=True, kw_only=True)
class Ice40Pll:
    """Settings of an SB_PLL40 with simple feedback.

    Attributes
    ----------
    input_mhz : float
    divr, divf, divq : int
        The output is the input · (divf + 1) / (divr + 1) / 2^divq.
    """

    input_mhz: float
    divr: int
    divf: int
    divq: int

    @property
    def phase_detector_mhz(self) -> float:
        """What the phase detector compares at."""
        return self.input_mhz / (self.divr + 1)

    @property
    def oscillator_mhz(self) -> float:
        """Frequency of the VCO."""
        return self.phase_detector_mhz * (self.divf + 1)

    @property
    def output_mhz(self) -> float:
        """Frequency of the output."""
        return self.oscillator_mhz / (1 << self.divq)

    @property
    def filter_range(self) -> int:
        """FILTER_RANGE."""
        return 1 + sum(self.phase_detector_mhz >= limit for limit in ICE40_FILTERS_MHZ)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _none_makes(wanted_mhz: float, input_mhz: float, limits: tuple[float, float]) -> ConfigError:
    low, high = limits
    allowed = f"no PLL makes it of {input_mhz:g} MHz; what one makes is from {low:g} to {high:g} MHz"
    return ConfigError("clock", wanted_mhz, allowed)


def _nearest(found: list, wanted_mhz: float, input_mhz: float, middle_mhz: float):
    """The setting nearest to a frequency; among equals that with the fastest phase detector and the oscillator nearest
    to its middle."""

    def order(pll) -> tuple[float, int, float]:
        reference = pll.reference if isinstance(pll, Ecp5Pll) else pll.divr
        return round(abs(pll.output_mhz - wanted_mhz), 6), reference, abs(pll.oscillator_mhz - middle_mhz)

    best = min(found, key=order)
    if abs(best.output_mhz / wanted_mhz - 1) > MOST_OFF:
        raise ConfigError("clock", wanted_mhz, f"the nearest that a PLL makes of {input_mhz:g} is {best.output_mhz:g}")
    return best


def ecp5_pll(input_mhz: float, wanted_mhz: float) -> Ecp5Pll:
    """Dividers for the frequency nearest to the wanted one.

    Raises
    ------
    ConfigError
        None comes near enough.
    """
    if not _within(wanted_mhz, ECP5_OUTPUT_MHZ):  # nor is what is no number
        raise _none_makes(wanted_mhz, input_mhz, ECP5_OUTPUT_MHZ)
    low, high = ECP5_OSCILLATOR_MHZ
    found = []
    for reference in range(1, ECP5_LARGEST_DIVIDER + 1):
        if not _within(input_mhz / reference, ECP5_PHASE_DETECTOR_MHZ):
            continue
        feedback = max(1, round(wanted_mhz * reference / input_mhz))
        made = input_mhz / reference * feedback
        output = round((low + high) / 2 / made)
        fits = 1 <= output <= ECP5_LARGEST_DIVIDER and _within(made * output, ECP5_OSCILLATOR_MHZ)
        if fits and feedback <= ECP5_LARGEST_DIVIDER:
            found.append(Ecp5Pll(input_mhz=input_mhz, reference=reference, feedback=feedback, output=output))
    if not found:
        raise _none_makes(wanted_mhz, input_mhz, ECP5_OUTPUT_MHZ)
    return _nearest(found, wanted_mhz, input_mhz, (low + high) / 2)


def ice40_pll(input_mhz: float, wanted_mhz: float) -> Ice40Pll:
    """Dividers for the frequency nearest to the wanted one.

    Raises
    ------
    ConfigError
        None comes near enough.
    """
    if not _within(wanted_mhz, ICE40_OUTPUT_MHZ):  # nor is what is no number
        raise _none_makes(wanted_mhz, input_mhz, ICE40_OUTPUT_MHZ)
    found = []
    for divr in range(16):
        for divq in range(1, 7):
            divf = round(wanted_mhz * (divr + 1) * (1 << divq) / input_mhz) - 1
            if not 0 <= divf < 128:
                continue
            pll = Ice40Pll(input_mhz=input_mhz, divr=divr, divf=divf, divq=divq)
            sound = _within(pll.phase_detector_mhz, ICE40_INPUT_MHZ) and _within(pll.output_mhz, ICE40_OUTPUT_MHZ)
            if sound and _within(pll.oscillator_mhz, ICE40_OSCILLATOR_MHZ):
                found.append(pll)
    if not found:
        raise _none_makes(wanted_mhz, input_mhz, ICE40_OUTPUT_MHZ)
    return _nearest(found, wanted_mhz, input_mhz, sum(ICE40_OSCILLATOR_MHZ) / 2)
