"""HOW each unit computes it: the hardware, in Amaranth. Imports spec."""
