"""Messages about options. Errors name a field as in Python; on the command line it has the name of its option."""

import inspect
from collections.abc import Callable

from ..spec.errors import ConfigError, show_value

__all__ = ["option_message"]


def option_message(error: ConfigError, command: Callable[..., None]) -> str:
    """The error's message, with the name of the command's option instead of the field's name, if there is one."""
    option = _options(command).get(error.field.replace("_", "-"))
    if option is None:
        return str(error)
    if error.value is None:
        return f"{option} {error.allowed}"
    value = "" if error.value is True else f"={show_value(error.value)}"
    return f"{option}{value} is not allowed: {error.allowed}"


def _options(command: Callable[..., None]) -> dict[str, str]:
    """Options by their names without hyphens at the start, and by the names of the command's parameters."""
    found = {}
    for name, parameter in inspect.signature(command).parameters.items():
        (settings,) = parameter.annotation.__metadata__
        option = settings.default  # in an Annotated, Typer's first argument is the name
        found |= {name.replace("_", "-"): option, option.removeprefix("--"): option}
    return found
