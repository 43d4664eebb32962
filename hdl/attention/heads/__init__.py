"""Heads in the core: head table, operand loader, sums of V, output."""
