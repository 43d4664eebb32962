# amaranth: UnusedElaboratable=no
"""Ports of buses have their usual names."""

import pytest
from amaranth.lib.wiring import In, Out
from thresher.hdl.bus.axi4 import Axi4Signature
from thresher.hdl.bus.ports import FlatInterface, axi_names, flat_members, wishbone_names
from thresher.hdl.bus.wishbone import WishboneSignature
from thresher.hdl.coprocessor.memory_streams import MemoryPort
from thresher.hdl.emit import emit, ports

from ..verilog_ports import declared_ports
from .tops import Top

AXI4 = """
awid awaddr awlen awsize awburst awlock awcache awprot awqos awvalid awready wdata wstrb wlast wvalid wready bid bresp
bvalid bready arid araddr arlen arsize arburst arlock arcache arprot arqos arvalid arready rid rdata rresp rlast rvalid
rready
"""


def test_names_in_verilog():
    top = Top()
    declared = declared_ports(emit(top, name="top"), "top")
    for prefix, names in (("m_axi", AXI4), ("m_wb", "adr dat_w dat_r sel cyc stb we cti bte ack err rty")):
        assert {f"{prefix}_{name}" for name in names.split()} <= declared.keys()
    (address,) = (port for port in ports(top) if port["name"] == "m_axi_awaddr")
    assert (address["kind"], address["direction"], address["width"]) == ("port", "out", 32)


def test_a_flipped_signature_has_the_other_directions():
    signature = WishboneSignature().flip()
    members = flat_members(signature, wishbone_names("wbs", signature))
    flows = {name: members[name].flow for name in ("wbs_adr_i", "wbs_dat_i", "wbs_dat_o", "wbs_ack_o")}
    assert flows == {"wbs_adr_i": In, "wbs_dat_i": In, "wbs_dat_o": Out, "wbs_ack_o": Out}


def test_a_flat_interface_has_the_ports_of_the_component():
    signature = Axi4Signature()
    top = Top()
    flat = FlatInterface(top, signature, axi_names("m_axi", signature))
    assert signature.is_compliant(flat)
    assert all(getattr(flat, name) is getattr(top, f"m_axi_{name}") for name in signature.members)


def test_nested_signatures_are_rejected():
    with pytest.raises(ValueError, match="read must be a port, not "):
        flat_members(MemoryPort(), axi_names("memory", MemoryPort()))
