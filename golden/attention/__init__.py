"""The attention core: one module per stage, and the whole head."""
