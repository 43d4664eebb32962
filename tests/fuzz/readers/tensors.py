"""Safetensors files: a model's weights, one or several files, and packed weights."""

import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from scipy import sparse
from thresher.golden.spmm.packing import pack
from thresher.model.packed_file import PackedLinear, PackedModel, packed_bytes, read_packed
from thresher.model.weights import read_matrix, read_weights
from thresher.spec.spmm_config import WeightFormat

from ..reader import FuzzReader

__all__ = ["READERS", "safetensors_bytes", "safetensors_tree"]

INDEX = "index"
"""First bytes of an input of several files: an index and one shard."""


def safetensors_tree(data: bytes) -> dict[str, Any]:
    """Header of a safetensors file, with the bytes of each tensor in place of its offsets, and what follows."""
    size = int.from_bytes(data[:8], "little")
    header, content = json.loads(data[8 : 8 + size]), data[8 + size :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            tensors[name] = {key: _nested(value) for key, value in entry.items()}
            continue
        start, stop = entry["data_offsets"]
        tensors[name] = {**{key: entry[key] for key in entry if key != "data_offsets"}, "data": content[start:stop]}
    return tensors


def _nested(text: str) -> Any:
    """The JSON in a metadata entry."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def safetensors_bytes(tree: Any) -> bytes:
    """The file of a tree, with offsets that fit. A tensor may give its own ``data_offsets``, or no data.

    The data of a tensor is cut or repeated to the size that its type and shape ask for, unless it has the key
    ``exact``.
    """
    header: dict[str, Any] = {}
    content = b""
    for name, entry in tree.items():
        if name == "__metadata__":
            header[name] = {key: each if isinstance(each, str) else json.dumps(each) for key, each in entry.items()}
        elif not isinstance(entry, dict):
            header[name] = entry
        else:
            data = entry.get("data", b"")
            data = data if isinstance(data, bytes) else json.dumps(data).encode()
            data = data if "exact" in entry else _fitting(entry, data)
            header[name] = {"data_offsets": [len(content), len(content) + len(data)]} | {
                key: value for key, value in entry.items() if key not in ("data", "exact")
            }
            content += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content


def _fitting(entry: dict[str, Any], data: bytes) -> bytes:
    bits = re.search(r"\d+", str(entry.get("dtype")))
    sizes = entry.get("shape")
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        return data
    size = math.prod(sizes) * (int(bits[0]) if bits else 8) // 8
    return (data or b"\1") * (size // max(len(data), 1)) + data[: size % max(len(data), 1)] if size < 1 << 14 else data


# -- weights -------------------------------------------------------------------------------------


def _read_tensors(data: bytes, folder: Path) -> None:
    path = folder / "model.safetensors"
    if data.startswith(INDEX.encode()):  # length of the index in two bytes, the index, the shard
        size = int.from_bytes(data[5:7], "little")
        path = folder / "model.safetensors.index.json"
        path.write_bytes(data[7 : 7 + size])
        (folder / "a.safetensors").write_bytes(data[7 + size :])
    else:
        path.write_bytes(data)
    weights = read_weights(path)
    for name, tensor in weights.tensors.items():
        weights.take(name, *tensor.shape)
    read_matrix(path, "a.weight")


def _tensors_tree(data: bytes) -> Any:
    if not data.startswith(INDEX.encode()):
        return safetensors_tree(data)
    size = int.from_bytes(data[5:7], "little")
    return [json.loads(data[7 : 7 + size]), safetensors_tree(data[7 + size :])]


def _tensors_bytes(tree: Any) -> bytes:
    if not isinstance(tree, list):
        return safetensors_bytes(tree)
    index = json.dumps(tree[0]).encode()
    return INDEX.encode() + struct.pack("<H", len(index)) + index + safetensors_bytes(tree[1])


def _tensor_seeds() -> dict[str, bytes]:
    random = np.random.default_rng(1)
    matrix = random.normal(size=(2, 3)).astype(np.float32)
    mixed = {
        "a.weight": matrix,
        "a.half": matrix.astype(np.float16),
        "a.double": matrix.astype(np.float64),
        "a.ids": np.arange(3),
        "LayerNorm.gamma": np.ones(2, np.float32),
    }
    formats: dict[str, Any] = {
        name: {"dtype": name, "shape": [2], "data": b"\x3f" * (2 * bits // 8)}
        for name, bits in (("BF16", 16), ("F8_E4M3", 8), ("BOOL", 8), ("U16", 16), ("C64", 64), ("F4", 4))
    }
    index = {"metadata": {"total_size": 24}, "weight_map": {"a.weight": "a.safetensors"}}
    return {
        "mixed": save(mixed, {"format": "pt"}),
        "formats": safetensors_bytes(
            {"a.weight": {"dtype": "F32", "shape": [1, 1], "data": b"\0\0\x80\x3f"}} | formats
        ),
        "shards": _tensors_bytes([index, safetensors_tree(save({"a.weight": matrix}))]),
        "none": save({}),
        "empty": save({"a.weight": np.zeros((0, 3), np.float32)}),
    }


# -- packed weights ------------------------------------------------------------------------------


def _read_packed(data: bytes, folder: Path) -> None:
    path = folder / "packed.safetensors"
    path.write_bytes(data)
    read_packed(path)


def _packed(weight_format: WeightFormat) -> bytes:
    random = np.random.default_rng(2)
    matrix = random.integers(-127, 128, (3, 16)) * (random.random((3, 16)) < 0.4)
    if weight_format is WeightFormat.NM:
        matrix = matrix.reshape(-1, 4) * (np.arange(4) < 2)
    weights = pack(sparse.csr_array(matrix.reshape(3, 16).astype(np.int8)), weight_format, banks=2, kept=2, group=4)
    ones = np.ones(3, np.float32)
    linear = PackedLinear(weights=weights, scales=ones, biases=ones, nonzeros=48)
    return packed_bytes(
        PackedModel(
            format=weight_format,
            version="1",
            sparsity=0.5,
            target=0.5,
            pattern="per-row",
            method="magnitude",
            unpacked="",
            matrices={"layer.0.query": linear},
        )
    )


def _packed_seeds() -> dict[str, bytes]:
    return {str(each): _packed(each) for each in WeightFormat}


DTYPES = [
    "F16",
    "BF16",
    "F32",
    "F64",
    "I64",
    "I8",
    "U8",
    "U16",
    "U32",
    "BOOL",
    "F8_E4M3",
    "F4",
    "F6_E2M3",
    "C64",
    "E8M0",
]
SHAPES = [
    [2**32, 2**32],
    [2**60, 0],
    [0, 2**63],
    [2**31, 2**31, 4],
    [1] * 70,
    [math.factorial(20)],
    [6],
    [3, 2],
    [1, 0],
]

READERS = {
    "safetensors": FuzzReader(
        name="safetensors",
        what="a model's weights: safetensors, one file or an index and its shards",
        read=_read_tensors,
        seeds=_tensor_seeds,
        split=_tensors_tree,
        join=_tensors_bytes,
        words=[
            *DTYPES,
            *SHAPES,
            "shape",
            "dtype",
            "data",
            "data_offsets",
            "exact",
            "__metadata__",
            "a.weight",
            "a.safetensors",
        ],
    ),
    "packed": FuzzReader(
        name="packed",
        what="packed weights of `thresher prune`, all formats",
        read=_read_packed,
        seeds=_packed_seeds,
        split=safetensors_tree,
        join=safetensors_bytes,
        words=[
            *DTYPES,
            *SHAPES,
            *map(str, WeightFormat),
            "exact",
            "layout",
            "matrices",
            "nonzeros",
            "sparsity",
            "target",
            "keep",
        ],
    ),
}
