"""Text on the terminal: nothing in it is markup or controls the terminal, and every terminal can encode it."""

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.progress import Progress
from thresher.cli import frame, progress, terminal
from thresher.cli.terminal import ASCII, decoded, make_console, make_table, say, shown
from thresher.model.source import DEFAULT_FOLDER
from typer import Exit

from .runner import invoke

ROOT = Path(__file__).parents[2]

ROOMS = ("cli", "host", "model", "runtime", "sim", "spec", "synth")
COMMANDS = ["", "run", "demo", "eval", "pick", "prune", "verilog", "board", "synth", "estimate", "presets"]
COMMANDS += ["bench attention", "bench spmm"]

HOSTILE = [
    "[pos]",
    "[/neg]",
    "a[/b].weight",
    "[bold red]x[/]",
    "[link=https://example.org]x[/link]",
    "\\[x]",
    "{task.description}",
    "%s {} %(x)s",
    ":smile: :warning:",
    "$x^2$",
    "café 中文 × … → ±",
    "",
    " ",
]
CONTROLS = {
    "\x1b[31mred\x1b[2J": "\\x1b[31mred\\x1b[2J",
    "\x9b31m": "\\x9b31m",
    "a\tb\rc\x07\x00": "a\\tb\\rc\\x07\\x00",
    "two\nlines\u2028three": "two\\nlines\\u2028three",
    "\u202ereversed": "\\u202ereversed",
    "\udcff is no UTF-8": "\\udcff is no UTF-8",
}
EVERYTHING = {text: text for text in HOSTILE} | CONTROLS


class Output(io.TextIOWrapper):
    """Standard output of some encoding."""

    def __init__(self, encoding: str, errors: str = "strict"):
        super().__init__(io.BytesIO(), encoding=encoding, errors=errors, write_through=True)

    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


def redirected(monkeypatch, encoding: str = "utf-8", errors: str = "strict") -> Output:
    """Send standard output and error to one stream. Not as a fixture: pytest sets both before the test itself."""
    stream = Output(encoding, errors)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.mark.parametrize("text", EVERYTHING)
def test_lines_are_literal(monkeypatch, text):
    output = redirected(monkeypatch)
    say(text)
    say(text, error=True)
    frame.note(text)
    assert output.text().splitlines() == [EVERYTHING[text], EVERYTHING[text], f"note: {EVERYTHING[text]}"]


@pytest.mark.parametrize("text", EVERYTHING)
def test_messages_are_one_line(monkeypatch, text):
    output = redirected(monkeypatch)
    with pytest.raises(Exit):
        frame._fail(text, 1)
    (line,) = output.text().splitlines()
    expected = " ".join(f"error: {text}".split())
    assert line.rstrip() == shown(expected)


@pytest.mark.parametrize("text", EVERYTHING)
def test_tables_are_literal(monkeypatch, text):
    output = redirected(monkeypatch)
    table = make_table(f"<{text}>", "b", right=1)
    table.add_row(f"<{text}>", f"<{text}>")
    make_console().print(table)
    header, row = output.text().splitlines()
    assert header.startswith(f"<{EVERYTHING[text]}>")
    assert re.fullmatch(rf"(<{re.escape(EVERYTHING[text])}>\s*){{2}}", row)


@pytest.mark.parametrize("text", EVERYTHING)
def test_printed_text_is_literal_but_for_line_ends(monkeypatch, text):
    output = redirected(monkeypatch)
    make_console().print(f"<{text}>")
    assert output.text() == f"<{EVERYTHING[text]}>\n".replace("\\n", "\n").replace("a\nb", "a\\nb")


@pytest.mark.parametrize("text", EVERYTHING)
def test_progress_is_literal(monkeypatch, text):
    stream = redirected(monkeypatch)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(Progress, "start", lambda self: None)
    with progress.steps() as steps:
        steps.tell(f"<{text}>")
        assert steps._progress is not None
        steps._progress.refresh()
        steps._progress.console.print(steps._progress.get_renderable())
    assert f"<{EVERYTHING[text]}>" in re.sub("\x1b\\[[0-9;]*m", "", stream.text())


def test_commands_print_through_one_module():
    """Otherwise a new table could read markup again."""
    allowed = {
        "terminal.py": {"Console", "Table", "Text", "print"},
        "progress.py": {"Progress"},
        "frame.py": {"print"},  # JSON and the version
        "__init__.py": {"print"},  # before anything is imported
    }
    found: dict[str, set[str]] = {}
    for path in (ROOT / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if name in {"print", "Console", "Table", "Text", "Panel", "Progress", "Status", "Live", "Tree"}:
                found.setdefault(path.name, set()).add(name)
    assert {name for name, used in found.items() if used - allowed.get(name, set())} == set()


# -- encodings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252", "koi8-r", "gbk", "euc_jp", "shift_jis", "utf-8"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "backslashreplace"])
def test_every_terminal_can_encode_every_line(monkeypatch, encoding, errors):
    stream = redirected(monkeypatch, encoding, errors)
    terminal.prepare_streams()
    table = make_table("…", "×", right=1)
    for text in EVERYTHING:
        say(text)
        print(text)  # as Typer does
        table.add_row(text, text)
    make_console().print(table)
    if encoding == "ascii":
        assert stream.text().startswith("[pos]\n[pos]\n")
        assert "\ncaf\\xe9 \\u4e2d\\u6587 x ... -> +-\n" in stream.text()
        assert stream.text().isascii()
    if encoding == "euc_jp":
        assert "\ncafé 中文 × … → ±\n" in stream.text()


def test_a_handler_that_the_user_has_chosen_stays(monkeypatch):
    stream = redirected(monkeypatch, "ascii", "ignore")
    terminal.prepare_streams()
    print("a…b")
    assert stream.text() == "ab\n"


def test_closed_streams(monkeypatch):
    output = redirected(monkeypatch)
    monkeypatch.setattr(sys, "stderr", None)
    terminal.prepare_streams()
    say("lost", error=True)
    assert output.text() == ""


def test_characters_of_messages_have_a_replacement():
    """Escape sequences are for the text of users."""
    others = {"terminal.py", "picture.py", "spmm_picture.py", "html.py", "tokenizer_config.py"}  # print nothing
    missing = {}
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py") if path.name not in others):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        strings = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in documentation)
        found = {each for node in strings if isinstance(node.value, str) for each in node.value if not each.isascii()}
        if found - set(ASCII):
            missing[path.relative_to(ROOT).as_posix()] = found - set(ASCII)
    assert missing == {}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_ascii(name):
    """Typer writes help to ASCII terminals as UTF-8."""
    result = invoke(*name.split(), "--help")
    assert result.exit_code == 0
    assert result.stdout.isascii()


# -- commands --------------------------------------------------------------------------------------


@pytest.fixture
def hostile_model(tmp_path) -> Path:
    """The packaged model with hostile labels."""
    folder = tmp_path / "[/model]"
    shutil.copytree(DEFAULT_FOLDER, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"id2label": {"0": "[/neg] …\x1b[2J", "1": "[pos] :smile:"}, "label2id": None}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_run_with_hostile_labels_and_texts(hostile_model):
    result = invoke("run", "--model", hostile_model, "--text", "a great film", "--text", "[/i] bad\n\tand\x1b[2J dull")
    assert result.exit_code == 0, result.stderr
    assert "[pos] :smile:" in result.stdout
    assert "[/neg] …\\x1b[2J" in result.stdout
    assert "[/i] bad\\n\\tand\\x1b[2J dull" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.slow
def test_eval_and_pick_with_hostile_paths(hostile_model, tmp_path):
    data = tmp_path / "[bold] data.tsv"
    data.write_text("sentence\tlabel\na great film\t1\ndull\t0\n", encoding="utf-8")
    common = ("--task", "sst2", "--data", data, "--model", hostile_model, "--jobs", 1)
    for arguments in (("eval", *common), ("pick", *common, "--target-speedup", 1, "--rho", 0.5)):
        result = invoke(*arguments)
        assert result.exit_code == 0, result.stderr
        assert "[/model]" in result.stdout
        assert "[bold] data.tsv" in result.stdout.replace("\n", "")


@pytest.mark.slow
def test_files_in_hostile_folders(tmp_path):
    result = invoke("verilog", "--preset", "tiny", "--unit", "spmm", "-o", tmp_path / "[/v]:smile:\x1b[2J")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("[/v]:smile:\\x1b[2J") == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a[/b].weight", "[bold]", ":smile: $x$\x1b[2J $y"])
def test_bench_of_hostile_tensors(name, tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    save_file({name: np.eye(8, dtype=np.float32)}, tmp_path / "w.safetensors")
    line = ["bench", "spmm", "--preset", "tiny", "--weights", tmp_path / "w.safetensors", "--tensor", name]
    result = invoke(*line, "--tokens", 4, "--sparsity", 0.5, "--picture", tmp_path / "x.png")
    assert result.exit_code == 0, result.stderr
    assert shown(name) in result.stdout
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "euc_jp"])
def test_processes_on_other_terminals(encoding, hostile_model):
    """Files are opened as ASCII, too, where nothing else is said."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment |= {"LC_ALL": "C"}
    run = ["run", "--model", hostile_model, "--text", "dull and lifeless " * 9]
    for arguments, expected in ((["presets"], "lanes × blocks"), (run, "[/neg] …\\x1b[2J")):
        command = [sys.executable, "-P", "-m", "thresher", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), arguments
        replaced = expected.translate(str.maketrans(ASCII)) if encoding == "ascii" else expected
        assert replaced in done.stdout.decode(encoding)


@pytest.mark.slow
def test_arguments_that_the_locale_cannot_decode(tmp_path):
    """UTF-8 in the locale C. Bytes that are no UTF-8 are refused."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    lines: list[tuple[list[str | bytes], int, str]] = [
        (["run", "--text", "é", "--json"], 0, '"text": "\\u00e9"'),
        (["run", "--text", b"\xe9"], 1, "the text is not valid Unicode: give UTF-8"),
        (["run", "--text", "a", "--model", "./dé"], 1, "model folder './d\\xe9' does not exist"),
        (["verilog", "--unit", "vector", "--preset", "tiny", "-o", "né", "--json"], 0, '"n\\u00e9/vector_unit_tiny.v"'),
    ]
    for arguments, status, expected in lines:
        command = [sys.executable, "-P", "-m", "thresher", *arguments]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == status, done.stderr
        assert expected in (done.stderr if status else done.stdout).decode("ascii")
    assert (tmp_path / "né" / "vector_unit_tiny.v").is_file()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("d\udcc3\udca9/", "dé/"), ("\udce9", "\udce9"), ("\ud800é", "\ud800é"), ("é\\udcc3", "é\\udcc3")],
)
def test_bytes_that_the_locale_could_not_decode(text, expected):
    assert decoded(text) == expected


def test_pictures_of_hostile_words(tmp_path):
    import numpy as np
    from matplotlib import text
    from thresher.cli import picture
    from thresher.runtime.classify import HeadPicture

    drawn: list[str] = []
    words = ("$x$", "$\\frac{$", "a_b^c", "\x1b[2J", "$", "%")
    square = np.zeros((len(words), len(words)))
    head = HeadPicture(
        layer=0, head=0, words=words, block=6, probabilities=square, mask=square[:1, :1] == 0, pruned=False
    )
    saved = picture.save_figure

    def save(figure, path):
        saved(figure, path)
        drawn.extend(each.get_text() for each in figure.findobj(text.Text))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture, "save_figure", save)
        picture.draw_head(head, tmp_path / "x.png", title="from $5 to $10 \x1b[2J")
    assert {"from $5 to $10 \\x1b[2J", "$x$", "$\\frac{$", "\\x1b[2J"} <= set(drawn)
    assert (tmp_path / "x.png").stat().st_size > 1000
