"""Names of units, and which names a user may choose."""

import dataclasses
import itertools
import re

import pytest
from thresher.spec import POLICIES, PRESETS, SPMM_PRESETS, VECTOR_PRESETS, ConfigError, preset
from thresher.spec.verilog_names import KEYWORDS, SEPARATOR, ClockNames, check_prefix, unit_name


def test_presets_have_their_names():
    assert [unit_name(config) for config in PRESETS.values()] == [f"attention_core_{name}" for name in PRESETS]
    assert [unit_name(config) for config in SPMM_PRESETS.values()] == [f"spmm_{name}" for name in SPMM_PRESETS]
    assert [unit_name(config) for config in VECTOR_PRESETS.values()] == [
        f"vector_unit_{name}" for name in VECTOR_PRESETS
    ]
    assert unit_name(preset("tiny", policy="hdp")) == "attention_core_tiny_hdp"


def test_other_configurations_have_a_part_of_their_hash():
    config = dataclasses.replace(PRESETS["tiny"], max_length=32)
    assert unit_name(config) == f"attention_core_{config.hash()[:8]}"


def test_different_configurations_have_different_names():
    configs = [preset(name, policy=policy) for name, policy in itertools.product(PRESETS, POLICIES)]
    configs += [dataclasses.replace(PRESETS["tiny"], max_length=length) for length in range(2, 200, 2)]
    names = [unit_name(config) for config in configs]
    assert len(set(names)) == len(set(configs))
    assert [check_prefix(name) for name in names] == names


def test_no_prefix_is_the_start_of_a_module_of_another():
    """The first separator in the name of a module ends the prefix."""
    for name in ("a", "a_b", "a_b_c", "A1", "unit_2x"):
        assert f"{check_prefix(name)}{SEPARATOR}b".split(SEPARATOR, 1)[0] == name
    for name in ("a__b", "a_", "a___"):
        with pytest.raises(ConfigError, match="single underscores"):
            check_prefix(name)


def test_keywords_are_plain_and_rejected():
    assert {"module", "reg", "logic", "always_ff", "wire", "endmodule", "soft", "xor"} <= KEYWORDS
    assert all(re.fullmatch("[a-z][a-z0-9_]*", word) for word in KEYWORDS)
    for word in KEYWORDS:
        with pytest.raises(ConfigError, match="keyword"):
            check_prefix(word)


def test_clock_and_reset_differ():
    assert ClockNames(clock="a", reset_name="b").clock == "a"
    with pytest.raises(ConfigError, match="name of the clock"):
        ClockNames(clock="a", reset_name="a")
