"""Heads into the core, through its stages, and out."""
