"""Products for the SpMM engine: pruned weights times random tokens, and checks of their sizes."""

from dataclasses import replace

import numpy as np

from ..cost.spmm import cycles
from ..golden.spmm.packing import PackedWeights, pack, unpack
from ..model.pack import pack_pruned
from ..model.pruning.formats import fixed_sparsity, prune_matrices
from ..model.pruning.patterns import KEEP, Sparsity, check_sparsity
from ..model.weights import Float32
from ..sim.spmm_job import PackedMatrix, SpmmJob
from ..spec.errors import ConfigError
from ..spec.formats import INT8_MAX, INT8_MIN, ceil_div
from ..spec.presets import SPMM_PRESETS
from ..spec.spmm_command import Activation, row_scaling
from ..spec.spmm_config import SpmmConfig, WeightFormat
from ..spec.tables import gelu_table
from ..spec.weight_words import stream_bytes

__all__ = [
    "check_engine",
    "check_simulation",
    "chosen_sparsity",
    "dense_twin",
    "estimated_cycles",
    "fewest_cycles",
    "most_simulated",
    "product_job",
    "pruned_weights",
    "random_matrix",
    "reached_sparsity",
    "sparsity_note",
]

DEFAULT_SPARSITY = 0.75
"""Sparsity of the formats that can have any."""
MOST_STREAMED = 1 << 30
"""Bytes of weight words that a simulated product may stream. The simulation takes a few times as much memory."""
GELU_SCALE = 3 / INT8_MAX
"""Scale of INT8 values before and after a GELU, whose inputs then have a standard deviation of 1."""


def random_matrix(rows: int, columns: int, *, seed: int) -> Float32:
    """Normally distributed (M, K) weights."""
    return np.random.default_rng([seed, 0]).standard_normal((rows, columns), np.float32)


def pruned_weights(
    config: SpmmConfig, weights: Float32, weight_format: WeightFormat, sparsity: Sparsity | None
) -> tuple[PackedWeights, Float32]:
    """Prune a matrix by magnitude, quantise it to INT8 and pack it for an engine.

    Parameters
    ----------
    weights : (M, K) float32
    sparsity : Sparsity or None
        See :func:`~thresher.model.pruning.formats.FormatPattern`.

    Returns
    -------
    packed : PackedWeights
    scales : (M,) float32
        Value of one unit of each row.

    Raises
    ------
    ThresherError
        A weight is not finite, or the format cannot have this sparsity.
    """
    mask, _ = prune_matrices({"weights": weights}, weight_format, sparsity, config=config)["weights"]
    return pack_pruned(config, weights, mask, weight_format)


def reached_sparsity(packed: PackedWeights) -> float:
    """Share of zero weights. 0 for dense weights."""
    return 1 - packed.stored / (packed.rows * packed.columns)


def estimated_cycles(config: SpmmConfig, weights: PackedMatrix, tokens: int, *, spread: bool = False) -> int:
    """Cycles of a product by :func:`~thresher.cost.spmm.cycles`."""
    lengths = weights.lengths.tolist()
    return cycles(config, weights.format, columns=weights.columns, tokens=tokens, lengths=lengths, spread=spread)


def fewest_cycles(config: SpmmConfig, weights: PackedMatrix, tokens: int) -> tuple[int, bool]:
    """Estimated cycles of a product, and whether they are those of spread lanes because these take fewer."""
    ways = (False, True) if weights.format is WeightFormat.BBS else (False,)
    return min((estimated_cycles(config, weights, tokens, spread=spread), spread) for spread in ways)


def product_job(
    config: SpmmConfig,
    packed: PackedWeights,
    scales: Float32,
    *,
    tokens: int,
    seed: int,
    activation: Activation = Activation.NONE,
) -> SpmmJob:
    """Multiply packed weights by random tokens, at scales that spread the results over INT8.

    Parameters
    ----------
    scales : (M,) float32
        Value of one unit of each row of the weights.
    tokens : int
        N.
    activation : Activation
        ``TABLE`` is GELU; the job loads its table.
    """
    random = np.random.default_rng([seed, 1])
    values = unpack(packed).toarray()
    x = random.integers(INT8_MIN, INT8_MAX + 1, (packed.columns, tokens), dtype=np.int8)
    # Standard deviation of each row's results, for uniform X. In the row with the largest one, the ends of INT8 are at
    # three standard deviations.
    norms = np.sqrt(np.square(values, dtype=np.float64).sum(axis=1)) * x.std(dtype=np.float64)
    unit = 3 * max(float((norms * scales).max()), float(scales.max())) / INT8_MAX
    settings = np.array([row_scaling(max(float(scale) / unit, 2.0**-24)) for scale in scales])
    return SpmmJob(
        weights=packed,
        x=x,
        bias=np.rint(random.normal(0, 1, packed.rows) * np.maximum(norms, 1)).astype(np.int64),
        multiplier=settings[:, 0],
        shift=settings[:, 1],
        activation=activation,
        table=gelu_table(GELU_SCALE, GELU_SCALE) if activation is Activation.TABLE else None,
        spread=fewest_cycles(config, packed, tokens)[1],
    )


def dense_twin(job: SpmmJob) -> SpmmJob:
    """The same product with its weights in dense format; ``job`` itself if they are dense."""
    if job.weights.format is WeightFormat.DENSE:
        return job
    assert isinstance(job.weights, PackedWeights)
    return replace(job, weights=pack(unpack(job.weights).toarray(), WeightFormat.DENSE), spread=False)


# -- checks ------------------------------------------------------------------------------------


def check_engine(
    config: SpmmConfig, *, rows: int, columns: int, tokens: int, weight_format: WeightFormat, owner: str = ""
) -> None:
    """Check that an engine can take a product.

    Parameters
    ----------
    owner : str
        Whose rows and columns these are, unless they were given as options.

    Raises
    ------
    ConfigError
        The engine is too small or lacks the format.
    """
    sizes = (
        (f"{owner}rows", "max_rows", rows),
        (f"{owner}cols", "max_columns", columns),
        ("tokens", "max_tokens", tokens),
    )
    for name, field, size in sizes:
        limit = getattr(config, field)
        if not 1 <= size <= limit:
            presets = [preset for preset, larger in SPMM_PRESETS.items() if getattr(larger, field) >= size]
            advice = (f"choose --preset {presets[0]}, or " if presets else "") + f"raise {field} with --config"
            raise ConfigError(name, size, f"the engine takes 1 to {limit}" + (f": {advice}" if size > limit else ""))
    if weight_format not in config.formats:
        raise ConfigError("format", str(weight_format), "the engine has " + ", ".join(config.formats))


def check_simulation(config: SpmmConfig, *, rows: int, columns: int, tokens: int) -> None:
    """Check that a product can be simulated beside the dense one.

    Raises
    ------
    ConfigError
        The engine takes no dense weights, or the simulation would not fit into memory.
    """
    if WeightFormat.DENSE not in config.formats:
        raise ConfigError("formats", list(map(str, config.formats)), "must have dense too, to be compared with")
    most = most_simulated(config, rows=rows, columns=columns)
    if tokens <= most:
        return
    streamed = rows * columns * stream_bytes(config) * ceil_div(tokens, config.lanes)
    message = f"dense weights of {rows} × {columns}, streamed once per {config.lanes} tokens, are"
    message += f" {streamed / 2**30:.1f} GiB, but at most {MOST_STREAMED >> 30} GiB can be simulated"
    advice = f"at most {most}" if most else "fewer rows or columns"
    raise ConfigError("tokens", tokens, f"{message}: choose {advice}")


def most_simulated(config: SpmmConfig, *, rows: int, columns: int) -> int:
    """Most tokens of a product that the engine takes and that can be simulated beside the dense one; 0 if none."""
    passes = MOST_STREAMED // (rows * columns * stream_bytes(config))
    return min(passes * config.lanes, config.max_tokens)


def chosen_sparsity(config: SpmmConfig, weight_format: WeightFormat, asked: Sparsity | None) -> Sparsity:
    """Sparsity to prune to: the one asked for, unless the format has only one.

    Raises
    ------
    ConfigError
        The sparsity asked for is neither ``"keep"`` nor from 0 to below 1.
    """
    if asked == KEEP:
        return KEEP
    if asked is not None:
        check_sparsity("sparsity", asked)
    fixed = fixed_sparsity(config, weight_format)
    return fixed if fixed is not None else DEFAULT_SPARSITY if asked is None else asked


def sparsity_note(
    config: SpmmConfig, weight_format: WeightFormat, asked: Sparsity | None, *, nonzeros: int, stored: int, total: int
) -> str | None:
    """Message about a pattern that is not the one asked for, or ``None``. A sparsity may differ by a point.

    Parameters
    ----------
    nonzeros, stored, total : int
        Weights that were not zero before pruning, those that are stored, and M·K.
    """
    if not nonzeros:
        return "all weights are zero"
    if not stored:
        return "no weight is left: choose a lower sparsity"
    if asked == KEEP:
        lost = max(0, nonzeros - stored)
        return f"{lost} of {nonzeros} weights are zero after rounding to INT8, and are not stored" if lost else None
    chosen = chosen_sparsity(config, weight_format, asked)
    wanted = chosen if asked is None else asked
    assert chosen != KEEP
    assert wanted != KEEP
    reached, own = 1 - stored / total, 1 - nonzeros / total
    if abs(reached - wanted) <= 0.01 and abs(chosen - wanted) < 1e-9:
        return None
    what = f"{config.kept}:{config.group}" if weight_format is WeightFormat.NM else weight_format
    reason = f": {own:.3g} were zero before pruning" if reached > wanted and own > wanted + 0.01 else ""
    return f"{what} weights have a sparsity of {reached:.3g}, not {wanted:g}{reason}"
