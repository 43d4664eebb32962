"""Parts of the sparsity engine."""
