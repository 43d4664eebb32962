"""Designs whose emitted Verilog goes through other tools: all presets on all buses, and random configurations."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thresher.hdl.unit_files import write_verilog
from thresher.spec import (
    COPROCESSOR_PRESETS,
    POLICIES,
    PRESETS,
    SPMM_PRESETS,
    VECTOR_PRESETS,
    CoprocessorConfig,
    VectorConfig,
    coprocessor_preset,
    preset,
)
from thresher.spec.buses import COPROCESSOR_BUSES, UNIT_BUSES, Bus
from thresher.spec.verilog_names import UnitConfig

from ..strategies import configs, drawn, spmm_configs

__all__ = ["DESIGNS", "SHORT", "TOP", "Design"]

TOP = "dut"
"""The top module of every design."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """A configuration on a bus.

    Attributes
    ----------
    name : str
        Unit, preset or number of the random configuration, and bus.
    config : UnitConfig
    bus : Bus
    """

    name: str
    config: UnitConfig
    bus: Bus

    def write(self, folder: Path) -> Path:
        """Write the Verilog as ``thresher verilog`` does. Returns its path."""
        return write_verilog(self.config, folder, bus=self.bus, prefix=TOP).verilog


def _presets() -> list[Design]:
    """All presets on all buses, and the other policies of the smallest attention core."""
    units: dict[str, tuple[dict[str, Any], tuple[Bus, ...]]] = {
        "attention": (PRESETS, UNIT_BUSES),
        "spmm": (SPMM_PRESETS, UNIT_BUSES),
        "vector": (VECTOR_PRESETS, UNIT_BUSES),
        "coprocessor": (COPROCESSOR_PRESETS, COPROCESSOR_BUSES),
    }
    found = [
        Design(name=f"{unit} {size}, {bus}", config=presets[size], bus=bus)
        for size in PRESETS
        for unit, (presets, buses) in units.items()
        for bus in buses
    ]
    return found + [
        Design(name=f"attention tiny {policy}, streams", config=preset("tiny", policy=policy), bus=Bus.STREAMS)
        for policy in POLICIES
        if preset("tiny", policy=policy) != PRESETS["tiny"]
    ]


def _coprocessor(number: int) -> CoprocessorConfig:
    """A small co-processor with one or two attention cores of random rules."""
    tiny = coprocessor_preset("tiny")
    rules = drawn(configs(), number)
    attention = dataclasses.replace(tiny.attention, causal=rules.causal, **rules.policy)
    return dataclasses.replace(tiny, attention=attention, cores=1 + number % 2)


def _random() -> list[Design]:
    """Twenty random configurations. A configuration depends on its number only."""
    cores = [drawn(configs(largest_length=24, largest_head_dim=16), number) for number in range(10)]
    engines = [drawn(spmm_configs(most_rows=4, most_lanes=16, largest_columns=128), number) for number in range(5)]
    vectors = [VectorConfig(lanes=1, max_channels=13), VectorConfig(lanes=4, max_channels=40, max_tokens=9)]
    units = {"attention": cores, "spmm": engines, "vector": vectors}
    return [
        *(
            Design(name=f"{unit} random {number}, {Bus.STREAMS}", config=config, bus=Bus.STREAMS)
            for unit, kinds in units.items()
            for number, config in enumerate(kinds)
        ),
        *(
            Design(name=f"coprocessor random {number}, {bus}", config=_coprocessor(number), bus=bus)
            for number, bus in enumerate(COPROCESSOR_BUSES)
        ),
    ]


RANDOM = _random()
DESIGNS: list[Design] = [*_presets(), *RANDOM]
"""Every design, by preset and size, and then the random ones."""

SHORT = [
    each
    for each in DESIGNS
    if (" tiny" in each.name and not each.name.startswith("coprocessor"))
    or each.name in ("coprocessor tiny, wishbone", "attention random 3, streams", "spmm random 1, streams")
]
"""Those of `make test`: the smallest units, a co-processor, and two random configurations."""
