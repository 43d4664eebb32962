"""Text files: tables with tabs, sentences, and matrices."""

from pathlib import Path
from typing import Any

from thresher.model.datasets import read_dataset
from thresher.model.load import calibration_pairs, calibration_sentences
from thresher.model.matrix_file import matrix_shape, read_matrix_file
from thresher.model.tasks import TASKS, Kind, chosen_task
from thresher.spec.errors import InputError, ThresherError

from ..reader import FuzzReader

__all__ = ["READERS"]

CLASSES = ("negative", "positive")
IMAGES = chosen_task("classification", text_column="image")
READABLE = [*(task for task in TASKS.values() if task.kind is not Kind.TEXT), IMAGES]


def _lines(data: bytes) -> list[list[str]]:
    """Lines and columns of a text."""
    return [line.split("\t") for line in data.decode("utf-8", "surrogateescape").split("\n")]


def _text(tree: Any) -> bytes:
    lines = [line if isinstance(line, list) else [line] for line in (tree if isinstance(tree, list) else [tree])]
    return "\n".join("\t".join(map(str, line)) for line in lines).encode("utf-8", "surrogateescape")


def _read_table(data: bytes, folder: Path) -> None:
    path = folder / "data.tsv"
    path.write_bytes(data)
    calibration_sentences(path)
    calibration_pairs(path)
    refused = []
    for task in READABLE:
        for labels in (CLASSES, ("LABEL_0", "LABEL_1")):
            try:
                read_dataset(path, task, labels=labels)
            except ThresherError as error:
                if len(str(error).splitlines()) != 1:
                    raise
                refused.append(error)
    if len(refused) == 2 * len(READABLE):
        raise refused[0]


def _table_seeds() -> dict[str, bytes]:
    return {
        "sst2": b"sentence\tlabel\na good film\t1\na bad film\t0\n",
        "stsb": b"index\tsentence1\tsentence2\tscore\n0\ta\tb\t2.5\n1\tc\td\t5.000\n",
        "cola": b"gj04\t1\t\tA text.\ngj04\t0\t*\tText a.\n",
        "words": b"sentence\tlabel\na\tpositive\nb\tNegative\r\n",
        "images": b"image\tlabel\na.png\t0\nb/c.npy\t1\n",
        "sentences": "\ufeffone line\nanother one, caf\u00e9\n\nlast".encode(),
        "kinds": b"sentence1\tsentence2\tlabel\na\tb\tyes\nc\td\tno\n",
    }


# -- matrices ------------------------------------------------------------------------------------

MARKET, PATTERN = b"%%", b".smtx\n"
LARGEST = 1 << 20
"""Entries of a matrix that are read. As the command does, its sizes are compared with those of the hardware before."""


def _read_matrix(data: bytes, folder: Path) -> None:
    """Files of patterns begin with a line with their suffix, which is not part of the file."""
    path = folder / ("a.smtx" if data.startswith(PATTERN) else "a.mtx")
    path.write_bytes(data.removeprefix(PATTERN))
    rows, columns = matrix_shape(path)
    if rows * columns > LARGEST:
        raise InputError("the hardware takes no matrix of these sizes")
    assert read_matrix_file(path, seed=1).shape == (rows, columns)


def _words_of_lines(data: bytes) -> list[list[str]]:
    return [line.split(" ") for line in data.decode("latin-1").split("\n")]


def _matrix_text(tree: Any) -> bytes:
    lines = [line if isinstance(line, list) else [line] for line in (tree if isinstance(tree, list) else [tree])]
    return "\n".join(" ".join(map(str, line)) for line in lines).encode("latin-1", "replace")


def _matrix_seeds() -> dict[str, bytes]:
    return {
        "general": b"%%MatrixMarket matrix coordinate real general\n% a remark\n3 4 3\n1 1 1.5\n2 3 -2e-1\n3 4 7\n",
        "symmetric": b"%%MatrixMarket matrix coordinate integer symmetric\n3 3 3\n1 1 4\n2 1 -5\n3 2 6\n",
        "skew": b"%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 1 3\n",
        "pattern": b"%%MatrixMarket matrix coordinate pattern general\n2 2 2\n1 1\n2 2\n",
        "array": b"%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n4\n",
        "triangle": b"%%MatrixMarket matrix array real symmetric\n2 2\n1\n2\n3\n",
        "hermitian": b"%%MatrixMarket matrix array real skew-symmetric\n3 3\n1\n2\n3\n",
        "complex": b"%%MatrixMarket matrix coordinate complex hermitian\n2 2 1\n1 1 1 0\n",
        "smtx": PATTERN + b"3, 4, 3\n0 1 2 3\n0 2 3\n",
        "empty": PATTERN + b"1, 1, 0\n0 0\n\n",
    }


READERS = {
    "tsv": FuzzReader(
        name="tsv",
        what="tables with tabs of all tasks, and sentences for calibration",
        read=_read_table,
        seeds=_table_seeds,
        split=_lines,
        join=_text,
        words=[
            *("sentence", "sentence1", "sentence2", "label", "score", "image", "positive", "POSITIVE", "ı"),
            *("0", "1", "nan", "inf", "1e999", "-0", "2.5", "1_0", "٣", "²", "\ufeff", "\u0085", "\x1c"),
        ],
    ),
    "matrices": FuzzReader(
        name="matrices",
        what="matrices: MatrixMarket and `.smtx`",
        read=_read_matrix,
        seeds=_matrix_seeds,
        split=_words_of_lines,
        join=_matrix_text,
        words=[
            *("%%MatrixMarket", "coordinate", "array", "real", "pattern", "symmetric", "skew-symmetric", "hermitian"),
            *("general", "1e5", "1d5", "0x10", "nan", "inf", "1.5E-", "1_0", "-1", "1e400", ","),
            *("9" * 19, "9" * 400, "9" * 5000),
        ],
    ),
}
