"""Instructions: encoding and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.spec import CommandValueError, InputError
from thresher.spec.program import (
    BODY_FIELDS,
    HEADER_FIELDS,
    INSTRUCTION_BYTES,
    UNITS,
    FaultCode,
    Finish,
    Instruction,
    Opcode,
    Region,
    address,
    decode,
    offset_of,
    region_of,
)


@st.composite
def instructions(draw) -> Instruction:
    opcode = draw(st.sampled_from(list(Opcode)))

    def number(bits: int, signed: bool) -> int:
        low = -(1 << (bits - 1)) if signed else 0
        return draw(st.integers(low, low + (1 << bits) - 1))

    return Instruction(
        opcode=opcode,
        tag=number(*HEADER_FIELDS["tag"]),
        waits={unit: number(16, False) for unit in UNITS},
        body={name: number(*field) for name, field in BODY_FIELDS[opcode].items()},
    )


@given(instructions())
def test_decoding_gives_the_same_instruction(instruction):
    data = instruction.encode()
    assert len(data) == INSTRUCTION_BYTES
    assert decode(data) == instruction


def test_fields_lie_where_the_documentation_says():
    data = Instruction(
        opcode=Opcode.PRODUCT, tag=0x1234, waits={Opcode.VECTOR: 7}, body={"x": 0x11223344, "y": 8}
    ).encode()
    assert data[:18] == bytes([1, 0, 0x34, 0x12, 0, 0, 0, 0, 7, 0, 0x44, 0x33, 0x22, 0x11, 8, 0, 0, 0])
    assert not any(data[18:])


@pytest.mark.parametrize("code", [0, 5, 255])
def test_unknown_opcodes_are_rejected(code):
    with pytest.raises(InputError, match=f"not {code}$"):
        decode(bytes([code]) + bytes(63))


@pytest.mark.parametrize("opcode", list(Opcode))
@pytest.mark.parametrize("place", [1, 63])
def test_unused_bits_must_be_zero(opcode, place):
    data = bytearray(Instruction(opcode=opcode).encode())
    data[place] = 128
    with pytest.raises(InputError, match="must be 0"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("body", "message"), [({"rows": 65536}, "rows"), ({"x": -1}, "x"), ({"nothing": 1}, "nothing")]
)
def test_fields_that_do_not_fit_are_rejected(body, message):
    with pytest.raises(CommandValueError, match=message):
        Instruction(opcode=Opcode.PRODUCT, body=body).encode()


def test_fields_are_attributes():
    instruction = Instruction(opcode=Opcode.PRODUCT, body={"rows": 3})
    assert (instruction.rows, instruction.columns) == (3, 0)
    with pytest.raises(AttributeError):
        _ = instruction.heads


@pytest.mark.parametrize("region", list(Region))
@pytest.mark.parametrize("offset", [0, 8, (1 << 30) - 8])
def test_addresses(region, offset):
    place = address(region, offset)
    assert 0 <= place < 1 << 32
    assert (region_of(place), offset_of(place)) == (region, offset)


@pytest.mark.parametrize("offset", [-8, 4, 1 << 30])
def test_impossible_offsets_are_rejected(offset):
    with pytest.raises(CommandValueError, match="multiple of 8"):
        address(Region.SCRATCH, offset)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"address": 0xC000_0080}, "ADDRESS of the vector unit at instruction 3 (tag 9), address 0xc0000080"),
        ({"address": 0}, "ADDRESS of the vector unit at instruction 3 (tag 9)"),  # an index without a row
        (
            {"error": FaultCode.BUS, "unit": None, "address": 0},
            "BUS of the program at instruction 3 (tag 9), address 0x00000000",
        ),
        ({"error": FaultCode.COMMAND, "detail": 2}, "COMMAND of the vector unit at instruction 3 (tag 9), error 2"),
    ],
)
def test_the_text_of_a_fault_has_only_an_address_that_is_known(settings, text):
    fault = {
        "error": FaultCode.ADDRESS,
        "unit": Opcode.VECTOR,
        "detail": 0,
        "instruction": 3,
        "tag": 9,
        "address": 0,
    }
    assert Finish(**fault | settings).text() == text
