"""``thresher demo``: several sentences on simulated hardware, and a picture."""

from pathlib import Path
from typing import Annotated

import typer

from . import options, progress, report
from .frame import app, command, print_json, require_bit_exact
from .settings import configuration

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
PICTURED, PICTURED_HEAD = 2, (1, 0)
"""Sentence, and its layer and head, of the picture."""


@command(app, "demo")
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the picture.")] = Path("out"),
    preset: options.Preset = options.EDGE,
    policy: options.Policy = options.THRESHER,
    config_file: options.Config = None,
    rho: options.Rho = options.DEFAULT_RHO,
    as_json: options.Json = False,
) -> None:
    """Classify several sentences with the packaged model, its attention on the generated hardware."""
    from ..runtime.answers import answer
    from ..spec.files import check_writable
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
