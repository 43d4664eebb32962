"""Studies on small files: rules, resuming, processes, a cluster, and bad settings."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from thresher.model import load_model
from thresher.model.datasets import read_dataset
from thresher.model.tasks import TASKS
from thresher.runtime.attention import AcceleratorAttention, AttentionTotals
from thresher.runtime.backends import GoldenBackend
from thresher.runtime.evaluate import evaluate
from thresher.runtime.study import cluster, run, study
from thresher.runtime.study.log import LOG, open_log
from thresher.runtime.study.plan import ALL_RULES, PAIRS, Case, Job, Scores, StudySpec, cases_of, parts_of
from thresher.runtime.study.result import StudyRow, off_targets, rows_of, table_of
from thresher.runtime.study.work import StudyWork, search
from thresher.spec import ThresherError, preset

EDGE = preset("edge")
EXAMPLES = (
    ("a wonderful , moving film that i loved for every minute of its two hours", 1),
    ("i loved it", 1),
    ("dull", 0),
    ("the worst two hours of my life , boring , predictable and badly acted", 0),
    ("this is a great film , warm and funny , with a happy ending", 0),  # labelled wrongly
)
TARGETS, HEAD_TARGETS = (0.5, 0.75), (0.25, 0.4)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.tsv"
    path.write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in EXAMPLES))
    return path


@pytest.fixture
def few(default_model, data, tmp_path, monkeypatch):
    """A study of a few texts in two parts, on a few calibration texts."""
    monkeypatch.setattr(run, "CALIBRATION_TEXTS", 4)
    monkeypatch.setattr(run, "parts_of", lambda lengths: parts_of(lengths, 3))

    def few(folder: str = "out", **options: Any):
        given: dict[str, Any] = {
            "config": EDGE,
            "output": tmp_path / folder,
            "targets": TARGETS,
            "head_targets": HEAD_TARGETS,
        }
        given |= {"jobs": 1} | options
        return study(default_model, "sst2", data, **given)

    return few


@pytest.fixture
def spec(default_model):
    """Three texts, all in one part."""
    texts = tuple(default_model.encode(text) for text, _ in EXAMPLES[:3])
    scales = default_model.calibrate([text for text, _ in EXAMPLES])
    return StudySpec(
        model=str(default_model.folder),
        task=TASKS["sst2"],
        activation=None,
        config=EDGE,
        scales=scales,
        parts=(texts,),
        calibration=texts,
        seed=3,
    )


@pytest.mark.slow
def test_all_rules(few, data, default_model):
    report = few(scores=list(Scores))
    rows = {(row.rule, row.scores, row.target): row for row in report.rows if row.head_target is None}
    pairs = [row for row in report.rows if row.head_target is not None]
    assert {row.rule for row in pairs} == set(PAIRS)
    assert {rule for rule, _, _ in rows} == {"fp32", "int8", *ALL_RULES} - set(PAIRS)
    assert ("random", "exact", 0.5) not in rows
    assert ("spatten", "approximate", 0.25) in rows
    plain = evaluate(default_model, "sst2", data, config=EDGE, rho=0, jobs=1)
    assert rows["fp32", "predicted", None].score == plain.results["fp32"].score
    assert rows["int8", "predicted", None].score == plain.results["int8"].score
    for (rule, _, target), row in rows.items():
        found = row.head_sparsity if row.prunes == "heads" else row.block_sparsity
        assert found == pytest.approx(target or 0, abs=0.2), row
        assert row.element_sparsity >= row.block_sparsity - 0.05
        assert row.error >= 0
        assert (row.change_error == 0) or rule != "fp32"
        assert row.change == row.score - rows["fp32", "predicted", None].score
    assert rows["threshold", "predicted", 0.5].parameter == rows["threshold", "approximate", 0.5].parameter
    table = table_of(report.rows).splitlines()
    assert len(table) == len(report.rows) + 1
    assert table[0].startswith("rule,prunes,scores,target,head_target,parameter,head_parameter,score,error")


def test_pairs_prune_blocks_of_the_heads_that_stay(few):
    """Each rule has the parameter that it has alone. The whole block sparsity includes the pruned heads."""
    rules = ["threshold", "tau", "threshold+tau", "sanger+spatten"]
    report = few(rules=rules, scores=[Scores.PREDICTED], pair_targets=((0.5, 0.75), (0.25,)))
    rows = {(row.rule, row.target, row.head_target): row for row in report.rows}
    for target in (0.5, 0.75):
        row, blocks, heads = (
            rows[key] for key in (("threshold+tau", target, 0.25), ("threshold", target, None), ("tau", 0.25, None))
        )
        assert (row.parameter, row.head_parameter) == (blocks.parameter, heads.parameter)
        assert row.calibration_sparsity == blocks.calibration_sparsity
        assert row.head_calibration_sparsity == heads.calibration_sparsity
        assert row.prunes == "blocks and heads"
        assert row.head_sparsity > 0
        assert row.block_sparsity > max(blocks.block_sparsity, heads.block_sparsity)
        assert row.block_sparsity_of_kept_heads == pytest.approx(target, abs=0.1)
        assert blocks.block_sparsity_of_kept_heads == blocks.block_sparsity
        assert heads.block_sparsity_of_kept_heads == 0
    cascade = rows["sanger+spatten", 0.5, 0.25]
    assert (cascade.prunes, cascade.head_sparsity) == ("elements and heads", 0.25)  # one of two, in the second layer
    # All heads of a sentence have as many blocks, so the shares multiply.
    assert 1 - cascade.block_sparsity == pytest.approx(0.75 * (1 - cascade.block_sparsity_of_kept_heads))
    assert cascade.element_sparsity > cascade.block_sparsity


def test_elements_count_the_blocks_that_hardware_would_compute(few):
    """So at one block sparsity, rules of elements keep fewer elements."""
    rows = {row.rule: row for row in few(rules=["threshold", "top-k-elements"], scores=[Scores.PREDICTED]).rows}
    assert rows["top-k-elements"].element_sparsity > rows["top-k-elements"].block_sparsity + 0.05
    assert rows["threshold"].element_sparsity == pytest.approx(rows["threshold"].block_sparsity, abs=0.05)


@pytest.mark.slow
def test_resuming(few, tmp_path, monkeypatch):
    """An interrupted study goes on: no job runs twice, half a line is dropped, and the figures are the same."""
    options = {"rules": ["threshold", "random", "spatten"], "scores": [Scores.PREDICTED]}
    whole = few("whole", **options)
    ran: list[str] = []
    original = StudyWork.run

    def interrupted(self: StudyWork, job: Job):
        if len(ran) == 9:
            raise KeyboardInterrupt
        ran.append(job.key)
        return original(self, job)

    monkeypatch.setattr(StudyWork, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        few(**options)
    with (tmp_path / "out" / LOG).open("a", encoding="utf-8") as file:
        file.write('{"key": "half a li')
    monkeypatch.setattr(StudyWork, "run", lambda self, job: (ran.append(job.key), original(self, job))[1])
    resumed = few(**options)
    assert len(ran) == len(set(ran))
    assert resumed.rows == whole.rows
    assert resumed.resumed > 0
    before = len(ran)
    assert few(**options).rows == whole.rows
    assert len(ran) == before
    more = few(**(options | {"targets": (0.5, 0.75, 0.9)}))
    assert set(whole.rows) < set(more.rows)
    lines = (tmp_path / "out" / LOG).read_text(encoding="utf-8").splitlines()
    assert all(json.loads(line) for line in lines)


def test_another_study_in_the_same_folder_is_refused(few, tmp_path, data):
    few(rules=["random"], targets=(0.5,), scores=[Scores.PREDICTED])
    for changes, names in (({"seed": 1}, "seed"), ({"config": replace(EDGE, max_length=64)}, "configuration")):
        with pytest.raises(ThresherError, match=f"holds a study that differs in {names}: choose another folder"):
            few(**changes)
    with pytest.raises(ThresherError, match="differs in texts"):
        few(limit=3)
    (tmp_path / "out" / LOG).write_text("[]\n")
    with pytest.raises(ThresherError, match="is no log of a study"):
        few()
    with open_log(tmp_path / "busy", {}), pytest.raises(ThresherError, match="another study is running in"):
        few("busy")


@pytest.mark.slow
def test_processes_do_not_change_figures(few):
    """Nor does a cluster."""
    from distributed import LocalCluster

    rules = ["probability", "random", "tau", "spatten", "random-heads", "random+random-heads"]
    options: dict[str, Any] = {"rules": rules, "scores": [Scores.PREDICTED]}
    here = few("here", **options)
    assert few("processes", jobs=2, **options).rows == here.rows
    settings: dict[str, Any] = {"protocol": "tcp", "processes": False, "dashboard_address": None}
    with LocalCluster(n_workers=2, threads_per_worker=1, **settings) as local:
        address = cast(LocalCluster, local).scheduler_address
        assert address.startswith("tcp://")
        assert few("cluster", scheduler=address, **options).rows == here.rows


def test_a_missing_scheduler_takes_one_line(few, monkeypatch):
    monkeypatch.setattr(cluster, "TIMEOUT", "1 s")
    with pytest.raises(ThresherError, match="no Dask scheduler answers") as caught:
        few(scheduler="tcp://127.0.0.1:9", rules=["random"])
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named(few, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ThresherError, match=r"pip install 'thresher\[study\]'"):
        few(scheduler="tcp://127.0.0.1:9", rules=["random"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rules": ["top"]}, "rules='top' is not allowed: must be among threshold, probability"),
        ({"rules": ["tau+threshold"]}, "or a rule of blocks and a rule of heads such as threshold\\+tau"),
        ({"rules": ["threshold+tau+spatten"]}, "or a rule of blocks and a rule of heads"),
        ({"rules": []}, "name at least one"),
        ({"pair_targets": ((0.5,), (1.5,))}, "pair_sparsities=1.5"),
        ({"targets": (1.0,)}, "sparsities=1.0"),
        ({"head_targets": (0.0,)}, "head_sparsities=0.0"),
        ({"jobs": 0}, "jobs=0"),
    ],
)
def test_bad_settings_leave_no_log(few, tmp_path, options, message):
    with pytest.raises(ThresherError, match=message):
        few(**options)
    assert not (tmp_path / "out").exists()


def test_pairs_that_are_read_one_by_one(make_model, tmp_path, monkeypatch):
    """Both texts of a pair are in one part. Scores are those of ``thresher eval``."""
    monkeypatch.setattr(run, "parts_of", lambda lengths: parts_of(lengths, 3))
    embedder = load_model(make_model(architectures=["BertModel"], id2label=None))
    path = tmp_path / "stsb.tsv"
    rows = ("5.000\ta b c\ta b c", "3.2\ta b c\ta b d", "1\tc c d e\tf g", "0\ta\tb h h", "2\tg f e d\tg f")
    path.write_text("score\tsentence1\tsentence2\n" + "\n".join(rows) + "\n")
    settings = {"rules": ["threshold", "spatten"], "targets": (0.5,), "head_targets": (0.2,)}
    found = study(embedder, "stsb", path, config=EDGE, output=tmp_path / "out", jobs=1, calibration=path, **settings)
    plain = evaluate(embedder, "stsb", path, config=EDGE, rho=0, jobs=1, calibration=path).results
    fp32, int8 = found.rows[0], found.rows[1]
    assert (found.metric, found.examples) == ("spearman", 5)
    assert fp32.score == pytest.approx(plain["fp32"].score)
    assert int8.score == pytest.approx(plain["int8"].score)
    assert fp32.error


# -- what a process computes -------------------------------------------------------------------


def outputs_of(spec: StudySpec, **options) -> list[tuple[np.ndarray, AttentionTotals]]:
    """Outputs and counts of each text with the attention of ``thresher eval``."""
    model, found = load_model(spec.model), []
    for text in spec.parts[0]:
        attention = AcceleratorAttention(config=spec.config, scales=spec.scales, backend=GoldenBackend(), **options)
        found.append((model.outputs_of([text], attention)[0], attention.totals))
    return found


@pytest.mark.parametrize(
    ("case", "setting"),
    [
        (Case(rule="threshold", target=0.5), {"rho": 0.4}),
        (Case(rule="tau", target=0.3), {"tau": 25.0}),
        (Case(rule="threshold+tau", target=0.5, head_target=0.3), {"rho": 0.4, "tau": 25.0}),
        (Case(rule="int8"), {}),
    ],
    ids=lambda value: value.rule if isinstance(value, Case) else "",
)
def test_the_hardwares_rules_are_those_of_eval(spec, case, setting, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "thresher.runtime.study.work.predicted",
        lambda task, outputs, activation: (seen.append(outputs), outputs.argmax(axis=1))[1],
    )
    result = StudyWork(spec).run(Job(case=case, part=0, parameters=tuple(setting.values())))
    expected = outputs_of(spec, **setting)
    np.testing.assert_array_equal(seen[0], [output for output, _ in expected])
    totals = sum((each for _, each in expected[1:]), expected[0][1])
    for name in ("heads", "pruned_heads", "blocks", "kept_blocks", "outputs", "saturations"):
        assert result["counts"][name] == getattr(totals, name), name
    assert (totals.pruned_heads > 0) == ("tau" in setting)
    assert (totals.kept_blocks < totals.blocks) == bool(setting)


@pytest.mark.parametrize("rule", ["random", "random-heads"])
def test_random_choices_depend_on_seed_and_place(spec, rule, monkeypatch):
    """So they are the same in every process and in any order of the jobs, and new for each text."""
    monkeypatch.setattr("thresher.runtime.study.work.predicted", lambda task, outputs, activation: outputs)
    texts = spec.parts[0][:1] * 6
    spec = replace(spec, parts=(texts, texts))

    def outputs(seed: int, order: tuple[int, ...]) -> list[Any]:
        work, case = StudyWork(replace(spec, seed=seed)), Case(rule=rule, target=0.4)
        found = {part: work.run(Job(case=case, part=part, parameters=(0.4,))) for part in order}
        return [found[part]["predictions"] for part in (0, 1)]

    first, second = outputs(3, (0, 1))
    assert outputs(3, (1, 0)) == [first, second]
    assert outputs(4, (0, 1)) != [first, second]
    assert first != second
    assert len({tuple(each) for each in first + second}) > 4


def test_search():
    """Of a step function, the nearer of the two sides of the target."""
    assert search(lambda p: p, dense=0, sparse=1, target=0.3) == pytest.approx((0.3, 0.3), abs=2**-11)
    assert search(lambda p: 1 - p, dense=1, sparse=0, target=0.3) == pytest.approx((0.7, 0.3), abs=2**-11)
    step = search(lambda p: 0.2 if p < 0.5 else 0.9, dense=0, sparse=1, target=0.4)
    assert step.parameter < 0.5
    assert step.sparsity == 0.2


def test_parts_hold_similar_lengths():
    assert parts_of([9, 2, 7, 3, 5], 2) == [[1, 3], [4, 2], [0]]


def test_cases():
    cases = cases_of(["random", "tau"], [Scores.EXACT], (0.5,), (0.2,))
    assert [case.key for case in cases] == ["fp32 predicted", "int8 predicted", "tau exact 0.2"]
    pairs = ["top-k-blocks+spatten", "random+random-heads"]
    cases = cases_of(pairs, [Scores.EXACT], (0.5,), (0.2,), ((0.7, 0.6), (0.1,)))
    assert [case.key for case in cases[2:]] == [
        "top-k-blocks+spatten exact 0.6 0.1",
        "top-k-blocks+spatten exact 0.7 0.1",
    ]
    assert [single.key for single in cases[2].singles] == ["top-k-blocks exact 0.6", "spatten exact 0.1"]
    assert cases[0].singles == ()


def test_rows_put_parts_together(few, data):
    dataset = read_dataset(data, "sst2")
    case = Case(rule="fp32")
    counts = dict.fromkeys(["kept_blocks", "blocks", "kept_elements", "elements", "pruned_heads", "heads"], 0)
    counts |= {"outputs": 0, "saturations": 0}
    results = {case: [{"predictions": [0, 0, 1], "counts": counts}, {"predictions": [1, 0], "counts": counts}]}
    (row,) = rows_of(dataset, [case], [[2, 3, 1], [0, 4]], results, {}, seed=0)
    assert row.score == 1


def row_of(rule: str, prunes: str, *, target: float | None, calibrated: float | None, measured: float) -> StudyRow:
    """A row in which nothing matters but the sparsity."""
    scores = dict.fromkeys(["score", "error", "change", "change_error", "element_sparsity", "saturated"], 0.0)
    heads = prunes == "heads"
    return StudyRow(
        rule=rule,
        prunes=prunes,
        scores="predicted",
        target=target,
        head_target=None,
        parameter=None if target is None else 0.5,
        head_parameter=None,
        calibration_sparsity=calibrated,
        head_calibration_sparsity=None,
        block_sparsity=0.9,
        block_sparsity_of_kept_heads=0.9 if heads else measured,
        head_sparsity=measured if heads else 0.9,
        **scores,
    )


def test_missed_targets_have_a_cause():
    """A difference of up to five points is no miss. Rules of blocks and rules of heads each have their sparsity."""
    rows = [
        row_of("int8", "nothing", target=None, calibrated=None, measured=0.9),
        row_of("threshold", "blocks", target=0.5, calibrated=0.5, measured=0.55),
        row_of("threshold", "blocks", target=0.5, calibrated=0.5, measured=0.551),
        row_of("sanger", "elements", target=0.3, calibrated=0.26, measured=0.1),
        row_of("tau", "heads", target=0.3, calibrated=0.3, measured=0.3),
        row_of("spatten", "heads", target=0.1, calibrated=0.0, measured=0.0),
        row_of("random-heads", "heads", target=0.1, calibrated=0.1, measured=0.2),
        replace(
            row_of("threshold+tau", "blocks and heads", target=0.5, calibrated=0.5, measured=0.6),
            head_target=0.2,
            head_calibration_sparsity=0.2,
            head_sparsity=0.1,
        ),
    ]
    assert [(each.rule, each.of, each.cause, each.sparsity) for each in off_targets(rows)] == [
        ("threshold", "blocks", "calibration", 0.551),
        ("sanger", "blocks", "calibration", 0.1),
        ("spatten", "heads", "rule", 0.0),
        ("random-heads", "heads", "rule", 0.2),
        ("threshold+tau", "blocks", "calibration", 0.6),
        ("threshold+tau", "heads", "calibration", 0.1),
    ]


def test_other_calibration_texts_miss_the_target(few, tmp_path):
    """The parameter has the wanted sparsity in texts of the same word again and again, and not in the data."""
    path = tmp_path / "calibration.txt"
    path.write_text(
        "".join(f"{word} {word} {word} {word} {word} {word}\n" for word in ("good", "bad", "fine", "awful"))
    )
    options = {"rules": ["sanger"], "scores": [Scores.PREDICTED], "targets": (0.5,)}
    report = few(calibration=path, **options)
    (missed,) = report.off_target
    assert (missed.rule, missed.of, missed.cause) == ("sanger", "blocks", "calibration")
    assert missed.sparsity == report.rows[-1].block_sparsity
    assert missed.calibration_sparsity == report.rows[-1].calibration_sparsity
    assert few("alike", **options).off_target == ()


def test_a_log_without_sparsities_goes_on(few, tmp_path):
    """Logs of older versions have the parameters alone; no case runs again."""
    options = {"rules": ["threshold", "tau"], "scores": [Scores.PREDICTED]}
    whole = few(**options)
    log = tmp_path / "out" / LOG
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    old = [line for line in lines if '"key": "sparsity of' not in line]
    assert len(old) == len(lines) - 4
    log.write_text("".join(old))
    resumed = few(**options)
    assert resumed.rows == whole.rows
    assert resumed.resumed == len(old) - 1
    assert len(log.read_text(encoding="utf-8").splitlines()) == len(lines)


def test_the_log_is_in_the_folder(few, tmp_path):
    few(rules=["random"], targets=(0.5,), scores=[Scores.PREDICTED])
    first = json.loads((tmp_path / "out" / LOG).read_text(encoding="utf-8").splitlines()[0])
    assert Path(first["study"]["model"]).is_dir()
    assert set(first["study"]) == {"model", "weights", "task", "configuration", "texts", "calibration", "seed"}


def test_another_model_in_the_same_folder_is_refused(make_model, data, tmp_path):
    folder = make_model()

    def found():
        settings = {"rules": ["threshold"], "scores": [Scores.PREDICTED], "targets": [0.5], "jobs": 1}
        return study(load_model(folder), "sst2", data, config=EDGE, output=tmp_path / "out", **settings)

    found()
    weights = load_file(folder / "model.safetensors")
    save_file({name: -array for name, array in weights.items()}, folder / "model.safetensors")
    with pytest.raises(ThresherError, match="differs in weights"):
        found()
