"""A trained encoder in integers: ranges of its tensors, units, and the parameters of the golden model."""

from ..ranges import METHODS, Method
from .encoder import IntegerEncoder, integer_encoder

__all__ = ["METHODS", "IntegerEncoder", "Method", "integer_encoder"]
