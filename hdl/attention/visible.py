"""Keys that the queries of a block row see: all of them, or the first ones in a causal head.

A block row sees what its last query sees. The queries before it see fewer keys, one less for each. Queries beyond the
sequence count as seeing what the last one inside it sees.
"""

from amaranth import Mux, Value

from ...spec.attention_config import AttentionConfig
from ..lib.arithmetic import minimum

__all__ = ["hidden_keys", "keys_of_first_row", "keys_of_next_row"]


def keys_of_first_row(config: AttentionConfig, head) -> Value:
    """Keys that the first block row of a head sees."""
    if not config.causal:
        return head.key_length
    reach = head.key_length - head.query_length + config.block
    return Mux(head.causal & (head.query_length > config.block), reach, head.key_length)[: config.length_bits]


def keys_of_next_row(config: AttentionConfig, key_length: Value, keys: Value) -> Value:
    """Keys that a block row sees, if the one before it sees ``keys``."""
    if not config.causal:
        return key_length
    return minimum(keys + config.block, key_length)[: config.length_bits]


def hidden_keys(config: AttentionConfig, causal: Value, last_query: Value) -> list:
    """For each set of keys (see ``config.key_masks``): how many keys fewer it has than the block row sees.

    ``last_query`` is the place of the last query inside the sequence in the block row.
    """
    if not config.causal:
        return [0]
    return [
        Mux(causal & (last_query > i), (last_query - i).as_unsigned()[: (config.block - 1).bit_length()], 0)
        for i in range(config.key_masks)
    ]
