"""Boards: pins, clocks and chips, a file each."""
