"""Training of an encoder with pruned weights, with jax and optax (extra ``train``)."""
