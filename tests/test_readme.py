"""What the README shows is what runs."""

import json
import re
import shlex
from pathlib import Path

import pytest
from thresher.cli import app
from thresher.cli.settings import configuration
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"(?:^    |`)thresher ([^#`\n]+)", README, re.MULTILINE)))


def test_python_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(example, {})
    assert capsys.readouterr().out.startswith("(100, 64)")


def test_example_configuration_is_legal(tmp_path):
    (text,) = re.findall(r"echo '(\{.*\})' > mine.json", README)
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


def test_links_lead_somewhere():
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
