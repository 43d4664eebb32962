"""Arithmetic that the units share: exact products and rounding (``integer``), and ``requantise``."""
