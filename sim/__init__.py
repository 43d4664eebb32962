"""Simulation of the hardware: with Amaranth's simulator, with Verilator, and with cocotb.

``attention``, ``spmm`` and ``spmm_job`` simulate whole heads and products; ``batch`` has what they share. ``verilator``
runs emitted Verilog, compiled by ``build`` with the tools of ``toolchain``. ``testbench`` drives a component in
Amaranth's simulator, and ``memory`` serves a memory port there. ``bridge`` converts values to bits. The ``cocotb_``
modules run a batch in cocotb. ``board`` simulates a board at a serial line.
"""
