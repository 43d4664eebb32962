"""The commands ``board`` and ``run --device``."""

import functools
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from thresher.host import link

from .runner import refused

TEXT = ("run", "--text", "a film of rare warmth")


@pytest.mark.slow
def test_a_board_in_another_process(model, tmp_path):
    """A board is started, runs a text and ends by Ctrl-C."""
    options = ("--preset", "tiny", "--json")
    text = ("run", "--text", "a b c d", "--model", model)
    thresher = (sys.executable, "-P", "-m", "thresher")
    board = subprocess.Popen(
        [*thresher, "board", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # Where the tests run in the background of a shell, interrupts are ignored, and children inherit that.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert board.stdout is not None
        told = "".join(iter(board.stdout.readline, "}\n")) + "}"
        port = json.loads(told)["port"]
        found = subprocess.run(
            [*thresher, *text, "--device", port, *options], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert found.returncode == 0, found.stderr
        result = json.loads(found.stdout)
        assert (result["backend"], result["bit_exact"]) == ("device", True)
        assert result["sentences"][0]["cycles"] is None
    finally:
        board.send_signal(signal.SIGINT)
        _, complaint = board.communicate(timeout=60)
    assert board.returncode == 0, complaint
    assert "Traceback" not in complaint


def test_no_such_port():
    assert "cannot open nowhere (No such file or directory)" in refused(*TEXT, "--device", "nowhere")


def test_no_answer(monkeypatch):
    """A wrong baud rate, a board without a bitstream, or another device."""
    monkeypatch.setattr(link, "FIRST_WAIT", 0.001)
    line, end = os.openpty()
    try:
        told = refused(*TEXT, "--device", os.ttyname(end), "--baud", 57600)
    finally:
        os.close(line)
        os.close(end)
    assert re.search(r"no answer from \S+ at 57600 baud: check --baud, and that the bitstream is loaded", told)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--backend", "rtl"], "do not give it with --device"),
        (["--trace", "x.vcd"], "needs --backend rtl"),
        (["--config", "none.json"], "cannot read"),
    ],
)
def test_refusals(options, told):
    assert told in refused(*TEXT, "--device", "nowhere", *options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--memory", 64], "give --unit coprocessor"),
        (["--unit", "coprocessor", "--memory", 20], "must be a multiple of 16 KiB"),
        (["--unit", "coprocessor", "--memory", 1 << 20], "must be an integer from 16 to 16384"),
    ],
)
def test_impossible_memories(options, told):
    assert told in refused("board", "--preset", "tiny", *options)
    assert told in refused("synth", "--board", "ulx3s-85f", "--preset", "tiny", *options)


def test_memory_without_a_board():
    assert "only boards have one" in refused("synth", "--unit", "coprocessor", "--preset", "tiny", "--memory", 64)


def test_no_board_for_a_vector_unit():
    assert "boards hold attention, spmm or coprocessor" in refused("synth", "--board", "ulx3s-85f", "--unit", "vector")
