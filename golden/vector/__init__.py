"""Vector unit: residual addition with LayerNorm (``layer_norm``), and sums over tokens (``pooling``)."""
