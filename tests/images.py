"""Images of random programs, and what the memory of the co-processor holds before and after them."""

from dataclasses import dataclass

import numpy as np
from thresher.golden.machine import Machine
from thresher.spec import CoprocessorConfig
from thresher.spec.image import Image
from thresher.spec.memory import memory_map
from thresher.spec.program import Region

from .programs import RandomProgram

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
