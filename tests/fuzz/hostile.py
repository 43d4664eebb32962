"""Inputs that ask for more memory than there is, or for work without an end. Each is small, and must be rejected."""

import json
import struct
import zlib
from typing import Any

from .readers.pictures import NUMPY, PNG
from .readers.tensors import safetensors_bytes, safetensors_tree
from .readers.texts import PATTERN

__all__ = ["hostile"]

SETTINGS = b'{"size": {"height": 4, "width": 4}}\n'


def _array(shape: str, kind: str = "|u1") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return SETTINGS + NUMPY + b"\1\0" + struct.pack("<H", len(header)) + header


def _picture(width: int, height: int, settings: bytes = SETTINGS) -> bytes:
    """A PNG whose pixels are all 0."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(min(height * (width + 1), 1 << 22)))
    return settings + PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + chunk(b"IDAT", rows)


def _nested(start: str, end: str) -> bytes:
    return start.encode() * 100_000 + end.encode() * 100_000


def _packed(seed: bytes, rows: int, columns: int) -> bytes:
    tree = safetensors_tree(seed)
    header = tree["layer.0.query.header"]
    header["data"] = header["data"][:8] + struct.pack("<qq", rows, columns) + header["data"][24:]
    tree["__metadata__"]["thresher"]["matrices"]["layer.0.query"]["shape"] = [rows, columns]
    return safetensors_bytes(tree)


def _config(**fields: Any) -> bytes:
    from .readers.folders import bert_parameters

    return json.dumps({"config.json": bert_parameters(**fields)}).encode()


def _image(constants: int, instructions: int) -> bytes:
    fields = struct.pack("<4s10I", b"THRI", 1, 0, 0, constants, 0, 0, 0, 0, instructions, 0).ljust(124, b"\0")
    return fields + struct.pack("<I", zlib.crc32(fields))


def hostile(reader: str, seeds: dict[str, bytes]) -> dict[str, bytes]:
    """Inputs of a reader by name."""
    huge = 1 << 60
    match reader:
        case "safetensors":
            return {
                "header": struct.pack("<Q", huge) + b"{}",
                "tensor": safetensors_bytes({"a.weight": {"dtype": "F32", "shape": [huge], "data": b"", "exact": 1}}),
                "no numbers": safetensors_bytes({"a.weight": {"dtype": "F32", "shape": [huge, huge, 0], "data": b""}}),
                "dimensions": safetensors_bytes({"a.weight": {"dtype": "F32", "shape": [1] * 100, "data": bytes(4)}}),
                "offsets": safetensors_bytes(
                    {"a.weight": {"dtype": "F32", "shape": [huge], "data_offsets": [0, 4 * huge]}}
                ),
                "nesting": struct.pack("<Q", 200_000) + _nested("[", "]"),
            }
        case "packed":
            return {
                f"{name} {size}": _packed(seed, *size)
                for name, seed in seeds.items()
                for size in ((huge, 3), (3, huge), (8192, 8192))
            }
        case "images":
            return {
                "array": _array(f"({huge},)"),
                "product": _array("(2147483648, 2147483648, 3)"),
                "negative": _array("(-1, -1, 3)"),
                "objects": _array("(3,)", "|O"),
                "text": _array("(3,)", f"<U{huge}"),
                "square": _picture(60_000, 60_000),
                "bomb": _picture(16_000, 16_000),
                "line": _picture(1, 60_000_000),
                "narrow": _picture(1, 16_000, b'{"size": {"shortest_edge": 4000}}\n'),
            }
        case "matrices":
            return {
                "entries": b"%%MatrixMarket matrix coordinate real general\n3 3 1000000000000\n1 1 1\n",
                "array": b"%%MatrixMarket matrix array real general\n1000000 1000000\n1\n",
                "triangle": b"%%MatrixMarket matrix array real symmetric\n1000000000 1000000000\n1\n",
                "digits": b"%%MatrixMarket matrix coordinate real general\n" + b"9" * 5000 + b" 1 1\n1 1 1\n",
                "pattern": PATTERN + b"1000000000000, 1, 1\n0 1\n0\n",
            }
        case "config":
            names = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings")
            found = {name: _config(**{name: huge * 12}) for name in names}
            return found | {
                "digits": _config(hidden_size=10**4000),
                "nesting": _nested("[", "]"),
                "labels": _config(id2label=None, num_labels=huge),
            }
        case "tokenizer":
            return {
                "nesting": _nested('{"a":', "}"),
                "size": json.dumps(
                    {"tokenizer.json": {"model": {"type": "BPE", "vocab": {"a": huge}, "merges": []}}}
                ).encode(),
            }
        case "program":
            return {"constants": _image((1 << 32) - 8, 1), "instructions": _image(0, (1 << 32) - 1)}
        case "settings":
            return {
                "nesting": b"attention\n" + _nested("[", "]"),
                "length": b'attention\n{"max_length": %d}' % huge,
                "rows": b'spmm\n{"rows": %d}' % huge,
                "scales": b"scales\n" + _nested("[", "]"),
                "digits": b'attention\n{"max_length": ' + b"9" * 5000 + b"}",
            }
        case "logs":
            return {"study": _nested("[", "]") + b"\n", "campaign": b"campaign\n" + _nested("[", "]") + b"\n"}
        case "checkpoint":
            tree = safetensors_tree(seeds["start"])
            return {
                "parameters": safetensors_bytes(
                    tree | {"parameters/0": {"dtype": "F32", "shape": [huge, 0], "data": b""}}
                )
            }
        case "tools":
            return {
                "nesting": b"ecp5\n" + _nested("[", "]"),
                "report": b"report\n" + _nested("[", "]"),
                "digits": b'report\n{"fmax": {"clk": {"achieved": '
                + b"9" * 400
                + b'}}, "critical_paths": [], "utilization": {}}',
                "pll": b"pll\n.CLKI_DIV(" + b"9" * 5000 + b")",
            }
        case "tsv":
            return {"columns": b"\t" * 1_000_000, "number": b"sentence\tlabel\na\t" + b"9" * 5000}
    return {}
