"""Images, and the file that says how they are prepared."""

import ast
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from thresher.model.config import ImageSizes
from thresher.model.images import ImageReader

from ..reader import FuzzReader

__all__ = ["READERS"]

SIZES = ImageSizes(image=4, patch=2, channels=3)
PNG, NUMPY = b"\x89PNG\r\n\x1a\n", b"\x93NUMPY"
PREPARED = {"size": {"height": 4, "width": 4}, "image_mean": [0.5, 0.5, 0.5]}
CROPPED = {"size": {"shortest_edge": 6}, "do_center_crop": True, "crop_size": 4, "resample": 3, "rescale_factor": 0.1}


def _read(data: bytes, folder: Path) -> None:
    """The first line is the JSON of ``preprocessor_config.json``, the rest is the image."""
    settings, _, content = data.partition(b"\n")
    (folder / "preprocessor_config.json").write_bytes(settings)
    path = folder / ("a.npy" if content.startswith(NUMPY[:1]) or content.startswith(b"PK") else "a.png")
    path.write_bytes(content)
    pixels = ImageReader.from_folder(folder, SIZES, 5).read(path)
    assert pixels.shape == (3, 4, 4)
    assert pixels.dtype == np.float32
    assert np.isfinite(pixels).all()


def _tree(data: bytes) -> list[Any]:
    settings, _, content = data.partition(b"\n")
    parts: Any = content
    if content.startswith(PNG):
        parts = _chunks(content)
    elif content.startswith(NUMPY):
        size = int.from_bytes(content[8:10], "little")
        parts = {"numpy": ast.literal_eval(content[10 : 10 + size].decode("latin-1")), "data": content[10 + size :]}
    return [json.loads(settings), parts]


def _chunks(content: bytes) -> list[list[Any]]:
    """Kind and data of each part of a PNG; the header's fields one by one, and the pixels without compression."""
    chunks, place = [], len(PNG)
    while place + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        data: Any = content[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            data = list(struct.unpack(">IIBBBBB", data))
        elif kind == b"IDAT":
            data = {"pixels": zlib.decompress(data)}
        chunks.append([kind.decode("latin-1"), data])
        place += 12 + size
    return chunks


def _bytes(tree: Any) -> bytes:
    settings, parts = tree
    if isinstance(parts, list):
        content = PNG + b"".join(_chunk(kind, data) for kind, data in parts)
    elif isinstance(parts, dict):
        header = repr(parts["numpy"]).encode("latin-1")
        header += b" " * (-(len(header) + 11) % 64) + b"\n"
        content = NUMPY + b"\1\0" + struct.pack("<H", len(header)) + header + parts["data"]
    else:
        content = parts
    return json.dumps(settings).encode() + b"\n" + content


def _chunk(kind: str, data: Any) -> bytes:
    if kind == "IHDR" and isinstance(data, list):
        data = struct.pack(">IIBBBBB", *data)
    elif isinstance(data, dict):
        data = zlib.compress(data["pixels"])
    body = kind.encode("latin-1") + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _picture(mode: str, kind: str = "PNG", **options: Any) -> bytes:
    random = np.random.default_rng(3)
    image = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _array(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _seeds() -> dict[str, bytes]:
    plain = np.arange(90, dtype=np.uint8).reshape(5, 6, 3)
    archive = io.BytesIO()
    np.savez(archive, plain)
    images = {
        **{f"png-{mode}": _picture(mode) for mode in ("RGB", "L", "P", "1", "RGBA", "I;16")},
        "png-transparent": _picture("P", transparency=3),
        "jpeg": _picture("RGB", "JPEG"),
        "gif": _picture("P", "GIF"),
        "bmp": _picture("RGB", "BMP"),
        "ppm": _picture("RGB", "PPM"),
        "webp": _picture("RGB", "WEBP"),
        "tiff": _picture("RGB", "TIFF"),
        "eps": _picture("RGB", "EPS"),
        "npy": _array(plain),
        "npy-floats": _array(np.zeros((3, 4, 4), np.float64)),
        "npy-objects": _array(np.array([{}, None], object)),
        "npz": archive.getvalue(),
    }
    found = {name: json.dumps(PREPARED).encode() + b"\n" + image for name, image in images.items()}
    bare: dict[str, Any] = {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 4, "width": 4}}
    return found | {
        "cropped": json.dumps(CROPPED).encode() + b"\n" + images["png-RGB"],
        "not-resized": json.dumps(bare).encode() + b"\n" + images["npy"],
    }


READERS = {
    "images": FuzzReader(
        name="images",
        what="images (PNG and other files, NumPy arrays), and preprocessor_config.json",
        read=_read,
        seeds=_seeds,
        split=_tree,
        join=_bytes,
        words=[
            *(
                "size",
                "crop_size",
                "shortest_edge",
                "height",
                "width",
                "resample",
                "rescale_factor",
                "image_std",
                1 << 14,
            ),
            *(
                "do_resize",
                "do_normalize",
                "do_rescale",
                "do_center_crop",
                "iCCP",
                "PLTE",
                "tRNS",
                "zTXt",
                "iTXt",
                "eXIf",
            ),
            *(
                "acTL",
                "fcTL",
                "fdAT",
                "gAMA",
                "IEND",
                "descr",
                "shape",
                "fortran_order",
                "<f4",
                "|O",
                "<M8[s]",
                "<U9",
                "|V0",
            ),
            *((2**60,), (2**31, 2**31), (0, 2**62), {"shortest_edge": 1 << 14}, 40000, b"a\0\0x\x9c", [("a", "<f4")]),
        ],
    ),
}
