"""Estimated cycles and sizes of a configuration. No simulator and no synthesis tool runs."""
