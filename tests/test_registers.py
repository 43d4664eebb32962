"""Files that are made from the description of the registers are current, and compile."""

import shutil
import subprocess
from importlib.util import find_spec

import pytest
from thresher.spec.registers import REGISTERS, Access

from .bench_scripts import bench_script

SCRIPT = bench_script("registers")
TEXTS = SCRIPT.texts()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_the_file_is_current(path):
    assert path.read_text("utf-8") == TEXTS[path], "run `python bench/registers.py --write`"


@pytest.mark.slow
def test_ip_xact_is_current():
    if find_spec("peakrdl") is None:
        pytest.fail("PeakRDL is not installed: run `pip install 'thresher[dev]'`")
    assert SCRIPT.XML.read_text("utf-8") == SCRIPT.ip_xact(), "run `python bench/registers.py --write`"


def test_a_c_compiler_sees_the_same_numbers(tmp_path):
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("no C compiler is installed")
    wanted = {}
    for register in REGISTERS:
        name = f"THRESHER_{register.name}"
        wanted[name] = register.offset
        for field in register.fields:
            inner = f"{name}_{field.name.upper()}"
            wanted |= {f"{inner}_SHIFT": field.offset, f"{inner}_MASK": field.mask}
            wanted |= {f"{inner}_{each.name}": each.value for each in field.values or ()}
            if field.access is not Access.READ:
                wanted[f"{inner}_RESET"] = field.reset
    (header,) = (path for path in TEXTS if path.suffix == ".h")
    lines = [
        f'#include "{header}"',
        *(f"typedef char is_{name}[{name} == {value}u ? 1 : -1];" for name, value in wanted.items()),
    ]
    source = tmp_path / "numbers.c"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [compiler, "-std=c99", "-pedantic", "-Wall", "-Werror", "-fsyntax-only", str(source)]
    run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert run.returncode == 0, run.stderr
