"""The one family of errors that users see."""

__all__ = ["CommandValueError", "ConfigError", "InputError", "ThresherError"]


class ThresherError(Exception):
    """Something the user can put right. The message is one line and says what to do."""


class ConfigError(ThresherError, ValueError):
    """A configuration that no hardware can be generated from."""

    def __init__(self, field: str, value: object, allowed: str):
        self.field, self.value, self.allowed = field, value, allowed
        super().__init__(f"{field}={value!r} is not allowed: {allowed}")


class CommandValueError(ConfigError):
    """A head command with a field that its hardware cannot carry or that makes no sense."""


class InputError(ThresherError, ValueError):
    """Input data of the wrong shape, type or range."""
