"""CoprocessorConfig: what is refused, and JSON in and out."""

import dataclasses
import json
from pathlib import Path

import pytest
from thresher.spec import COPROCESSOR_PRESETS, ConfigError, CoprocessorConfig, coprocessor_preset

TINY = COPROCESSOR_PRESETS["tiny"]
PAGE = Path(__file__).parents[2] / "docs" / "coprocessor.md"


@pytest.mark.parametrize("config", COPROCESSOR_PRESETS.values(), ids=COPROCESSOR_PRESETS)
def test_json_gives_the_same_configuration(config):
    assert CoprocessorConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cores", 0),
        ("cores", 9),
        ("cores", 1.0),
        ("spmm", None),
        ("spmm", {"rows": 1}),
        ("attention", {}),
        ("vector", 8),
        ("vector", {"lanes": 8, "size": 3}),
    ],
)
def test_illegal_fields_are_rejected(field, value):
    with pytest.raises(ConfigError, match="is not allowed: ") as caught:
        dataclasses.replace(TINY, **{field: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("unit", "changes", "field"),
    [
        ("spmm", {"lanes": 16, "drain_lanes": 4}, "spmm.drain_lanes"),
        ("spmm", {"max_rows": 65536}, "spmm.max_rows"),
        ("spmm", {"max_columns": 65536}, "spmm.max_columns"),
        ("spmm", {"max_tokens": 65536}, "spmm.max_tokens"),
        ("vector", {"max_tokens": 65536}, "vector.max_tokens"),
        ("vector", {"lanes": 4}, "vector.lanes"),
        ("attention", {"lanes": 4}, "attention.lanes"),
        ("attention", {"lanes": 16, "predictor_lanes": 16}, "attention.lanes"),
    ],
)
def test_units_that_do_not_fit_together_are_rejected(unit, changes, field):
    other = dataclasses.replace(getattr(TINY, unit), **changes)
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(TINY, **{unit: other})
    assert caught.value.field == field


def test_json_names_a_fault_in_a_unit():
    fields = json.loads(TINY.to_json())
    fields["spmm"]["lanes"] = 7
    with pytest.raises(ConfigError, match=r"spmm\.lanes=7"):
        CoprocessorConfig.from_json(json.dumps(fields))
    with pytest.raises(ConfigError, match="spmm=3 is not allowed: must be an object"):
        CoprocessorConfig.from_json(json.dumps(fields | {"spmm": 3}))


def test_json_with_a_name_twice_is_rejected():
    text = TINY.to_json().replace('"lanes"', '"lanes": 4, "lanes"', 1)
    with pytest.raises(ConfigError, match=r"lanes=.* occurs twice"):
        CoprocessorConfig.from_json(text)


def test_a_policy_reaches_the_attention_cores():
    assert coprocessor_preset("tiny", policy="hdp").attention.policy["score"] == "approx"
    assert coprocessor_preset("tiny") == TINY


def test_the_documented_limits_are_those_of_the_presets():
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    head = rows.index(["preset", *(f"`{name}`" for name in COPROCESSOR_PRESETS), "field"])
    table = rows[head + 2 : head + 2 + 8]
    configs = COPROCESSOR_PRESETS.values()

    def value(config: CoprocessorConfig, path: str) -> str:
        for name in path.split("."):
            config = getattr(config, name)
        return str(config)

    for _, *found, fields in table:
        paths = [field.strip(" `") for field in fields.split(",")]
        if " × " in found[0]:
            wanted = [" × ".join(value(config, path) for path in paths) for config in configs]
            assert found == wanted, fields
        else:
            assert all(found == [value(config, path) for config in configs] for path in paths), fields
