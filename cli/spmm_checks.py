"""What the commands about sparse weights refuse before anything is built or written, and what they remark on."""

from ..model.pack import UNSTRUCTURED, own_sparsity
from ..spec import SPMM_PRESETS, ConfigError, InputError, SpmmConfig, WeightFormat
from ..spec.formats import ceil_div
from ..spec.weight_words import stream_bytes

__all__ = ["check_engine", "check_global", "check_simulation", "chosen_sparsity", "sparsity_note"]

DEFAULT_SPARSITY = 0.75
"""Of the formats that can have any."""
MOST_STREAMED = 1 << 30
"""Bytes of weight words that a simulated product may take. Memory holds a few times as many."""


def check_engine(
    config: SpmmConfig, *, rows: int, columns: int, tokens: int, weight_format: WeightFormat, owner: str = ""
) -> None:
    """Refuse a product that the engine cannot take.

    Parameters
    ----------
    owner : str
        Whose the rows and columns are, unless they were given as options.

    Raises
    ------
    ConfigError
        The engine is too small, or lacks the format.
    """
    sizes = (
        (f"{owner}rows", "max_rows", rows),
        (f"{owner}cols", "max_columns", columns),
        ("tokens", "max_tokens", tokens),
    )
    for name, field, size in sizes:
        limit = getattr(config, field)
        if not 1 <= size <= limit:
            raise ConfigError(name, size, f"the engine takes 1 to {limit}" + _larger(field, size, limit))
    if weight_format not in config.formats:
        raise ConfigError("format", str(weight_format), "the engine has " + ", ".join(config.formats))


def _larger(field: str, size: int, limit: int) -> str:
    """What to do about a size beyond the limit."""
    if size <= limit:
        return ""
    presets = [name for name, preset in SPMM_PRESETS.items() if getattr(preset, field) >= size]
    return ": " + (f"choose --preset {presets[0]}, or " if presets else "") + f"raise {field} with --config"


def check_simulation(config: SpmmConfig, *, rows: int, columns: int, tokens: int) -> None:
    """Refuse a product that cannot be simulated beside the dense one.

    Raises
    ------
    ConfigError
        The engine takes no dense weights, or the simulation would not fit into memory.
    """
    if WeightFormat.DENSE not in config.formats:
        raise ConfigError("formats", list(map(str, config.formats)), "must have dense too, to be compared with")
    each = rows * columns * stream_bytes(config)
    passes = ceil_div(tokens, config.lanes)
    if each * passes <= MOST_STREAMED:
        return
    told = f"dense weights of {rows} × {columns}, streamed once per {config.lanes} tokens, are"
    told += f" {each * passes / 2**30:.1f} GiB, and {MOST_STREAMED >> 30} can be simulated"
    most = min(MOST_STREAMED // each * config.lanes, config.max_tokens)
    raise ConfigError("tokens", tokens, f"{told}: choose " + (f"at most {most}" if most else "fewer rows or columns"))


def check_global(weight_format: WeightFormat) -> None:
    """Refuse to rank the weights of all matrices together in a format that gives each row or bank its share.

    Raises
    ------
    InputError
        It does.
    """
    if weight_format not in UNSTRUCTURED:
        raise InputError(f"--global goes with --format {' or '.join(UNSTRUCTURED)}, not {weight_format}: leave it out")


def chosen_sparsity(config: SpmmConfig, weight_format: WeightFormat, asked: float | None) -> float:
    """The sparsity to prune to: what was asked for, unless the format has only its own.

    Raises
    ------
    ConfigError
        What was asked for is not from 0 to below 1.
    """
    if asked is not None and not 0 <= asked < 1:
        raise ConfigError("sparsity", asked, "must be a number from 0 up to, but not including, 1")
    own = own_sparsity(config, weight_format)
    return own if own is not None else DEFAULT_SPARSITY if asked is None else asked


def sparsity_note(config: SpmmConfig, weight_format: WeightFormat, asked: float | None, reached: float) -> str | None:
    """What to say about a sparsity that is not what was asked for, to a point."""
    if reached == 1:
        return "no weight is left: choose a lower sparsity"
    chosen = chosen_sparsity(config, weight_format, asked)
    wanted = chosen if asked is None else asked
    if abs(reached - wanted) <= 0.01 and abs(chosen - wanted) < 1e-9:
        return None
    what = f"{config.kept}:{config.group}" if weight_format is WeightFormat.NM else weight_format
    return f"{what} weights have a sparsity of {reached:.3g}, not {wanted:g}"
