"""Which keys the queries of a head see: all of them, or the first ones in a causal head."""

import numpy as np

from ...spec.attention_command import HeadCommand
from ...spec.attention_config import AttentionConfig
from ...spec.formats import ceil_div

__all__ = ["visible_blocks", "visible_positions"]


def visible_positions(command: HeadCommand) -> np.ndarray:
    """(Lq, Lk) bool. Query i of a causal head sees the keys 0…Lk − Lq + i."""
    visible = np.ones((command.query_length, command.key_length), np.bool_)
    return np.tril(visible, command.key_length - command.query_length) if command.causal else visible


def visible_blocks(config: AttentionConfig, command: HeadCommand) -> np.ndarray:
    """(nq, nk) bool: the blocks in which a query sees a key."""
    b = config.block
    nq, nk = ceil_div(command.query_length, b), ceil_div(command.key_length, b)
    padded = np.zeros((nq * b, nk * b), np.bool_)
    padded[: command.query_length, : command.key_length] = visible_positions(command)
    return np.asarray(padded.reshape(nq, b, nk, b).any(axis=(1, 3)))
