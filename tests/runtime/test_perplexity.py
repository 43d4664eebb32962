"""GPT-2 on the accelerator: perplexity of a text, and the next token, against a direct calculation."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from thresher.cli.study_picture import draw_study
from thresher.golden.baselines import RULES
from thresher.model import load_model
from thresher.model.encoder import float_attention, softmax
from thresher.model.tasks import Metric
from thresher.runtime.answers import answer
from thresher.runtime.cycle_check import check_cycles
from thresher.runtime.evaluate import evaluate
from thresher.runtime.inputs import calibration_inputs
from thresher.runtime.metrics import merit
from thresher.runtime.pick import pick
from thresher.runtime.study import study
from thresher.runtime.study.plan import HEAD_RULES, PAIRS, Scores
from thresher.spec import ConfigError, InputError, coprocessor_preset, preset
from thresher.spec.attention_config import BlockRule
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

HIDDEN, LAYERS, HEADS, POSITIONS = 16, 2, 2, 24
TEXT = "It is a truth universally acknowledged, that a text has many tokens."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("gpt2"))


def make_model(folder, positions: int = POSITIONS):
    """A GPT-2 with random weights, whose tokens are bytes."""
    words = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": len(words),
        "n_embd": HIDDEN,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_positions": positions,
    }
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {"wte.weight": (len(words), HIDDEN), "wpe.weight": (positions, HIDDEN), "ln_f.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        for name, sizes in (
            ("attn.c_attn", (1, 3)),
            ("attn.c_proj", (1, 1)),
            ("mlp.c_fc", (1, 4)),
            ("mlp.c_proj", (4, 1)),
        ):
            inputs, outputs = (size * HIDDEN for size in sizes)
            shapes |= {f"h.{layer}.{name}.weight": (inputs, outputs), f"h.{layer}.{name}.bias": (outputs,)}
        shapes |= {f"h.{layer}.{name}.weight": (HIDDEN,) for name in ("ln_1", "ln_2")}
    random = np.random.default_rng(7)
    tensors = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    tensors |= {
        name.replace(".weight", ".bias"): tensors[name] for name in shapes if ".ln_" in name or name == "ln_f.weight"
    }
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    return file


def test_a_token_changes_nothing_before_it(folder):
    encoder = load_model(folder).encoder
    ids = np.arange(20)[None] % 9
    other = ids.copy()
    other[0, 12:] = 200
    before, after = encoder.hidden_states(ids), encoder.hidden_states(other)
    np.testing.assert_array_equal(before[:, :12], after[:, :12])
    assert (before[:, 12:] != after[:, 12:]).any(axis=-1).all()


def test_perplexity_in_float32_is_the_mean_over_all_windows(folder, text):
    model = load_model(folder)
    ids = np.array(model.tokenizer.encode(TEXT, max_length=10**6).ids)
    surprise = []
    for start in range(0, len(ids) - 1, POSITIONS):
        window = ids[start : start + POSITIONS]
        scores = model.encoder.next_tokens(model.encoder.hidden_states(window[None])[0])
        chances = softmax(scores)
        surprise += [-np.log(chances[i, window[i + 1]]) for i in range(len(window) - 1)]
    report = evaluate(model, "perplexity", text, config=preset("edge"), rho=0.5, random_mask=True, jobs=1)
    results = report.results
    assert report.metric == "perplexity"
    assert report.examples == -(-len(ids) // POSITIONS)
    assert results["fp32"].score == pytest.approx(np.exp(np.mean(surprise)), rel=1e-5)
    assert results["int8"].score == pytest.approx(results["fp32"].score, rel=0.05)
    assert results["int8"].block_sparsity == 0
    assert 0.3 < results["pruned"].block_sparsity < 1
    assert results["random_mask"].block_sparsity == pytest.approx(results["pruned"].block_sparsity, abs=0.05)


def test_windows_are_as_long_as_the_hardware_takes(folder, text):
    config = dataclasses.replace(preset("edge"), max_length=10)
    report = evaluate(load_model(folder), "perplexity", text, config=config, rho=-1, jobs=1, limit=3)
    assert report.examples == 3


def test_the_next_token_is_that_of_the_whole_vocabulary(folder):
    model = load_model(folder)
    (found,) = answer(str(folder), ["A text"], config=preset("edge"), backend="golden", rho=-1.0).sentences
    tokens = model.encode("A text")
    chances = softmax(model.next_token(tokens, float_attention))
    assert found.fp32_label == model.tokenizer.text([int(chances.argmax())])
    assert found.fp32_confidence == pytest.approx(chances.max())
    assert found.blocks == LAYERS * HEADS * 6  # three block rows


@pytest.mark.slow
def test_a_sparsity_is_chosen_by_the_cycles_of_causal_heads(folder, text):
    model = load_model(folder)
    config = dataclasses.replace(coprocessor_preset("tiny").attention, causal=True)
    found = pick(model, "perplexity", text, config=config, target_speedup=1.01, rhos=[0.3], jobs=1)
    alone = evaluate(model, "perplexity", text, config=config, rho=0.3, jobs=1).results
    assert found.metric == "perplexity"
    assert [each.score for each in found.points] == [alone["int8"].score, alone["pruned"].score]
    assert found.points[1].block_sparsity == alone["pruned"].block_sparsity
    assert found.points[1].speedup > 1
    scales = model.calibrate(["A text to calibrate with."])
    check = check_cycles(model, "perplexity", text, config=config, rho=0.3, scales=scales)
    assert check.bit_exact
    assert check.model_cycles == pytest.approx(check.rtl_cycles, rel=0.05)
    assert check.dense_model_cycles == pytest.approx(check.dense_rtl_cycles, rel=0.05)


def test_a_study_has_the_figures_of_eval(folder, text, tmp_path):
    """In the references, and in the hardware's rule with the parameter that the study has found."""
    model, config = load_model(folder), preset("edge")
    rules = [*RULES, *HEAD_RULES, *PAIRS]
    found = study(
        model,
        "perplexity",
        text,
        config=config,
        output=tmp_path / "study",
        rules=rules,
        scores=[Scores.PREDICTED],
        targets=[0.5],
        head_targets=[0.5],
        pair_targets=([0.5], [0.5]),
        jobs=1,
    )
    rows = {row.rule: row for row in found.rows}
    assert list(rows) == ["fp32", "int8", *rules]
    rule = "probability" if config.block_rule is BlockRule.PROBABILITY else "threshold"
    alone = evaluate(model, "perplexity", text, config=config, rho=rows[rule].parameter or 0, jobs=1).results
    for name, other in (("fp32", "fp32"), ("int8", "int8"), (rule, "pruned")):
        assert rows[name].score == pytest.approx(alone[other].score, rel=1e-6)
        assert rows[name].block_sparsity == pytest.approx(alone[other].block_sparsity)
    assert all(row.error for row in found.rows)
    assert all(row.change_error for row in found.rows if row.rule != "fp32")


def test_a_study_finds_parameters_on_windows_as_long_as_those_of_the_data(tmp_path):
    """The packaged sentences are shorter. On texts of their lengths, the parameters give other sparsities."""
    model, config = load_model(make_model(tmp_path, positions=192)), preset("edge")
    file = tmp_path / "text.txt"
    file.write_text(TEXT * 9)
    shown = calibration_inputs(model, [], config, pairs=False)
    assert [len(each) for each in shown[:-1]] == [192] * (len(shown) - 1)
    found = study(
        model,
        "perplexity",
        file,
        config=config,
        output=tmp_path / "study",
        rules=list(RULES),
        scores=[Scores.PREDICTED],
        targets=[0.5],
        jobs=1,
    )
    for row in found.rows:
        if row.rule in RULES:
            assert row.block_sparsity == pytest.approx(row.calibration_sparsity, abs=0.02), row.rule


def test_a_single_window_has_no_standard_error(folder, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("It is a truth")
    model, output = load_model(folder), tmp_path / "study"
    found = study(
        model, "perplexity", file, config=preset("edge"), output=output, rules=["threshold"], targets=[0.5], jobs=1
    )
    assert {(row.error, row.change_error) for row in found.rows} == {(None, None)}
    shown = output / "study.png"
    draw_study(found.rows, shown, metric=found.metric, title="one window")
    assert shown.exists()


def test_an_absurd_model_has_a_finite_perplexity():
    outputs = np.array([[8000.0, 2.0], [9000.0, 3.0]])
    assert np.isfinite(merit(Metric.PERPLEXITY, np.zeros(2), outputs, classes=2))


@pytest.mark.slow
def test_hardware_gives_the_next_token_of_the_golden_model(folder):
    config = dataclasses.replace(coprocessor_preset("tiny").attention, causal=True)
    answers = answer(str(folder), ["A text", "odd"], config=config, backend="rtl", rho=0.3)
    assert answers.bit_exact
    assert answers.cycles is not None


@pytest.mark.parametrize("task", ["sst2", "stsb"])
def test_other_tasks_are_refused(folder, text, task):
    model = load_model(folder)
    with pytest.raises(InputError, match="use --task perplexity"):
        evaluate(model, task, text, config=preset("edge"), rho=0.5)


def test_what_does_not_fit_is_refused(folder, text, tmp_path):
    model = load_model(folder)
    short = tmp_path / "short.txt"
    short.write_text("a")
    with pytest.raises(InputError, match="only one token"):
        evaluate(model, "perplexity", short, config=preset("edge"), rho=0.5)
    with pytest.raises(ConfigError, match="limit=0"):
        evaluate(model, "perplexity", text, config=preset("edge"), rho=0.5, limit=0)
    with pytest.raises(InputError, match="needs a model that predicts the next token"):
        evaluate(load_model(), "perplexity", text, config=preset("edge"), rho=0.5)
    with pytest.raises(InputError, match="encoders of texts"):
        model.quantise(["a text"])
