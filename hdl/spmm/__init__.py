"""The SpMM engine: its parts in the order that a product takes through them."""
