"""Base class of all errors that users see, and the errors of configurations, commands and data."""

__all__ = ["CommandValueError", "ConfigError", "InputError", "SimulationError", "ThresherError", "show_value"]

LONGEST_MESSAGE = 1000
"""Characters. Names and values in a damaged file can have any length."""


def _one_line(text: str) -> str:
    """A text on one line. The middle of a long one is left out, because the end says what to do."""
    text = " ".join(text.splitlines())
    half = LONGEST_MESSAGE // 2 - 2
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:half]} … {text[-half:]}"


def show_value(value: object) -> str:
    """A value as Python writes it, or its type if Python cannot: nesting that is too deep, or too many digits."""
    try:
        return repr(value)
    except (RecursionError, ValueError):
        return f"a {type(value).__name__}"


class ThresherError(Exception):
    """An error that the user can correct. Its message is one line and says what to do."""

    def __str__(self):
        return _one_line(super().__str__())


class ConfigError(ThresherError, ValueError):
    """A field of a configuration, or an option, has an illegal value.

    Parameters
    ----------
    field : str
        Name of the field.
    value : object
        The illegal value.
    allowed : str
        What is allowed, for example "must be 1 or 2", or what to do.
    """

    def __init__(self, field: str, value: object, allowed: str):
        super().__init__(field, value, allowed)
        self.field, self.value, self.allowed = field, value, allowed

    def __str__(self):
        return _one_line(f"{self.field}={show_value(self.value)} is not allowed: {self.allowed}")


class CommandValueError(ConfigError):
    """A field of a command does not fit its bits, or has a value without meaning."""


class InputError(ThresherError, ValueError):
    """Input data has the wrong shape, type or range."""


class SimulationError(Exception):
    """The hardware gives too few outputs in time, breaks a rule of streams, or gives an impossible answer.

    No input can cause this. It is a defect, and therefore not a :class:`ThresherError`.
    """
