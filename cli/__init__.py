"""The command line. Each command is a file that parses its options, calls a function and prints the result."""

# Importing a command registers it. The order is that of the help.
from . import demo, run, eval, bench_attention, bench_spmm, pick, prune, verilog, presets, synth_commands, board  # noqa: F401  # isort: skip
from .frame import app, main

__all__ = ["app", "main"]
