"""A model as a program of a co-processor, in files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..model.compiler import Constants, EncoderProgram, encoder_constants, encoder_program, listing, padded_rows
from ..model.load import Model, calibration_sentences
from ..model.sentence import pools_sums
from ..spec.attention_command import HeadCommand
from ..spec.coprocessor_config import CoprocessorConfig
from ..spec.errors import InputError
from ..spec.files import check_writable, write_whole
from ..spec.hazards import check_order
from ..spec.image import Image
from ..spec.memory import row_bytes
from ..spec.program import Region, offset_of
from .coprocessor import Coprocessor, WholeEncoder, output_scales
from .report import Report
from .steps import Steps

__all__ = ["CompileReport", "compile_model", "constants_of", "image_of", "program_of"]

FILES = ("image.bin", "listing.txt", "encoder.json")
EMBEDDINGS = "embeddings.bin"
"""File of the embeddings, if the host sends their rows."""
TYPES = {"ids": "uint32", "places": "uint32", "first tokens": "uint32", "sums": "int64"}
"""Types of numbers in INPUT and OUTPUT, little-endian; all others are int8."""
VERSION = 2
"""Of the layout of encoder.json."""


@dataclass(frozen=True, kw_only=True)
class CompileReport(Report):
    """Result of :func:`compile_model`.

    Attributes
    ----------
    folder : Path
        Holds :data:`FILES`.
    lengths : tuple of int
        Tokens of each text.
    instructions : int
    weight_macs : int
        Multiplications by weights that are not 0, for all tokens.
    regions : dict of str to int
        Bytes of each region of the memory; CONSTANTS with the program.
    files : tuple of Path
    """

    folder: Path
    model: str
    weights: str | None
    weight_bits: int
    lengths: tuple[int, ...]
    instructions: int
    weight_macs: int
    regions: dict[str, int]
    files: tuple[Path, ...]


def constants_of(whole: WholeEncoder, coprocessor: Coprocessor, *, group: int | None = None) -> Constants:
    """Constants of an encoder, for programs of all lengths; see
    :func:`~thresher.model.compiler.constants.encoder_constants`."""
    golden = coprocessor.integer.golden
    return encoder_constants(
        whole.config, golden, weight_format=whole.stored_format, group=group, host_embeddings=whole.host_embeddings
    )


def program_of(
    model: Model,
    coprocessor: Coprocessor,
    constants: Constants,
    config: CoprocessorConfig,
    lengths: Sequence[int],
    *,
    rho: float,
    tau: float,
) -> EncoderProgram:
    """Program of an encoder, proved to end, and to give the same result in every order.

    Raises
    ------
    ThresherError
        Encoder, texts and hardware do not fit together, or a threshold is out of range.
    """
    integer = coprocessor.integer
    head_dim = len(integer.golden.output_shift) // integer.golden.heads

    def commands(layer: int, length: int) -> HeadCommand:
        scales = integer.attention.layers[layer]
        return scales.command(config.attention, length=length, head_dim=head_dim, rho=rho, tau=tau)

    sums = not model.is_classifier and pools_sums(model.steps)
    program = encoder_program(config, constants, lengths, commands, sums=sums)
    check_order(config, program.instructions)
    return program


def image_of(constants: Constants, program: EncoderProgram) -> Image:
    """What a driver loads into the memory."""
    return Image.join(
        config_hash=program.config.hash(),
        constants=constants.data.tobytes(),
        program=program.data,
        sizes={region: space.size for region, space in program.spaces.items()},
    )


def compile_model(
    model: Model,
    folder: Path,
    *,
    whole: WholeEncoder,
    lengths: Sequence[int],
    group: int | None = None,
    rho: float = -1.0,
    tau: float = 0.0,
    calibration: Path | None = None,
    steps: Steps | None = None,
) -> CompileReport:
    """Quantise a model, and write the image for the memory, a listing and a description.

    Parameters
    ----------
    model : Model
    folder : Path
        Gets :data:`FILES`, and :data:`EMBEDDINGS` if the host sends them; all or none. It is made if necessary.
    whole : WholeEncoder
        How the encoder is put into integers, and the hardware.
    lengths : sequence of int
        Tokens of each text of a run.
    group : int, optional
        See :func:`~thresher.model.compiler.constants.encoder_constants`.
    rho, tau : float
        Block and head threshold of every head.
    calibration : Path, optional
        Sentences to calibrate with, see :func:`~thresher.model.load.calibration_sentences`.

    Raises
    ------
    ThresherError
        Model, hardware, texts and settings do not fit together, or the folder cannot be written.
    """
    steps = steps or Steps()
    whole.check_fits(model.config)
    longest = model.config.max_length
    if lengths and max(lengths) > longest:
        raise InputError(f"texts must have at most {longest} tokens for this model, not {max(lengths)}")
    names = (*FILES, EMBEDDINGS) if whole.host_embeddings else FILES
    paths = {name: folder / name for name in names}
    check_writable(*paths.values())
    steps.tell("quantising")
    sentences = calibration_sentences(calibration)
    coprocessor = whole.coprocessor(model, sentences, progress=steps.count)
    steps.tell("compiling")
    constants = constants_of(whole, coprocessor, group=group)
    program = program_of(model, coprocessor, constants, whole.config, lengths, rho=rho, tau=tau)
    image = image_of(constants, program)
    contents = {
        "image.bin": image.encode(),
        "listing.txt": listing(program, constants).encode(),
    }
    if whole.host_embeddings:
        contents[EMBEDDINGS] = b"".join(padded_rows(table).tobytes() for table in program.tables)
    regions = {region.name: size for region, size in sorted(image.sizes.items())}
    description = {
        "version": VERSION,
        "model": str(model.folder),
        "weights": whole.pruning,
        "weight_bits": whole.weight_bits,
        "configuration": json.loads(whole.config.to_json()),
        "hash": whole.config.hash(),
        "lengths": list(lengths),
        "rho": rho,
        "tau": tau,
        "regions": regions,
        "input": _names(program, Region.INPUT),
        "places": _places(model),
        "embeddings": _tables(program),
        "output": _output(model, coprocessor, program),
        "tags": list(program.tags),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    }
    contents["encoder.json"] = (json.dumps(description, indent=1) + "\n").encode()
    write_whole({paths[name]: data for name, data in contents.items()})
    if not whole.host_embeddings:
        (folder / EMBEDDINGS).unlink(missing_ok=True)  # of an earlier program
    return CompileReport(
        folder=folder,
        model=str(model.folder),
        weights=whole.pruning,
        weight_bits=whole.weight_bits,
        lengths=tuple(lengths),
        instructions=len(program.instructions),
        weight_macs=program.weight_macs,
        regions=regions,
        files=tuple(paths.values()),
    )


def _names(program: EncoderProgram, region: Region) -> list[dict[str, Any]]:
    """What lies in a region: names, types of the numbers, offsets and sizes in bytes."""
    return [
        {"name": name, "type": TYPES.get(name, "int8"), "offset": offset_of(start), "bytes": size}
        for name, start, size in program.spaces[region].names
    ]


def _places(model: Model) -> dict[str, int]:
    """Which place a token has: its type · ``positions`` + its position. ``first`` is the position of a text's first
    token."""
    encoder, padding = model.encoder, model.config.padding
    return {
        "types": 1 if encoder.types is None else len(encoder.types),
        "positions": len(encoder.positions),
        "first": 0 if padding is None else padding + 1,
    }


def _tables(program: EncoderProgram) -> list[dict[str, Any]]:
    """The tables in :data:`EMBEDDINGS`: names, offsets in bytes, rows, and bytes of a row."""
    tables, offset = [], 0
    for name, table in zip(("words", "places"), program.tables, strict=False):
        rows, size = len(table), row_bytes(table.shape[1])
        tables.append({"name": name, "offset": offset, "rows": rows, "row_bytes": size})
        offset += rows * size
    return tables


def _output(model: Model, coprocessor: Coprocessor, program: EncoderProgram) -> dict[str, Any]:
    """How to read the region OUTPUT."""
    integer = coprocessor.integer
    places = _names(program, Region.OUTPUT)
    if program.classes:
        return {
            "kind": "scores",
            "layout": "TILES",
            "classes": program.classes,
            "labels": list(model.config.labels),
            "scale": float(integer.output_scale),
            "places": places,
        }
    kind = {"kind": "sums"} if program.sums else {"kind": "first tokens", "layout": "TILES"}
    return kind | {"channels": program.channels, "scales": output_scales(coprocessor).tolist(), "places": places}
