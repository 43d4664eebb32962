"""Images: what is written is read, and nothing else is accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.spec import InputError
from thresher.spec.image import IMAGE_HEADER_BYTES, MOST_INSTRUCTIONS, Image
from thresher.spec.program import INSTRUCTION_BYTES, REGION_BYTES, Region
from thresher.spec.registers import hash_words

from ..images import IMPOSSIBLE, with_number

HASH = "0123456789abcdef" * 4
WORDS = st.integers(0, 20).map(lambda words: 8 * words)
SIZES = (Region.SCRATCH, Region.INPUT, Region.OUTPUT)


def image(*, constants: bytes = bytes(range(64)), instructions: int = 2, sizes: tuple[int, int, int] = (8, 16, 24)):
    program = bytes(INSTRUCTION_BYTES * instructions)
    return Image.join(
        config_hash=HASH, constants=constants, program=program, sizes=dict(zip(SIZES, sizes, strict=True))
    )


@given(constants=WORDS, instructions=st.integers(1, 5), sizes=st.tuples(WORDS, WORDS, WORDS))
def test_what_is_written_is_read(constants, instructions, sizes):
    made = image(constants=bytes(constants), instructions=instructions, sizes=sizes)
    read = Image.decode(made.encode())
    assert vars(read) == vars(made)
    assert read.hash == hash_words(HASH)
    assert read.program == constants
    assert read.sizes[Region.CONSTANTS] == constants + INSTRUCTION_BYTES * instructions == len(read.data)


@given(st.data())
def test_every_changed_bit_is_found(data):
    content = bytearray(image().encode())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InputError, match="image"):
        Image.decode(bytes(content))


@pytest.mark.parametrize("count", [0, 3, 4, 50, IMAGE_HEADER_BYTES - 1, IMAGE_HEADER_BYTES, IMAGE_HEADER_BYTES + 1, -1])
def test_truncated_images_are_refused(count):
    with pytest.raises(InputError, match="image"):
        Image.decode(image().encode()[:count])


def test_longer_images_are_refused():
    with pytest.raises(InputError, match="too long"):
        Image.decode(image().encode() + b"\0")


@pytest.mark.parametrize("size", [4, REGION_BYTES + 8])
def test_impossible_regions_are_refused(size):
    made = image()
    with pytest.raises(InputError, match="region"):
        Image(**{**vars(made), "sizes": {**made.sizes, Region.OUTPUT: size}})


@pytest.mark.parametrize(("offset", "value"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_headers_that_no_hardware_can_run_are_refused(offset, value):
    with pytest.raises(InputError, match=r"image has|of the image"):
        Image.decode(with_number(image().encode(), offset, value))


@pytest.mark.parametrize("instructions", [0, MOST_INSTRUCTIONS + 1])
def test_programs_of_an_impossible_length_are_no_images(instructions):
    with pytest.raises(InputError, match=f"has {instructions} instructions"):
        image(instructions=instructions)


@pytest.mark.parametrize("settings", [{"constants": bytes(12)}, {"sizes": (8, 12, 8)}])
def test_regions_of_parts_of_words_are_no_images(settings):
    with pytest.raises(InputError, match="region"):
        image(**settings)


def test_other_versions_are_refused(monkeypatch):
    monkeypatch.setattr("thresher.spec.image.VERSION", 2)
    content = image().encode()
    monkeypatch.undo()
    with pytest.raises(InputError, match="version 2, not 1: compile"):
        Image.decode(content)
