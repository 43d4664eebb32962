"""The command line: joins the rooms, reads settings, prints reports."""

# Importing commands registers them; the order is that of the help.
from . import commands, pick_commands, spmm_commands, hardware_commands, synth_commands, board_commands  # isort: skip
from .frame import app, main

__all__ = [
    "app",
    "board_commands",
    "commands",
    "hardware_commands",
    "main",
    "pick_commands",
    "spmm_commands",
    "synth_commands",
]
