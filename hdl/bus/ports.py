"""Ports with the usual names of a bus.

Amaranth joins the names of nested members by two underscores. Other tools expect others: ``m_axi_awaddr``,
``wbs_adr_i``. So the members of a bus become members of the top component itself.
"""

from collections.abc import Mapping
from typing import Any

from amaranth.lib import wiring

__all__ = ["FlatInterface", "axi_names", "flat_members", "wishbone_names"]

Names = Mapping[str, str]
"""Names of ports, by the name of the member."""


def axi_names(prefix: str, signature: wiring.Signature) -> Names:
    """Names such as ``m_axi_awaddr``."""
    return {name: f"{prefix}_{name}" for name in signature.members}


def wishbone_names(prefix: str, signature: wiring.Signature) -> Names:
    """Names such as ``wbm_adr_o`` and, of both ``dat_r`` and ``dat_w``, ``wbm_dat_i`` and ``wbm_dat_o``.

    Parameters
    ----------
    signature : wiring.Signature
        Its members have the directions of the component's ports.
    """
    ends = {wiring.In: "i", wiring.Out: "o"}
    return {
        name: f"{prefix}_{name.removesuffix('_r').removesuffix('_w')}_{ends[member.flow]}"
        for name, member in signature.members.items()
    }


def flat_members(signature: wiring.Signature, names: Names) -> dict[str, wiring.Member]:
    """The members of a signature as members of a component.

    Parameters
    ----------
    signature : wiring.Signature
        It has only ports, no nested signatures. For a bus that the component is a subordinate of, flip it.
    names : dict of str

    Raises
    ------
    ValueError
        A member is no port.
    """
    for name, member in signature.members.items():
        if not member.is_port:
            raise ValueError(f"{name} must be a port, not {member!r}")
    return {names[name]: member for name, member in signature.members.items()}


class FlatInterface:
    """The ports of a component that :func:`flat_members` named, as one interface for ``wiring.connect``.

    A top component with an AXI4 master::

        class Top(wiring.Component):
            def __init__(self):
                self._names = axi_names("m_axi", Axi4Signature())
                super().__init__(flat_members(Axi4Signature(), self._names))

            def elaborate(self, platform):
                m = Module()
                m.submodules.master = master = Axi4Master()
                connect(m, master.axi, flipped(FlatInterface(self, Axi4Signature(), self._names)))
                return m

    Parameters
    ----------
    component : wiring.Component
    signature, names
        Those given to :func:`flat_members`.
    """

    def __init__(self, component: Any, signature: wiring.Signature, names: Names):
        self.signature = signature
        for name in signature.members:
            setattr(self, name, getattr(component, names[name]))
