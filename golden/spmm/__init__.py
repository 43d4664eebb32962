"""The SpMM engine: packed weights, weight formats, and the whole product."""
