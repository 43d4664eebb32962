"""Streams of a core over a link."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from amaranth import Shape
from amaranth.lib import wiring

from ..hdl.emit import StreamPort, interface
from ..hdl.lib.packets import is_framed
from ..hdl.link.ports import beat_shape, served
from ..sim.bridge import pack_beats, unpack_beats, words_of
from ..spec.link import beat_bytes
from .link import Link
from .port import DeviceError

__all__ = ["StreamDevice"]

STUCK_SECONDS = 20.0
"""A core that takes and gives nothing for this time is stuck."""


class _Written:
    """Beats that are written to an input stream."""

    def __init__(self, index: int, port: StreamPort, values: Any):
        width = Shape.cast(beat_shape(port.shape)).width
        self.index, self.name, self.size = index, port.name, beat_bytes(width)
        words = np.ascontiguousarray(pack_beats(port.shape, values, path=port.name), "<u4")
        beats = words.view(np.uint8).reshape(len(words), 4 * words_of(port.width))
        # In a payload with ``last``, it is the bit above the data.
        last = beats[:, width // 8] >> width % 8 & 1 if is_framed(port.shape) else np.zeros(len(beats), np.uint8)
        self.ends = deque((self.size * (np.flatnonzero(last) + 1)).tolist())  # of packets, in bytes
        self.moved = 0
        if width % 8:
            beats[:, width // 8] &= (1 << width % 8) - 1
        self.left = beats[:, : self.size].tobytes()
        self.waiting = False  # the stream was full at the last write, and nothing has been read since

    def move(self, link: Link) -> bool:
        """Send one write request, for one packet at most. Return whether the stream took anything."""
        count = link.longest_payload // self.size * self.size
        last = bool(self.ends) and self.ends[0] - self.moved <= count
        offered = self.left[: self.ends[0] - self.moved if last else count]
        taken = link.write(self.index, offered, last=last)
        self.left = self.left[taken:]
        self.moved += taken
        if last and taken == len(offered):
            self.ends.popleft()
        self.waiting = taken < len(offered)
        return taken > 0


class _Read:
    """Beats that are read from an output stream."""

    def __init__(self, index: int, port: StreamPort, count: int):
        self.index, self.port, self.size = index, port, beat_bytes(port.width)
        self.missing = count * self.size
        self._found: list[bytes] = []

    def move(self, link: Link) -> bool:
        """Send one read request. Return whether the stream gave anything."""
        wanted = min(self.missing, link.longest_payload // self.size * self.size)
        found = link.read(self.index, wanted)
        self._found.append(found)
        self.missing -= len(found)
        return bool(found)

    def values(self) -> Any:
        """Values of the beats (see :func:`~thresher.sim.bridge.unpack_beats`)."""
        raw = np.frombuffer(b"".join(self._found), np.uint8).reshape(-1, self.size)
        padded = np.zeros((len(raw), 4 * words_of(self.port.width)), np.uint8)
        padded[:, : self.size] = raw
        return unpack_beats(self.port.shape, padded.view("<u4"))


class StreamDevice:
    """A core on a board, driven with whole payloads of its streams.

    Parameters
    ----------
    link : Link
        Link to a board that holds the core.
    signature : wiring.Signature
        Signature of the core.
    """

    def __init__(self, link: Link, signature: wiring.Signature):
        self._link = link
        streams, _ = interface(signature.create())
        self._inputs, self._outputs = (
            {port.name: (i, port) for i, port in enumerate(side)} for side in served(streams)
        )

    def run(self, inputs: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
        """Write payloads to input streams and read payloads from output streams.

        Parameters
        ----------
        inputs : dict of sequences of payloads
            See :func:`~thresher.sim.bridge.pack_beats`.
        counts : dict of int
            Number of payloads to read from each output stream.

        Returns
        -------
        dict
            Payloads of each output stream in ``counts``.

        Raises
        ------
        DeviceError
            The board does not answer, its port is gone, or the core is stuck. A core that is stuck is reset.
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
                self._link.reset()
                raise DeviceError(
                    f"the board is stuck at {', '.join(names)} and has been reset: repeat the command, or load the "
                    "bitstream again"
                )
        return {each.port.name: each.values() for each in read}

    def _turn(self, written: list[_Written], read: list[_Read]) -> bool:
        """Write to all streams that are not full; if all are full or done, read. Return whether anything moved.

        A request that moves nothing is slow, because the hardware answers it only after a timeout.
        """
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
