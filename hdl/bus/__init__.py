"""Buses outside of the co-processor: AXI4 and Wishbone masters for its memory port, and the usual names of their ports.

Imports spec."""
