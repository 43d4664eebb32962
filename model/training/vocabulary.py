"""The rows of the word embeddings that occur in some texts. The optimiser leaves the others alone, at no cost."""

from collections.abc import Iterable, Iterator
from copy import copy

import numpy as np
from numpy.typing import NDArray

from ..encoder import Encoder
from ..tokenizer import Tokens

__all__ = ["Vocabulary"]


def _ids(tokens: Iterable[Tokens]) -> Iterator[int]:
    return (i for text in tokens for i in text.ids)


class Vocabulary:
    """A part of an encoder's vocabulary.

    Parameters
    ----------
    encoder : Encoder
    tokens : iterable of Tokens

    Attributes
    ----------
    used : (used,) int64
        Token ids that occur, and the id of padding. They are sorted; those of :meth:`extended` follow, sorted, too.
    rows : (vocabulary,) int32
        Number of each of these ids; 0 for the others.
    """

    def __init__(self, encoder: Encoder, tokens: Iterable[Tokens]):
        self._count, padding = len(encoder.words), encoder.config.padding or 0
        self._use(np.unique([padding, *_ids(tokens)]))

    def _use(self, ids: NDArray[np.int64]) -> None:
        self.used, self.rows = ids, np.zeros(self._count, np.int32)
        self.rows[ids] = np.arange(len(ids))

    def extended(self, tokens: Iterable[Tokens]) -> "Vocabulary":
        """This part of the vocabulary, followed by the rows that only these texts use."""
        longer = copy(self)
        longer._use(np.concatenate([self.used, np.setdiff1d([*_ids(tokens)], self.used)]))
        return longer

    def reduced(self, encoder: Encoder) -> Encoder:
        """An encoder with these rows alone."""
        return encoder.with_parameters({"words": encoder.words[self.used]})

    def restored(self, encoder: Encoder, whole: Encoder) -> Encoder:
        """A reduced encoder with the other rows of the whole one."""
        words = whole.words.copy()
        words[self.used] = encoder.words
        return encoder.with_parameters({"words": words})
