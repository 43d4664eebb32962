"""Tools are found, fail with one line, and leave no process behind."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib import util
from pathlib import Path

import pytest
from thresher.synth import tools
from thresher.synth.tools import Source, SynthesisError, Tool, find, run

from . import fake_tools


def program(text: str) -> Tool:
    return Tool(name="yosys", command=(sys.executable, "-c", text), source=Source.NATIVE, version="1")


def gone(pid: int) -> bool:
    """Whether a process has ended, or will not run again."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


# Starts a child, prints the numbers of both processes, and waits.
HANGING = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
    "print('pids', os.getpid(), child.pid, flush=True)\n"
    "time.sleep(300)\n"
)


def test_lines_are_passed_on_and_logged(tmp_path):
    lines = []
    tool = program("import sys; print('one'); print('two', file=sys.stderr); sys.exit(0)")
    seconds = run(tool, [], folder=tmp_path, log="x.log", on_line=lines.append)
    assert sorted(lines) == ["one", "two"]
    assert sorted((tmp_path / "x.log").read_text().split()) == ["one", "two"]
    assert 0 < seconds < 60


def test_failures_name_the_first_error_and_the_log(tmp_path):
    tool = program("print('ERROR: no such module'); print('ERROR: second'); raise SystemExit(1)")
    with pytest.raises(SynthesisError, match=r"^yosys failed \(no such module\): see its log .*x\.log$"):
        run(tool, [], folder=tmp_path, log="x.log")


def test_errors_in_the_tools_own_log_are_found(tmp_path):
    tool = program("open('own.log', 'w').write('fine\\nERROR: Assert failed\\n'); raise SystemExit(1)")
    with pytest.raises(SynthesisError, match=r"Assert failed"):
        run(tool, [], folder=tmp_path, log="x.log", details="own.log")


def test_failure_without_a_reason(tmp_path):
    with pytest.raises(SynthesisError, match=r"exit code 3, no reason"):
        run(program("raise SystemExit(3)"), [], folder=tmp_path, log="x.log")
    with pytest.raises(SynthesisError, match=r"exit code -9"):
        run(program("import os; os.kill(os.getpid(), 9)"), [], folder=tmp_path, log="x.log")


def test_tool_that_does_not_start(tmp_path):
    tool = Tool(name="yosys", command=(str(tmp_path / "none"),), source=Source.NATIVE, version="1")
    with pytest.raises(SynthesisError, match="does not start"):
        run(tool, [], folder=tmp_path, log="x.log")


def test_exception_ends_tool_and_children(tmp_path):
    seen = []

    def stop(line: str) -> None:
        seen.extend(map(int, re.findall(r"\d+", line)))
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        run(program(HANGING), [], folder=tmp_path, log="x.log", on_line=stop)
    assert len(seen) == 2
    assert all(gone(pid) for pid in seen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_tool_and_children(tmp_path, number):
    code = (
        "from pathlib import Path; import signal; import sys\n"
        "from thresher.synth.tools import Source, Tool, run\n"
        # These tests may themselves run where signals are ignored: in the background, or under nohup.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        f"tool = Tool(name='yosys', command=(sys.executable, '-c', {HANGING!r}), source=Source.NATIVE, version='1')\n"
        "say = lambda line: print(line, flush=True)\n"
        "try: run(tool, [], folder=Path(sys.argv[1]), log='x.log', on_line=say)\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        pids = [int(pid) for pid in re.findall(r"\d+", caller.stdout.readline())]
        caller.send_signal(number)
        try:
            assert caller.wait(timeout=30) == 130
        finally:
            caller.kill()  # waited for at the end of the block
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_children_of_an_ended_tool_are_killed(tmp_path):
    lines = []
    text = "import subprocess, sys\nnull = subprocess.DEVNULL\n"
    text += "command = [sys.executable, '-c', 'import time; time.sleep(300)']\n"
    text += "print(subprocess.Popen(command, stdin=null, stdout=null, stderr=null).pid)\n"
    run(program(text), [], folder=tmp_path, log="x.log", on_line=lines.append)
    assert gone(int(lines[0]))


def test_native_tools_are_preferred(tmp_path, monkeypatch):
    fake_tools.install(tmp_path / "bin", monkeypatch)
    for source in (Source.AUTO, Source.NATIVE):
        yosys, nextpnr = find("yosys", source), find("nextpnr-ecp5", source)
        assert (yosys.source, yosys.version, yosys.command) == (Source.NATIVE, "0.99", (str(tmp_path / "bin/yosys"),))
        assert nextpnr.version == "nextpnr-0.99"
    assert find("yosys", Source.YOWASP).source is Source.YOWASP


def test_wheels_are_used_without_native_tools(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find("yosys")
    assert found.source is Source.YOWASP
    assert found.version.startswith("0.")
    with pytest.raises(SynthesisError, match="not on PATH"):
        find("yosys", Source.NATIVE)


def test_missing_tools_say_how_to_install_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.util, "find_spec", lambda name: None)
    assert util.find_spec is tools.util.find_spec
    with pytest.raises(SynthesisError, match=r"pip install 'thresher\[synth\]'"):
        find("nextpnr-ice40")
