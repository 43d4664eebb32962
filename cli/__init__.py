"""The command line. Each command is a file that parses its options, calls a function and prints the result."""

# Importing a command registers it. `thresher --help` lists the commands in this order.
from . import demo, run, eval, bench_attention, bench_spmm, pick, prune, verilog, presets, synth, estimate, board  # noqa: F401  # isort: skip
from .frame import app, main

__all__ = ["app", "main"]
