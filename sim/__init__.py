"""Engines that run hardware: Amaranth's simulator, Verilator, cocotb."""
