"""The rows of the word embeddings that occur in some texts. The optimiser leaves the others alone, at no cost."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..encoder import Encoder
from ..tokenizer import Tokens

__all__ = ["Vocabulary"]


class Vocabulary:
    """A part of an encoder's vocabulary.

    Parameters
    ----------
    encoder : Encoder
    tokens : iterable of Tokens

    Attributes
    ----------
    used : (used,) int64
        Token ids that occur, in order, and that of padding.
    rows : (vocabulary,) int32
        Number of each of these ids; 0 for the others.
    """

    def __init__(self, encoder: Encoder, tokens: Iterable[Tokens]):
        padding = encoder.config.padding or 0
        self.used: NDArray[np.int64] = np.unique([padding, *(i for text in tokens for i in text.ids)])
        self.rows = np.zeros(len(encoder.words), np.int32)
        self.rows[self.used] = np.arange(len(self.used))

    def reduced(self, encoder: Encoder) -> Encoder:
        """An encoder with these rows alone."""
        return encoder.with_parameters({"words": encoder.words[self.used]})

    def restored(self, encoder: Encoder, whole: Encoder) -> Encoder:
        """A reduced encoder with the other rows of the whole one."""
        words = whole.words.copy()
        words[self.used] = encoder.words
        return encoder.with_parameters({"words": words})
