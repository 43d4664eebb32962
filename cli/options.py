"""Options that several commands have, and their defaults."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..spec import POLICIES, PRESETS, InputError, WeightFormat
from ..synth.devices import DEVICES

# Any: type checkers do not accept an enumeration that is made at run time. All units have presets of the same names.
PresetName: Any = StrEnum("PresetName", {name: name for name in PRESETS})
PolicyName: Any = StrEnum("PolicyName", {name: name for name in POLICIES})
DeviceName: Any = StrEnum("DeviceName", {name: name for name in DEVICES})


class UnitName(StrEnum):
    """What hardware is generated."""

    ATTENTION = "attention"
    SPMM = "spmm"


class LinkedUnitName(StrEnum):
    """What a board holds."""

    ATTENTION = "attention"
    SPMM = "spmm"
    COPROCESSOR = "coprocessor"


class AnyUnitName(StrEnum):
    """What hardware is generated as Verilog."""

    ATTENTION = "attention"
    SPMM = "spmm"
    VECTOR = "vector"
    COPROCESSOR = "coprocessor"


class RunUnitName(StrEnum):
    """What of a model is on the hardware."""

    ATTENTION = "attention"
    COPROCESSOR = "coprocessor"


class TaskName(StrEnum):
    """What a model is evaluated on."""

    SST2 = "sst2"
    COLA = "cola"
    STSB = "stsb"
    CLASSIFICATION = "classification"
    PERPLEXITY = "perplexity"


class ClassTaskName(StrEnum):
    """What a model with classes is trained for."""

    SST2 = "sst2"
    COLA = "cola"
    CLASSIFICATION = "classification"


class MetricName(StrEnum):
    """Figure of merit of a classification."""

    ACCURACY = "accuracy"
    MCC = "mcc"
    F1 = "f1"


class RangeMethodName(StrEnum):
    """How calibration finds a tensor's range."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"
    KL = "kl"


class PruningMethodName(StrEnum):
    """How weights are pruned."""

    MAGNITUDE = "magnitude"
    WANDA = "wanda"
    OBS = "obs"
    RANDOM = "random"


Model = Annotated[
    str, typer.Option("--model", help="Model folder, a name on the Hugging Face hub, or 'default': the packaged one.")
]
Unit = Annotated[UnitName, typer.Option("--unit", help="Attention core, or SpMM engine.")]
LinkedUnit = Annotated[
    LinkedUnitName, typer.Option("--unit", help="Attention core, SpMM engine, or the co-processor with its memory.")
]
AnyUnit = Annotated[
    AnyUnitName,
    typer.Option("--unit", help="A unit, or the co-processor of all units."),
]
Preset = Annotated[PresetName, typer.Option("--preset", help="Size of the hardware.")]
Policy = Annotated[PolicyName, typer.Option("--policy", help="Rules of pruning and scoring.")]
UnitPolicy = Annotated[
    PolicyName | None, typer.Option("--policy", help="Rules of pruning and scoring (attention; default thresher).")
]
Config = Annotated[Path | None, typer.Option("--config", help="JSON whose fields take the place of the preset's.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Tokens = Annotated[
    int, typer.Option("--tokens", help="Number of tokens N. A simulation can stream at most 1 GiB of weights.")
]


AnySparsity: Any = Any  # typer takes no union of types


def sparsity(text: str) -> float | str:
    """The value of an option that takes a share or ``keep``."""
    try:
        return text if text == "keep" else float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor keep") from None


Sparsity = Annotated[
    AnySparsity,
    typer.Option(
        "--sparsity",
        parser=sparsity,
        metavar="SHARE|keep",
        help="Share of weights to prune, 0 to below 1, or keep: the weights' own pattern. 0.75 unless the format (nm, "
        "dense) has its own.",
    ),
]
PackedFile = Annotated[
    Path | None, typer.Option("--weights", help="Weights that `thresher prune` wrote (co-processor).")
]
EncoderFormat = Annotated[WeightFormat, typer.Option("--format", help="Pattern of pruned weights (co-processor).")]
WeightSparsity = Annotated[
    AnySparsity,
    typer.Option(
        "--weight-sparsity",
        parser=sparsity,
        metavar="SHARE|keep",
        help="Share of weights to prune, or keep: the model's own zeros; with --format (co-processor).",
    ),
]
_METHODS = (
    "magnitude; wanda: weight times norm of its input; obs: second order, changes the kept weights; random: obs with a "
    "random mask (a control)."
)
PruningMethod = Annotated[PruningMethodName, typer.Option("--method", help=f"How weights are pruned. {_METHODS}")]
WeightMethod = Annotated[
    PruningMethodName | None,
    typer.Option("--weight-method", help=f"How --format prunes (co-processor; default obs). {_METHODS}"),
]
Lengths = Annotated[
    str, typer.Option("--lengths", help="Tokens of each text of a run, such as 25,25,9. They are not padded.")
]
Memory = Annotated[
    int | None,
    typer.Option("--memory", min=1, help="KiB of memory on the chip of a board, a multiple of 16 (co-processor)."),
]
Cores = Annotated[
    int | None, typer.Option("--cores", min=1, max=8, help="Attention cores, in place of the preset's (co-processor).")
]
WeightBits = Annotated[
    int, typer.Option("--weight-bits", help="Bits of the weights of the products, 8 or 4 (co-processor).")
]
Rho = Annotated[
    float,
    typer.Option("--rho", help="Pruning parameter: -1 keeps all blocks; a larger one keeps fewer."),
]
Tau = Annotated[float, typer.Option("--tau", help="Head threshold: 0 prunes no head.")]
Task = Annotated[
    TaskName,
    typer.Option(
        "--task",
        help="sst2: accuracy of classes; cola: their Matthews correlation; stsb: Spearman of similarities or scores; "
        "classification: your own metric and columns; perplexity: of a plain text, with thresher eval, pick or study.",
    ),
]
ClassTask = Annotated[
    ClassTaskName,
    typer.Option(
        "--task",
        help="sst2: accuracy of classes; cola: their Matthews correlation; classification: your own metric and "
        "columns.",
    ),
]
Metric = Annotated[
    MetricName | None, typer.Option("--metric", help="Metric of a classification; mcc: Matthews correlation.")
]
TextColumn = Annotated[str | None, typer.Option("--text-column", help="Column of the text, instead of the task's.")]
SecondTextColumn = Annotated[
    str | None, typer.Option("--second-text-column", help="Column of the second text of a pair.")
]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="Column of the label or score.")]
Data = Annotated[
    Path, typer.Option("--data", help="Tab-separated file with a header, or a plain text; see docs/models.md.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first examples, or windows of a text.")]
Truncate = Annotated[
    bool, typer.Option("--truncate", help="Truncate texts that are too long for model or hardware, and count them.")
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        "--calibration", help="Sentences, text or images to calibrate with, instead of the packaged sentences."
    ),
]
RangeMethod = Annotated[
    RangeMethodName | None,
    typer.Option("--method", help="How calibration finds ranges. Default: percentile; co-processor: min-max."),
]
Percentile = Annotated[
    float | None,
    typer.Option("--percentile", help="Percentile of the magnitudes that becomes 127 (--method percentile; 99.99)."),
]
PerTensor = Annotated[
    bool, typer.Option("--per-tensor", help="One unit per tensor instead of one per channel (co-processor).")
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Number of parallel processes.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else on standard output.")]

OBS = PruningMethodName.OBS
EDGE, THRESHER, LFE5U_85F = PresetName("edge"), PolicyName("thresher"), DeviceName("lfe5u-85f")
DEFAULT_RHO = 0.5


def output(text: str) -> Any:
    """The option of a folder to write to.

    Raises
    ------
    typer.BadParameter
        When it is parsed: it is empty, as an unset variable of a shell is.
    """
    return typer.Option("--output", "-o", help=text, parser=_folder, metavar="<path>")


def _folder(text: str) -> Path:
    if not text:
        raise typer.BadParameter("it is empty: name a folder, or . for the current one")
    return Path(text)


def lengths_of(text: str) -> list[int]:
    """The numbers of ``--lengths``.

    Raises
    ------
    InputError
        They are no numbers.
    """
    parts = [part.strip() for part in text.split(",")]
    # More digits are more tokens than any memory holds; int() refuses thousands of them.
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise InputError(f"--lengths must be numbers of tokens separated by commas, such as 25,9, not {text!r}")
    return [int(part) for part in parts]
