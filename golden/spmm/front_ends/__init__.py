"""One module per weight format: how a sparse matrix becomes words, and words a matrix."""
