"""Thresher generates the hardware of a sparse INT8 transformer accelerator, and runs trained models on it.

The names in ``__all__`` are the public API. A name is imported at its first use, so that ``import thresher`` is fast.

=================  ====================================================================================================
hardware           :func:`preset`, :func:`spmm_preset`, :class:`AttentionConfig`, :class:`SpmmConfig`,
                   :func:`write_verilog`
heads              :func:`head_command`, :class:`HeadCommand`, :func:`attention_head`, :class:`AttentionSimulator`
sparse products    :func:`pack`, :func:`unpack`, :class:`PackedWeights`, :func:`row_scaling`, :func:`sparse_product`,
                   :class:`SpmmJob`, :class:`SpmmSimulator`
models             :func:`load_model`, :func:`classify`, :func:`evaluate`, :func:`pick`, :func:`study`,
                   :func:`prune_model`
backends           :class:`GoldenBackend`, :class:`RtlBackend`, :class:`DeviceBackend`, :class:`CheckedBackend`,
                   :class:`AttentionDevice`
enumerations       :class:`Activation`, :class:`WeightFormat`
errors             :class:`ThresherError`, :class:`SimulationError`
=================  ====================================================================================================
"""

from importlib import import_module

# Not from typing, which takes time: until this file is read, the command line cannot handle Ctrl-C.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from thresher.golden.attention.core import attention_head
    from thresher.golden.spmm.engine import sparse_product
    from thresher.golden.spmm.packing import PackedWeights, pack, unpack
    from thresher.hdl.unit_files import write_verilog
    from thresher.host.attention import AttentionDevice
    from thresher.model.load import load_model
    from thresher.runtime.backends import DeviceBackend, GoldenBackend, RtlBackend
    from thresher.runtime.classify import classify
    from thresher.runtime.compare import CheckedBackend
    from thresher.runtime.evaluate import evaluate
    from thresher.runtime.pick import pick
    from thresher.runtime.prune import prune_model
    from thresher.runtime.study import study
    from thresher.sim.attention import AttentionSimulator
    from thresher.sim.spmm import SpmmSimulator
    from thresher.sim.spmm_job import SpmmJob
    from thresher.spec.attention_command import HeadCommand, head_command
    from thresher.spec.attention_config import AttentionConfig
    from thresher.spec.errors import SimulationError, ThresherError
    from thresher.spec.presets import preset, spmm_preset
    from thresher.spec.spmm_command import Activation, row_scaling
    from thresher.spec.spmm_config import SpmmConfig, WeightFormat

    __version__: str

__all__ = [
    "Activation",
    "AttentionConfig",
    "AttentionDevice",
    "AttentionSimulator",
    "CheckedBackend",
    "DeviceBackend",
    "GoldenBackend",
    "HeadCommand",
    "PackedWeights",
    "RtlBackend",
    "SimulationError",
    "SpmmConfig",
    "SpmmJob",
    "SpmmSimulator",
    "ThresherError",
    "WeightFormat",
    "__version__",
    "attention_head",
    "classify",
    "evaluate",
    "head_command",
    "load_model",
    "pack",
    "pick",
    "preset",
    "prune_model",
    "row_scaling",
    "sparse_product",
    "spmm_preset",
    "study",
    "unpack",
    "write_verilog",
]

_MODULES = {
    "golden.attention.core": ("attention_head",),
    "golden.spmm.engine": ("sparse_product",),
    "golden.spmm.packing": ("PackedWeights", "pack", "unpack"),
    "hdl.unit_files": ("write_verilog",),
    "host.attention": ("AttentionDevice",),
    "model.load": ("load_model",),
    "runtime.backends": ("DeviceBackend", "GoldenBackend", "RtlBackend"),
    "runtime.classify": ("classify",),
    "runtime.compare": ("CheckedBackend",),
    "runtime.evaluate": ("evaluate",),
    "runtime.pick": ("pick",),
    "runtime.prune": ("prune_model",),
    "runtime.study": ("study",),
    "sim.attention": ("AttentionSimulator",),
    "sim.spmm": ("SpmmSimulator",),
    "sim.spmm_job": ("SpmmJob",),
    "spec.attention_command": ("HeadCommand", "head_command"),
    "spec.attention_config": ("AttentionConfig",),
    "spec.errors": ("SimulationError", "ThresherError"),
    "spec.presets": ("preset", "spmm_preset"),
    "spec.spmm_command": ("Activation", "row_scaling"),
    "spec.spmm_config": ("SpmmConfig", "WeightFormat"),
}
"""Modules of the public names; the same as the imports for type checkers above."""
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("thresher")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
