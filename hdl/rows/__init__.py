"""Parts of the softmax unit: what happens to a block row."""
