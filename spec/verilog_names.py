"""Names in emitted Verilog that a user may choose, and the default name of a unit's top module."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .attention_config import AttentionConfig
from .base import Configuration
from .coprocessor_config import CoprocessorConfig
from .errors import ConfigError
from .presets import (
    COPROCESSOR_PRESETS,
    POLICIES,
    PRESETS,
    SPMM_PRESETS,
    VECTOR_PRESETS,
    coprocessor_preset,
    preset,
)
from .spmm_config import SpmmConfig
from .vector_config import VectorConfig

__all__ = ["KEYWORDS", "LONGEST", "SEPARATOR", "ClockNames", "Reset", "UnitConfig", "check_prefix", "unit_name"]

UnitConfig = AttentionConfig | SpmmConfig | VectorConfig | CoprocessorConfig
"""Configuration of a unit that can be a top module."""

SEPARATOR = "__"
"""Stands between the prefix and the name of an inner module. No prefix contains it, and none ends in an underscore.
Hence modules of two prefixes always differ."""
LONGEST = 64
"""Most characters of a chosen name, so that names made from it stay short enough for files and tools."""
HASH_DIGITS = 8

_WORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins
binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const
constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist do edge
else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule
endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually expect
export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global highz0
highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside
instance int integer interconnect interface intersect join join_any join_none large let liblist library local
localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program
property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled signed small
soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on
sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand
trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void
wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
KEYWORDS = frozenset(_WORDS.split())
"""Reserved words of Verilog and SystemVerilog (IEEE 1800-2017)."""


def _check(field: str, name: str, pattern: str, allowed: str) -> str:
    if name in KEYWORDS:
        raise ConfigError(field, name, "this is a keyword of Verilog, choose another name")
    if len(name) > LONGEST or not re.fullmatch(pattern, name, re.ASCII):
        raise ConfigError(field, name, f"must be {allowed}, at most {LONGEST} characters")
    return name


def check_prefix(name: str) -> str:
    """The name, if it can be the prefix of all modules.

    Raises
    ------
    ConfigError
        It is no plain identifier of Verilog, or has two underscores in a row or one at its end.
    """
    allowed = "letters, digits and single underscores between them, with a letter first"
    return _check("prefix", name, r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", allowed)


class Reset(StrEnum):
    """Level of the reset input that resets."""

    HIGH = "active-high"
    LOW = "active-low"


@dataclass(frozen=True, kw_only=True)
class ClockNames:
    """Clock and synchronous reset of a top module.

    Attributes
    ----------
    clock : str
        Name of the clock.
    reset : Reset
    reset_name : str
        Name of the reset.

    Raises
    ------
    ConfigError
        A name is no plain identifier of Verilog, or both are equal.
    """

    clock: str = "clk"
    reset: Reset = Reset.HIGH
    reset_name: str = "rst"

    def __post_init__(self):
        for field in ("clock", "reset_name"):
            allowed = "letters, digits and underscores, with no digit first"
            _check(field, getattr(self, field), r"[A-Za-z_][A-Za-z0-9_]*", allowed)
        if self.clock == self.reset_name:
            raise ConfigError("reset_name", self.reset_name, "this is the name of the clock, choose another name")


def unit_name(config: UnitConfig) -> str:
    """Name of a configuration's top module, and the default prefix of all its modules.

    It is the unit and the preset (``attention_core_tiny``, ``spmm_edge``), with the policy if that is not the default
    (``attention_core_tiny_hdp``). A configuration that is no preset has the start of its hash instead.
    """
    presets: Mapping[str, Configuration]
    match config:
        case AttentionConfig():
            unit, presets = "attention_core", PRESETS | _policies(PRESETS, preset)
        case SpmmConfig():
            unit, presets = "spmm", SPMM_PRESETS
        case VectorConfig():
            unit, presets = "vector_unit", VECTOR_PRESETS
        case CoprocessorConfig():
            unit, presets = "coprocessor", COPROCESSOR_PRESETS | _policies(COPROCESSOR_PRESETS, coprocessor_preset)
    suffix = next((name for name, each in presets.items() if each == config), config.hash()[:HASH_DIGITS])
    return f"{unit}_{suffix}"


def _policies(presets: Iterable[str], make: Callable[..., Any]) -> dict[str, Any]:
    """Presets under each policy, by the name of both."""
    return {f"{name}_{policy}": make(name, policy=policy) for policy in POLICIES for name in presets}
