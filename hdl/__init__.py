"""HOW each unit computes it: Amaranth. Imports spec."""
