"""SpMM engine: sparse INT8 weights times INT8 tokens."""
