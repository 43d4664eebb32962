"""``thresher demo``: several sentences on simulated hardware, and a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..spec import ConfigError, WeightFormat
from ..spec.files import check_writable
from . import options, progress, report, whole_report
from .frame import app, command, print_json, require_bit_exact
from .settings import configuration, coprocessor_configuration, whole_encoder

if TYPE_CHECKING:
    from ..model.pruning.patterns import Sparsity

__all__ = ["demo"]

SENTENCES = (
    "a warm and funny film that earns its happy ending .",
    "cold , slow and utterly pointless",
    "the film tells a gripping story with wit and feeling , and it never loses its way .",
    "a long , dull and lifeless two hours that never finds a single idea of its own .",
    "what begins as a quiet family drama slowly turns into something far richer : a funny , wise and deeply moving "
    "portrait of three generations who learn to forgive each other , photographed with patience and acted with such "
    "warmth that even its smallest moments stay with you long after the lights come up .",
    "despite a large budget and a cast of familiar faces , the sequel is a tired , noisy mess that repeats every joke "
    "of the first film , forgets its own story halfway through and ends , after two and a half endless hours , with a "
    "battle so badly staged that it is hard to tell who is winning or why anyone should care .",
)
WHOLE_SENTENCES = SENTENCES[:4]
"""Those that run through the whole encoder: twice, and with all their multiplications."""
PICTURED, PICTURED_HEAD = 2, (1, 0)
"""Sentence, and its layer and head, of the picture of attention."""


@command(app, "demo")
def demo(
    output: Annotated[Path, options.output("Folder for the picture.")] = Path("out"),
    unit: Annotated[
        options.RunUnitName, typer.Option("--unit", help="What is on the hardware: the whole encoder, or attention.")
    ] = options.RunUnitName.COPROCESSOR,
    preset: options.Preset = options.EDGE,
    policy: options.Policy = options.THRESHER,
    config_file: options.Config = None,
    rho: options.Rho = options.DEFAULT_RHO,
    weight_sparsity: Annotated[
        options.AnySparsity,
        typer.Option(
            "--weight-sparsity",
            parser=options.sparsity,
            metavar="SHARE|keep",
            help="Share of weights to prune, or keep: the zeros that the model was trained with (whole encoder).",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Classify several sentences with the packaged model on the generated hardware."""
    if unit is options.RunUnitName.COPROCESSOR:
        sparsity = "keep" if weight_sparsity is None else weight_sparsity
        _whole(output, preset, policy, config_file, rho=rho, sparsity=sparsity, as_json=as_json)
    elif weight_sparsity is not None:
        raise ConfigError("weight_sparsity", weight_sparsity, "give it with --unit coprocessor")
    else:
        _attention(output, preset, policy, config_file, rho=rho, as_json=as_json)


def _whole(
    output: Path,
    preset: options.PresetName,
    policy: str,
    config_file: Path | None,
    *,
    rho: float,
    sparsity: "Sparsity",
    as_json: bool,
) -> None:
    """The whole encoder, with pruned weights and with all of them."""
    from ..runtime.whole_answers import answer_whole
    from .timeline import draw_timeline

    clock = report.timed()
    path = output / "timeline.png"
    with progress.steps() as steps:
        config = coprocessor_configuration(preset, policy, config_file)
        check_writable(path)
        whole = whole_encoder(config, weights=None, weight_format=WeightFormat.CSR_DELTA, weight_sparsity=sparsity)
        results = [
            answer_whole("default", WHOLE_SENTENCES, whole=each, backend="rtl", rho=rho, steps=steps)
            for each in (whole, whole.dense)
        ]
        pruned, dense = results
        steps.tell("drawing")
        title = f"{len(WHOLE_SENTENCES)} sentences, weights pruned: {pruned.weights}"
        draw_timeline(pruned.runs[0].intervals, path, title=title)
    exact = all(result.bit_exact for result in results)
    cycles, dense_cycles = (sum(program.cycles for program in result.programs) for result in results)
    if as_json:
        told = {"dense_cycles": dense_cycles, "speedup": dense_cycles / cycles, "bit_exact": exact}
        print_json(pruned.to_dict() | told | {"picture": str(path), "seconds": clock()})
    else:
        whole_report.show(pruned, seconds=clock(), dense=dense, picture=path)
    require_bit_exact(exact)


def _attention(
    output: Path, preset: options.PresetName, policy: str, config_file: Path | None, *, rho: float, as_json: bool
) -> None:
    """The attention only, with a picture of one head."""
    from ..runtime.answers import answer
    from .picture import draw_head

    clock = report.timed()
    path = output / "attention.png"
    with progress.steps() as steps:
        config = configuration(preset, policy, config_file)
        check_writable(path)
        result = answer(
            "default",
            SENTENCES,
            config=config,
            backend="rtl",
            rho=rho,
            dense=True,
            picture=(PICTURED, PICTURED_HEAD),
            steps=steps,
        )
        steps.tell("drawing")
        head = result.sentences[PICTURED].picture
        assert head is not None
        draw_head(head, path, title=SENTENCES[PICTURED])
    if as_json:
        print_json(result.to_dict() | {"picture": str(path), "seconds": clock()})
    else:
        report.answers(result, seconds=clock(), picture=path)
    require_bit_exact(result.bit_exact)
