"""Parts of the hardware that can be taken through synthesis on their own."""

from collections.abc import Callable

from amaranth.lib import wiring

from ..hdl.attention_core import AttentionCore
from ..hdl.heads.loader import Loader as HeadLoader
from ..hdl.heads.output_buffer import OutputBuffer
from ..hdl.heads.value_sums import ValueSums
from ..hdl.normalise import Normalise
from ..hdl.pe_array import PEArray
from ..hdl.predictor import Predictor
from ..hdl.softmax import Softmax
from ..hdl.sparse.collector import Collector
from ..hdl.sparse.dispatcher import Dispatcher
from ..hdl.sparse.drain import Drain
from ..hdl.sparse.loader import Loader as InputLoader
from ..hdl.sparse.row_engine import RowEngine
from ..hdl.sparse.tile_memory import READERS, TileMemory
from ..hdl.sparsity_engine import SparsityEngine
from ..hdl.spmm import Spmm
from ..spec.config import AttentionConfig
from ..spec.errors import ConfigError
from ..spec.spmm_config import SpmmConfig

__all__ = ["ATTENTION_UNITS", "SPMM_UNITS", "make"]

ATTENTION_UNITS: dict[str, Callable[[AttentionConfig], wiring.Component]] = {
    "attention": AttentionCore,
    "head_loader": HeadLoader,
    "predictor": Predictor,
    "sparsity_engine": SparsityEngine,
    "pe_array": PEArray,
    "softmax": Softmax,
    "normalise": Normalise,
    "value_sums": ValueSums,
    "output_buffer": OutputBuffer,
}
"""The attention core and its parts: names that users give, and what makes the component."""

SPMM_UNITS: dict[str, Callable[[SpmmConfig], wiring.Component]] = {
    "spmm": Spmm,
    "input_loader": InputLoader,
    "tile_memory": lambda config: TileMemory(config, readers=min(READERS, config.rows)),
    "row_engine": RowEngine,
    "dispatcher": Dispatcher,
    "drain": Drain,
    "collector": Collector,
}
"""The SpMM engine and its parts."""

TOPS = {"attention": "attention_core"}
"""Top modules whose name is not the unit's."""


def make(name: str, config: AttentionConfig | SpmmConfig) -> tuple[str, wiring.Component]:
    """Top module's name, and component, of a unit.

    Raises
    ------
    ConfigError
        There is no such unit of this kind of configuration.
    """
    if isinstance(config, AttentionConfig) and name in ATTENTION_UNITS:
        return TOPS.get(name, name), ATTENTION_UNITS[name](config)
    if isinstance(config, SpmmConfig) and name in SPMM_UNITS:
        return name, SPMM_UNITS[name](config)
    units = ATTENTION_UNITS if isinstance(config, AttentionConfig) else SPMM_UNITS
    raise ConfigError("unit", name, "must be one of " + ", ".join(units))
