"""The one family of errors that users see."""

__all__ = ["CommandValueError", "ConfigError", "InputError", "ThresherError"]


class ThresherError(Exception):
    """Something the user can put right. The message is one line and says what to do."""


class ConfigError(ThresherError, ValueError):
    """A configuration that no hardware can be generated from."""

    def __init__(self, field: str, value: object, allowed: str):
        super().__init__(field, value, allowed)
        self.field, self.value, self.allowed = field, value, allowed

    def __str__(self):
        return f"{self.field}={self.value!r} is not allowed: {self.allowed}"


class CommandValueError(ConfigError):
    """A head command with a field that its hardware cannot carry or that makes no sense."""


class InputError(ThresherError, ValueError):
    """Input data of the wrong shape, type or range."""
