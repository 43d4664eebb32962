"""Frames of :mod:`~thresher.spec.link` as bytes."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ..spec.link import COUNT_BYTES, CRC_BYTES, HEADER_BYTES, OPERATION_BITS, SYNC_REPLY, SYNC_REQUEST, Operation, kind

__all__ = ["Reply", "ReplyReader", "request"]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer whose CRC was right.

    Attributes
    ----------
    sequence, kind : int
        Those of its request.
    count : int
        Bytes written or read.
    payload : bytes
        Of a read; empty otherwise.
    """

    sequence: int
    kind: int
    count: int
    payload: bytes


def _crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def request(sequence: int, operation: Operation, *, port: int = 0, payload: bytes = b"", count: int = 0) -> bytes:
    """A request's frame.

    Parameters
    ----------
    sequence : int
        0…255.
    payload : bytes
        Of a write.
    count : int
        Of a read: bytes wanted.
    """
    size = len(payload) if operation is Operation.WRITE else count
    body = bytes([sequence, kind(operation, port)]) + size.to_bytes(COUNT_BYTES, "little") + payload
    return SYNC_REQUEST + body + _crc(body)


class ReplyReader:
    """Finds answers in what comes over a line, whatever else is on it.

    A frame that is not whole or has a wrong CRC is searched for others, from the byte after its first.

    Parameters
    ----------
    longest : int
        Bytes of the longest payload; what claims to have more is no frame.
    """

    def __init__(self, *, longest: int):
        self._longest = longest
        self._pending = b""

    def clear(self) -> None:
        """Forget the beginning of a frame."""
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[Reply]:
        """The answers that end in these bytes."""
        self._pending += data
        while True:
            # Its first byte may be the last that came.
            start = self._pending.find(SYNC_REPLY[:1])
            self._pending = self._pending[start:] if start >= 0 else b""
            if len(self._pending) < len(SYNC_REPLY) + HEADER_BYTES:
                if self._pending[:2] == SYNC_REPLY[: len(self._pending[:2])]:
                    return
                self._pending = self._pending[1:]
                continue
            size = self._size()
            if size is None:
                self._pending = self._pending[1:]
            elif len(self._pending) < size:
                return
            else:
                reply = _reply(self._pending[len(SYNC_REPLY) : size])
                self._pending = self._pending[1 if reply is None else size :]
                if reply is not None:
                    yield reply

    def _size(self) -> int | None:
        """Bytes of the frame that begins here, if one does."""
        header = self._pending[len(SYNC_REPLY) :]
        payload = int.from_bytes(header[2 : 2 + COUNT_BYTES], "little")
        if not self._pending.startswith(SYNC_REPLY) or payload > self._longest:
            return None
        payload = payload if _reads(header[1]) else 0
        return len(SYNC_REPLY) + HEADER_BYTES + payload + CRC_BYTES


def _reads(kind_byte: int) -> bool:
    return kind_byte & ((1 << OPERATION_BITS) - 1) == Operation.READ


def _reply(frame: bytes) -> Reply | None:
    body = frame[:-CRC_BYTES]
    if _crc(body) != frame[-CRC_BYTES:]:
        return None
    count = int.from_bytes(body[2 : 2 + COUNT_BYTES], "little")
    return Reply(sequence=body[0], kind=body[1], count=count, payload=body[HEADER_BYTES:])
