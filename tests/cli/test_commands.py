"""Commands about attention and models: output, and errors for bad input."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from thresher import __version__
from thresher.model.source import DEFAULT_FOLDER
from thresher.runtime import answers
from thresher.runtime.backends import GoldenBackend
from thresher.spec import POLICIES, PRESETS, SPMM_PRESETS, VECTOR_PRESETS, AttentionConfig, SpmmConfig, VectorConfig
from thresher.spec.errors import SimulationError

from .runner import invoke, refused

GOLDEN_RUN = ["run", "--text", "a great film", "--text", "[bold]dull and lifeless"]


# -- output ---------------------------------------------------------------------------------


def test_version():
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"thresher {__version__}\n")


@pytest.mark.parametrize(
    "name", ["demo", "run", "eval", "pick", "prune", "verilog", "board", "presets", "bench attention", "bench spmm"]
)
def test_every_command_has_help_and_json(name):
    result = invoke(*name.split(), "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout


def test_presets():
    told = json.loads(invoke("presets", "--json").stdout)
    for name, config in PRESETS.items():
        assert AttentionConfig.from_json(json.dumps(told["presets"][name]["configuration"])) == config
    assert list(told["spmm_presets"]) == list(PRESETS)  # one option names both
    for name, config in SPMM_PRESETS.items():
        assert SpmmConfig.from_json(json.dumps(told["spmm_presets"][name]["configuration"])) == config
    for name, config in VECTOR_PRESETS.items():
        assert VectorConfig.from_json(json.dumps(told["vector_presets"][name]["configuration"])) == config
    assert told["policies"] == {
        name: {field: str(value) for field, value in rules.items()} for name, rules in POLICIES.items()
    }
    table = invoke("presets").stdout
    assert all(name in table for name in (*PRESETS, *POLICIES))


def test_run_on_golden():
    result = invoke(*GOLDEN_RUN, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["backend"] == "golden"
    assert told["bit_exact"] is None
    assert [sentence["label"] for sentence in told["sentences"]] == ["positive", "negative"]
    for sentence in told["sentences"]:
        assert 0.5 < sentence["confidence"] <= 1
        assert len(sentence["heads"]) == 4
        assert 0 < sentence["kept_blocks"] < sentence["blocks"]
        assert sentence["cycles"] is None


def test_run_prints_a_table_and_takes_text_literally():
    result = invoke(*GOLDEN_RUN, "--rho", "-1")
    assert result.exit_code == 0, result.stderr
    assert "[bold]dull" in result.stdout
    assert "layer 2 head 2: 9/9" in result.stdout
    assert "bit-exact" not in result.stdout


def test_run_on_pairs_and_truncation(tmp_path):
    line = ["run", "--preset", "edge", "--text", "a great film", "--text", "[b] dull " * 150]
    line += ["--text-pair", "[/neg] or not", "--text-pair", "word"]
    assert "text 2: the text has" in refused(*line)
    result = invoke(*line, "--truncate", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["truncated"], told["activation"]) == (1, None)
    assert [sentence["text_pair"] for sentence in told["sentences"]] == ["[/neg] or not", "word"]
    assert [sentence["truncated"] for sentence in told["sentences"]] == [False, True]
    assert told["sentences"][1]["tokens"] == PRESETS["edge"].max_length
    table = invoke(*line, "--truncate").stdout
    assert "second sentence" in table
    assert "[/neg] or not" in table
    assert "truncated texts: 1" in table


@pytest.mark.parametrize(("problem", "column"), [(None, "score (sigmoid)"), ("regression", "score ")])
def test_run_shows_scores(make_scorer, problem, column):
    line = ["run", "--model", make_scorer(problem_type=problem), "--text", "a b", "--text-pair", "c"]
    result = invoke(*line)
    assert result.exit_code == 0, result.stderr
    header, row = result.stdout.splitlines()[:2]
    assert column in header
    assert ("sigmoid" in header) == (problem is None)
    told = json.loads(invoke(*line, "--json").stdout)["sentences"][0]
    assert f"{told['score']:.4f}" in row
    assert f"{told['fp32_score']:.4f}" in row


def test_eval_shows_correlations_and_truncation(make_scorer, tmp_path):
    rows = ("a b\tc d\t1.5", "c\td\t-2", f"{'a ' * 30}\tb\t0.25")
    (tmp_path / "x.tsv").write_text("sentence1\tsentence2\tlabel\n" + "\n".join(rows) + "\n")
    line = ["eval", "--task", "stsb", "--data", tmp_path / "x.tsv", "--model", make_scorer(), "--jobs", 1]
    assert "line 4: the text has 34 tokens" in refused(*line)
    result = invoke(*line, "--truncate")
    assert result.exit_code == 0, result.stderr
    for words in ("spearman", "pearson", "truncated texts: 1", "scores: sigmoid"):
        assert words in result.stdout
    told = json.loads(invoke(*line, "--truncate", "--json").stdout)
    assert (told["truncated"], told["activation"]) == (1, "sigmoid")
    assert -1 <= told["results"]["fp32"]["pearson"] <= 1


@pytest.mark.slow
def test_bench_on_the_smallest_hardware():
    result = invoke("bench", "attention", "--preset", "tiny", "--length", 15, "--head-dim", 7, "--heads", 6, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["bit_exact"] is True
    assert told["multipliers"] == PRESETS["tiny"].multipliers
    assert told["blocks"] == 64
    assert abs(told["sparsity"] - 0.75) < 0.03
    assert told["kept_blocks"] == pytest.approx((1 - told["sparsity"]) * 64)
    assert told["speedup"] == pytest.approx(told["dense_cycles_per_head"] / told["cycles_per_head"])
    assert told["speedup"] > 1
    ideal = 2 * 15 * 15 * 7 / PRESETS["tiny"].multipliers
    assert told["dense_utilisation"] == pytest.approx(ideal / told["dense_cycles_per_head"])
    assert 0 < told["utilisation"] <= 1
    for prefix in ("", "dense_"):
        measured = told[f"{prefix}cycles_per_head"]
        assert told[f"{prefix}error"] == pytest.approx(told[f"{prefix}estimate"] / measured - 1)
        assert abs(told[f"{prefix}error"]) < 0.05


def test_verilog_of_a_configuration_file_is_written_once(tmp_path):
    (tmp_path / "mine.json").write_text('{"weight_bits": 10, "fill": "zero"}')
    line = ["verilog", "--preset", "tiny", "--config", tmp_path / "mine.json", "-o", tmp_path / "v"]
    first = invoke(*line, "--json")
    assert first.exit_code == 0, first.stderr
    told = json.loads(first.stdout)
    name = f"attention_core_{told['configuration_sha256'][:8]}"
    assert told["written"] == [f"{name}.v", f"{name}.json", f"{name}.core"]
    assert Path(told["verilog"]) == tmp_path / "v" / f"{name}.v"
    described = json.loads(Path(told["description"]).read_text())["configuration"]
    assert (described["weight_bits"], described["fill"], described["lanes"]) == (10, "zero", PRESETS["tiny"].lanes)
    assert invoke(*line).stdout.count("unchanged") == 3


def test_verilog_has_the_chosen_names(tmp_path):
    options = ["--prefix", "mine", "--clock", "aclk", "--reset", "active-low", "--reset-name", "aresetn"]
    result = invoke("verilog", "--preset", "tiny", *options, "-o", tmp_path)
    assert result.exit_code == 0, result.stderr
    described = json.loads((tmp_path / "mine.json").read_text())
    assert [described[name] for name in ("top", "clock", "reset", "reset_active")] == ["mine", "aclk", "aresetn", "low"]
    head = re.search(r"^module mine\((.*)\);$", (tmp_path / "mine.v").read_text(), re.MULTILINE)
    assert head
    assert {"aclk", "aresetn"} <= set(head[1].split(", "))
    assert not {"clk", "rst", "rst_n"} & set(head[1].split(", "))


@pytest.mark.parametrize("options", ["--prefix 1st", "--clock reg", "--reset-name clk", "--clock i_data__valid"])
def test_impossible_names_in_verilog_take_one_line(options, tmp_path):
    assert "is not allowed" in refused("verilog", "--preset", "tiny", *options.split(), "-o", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_eval_of_a_few_sentences(tmp_path):
    data = tmp_path / "few.tsv"
    data.write_text("sentence\tlabel\na great film\t1\ndull and lifeless\t0\nwarm and funny\t1\n")
    arguments = ["eval", "--task", "sst2", "--data", data, "--random-mask", "--jobs", 1]
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["examples"] == 3
    assert set(told["results"]) == {"fp32", "int8", "pruned", "random_mask"}
    assert told["results"]["int8"]["block_sparsity"] == 0
    # The mask of the second layer has as many blocks as the policy would keep after the random mask of the first one.
    sparsities = [told["results"][name]["block_sparsity"] for name in ("pruned", "random_mask")]
    assert sparsities[0] == pytest.approx(sparsities[1], abs=0.05)
    assert min(sparsities) > 0.3
    table = invoke(*arguments).stdout
    assert "random_mask" in table
    assert "accuracy" in table


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["demo"], ["verilog", "--preset", "tiny"]])
def test_unwritable_output_folder(arguments, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for folder in ("file", "file/below"):
        assert "file' is a file, name a folder" in refused(*arguments, "-o", tmp_path / folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--text", ""], ["empty"]),
        (["--text", " \t\n"], ["empty"]),
        (["--text", "word " * 600], ["602 tokens", "shorten"]),
        (["--text", "a", "--text-pair", "b", "--text-pair", "c"], ["2 --text-pair, but 1 --text", "as many of both"]),
        (["--text", "a", "--text-pair", ""], ["text 1", "empty"]),
        (["--text", "a", "--rho", "2"], ["rho=2.0", "below 1"]),
        (["--text", "a", "--rho", "nan"], ["rho=nan"]),
        (["--text", "a", "--tau", "-1"], ["tau=-1.0"]),
        (["--text", "a", "--tau", "nan"], ["tau=nan"]),
        (["--text", "a", "--preset", "tiny"], ["64", "8", "larger preset"]),
        (["--text", "a", "--model", "./nowhere"], ["nowhere", "does not exist"]),
        (["--text", "a", "--trace", "x.vcd"], ["trace", "--backend rtl"]),
        (["--text", "a", "--backend", "rtl", "--trace", "x.txt"], [".vcd", ".fst"]),
        (["--text", "a", "--backend", "rtl", "--trace", "nowhere/x.vcd"], ["nowhere", "folder"]),
    ],
)
def test_run_rejects(options, words):
    line = refused("run", *options)
    for word in words:
        assert word in line


def _model_copy(folder: Path) -> Path:
    shutil.copytree(DEFAULT_FOLDER, folder)
    return folder


def test_missing_model_files(tmp_path):
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        folder = _model_copy(tmp_path / name)
        (folder / name).unlink()
        assert name in refused("run", "--model", folder, "--text", "a")


def test_truncated_model_files(tmp_path):
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        folder = _model_copy(tmp_path / name)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        assert name in refused("run", "--model", folder, "--text", "a")


def test_unsupported_model_is_rejected(tmp_path):
    folder = _model_copy(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "t5"}))
    assert "model_type" in refused("run", "--model", folder, "--text", "a")


def test_weights_that_are_not_numbers(tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = _model_copy(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights = {name: np.full_like(value, np.nan) for name, value in weights.items()}
    save_file(weights, folder / "model.safetensors")
    assert "NaN" in refused("run", "--model", folder, "--text", "a")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["cannot read"]),
        ("", ["empty"]),
        ("text\tgold\na\t1\n", ["sentence"]),
        ("sentence\tlabel\na film\tmaybe\n", ["line 2"]),
        ("sentence\tlabel\n\t1\n", ["line 2"]),
        ("sentence\tlabel\n" + "word " * 600 + "\t1\n", ["line 2", "shorten"]),
    ],
)
def test_eval_rejects_data(content, words, tmp_path):
    if content is not None:
        (tmp_path / "data.tsv").write_text(content)
    line = refused("eval", "--task", "sst2", "--data", tmp_path / "data.tsv")
    for word in words:
        assert word in line


def test_eval_rejects_a_task_that_the_model_cannot_do(tmp_path):
    (tmp_path / "data.tsv").write_text("score\tsentence1\tsentence2\n1.0\ta\tb\n2.0\tc\td\n")
    assert "stsb" in refused("eval", "--task", "stsb", "--data", tmp_path / "data.tsv")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sparsity", 1], ["sparsity=1.0", "from 0 to 0.875"]),
        (["--sparsity", -0.1], ["sparsity=-0.1"]),
        (["--sparsity", "nan"], ["sparsity=nan"]),
        (["--length", 4, "--sparsity", 0.9], ["sparsity=0.9", "from 0 to 0.5"]),
        (["--heads", 4], ["heads=4", "from 5"]),
        (["--heads", 10**11], ["heads=100000000000", "to 1000"]),
        (["--length", 17], ["length=17", "16"]),
        (["--length", 0], ["length=0"]),
        (["--head-dim", 9], ["--head-dim=9", "8"]),
    ],
)
def test_bench_rejects(options, words):
    small = {"--length": 16, "--head-dim": 8}
    small |= dict(zip(options[::2], options[1::2], strict=True))
    line = refused("bench", "attention", "--preset", "tiny", *[part for pair in small.items() for part in pair])
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["cannot read", "JSON"]),
        ("{", ["JSON"]),
        ("[]", ["object"]),
        ('{"lanes": 3}', ["lanes=3", "must be one of"]),
        ('{"speed": 3}', ["speed=3", "known field"]),
        ('{"max_length": 7}', ["max_length=7", "multiple"]),
    ],
)
def test_verilog_rejects_configurations(content, words, tmp_path):
    file = tmp_path / "mine.json"
    if content is not None:
        file.write_text(content)
    line = refused("verilog", "--preset", "tiny", "--config", file, "-o", tmp_path / "out")
    for word in words:
        assert word in line
    assert not (tmp_path / "out").exists()


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    result = invoke("bench", "attention", "--preset", "tiny", "--length", 16, "--head-dim", 8)
    assert result.exit_code == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "install" in last
    assert "Traceback" not in result.stderr


def test_unwritable_cache(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "file" / "cache"))
    line = refused("bench", "attention", "--preset", "tiny", "--length", 16, "--head-dim", 8)
    assert "THRESHER_CACHE" in line


@pytest.mark.parametrize(
    "arguments",
    ["run", "run --text", "demo --preset huge", "eval", "nonsense", "bench attention --heads x"],
)
def test_usage_errors_exit_with_two(arguments):
    result = invoke(*arguments.split())
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "somewhere"), 1, "No space left"),
        (SimulationError("no output"), 1, "the hardware misbehaved (no output): this is a defect"),
    ],
)
def test_other_errors_are_one_line(monkeypatch, error, code, words):
    def end(*_, **__):
        raise error

    monkeypatch.setattr(answers, "answer", end)
    assert words in refused("run", "--text", "a", code=code)


def test_a_difference_from_golden_is_a_failure(monkeypatch):
    class OneWrongBit(answers.RtlBackend):
        def run(self, config, heads):
            self.cycles += 1
            results = list(GoldenBackend().run(config, heads))
            output, told = results[0]
            assert output is not None
            results[0] = (output ^ 1, told)
            return results

    class Simulator:
        def __init__(self, *_, **__): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...

    monkeypatch.setattr(answers, "RtlBackend", OneWrongBit)
    monkeypatch.setattr(answers, "AttentionSimulator", Simulator)
    result = invoke("run", "--text", "a great film", "--backend", "rtl", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["bit_exact"] is False
    assert "differ" in result.stderr


def test_eval_of_a_whole_encoder(model, tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("sentence\tlabel\na b\t0\nc d e\t1\nf\t0\n")
    line = ["eval", "--task", "sst2", "--data", data, "--model", model, "--unit", "coprocessor", "--jobs", 1]
    result = invoke(*line, "--format", "csr", "--weight-sparsity", 0.5, "--method", "mse", "--per-tensor", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert list(report["results"]) == ["fp32", "int8", "integer", "integer_pruned"]
    assert (report["unit"], report["weights"], report["calibration_method"]) == ("coprocessor", "csr 0.5 by obs", "mse")
    shown = invoke(*line)
    assert "the whole encoder in integers" in shown.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--per-tensor"], "--weight-bits and --per-tensor need --unit coprocessor"),
        (["--weight-bits", 4], "need --unit coprocessor"),
        (["--format", "csr", "--weight-sparsity", 0.5], "need --unit coprocessor"),
        (["--weight-method", "wanda"], "need --unit coprocessor"),
        (
            ["--unit", "coprocessor", "--weight-method", "wanda"],
            "--weight-method='wanda' is not allowed: name the pattern",
        ),
        (["--unit", "coprocessor", "--weight-sparsity", 0.5], "--weight-sparsity=0.5 is not allowed: name the pattern"),
        (["--unit", "coprocessor", "--format", "csr"], "--weight-sparsity must be given for csr weights"),
        (["--unit", "coprocessor", "--format", "csr", "--weight-sparsity", 1], "--weight-sparsity=1.0 is not allowed"),
        (["--unit", "coprocessor", "--weights", "w", "--format", "csr"], "do not give it with --format"),
        (["--unit", "coprocessor", "--weights", "missing.safetensors"], "missing.safetensors"),
    ],
)
def test_eval_options_that_do_not_go_together(model, tmp_path, options, message):
    data = tmp_path / "data.tsv"
    data.write_text("sentence\tlabel\na b\t0\nc d e\t1\n")
    assert message in refused("eval", "--task", "sst2", "--data", data, "--model", model, "--jobs", 1, *options)


def test_eval_with_own_columns_and_metric(tmp_path):
    path = tmp_path / "data.tsv"
    path.write_text("id\tgold\treview\n1\tPositive\ta warm film\n2\tnegative\ta dull film\n")
    options = ["--metric", "mcc", "--text-column", "review", "--label-column", "gold"]
    result = invoke("eval", "--task", "classification", "--data", path, "--jobs", 1, "--json", *options)
    told = json.loads(result.stdout)
    assert (told["task"], told["metric"], told["examples"]) == ("classification", "mcc", 2)
    assert told["results"]["fp32"]["score"] == 1
    line = refused("eval", "--task", "stsb", "--data", path, "--metric", "f1")
    assert "--metric='f1' is not allowed" in line
