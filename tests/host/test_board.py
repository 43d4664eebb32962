"""A simulated board behind a pseudo-terminal, driven by the host."""

import contextlib
import dataclasses
import os
import threading
from random import Random

import numpy as np
import pytest
from thresher.golden import attention_head, sparse_product
from thresher.golden.spmm.packing import pack
from thresher.hdl.spmm.product_streams import spmm_signature
from thresher.host import link as module
from thresher.host import streams
from thresher.host.attention import AttentionDevice
from thresher.host.link import Link
from thresher.host.port import DeviceError, SerialPort
from thresher.host.streams import StreamDevice
from thresher.runtime.answers import answer
from thresher.sim.board import BoardSimulator, BoardTerminal
from thresher.sim.spmm_job import SpmmBatch, SpmmJob
from thresher.spec import WeightFormat, preset, row_scaling, spmm_preset

from ..heads import random_heads
from .fake_board import spoiled

pytestmark = pytest.mark.slow

TINY = preset("tiny")
BAUD = 1_000_000


@pytest.fixture(scope="module")
def simulator():
    with BoardSimulator(TINY) as made:
        yield made


@pytest.fixture
def path(simulator):
    with BoardTerminal(simulator) as terminal, terminal.serving() as found:
        yield found


def check(heads, results, seed):
    for index, (head, (output, statistics)) in enumerate(zip(heads, results, strict=True)):
        expected = attention_head(TINY, *head)
        assert statistics == expected.statistics, f"seed {seed}, head {index}"
        same = output is None if expected.output is None else np.array_equal(output, expected.output)
        assert same, f"seed {seed}, head {index}"


def test_heads_equal_golden(path):
    heads = random_heads(TINY, count=8, seed=1)
    with AttentionDevice.open(TINY, path, baud=BAUD) as device:
        check(heads[:5], device.run(heads[:5]), 1)
        check(heads[5:], device.run(heads[5:]), 1)


def test_session_after_a_broken_one(path):
    heads = random_heads(TINY, count=2, seed=2)
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.write(line, b"\xa5\x5a\x05\x01\xf0\x00" + bytes(100))
    os.close(line)
    with AttentionDevice.open(TINY, path, baud=BAUD) as device:
        check(heads, device.run(heads), 2)


class BadPort(SerialPort):
    """Spoils some of the bytes, in both directions."""

    def __init__(self, name: str, seed: int):
        super().__init__(name, baud=BAUD)
        self.random, self.spoils = Random(seed), 0

    def write(self, data: bytes) -> None:
        super().write(self._maybe(data, 0.3))

    def read(self, timeout: float) -> bytes:
        return self._maybe(super().read(timeout), 0.1)

    def _maybe(self, data: bytes, chance: float) -> bytes:
        if not data or self.random.random() >= chance:
            return data
        self.spoils += 1
        return spoiled(data, self.random)


@pytest.mark.parametrize("seed", [3, 4])
def test_errors_on_the_line_are_corrected(path, seed, monkeypatch):
    """Many attempts are allowed: on a busy machine many copies of a request are sent before the first answer."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.1)
    monkeypatch.setattr(module, "ATTEMPTS", 50)
    monkeypatch.setattr(streams, "STUCK_SECONDS", 600)
    heads = random_heads(TINY, count=4, seed=seed)
    port = BadPort(path, seed)
    with AttentionDevice(TINY, port) as device:
        check(heads, device.run(heads), seed)
    assert port.spoils > 0, f"seed {seed}"


def test_a_sentence_equals_golden(path, make_model):
    model, texts = str(make_model()), ["a b c d", "h g f e a"]
    settings = {"config": TINY, "rho": 0.5}
    found = answer(model, texts, backend="device", port=path, **settings)
    golden = answer(model, texts, backend="golden", **settings)
    assert found.bit_exact is True
    assert found.heads == 8
    assert [each.confidence for each in found.sentences] == [each.confidence for each in golden.sentences]


def test_another_configuration(path):
    with pytest.raises(DeviceError, match="holds the hardware of --preset tiny"):
        AttentionDevice.open(dataclasses.replace(TINY, max_length=32), path, baud=BAUD)


class CountedPort(SerialPort):
    """Starts a thread when ``left`` further requests have been sent."""

    def __init__(self, name: str, thread: threading.Thread):
        super().__init__(name, baud=BAUD)
        self.thread, self.left = thread, 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self.left -= 1
        if self.left == 0:
            self.thread.start()


def test_unplugged_while_it_runs(simulator):
    heads = random_heads(TINY, count=50, seed=5)
    terminal = BoardTerminal(simulator)
    plugged = contextlib.ExitStack()
    plugged.callback(terminal.close)
    unplugging = threading.Thread(target=plugged.close)
    port = CountedPort(plugged.enter_context(terminal.serving()), unplugging)
    device = AttentionDevice(TINY, port)
    check(heads[:1], device.run(heads[:1]), 5)
    port.left = 20
    with pytest.raises(DeviceError, match=f"lost {port.name}"):
        device.run(heads)
    unplugging.join()
    device.close()


def test_two_programs_at_one_port(path):
    with AttentionDevice.open(TINY, path, baud=BAUD), pytest.raises(DeviceError, match="another program uses it"):
        AttentionDevice.open(TINY, path, baud=BAUD)


def test_products_over_streams():
    """A board holds an SpMM engine."""
    config = spmm_preset("tiny").with_formats(WeightFormat.CSR)
    rng = np.random.default_rng(6)
    weights = (rng.integers(-128, 128, (9, 24)) * (rng.random((9, 24)) < 0.3)).astype(np.int8)
    multiplier, shift = row_scaling(0.01)
    job = SpmmJob(
        weights=pack(weights, WeightFormat.CSR),
        x=rng.integers(-128, 128, (24, 5)).astype(np.int8),
        bias=np.arange(9) * 1000,
        multiplier=np.full(9, multiplier),
        shift=np.full(9, shift),
    )
    batch = SpmmBatch(config, [job, job])
    with (
        BoardSimulator(config) as board,
        BoardTerminal(board) as terminal,
        terminal.serving() as path,
        Link(SerialPort(path, baud=BAUD)) as link,
    ):
        link.greet(config)
        values = StreamDevice(link, spmm_signature(config)).run(batch.inputs(), batch.counts())
    stamps = {name: np.arange(10_000) for name in (*batch.inputs(), *batch.counts())}
    expected = sparse_product(config, pack(weights, WeightFormat.CSR), job.x, job.bias, job.multiplier, job.shift)
    for run in batch.runs(values, stamps):
        assert run.output is not None
        assert expected.output is not None
        assert np.array_equal(run.output, expected.output)
