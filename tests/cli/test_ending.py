"""Ctrl-C and signals: one line, the exit code of the signal, and nothing left behind. With real processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ..processes import living, working_below

pytestmark = pytest.mark.slow

LINES = {
    signal.SIGINT: "error: interrupted\n",
    signal.SIGTERM: "error: terminated\n",
    signal.SIGHUP: "error: hung up\n",
}

HEAD = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in the background, or under nohup
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
MAIN = """
from thresher.cli import main
main()
"""


def start(code: str, *arguments: object, **variables: object) -> subprocess.Popen[str]:
    """Start the command line after some code, in a session of its own, as from a terminal."""
    command = [sys.executable, "-P", "-c", HEAD + code + MAIN, *map(str, arguments)]
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, encoding="utf-8", start_new_session=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a process, which leaves no other process behind."""
    with process:
        try:
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    for _ in range(50):  # the process that tracks semaphores ends a moment later
        if not living(process.pid):
            break
        time.sleep(0.1)
    assert living(process.pid) == []
    return process.returncode, output, errors


AT_IMPORT = """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            signal.raise_signal({number})
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    "name",
    [
        "thresher.cli.process",
        "thresher.cli.frame",
        "typer",
        "thresher.cli.commands",
        "thresher.cli.synth",
        "numpy",
        "tokenizers",
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_during_imports(name, number):
    code = AT_IMPORT.format(name=name, number=number)
    assert ended(start(code, "run", "--text", "good")) == (128 + number, "", LINES[number])


# Amaranth warns of every component that is not used then.
WHILE_EMITTING = """
from thresher.hdl.attention.core import AttentionCore
elaborate = AttentionCore.elaborate
def interrupted(self, platform):
    module = elaborate(self, platform)
    signal.raise_signal({number})
AttentionCore.elaborate = interrupted
"""


@pytest.mark.parametrize("number", LINES)
def test_signals_while_verilog_is_emitted(number, tmp_path):
    code = WHILE_EMITTING.format(number=number)
    process = start(code, "verilog", "--preset", "tiny", "-o", tmp_path / "out")
    assert ended(process) == (128 + number, "", LINES[number])
    assert list(tmp_path.iterdir()) == []


WHILE_YOSYS_RUNS = """
from thresher.spec import processes
end = processes._end
def check(process):
    end(process)
    print(process.pid, process.returncode)
processes._end = check
class Popen(processes.subprocess.Popen):
    def communicate(self, *arguments):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal({number}))
        return super().communicate(*arguments)
processes.subprocess.Popen = Popen
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_yosys_runs(number, tmp_path):
    code = WHILE_YOSYS_RUNS.format(number=number)
    status, output, errors = ended(start(code, "verilog", "--preset", "tiny", "-o", tmp_path / "out"))
    pid, returncode = map(int, output.split())
    assert (status, errors, returncode) == (128 + number, LINES[number], -signal.SIGKILL)
    assert living(pid) == []
    assert list(tmp_path.iterdir()) == []


# The workers receive the signal while they import, too.
WHILE_WORKERS_START = """
from thresher.runtime import workers
wait = workers.wait
def interrupt(*arguments, **settings):
    time.sleep(0.4)
    os.killpg(0, {number})
    return wait(*arguments, **settings)
workers.wait = interrupt
"""


@pytest.mark.parametrize(
    ("number", "command"),
    [*((number, ["eval"]) for number in LINES), (signal.SIGINT, ["pick", "--target-speedup", 1.5])],
)
def test_signals_while_workers_run(number, command, tmp_path):
    data = tmp_path / "data.tsv"
    rows = [f"{'good ' * (i + 1)}\t{i % 2}" for i in range(40)]
    data.write_text("\n".join(["sentence\tlabel", *rows]), encoding="utf-8")
    code = WHILE_WORKERS_START.format(number=number)
    process = start(code, *command, "--task", "sst2", "--data", data, "--jobs", 3)
    assert ended(process) == (128 + number, "", LINES[number])


# Before the worker has read what its parent sends.
WHILE_A_WORKER_STARTS = """
from multiprocessing import util
spawn = util.spawnv_passfds
def interrupted(path, arguments, descriptors):
    number = spawn(path, arguments, descriptors)
    if "--multiprocessing-fork" in arguments:
        time.sleep(0.5)
        signal.raise_signal({number})
    return number
util.spawnv_passfds = interrupted
"""


@pytest.mark.parametrize("number", LINES)
def test_signals_while_a_worker_starts(number, tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("sentence\tlabel\n" + "good\t1\n" * 40, encoding="utf-8")
    code = WHILE_A_WORKER_STARTS.format(number=number)
    process = start(code, "eval", "--task", "sst2", "--data", data, "--jobs", 3)
    assert ended(process) == (128 + number, "", LINES[number])


@pytest.mark.parametrize("line", [["--version"], ["--help"], ["run", "--help"], ["presets"]])
def test_output_that_cannot_be_written(line):
    code = "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n"
    status, output, errors = ended(start(code, *line))
    message = "cannot read or write (No space left on device): check the path and the free space"
    assert (status, output, errors) == (1, "", f"error: {message}\n")


def test_a_signal_while_a_simulator_is_compiled(tmp_path):
    cache, temporary = tmp_path / "cache", tmp_path / "temporary"
    temporary.mkdir()
    line = ["bench", "attention", "--preset", "tiny", "--length", 8, "--head-dim", 4]
    process = start("", *line, THRESHER_CACHE=cache, TMPDIR=temporary)
    assert process.stderr is not None
    assert "emitting" in process.stderr.readline()
    assert "compiling" in process.stderr.readline()
    for _ in range(200):
        if any("cc1plus" in each for each in working_below(temporary)):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (143, "", LINES[signal.SIGTERM])
    assert working_below(temporary) == []
    assert list(temporary.iterdir()) == []
    assert [path for path in cache.rglob("*") if path.name.startswith(".building")] == []


# Python drops exceptions of destructors.
IN_A_DESTRUCTOR = """
from thresher.runtime import answers
class Fragile:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
        list(range(10))
def answer(*_, **__):
    Fragile()
    time.sleep(30)
answers.answer = answer
"""


def test_interrupts_in_a_destructor():
    begun = time.monotonic()
    assert ended(start(IN_A_DESTRUCTOR, "run", "--text", "good")) == (130, "", LINES[signal.SIGINT])
    assert time.monotonic() - begun < 20


def test_a_second_interrupt_changes_nothing():
    code = IN_A_DESTRUCTOR + (
        "def answer(*_, **__):\n"
        "    try: signal.raise_signal(signal.SIGINT)\n"
        "    finally: [signal.raise_signal(signal.SIGINT) for _ in range(3)]\n"
        "answers.answer = answer\n"
    )
    assert ended(start(code, "run", "--text", "good")) == (130, "", LINES[signal.SIGINT])


def test_ignored_signals_stay_ignored():
    """As under nohup."""
    code = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + AT_IMPORT.format(name="numpy", number=signal.SIGHUP)
    status, output, errors = ended(start(code, "run", "--text", "good"))
    assert (status, errors) == (0, "")
    assert "positive" in output


def test_whoever_closes_the_terminal_reads_nothing(tmp_path):
    code = WHILE_EMITTING.format(number=signal.SIGHUP).replace("    signal.raise", "    os.close(2)\n    signal.raise")
    process = start(code, "verilog", "--preset", "tiny", "-o", tmp_path / "out")
    assert ended(process) == (129, "", "")
