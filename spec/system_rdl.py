"""The registers as SystemRDL 2.0."""

from collections.abc import Iterable, Iterator
from enum import IntEnum

from .registers import REGISTER_BYTES, REGISTERS, Access, Field, Register

__all__ = ["to_rdl"]

NAME = "thresher"
"""Of the address map."""

_PROPERTIES = {
    Access.CONSTANT: "sw = r; hw = na;",
    Access.READ: "sw = r; hw = w;",
    Access.READ_WRITE: "sw = rw; hw = r;",
    Access.WRITE_ONE_TO_CLEAR: "sw = rw; onwrite = woclr; hw = na; hwset;",
    Access.WRITE_ONE: "sw = w; hw = r; singlepulse;",
}


def to_rdl(registers: Iterable[Register] = REGISTERS) -> str:
    """A file of SystemRDL with one address map, ``thresher``."""
    registers = tuple(registers)
    enums = {f.values: f.width for register in registers for f in register.fields if f.values is not None}
    lines = [
        f"addrmap {NAME} {{",
        '    name = "Registers of the Thresher co-processor";',
        f"    default regwidth = {8 * REGISTER_BYTES};",
        f"    default accesswidth = {8 * REGISTER_BYTES};",
        "    littleendian;",
        *(line for values, width in enums.items() for line in _enum(values, width)),
        *(line for register in registers for line in _register(register)),
        "};",
    ]
    return "\n".join(lines) + "\n"


def _enum(values: type[IntEnum], width: int) -> Iterator[str]:
    yield f"    enum {values.__name__} {{"
    yield from (f"        {item.name} = {width}'d{int(item)};" for item in values)
    yield "    };"


def _register(register: Register) -> Iterator[str]:
    yield "    reg {"
    yield f'        desc = "{register.doc}";'
    yield from (f"        {_field(field)}" for field in register.fields)
    yield f"    }} {register.name} @ {register.offset:#05x};"


def _field(field: Field) -> str:
    bits = f"[{field.offset + field.width - 1}:{field.offset}]"
    encoding = f" encode = {field.values.__name__};" if field.values is not None else ""
    doc = f' desc = "{field.doc}";' if field.doc else ""
    # Without a reset value, the hardware's value is what is read.
    reset = "" if field.access is Access.READ else f" = {field.width}'h{field.reset:x}"
    return f"field {{ {_PROPERTIES[field.access]}{encoding}{doc} }} {field.name}{bits}{reset};"
