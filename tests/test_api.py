"""The public API: ``thresher.__all__``."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import thresher

SOURCE = ast.parse(Path(thresher.__file__).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(set(thresher.__all__) - {"__version__"}))
def test_names_are_importable_and_documented(name):
    found = getattr(thresher, name)
    assert found.__name__ == name
    assert found.__doc__
    assert thresher.__doc__ is not None
    assert f":`{name}`" in thresher.__doc__


def test_type_checkers_see_the_same_names():
    (block,) = (node for node in SOURCE.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: (node.module or "").removeprefix("thresher.") for node in imports for alias in node.names}
    assert seen == thresher._HOMES
    assert sorted([*seen, "__version__"]) == thresher.__all__ == dir(thresher)


def test_no_other_name():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = thresher.nothing


def test_importing_the_package_loads_no_library():
    code = "import sys, thresher; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "amaranth", "tokenizers"} & set(run.stdout.split()) == set()
