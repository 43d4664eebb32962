"""Program of an encoder for texts of given lengths."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...golden.encoder import Text
from ...golden.lib.integer import Int8
from ...golden.memory import Memory, read_tensor
from ...spec.attention_command import HeadCommand
from ...spec.coprocessor_config import CoprocessorConfig
from ...spec.errors import InputError
from ...spec.memory import INDEX_BYTES, SUM_BYTES, Place, row_bytes, tiles_bytes
from ...spec.program import Instruction, Layout, Opcode, Region, VectorOperation
from .builder import Builder, Space
from .constants import Constants, LayerPlaces, NormPlace, ProductPlace, RowsPlace, padded_rows

__all__ = ["EncoderProgram", "encoder_program"]

Commands = Callable[[int, int], HeadCommand]
"""Command of the heads of a layer for a text: ``commands(layer, length)``."""

Source = tuple[str, dict[str, int]]


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


def encoder_program(
    config: CoprocessorConfig, constants: Constants, lengths: Sequence[int], commands: Commands, *, sums: bool = True
) -> EncoderProgram:
    """Program for some texts, whose tokens lie side by side without padding.

    Parameters
    ----------
    config : CoprocessorConfig
    constants : Constants
    lengths : sequence of int
        Tokens of each text.
    commands : Commands
    sums : bool
        Without a classifier, give sums over the tokens of each text, not its first token.

    Raises
    ------
    InputError
        A text is empty or too long, or the texts do not fit together.
    """
    longest = config.attention.max_length
    if not lengths or min(lengths) < 1 or max(lengths) > longest:
        raise InputError(f"texts must have from 1 to {longest} tokens on this co-processor, not {list(lengths)}")
    most = min(config.spmm.max_tokens, config.vector.max_tokens)
    if sum(lengths) > most:
        raise InputError(f"the texts have {sum(lengths)} tokens together, but at most {most} fit: use fewer texts")
    return _Writer(config, constants, tuple(lengths), commands, sums=sums).write()


def _gathered(operand: str, table: RowsPlace, indices: int, start: int) -> dict[str, int]:
    """An operand that is gathered from a table in the memory."""
    fields = {"layout": Layout.GATHER, "rows": table.rows, "index": indices + start * INDEX_BYTES}
    return {operand: table.address, **{f"{operand}_{name}": value for name, value in fields.items()}}


def _sent(operand: str, rows: int, channels: int, tokens: int, start: int) -> dict[str, int]:
    """An operand whose rows the host sends."""
    place = {f"{operand}_layout": Layout.ROWS, operand: rows + start * row_bytes(channels)}
    return place | {"segment": channels, "segment_tokens": tokens}


class _Writer:
    """Writes a program layer by layer.

    Products of one tile and LayerNorms of another run at the same time: the stages of a tile follow each other with
    those of its neighbours between them.
    """

    def __init__(
        self,
        config: CoprocessorConfig,
        constants: Constants,
        lengths: tuple[int, ...],
        commands: Commands,
        *,
        sums: bool,
    ):
        self._config = config
        self._constants = constants
        self._lengths = lengths
        self._commands = commands
        self._sums = sums and not constants.classifier
        self._tokens = sum(lengths)
        self._builder = Builder(config)
        self._spaces = {region: Space(region) for region in (Region.SCRATCH, Region.INPUT, Region.OUTPUT)}
        self._channels = constants.layers[-1].output_norm.channels
        self._macs = 0
        self._steps: dict[int, int] = {}
        tile = config.tile
        self._tiles = [(start, min(tile, self._tokens - start)) for start in range(0, self._tokens, tile)]

    def write(self) -> EncoderProgram:
        constants, builder = self._constants, self._builder
        sources = self._embeddings()
        firsts = self._input("first tokens", len(self._lengths), INDEX_BYTES)
        self._allocate()
        self._embed(sources)
        for number, layer in enumerate(constants.layers):
            self._attend(number, layer)
            self._feed_forward(number, layer, last=number == len(constants.layers) - 1)
        if constants.classifier:
            self._classify(firsts)
        elif self._sums:
            self._sum()
        else:
            bytes_needed = tiles_bytes(self._config, self._channels, len(self._lengths))
            self._first_tokens("first tokens", firsts, self._spaces[Region.OUTPUT].allocate("first", bytes_needed))
        builder.end()
        return EncoderProgram(
            config=self._config,
            instructions=tuple(builder.program),
            tags=tuple(builder.tags),
            lengths=self._lengths,
            spaces=self._spaces,
            channels=self._channels,
            classes=constants.classifier[-1].rows if constants.classifier else 0,
            sums=self._sums,
            weight_macs=self._macs,
            steps=self._steps,
            tables=tuple(each for each in (constants.words, constants.places) if not isinstance(each, RowsPlace)),
        )

    # -- memory --------------------------------------------------------------------------------

    def _input(self, name: str, count: int, size: int) -> int:
        return self._spaces[Region.INPUT].allocate(name, count * size)

    def _embeddings(self) -> list[Callable[[int], dict[str, int]]]:
        """Fields of the operands x and y of the first LayerNorm, from a first token on: words and places."""
        sources: list[Callable[[int], dict[str, int]]] = []
        for operand, name, index in (("x", "word", "ids"), ("y", "place", "places")):
            table = self._constants.words if operand == "x" else self._constants.places
            if isinstance(table, RowsPlace):
                sources.append(partial(_gathered, operand, table, self._input(index, self._tokens, INDEX_BYTES)))
            else:
                channels = table.shape[1]
                rows = self._input(f"{name} rows", self._tokens, row_bytes(channels))
                sources.append(partial(_sent, operand, rows, channels, self._tokens))
        return sources

    def _scratch(self, name: str, channels: int, tokens: int) -> int:
        """Address of a tensor in the layout TILES."""
        return self._spaces[Region.SCRATCH].allocate(name, tiles_bytes(self._config, channels, tokens))

    def _allocate(self) -> None:
        constants, tokens = self._constants, self._tokens
        row = constants.head_dim
        first = constants.layers[0]
        tile = min(self._config.tile, tokens)
        wide = sum(product.rows for product in first.intermediate)
        self._x = self._scratch("input of a layer", self._channels, tokens)
        self._middle = self._scratch("attention's result", self._channels, tokens)
        self._projected = [
            self._scratch(f"projections {i}", first.projections[0].rows, tokens)
            for i in range(min(2, len(first.projections)))
        ]
        space = self._spaces[Region.SCRATCH]
        self._heads = space.allocate("Q, K and V of the heads", 3 * constants.heads * tokens * row)
        self._outputs = space.allocate("outputs of the heads", constants.heads * tokens * row)
        self._context = self._scratch("context", constants.heads * row, tokens)
        buffers = range(min(2, len(self._tiles)))
        self._sublayer = [self._scratch(f"sublayer {i}", self._channels, tile) for i in buffers]
        self._wide = [self._scratch(f"intermediate {i}", wide, tile) for i in buffers]
        self._final = space.allocate("last layer's output", tokens * row_bytes(self._channels))
        if constants.projection is not None:
            self._embedded = self._scratch("embeddings", constants.embedding_norm.channels, tokens)

    def _tile(self, start: int, channels: int, first_token: int) -> int:
        """Address of a tile of a tensor in the layout TILES."""
        return start + channels * first_token

    # -- instructions --------------------------------------------------------------------------

    def _product(self, name: str, product: ProductPlace, x: int, y: int, tokens: int) -> None:
        self._macs += product.macs * tokens
        self._steps[product.body["weights"]] = product.steps
        body = {"x": x, "y": y, "rows": product.rows, "columns": product.columns, "tokens": tokens, **product.body}
        self._builder.append(Opcode.PRODUCT, name, body)

    def _vector(self, name: str, operation: VectorOperation, body: dict[str, int]) -> None:
        self._builder.append(Opcode.VECTOR, name, {"operation": operation, **body})

    def _normalise(self, name: str, norm: NormPlace, tokens: int, places: dict[str, int]) -> None:
        body = {"channels": norm.channels, "tokens": tokens, **norm.body, **places}
        self._vector(name, VectorOperation.NORMALISE, body)

    def _embed(self, sources: Sequence[Callable[[int], dict[str, int]]]) -> None:
        constants = self._constants
        norm = constants.embedding_norm
        target = self._x if constants.projection is None else self._embedded
        for start, tokens in self._tiles:
            words, places = (source(start) for source in sources)
            z = self._tile(target, norm.channels, start)
            self._normalise("embedding", norm, tokens, {**words, **places, "z": z})
        if constants.projection is not None:
            self._product("embedding projection", constants.projection, target, self._x, self._tokens)

    def _attend(self, number: int, layer: LayerPlaces) -> None:
        """Projections of a group of heads, their rows, and the heads; then the next group."""
        constants, row, tokens = self._constants, self._constants.head_dim, self._tokens
        head_bytes = 3 * tokens * row
        for group, product in enumerate(layer.projections):
            name = f"layer {number} heads {group * constants.group}"
            projected = self._projected[group % len(self._projected)]
            self._product(name, product, self._x, projected, tokens)
            operands = self._heads + group * constants.group * head_bytes
            for start, count in self._tiles:
                self._vector(
                    name,
                    VectorOperation.COPY,
                    {
                        "channels": product.rows,
                        "tokens": count,
                        "x": self._tile(projected, product.rows, start),
                        "z_layout": Layout.ROWS,
                        "z": operands + start * row,
                        "z_segment": row,
                        "z_segment_tokens": tokens,
                    },
                )
            self._run_heads(name, number, group, product.rows // (3 * row))

    def _run_heads(self, name: str, number: int, group: int, heads: int) -> None:
        row, tokens = self._constants.head_dim, self._tokens
        first = group * self._constants.group
        for start, end in pairwise(np.cumsum([0, *self._lengths]).tolist()):
            command = asdict(self._commands(number, end - start)) | {"head_dim": row}
            operands = self._heads + (first * 3 * tokens + start) * row
            self._builder.append(
                Opcode.ATTENTION,
                name,
                {
                    **command,
                    "q": operands,
                    "k": operands + tokens * row,
                    "v": operands + 2 * tokens * row,
                    "o": self._outputs + (first * tokens + start) * row,
                    "operand_stride": 3 * tokens * row,
                    "output_stride": tokens * row,
                    "heads": heads,
                },
            )

    def _feed_forward(self, number: int, layer: LayerPlaces, *, last: bool) -> None:
        """What follows the heads, in three stages per tile."""
        stages = (self._attention_output, self._intermediate, self._layer_output)
        for step in range(len(self._tiles) + len(stages) - 1):
            for stage, compute in enumerate(stages):
                if 0 <= step - stage < len(self._tiles):
                    compute(number, layer, step - stage, last)

    def _attention_output(self, number: int, layer: LayerPlaces, tile: int, _: bool) -> None:
        name, row, channels = f"layer {number} attention output", self._constants.head_dim, self._channels
        start, tokens = self._tiles[tile]
        columns = layer.attention_output.columns
        context = self._tile(self._context, columns, start)
        self._vector(
            name,
            VectorOperation.COPY,
            {
                "channels": columns,
                "tokens": tokens,
                "x_layout": Layout.ROWS,
                "x": self._outputs + start * row,
                "segment": row,
                "segment_tokens": self._tokens,
                "z": context,
            },
        )
        y = self._sublayer[tile % len(self._sublayer)]
        self._product(name, layer.attention_output, context, y, tokens)
        x, z = (self._tile(place, channels, start) for place in (self._x, self._middle))
        self._normalise(name, layer.attention_norm, tokens, {"x": x, "y": y, "z": z})

    def _intermediate(self, number: int, layer: LayerPlaces, tile: int, _: bool) -> None:
        start, tokens = self._tiles[tile]
        y = self._wide[tile % len(self._wide)]
        for product in layer.intermediate:
            x = self._tile(self._middle, self._channels, start)
            self._product(f"layer {number} intermediate", product, x, y, tokens)
            y += tiles_bytes(self._config, product.rows, tokens)

    def _layer_output(self, number: int, layer: LayerPlaces, tile: int, last: bool) -> None:
        name, channels = f"layer {number} output", self._channels
        start, tokens = self._tiles[tile]
        y = self._sublayer[tile % len(self._sublayer)]
        self._product(name, layer.output, self._wide[tile % len(self._wide)], y, tokens)
        places = {"x": self._tile(self._middle, channels, start), "y": y, "z": self._tile(self._x, channels, start)}
        if last:
            places |= {
                "z_layout": Layout.ROWS,
                "z": self._final + start * row_bytes(channels),
                "z_segment": channels,
                "z_segment_tokens": self._tokens,
            }
        self._normalise(name, layer.output_norm, tokens, places)

    def _classify(self, firsts: int) -> None:
        texts, channels = len(self._lengths), self._channels
        x = self._scratch("first tokens", channels, texts)
        self._first_tokens("classifier", firsts, x)
        *first, last = self._constants.classifier
        for number, product in enumerate(first):
            y = self._scratch(f"classifier {number}", product.rows, texts)
            self._product("classifier", product, x, y, texts)
            x = y
        scores = self._spaces[Region.OUTPUT].allocate("scores", tiles_bytes(self._config, last.rows, texts))
        self._product("classifier", last, x, scores, texts)

    def _first_tokens(self, name: str, firsts: int, target: int) -> None:
        """The first token of each text, as a tensor in the layout TILES."""
        self._vector(
            name,
            VectorOperation.COPY,
            {
                "channels": self._channels,
                "tokens": len(self._lengths),
                "x_layout": Layout.GATHER,
                "x": self._final,
                "x_rows": self._tokens,
                "x_index": firsts,
                "z": target,
            },
        )

    def _sum(self) -> None:
        channels = self._channels
        sums = self._spaces[Region.OUTPUT].allocate("sums", len(self._lengths) * channels * SUM_BYTES)
        for text, (start, end) in enumerate(pairwise(np.cumsum([0, *self._lengths]).tolist())):
            self._vector(
                "sums",
                VectorOperation.SUM,
                {
                    "channels": channels,
                    "tokens": end - start,
                    "x_layout": Layout.ROWS,
                    "x": self._final + start * row_bytes(channels),
                    "segment": channels,
                    "segment_tokens": self._tokens,
                    "z": sums + text * channels * SUM_BYTES,
                },
            )
