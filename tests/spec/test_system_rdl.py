"""The compiler of SystemRDL reads the registers as they are described."""

import pytest
from systemrdl.compiler import RDLCompiler
from thresher.spec.registers import REGISTERS, Access
from thresher.spec.system_rdl import to_rdl

SIDE_EFFECTS = {Access.WRITE_ONE_TO_CLEAR: ("onwrite", "woclr"), Access.WRITE_ONE: ("singlepulse", "True")}
SOFTWARE = {
    Access.CONSTANT: "r",
    Access.READ: "r",
    Access.READ_WRITE: "rw",
    Access.WRITE_ONE_TO_CLEAR: "rw",
    Access.WRITE_ONE: "w",
}


@pytest.fixture(scope="module")
def address_map(tmp_path_factory):
    path = tmp_path_factory.mktemp("rdl") / "thresher.rdl"
    path.write_text(to_rdl(), encoding="utf-8")
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    return compiler.elaborate().top


def test_every_register_and_field_is_the_same(address_map):
    found = {each.inst_name: each for each in address_map.registers()}
    assert list(found) == [each.name for each in REGISTERS]
    for register in REGISTERS:
        node = found[register.name]
        assert (node.absolute_address, node.size, node.get_property("desc")) == (register.offset, 4, register.doc)
        fields = {each.inst_name: each for each in node.fields()}
        assert list(fields) == [each.name for each in register.fields]
        for field in register.fields:
            other = fields[field.name]
            assert (other.low, other.width) == (field.offset, field.width)
            assert other.get_property("sw").name == SOFTWARE[field.access]
            assert other.get_property("reset") == (None if field.access is Access.READ else field.reset)
            name, value = SIDE_EFFECTS.get(field.access, ("onwrite", "None"))
            effect = other.get_property(name)
            assert getattr(effect, "name", str(effect)) == value
            encoding = other.get_property("encode")
            names = {} if encoding is None else {each.name: each.value for each in encoding}
            assert names == {each.name: each.value for each in field.values or ()}
