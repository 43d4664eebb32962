"""What comes from hardware and goes to it: frames of the link, and images of programs."""

import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import thresher.host.link as link_module
from thresher.host.frames import ReplyReader
from thresher.host.link import LONGEST_PAYLOAD, Link
from thresher.spec import COPROCESSOR_PRESETS, PRESETS
from thresher.spec.errors import InputError
from thresher.spec.image import IMAGE_HEADER_BYTES, Image
from thresher.spec.link import IDENTITY_PORT, SYNC_REPLY, Operation, identity, kind
from thresher.spec.program import INSTRUCTION_BYTES, decode

from ...images import random_image
from ..reader import FuzzReader

__all__ = ["READERS"]

CONFIG = PRESETS["tiny"]

# -- frames --------------------------------------------------------------------------------------


class _Clock:
    """Time that passes only while the host waits."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class _Line:
    """A port that gives the bytes of an input in parts of this size, and then nothing."""

    name, baud = "line", 1_000_000

    def __init__(self, data: bytes, part: int, clock: _Clock):
        self._data, self._part, self._clock = data, part, clock
        self.reading = False

    def write(self, data: bytes) -> None:
        self.reading = True

    def read(self, timeout: float) -> bytes:
        found, self._data = (self._data[: self._part], self._data[self._part :]) if self.reading else (b"", self._data)
        self._clock.now += 1e-5 if found else timeout + 1e-5
        return found

    def close(self) -> None:
        pass


def _read_frames(data: bytes, _folder: Path) -> None:
    """The first byte says in what parts the others come."""
    part, data = 1 + int.from_bytes(data[:1], "little"), data[1:]
    whole, reader = ReplyReader(longest=LONGEST_PAYLOAD), ReplyReader(longest=LONGEST_PAYLOAD)
    replies = [reply for i in range(0, len(data), part) for reply in reader.feed(data[i : i + part])]
    assert replies == list(whole.feed(data)), "the parts in which bytes come change the answers"
    clock = _Clock()
    time, link_module.time = link_module.time, clock  # pyright: ignore[reportAttributeAccessIssue]
    try:
        link = Link(_Line(data, part, clock))
        link.greet(CONFIG)
        link.write(0, b"abcd", last=True)
        assert len(link.read(0, 64)) <= 64
    finally:
        link_module.time = time


def _frames_tree(data: bytes) -> list[Any]:
    """Frames with a correct CRC as fields, and the bytes between them."""
    parts: list[Any] = [data[0]]
    rest = data[1:]
    while rest:
        start = rest.find(SYNC_REPLY)
        if start != 0:
            parts.append(rest[: start if start > 0 else None])
            rest = rest[len(parts[-1]) :]
            continue
        sequence, code, count = struct.unpack_from("<BBH", rest.ljust(6, b"\0"), 2)
        size = count if code & 3 == Operation.READ else 0
        body, crc = rest[2 : 6 + size], rest[6 + size : 10 + size]
        if zlib.crc32(body).to_bytes(4, "little") != crc:
            parts.append(rest[:2])
            rest = rest[2:]
            continue
        parts.append({"sequence": sequence, "kind": code, "count": count, "payload": body[4:]})
        rest = rest[10 + size :]
    return parts


def _frames_bytes(tree: Any) -> bytes:
    data = bytes([tree[0] % 256])
    for part in tree[1:]:
        if isinstance(part, bytes):
            data += part
        else:
            body = struct.pack("<BBH", part["sequence"] % 256, part["kind"] % 256, part["count"] % (1 << 16))
            body += part["payload"]
            data += SYNC_REPLY + body + struct.pack("<I", zlib.crc32(body))
    return data


def _frame_seeds() -> dict[str, bytes]:
    reads = kind(Operation.READ, IDENTITY_PORT)
    found = identity(CONFIG, payload_bytes=256)
    greeting = {"sequence": 1, "kind": reads, "count": len(found), "payload": found}
    reset = {"sequence": 2, "kind": kind(Operation.RESET), "count": 0, "payload": b""}
    written = {"sequence": 3, "kind": kind(Operation.WRITE_LAST), "count": 4, "payload": b""}
    read = {"sequence": 4, "kind": kind(Operation.READ), "count": 64, "payload": bytes(range(64))}
    other = greeting | {"payload": found[:4] + bytes(12)}
    return {
        "session": _frames_bytes([255, greeting, reset, written, read]),
        "noise": _frames_bytes([7, b"\xa5\xa5\xc3", greeting, b"\xa5", reset, written, b"\xa5\xc3\0", read]),
        "another": _frames_bytes([15, other]),
        "version": _frames_bytes([15, greeting | {"payload": b"\1" + found[1:]}]),
    }


# -- images of programs --------------------------------------------------------------------------


def _read_image(data: bytes, _folder: Path) -> None:
    image = Image.decode(data)
    assert Image.decode(image.encode()).encode() == image.encode()
    program = image.data[image.program :]
    refused = None
    for i in range(image.instructions):
        try:
            instruction = decode(program[i * INSTRUCTION_BYTES : (i + 1) * INSTRUCTION_BYTES])
            assert instruction.encode() == program[i * INSTRUCTION_BYTES : (i + 1) * INSTRUCTION_BYTES]
        except InputError as error:
            refused = error
    if refused is not None:
        raise refused


FIELDS = ("version", "low", "high", "constants", "scratch", "input", "output", "program", "instructions")


def _image_tree(data: bytes) -> dict[str, Any]:
    numbers = struct.unpack_from("<4s9I", data)
    return {"magic": numbers[0], **dict(zip(FIELDS, numbers[1:], strict=True)), "data": data[IMAGE_HEADER_BYTES:]}


def _image_bytes(tree: Any) -> bytes:
    numbers = [int(tree[name]) % (1 << 32) for name in FIELDS]
    fields = struct.pack("<4s10I", tree["magic"], *numbers, zlib.crc32(tree["data"])).ljust(124, b"\0")
    return fields + struct.pack("<I", zlib.crc32(fields)) + tree["data"]


@cache
def _image_seeds() -> dict[str, bytes]:
    return {
        f"program-{seed}": random_image(COPROCESSOR_PRESETS["tiny"], seed, length=4, most=16).image.encode()
        for seed in (1, 2)
    }


READERS = {
    "frames": FuzzReader(
        name="frames",
        what="answers of a board over the serial link, and a session with it",
        read=_read_frames,
        seeds=_frame_seeds,
        split=_frames_tree,
        join=_frames_bytes,
        words=[
            {"sequence": 1, "kind": 2, "count": 4095, "payload": bytes(8)},
            SYNC_REPLY,
            b"\xa5",
            4095,
            4096,
            *range(1, 9),
        ],
    ),
    "program": FuzzReader(
        name="program",
        what="images of compiled encoders, and their instructions",
        read=_read_image,
        seeds=_image_seeds,
        split=_image_tree,
        join=_image_bytes,
        words=[8, 64, 1 << 30, (1 << 30) + 8, 0xFFFF, 1 << 16, 0xFFFF_FFF8, int(np.uint32(1 << 31))],
    ),
}
