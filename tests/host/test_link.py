"""The host's end of the link against a board made of Python, on lines of any quality."""

import dataclasses
import os

import numpy as np
import pytest
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.hdl.lib.packets import framed_layout
from thresher.host import link as module
from thresher.host import port as port_module
from thresher.host import streams
from thresher.host.attention import AttentionDevice
from thresher.host.frames import request
from thresher.host.link import ATTEMPTS, Link
from thresher.host.port import DeviceError, SerialPort
from thresher.host.streams import StreamDevice
from thresher.sim.batch import packet
from thresher.spec import preset, spmm_preset
from thresher.spec.link import VERSION, WRITES, Operation

from .fake_board import CLOCK, TINY, Board, FakePort

ECHO = wiring.Signature({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})


@pytest.fixture(autouse=True)
def _time_of_the_line(monkeypatch):
    """Waiting takes no time, and a machine that is busy no patience."""
    monkeypatch.setattr(module, "time", CLOCK)
    monkeypatch.setattr(streams, "time", CLOCK)


@pytest.mark.parametrize("seed", range(10))
def test_streams_over_a_bad_line(seed, monkeypatch):
    """Every byte arrives once and in order, though a third of the frames are spoiled."""
    monkeypatch.setattr(module, "ATTEMPTS", 40)
    monkeypatch.setattr(streams, "STUCK_SECONDS", 1000)  # a single request may need many of the attempts
    board = Board(room=300)
    link = Link(FakePort(board, spoil=0.3, seed=seed))
    link.greet(TINY)
    values = np.random.default_rng(seed).integers(0, 256, 1500).tolist()
    found = StreamDevice(link, ECHO).run({"i": values}, {"o": len(values)})
    assert found["o"] == [(value + 1) % 256 for value in values], f"seed {seed}"


def test_nothing_is_done_twice_or_asked_in_vain():
    board = Board(room=300)
    link = Link(FakePort(board))
    link.greet(TINY)
    StreamDevice(link, ECHO).run({"i": [5] * 510}, {"o": 510})
    reset, write, read, _ = Operation
    # 255 bytes of 510, 45 more that there is room for, 255 of them back, the other 210, and the rest back.
    expected = [write, write, read, write, read]
    assert board.done == [(read, 63), (reset, 0), *((operation, 0) for operation in expected)]


def test_packets_end_with_a_request():
    """Packets of 3 beats, of 2 requests, and of just one request."""
    board = Board()
    link = Link(FakePort(board))
    link.greet(TINY)
    signature = wiring.Signature({"i": In(stream.Signature(framed_layout(8))), "o": Out(stream.Signature(8))})
    data = np.concatenate([packet(np.arange(length) % 256) for length in (3, 300, 255)])
    found = StreamDevice(link, signature).run({"i": data}, {"o": len(data)})
    assert found["o"] == ((data["data"] + 1) % 256).tolist()
    sent = [operation for operation, port in board.done if operation in WRITES]
    assert sent == [Operation.WRITE_LAST, Operation.WRITE, Operation.WRITE_LAST, Operation.WRITE_LAST]


def test_another_configuration():
    other = dataclasses.replace(TINY, max_length=32)
    link = Link(FakePort(Board(config=other)))
    with pytest.raises(DeviceError, match=r"fake holds configuration [0-9a-f]{8}…: give the options"):
        link.greet(TINY)
    link = Link(FakePort(Board(config=preset("edge", policy="hdp"))))
    with pytest.raises(DeviceError, match="holds the hardware of --preset edge --policy hdp: give these options"):
        link.greet(TINY)


def test_another_unit():
    engine = dataclasses.replace(spmm_preset("tiny"), result_rows=32)  # one without a name
    with pytest.raises(DeviceError, match="fake holds the SpMM engine: load a bitstream of the attention core"):
        Link(FakePort(Board(config=engine))).greet(TINY)
    with pytest.raises(DeviceError, match="fake holds the attention core: load a bitstream of the SpMM engine"):
        Link(FakePort(Board())).greet(engine)


def test_another_version():
    board = Board()
    board.told = bytes([VERSION - 1]) + board.told[1:]
    with pytest.raises(DeviceError, match="another version of the link"):
        Link(FakePort(board)).greet(TINY)


def test_no_answer():
    class Deaf(Board):
        def handle(self, data: bytes) -> bytes:
            return b""

    port = FakePort(Deaf())
    with pytest.raises(DeviceError, match="no answer from fake at 115200 baud: check --baud"):
        Link(port).greet(TINY)
    assert port.sent == ATTEMPTS


def test_a_board_that_stops_answering():
    """The baud rate and the bitstream were right, so that the message does not name them."""

    class Fading(Board):
        def handle(self, data: bytes) -> bytes:
            return super().handle(data) if len(self.done) < 100 else b""

    link = Link(FakePort(Fading()))
    link.greet(TINY)
    message = f"no more answers from fake at 115200 baud after {ATTEMPTS} attempts: reset the board"
    with pytest.raises(DeviceError, match=message) as error:
        StreamDevice(link, ECHO).run({"i": [1] * 100_000}, {"o": 100_000})
    assert "check --baud" not in str(error.value)


def test_a_line_that_echoes_is_no_board():
    class Echo(Board):
        def handle(self, data: bytes) -> bytes:
            return data

    with pytest.raises(DeviceError, match="no answer"):
        Link(FakePort(Echo())).greet(TINY)


def test_what_an_earlier_session_left():
    port = FakePort(Board())
    link = Link(port)
    link.greet(TINY)
    link.write(0, b"abc")
    old = port.board.handle(request(3, Operation.WRITE, port=0, payload=b"abc"))
    assert old
    port.coming = old + b"\xa5\xc3\x01"
    link = Link(port)
    link.greet(TINY)
    assert link.read(0, 9) == b""


def test_answers_that_are_too_long_are_ignored():
    class Generous(Board):
        def act(self, operation, port, payload, count):
            return super().act(operation, port, payload, count + 1)

    with pytest.raises(DeviceError, match="no answer"):
        Link(FakePort(Generous())).read(63, 8)


def test_unplugged():
    port = FakePort(Board())
    link = Link(port)
    link.greet(TINY)
    port.unplugged_after = port.sent + 1
    with pytest.raises(DeviceError, match="lost fake"):
        StreamDevice(link, ECHO).run({"i": [1] * 2000}, {"o": 2000})


def test_a_board_that_is_stuck():
    board = Board(room=0)
    link = Link(FakePort(board))
    link.greet(TINY)
    with pytest.raises(DeviceError, match="stuck at i, o and has been reset"):
        StreamDevice(link, ECHO).run({"i": [1]}, {"o": 1})
    assert board.done[-1] == (Operation.RESET, 0)


def test_port_is_closed_if_the_device_is_rejected():
    port = FakePort(Board(config=preset("edge")))
    with pytest.raises(DeviceError, match="--preset edge"):
        AttentionDevice(TINY, port)
    assert port.closed


def test_no_such_port(tmp_path):
    with pytest.raises(DeviceError, match=r"cannot open \S*/none \(No such file or directory\)") as told:
        SerialPort(str(tmp_path / "none"), baud=115200)
    assert "\n" not in str(told.value)
    (tmp_path / "file").write_text("no terminal")
    with pytest.raises(DeviceError, match="cannot open"):
        SerialPort(str(tmp_path / "file"), baud=115200)


@pytest.fixture
def terminal():
    """A terminal's path; nobody reads at its other end."""
    line, end = os.openpty()
    yield os.ttyname(end)
    os.close(line)
    os.close(end)


def test_a_port_that_takes_nothing(terminal, monkeypatch):
    monkeypatch.setattr(port_module, "WRITE_SECONDS", 0.1)
    port = SerialPort(terminal, baud=115200)
    with pytest.raises(DeviceError, match=f"{terminal} accepts no data: plug the board in again"):
        port.write(bytes(1_000_000))
    port.close()


def test_a_baud_rate_that_no_port_has(terminal):
    with pytest.raises(DeviceError, match=f"{terminal} does not support 99999999999999 baud: choose another --baud"):
        SerialPort(terminal, baud=99_999_999_999_999)
