"""Studies: the accuracy of a model over sparsity, for many pruning rules."""

from .run import study

__all__ = ["study"]
