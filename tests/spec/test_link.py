"""The link's numbers: baud rates, identities, kinds."""

import dataclasses
import zlib

import pytest
from amaranth.lib.crc import Algorithm
from hypothesis import given
from hypothesis import strategies as st
from thresher.spec import ConfigError, coprocessor_preset, preset, spmm_preset
from thresher.spec.link import (
    BAUD_ERROR,
    CRC_INITIAL,
    CRC_POLYNOMIAL,
    IDENTITY_BYTES,
    IDENTITY_PORT,
    SILENCE_SECONDS,
    LinkConfig,
    Operation,
    clocks_per_bit,
    identity,
    kind,
    link_config,
)


@pytest.mark.parametrize(
    ("clock", "baud", "cycles"),
    [(12e6, 1_000_000, 12), (50e6, 115_200, 434), (48e6, 115_200, 417), (25e6, 3_000_000, 8)],
)
def test_cycles_per_bit(clock, baud, cycles):
    if cycles == 8:
        with pytest.raises(ConfigError, match=r"misses it by \+4.2%, choose 3125000"):
            clocks_per_bit(clock, baud)
    else:
        assert clocks_per_bit(clock, baud) == cycles


@pytest.mark.parametrize(("baud", "message"), [(4_000_000, "from 184 to 3000000"), (100, "from 184"), (0, "from 1 to")])
def test_rates_that_cannot_be(baud, message):
    with pytest.raises(ConfigError, match=message):
        clocks_per_bit(12e6, baud)


@given(st.floats(12e6, 80e6), st.integers(9600, 3_000_000))
def test_accepted_rates_are_near(clock, baud):
    try:
        link = link_config(clock, baud)
    except ConfigError:
        return
    assert abs(clock / link.clocks_per_bit / baud - 1) <= BAUD_ERROR
    assert SILENCE_SECONDS <= (1 << link.silence_bits) / clock <= 2 * SILENCE_SECONDS


def test_links_that_cannot_be():
    for fields in ({"clocks_per_bit": 3}, {"payload_bytes": 100}, {"silence_bits": 40}):
        with pytest.raises(ConfigError):
            LinkConfig(**{"clocks_per_bit": 4, **fields})
    assert LinkConfig(clocks_per_bit=4, payload_bytes=256).count_bits == 8


def test_identities_tell_configurations_apart():
    tiny = preset("tiny")
    attention = [tiny, preset("edge"), preset("tiny", policy="hdp"), dataclasses.replace(tiny, max_length=32)]
    configs = [*attention, spmm_preset("tiny"), spmm_preset("edge")]
    identities = [identity(config, payload_bytes=256) for config in configs]
    assert {len(each) for each in identities} == {IDENTITY_BYTES}
    assert len({each[4:] for each in identities}) == len(identities)
    assert identities[0][:4] == b"\x02\x00\x00\x01"
    assert identities[-1][:2] == b"\x02\x01"
    assert identity(coprocessor_preset("tiny"), payload_bytes=1024)[:4] == b"\x02\x02\x00\x04"


def test_kinds_fit_a_byte():
    kinds = {kind(operation, port) for operation in Operation for port in range(IDENTITY_PORT + 1)}
    assert len(kinds) == len(Operation) * (IDENTITY_PORT + 1)
    assert max(kinds) < 256


def test_the_crc_is_that_of_zlib():
    ones = (1 << 32) - 1
    algorithm = Algorithm(
        crc_width=32,
        polynomial=CRC_POLYNOMIAL,
        initial_crc=CRC_INITIAL,
        reflect_input=True,
        reflect_output=True,
        xor_output=ones,
    )
    assert algorithm(data_width=8).compute(b"thresher") == zlib.crc32(b"thresher")
