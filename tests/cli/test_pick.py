"""``thresher pick``: its table, its choice, the check on hardware, and bad input."""

import json

import pytest
from thresher.model import load_model
from thresher.runtime.cycle_check import sample

from .runner import invoke, refused

LONG = (
    "a quiet family drama that slowly turns into something far richer and wiser than anyone could have hoped for , " * 2
)
ROWS = ("a great film\t1", f"dull and lifeless , {LONG}\t0", f"warm and funny , {LONG}\t1", f"{LONG} a film\t0")


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "few.tsv"
    path.write_text("sentence\tlabel\n" + "\n".join(ROWS) + "\n")
    return path


def test_table_and_choice(data):
    arguments = ["pick", "--task", "sst2", "--data", data, "--jobs", 1, "--rho", 0.5, "--rho", -0.3]
    told = invoke(*arguments, "--target-speedup", 1.1, "--json")
    assert told.exit_code == 0, told.stderr
    found = json.loads(told.stdout)
    assert [point["rho"] for point in found["points"]] == [-1, -0.3, 0.5]
    assert (found["preset"], found["reached"], found["rtl"]) == ("edge", True, None)
    chosen = found["points"][found["chosen"]]
    assert chosen["speedup"] >= 1.1
    table = invoke(*arguments, "--target-speedup", 1.1).stdout
    for words in ("FP32 accuracy", "cycles each", "→", "smallest sparsity", f"speedup {chosen['speedup']:.2f}"):
        assert words in table
    out_of_reach = invoke(*arguments, "--target-speedup", 50).stdout
    assert "none of these is 50 times as fast; the best is" in out_of_reach


@pytest.mark.slow
def test_choice_on_hardware(model, tmp_path):
    """The smallest hardware and model; the cycle model is within a tenth of it."""
    path = tmp_path / "letters.tsv"
    path.write_text("sentence\tlabel\n" + "\n".join(f"{'a b c d e f '[: 2 * n]}\t{n % 2}" for n in range(1, 7)) + "\n")
    arguments = ["pick", "--task", "sst2", "--data", path, "--jobs", 1, "--model", model, "--preset", "tiny"]
    arguments += ["--rho", 0.5, "--target-speedup", 1.01, "--rtl"]
    told = invoke(*arguments, "--json")
    assert told.exit_code == 0, told.stderr
    check = json.loads(told.stdout)["rtl"]
    assert check["bit_exact"] is True
    assert (check["sentences"], check["heads"]) == (6, 6 * 4)
    assert check["model_cycles"] == pytest.approx(check["rtl_cycles"], rel=0.1)
    assert check["dense_model_cycles"] == pytest.approx(check["dense_rtl_cycles"], rel=0.1)
    shown = invoke(*arguments).stdout
    for words in ("6 sentences on simulated hardware", "hardware", "error", "bit-exact with golden: yes"):
        assert words in shown


def test_sample_keeps_the_spread_of_lengths():
    model = load_model()
    tokens = [model.encode("film " * n) for n in (9, 1, 5, 3, 7)]
    assert [len(text) for text in sample(tokens, 3)] == [3, 7, 11]
    assert [len(text) for text in sample(tokens, 8)] == [3, 5, 7, 9, 11]
    assert sample(tokens, 1) == [tokens[2]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target-speedup", 0], ["--target-speedup=0.0", "1.5"]),
        (["--target-speedup", 1.5, "--rho", 2], ["rho=2.0"]),
        (["--target-speedup", 1.5, "--preset", "tiny"], ["larger preset"]),
        (["--target-speedup", 1.5, "--data", "absent.tsv"], ["cannot read", "absent.tsv"]),
        (["--target-speedup", 1.5, "--task", "stsb"], ["stsb", "sentence-embedding"]),
    ],
)
def test_refused(data, options, words):
    line = refused("pick", "--task", "sst2", "--data", data, *options)
    for word in words:
        assert word in line
