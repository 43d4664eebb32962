"""Hardware of the co-processor."""
