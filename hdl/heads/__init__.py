"""Around the computation: heads into the core, through its stages, and out."""
