"""A board made of Python: two streams behind the link, a line that spoils what is on it, and a clock of their own."""

import zlib
from collections import deque
from random import Random

from thresher.host.port import DeviceError
from thresher.spec import AttentionConfig, SpmmConfig, preset
from thresher.spec.link import IDENTITY_PORT, SYNC_REPLY, SYNC_REQUEST, WRITES, Operation, identity

TINY = preset("tiny")


class Clock:
    """Stands for the module ``time``: nothing passes but what the line takes, however busy the machine is."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


CLOCK = Clock()


class Board:
    """Answers requests, whole frames at a time, as :mod:`thresher.spec.link` says.

    Port 0 takes bytes and gives each of them back, with one added, through a queue of ``room`` bytes.
    """

    def __init__(self, *, config: AttentionConfig | SpmmConfig = TINY, payload_bytes: int = 256, room: int = 1000):
        self.told = identity(config, payload_bytes=payload_bytes)
        self.room = room
        self.queue: deque[int] = deque()
        self.done: list[tuple[int, int]] = []
        self.answer = b""
        self.last = b""

    def handle(self, data: bytes) -> bytes:
        """What it answers to what it hears: at most one request."""
        start = data.find(SYNC_REQUEST)
        if start < 0:
            return b""
        body = data[start + 2 :]
        if len(body) < 8:
            return b""
        count = int.from_bytes(body[2:4], "little")
        size = 4 + (count if body[1] & 3 in WRITES else 0)
        if len(body) < size + 4 or zlib.crc32(body[:size]).to_bytes(4, "little") != body[size : size + 4]:
            return b""
        repeated = body[:2] == self.last and body[1] & 3 != Operation.RESET
        if not repeated:
            self.last = body[:2]
            self.answer = self.act(body[1] & 3, body[1] >> 2, body[4:size], count)
        reply = self.last + self.answer
        return SYNC_REPLY + reply + zlib.crc32(reply).to_bytes(4, "little")

    def act(self, operation: int, port: int, payload: bytes, count: int) -> bytes:
        """Count and payload of the answer."""
        self.done.append((operation, port))
        found = b""
        if operation == Operation.RESET:
            self.queue.clear()
            count = 0
        elif operation in WRITES:
            taken = payload[: max(0, self.room - len(self.queue))] if port == 0 else b""
            self.queue.extend((byte + 1) % 256 for byte in taken)
            count = len(taken)
        elif port == IDENTITY_PORT:
            found = self.told[:count]
            count = len(found)
        else:
            found = bytes(self.queue.popleft() for _ in range(min(count, len(self.queue)))) if port == 0 else b""
            count = len(found)
        return count.to_bytes(2, "little") + found


def spoiled(frame: bytes, random: Random) -> bytes:
    """Bytes without one of them, with another in its place, cut, doubled, or with noise before them."""
    if not frame:
        return frame
    place = random.randrange(len(frame))
    match random.randrange(5):
        case 0:
            return frame[:place] + frame[place + 1 :]
        case 1:
            return frame[:place] + bytes([frame[place] ^ 1 << random.randrange(8)]) + frame[place + 1 :]
        case 2:
            return frame[:place]
        case 3:
            return 2 * frame
        case _:
            return bytes(random.choice((0xA5, 0xC3, 0, 255)) for _ in range(place)) + frame


class FakePort:
    """A line to a board. What it takes passes on :data:`CLOCK`.

    Parameters
    ----------
    spoil : float
        Chance that a frame, either way, is :func:`spoiled`.
    """

    name, baud = "fake", 115_200

    def __init__(self, board: Board, *, spoil: float = 0.0, seed: int = 0):
        self.board, self.spoil, self.random = board, spoil, Random(seed)
        self.coming = b""
        self.sent = 0
        self.unplugged_after: int | None = None
        self.closed = False

    def write(self, data: bytes) -> None:
        self._check()
        self.sent += 1
        CLOCK.now += 10 * len(data) / self.baud
        heard = self._spoil(data)
        self.coming += self._spoil(self.board.handle(heard))
        if heard == 2 * data:  # the board hears the second copy, too
            self.coming += self._spoil(self.board.handle(data))

    def read(self, timeout: float) -> bytes:
        self._check()
        if not self.coming:
            CLOCK.now += timeout
            return b""
        size = self.random.randrange(1, len(self.coming) + 1)
        found, self.coming = self.coming[:size], self.coming[size:]
        return found

    def close(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.unplugged_after is not None and self.sent >= self.unplugged_after:
            raise DeviceError("lost fake (no such device): plug the board in again and repeat the command")

    def _spoil(self, frame: bytes) -> bytes:
        return spoiled(frame, self.random) if self.random.random() < self.spoil else frame
