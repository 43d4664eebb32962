"""A co-processor on Wishbone with its drivers, and the short program as an image."""

from collections.abc import Iterator
from ctypes import CDLL
from functools import cache
from typing import Any

import numpy as np
from thresher.spec.image import Image
from thresher.spec.program import Region

from ..host.drivers import BASE, SIZE, C, Python
from ..host.systems import System, build
from ..images import WRITABLE, ImageRun
from .short_program import CONFIG, Work, short_program


@cache
def library() -> CDLL:
    """The compiled co-processor."""
    return build(CONFIG)


def drivers() -> Iterator[tuple[System, Any]]:
    """A new co-processor with each of the drivers."""
    for kind in (Python, C):
        system = System(library(), base=BASE, size=SIZE, seed=9)
        yield system, kind(system)
        system.close()


def image_of(work: Work) -> ImageRun:
    """A program as an image, with the results of the golden model."""
    _, after = work.golden()
    image = Image.join(
        config_hash=CONFIG.hash(),
        constants=work.regions[Region.CONSTANTS].tobytes(),
        program=work.program,
        sizes={each: len(work.regions[each]) for each in (Region.SCRATCH, Region.INPUT, Region.OUTPUT)},
    )
    return ImageRun(
        image=image,
        scratch=work.regions[Region.SCRATCH].tobytes(),
        input=work.regions[Region.INPUT].tobytes(),
        after={region: after[region].tobytes() for region in WRITABLE},
    )


@cache
def short_image() -> ImageRun:
    """The short program."""
    return image_of(short_program())


def begin_image(system: System, driver: Any, run: ImageRun) -> None:
    """Load an image, and fill the memory."""
    driver.load(run.image.encode())
    system.put(run.places(BASE)[Region.SCRATCH], run.scratch)


def run_image(system: System, driver: Any) -> None:
    """The short program is right."""
    run = short_image()
    begin_image(system, driver, run)
    output = driver.run(run.input, len(run.after[Region.OUTPUT]))
    assert output == run.after[Region.OUTPUT]
    for region, wanted in run.after.items():
        assert system.bytes_at(run.places(BASE)[region], len(wanted)) == wanted, region.name


def regions_at(system: System, run: ImageRun) -> dict[Region, np.ndarray]:
    """What the memory of a system holds."""
    return {
        region: np.frombuffer(system.bytes_at(start, run.image.sizes[region]), np.uint8)
        for region, start in run.places(BASE).items()
    }
