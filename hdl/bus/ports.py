"""Ports with the usual names of a bus.

Amaranth joins the names of nested members by two underscores. Other tools expect one: ``m_axi_awaddr``. So the members
of a bus become members of the top component itself.
"""

from typing import Any

from amaranth.lib import wiring

__all__ = ["FlatInterface", "flat_members"]


def flat_members(prefix: str, signature: wiring.Signature) -> dict[str, wiring.Member]:
    """The members of a signature as members of a component, named ``{prefix}_{name}``.

    Parameters
    ----------
    prefix : str
    signature : wiring.Signature
        It has only ports, no nested signatures. For a bus that the component is a subordinate of, flip it.

    Raises
    ------
    ValueError
        A member is no port.
    """
    for name, member in signature.members.items():
        if not member.is_port:
            raise ValueError(f"{name} must be a port, not {member!r}")
    return {f"{prefix}_{name}": member for name, member in signature.members.items()}


class FlatInterface:
    """The ports of a component that :func:`flat_members` named, as one interface for ``wiring.connect``.

    A top component with an AXI4 master::

        class Top(wiring.Component):
            def __init__(self):
                super().__init__(flat_members("m_axi", Axi4Signature()))

            def elaborate(self, platform):
                m = Module()
                m.submodules.master = master = Axi4Master()
                connect(m, master.axi, flipped(FlatInterface(self, "m_axi", Axi4Signature())))
                return m

    Parameters
    ----------
    component : wiring.Component
    prefix, signature
        Those given to :func:`flat_members`.
    """

    def __init__(self, component: Any, prefix: str, signature: wiring.Signature):
        self.signature = signature
        for name in signature.members:
            setattr(self, name, getattr(component, f"{prefix}_{name}"))
