"""The README and the pages in docs show what runs."""

import json
import re
import shlex
from pathlib import Path

import pytest
from thresher.cli.commands import app
from thresher.cli.settings import configuration
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


def test_example_configuration_is_legal(tmp_path):
    (text,) = re.findall(r"echo '(\{.*\})' > mine.json", TEXT[ROOT / "docs" / "commands.md"])
    (tmp_path / "mine.json").write_text(text)
    config = configuration("edge", "thresher", tmp_path / "mine.json")
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


def test_the_readme_is_short():
    assert README.count("\n") <= 120


def test_the_page_of_figures_is_current():
    assert bench_script("page").page() == TEXT[ROOT / "docs" / "figures.md"]
