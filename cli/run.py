"""``thresher run``: classify or score texts or images on the golden model, on simulated hardware or on a board."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..spec import ConfigError, InputError, WeightFormat
from ..spec.link import DEFAULT_BAUD
from . import options, progress, report, whole_report
from .frame import app, command, print_json, require_bit_exact
from .settings import configuration, coprocessor_configuration, ranges, whole_encoder
from .terminal import decoded, say

if TYPE_CHECKING:
    from ..model.tokenizer import Text
    from ..runtime.coprocessor import WholeEncoder

__all__ = ["run"]


class BackendName(StrEnum):
    """What runs the heads."""

    GOLDEN = "golden"
    RTL = "rtl"


@command(app, "run")
def run(
    text: Annotated[
        list[str] | None, typer.Option("--text", help="Text to classify or score; may be given several times.")
    ] = None,
    text_pair: Annotated[
        list[str] | None, typer.Option("--text-pair", help="Second text of a pair; as many as --text, in their order.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option("--image", help="File of an image to classify with a vision transformer, in place of texts."),
    ] = None,
    model: options.Model = "default",
    unit: Annotated[
        options.RunUnitName, typer.Option("--unit", help="What is on the hardware: attention, or the whole encoder.")
    ] = (options.RunUnitName.ATTENTION),
    backend: Annotated[BackendName, typer.Option("--backend", help="Golden model, or simulated hardware.")] = (
        BackendName.GOLDEN
    ),
    preset: options.Preset = options.EDGE,
    policy: options.Policy = options.THRESHER,
    config_file: options.Config = None,
    rho: options.Rho = options.DEFAULT_RHO,
    tau: options.Tau = 0.0,
    cores: options.Cores = None,
    weights: options.PackedFile = None,
    weight_format: options.EncoderFormat = WeightFormat.DENSE,
    weight_sparsity: options.WeightSparsity = None,
    weight_method: options.WeightMethod = None,
    weight_bits: options.WeightBits = 8,
    truncate: options.Truncate = False,
    calibration: options.Calibration = None,
    method: options.RangeMethod = None,
    percentile: options.Percentile = None,
    per_tensor: options.PerTensor = False,
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Waveforms of the hardware, FILE.vcd or FILE.fst (--backend rtl).")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Run on the board at this serial port instead of a backend.")
    ] = None,
    baud: Annotated[
        int, typer.Option("--baud", min=1, help="Bits per second on the board's serial line.")
    ] = DEFAULT_BAUD,
    as_json: options.Json = False,
) -> None:
    """Classify, score or embed texts with a trained model, its attention or its whole encoder on the hardware; or
    classify images, with their attention on it."""
    from ..runtime.answers import answer

    text, image = text or [], image or []
    if bool(text) == bool(image):
        raise typer.BadParameter("give texts with --text, or files of images with --image")
    if image and text_pair:
        raise typer.BadParameter("--text-pair goes with --text, not with --image")
    if text_pair and len(text_pair) != len(text):
        raise InputError(f"there are {len(text_pair)} --text-pair, but {len(text)} --text: give as many of both")
    if image and unit is options.RunUnitName.COPROCESSOR:
        raise InputError("the co-processor runs encoders of texts: leave out --unit for images")
    if device is not None and backend is not BackendName.GOLDEN:
        raise ConfigError("backend", backend.value, "do not give it with --device")
    text, text_pair = list(map(decoded, text)), list(map(decoded, text_pair or ()))
    clock = report.timed()
    texts = list(zip(text, text_pair, strict=True)) if text_pair else text
    if unit is options.RunUnitName.COPROCESSOR:
        config = coprocessor_configuration(preset, policy, config_file, cores=cores)
        whole = whole_encoder(
            config,
            weights=weights,
            weight_format=weight_format,
            weight_sparsity=weight_sparsity,
            weight_method=weight_method,
            weight_bits=weight_bits,
            method=method,
            percentile=percentile,
            per_tensor=per_tensor,
            host_embeddings=device is not None,
        )
        settings = {"rho": rho, "tau": tau, "truncate": truncate, "calibration": calibration}
        settings |= {"trace": trace, "port": device, "baud": baud}
        _run_whole(model, texts, whole, backend.value if device is None else "device", as_json=as_json, **settings)
        return
    pruned = None if weight_format is WeightFormat.DENSE else weight_format
    for name, value in (
        ("cores", cores),
        ("weights", weights),
        ("format", pruned),
        ("weight_sparsity", weight_sparsity),
        ("weight_method", weight_method),
        ("weight_bits", None if weight_bits == 8 else weight_bits),
        ("per_tensor", per_tensor or None),
    ):
        if value is not None:
            raise ConfigError(name, str(value), "give it with --unit coprocessor")
    range_method, found = ranges(method, percentile, default="percentile")
    with progress.steps() as steps:
        result = answer(
            model,
            image or texts,
            config=configuration(preset, policy, config_file),
            backend=backend.value if device is None else "device",
            rho=rho,
            tau=tau,
            truncate=truncate,
            calibration=calibration,
            method=range_method,
            percentile=found,
            trace=trace,
            port=device,
            baud=baud,
            steps=steps,
        )
    if as_json:
        print_json(result.to_dict() | {"trace": None if trace is None else str(trace), "seconds": clock()})
    else:
        report.answers(result, seconds=clock())
        _tell_waveforms(trace)
    require_bit_exact(result.bit_exact)


def _run_whole(
    model: str,
    texts: "Sequence[Text]",
    whole: "WholeEncoder",
    backend: str,
    *,
    trace: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    from ..runtime.whole_answers import answer_whole

    clock = report.timed()
    with progress.steps() as steps:
        result = answer_whole(model, texts, whole=whole, backend=backend, trace=trace, steps=steps, **settings)
    if as_json:
        print_json(result.to_dict() | {"trace": None if trace is None else str(trace), "seconds": clock()})
    else:
        whole_report.show(result, seconds=clock())
        _tell_waveforms(trace)
    require_bit_exact(result.bit_exact)


def _tell_waveforms(trace: Path | None) -> None:
    if trace is not None:
        say(f"waveforms: {trace} (open with `gtkwave {trace}` or `surfer {trace}`)")
