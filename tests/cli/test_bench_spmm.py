"""``thresher bench spmm``: figures and picture, and errors for bad input; Verilog of the engine."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from thresher.cost.spmm import cycles
from thresher.model import pack as pack_module
from thresher.runtime import compare, networks, products, spmm_bench
from thresher.runtime.networks import PointwiseLayer
from thresher.sim.spmm import SpmmSimulator
from thresher.spec import SpmmConfig, WeightFormat, spmm_preset
from thresher.spec.errors import SimulationError

from .runner import invoke, refused

TINY = spmm_preset("tiny")
ROWS, COLUMNS, TOKENS = 24, 32, 6
BENCH = ["bench", "spmm", "--preset", "tiny", "--rows", ROWS, "--cols", COLUMNS, "--tokens", TOKENS]
PROMISED = {
    "cycles", "nnz", "multipliers", "lanes", "row_engines", "utilisation", "dense_cycles", "speedup", "bytes",
    "dense_bytes", "bit_exact", "steady_cycles",
}  # fmt: skip


@pytest.fixture
def tensors(tmp_path) -> Path:
    random = np.random.default_rng(5)
    path = tmp_path / "some.safetensors"
    named = {
        "layer.0.wide.weight": random.normal(size=(ROWS, COLUMNS)).astype(np.float32),
        "layer.0.half.weight": random.normal(size=(7, 9)).astype(np.float16),
        "layer.0.wide.bias": random.normal(size=ROWS).astype(np.float32),
        "layer.0.large.weight": random.normal(size=(4, TINY.max_columns + 1)).astype(np.float32),
        "layer.0.broken.weight": np.full((8, 8), np.nan, np.float32),
        "layer.0.empty.weight": np.zeros((0, 8), np.float32),
        "positions": np.arange(12).reshape(3, 4),
    }
    save_file(named, path)
    return path


# -- bench spmm --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight_format", "nnz", "size"),
    [
        ("csr", 192, 192 + 192 * 5 // 8 + 2 * ROWS),  # 32 columns: 5 bits
        ("csr-delta", 192, 192 + 192 + 2 * ROWS),
        ("bbs", 192, 192 + 192 * 3 // 8),  # banks of 8 columns: 3 bits
        ("nm", 384, 384 + 384 * 2 // 8),
        ("dense", 768, 768),
    ],
)
def test_bench(weight_format, nnz, size):
    result = invoke(*BENCH, "--format", weight_format, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told.keys() >= PROMISED
    assert told["bit_exact"] is True
    assert (told["rows"], told["columns"], told["tokens"]) == (ROWS, COLUMNS, TOKENS)
    assert (told["preset"], told["seed"], told["weights"], told["format"]) == ("tiny", 0, "random", weight_format)
    assert (told["nnz"], told["bytes"], told["dense_bytes"]) == (nnz, size, ROWS * COLUMNS)
    assert told["sparsity"] == 1 - nnz / (ROWS * COLUMNS)
    assert told["lanes"] * told["row_engines"] == told["multipliers"] == TINY.multipliers
    assert told["utilisation"] == nnz * TOKENS / (TINY.multipliers * told["cycles"])
    assert told["speedup"] == told["dense_cycles"] / told["cycles"]
    dense = cycles(TINY, WeightFormat.DENSE, columns=COLUMNS, tokens=TOKENS, lengths=[COLUMNS] * ROWS)
    assert abs(told["dense_cycles"] - dense) < 5
    assert told["steady_cycles"] <= told["cycles"] <= told["dense_cycles"]
    assert "note" not in result.stderr


@pytest.mark.parametrize(("weight_format", "packings"), [("csr", 2), ("bbs", 2), ("dense", 1)])
def test_the_matrix_is_pruned_quantised_and_packed_once(monkeypatch, weight_format, packings):
    """The second packing is that of the dense product."""
    calls: list[str] = []

    def count(module, name):
        original = getattr(module, name)

        def counted(*args, **kwargs):
            calls.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)

    count(products, "prune_matrices")
    count(pack_module, "quantise_pruned")
    count(pack_module, "pack")
    count(products, "pack")
    assert invoke(*BENCH, "--format", weight_format).exit_code == 0
    assert calls.count("prune_matrices") == calls.count("quantise_pruned") == 1
    assert calls.count("pack") == packings


@pytest.mark.slow
def test_bench_prints_a_table():
    result = invoke(*BENCH, "--format", "bbs", "--sparsity", "0.5")
    assert result.exit_code == 0, result.stderr
    shown = {line.rsplit(maxsplit=1)[0].strip(): line.rsplit(maxsplit=1)[1] for line in result.stdout.splitlines()[1:]}
    assert (shown["nnz"], shown["sparsity"], shown["bit exact"]) == ("384", "0.500", "yes")


def test_a_seed_gives_the_same_and_another_does_not():
    told = [json.loads(invoke(*BENCH, "--seed", seed, "--json").stdout) for seed in (3, 3, 4)]
    for each in told:
        del each["simulated_cycles_per_second"], each["seed"]
    assert told[0] == told[1] != told[2]


@pytest.mark.parametrize(
    ("weight_format", "words"),
    [
        ("nm", "note: 2:4 weights have a sparsity of 0.5, not 0.9"),
        ("dense", "note: dense weights have a sparsity of 0, not 0.9"),
    ],
)
def test_note_about_formats_with_one_sparsity(model, tmp_path, weight_format, words):
    options = ["--preset", "tiny", "--format", weight_format, "--sparsity", 0.9, "--json"]
    result = invoke(*BENCH, *options)
    assert result.exit_code == 0
    assert words in result.stderr
    assert json.loads(result.stdout)["sparsity"] == (0.5 if weight_format == "nm" else 0)
    result = invoke("prune", "--method", "magnitude", "--model", model, "-o", tmp_path / "out", *options)
    assert result.exit_code == 0
    assert words in result.stderr


def test_default_sparsity(model, tmp_path):
    for options in (BENCH, ["prune", "--model", model, "--preset", "tiny", "-o", tmp_path / "out"]):
        result = invoke(*options, "--format", "csr", "--json")
        assert result.exit_code == 0, result.stderr
        told = json.loads(result.stdout)
        assert told.get("total", told)["sparsity"] == pytest.approx(0.75, abs=0.001)
        assert result.stderr == ""


def test_note_if_no_weight_is_left():
    result = invoke("bench", "spmm", "--preset", "tiny", "--rows", 1, "--cols", 1)
    assert result.exit_code == 0
    assert "note: no weight is left: choose a lower sparsity" in result.stderr


@pytest.mark.parametrize("weight_format", ["bbs", "dense"])
def test_activations(weight_format, monkeypatch):
    """Each equals the golden model's, and the three differ, so that a wrong one would be noticed."""
    honest, outputs, cycles_of = compare.sparse_product, [], {}

    def listening(*args, **kwargs):
        outputs.append(honest(*args, **kwargs))
        return outputs[-1]

    monkeypatch.setattr(compare, "sparse_product", listening)
    lowest = {}
    for name in ("none", "relu", "gelu"):
        outputs.clear()
        told = json.loads(invoke(*BENCH, "--format", weight_format, "--activation", name, "--json").stdout)
        assert (told["activation"], told["bit_exact"]) == (name, True)
        cycles_of[name], lowest[name] = told["cycles"], {int(each.output.min()) for each in outputs}
    assert cycles_of["relu"] == cycles_of["none"] <= cycles_of["gelu"] <= cycles_of["none"] + 256
    # GELU is lowest at −0.17, which is −7 at 3/127.
    assert (lowest["relu"], lowest["gelu"]) == ({0}, {-7})
    assert max(lowest["none"]) < -50


@pytest.mark.slow
def test_another_pattern_from_a_file(tmp_path):
    (tmp_path / "mine.json").write_text('{"formats": ["dense", "nm"], "banks": 1, "kept": 1, "group": 8}')
    result = invoke(*BENCH, "--config", tmp_path / "mine.json", "--format", "nm", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["bit_exact"] is True
    assert told["sparsity"] == 1 - 1 / 8
    assert "has dense, nm" in refused(*BENCH, "--config", tmp_path / "mine.json").replace("nm, dense", "dense, nm")


@pytest.mark.parametrize(("name", "shape"), [("layer.0.wide.weight", (ROWS, COLUMNS)), ("layer.0.half.weight", (7, 9))])
def test_a_trained_matrix(tensors, name, shape):
    line = ["bench", "spmm", "--preset", "tiny", "--tokens", 5, "--weights", tensors, "--tensor", name]
    result = invoke(*line, "--sparsity", 0.5, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["bit_exact"] is True
    assert (told["rows"], told["columns"], told["weights"]) == (*shape, name)
    weights = np.abs(load_file(tensors)[name]).astype(np.float32)
    assert told["nnz"] == np.count_nonzero(weights > np.sort(weights.ravel())[(weights.size + 1) // 2 - 1])
    refusal = refused(*line, "--rows", shape[0] + 1)
    assert f"the tensor has {shape[0]}" in refusal


def test_a_tensor_keeps_its_pattern_if_asked(tensors):
    weights = load_file(tensors)
    weights["layer.0.wide.weight"] = np.eye(ROWS, COLUMNS, dtype=np.float32)
    save_file(weights, tensors)
    line = ["bench", "spmm", "--preset", "tiny", "--tokens", 5, "--weights", tensors, "--tensor", "layer.0.wide.weight"]
    told = json.loads(invoke(*line, "--sparsity", "keep", "--json").stdout)
    assert (told["target"], told["nnz"], told["zeros"]) == ("keep", ROWS, 0)
    assert told["own_sparsity"] == told["sparsity"] == 1 - 1 / COLUMNS


def test_picture(tmp_path):
    path = tmp_path / "deep" / "spmm.png"
    result = invoke(*BENCH, "--picture", path, "--json")
    assert result.exit_code == 0, result.stderr
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [each.name for each in path.parent.iterdir()] == ["spmm.png"]
    told = json.loads(result.stdout)
    assert told["picture"] == str(path)
    points = told["points"]
    assert all(point["bit_exact"] for point in points)
    assert {point["format"] for point in points} == {str(item) for item in WeightFormat}
    by_format = {str(item): [point for point in points if point["format"] == item] for item in WeightFormat}
    (dense,), (pattern,) = by_format["dense"], by_format["nm"]
    assert (dense["speedup"], dense["bytes"], pattern["sparsity"]) == (1, ROWS * COLUMNS, 0.5)
    assert [point["sparsity"] for point in by_format["csr"]] == pytest.approx(spmm_bench.SWEPT, abs=1e-3)
    banks = [point["sparsity"] for point in by_format["bbs"]]  # eighths: what a bank of 8 columns can have
    assert banks == sorted(set(banks))
    assert set(banks) <= {1 - kept / 8 for kept in range(1, 5)}
    for found in by_format.values():
        assert [point["speedup"] for point in found] == sorted(point["speedup"] for point in found)
        for point in found:
            assert point["speedup"] == dense["cycles"] / point["cycles"]


def test_picture_of_a_matrix_that_is_too_narrow_for_banks(tmp_path):
    """The format is left out. The old file is replaced, and the table has the points."""
    path = tmp_path / "spmm.png"
    path.write_text("old")
    result = invoke("bench", "spmm", "--preset", "tiny", "--rows", 9, "--cols", 3, "--tokens", 1, "--picture", path)
    assert result.exit_code == 0, result.stderr
    assert path.read_bytes().startswith(b"\x89PNG")
    told = result.stdout.splitlines()
    formats = {line.split()[0] for line in told[told.index("") + 2 :]}
    assert formats == {"dense", "csr", "csr-delta", "nm"}


@pytest.mark.parametrize(("columns", "bbs", "nm"), [(1, 1, 1), (3, 3, 2), (5, 3, 3)])
@pytest.mark.parametrize(("weight_format", "options"), [("bbs", ["--sparsity", 0.25]), ("nm", [])])
def test_matrices_narrower_than_the_banks_or_a_group(columns, bbs, nm, weight_format, options):
    size = ["--rows", 5, "--cols", columns, "--tokens", 3]
    result = invoke("bench", "spmm", "--preset", "tiny", *size, "--format", weight_format, *options, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["bit_exact"], told["nnz"]) == (True, 5 * (bbs if weight_format == "bbs" else nm))


@pytest.mark.usefixtures("wrong_golden")
def test_a_difference_from_golden_is_a_failure():
    result = invoke(*BENCH, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["bit_exact"] is False
    assert "error: hardware and golden model differ" in result.stderr


def test_misbehaving_hardware_is_one_line(monkeypatch):
    def fail(*_, **__):
        raise SimulationError("no output\nfor 1000 cycles")

    monkeypatch.setattr(SpmmSimulator, "run", fail)
    assert "the hardware misbehaved (no output for 1000 cycles)" in refused(*BENCH)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sparsity", 1], ["sparsity=1.0", "not including, 1"]),
        (["--sparsity", -0.1], ["sparsity=-0.1"]),
        (["--sparsity", "nan", "--format", "nm"], ["sparsity=nan"]),
        (["--sparsity", 0.95, "--format", "bbs"], ["sparsity=0.95", "a bank of 8 columns", "0.875", "--config"]),
        (["--rows", 0], ["rows=0", "1 to 65535"]),
        (["--rows", 10**11], ["rows=100000000000", "1 to 65535: raise max_rows with --config"]),
        (["--cols", 65], ["cols=65", "1 to 64", "--preset edge, or raise max_columns with --config"]),
        (["--cols", 3, "--format", "bbs"], ["sparsity=0.75", "the sparsity is at most 0:", "fewer banks"]),
        (["--tokens", 0], ["tokens=0", "1 to 65535"]),
        (["--rows", 60000, "--tokens", 60000], ["tokens=60000", "GiB", "60000 × 32", "choose at most "]),
        (["--tensor", "a"], ["tensor='a'", "--weights"]),
        (["--picture", "x.jpg"], ["picture='x.jpg'", ".png"]),
        (["--config", "nowhere.json"], ["cannot read", "nowhere.json"]),
    ],
)
def test_bench_rejects(options, words, tmp_path):
    settings = dict(zip(BENCH[4::2], BENCH[5::2], strict=True)) | dict(zip(options[::2], options[1::2], strict=True))
    line = refused("bench", "spmm", "--preset", "tiny", *[part for pair in settings.items() for part in pair])
    for word in words:
        assert word in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (None, ["no tensor is named", "layer.0.half.weight"]),
        ("layer.0.wyde.weight", ["no tensor 'layer.0.wyde.weight'", "try 'layer.0.wide.weight'"]),
        ("wide", ["no tensor 'wide'", "try '"]),
        ("layer.0.wide.bias", ["(24,)", "two dimensions", "layer.0.wide.weight"]),
        ("positions", ["I64", "F32"]),
        ("layer.0.large.weight", ["cols=65", "--preset edge"]),
        ("layer.0.broken.weight", ["NaN"]),
        ("layer.0.empty.weight", ["(0, 8)", "not empty"]),
    ],
)
def test_bench_rejects_tensors(tensors, tensor, words):
    named = [] if tensor is None else ["--tensor", tensor]
    line = refused("bench", "spmm", "--preset", "tiny", "--weights", tensors, *named)
    for word in words:
        assert word in line


def test_bench_rejects_files(tensors, tmp_path):
    tensors.write_bytes(tensors.read_bytes()[:-1])
    for path, word in (
        (tensors, "truncated"),
        (tmp_path / "nowhere", "cannot read"),
        (tmp_path, "lacks model.safetensors"),
    ):
        line = refused("bench", "spmm", "--preset", "tiny", "--weights", path, "--tensor", "layer.0.wide.weight")
        assert word in line
        assert path.name in line


def test_a_picture_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.png").mkdir()
    for path in ("file/x.png", "folder.png"):
        assert path in refused(*BENCH, "--picture", tmp_path / path)


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    result = invoke(*BENCH)
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    ["prune", "prune -o x", "prune -o x --format csr --sparsity all", "bench spmm --format coo", "bench spmm --rows x"],
)
def test_usage_errors_exit_with_two(arguments):
    assert invoke(*arguments.split()).exit_code == 2


# -- verilog -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_verilog_of_the_engine(tmp_path):
    (tmp_path / "mine.json").write_text('{"max_columns": 40, "formats": ["csr", "dense"], "banks": 1}')
    line = ["verilog", "--unit", "spmm", "--preset", "tiny", "--config", tmp_path / "mine.json", "-o", tmp_path / "v"]
    result = invoke(*line, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    name = f"spmm_{told['configuration_sha256'][:8]}"
    assert told["written"] == [f"{name}.v", f"{name}.json", f"{name}.core"]
    described = json.loads(Path(told["description"]).read_text())
    config = SpmmConfig.from_json(json.dumps(described["configuration"]))
    assert (config.max_columns, config.rows) == (40, TINY.rows)
    assert described["top"] == name
    assert f"module {name}(" in Path(told["verilog"]).read_text()
    assert invoke(*line).stdout.count("unchanged") == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [('{"lanes": 3}', ["lanes=3"]), ('{"max_length": 8}', ["max_length=8", "known field"]), ("[]", ["object"])],
)
def test_verilog_of_the_engine_rejects(content, words, tmp_path):
    (tmp_path / "mine.json").write_text(content)
    line = ["verilog", "--unit", "spmm", "--preset", "tiny", "-o", tmp_path / "v"]
    told = refused(*line, "--config", tmp_path / "mine.json")
    for word in words:
        assert word in told
    assert "only attention has policies" in refused(*line, "--policy", "hdp")
    assert not (tmp_path / "v").exists()


# -- networks ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_network(monkeypatch):
    layers = (PointwiseLayer(name="only", rows=12, columns=16, tokens=9),) * 2
    monkeypatch.setitem(networks.NETWORKS, "mobilenet-v1", layers)
    line = ["bench", "spmm", "--preset", "tiny", "--network", "mobilenet-v1", "--sparsity", 0.5]
    result = invoke(*line, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["network"], told["target"], told["bit_exact"], len(told["layers"])) == ("mobilenet-v1", 0.5, True, 2)
    assert told["cycles"] == 2 * told["layers"][0]["cycles"]
    assert told["published"]["most"] == 1.6
    shown = invoke(*line).stdout
    for words in ("12 × 16 × 9", "as above", "all pointwise layers", "1.3 to 1.6", f"{told['cycles']:,}"):
        assert words in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tokens", 4], "--tokens=4 is not allowed: cannot be given with --network"),
        (["--weights", "w.safetensors"], "--weights='w.safetensors' is not allowed: cannot be given with --network"),
        (["--activation", "relu"], "--activation='relu' is not allowed: cannot be given with --network"),
        (["--sparsity", "keep"], "--sparsity='keep' is not allowed"),
        (["--preset", "tiny"], "the engine takes 1 to 64"),
    ],
)
def test_options_that_do_not_go_with_a_network(options, words):
    assert words in refused("bench", "spmm", "--network", "mobilenet-v2", *options)
