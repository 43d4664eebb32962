"""Frames of the link as bytes; see :mod:`~thresher.spec.link`."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ..spec.link import (
    COUNT_BYTES,
    CRC_BYTES,
    HEADER_BYTES,
    OPERATION_BITS,
    SYNC_REPLY,
    SYNC_REQUEST,
    WRITES,
    Operation,
    kind,
)

__all__ = ["Reply", "ReplyReader", "request"]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer with a correct CRC.

    Attributes
    ----------
    sequence, kind : int
        Sequence and kind of the request.
    count : int
        Number of bytes written or read.
    payload : bytes
        Bytes read; empty for other requests.
    """

    sequence: int
    kind: int
    count: int
    payload: bytes


def _crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def request(sequence: int, operation: Operation, *, port: int = 0, payload: bytes = b"", count: int = 0) -> bytes:
    """Make the frame of a request.

    Parameters
    ----------
    sequence : int
        0…255.
    operation : Operation
    port : int
    payload : bytes
        Bytes to write.
    count : int
        Number of bytes to read.
    """
    size = len(payload) if operation in WRITES else count
    body = bytes([sequence, kind(operation, port)]) + size.to_bytes(COUNT_BYTES, "little") + payload
    return SYNC_REQUEST + body + _crc(body)


class ReplyReader:
    """Finds answers among the bytes that come over a line.

    If a frame is incomplete or has a wrong CRC, the search continues with the byte after its first one.

    Parameters
    ----------
    longest : int
        Bytes of the longest payload. A frame with a larger count is ignored.
    """

    def __init__(self, *, longest: int):
        self._longest = longest
        self._pending = b""

    def clear(self) -> None:
        """Discard an incomplete frame."""
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Take more bytes and yield the answers that they complete."""
        self._pending += data
        while True:
            # Only the first synchronisation byte is searched, because it may be the last byte so far.
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
        """Bytes of the frame at the beginning of the pending bytes, or None if it is not a frame."""
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
