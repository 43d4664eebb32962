"""Base class of all errors that users see, and the errors of configurations, commands and data."""

__all__ = ["CommandValueError", "ConfigError", "InputError", "SimulationError", "ThresherError"]


class ThresherError(Exception):
    """An error that the user can correct. Its message is one line and says what to do."""


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
        return f"{self.field}={self.value!r} is not allowed: {self.allowed}"


class CommandValueError(ConfigError):
    """A field of a command does not fit its bits, or has a value without meaning."""


class InputError(ThresherError, ValueError):
    """Input data has the wrong shape, type or range."""


class SimulationError(Exception):
    """The hardware gives too few outputs in time, breaks a rule of streams, or gives an impossible answer.

    No input can cause this. It is a defect, and therefore not a :class:`ThresherError`.
    """
