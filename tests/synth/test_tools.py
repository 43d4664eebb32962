"""Tools are found, fail with one line, and leave no process behind."""

import re
import sys
from importlib import util

import pytest
from thresher.synth import tools
from thresher.synth.tools import Source, SynthesisError, Tool, find, run

from ..processes import HANGING, gone
from . import fake_tools


def program(text: str) -> Tool:
    return Tool(name="yosys", command=(sys.executable, "-c", text), source=Source.NATIVE, version="1")


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
