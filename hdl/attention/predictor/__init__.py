"""Predicted scores: products of 4-bit integer parts."""
