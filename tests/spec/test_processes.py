"""Signals that end a run, and child processes that end with it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from thresher.spec import processes
from thresher.spec.processes import ENDING_SIGNALS, Interrupted, child, interruptible, shielded

from ..processes import HANGING, gone, numbers


@pytest.fixture(autouse=True)
def _plain_signals(monkeypatch):
    """The tests may themselves run where signals are ignored, in the background or under nohup."""
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    monkeypatch.setattr(processes, "_handler", processes._Handler())
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING_SIGNALS)
def test_signals_are_raised_and_handlers_put_back(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, interruptible():
        signal.raise_signal(number)
    assert caught.value.number == number
    assert str(caught.value) == {1: "hung up", 2: "interrupted", 15: "terminated"}[number]
    assert signal.getsignal(number) is before


def test_further_signals_do_not_interrupt_the_clean_up(monkeypatch):
    cleaned = []

    def work() -> None:
        with interruptible():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(Interrupted, match="interrupted"):
        work()
    assert cleaned
    monkeypatch.setattr(processes, "CLEANING_SECONDS", 0)
    with pytest.raises(Interrupted, match="terminated"), interruptible():
        signal.raise_signal(signal.SIGTERM)


def test_shielded_blocks_end_first():
    done = []

    def work() -> None:
        with shielded():
            with shielded():
                signal.raise_signal(signal.SIGTERM)
            done.append(1)
        done.append(2)

    with pytest.raises(Interrupted), interruptible():
        work()
    assert done == [1]


def test_handlers_of_the_application_stay():
    seen = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
    assert seen == [signal.SIGTERM]


def test_other_threads_start_children():
    found = []

    def work() -> None:
        with child([sys.executable, "-c", "print(7)"], stdout=subprocess.PIPE) as process:
            found.append(process.communicate()[0])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["7\n"]


def test_output_is_text_whatever_the_bytes():
    code = r"import sys; sys.stdout.buffer.write(b'\xe9 \xc3\xa9')"
    with child([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.communicate() == ("\ufffd é", None)
    assert process.returncode == 0


def test_program_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError), child([str(tmp_path / "none")]):
        pass


def test_an_exception_ends_the_whole_group():
    found = []

    def work() -> None:
        with child([sys.executable, "-c", HANGING], stdout=subprocess.PIPE) as process:
            found.extend(numbers(process))
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        work()
    assert len(found) == 2
    assert all(map(gone, found))


@pytest.mark.parametrize("number", ENDING_SIGNALS)
def test_a_signal_ends_the_whole_group(number):
    code = (
        "import signal, sys\n"
        "from thresher.spec.processes import Interrupted, child\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "try:\n"
        f"    with child([sys.executable, '-c', {HANGING!r}]) as process: process.wait()\n"
        "except Interrupted as end: sys.exit(128 + end.number)\n"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True) as caller:
        found = numbers(caller)
        caller.send_signal(number)
        try:
            assert caller.wait(timeout=30) == 128 + number
        finally:
            caller.kill()
    assert len(found) == 2
    assert all(map(gone, found))


def test_a_group_that_ended_is_not_killed(monkeypatch):
    """Its number may belong to another group by then."""
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("killed"))
    with child([sys.executable, "-c", ""]) as process:
        process.wait()


def test_rooms_start_no_process_that_could_stay_behind():
    """Programs that run for more than a moment start as :func:`child`."""
    rooms = ("cli", "cost", "golden", "hdl", "host", "model", "runtime", "sim", "spec", "synth")
    root = Path(__file__).parents[2]
    found = {
        (path.relative_to(root).as_posix(), line.strip())
        for room in rooms
        for path in (root / room).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "subprocess.Popen(" in line or "subprocess.run(" in line
    }
    assert {(name, "--version" in line) for name, line in found if name != "spec/processes.py"} == {
        ("sim/build.py", True),
        ("synth/tools.py", True),
    }
