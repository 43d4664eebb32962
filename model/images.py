"""Images as input of a vision transformer: PNG and other files of pictures, or NumPy arrays."""

import errno
import io
import math
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import ConfigError, InputError
from ..spec.inputs import read_json
from .config import ImageSizes
from .source import PREPROCESSOR
from .tokenizer import Tokens
from .weights import Float32

__all__ = ["ImageReader", "Picture"]

RESAMPLING = {0: "NEAREST", 1: "LANCZOS", 2: "BILINEAR", 3: "BICUBIC", 4: "BOX", 5: "HAMMING"}
"""Numbers of Pillow's filters, as the file has them."""

CHANNELS = 3

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP")
"""Of files that are read. Pillow starts another program for some others, or fails in many ways if they are damaged."""

LARGEST_INPUT = 1 << 12
"""Longest edge of what a model takes, in pixels."""

LARGEST = float(np.finfo(np.float32).max)

LONGEST_EDGE, MOST_PIXELS = 1 << 14, 1 << 26
"""Of an image. A small file can say that it has any number of pixels."""

MOST_BYTES = 1 << 29
"""Of a file. The largest NumPy file that a model takes, 3 × 4096 × 4096 floats of 64 bits, is smaller."""

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Readers of the headers of NumPy's files, by version."""


@dataclass(frozen=True, kw_only=True)
class Picture(Tokens):
    """An image that is read when it is needed. Its tokens are those of its patches and of the classes.

    Attributes
    ----------
    file : Path
    reader : ImageReader
    """

    ids: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    types: tuple[int, ...] = ()
    file: Path
    reader: "ImageReader" = field(repr=False)

    def __len__(self) -> int:
        return self.reader.tokens

    def pixels(self) -> Float32:
        """(channels, size, size) input of the model; raises as :meth:`ImageReader.read`."""
        return self.reader.read(self.file)


@dataclass(frozen=True, kw_only=True)
class ImageReader:
    """What ``preprocessor_config.json`` makes of an image.

    Attributes
    ----------
    sizes : ImageSizes
        Of the model.
    tokens : int
        Tokens of an image in the model.
    resize : (height, width), int or None
        Size to which images are scaled; one number is that of the shorter edge.
    crop : (height, width) or None
        Size of the part in the middle that is kept after that.
    resample : int
        Pillow's number of a filter.
    factor : float
        Value of one unit of a byte.
    mean, deviation : tuple of float
        Of each channel: they are subtracted, and divided by.
    """

    sizes: ImageSizes
    tokens: int
    resize: tuple[int, int] | int | None
    crop: tuple[int, int] | None
    resample: int
    factor: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def from_folder(cls, folder: Path, sizes: ImageSizes, tokens: int) -> "ImageReader":
        """Read ``preprocessor_config.json``.

        Raises
        ------
        InputError
            The file is missing or damaged.
        ConfigError
            A parameter is illegal; the message names it.
        """
        found = read_json(folder / PREPROCESSOR, dict)
        resample = found.get("resample", 2)
        if type(resample) is not int or resample not in RESAMPLING:
            raise ConfigError("resample", resample, f"must be from 0 to {max(RESAMPLING)}")
        normalises = _flag(found, "do_normalize", True)
        return cls(
            sizes=sizes,
            tokens=tokens,
            resize=_size(found, "size") if _flag(found, "do_resize", True) else None,
            crop=_edges(found, "crop_size") if _flag(found, "do_center_crop", False) else None,
            resample=resample,
            factor=_number(found, "rescale_factor", 1 / 255) if _flag(found, "do_rescale", True) else 1.0,
            mean=_channels(found, "image_mean", 0.5) if normalises else (0.0,) * CHANNELS,
            deviation=_channels(found, "image_std", 0.5) if normalises else (1.0,) * CHANNELS,
        )

    def picture(self, file: Path) -> Picture:
        """The image of a file, which can be read; raises as :meth:`read`."""
        self.read(file)
        return Picture(file=file, reader=self)

    def read(self, file: Path) -> Float32:
        """(channels, size, size) input of the model.

        A NumPy file holds bytes (height, width, channels), or the model's input itself, (channels, size, size) floats.

        Raises
        ------
        InputError
            The file cannot be read, is no image, or its array has another shape or type. Or Pillow is missing.
        """
        if file.suffix.lower() == ".npy":
            array = _read_array(file)
            if array.dtype.kind == "f":
                with np.errstate(all="ignore"):  # what is too large becomes infinity, which is rejected
                    return self._checked(file, array.astype(np.float32))
            if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != CHANNELS or 0 in array.shape:
                raise InputError(
                    f"{str(file)!r} holds {array.dtype} {array.shape}: give bytes (height, width, {CHANNELS}), or "
                    f"floats {self._shape}"
                )
            return self._prepared(file, _pillow().fromarray(array))
        return self._prepared(file, _read_picture(file))

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.sizes.channels, self.sizes.image, self.sizes.image

    def _prepared(self, file: Path, picture: Any) -> Float32:
        size = picture.size[::-1] if self.resize is None else self.resize
        if isinstance(size, int):
            shorter = min(picture.size)
            size = (picture.size[1] * size // shorter, picture.size[0] * size // shorter)
            _check_size(file, size)
        crop = size if self.crop is None else self.crop
        self._check_shape(file, (CHANNELS, *map(min, size, crop)))
        pixels = np.asarray(picture if self.resize is None else picture.resize(size[::-1], self.resample))
        top, left = (max(have - want, 0) // 2 for have, want in zip(size, crop, strict=True))
        pixels = pixels[top:, left:][: crop[0], : crop[1]]
        mean, deviation = (np.array(each, np.float32) for each in (self.mean, self.deviation))
        with np.errstate(all="ignore"):  # as above
            scaled = (pixels.astype(np.float32) * np.float32(self.factor) - mean) / deviation
        return self._checked(file, np.ascontiguousarray(scaled.transpose(2, 0, 1)))

    def _check_shape(self, file: Path, shape: tuple[int, ...]) -> None:
        if shape != self._shape:
            raise InputError(f"the image {str(file)!r} has the shape {shape}, but the model takes {self._shape}")

    def _checked(self, file: Path, pixels: Float32) -> Float32:
        self._check_shape(file, pixels.shape)
        if not np.isfinite(pixels).all():
            raise InputError(f"the image {str(file)!r} holds NaN or infinity")
        return pixels


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise InputError("images need Pillow: run `pip install 'thresher[images]'`") from None
    return Image


def _check_size(file: Path, size: tuple[int, int]) -> None:
    if max(size) > LONGEST_EDGE or math.prod(size) > MOST_PIXELS:
        raise InputError(
            f"the image {str(file)!r} has {size[0]} × {size[1]} pixels, and may have {LONGEST_EDGE} along an edge and "
            f"{MOST_PIXELS >> 20} Mi in all: scale it down"
        )


def _read_picture(file: Path) -> Any:
    """An image in red, green and blue."""
    pillow = _pillow()
    load = pillow.open
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is unusual in a file
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            # Of a file, Pillow would allocate as many bytes as a damaged part says that it has.
            with load(io.BytesIO(_content(file)), formats=FORMATS) as opened:
                _check_size(file, opened.size)
                opened.load()
                opened.info.pop("transparency", None)  # Pillow fails if it does not fit the palette
                if opened.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8
                    return pillow.fromarray((np.asarray(opened) >> 8).astype(np.uint8)).convert("RGB")
                return opened.convert("RGB")
    except InputError:
        raise
    except (pillow.DecompressionBombWarning, pillow.DecompressionBombError):
        raise InputError(f"the image {str(file)!r} has too many pixels: scale it down") from None
    except (OSError, ValueError, SyntaxError) as error:
        reason = getattr(error, "strerror", None) or f"it is damaged, or none of {', '.join(FORMATS)}"
        raise InputError(f"cannot read the image {str(file)!r} ({reason}): give another file") from None


def _content(file: Path) -> bytes:
    """The bytes of a file of an image.

    Raises
    ------
    InputError
        The file is too large.
    OSError
        It cannot be read, or is a folder or a pipe.
    """
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    if status.st_size > MOST_BYTES:
        raise InputError(f"the image {str(file)!r} has more than {MOST_BYTES >> 20} MiB: scale it down")
    return file.read_bytes()


def _read_array(file: Path) -> NDArray[Any]:
    """The array of a NumPy file. Only bytes and floats are read."""
    try:
        data = _content(file)
    except OSError as error:
        raise InputError(f"cannot read {str(file)!r} ({error.strerror or error})") from None
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old versions of NumPy and Python
            shape, by_column, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
        # np.load allocates what the header says, however short the file is.
        if dtype.kind not in "fu" or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
            raise ValueError
        return np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape, order="F" if by_column else "C")
    except (ValueError, KeyError, SyntaxError, TokenError):
        raise InputError(f"{str(file)!r} is no NumPy file of bytes or floats, or is damaged: write it again") from None


def _flag(found: Mapping[str, Any], name: str, default: bool) -> bool:
    value = found.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ConfigError(name, value, "must be true or false")
    return value


def _number(found: Mapping[str, Any], name: str, default: float) -> float:
    value = found.get(name, default)
    if type(value) not in (int, float) or not 0 < value <= LARGEST:
        raise ConfigError(name, value, "must be a positive number")
    return float(value)


def _channels(found: Mapping[str, Any], name: str, default: float) -> tuple[float, ...]:
    value = found.get(name, [default] * CHANNELS)
    numbers = isinstance(value, list) and len(value) == CHANNELS
    numbers = numbers and all(type(each) in (int, float) and abs(each) <= LARGEST for each in value)
    if not numbers or (name == "image_std" and not all(each > 0 for each in value)):
        raise ConfigError(name, value, f"must be {CHANNELS} numbers, those of image_std positive")
    return tuple(map(float, value))


def _size(found: Mapping[str, Any], name: str) -> tuple[int, int] | int:
    value = found.get(name)
    if isinstance(value, dict) and set(value) == {"shortest_edge"}:
        return _edge(name, value["shortest_edge"])
    return _edges(found, name)


def _edges(found: Mapping[str, Any], name: str) -> tuple[int, int]:
    value = found.get(name)
    if isinstance(value, dict) and set(value) == {"height", "width"}:
        return _edge(name, value["height"]), _edge(name, value["width"])
    side = _edge(name, value)
    return side, side


def _edge(name: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= LARGEST_INPUT:
        raise ConfigError(name, value, "must be a number of pixels, or height and width")
    return value
