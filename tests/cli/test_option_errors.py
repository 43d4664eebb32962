"""Messages name an option as it is written on the command line."""

import json

import pytest
from thresher.cli.bench_spmm import bench_spmm
from thresher.cli.commands import app
from thresher.cli.frame import bench_app
from thresher.cli.option_errors import option_message
from thresher.cli.pick import pick
from thresher.cli.synth import synth
from thresher.spec import ConfigError

from .runner import refused


@pytest.mark.parametrize(
    ("command", "field", "value", "expected"),
    [
        (pick, "target_speedup", 0.0, "--target-speedup=0.0 is not allowed: why"),
        (pick, "jobs", 0, "--jobs=0 is not allowed: why"),  # the parameter has another name
        (pick, "rhos", [], "--rho=[] is not allowed: why"),  # the option has another name
        (bench_spmm, "picture", "x.pdf", "--picture='x.pdf' is not allowed: why"),
        (bench_spmm, "max_rows", 3, "max_rows=3 is not allowed: why"),
        (synth, "allow-slow", True, "--allow-slow is not allowed: why"),
        (pick, "data", None, "--data why"),
    ],
)
def test_message(command, field, value, expected):
    assert option_message(ConfigError(field, value, "why"), command) == expected


@pytest.mark.parametrize("info", [*app.registered_commands, *bench_app.registered_commands], ids=lambda info: info.name)
def test_every_command_has_the_option_of_json_output(info):
    command = info.callback.__wrapped__
    assert option_message(ConfigError("as_json", 1, "why"), command) == "--json=1 is not allowed: why"


def test_fields_of_a_configuration_file_are_no_options(tmp_path):
    """Of the SpMM engine, ``rows`` is the number of row engines."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"rows": 3}))
    line = refused("bench", "spmm", "--config", path)
    assert "mine.json': rows=3 is not allowed" in line
    assert "--rows" not in line


@pytest.mark.parametrize("command", ["demo --unit attention", "eval", "pick", "bench attention"])
def test_commands_about_attention_take_a_configuration(command, tmp_path):
    """Hardware that is too small for the command's heads. The same preset without the file takes them."""
    path, data = tmp_path / "mine.json", tmp_path / "data.tsv"
    path.write_text('{"max_head_dim": 32, "predictor_lanes": 32}')
    data.write_text("sentence\tlabel\na film\t1\n")
    options = {
        "eval": ["--task", "sst2", "--data", data],
        "pick": ["--task", "sst2", "--data", data, "--target-speedup", 1.5],
    }
    line = refused(*command.split(), *options.get(command, []), "--config", path)
    assert "at most 32" in line or "from 1 to 32" in line
