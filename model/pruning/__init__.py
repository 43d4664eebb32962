"""Pruning of an encoder's dense layers: patterns, and methods that choose the kept weights and their values."""
