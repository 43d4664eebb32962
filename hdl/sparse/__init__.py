"""Parts of the SpMM engine, in the order that a product takes through them."""
