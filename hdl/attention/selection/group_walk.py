"""Walk over the stored blocks of rows, one beat of blocks per cycle."""

from collections.abc import Callable

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.utils import exact_log2

from ....spec.attention_config import AttentionConfig
from ....spec.formats import unsigned_bits
from ...lib.arithmetic import minimum
from ...lib.pipeline import index_bits
from ..visible import hidden_keys

__all__ = ["walk_groups"]


def walk_groups(m: Module, config: AttentionConfig, rows: stream.Interface, statistics: Callable, store, may_start):
    """Read the beats of one row after another, without a pause between rows.

    Parameters
    ----------
    m : Module
    config : AttentionConfig
    rows : stream
        A row is accepted while ``may_start`` is asserted.
    statistics : callable
        Gives the ``row_statistics_layout`` of a payload of ``rows``.
    store : ReadPort
        Memory to read, at address (group, bank).

    Returns
    -------
    View of {valid, first, last, group, inside, row}
        The beat whose address is given in this cycle. ``inside`` holds the number of keys in each block that are seen,
        one set per query in a causal core; the last set is that of the block row. ``row`` is the payload of ``rows``.
    """
    b, keys = config.block, config.predictor_keys
    active = Signal()
    keys_left = Signal(config.length_bits)
    last = Signal()  # register next to ``keys_left``, so that no comparison is on the critical path
    tag = Signal(
        data.StructLayout(
            {
                "valid": 1,
                "first": 1,
                "last": 1,
                "group": index_bits(config.groups),
                "inside": data.ArrayLayout(
                    data.ArrayLayout(unsigned_bits(b), config.predictor_blocks), config.key_masks
                ),
                "row": rows.payload.shape(),
            }
        )
    )
    current = Signal(rows.payload.shape())
    group = Signal(index_bits(config.groups))
    m.d.comb += [
        tag.valid.eq(active),
        tag.first.eq(group == 0),
        tag.last.eq(last),
        tag.group.eq(group),
        tag.row.eq(current),
        store.address.eq(Cat(group, statistics(current).bank)),
        store.enable.eq(1),
        rows.ready.eq(may_start & (~active | last)),
    ]
    last_query = (statistics(current).queries - 1).as_unsigned()[: exact_log2(b)]
    for inside, hidden in zip(tag.inside, hidden_keys(config, statistics(current).causal, last_query), strict=True):
        for block in range(config.predictor_blocks):
            before = hidden + block * b
            rest = Mux(keys_left > before, keys_left - before, 0)
            m.d.comb += inside[block].eq(minimum(rest, b))
    with m.If(rows.ready & rows.valid):
        row_keys = statistics(rows.payload).keys
        m.d.sync += [
            current.eq(rows.payload),
            keys_left.eq(row_keys),
            last.eq(row_keys <= keys),
            group.eq(0),
            active.eq(1),
        ]
    with m.Elif(active):
        m.d.sync += [
            group.eq(group + 1),
            keys_left.eq(keys_left - keys),
            last.eq(keys_left <= 2 * keys),
            active.eq(~last),
        ]
    return tag
