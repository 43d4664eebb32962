"""Units and parts of units that can be synthesised."""

from collections.abc import Callable
from typing import Any

from amaranth import Const, Elaboratable
from amaranth.lib import wiring

from ..hdl.attention.array import PEArray
from ..hdl.attention.core import AttentionCore
from ..hdl.attention.heads.loader import HeadLoader
from ..hdl.attention.heads.output import OutputBuffer
from ..hdl.attention.heads.value_sums import ValueSums
from ..hdl.attention.normalise import make_normaliser
from ..hdl.attention.predictor import make_predictor
from ..hdl.attention.selection import make_sparsity_engine
from ..hdl.attention.softmax import make_softmax
from ..hdl.bus.system import CoprocessorSystem
from ..hdl.spmm.collector import Collector
from ..hdl.spmm.dispatcher import Dispatcher
from ..hdl.spmm.drain import Drain
from ..hdl.spmm.engine import Spmm
from ..hdl.spmm.row_engine import RowEngine
from ..hdl.spmm.tile_loader import TileLoader
from ..hdl.spmm.tile_memory import READERS, TileMemory
from ..hdl.vector.layer_norm import LayerNormLane
from ..hdl.vector.reciprocal_root import ReciprocalRoots
from ..hdl.vector.unit import VectorUnit
from ..spec.attention_config import AttentionConfig
from ..spec.buses import Bus
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import ConfigError
from ..spec.spmm_config import SpmmConfig
from ..spec.vector_config import VectorConfig
from ..spec.verilog_names import UnitConfig

__all__ = ["ATTENTION_UNITS", "COPROCESSOR_UNITS", "SPMM_UNITS", "VECTOR_UNITS", "make"]

ATTENTION_UNITS: dict[str, Callable[[AttentionConfig], wiring.Component]] = {
    "attention": AttentionCore,
    "head_loader": HeadLoader,
    "pe_array": PEArray,
    "value_sums": ValueSums,
    "output_buffer": OutputBuffer,
    "predictor": make_predictor,
    "sparsity_engine": make_sparsity_engine,
    "softmax": make_softmax,
    "normalise": make_normaliser,
}
"""The attention core and its parts, by their names on the command line."""

SPMM_UNITS: dict[str, Callable[[SpmmConfig], wiring.Component]] = {
    "spmm": Spmm,
    "input_loader": TileLoader,
    "tile_memory": lambda config: TileMemory(config, readers=min(READERS, config.rows)),
    "row_engine": lambda config: RowEngine(config, index=0),
    "dispatcher": Dispatcher,
    "drain": Drain,
    "collector": Collector,
}
"""The SpMM engine and its parts, by their names on the command line."""

VECTOR_UNITS: dict[str, Callable[[VectorConfig], wiring.Component]] = {
    "vector": VectorUnit,
    "layer_norm_lane": LayerNormLane,
    "reciprocal_roots": ReciprocalRoots,
}
"""The vector unit and its parts, by their names on the command line."""

COPROCESSOR_UNITS: dict[str, Callable[[CoprocessorConfig], wiring.Component]] = {
    "coprocessor": lambda config: CoprocessorSystem(config, Bus.AXI4),
}
"""The co-processor on AXI4, by its name on the command line."""

UNITS: dict[type, dict[str, Callable[[Any], wiring.Component]]] = {
    AttentionConfig: ATTENTION_UNITS,
    SpmmConfig: SPMM_UNITS,
    VectorConfig: VECTOR_UNITS,
    CoprocessorConfig: COPROCESSOR_UNITS,
}
"""All of them, by the kind of configuration."""

TOPS = {"attention": "attention_core", "vector": "vector_unit"}
"""Top modules whose name differs from that of the unit."""


class _Top(Elaboratable):
    """A component as top module, without constant ports (``ready`` of streams that never wait)."""

    def __init__(self, component: wiring.Component):
        self._component = component
        self.signature = _variable(component.signature, component)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, name)

    def elaborate(self, platform: object) -> wiring.Component:
        return self._component


def _variable(signature: wiring.Signature, obj: Any) -> wiring.Signature:
    members = {}
    for name, member in signature.members.items():
        value = getattr(obj, name)
        if member.is_port:
            if not isinstance(value, Const):
                members[name] = member
            continue
        inner = value
        for _ in member.dimensions:
            inner = inner[0]
        # In interfaces, the signature of an In member is already flipped.
        flow = wiring.In if member.flow is wiring.In else wiring.Out
        nested = _variable(member.signature.flip() if flow is wiring.In else member.signature, inner)
        members[name] = flow(nested).array(*member.dimensions)
    return wiring.Signature(members)


def make(name: str, config: UnitConfig) -> tuple[str, Any]:
    """Name of the top module, and the component to emit.

    Raises
    ------
    ConfigError
        This kind of configuration has no such unit.
    """
    units = UNITS[type(config)]
    if name not in units:
        raise ConfigError("unit", name, "must be one of " + ", ".join(units))
    return TOPS.get(name, name), _Top(units[name](config))
