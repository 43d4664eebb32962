"""Compiler of encoders: programs of a co-processor, and the bytes that they use."""

from .constants import Constants, encoder_constants, padded_rows
from .encoder_program import encoder_program
from .listing import listing
from .program import EncoderProgram

__all__ = ["Constants", "EncoderProgram", "encoder_constants", "encoder_program", "listing", "padded_rows"]
