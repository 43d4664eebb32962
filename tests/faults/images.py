"""Faults of image files: the host refuses them before anything is sent."""

import zlib
from collections.abc import Callable, Iterator

import numpy as np
from thresher.host.coprocessor import CoprocessorDriver
from thresher.host.port import DeviceError
from thresher.spec import InputError
from thresher.spec.image import IMAGE_HEADER_BYTES
from thresher.spec.registers import BY_NAME, IDENTITY, hash_words

from ..host.drivers import Failure
from ..images import HEADER_CRC
from .fault import Fault
from .short_program import CONFIG
from .systems import drivers, run_image, short_image

SAMPLES = 512
"""Random bits behind the header."""
CUTS = 128
"""Random lengths beyond the header."""
AGAIN = 64
"""Refused images after which the right one is run again."""
HASH = range(8, 16)
"""Bytes of the header that name the configuration."""


def altered(content: bytes) -> Iterator[bytes]:
    """The file with each bit of the header flipped, with random bits behind it flipped, and cut to each length of the
    header and to random ones."""
    rng = np.random.default_rng(8)
    behind = rng.integers(8 * IMAGE_HEADER_BYTES, 8 * len(content), SAMPLES).tolist()
    for bit in (*range(8 * IMAGE_HEADER_BYTES), *behind):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)
    cuts = rng.integers(IMAGE_HEADER_BYTES, len(content), CUTS).tolist()
    for length in (*range(IMAGE_HEADER_BYTES), *cuts):
        yield content[:length]


def others(content: bytes) -> Iterator[bytes]:
    """The file for other configurations: each bit of the hash flipped, with the right checksum."""
    for bit in range(8 * len(HASH)):
        header = bytearray(content[:HEADER_CRC])
        header[HASH.start + bit // 8] ^= 1 << bit % 8
        yield bytes(header) + zlib.crc32(header).to_bytes(4, "little") + content[HEADER_CRC + 4 :]


class Words:
    """Registers of an idle co-processor. They record what the host writes."""

    def __init__(self) -> None:
        low, high = hash_words(CONFIG.hash())
        names = {"IDENTITY": IDENTITY, "VERSION": 0x0001_0000, "HASH_LOW": low, "HASH_HIGH": high}
        self.words = {BY_NAME[name].offset: value for name, value in names.items()}
        self.words[BY_NAME["STATUS"].offset] = BY_NAME["STATUS"].encode(idle=1)
        self.written = 0

    def read(self, offset: int) -> int:
        return self.words[offset]

    def write(self, offset: int, value: int) -> None:
        self.written += 1


class Bytes:
    """Memory that records what the host writes."""

    def __init__(self) -> None:
        self.written: list[tuple[int, bytes]] = []

    def read(self, address: int, count: int) -> bytes:
        return bytes(count)

    def write(self, address: int, data: bytes) -> None:
        self.written.append((address, data))


def check_refused(load: Callable[[bytes], object], content: bytes, where: str) -> None:
    """The driver refuses a file."""
    try:
        load(content)
    except (InputError, DeviceError, Failure):
        return
    raise AssertionError(f"{where} is accepted")


def refused_without_hardware() -> int:
    """The driver in Python. It accepts the right image after each."""
    content = short_image().image.encode()
    files = [*altered(content), *others(content)]
    for number, each in enumerate(files):
        registers, memory = Words(), Bytes()
        driver = CoprocessorDriver(registers, memory, base=0, size=1 << 20)
        check_refused(driver.load, each, f"file {number}")
        assert not registers.written, f"file {number}"
        assert not memory.written, f"file {number}"
        driver.load(content)
        assert memory.written == [(0, content[IMAGE_HEADER_BYTES:])]
    return len(files)


def refused_by_drivers() -> int:
    """Both drivers, with a co-processor that runs the right image in between."""
    content, cases = short_image().image.encode(), 0
    for system, driver in drivers():
        for number, each in enumerate((*altered(content), *others(content))):
            before = system.memory.copy()
            check_refused(driver.load, each, f"file {number}")
            assert np.array_equal(system.memory, before), f"file {number}"
            if number % AGAIN == 0:
                run_image(system, driver)
            cases += 1
        run_image(system, driver)
    return cases


WHAT = "each bit of the header and random bits behind it flipped, cut to each length, or for another configuration"
FAULTS = [
    Fault(
        part="image",
        fault=WHAT,
        answer="the driver in Python refuses it before anything is sent",
        afterwards="the right image is loaded",
        inject=refused_without_hardware,
        slow=False,
    ),
    Fault(
        part="image",
        fault=f"{WHAT}, with a co-processor on Wishbone",
        answer="both drivers refuse it before anything is sent",
        afterwards="the right image runs, and its results are right",
        inject=refused_by_drivers,
    ),
]
