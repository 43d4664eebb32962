"""Messages of errors: one line with an end, whatever the values."""

import pytest
from thresher.cli.option_errors import option_message
from thresher.spec.errors import ConfigError, InputError, show_value


def test_a_message_is_one_line():
    assert str(InputError("a\nb\u2028c: give another")) == "a b c: give another"


def test_the_end_of_a_long_message_is_kept():
    message = str(InputError("a" * 10_000 + ": give another"))
    assert len(message) <= 1000
    assert message.startswith("aaa")
    assert message.endswith("a: give another")


@pytest.mark.parametrize(
    ("value", "told"),
    [(10**5000, "a int"), ([], "[]"), ("a\nb", r"'a\nb'"), (10**400, "1" + "0" * 400)],
    ids=["too many digits", "a list", "two lines", "many digits"],
)
def test_every_value_can_be_shown(value, told):
    assert show_value(value) == told
    assert str(ConfigError("field", value, "give another")) == f"field={told} is not allowed: give another"


def test_values_that_are_too_deep_are_shown_by_their_type():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    error = ConfigError("field", deep, "give another")
    assert str(error) == "field=a list is not allowed: give another"
    assert option_message(error, lambda: None) == str(error)
    while deep:  # Python frees it level by level
        deep = deep[0]
