"""Frames as bytes, found again in whatever surrounds them."""

import zlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from thresher.host.frames import Reply, ReplyReader, request
from thresher.spec.link import SYNC_REPLY, Operation, kind

KINDS = st.builds(kind, st.sampled_from(Operation), st.integers(0, 63))
NOISE = st.lists(st.sampled_from([*SYNC_REPLY, 0, 2, 0x5A, 255]), max_size=30).map(bytes)


@st.composite
def replies(draw) -> Reply:
    found = draw(KINDS)
    reads = found & 3 == Operation.READ
    payload = draw(st.binary(max_size=40) | NOISE) if reads else b""
    count = len(payload) if reads else draw(st.integers(0, 40))
    return Reply(sequence=draw(st.integers(0, 255)), kind=found, count=count, payload=payload)


def encoded(reply: Reply) -> bytes:
    body = bytes([reply.sequence, reply.kind]) + reply.count.to_bytes(2, "little") + reply.payload
    return SYNC_REPLY + body + zlib.crc32(body).to_bytes(4, "little")


def fed(data: bytes, cuts: list[int]) -> list[Reply]:
    reader, found, start = ReplyReader(longest=40), [], 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        found += reader.feed(data[start:end])
        start = end
    return found


@given(st.lists(replies(), max_size=4), st.lists(st.integers(0, 200), max_size=6))
def test_frames_in_any_pieces(wanted, cuts):
    assert fed(b"".join(map(encoded, wanted)), cuts) == wanted


@given(NOISE, replies(), st.lists(st.integers(0, 200), max_size=6))
def test_a_frame_after_noise_is_found(noise, wanted, cuts):
    """Noise may look like the beginning of a frame that would end later; what follows brings the true one out."""
    tail = bytes(100)
    found = fed(noise + encoded(wanted) + tail, cuts)
    assert wanted in found


@given(replies(), st.integers(0, 60), st.integers(1, 255))
def test_a_changed_byte_is_noticed(reply, place, change):
    frame = bytearray(encoded(reply))
    frame[place % len(frame)] ^= change
    assert fed(bytes(frame) + bytes(100), []) == []


@given(replies(), st.integers(0, 60))
def test_a_lost_byte_is_noticed(reply, place):
    frame = encoded(reply)
    place %= len(frame)
    assert reply not in fed(frame[:place] + frame[place + 1 :] + b"\x55" * 100, []) or frame[place] == 0x55


def test_clear_forgets_half_a_frame():
    reply = Reply(sequence=1, kind=2, count=3, payload=b"abc")
    reader = ReplyReader(longest=40)
    assert list(reader.feed(encoded(reply)[:7])) == []
    reader.clear()
    assert list(reader.feed(encoded(reply))) == [reply]


def test_the_frame_on_the_page_about_boards():
    page = (Path(__file__).parents[2] / "docs" / "boards.md").read_text(encoding="utf-8")
    assert f"    {request(1, Operation.READ, port=63, count=16).hex(' ')}\n" in page


def test_request():
    frame = request(7, Operation.WRITE, port=2, payload=b"ab")
    assert frame == b"\xa5\x5a\x07\x09\x02\x00ab" + zlib.crc32(b"\x07\x09\x02\x00ab").to_bytes(4, "little")
    assert request(255, Operation.READ, port=63, count=300)[:6] == b"\xa5\x5a\xff\xfe\x2c\x01"
