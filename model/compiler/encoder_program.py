"""Program of an encoder for texts of given lengths."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import cycle, pairwise

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.coprocessor_config import CoprocessorConfig
from ...spec.errors import InputError
from ...spec.memory import INDEX_BYTES, SUM_BYTES, row_bytes, tiles_bytes
from ...spec.program import Layout, Opcode, Region, VectorOperation
from .builder import Builder, Space
from .constants import Constants, LayerPlaces, NormPlace, ProductPlace, RowsPlace
from .order import Piece, Stage, pieces, stages
from .program import EncoderProgram

__all__ = ["encoder_program"]

Commands = Callable[[int, int], HeadCommand]
"""Command of the heads of a layer for a text: ``commands(layer, length)``."""


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
    """Writes a program layer by layer. Products of one tile and LayerNorms of another run at the same time."""

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
            self._layer(number, layer, last=number == len(constants.layers) - 1)
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
        wide = sum(product.rows for product in first.intermediate)
        self._x = self._scratch("input of a layer", self._channels, tokens)
        self._middle = self._scratch("attention's result", self._channels, tokens)
        space = self._spaces[Region.SCRATCH]
        self._queries_outputs = space.allocate("Q and outputs of the heads", 2 * constants.heads * tokens * row)
        self._keys_values = space.allocate("K and V of the heads", 2 * constants.heads * tokens * row)
        self._context = self._scratch("context", constants.heads * row, tokens)
        self._projected = self._buffers("queries", first.queries.rows)
        self._grouped = self._buffers("keys and values", first.keys_values[0].rows)
        self._sublayer = self._buffers("attention output", self._channels)
        self._wide = self._buffers("intermediate", wide)
        self._outputs = self._buffers("output", self._channels)
        self._final = space.allocate("last layer's output", tokens * row_bytes(self._channels))
        if constants.projection is not None:
            self._embedded = self._scratch("embeddings", constants.embedding_norm.channels, tokens)

    def _buffers(self, name: str, channels: int) -> list[int]:
        """Addresses of two tiles, which are used in turn."""
        tile = min(self._config.tile, self._tokens)
        return [self._scratch(f"{name} {i}", channels, tile) for i in range(2)]

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

    def _layer(self, number: int, layer: LayerPlaces, *, last: bool) -> None:
        """The queries of the first tile, keys and values of all tokens, then the other stages of each tile.

        If a head threshold keeps the queries of longer texts together, those of all tiles come first.
        """
        whole = any(self._commands(number, length).head_threshold for length in self._lengths)
        parts = pieces(self._lengths, self._config.tile, whole=whole)
        count = len(self._tiles)
        ahead = count if whole and max(self._lengths) > self._config.tile else 1
        # A tile of queries completes the pieces that end in it.
        completed = [[each for each in parts if (each.end - 1) // self._config.tile == tile] for tile in range(count)]
        for tile in range(ahead):
            self._queries(number, layer, tile)
        self._keys_and_values(number, layer, [each for ready in completed[:ahead] for each in ready])
        for stage, tile in stages(count):
            if stage is Stage.QUERIES and tile >= ahead:
                self._queries(number, layer, tile)
                self._run_heads(f"layer {number} queries", number, completed[tile], 0, self._constants.heads)
            elif stage is Stage.CONTEXT:
                self._gather_heads(number, layer, tile)
            elif stage is Stage.ATTENTION_OUTPUT:
                self._attention_output(number, layer, tile)
            elif stage is Stage.INTERMEDIATE:
                self._intermediate(number, layer, tile)
            elif stage is Stage.OUTPUT:
                self._layer_output(number, layer, tile, last)

    def _queries(self, number: int, layer: LayerPlaces, tile: int) -> None:
        """Q of all heads for a tile of tokens."""
        y = self._projected[tile % 2]
        self._project(f"layer {number} queries", layer.queries, tile, y, self._queries_outputs, 2 * self._tokens)

    def _keys_and_values(self, number: int, layer: LayerPlaces, parts: list[Piece]) -> None:
        """K and V of a group of heads for all tokens, and some queries of these heads; then the next group."""
        group, row = self._constants.group, self._constants.head_dim
        buffers = cycle(self._grouped)
        for index, product in enumerate(layer.keys_values):
            name, first = f"layer {number} heads {index * group}", index * group
            operands = self._keys_values + first * 2 * self._tokens * row
            for tile in range(len(self._tiles)):
                self._project(name, product, tile, next(buffers), operands, self._tokens)
            self._run_heads(name, number, parts, first, product.rows // (2 * row))

    def _project(self, name: str, product: ProductPlace, tile: int, y: int, operands: int, segment_tokens: int) -> None:
        """A product of a tile, and its results as rows of heads."""
        row, (start, tokens) = self._constants.head_dim, self._tiles[tile]
        self._product(name, product, self._tile(self._x, product.columns, start), y, tokens)
        self._vector(
            name,
            VectorOperation.COPY,
            {
                "channels": product.rows,
                "tokens": tokens,
                "x": y,
                "z_layout": Layout.ROWS,
                "z": operands + start * row,
                "z_segment": row,
                "z_segment_tokens": segment_tokens,
            },
        )

    def _run_heads(self, name: str, number: int, parts: list[Piece], first: int, heads: int) -> None:
        """Some heads for pieces of texts."""
        row, head = self._constants.head_dim, self._tokens * self._constants.head_dim
        for part in parts:
            command = asdict(self._commands(number, part.length))
            q = self._queries_outputs + 2 * first * head + part.start * row
            k = self._keys_values + 2 * first * head + part.text * row
            self._builder.append(
                Opcode.ATTENTION,
                name,
                {
                    **command,
                    "head_dim": row,
                    "query_length": part.end - part.start,
                    "q": q,
                    "k": k,
                    "v": k + head,
                    "o": q + head,
                    "operand_stride": 2 * head,
                    "output_stride": 2 * head,
                    "heads": heads,
                },
            )

    def _gather_heads(self, number: int, layer: LayerPlaces, tile: int) -> None:
        """Outputs of all heads, as a tile of the layout TILES."""
        row, columns = self._constants.head_dim, layer.attention_output.columns
        start, tokens = self._tiles[tile]
        self._vector(
            f"layer {number} attention output",
            VectorOperation.COPY,
            {
                "channels": columns,
                "tokens": tokens,
                "x_layout": Layout.ROWS,
                "x": self._queries_outputs + (self._tokens + start) * row,
                "segment": row,
                "segment_tokens": 2 * self._tokens,
                "z": self._tile(self._context, columns, start),
            },
        )

    def _attention_output(self, number: int, layer: LayerPlaces, tile: int) -> None:
        name, channels = f"layer {number} attention output", self._channels
        start, tokens = self._tiles[tile]
        context = self._tile(self._context, layer.attention_output.columns, start)
        y = self._sublayer[tile % 2]
        self._product(name, layer.attention_output, context, y, tokens)
        x, z = (self._tile(place, channels, start) for place in (self._x, self._middle))
        self._normalise(name, layer.attention_norm, tokens, {"x": x, "y": y, "z": z})

    def _intermediate(self, number: int, layer: LayerPlaces, tile: int) -> None:
        start, tokens = self._tiles[tile]
        y = self._wide[tile % 2]
        x = self._tile(self._middle, self._channels, start)
        for product in layer.intermediate:
            self._product(f"layer {number} intermediate", product, x, y, tokens)
            y += tiles_bytes(self._config, product.rows, tokens)

    def _layer_output(self, number: int, layer: LayerPlaces, tile: int, last: bool) -> None:
        name, channels = f"layer {number} output", self._channels
        start, tokens = self._tiles[tile]
        y = self._outputs[tile % 2]
        self._product(name, layer.output, self._wide[tile % 2], y, tokens)
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
