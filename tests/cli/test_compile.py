"""``thresher compile``: files, and bad input."""

import hashlib
import json

import numpy as np
import pytest
from thresher.golden.machine import Machine
from thresher.golden.memory import Memory
from thresher.spec import CoprocessorConfig
from thresher.spec.image import Image
from thresher.spec.program import Region

from .runner import invoke, refused

FILES = ["encoder.json", "image.bin", "listing.txt"]


def compiled(folder, *options: object) -> dict:
    result = invoke("compile", "-o", folder, "--preset", "tiny", *options, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.slow
def test_compile(tmp_path):
    told = compiled(tmp_path / "deep" / "out", "--lengths", "5,3")
    folder = tmp_path / "deep" / "out"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    description = json.loads((folder / "encoder.json").read_text())
    for name, expected in description["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
    image = Image.decode((folder / "image.bin").read_bytes())
    assert image.instructions == told["instructions"]
    assert len(image.data) == told["regions"]["CONSTANTS"] > 1 << 20
    assert (told["lengths"], told["weights"]) == ([5, 3], None)

    # The files are all that the golden model needs.
    config = CoprocessorConfig.from_json(json.dumps(description["configuration"]))
    assert config.hash() == description["hash"]
    regions = {region: np.zeros(description["regions"][region.name], np.uint8) for region in Region}
    regions[Region.CONSTANTS] = np.frombuffer(image.data, np.uint8)
    outcome = Machine(config, Memory(regions=regions)).run(image.data[image.program :])
    assert outcome.fault is None
    (scores,) = description["output"]["places"]
    assert scores["type"] == "int8"
    assert [(each["name"], each["type"], each["offset"], each["bytes"]) for each in description["input"]] == [
        ("ids", "uint32", 0, 32),
        ("places", "uint32", 32, 32),
        ("first tokens", "uint32", 64, 8),
    ]
    assert set(description["places"]) == {"types", "positions", "first"}
    found = regions[Region.OUTPUT][scores["offset"] :][: scores["bytes"]].view(np.int8)
    assert not found.reshape(2, -1)[:, 2:].any()  # padding
    assert found.reshape(2, -1)[:, :2].any()


def test_embeddings_from_the_host(tmp_path):
    compiled(tmp_path, "--lengths", "5", "--host-embeddings")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "embeddings.bin"])
    description = json.loads((tmp_path / "encoder.json").read_text())
    words, places = description["embeddings"]
    assert (words["name"], words["offset"], places["name"]) == ("words", 0, "places")
    size = (tmp_path / "embeddings.bin").stat().st_size
    assert size == places["offset"] + places["rows"] * places["row_bytes"]
    assert [each["type"] for each in description["input"]] == ["int8", "int8", "uint32"]
    assert places["rows"] == description["places"]["types"] * description["places"]["positions"]
    assert [each["bytes"] for each in description["input"]] == [5 * words["row_bytes"], 5 * places["row_bytes"], 4]
    compiled(tmp_path, "--lengths", "4")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


@pytest.mark.slow
def test_pruned_weights_are_smaller(tmp_path):
    dense = compiled(tmp_path / "dense", "--lengths", "4")
    pruned = compiled(tmp_path / "pruned", "--lengths", "4", "--format", "csr-delta", "--weight-sparsity", 0.95)
    assert pruned["weight_macs"] < 0.5 * dense["weight_macs"]
    assert pruned["weights"] == "csr-delta 0.95 by obs"


@pytest.mark.slow
def test_weights_of_four_bits_are_smaller(tmp_path):
    wide = compiled(tmp_path / "wide", "--lengths", "4")
    narrow = compiled(tmp_path / "narrow", "--lengths", "4", "--weight-bits", 4)
    assert (wide["weight_bits"], narrow["weight_bits"]) == (8, 4)
    assert json.loads((tmp_path / "narrow" / "encoder.json").read_text())["weight_bits"] == 4
    assert "weight_bits=1" in (tmp_path / "narrow" / "listing.txt").read_text()
    assert narrow["regions"]["CONSTANTS"] < wide["regions"]["CONSTANTS"] - 60_000


def test_the_table(tmp_path):
    result = invoke("compile", "-o", tmp_path, "--preset", "tiny", "--lengths", "4")
    assert result.exit_code == 0, result.stderr
    assert "1 text, 4 tokens" in result.stdout
    assert "proved" in result.stdout
    assert "SCRATCH" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lengths", "4,x"], "--lengths must be numbers"),
        (["--lengths", "+4"], "--lengths must be numbers"),
        (["--lengths", "٤"], "--lengths must be numbers"),
        (["--lengths", "1" * 5000], "--lengths must be numbers"),
        (["--lengths", "4,0"], "from 1 to 64 tokens"),
        (["--lengths", "65"], "from 1 to 64 tokens"),
        (["--lengths", "1000"], "at most 512 tokens for this model"),
        (["--group", 3], "group=3"),
        (["--rho", 2], "rho"),
        (["--weight-sparsity", 0.5], "--format"),
        (["--weight-bits", 5], "--weight-bits=5 is not allowed: must be one of 8, 4"),
        (["--weights", "missing.safetensors"], "missing.safetensors"),
    ],
)
def test_bad_input(tmp_path, options, message):
    assert message in refused("compile", "-o", tmp_path / "out", "--preset", "tiny", *options)
    assert not (tmp_path / "out").exists()


def test_an_empty_output(tmp_path, monkeypatch):
    """``-o $FOLDER`` without its variable does not fill the current folder."""
    monkeypatch.chdir(tmp_path)
    result = invoke("compile", "-o", "", "--preset", "tiny")
    assert result.exit_code == 2
    assert "it is empty: name a folder" in result.stderr
    assert list(tmp_path.iterdir()) == []
