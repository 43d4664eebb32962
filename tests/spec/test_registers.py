"""The description of the registers is consistent."""

import pytest
from thresher.spec import CommandValueError, ConfigError
from thresher.spec.program import Region
from thresher.spec.registers import (
    BY_NAME,
    IDENTITY,
    REGISTER_BYTES,
    REGISTERS,
    SPACE_BYTES,
    Access,
    hash_words,
)

FIELDS = [pytest.param(each, field, id=f"{each.name}.{field.name}") for each in REGISTERS for field in each.fields]


def test_registers_have_their_own_names_and_places():
    offsets = [each.offset for each in REGISTERS]
    assert offsets == sorted(set(offsets))
    assert all(offset % REGISTER_BYTES == 0 and 0 <= offset < SPACE_BYTES for offset in offsets)
    assert len(BY_NAME) == len(REGISTERS)


def test_fields_lie_one_after_the_other():
    for register in REGISTERS:
        place = 0
        for field in register.fields:
            assert field.offset >= place, f"{register.name}.{field.name}"
            place = field.offset + field.width
        assert place <= 8 * REGISTER_BYTES, register.name
        assert len({field.name for field in register.fields}) == len(register.fields)


@pytest.mark.parametrize(("register", "field"), FIELDS)
def test_a_field_is_sound(register, field):
    assert field.width > 0
    assert 0 <= field.reset < 1 << field.width
    assert field.name.isidentifier()
    assert field.name.islower()
    assert field.name != "address"  # PeakRDL's exporter to Python has a member of this name
    assert field.doc or (field.name, field.width) == ("value", 8 * REGISTER_BYTES)
    if field.values is not None:
        assert max(field.values) < 1 << field.width
    if field.access in (Access.READ, Access.WRITE_ONE, Access.WRITE_ONE_TO_CLEAR):
        assert field.reset == 0


def test_texts_are_sentences_for_all_formats():
    for text in (text for each in REGISTERS for text in (each.doc, *(field.doc for field in each.fields)) if text):
        assert text.endswith(".")
        assert not set(text) & set('"\\|\n')


def test_only_writable_registers_need_an_idle_coprocessor():
    assert all(each.writable for each in REGISTERS if each.needs_idle)
    assert {f"{region.name}_{part}" for region in Region for part in ("BASE", "SIZE")} <= {
        each.name for each in REGISTERS if each.needs_idle
    }


def test_encode_and_decode():
    fault = BY_NAME["FAULT"]
    word = fault.encode(code=3, unit=2, detail=0x1234)
    assert word == 0x1234_0203
    assert fault.decode(word) == {"code": 3, "unit": 2, "detail": 0x1234}
    assert fault.encode() == 0
    with pytest.raises(ConfigError, match=r"FAULT\.code=256 is not allowed: must be an integer from 0 to 255"):
        fault.encode(code=256)
    with pytest.raises(ConfigError, match="must be one of code, unit, detail"):
        fault.encode(codes=1)


def test_a_region_of_the_largest_size_can_be_written():
    BY_NAME["CONSTANTS_SIZE"].check(1 << 30)
    BY_NAME["CONSTANTS_BASE"].check((1 << 32) - 128)
    with pytest.raises(CommandValueError):
        BY_NAME["CONSTANTS_SIZE"].check(1 << 31)


def test_words_of_identity_and_hash_are_little_endian():
    assert IDENTITY.to_bytes(4, "big") == b"THRS"
    assert hash_words("0102030405060708" + "ff" * 24) == (0x04030201, 0x08070605)
