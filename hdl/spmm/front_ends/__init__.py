"""One component per weight format: words in, a column and a value per step out."""
