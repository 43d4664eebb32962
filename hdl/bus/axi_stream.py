"""A unit by itself, with its streams as AXI4-Stream."""

from amaranth import Module, Shape, Signal, Value, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..emit import StreamPort, interface
from ..lib.packets import is_framed

__all__ = ["AxiStreamUnit", "axi_stream_signature"]


def _whole_bytes(shape: ShapeLike) -> ShapeLike:
    """A payload, filled with zeros to whole bytes. Its fields keep their names and places."""
    width = Shape.cast(shape).width
    padded = -(-width // 8) * 8
    if isinstance(shape, data.Layout):
        return shape if padded == width else data.FlexibleLayout(padded, dict(shape))
    return unsigned(padded)


def _prefix(stream: StreamPort) -> str:
    """``s_axis_data`` for ``i_data``, ``m_axis_data`` for ``o_data``, ``s_axis_weights_0`` for ``i_weights[0]``."""
    side = "s" if stream.direction == "in" else "m"
    return f"{side}_axis_{stream.name[2:].replace('__', '_')}"


def _has_packets(stream: StreamPort) -> bool:
    return stream.direction == "out" or is_framed(stream.shape)


def _data(stream: StreamPort) -> ShapeLike:
    """What ``tdata`` holds: the payload without ``last``."""
    return stream.shape["data"].shape if is_framed(stream.shape) else stream.shape


def axi_stream_signature(signature: wiring.Signature) -> wiring.Signature:
    """Ports of a unit with this signature, on AXI4-Stream.

    Members
    -------
    s_axis_{name}_tdata, _tvalid : In, s_axis_{name}_tready : Out
        Of each input stream ``i_{name}``.
    s_axis_{name}_tlast : In
        Of each stream of operands. A packet holds the operands of one command.
    m_axis_{name}_tdata, _tvalid, _tlast : Out, m_axis_{name}_tready : In
        Of each output stream ``o_{name}``. A packet of ``m_axis_data`` holds the results of one command. Statistics
        are packets of one transfer.
    """
    streams, _ = interface(signature.create(path=()))
    members = {}
    for stream in streams.values():
        there, back = (In, Out) if stream.direction == "in" else (Out, In)
        prefix = _prefix(stream)
        members[f"{prefix}_tdata"] = there(_whole_bytes(_data(stream)))
        members[f"{prefix}_tvalid"] = there(1)
        members[f"{prefix}_tready"] = back(1)
        if _has_packets(stream):
            members[f"{prefix}_tlast"] = there(1)
    return wiring.Signature(members)


class AxiStreamUnit(wiring.Component):
    """A unit whose streams are AXI4-Stream.

    ``tdata`` has whole bytes. Bits beyond a payload are 0 in outputs, and ignored in inputs. Commands are single
    transfers, so they have no ``tlast``.

    Parameters
    ----------
    unit : wiring.Component
        It has streams ``i_…`` and ``o_…``, one of them ``o_data``, and the output ``last`` of that stream.
    """

    def __init__(self, unit: wiring.Component):
        self._unit = unit
        super().__init__(axi_stream_signature(unit.signature))

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self._unit
        streams, plain = interface(unit)
        for stream in streams.values():
            prefix, inner = _prefix(stream), stream.interface
            tdata, tvalid, tready = (
                Value.cast(getattr(self, f"{prefix}_{name}")) for name in ("tdata", "tvalid", "tready")
            )
            if stream.direction == "in":
                m.d.comb += [inner.valid.eq(tvalid), tready.eq(inner.ready)]
                if is_framed(stream.shape):
                    m.d.comb += inner.payload.last.eq(getattr(self, f"{prefix}_tlast"))
                    m.d.comb += Value.cast(inner.payload.data).eq(tdata)
                else:
                    m.d.comb += Value.cast(inner.payload).eq(tdata)
                continue
            payload = Value.cast(inner.payload)
            last = Signal(name=f"{prefix}_last")
            m.d.comb += [
                tdata.eq(payload),
                tvalid.eq(inner.valid),
                inner.ready.eq(tready),
                last.eq(plain["last"].value if stream.name == "o_data" else 1),
                getattr(self, f"{prefix}_tlast").eq(last),
            ]
        return m
