"""Cycles and sizes of a configuration, without running anything."""
