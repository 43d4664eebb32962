"""Commands whose packets are too short or too long, and what the statistics must say."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from thresher.golden.packets import packet_error
from thresher.sim.batch import Batch, packet

Changes = Mapping[tuple[int, str], int]
"""Beats more (or less, if negative) in the packet of a command on a stream. A packet keeps at least one beat."""


class AlteredPackets:
    """The packets of a batch, with changed lengths.

    Parameters
    ----------
    batch : Batch
        Its packets change.
    changes : dict
    """

    def __init__(self, batch: Batch, changes: Changes, rng: np.random.Generator):
        self._original = batch.packets
        self._changes, self._rng = changes, rng
        batch.packets = self.packets

    def packets(self, index: int) -> dict[str, np.ndarray]:
        found = self._original(index)
        for name, beats in found.items():
            more, data = self._changes.get((index, name), 0), beats["data"]
            if more:
                extra = data[self._rng.integers(len(data), size=max(0, more))]
                found[name] = packet(np.concatenate([data, extra]) if more > 0 else data[: max(1, len(data) + more)])
        return found

    def error(self, index: int, codes: Any) -> Any:
        """The code of the statistics, if the command is accepted."""
        expected = {name: len(beats) for name, beats in self._original(index).items()}
        return packet_error(codes, expected, {name: len(beats) for name, beats in self.packets(index).items()})


def random_changes(rng: np.random.Generator, batch: Batch, count: int, *, chance: float) -> dict[tuple[int, str], int]:
    """Packets with a few beats more or less, or much fewer, or many more."""
    changes = {}
    for index in range(count):
        for name in batch.packets(index):
            if rng.random() < chance:
                changes[index, name] = int(rng.choice([-1000, -2, -1, 1, 2, 40]))
    return changes
