"""Simulation of the hardware: with Amaranth's simulator, with Verilator, and with cocotb.

``attention``, ``spmm`` and ``spmm_job`` simulate whole heads and products. ``verilator`` runs emitted Verilog, compiled
by ``build`` with the tools of ``toolchain``. ``testbench`` drives a component in Amaranth's simulator. ``bridge``
converts values to bits. The ``cocotb_`` modules run the same work in cocotb. ``board`` simulates a board at a serial
line.
"""
