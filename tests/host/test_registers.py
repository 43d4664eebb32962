"""Registers by name, over a transport that is a dictionary."""

import dataclasses

import pytest
from thresher.host.port import DeviceError
from thresher.host.registers import Registers
from thresher.spec import ConfigError, coprocessor_preset
from thresher.spec.registers import BY_NAME, IDENTITY, hash_words

CONFIG = coprocessor_preset("tiny")


class Words(dict[int, int]):
    """Registers of a co-processor that does nothing."""

    def __init__(self):
        low, high = hash_words(CONFIG.hash())
        super().__init__({0x000: IDENTITY, 0x004: 0x0001_0000, 0x008: low, 0x00C: high})

    def read(self, offset: int) -> int:
        return self[offset]

    def write(self, offset: int, value: int) -> None:
        self[offset] = value


def test_read_and_write_by_name():
    words = Words()
    registers = Registers(words)
    registers.write("SCRATCH_BASE", 0x8000_0080)
    assert words[0x048] == 0x8000_0080 == registers.read("SCRATCH_BASE")
    registers.write_fields("INTERRUPT_ENABLE", fault=1)
    assert words[0x018] == 2
    assert registers.fields("INTERRUPT_ENABLE") == {"finished": 0, "fault": 1}
    assert registers.fields("VERSION") == {"minor": 0, "major": 1}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SCRATCH_BASE", 0x40, "must have no bits outside 0xffffff80"),
        ("SCRATCH_SIZE", 4, "must have no bits outside 0x7ffffff8"),
        ("CONTROL", 4, "must have no bits outside"),
        ("WATCHDOG", 1 << 32, "must have no bits outside"),
        ("WATCHDOG", -1, "must have no bits outside"),
        ("STATUS", 0, "read-only"),
        ("STATE", 0, "register='STATE' is not allowed: must be one of IDENTITY"),
    ],
)
def test_impossible_writes_are_rejected(name, value, message):
    words = Words()
    before = dict(words)
    with pytest.raises(ConfigError, match=message):
        Registers(words).write(name, value)
    assert words == before


@pytest.mark.parametrize("values", [{"begin": 1}, {"start": 2}, {"start": -1}])
def test_impossible_fields_are_rejected(values):
    with pytest.raises(ConfigError, match="CONTROL"):
        Registers(Words()).write_fields("CONTROL", **values)


def test_greet():
    words = Words()
    Registers(words).greet(CONFIG)
    other = dataclasses.replace(CONFIG, cores=8)
    with pytest.raises(
        DeviceError, match=f"configuration {CONFIG.hash()[:16]}…, the program needs {other.hash()[:16]}…"
    ):
        Registers(words).greet(other)
    words[BY_NAME["VERSION"].offset] = 0x0002_0000
    with pytest.raises(DeviceError, match="registers of version 2"):
        Registers(words).greet(CONFIG)
    words[BY_NAME["IDENTITY"].offset] = 0
    with pytest.raises(DeviceError, match="no co-processor at this address"):
        Registers(words).greet(CONFIG)
