"""Executes the instruction PRODUCT: moves operands from the memory to the SpMM engine, and results back."""
