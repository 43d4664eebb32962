"""A co-processor with its memory on a simulated board, driven by the host."""

import dataclasses

import pytest
from thresher.host import link as module
from thresher.host import streams
from thresher.host.attention import AttentionDevice
from thresher.host.on_chip import CoprocessorDevice
from thresher.host.port import DeviceError
from thresher.runtime.coprocessor import WholeEncoder
from thresher.runtime.whole_answers import answer_whole
from thresher.sim.board import BoardSimulator, BoardTerminal
from thresher.spec import InputError, coprocessor_preset, preset
from thresher.spec.on_chip_config import OnChipConfig
from thresher.spec.program import Region

from ..images import random_image
from .test_board import BAUD, BadPort

pytestmark = pytest.mark.slow

TINY = coprocessor_preset("tiny")
BOARD = OnChipConfig(coprocessor=TINY)


@pytest.fixture(scope="module")
def simulator():
    with BoardSimulator(BOARD) as made:
        yield made


@pytest.fixture
def path(simulator):
    with BoardTerminal(simulator) as terminal, terminal.serving() as found:
        yield found


def outputs_of_images(device: CoprocessorDevice, seed: int) -> None:
    """Run a random program, and compare its results with golden's."""
    run = random_image(TINY, seed, length=4, most=16)
    device.driver.load(run.image.encode())
    device.driver.memory.write(run.places(0)[Region.SCRATCH], run.scratch)
    assert device.driver.run(run.input) == run.after[Region.OUTPUT], f"seed {seed}"
    assert device.driver.counters()["CYCLES"] > 0


def test_programs_equal_golden(path):
    with CoprocessorDevice.open(TINY, path, baud=BAUD) as device:
        assert device.memory_bytes == BOARD.memory_bytes
        outputs_of_images(device, 1)


def test_errors_on_the_line_are_corrected(path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.1)
    monkeypatch.setattr(module, "ATTEMPTS", 50)
    monkeypatch.setattr(streams, "STUCK_SECONDS", 600)
    port = BadPort(path, 2)
    with CoprocessorDevice(TINY, port) as device:
        outputs_of_images(device, 2)
    assert port.spoils > 0


def test_accesses_outside_are_refused(path):
    with CoprocessorDevice.open(TINY, path, baud=BAUD) as device:
        memory, registers = device.driver.memory, device.driver.registers
        memory.write(BOARD.memory_bytes - 8, b"the last")
        with pytest.raises(DeviceError, match=f"refuses the access to its memory at {BOARD.memory_bytes:#x}"):
            memory.read(BOARD.memory_bytes, 8)
        assert memory.read(BOARD.memory_bytes - 8, 8) == b"the last"
        with pytest.raises(DeviceError, match="refuses the access to its register"):
            registers.write_fields("CONTROL", start=1)  # there is no program
        assert registers.fields("STATUS")["idle"]


def test_an_image_that_is_too_large(path):
    image = random_image(TINY, 3, length=2, most=8).image
    sizes = {**image.sizes, Region.SCRATCH: BOARD.memory_bytes}
    with CoprocessorDevice.open(TINY, path, baud=BAUD) as device, pytest.raises(InputError, match="the image needs"):
        device.driver.load(dataclasses.replace(image, sizes=sizes).encode())


def test_another_unit_and_another_configuration(path):
    with pytest.raises(DeviceError, match="holds the co-processor: load a bitstream of the attention core"):
        AttentionDevice.open(preset("tiny"), path, baud=BAUD)
    with pytest.raises(DeviceError, match="holds the hardware of --unit coprocessor --preset tiny"):
        CoprocessorDevice.open(dataclasses.replace(TINY, cores=2), path, baud=BAUD)


def test_texts_equal_golden(path, make_model):
    """The host sends the embeddings. The golden model has them in its memory."""
    model, texts = str(make_model()), ["a b c d", "h g f e a"]
    whole = WholeEncoder(config=TINY, host_embeddings=True)
    found = answer_whole(model, texts, whole=whole, backend="device", port=path, baud=BAUD, rho=0.5)
    golden = answer_whole(model, texts, whole=WholeEncoder(config=TINY), backend="golden", rho=0.5)
    assert found.bit_exact is True
    assert found.answers == golden.answers
    assert all(program.cycles > 0 for program in found.programs)
    assert [len(program.lengths) for program in found.programs] == [2]
