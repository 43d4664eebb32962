"""All commands. Importing a command registers it; ``thresher --help`` lists them in this order."""

from . import demo, run, eval, pick, study, bench_attention, bench_spmm, bench_coprocessor  # noqa: F401  # isort: skip
from . import train, prune, compile, verilog, presets, synth, estimate, board  # noqa: F401  # isort: skip
from .frame import app

__all__ = ["app"]
