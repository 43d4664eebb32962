"""Integer helpers and requantisation, shared by the units."""
