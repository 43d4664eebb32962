"""Executes the instruction ATTENTION: deals heads to the attention cores, and moves their operands and results."""
