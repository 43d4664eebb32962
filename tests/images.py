"""Images of random programs, and what the memory of the co-processor holds before and after them."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from thresher.golden.machine import Machine
from thresher.spec import CoprocessorConfig
from thresher.spec.image import Image
from thresher.spec.memory import memory_map
from thresher.spec.program import Region

from .programs import RandomProgram

HEADER_CRC = 124
WRITABLE = (Region.SCRATCH, Region.OUTPUT)


@dataclass(frozen=True, eq=False)
class ImageRun:
    """A program as an image, and the bytes of its regions.

    Attributes
    ----------
    image : Image
    scratch, input : bytes
        What the regions hold before.
    after : dict of Region to bytes
        What the writable regions hold after.
    """

    image: Image
    scratch: bytes
    input: bytes
    after: dict[Region, bytes]

    def places(self, base: int) -> dict[Region, int]:
        """Where the regions lie in a memory that begins at ``base``."""
        return memory_map(self.image.sizes, program_bytes=0, base=base).bases


def random_image(config: CoprocessorConfig, seed: int, *, length: int = 6, most: int = 64) -> ImageRun:
    """A random program with the results of the golden model."""
    program = RandomProgram(config, np.random.default_rng(seed), length=length, most=most)
    before, after = program.memory(), program.memory()
    assert Machine(config, after).run(program.data).fault is None
    image = Image.join(
        config_hash=config.hash(),
        constants=before.regions[Region.CONSTANTS].tobytes(),
        program=program.data,
        sizes={each: len(before.regions[each]) for each in (Region.SCRATCH, Region.INPUT, Region.OUTPUT)},
    )
    return ImageRun(
        image=image,
        scratch=before.regions[Region.SCRATCH].tobytes(),
        input=before.regions[Region.INPUT].tobytes(),
        after={region: after.regions[region].tobytes() for region in WRITABLE},
    )


def with_number(content: bytes, offset: int, value: int) -> bytes:
    """The file of an image with another number in its header, and the right checksum of the header."""
    header = bytearray(content[:HEADER_CRC])
    struct.pack_into("<I", header, offset, value)
    return bytes(header) + struct.pack("<I", zlib.crc32(header)) + content[HEADER_CRC + 4 :]


CONSTANTS_SIZE, OUTPUT_SIZE, PROGRAM, INSTRUCTIONS = 16, 28, 32, 36
IMPOSSIBLE = {
    "a region of parts of words": (OUTPUT_SIZE, 4),
    "a region of more than 2^30 bytes": (OUTPUT_SIZE, (1 << 30) + 8),
    "no instructions": (INSTRUCTIONS, 0),
    "too many instructions": (INSTRUCTIONS, 1 << 16),
    "an end outside the region": (INSTRUCTIONS, 0xFFFF),
    "parts of words": (PROGRAM, 4),
    "a place outside the region": (PROGRAM, (1 << 30) - 8),
    "another region": (PROGRAM, 1 << 30),
    "the last place": (PROGRAM, 0xFFFF_FFF8),
}
"""Numbers of a header that no hardware can run: where, and what."""
