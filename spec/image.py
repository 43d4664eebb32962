"""File of a compiled encoder: what a driver copies into the region CONSTANTS, and what it writes to the registers.

The file is a header of 128 bytes, and the content of the region CONSTANTS: constants, then the program. Numbers are
little-endian, and those of the header have 32 bits.

====== ==================== ===========================================================
offset name                 meaning
====== ==================== ===========================================================
0      ``magic``            the bytes ``THRI``
4      ``version``          1
8      ``hash_low``         bytes 0 to 3 of the SHA-256 of the configuration
12     ``hash_high``        bytes 4 to 7
16     ``constants_size``   bytes of each region
20     ``scratch_size``
24     ``input_size``
28     ``output_size``
32     ``program_address``  address of the program, in the region CONSTANTS
36     ``instructions``
40     ``data_crc``         CRC-32 (that of zlib) of all bytes after the header
124    ``header_crc``       CRC-32 of the bytes 0 to 123; those between are 0
====== ==================== ===========================================================
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import InputError
from .program import INSTRUCTION_BYTES, REGION_BYTES, WORD_BYTES, Region
from .registers import hash_words

__all__ = ["IMAGE_HEADER_BYTES", "MOST_INSTRUCTIONS", "Image"]

MAGIC = b"THRI"
VERSION = 1
IMAGE_HEADER_BYTES = 128
MOST_INSTRUCTIONS = 0xFFFF
"""Of a program: the register PROGRAM_INSTRUCTIONS has 16 bits."""
_FIELDS = struct.Struct("<4s10I")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """A compiled encoder.

    Attributes
    ----------
    hash : (int, int)
        Values of the registers HASH_LOW and HASH_HIGH of the co-processor that it is for.
    sizes : dict of Region to int
        Bytes of each region; CONSTANTS with the program.
    program : int
        Its address.
    instructions : int
    data : bytes
        Content of the region CONSTANTS.

    Raises
    ------
    InputError
        A region is larger than 2^30 bytes or has parts of words, the program has no instructions or too many, or it
        does not lie in the region CONSTANTS.
    """

    hash: tuple[int, int]
    sizes: Mapping[Region, int]
    program: int
    instructions: int
    data: bytes

    def __post_init__(self):
        if any(size > REGION_BYTES or size % WORD_BYTES for size in self.sizes.values()):
            raise InputError("a region of the image is too large, or has parts of words: compile the model again")
        if not 1 <= self.instructions <= MOST_INSTRUCTIONS:
            raise InputError(
                f"the program of the image has {self.instructions} instructions, must be 1 to {MOST_INSTRUCTIONS}: "
                "compile the model for fewer or shorter texts"
            )
        end = self.program + INSTRUCTION_BYTES * self.instructions
        if self.program % WORD_BYTES or end > self.sizes[Region.CONSTANTS]:
            raise InputError(
                f"the program of the image lies at {self.program:#x}, outside the region CONSTANTS or in parts of "
                "words: compile the model again"
            )

    @classmethod
    def join(cls, *, config_hash: str, constants: bytes, program: bytes, sizes: Mapping[Region, int]) -> "Image":
        """Image of constants and a program that follows them.

        Parameters
        ----------
        config_hash : str
            Hash of the configuration, in hexadecimal.
        constants : bytes
        program : bytes
        sizes : dict of Region to int
            Bytes of the other regions. They and the constants must be whole words of 8 bytes.

        Raises
        ------
        InputError
            As the constructor. A program behind constants of parts of words is not at a multiple of 8.
        """
        data = constants + program
        return cls(
            hash=hash_words(config_hash),
            sizes={**sizes, Region.CONSTANTS: len(data)},
            program=len(constants),
            instructions=len(program) // INSTRUCTION_BYTES,
            data=data,
        )

    def encode(self) -> bytes:
        """The bytes of the file."""
        fields = _FIELDS.pack(
            MAGIC,
            VERSION,
            *self.hash,
            *(self.sizes[region] for region in Region),
            self.program,
            self.instructions,
            zlib.crc32(self.data),
        )
        header = fields.ljust(IMAGE_HEADER_BYTES - _CRC.size, b"\0")
        return header + _CRC.pack(zlib.crc32(header)) + self.data

    @classmethod
    def decode(cls, content: bytes) -> "Image":
        """The image in the bytes of a file.

        Raises
        ------
        InputError
            It is no image, it is truncated or altered, or the hardware cannot run it.
        """
        header, data = content[: IMAGE_HEADER_BYTES - _CRC.size], content[IMAGE_HEADER_BYTES:]
        if header[:4] != MAGIC:
            raise InputError("this is no image of an encoder: make one with `thresher compile`")
        if len(content) < IMAGE_HEADER_BYTES:
            raise InputError("the image is truncated: copy it again")
        if zlib.crc32(header) != _CRC.unpack_from(content, IMAGE_HEADER_BYTES - _CRC.size)[0]:
            raise InputError("the header of the image is altered: copy it again")
        _, version, low, high, *sizes, program, instructions, crc = _FIELDS.unpack_from(header)
        if version != VERSION:
            raise InputError(f"the image has version {version}, not {VERSION}: compile the model again")
        if len(data) != sizes[Region.CONSTANTS]:
            kind = "truncated" if len(data) < sizes[Region.CONSTANTS] else "too long"
            raise InputError(f"the image is {kind}: copy it again")
        if zlib.crc32(data) != crc:
            raise InputError("the image is altered: copy it again")
        return cls(
            hash=(low, high),
            sizes=dict(zip(Region, sizes, strict=True)),
            program=program,
            instructions=instructions,
            data=data,
        )
