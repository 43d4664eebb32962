"""Softmax of block rows."""
