"""The README and the pages in docs show what runs."""

import json
import re
import shlex
from pathlib import Path

import pytest
from thresher.cli.commands import app
from thresher.cli.settings import any_configuration
from typer.testing import CliRunner

from .bench_scripts import bench_script

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
LINE = re.compile(r"(?:^    |`)thresher ([^#`\n]+)", re.MULTILINE)
COMMANDS = sorted({command for text in TEXT.values() for command in LINE.findall(text.replace("\\\n", " "))})


def test_python_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out.startswith("(100, 64)")


EXAMPLES = re.compile(r"^    echo '(\{.*\})' > (\S+\.json).*\n    (thresher .*)$", re.MULTILINE)


@pytest.mark.parametrize("page", ["commands", "boards", "synthesis"])
def test_example_configurations_are_legal(page, tmp_path):
    """Each goes with the command in the line below it."""
    found = EXAMPLES.findall(TEXT[ROOT / "docs" / f"{page}.md"])
    assert found
    for text, name, line in found:
        assert f"--config {name}" in line
        (tmp_path / name).write_text(text)
        preset = "tiny" if "--preset tiny" in line else "edge"
        unit = "spmm" if "--unit spmm" in line else "attention"
        config = any_configuration(preset, unit=unit, file=tmp_path / name)
        assert json.loads(config.to_json()).items() >= json.loads(text).items()


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_options_exist(line):
    words = [word for word in shlex.split(line) if not word.startswith("…")]
    options = [word for word in words if word.startswith("-")]
    names = [word for word in words[: 2 if words[0] == "bench" else 1] if not word.startswith("-")]
    shown = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert all(re.search(rf"(?<!\S){option}\b", shown.stdout) for option in options), options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_exist(page):
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", TEXT[page])
    assert [target for target in targets if not (page.parent / target).exists()] == []


def _anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_anchors_of_links_exist(page):
    links = re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", TEXT[page])
    found = {(name, anchor): _anchors(TEXT[(page.parent / name).resolve() if name else page]) for name, anchor in links}
    assert [link for link, anchors in found.items() if link[1] not in anchors] == []


def test_the_readme_is_short():
    assert README.count("\n") <= 120


def test_the_page_of_figures_is_current():
    assert bench_script("page").page() == TEXT[ROOT / "docs" / "figures.md"]
