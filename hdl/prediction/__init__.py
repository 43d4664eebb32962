"""Parts of the predictor: sums of query nibbles in tables, looked up by the bits of keys."""
