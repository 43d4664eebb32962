"""A core's streams over a link."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from amaranth.lib import wiring

from ..hdl.emit import StreamPort, interface
from ..hdl.link.ports import served
from ..sim.bridge import pack_beats, unpack_beats, words_of
from ..spec.link import beat_bytes
from .link import Link
from .port import DeviceError

__all__ = ["StreamDevice"]

STUCK_SECONDS = 20.0
"""A core that takes and gives nothing for so long waits for something that does not come."""


class _Written:
    """Beats on their way to a stream."""

    def __init__(self, index: int, port: StreamPort, values: Any):
        self.index, self.name, self.size = index, port.name, beat_bytes(port.width)
        words = np.ascontiguousarray(pack_beats(port.shape, values, path=port.name), "<u4")
        self.left = words.view(np.uint8).reshape(len(words), 4 * words_of(port.width))[:, : self.size].tobytes()
        self.waiting = False  # took less than it was offered, and nothing has been read since

    def move(self, link: Link) -> bool:
        """Write what one request carries. Says whether any of it was taken."""
        offered = self.left[: link.longest_payload // self.size * self.size]
        taken = link.write(self.index, offered)
        self.left = self.left[taken:]
        self.waiting = taken < len(offered)
        return taken > 0


class _Read:
    """Beats that a stream owes."""

    def __init__(self, index: int, port: StreamPort, count: int):
        self.index, self.port, self.size = index, port, beat_bytes(port.width)
        self.missing = count * self.size
        self._found: list[bytes] = []

    def move(self, link: Link) -> bool:
        """Read what one request carries. Says whether anything was there."""
        wanted = min(self.missing, link.longest_payload // self.size * self.size)
        found = link.read(self.index, wanted)
        self._found.append(found)
        self.missing -= len(found)
        return bool(found)

    def values(self) -> Any:
        """What came, as :func:`~thresher.sim.bridge.unpack_beats` gives it."""
        raw = np.frombuffer(b"".join(self._found), np.uint8).reshape(-1, self.size)
        padded = np.zeros((len(raw), 4 * words_of(self.port.width)), np.uint8)
        padded[:, : self.size] = raw
        return unpack_beats(self.port.shape, padded.view("<u4"))


class StreamDevice:
    """A core on a board, driven by transactions as :class:`~thresher.sim.verilator.VerilatorSimulator` is.

    Parameters
    ----------
    link : Link
        To a board that holds the core.
    signature : wiring.Signature
        Of the core.
    """

    def __init__(self, link: Link, signature: wiring.Signature):
        self._link = link
        streams, _ = interface(signature.create())
        self._inputs, self._outputs = (
            {port.name: (i, port) for i, port in enumerate(side)} for side in served(streams)
        )

    def run(self, inputs: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
        """Write payloads to input streams, and read what each output stream owes.

        Parameters
        ----------
        inputs : dict of sequences of payloads
            See :func:`~thresher.sim.bridge.pack_beats`.
        counts : dict of int
            Payloads to read from each output stream.

        Returns
        -------
        dict
            Payloads of each output stream that is named in ``counts``.

        Raises
        ------
        DeviceError
            The board does not answer, its port is gone, or it is stuck.
        InputError
            A payload does not fit its stream.
        """
        written = [_Written(*self._inputs[name], values) for name, values in inputs.items()]
        read = [_Read(*self._outputs[name], count) for name, count in counts.items()]
        moved = time.monotonic()
        while any(each.left for each in written) or any(each.missing for each in read):
            if self._turn(written, read):
                moved = time.monotonic()
            elif time.monotonic() > moved + STUCK_SECONDS:
                names = [each.name for each in written if each.left]
                names += [each.port.name for each in read if each.missing]
                raise DeviceError(f"the board is stuck at {', '.join(names)}: load its bitstream again")
        return {each.port.name: each.values() for each in read}

    def _turn(self, written: list[_Written], read: list[_Read]) -> bool:
        """Write while anything is taken, otherwise read. An attempt in vain costs the hardware's patience."""
        moved = False
        for each in written:
            if each.left and not each.waiting:
                moved |= each.move(self._link)
        if any(each.left and not each.waiting for each in written):
            return moved
        for each in read:
            if each.missing:
                moved |= each.move(self._link)
        for each in written:
            each.waiting = False
        return moved
