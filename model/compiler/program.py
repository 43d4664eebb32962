"""A compiled encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...golden.encoder import Text
from ...golden.lib.integer import Int8
from ...golden.memory import Memory, read_tensor
from ...spec.coprocessor_config import CoprocessorConfig
from ...spec.errors import InputError
from ...spec.memory import Place
from ...spec.program import Instruction, Layout, Region
from .builder import Space
from .constants import padded_rows

__all__ = ["EncoderProgram"]


@dataclass(frozen=True, kw_only=True)
class EncoderProgram:
    """A program, and what its regions hold.

    Attributes
    ----------
    config : CoprocessorConfig
    instructions : tuple of Instruction
    tags : tuple of str
        Name of each tag.
    lengths : tuple of int
        Tokens of each text.
    spaces : dict of Region to Space
        SCRATCH, INPUT and OUTPUT.
    channels : int
        Of the encoder's output.
    classes : int
        Of the classifier, or 0 for an encoder that gives embeddings.
    sums : bool
        Embeddings are sums over the tokens of a text. Otherwise they are its first token.
    weight_macs : int
        Multiplications by weights that are not 0, for all tokens.
    steps : dict of int to int
        Cycles that the busiest row engine needs for one tile of tokens, by the address of the weights.
    tables : tuple of (rows, E) int8
        Embeddings of words and places, if the host sends their rows.
    """

    config: CoprocessorConfig
    instructions: tuple[Instruction, ...]
    tags: tuple[str, ...]
    lengths: tuple[int, ...]
    spaces: dict[Region, Space]
    channels: int
    classes: int
    sums: bool
    weight_macs: int
    steps: dict[int, int]
    tables: tuple[Int8, ...] = ()

    @property
    def data(self) -> bytes:
        """The bytes of the program."""
        return b"".join(item.encode() for item in self.instructions)

    def input(self, texts: Sequence[Text]) -> NDArray[np.uint8]:
        """Bytes of the region INPUT.

        It holds, each from a multiple of 8 bytes on, numbers of 32 bits, little-endian:

        - the ids of all tokens, text after text: rows of the table of words,
        - the places of all tokens: rows of the table of places, type · number of positions + position,
        - the number of the first token of each text, counted over all texts.

        If the host sends the embeddings, the rows of the tables take the place of ids and places: int8, in the layout
        ROWS with one segment, each row filled with zeros up to a multiple of 8 bytes.

        Raises
        ------
        InputError
            The program is for texts of other lengths.
        """
        if tuple(map(len, texts)) != self.lengths:
            raise InputError(f"the program is for texts of {[*self.lengths]} tokens, not of {[*map(len, texts)]}")
        ids = [number for text in texts for number in text.ids]
        places = [number for text in texts for number in text.places]
        firsts = np.cumsum([0, *self.lengths[:-1]])
        indices = [np.array(numbers, "<u4").view(np.uint8) for numbers in (ids, places, firsts)]
        rows = [padded_rows(table[numbers]) for table, numbers in zip(self.tables, (ids, places), strict=False)]
        data = np.zeros(self.spaces[Region.INPUT].size, np.uint8)
        contents = (*rows, *indices[len(rows) :])
        for (_, start, size), content in zip(self.spaces[Region.INPUT].names, contents, strict=True):
            offset = start - (Region.INPUT << 30)
            data[offset : offset + size] = content
        return data

    def output(self, memory: Memory) -> NDArray[np.integer]:
        """What the program has computed.

        The region OUTPUT holds one matrix: int8 in the layout TILES, with a channel for each class or channel of the
        output and a token for each text; or the sums as int64, little-endian, text after text, channel after channel.

        Returns
        -------
        (classes, texts) or (C, texts) int8, or (C, texts) int64
            Class scores, the first token of each text, or sums over its tokens, as
            :func:`~thresher.golden.encoder.class_scores` and :func:`~thresher.golden.encoder.token_sums`.
        """
        (_, start, size), *_ = self.spaces[Region.OUTPUT].names
        if not self.sums:
            place = Place(layout=Layout.TILES, address=start)
            return read_tensor(self.config, memory, place, self.classes or self.channels, len(self.lengths))
        return memory.read(start, size).view("<i8").reshape(len(self.lengths), self.channels).T
