"""Front ends, one per weight format: weight words in, steps of a column and a value out."""
