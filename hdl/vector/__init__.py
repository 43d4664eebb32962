"""Vector unit: residual sum and LayerNorm of INT8 tokens."""
