"""A small model."""

from ..model.conftest import make_model

__all__ = ["make_model"]
