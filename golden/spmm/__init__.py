"""SpMM engine: ``engine`` computes a whole product, ``activation`` the function at its end.

``packing`` packs weight matrices into words and unpacks them, with one module per weight format in ``front_ends``.
``matrices`` holds the data types that these share.
"""
