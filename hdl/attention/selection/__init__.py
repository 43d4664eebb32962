"""Block selection: block importance, row thresholds, kept blocks."""
