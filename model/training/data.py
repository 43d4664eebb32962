"""Texts in padded batches of few lengths, so that few shapes are compiled."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder import Encoder
from ..load import as_batch, as_types, length_batches
from ..tokenizer import Tokens

__all__ = ["LENGTHS", "Batch", "Examples"]

LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Lengths of padded texts; longer ones are rounded up to a multiple of 512."""

Batch = dict[str, NDArray]
"""``ids``, ``positions``, ``types`` (batch, length) int32; ``valid`` (batch, length) float32, 0 where a text is padded;
``targets`` (batch,) int32; ``weights`` (batch,) float32, 0 in rows that fill up the last batch of a length; ``rows``
(batch,) int64, the numbers of the texts."""


@dataclass(frozen=True)
class Examples:
    """Tokens and classes of texts.

    Parameters
    ----------
    encoder : Encoder
        Whose positions and types the texts have.
    tokens : sequence of Tokens
    targets : (texts,) int32
    words : (vocabulary,) int32, optional
        Row of the word embeddings of each token id; by default the id itself.
    """

    encoder: Encoder
    tokens: Sequence[Tokens]
    targets: NDArray[np.int32]
    words: NDArray[np.int32] | None = None

    def unpadded(self, rows: NDArray[np.int64]) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
        """Ids and types of the texts with these numbers, in batches of texts of one length."""
        texts = [self.tokens[int(row)] for row in rows]
        batches = [[texts[i] for i in batch] for batch in length_batches(texts)]
        ids = [as_batch(batch) for batch in batches]
        if self.words is not None:
            ids = [self.words[each].astype(np.int64) for each in ids]
        return ids, [as_types(batch) for batch in batches]

    def lengths(self, texts: Sequence[Tokens]) -> NDArray[np.int64]:
        """Padded lengths of texts."""
        most = self.encoder.config.max_length
        return np.array([min(_padded(len(text)), most) for text in texts])

    def count(self, size: int) -> int:
        """Number of batches of :meth:`batches`."""
        _, texts = np.unique(self.lengths(self.tokens), return_counts=True)
        return int((-(-texts // size)).sum())

    def batches(self, size: int, random: np.random.Generator | None = None) -> Iterator[Batch]:
        """All texts once, in batches of texts of one padded length.

        Parameters
        ----------
        size : int
            Texts of a batch. The last batch of a length repeats texts, with the weight 0.
        random : Generator, optional
            Shuffles texts and batches. Without it, short texts come first.
        """
        lengths = self.lengths(self.tokens)
        rows = np.arange(len(lengths)) if random is None else random.permutation(len(lengths))
        groups = [rows[lengths[rows] == length] for length in np.unique(lengths)]
        parts = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
        for number in np.arange(len(parts)) if random is None else random.permutation(len(parts)):
            yield self.batch(parts[int(number)], size)

    def batch(self, rows: NDArray[np.int64], size: int) -> Batch:
        """The texts with these numbers, at most ``size``, as a batch of ``size`` texts."""
        filled = np.resize(rows, size)
        texts = [self.tokens[int(row)] for row in filled]
        length = int(self.lengths(texts).max())
        padding = self.encoder.config.padding or 0
        ids, types = np.full((size, length), padding, np.int64), np.zeros((size, length), np.int64)
        valid = np.zeros((size, length), np.float32)
        for i, text in enumerate(texts):
            ids[i, : len(text)], types[i, : len(text)], valid[i, : len(text)] = text.ids, text.types, 1
        positions, types = self.encoder.places(ids, types)
        return {
            "ids": (ids if self.words is None else self.words[ids]).astype(np.int32),
            "positions": np.ascontiguousarray(positions, np.int32),
            "types": types.astype(np.int32),
            "valid": valid,
            "targets": self.targets[filled],
            "weights": (np.arange(size) < len(rows)).astype(np.float32),
            "rows": filled,
        }


def _padded(length: int) -> int:
    return next((most for most in LENGTHS if length <= most), -(-length // LENGTHS[-1]) * LENGTHS[-1])
