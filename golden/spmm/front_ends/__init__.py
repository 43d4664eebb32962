"""Weight formats, one module each: ``encode`` converts a sparse matrix to words, ``decode`` converts words back.

``csr``: a column with each weight. ``csr_delta``: the distance from the last weight. ``bbs``: bank-balanced rows.
``nm``: N weights in each group of M columns. ``dense``: every column.
"""
