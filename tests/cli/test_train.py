"""``thresher train``."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file
from thresher.model import load_model
from thresher.runtime import train, train_progress

from .runner import invoke, refused

SEED = 5
FAST = ("--steps", 12, "--batch", 8, "--warm-up", 0.2)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(SEED)
    texts = [" ".join(random.choice(list("abcdefgh"), random.integers(1, 6))) for _ in range(40)]
    lines = [f"{text}\t{int(text.count('a') > text.count('b'))}" for text in texts]
    path = tmp_path / "data.tsv"
    path.write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    return path


def trained(model, data, out, *options):
    result = invoke("train", "--model", model, "--data", data, "-o", out, *FAST, "--json", *options)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.slow
def test_every_command_takes_the_trained_model(model, data, tmp_path):
    out = tmp_path / "out"
    teacher = ("--teacher", model, "--hidden-weight", 0.5)
    told = trained(model, data, out, *teacher, "--dev", data, "--sparsity", 0.6, "--quantise", 0.4)
    assert told["sparsity"] == pytest.approx(0.6, abs=0.01)
    assert [row["step"] for row in told["history"]] == list(range(1, 13))
    assert told["score"] == told["history"][-1]["dev_score"]
    assert {path.name for path in out.iterdir()} == {path.name for path in model.iterdir()} | {
        "training.json",
        "engine.json",
    }
    assert json.loads((out / "training.json").read_text()) == told
    encoder = load_model(out).encoder
    for name, linear in encoder.linears().items():
        assert np.mean(linear.weight == 0) == pytest.approx(0.6, abs=0.02), name
    kept = ("--format", "csr-delta", "--sparsity", "keep")
    packed = json.loads(invoke("prune", "--model", out, "-o", tmp_path / "packed", *kept, "--json").stdout)
    assert packed["total"]["own_sparsity"] == pytest.approx(0.6, abs=0.01)
    whole = ("--unit", "coprocessor", "--format", "csr-delta", "--weight-sparsity", "keep")
    scored = invoke("eval", "--model", out, "--task", "sst2", "--data", data, *whole, "--jobs", 1, "--json")
    assert json.loads(scored.stdout)["weights"] == "csr-delta keep"


@pytest.mark.slow
def test_the_printed_command_packs_for_the_engine_of_the_training(model, data, tmp_path):
    """Whose banks are not those of the presets of ``prune``. The rows of the small model fill them, so no zero is
    stored."""
    config = tmp_path / "engine of mine.json"
    config.write_text(json.dumps({"spmm": {"banks": 4}}))
    out = tmp_path / "the model"
    options = ("--preset", "tiny", "--config", config, "--format", "bbs", "--sparsity", 1 / 3)
    told = invoke("train", "--model", model, "--data", data, "-o", out, *FAST, *options)
    assert told.exit_code == 0, told.stderr
    pattern, command = told.stdout.splitlines()[-2:]
    assert pattern == f"pattern: of the co-processor tiny with {config}, 4 banks, 2:4"
    name, *arguments = shlex.split(command.removeprefix("pack the weights with: "))
    assert name == "thresher"
    packed = json.loads(invoke(*arguments, "--json").stdout)["total"]
    assert packed["zeros"] == 0
    assert packed["sparsity"] == json.loads((out / "training.json").read_text())["sparsity"]
    assert json.loads((out / "training.json").read_text())["engine"]["banks"] == 4


def step_of(checkpoint):
    data = checkpoint.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["thresher"])["step"]


@pytest.mark.slow
def test_a_resumed_run_ends_like_an_unbroken_one(model, data, tmp_path, monkeypatch):
    """Bit for bit, with a break in each phase."""
    options = ("--teacher", model, "--sparsity", 0.5, "--quantise", 0.3, "--attention-pruning", 0.3)
    trained(model, data, tmp_path / "whole", *options)
    wanted = load_file(tmp_path / "whole" / "model.safetensors")
    write = train_progress.write_whole
    for at in (1, 5, 10):

        def stop_after(contents, at=at):
            found = write(contents)
            written = [path for path in contents if path.name == train.CHECKPOINT]
            if written and step_of(written[0]) == at:
                raise KeyboardInterrupt
            return found

        monkeypatch.setattr(train_progress, "write_whole", stop_after)
        out = tmp_path / f"broken{at}"
        result = invoke("train", "--model", model, "--data", data, "-o", out, *FAST, "--json", *options)
        assert result.exit_code == 130
        assert [path.name for path in out.iterdir()] == [train.CHECKPOINT]
        monkeypatch.setattr(train_progress, "write_whole", write)
        told = trained(model, data, out, *options, "--resume")
        assert [row["step"] for row in told["history"]] == list(range(1, 13))
        found = load_file(out / "model.safetensors")
        assert all(np.array_equal(found[name], tensor) for name, tensor in wanted.items()), at
        assert not (out / train.CHECKPOINT).exists()


@pytest.mark.slow
def test_training_lowers_the_loss_and_seeds_repeat(model, data, tmp_path):
    options = ("--steps", 60, "--learning-rate", 5e-3)
    runs = [trained(model, data, tmp_path / str(i), *options, "--seed", seed) for i, seed in enumerate((1, 1, 2))]
    losses = [[row["loss"] for row in run["history"]] for run in runs]
    assert losses[0] == losses[1] != losses[2]
    assert np.mean(losses[0][-5:]) < 0.8 * np.mean(losses[0][:5])


@pytest.mark.slow
def test_texts_to_evaluate_on_change_nothing(model, data, tmp_path, monkeypatch):
    """Neither the model nor whether a run can be resumed. They are scored by the metric."""
    columns = ("--task", "classification", "--text-column", "review", "--label-column", "verdict", "--metric", "mcc")
    rows = [line.split("\t") for line in data.read_text().splitlines()[1:]]
    lines = [f"{text}\t{text}\t{label}" for text, label in rows]
    data.write_text("\n".join(["review\tsame\tverdict", *lines]) + "\n")
    dev = tmp_path / "dev.tsv"
    dev.write_text("review\tverdict\nneither good nor bad\t0\na film\t1\na a b\t1\nb\t0\n")
    options = (*columns, "--quantise", 0.3)
    told = trained(model, data, tmp_path / "whole", *options)
    assert (told["metric"], told["columns"], told["score"]) == ("mcc", [["review", "verdict"]], None)
    write = train_progress.write_whole

    def stop(contents):
        write(contents)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_progress, "write_whole", stop)
    out = tmp_path / "out"
    assert invoke("train", "--model", model, "--data", data, "-o", out, *FAST, *options).exit_code == 130
    monkeypatch.setattr(train_progress, "write_whole", write)
    other = (*FAST, *options, "--text-column", "same", "--resume")
    assert "columns is different" in refused("train", "--model", model, "--data", data, "-o", out, *other)
    told = trained(model, data, out, *options, "--resume", "--dev", dev)
    assert told["history"][0]["dev_score"] is None
    assert -1 <= told["score"] <= 1
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_only_tasks_with_classes_are_offered(model, data, tmp_path):
    base = ("train", "--model", model, "--data", data, "-o", tmp_path / "out")
    for task in ("stsb", "perplexity"):
        assert task not in invoke("train", "--help").stdout
        assert invoke(*base, "--task", task).exit_code == 2
    assert "needs --text-column" in refused(*base, "--second-text-column", "b")


def test_bad_input_is_refused_and_writes_nothing(model, data, tmp_path):
    out = tmp_path / "out"
    base = ("train", "--model", model, "--data", data, "-o", out, *FAST)
    assert "--sparsity=1.5" in refused(*base, "--sparsity", 1.5)
    assert "--learning-rate=-1.0" in refused(*base, "--learning-rate", -1)
    assert "choose another output" in refused("train", "--model", model, "--data", data, "-o", model)
    assert "train without --resume" in refused(*base, "--resume")
    assert "--attention-pruning=0.5" in refused(*base, "--attention-pruning", 0.5)
    assert "must be 0.5 for 2:4 weights" in refused(*base, "--format", "nm", "--sparsity", 0.75)
    assert "--global" in refused(*base, "--format", "bbs", "--sparsity", 0.5, "--global")
    assert "the columns must be" in refused("train", "--model", model, "--data", model / "config.json", "-o", out)
    assert not out.exists()


def test_other_teachers_are_refused(model, data, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for path in model.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((model / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"id2label": {"0": "no", "1": "yes"}}))
    base = ("train", "--model", model, "--data", data, "-o", tmp_path / "out", *FAST)
    assert "the teacher has the classes no, yes" in refused(*base, "--teacher", other)
    message = refused(*base, "--teacher", "default", "--hidden-weight", 1)
    assert "--hidden-weight must be 0 because teacher and model have the widths 128 and 12" in message


def test_without_the_extra_it_names_the_command(model, data, tmp_path):
    code = "import sys; sys.modules['jax'] = None; from thresher.cli import main; main()"
    command = [sys.executable, "-P", "-c", code, "train", "--model", model, "--data", data, "-o", tmp_path / "out"]
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, encoding="utf-8", check=False)
    assert run.returncode == 1
    assert run.stderr == "error: the package jax is not installed: run `pip install 'thresher[train]'`\n"
