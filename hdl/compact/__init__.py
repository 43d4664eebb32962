"""The core's blocks for the smallest FPGAs: one value at a time, memories in place of registers."""
