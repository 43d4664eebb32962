"""Readers of files reject what is damaged: one line, in short time, with little memory. Nothing here needs a fuzzer."""

import resource
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .hostile import hostile
from .reader import FuzzReader, Misbehaviour
from .readers import NAMES, find

MOST_MEMORY = 64 << 20
"""Bytes that an input may take, as far as Python and NumPy allocate them."""
MOST_RESIDENT = 512 << 10
"""KiB by which the largest size of the process may grow."""
CHANGED = 60
"""Changed inputs of each reader."""


def checked(reader: FuzzReader, data: bytes, folder: Path) -> str | None:
    """The message about an input; fails if it takes too much memory."""
    folder.mkdir(exist_ok=True)
    tracemalloc.start()
    try:
        message = reader.check(data, folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY, f"{reader.name}: {peak >> 20} MiB for {len(data)} bytes"
    return message


@pytest.fixture(params=NAMES)
def reader(request) -> FuzzReader:
    pytest.importorskip({"images": "PIL", "checkpoint": "jax"}.get(request.param, "numpy"))
    return find(request.param)


def test_committed_inputs_are_rejected_or_read(reader, tmp_path):
    for number, (name, data) in enumerate(reader.inputs().items()):
        try:
            checked(reader, data, tmp_path / str(number))
        except Exception as error:
            error.add_note(f"input {name} of {reader.name}")
            raise


def test_most_seeds_are_read(reader, tmp_path):
    """Otherwise the fuzzer would begin with damaged files only."""
    messages = [checked(reader, data, tmp_path / name.replace("/", "-")) for name, data in reader.seeds().items()]
    assert None in messages


def test_seeds_keep_their_structure(reader, tmp_path):
    """A changed input has the checksums and sizes of its new content."""
    if reader.split is None:
        pytest.skip("its inputs have no structure")
    for name, data in reader.seeds().items():
        try:
            tree = reader.split(data)
        except Exception:
            continue  # a damaged seed
        again = reader.join(tree)
        assert reader.split(again) == tree
        assert checked(reader, again, tmp_path / f"{name}-again") == checked(reader, data, tmp_path / f"{name}-again")


def test_changed_inputs_are_rejected_or_read(reader, tmp_path_factory):
    inputs = list(reader.inputs().values())

    @settings(max_examples=CHANGED)
    @given(st.integers(0, (1 << 32) - 1))
    def check(seed: int) -> None:
        random = Random(seed)
        checked(reader, reader.changed(random.choice(inputs), random), tmp_path_factory.mktemp("input"))

    check()


def test_hostile_inputs_are_rejected_before_memory_is_taken(reader, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, data in hostile(reader.name, reader.seeds()).items():
        assert checked(reader, data, tmp_path / str(len(name))) is not None, name
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_RESIDENT


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (lambda data, folder: {}["a"], KeyError),
        (lambda data, folder: bytearray(MOST_MEMORY), AssertionError),
    ],
)
def test_a_reader_that_fails_is_seen(read, told, tmp_path):
    with pytest.raises(told):
        checked(FuzzReader(name="a", what="b", read=read, seeds=dict), b"", tmp_path)


def test_a_message_of_several_lines_is_seen(tmp_path):
    from thresher.spec.errors import InputError

    class TwoLines(InputError):
        def __str__(self):
            return "a\nb"

    def read(data: bytes, folder: Path) -> None:
        raise TwoLines

    with pytest.raises(Misbehaviour, match="several lines"):
        checked(FuzzReader(name="a", what="b", read=read, seeds=dict), b"", tmp_path)
