"""The example with LiteDRAM: random programs on a co-processor whose memory is an SDRAM, over AXI4."""

import sys
import warnings
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from thresher.spec import coprocessor_preset
from thresher.spec.program import Region

from ..images import random_image

pytestmark = pytest.mark.slow  # a co-processor is compiled

FOLDER = Path(__file__).parents[2] / "examples" / "litedram"
CONFIG = coprocessor_preset("tiny")
MODULE, CLOCK_HZ = "MT48LC16M16", 50e6
SEEDS = range(100, 106)


@pytest.fixture(scope="module")
def simulate() -> ModuleType:
    """The script."""
    for package in ("litedram", "litex", "migen"):
        if find_spec(package) is None:
            pytest.fail(f"the package {package} is not installed: run `pip install 'thresher[dev]'`")
    sys.path.append(str(FOLDER))  # the script imports its neighbour
    spec = spec_from_file_location("litedram_simulate", FOLDER / "simulate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of LiteX and Migen
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def library(simulate) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return simulate.build(CONFIG, module=MODULE, clock_hz=CLOCK_HZ)


@pytest.fixture
def system(simulate, library):
    with simulate.System(library, module=MODULE, clock_hz=CLOCK_HZ) as made:
        yield made


def test_random_programs(simulate, system):
    """The host loads them through LiteDRAM and waits for the interrupt. Every byte that they may write is compared."""
    driver = system.driver()
    for seed in SEEDS:
        program = random_image(CONFIG, seed)
        places = program.places(simulate.BASE)
        driver.load(program.image.encode())
        driver.memory.write(places[Region.SCRATCH], program.scratch)
        output = driver.run(program.input)
        assert any(output), f"seed {seed}"
        for region, wanted in program.after.items():
            assert driver.memory.read(places[region], len(wanted)) == wanted, f"seed {seed}, {region.name}"
        assert driver.counters()["WORDS_WRITTEN"] > 0


def test_the_host_writes_single_bytes(simulate, system):
    """Bytes of a word beside those that are written do not change, also between rows and banks of the SDRAM."""
    memory, random = system.driver().memory, Random(1)
    start = simulate.BASE + 1000  # a row has 1024 bytes
    held = bytearray(random.randbytes(200))
    memory.write(start, bytes(held))
    for _ in range(50):
        first = random.randrange(len(held))
        data = random.randbytes(random.randint(1, len(held) - first))
        memory.write(start + first, data)
        held[first : first + len(data)] = data
    assert memory.read(start, len(held)) == held
