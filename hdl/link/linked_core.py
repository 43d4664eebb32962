"""A core behind a serial line, on boards and in simulation."""

from collections.abc import Callable
from typing import Any

from amaranth import Module, ResetInserter, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ...spec.attention_config import AttentionConfig
from ...spec.errors import ConfigError
from ...spec.link import LinkConfig, beat_bytes, identity
from ...spec.on_chip_config import OnChipConfig
from ...spec.spmm_config import SpmmConfig
from ..attention.core import AttentionCore
from ..attention.head_streams import attention_signature
from ..emit import interface
from ..spmm.engine import Spmm
from ..spmm.product_streams import spmm_signature
from .on_chip import OnChipCoprocessor, on_chip_signature
from .ports import ReadPorts, WritePorts, beat_shape, served
from .server import Server

__all__ = ["LinkedCore", "LinkedUnit", "linked_core"]

LinkedUnit = AttentionConfig | SpmmConfig | OnChipConfig
"""Configuration of a core that can be behind a link."""


class LinkedCore(wiring.Component):
    """A core with its streams served over a serial line.

    Parameters
    ----------
    core : wiring.Component
        A core whose ports are all streams.
    link : LinkConfig
        ``payload_bytes`` must be larger than a beat of any stream.
    identity : bytes
        Description of the core for the host.

    Members
    -------
    rx : In(1)
        Line from the host. It may be asynchronous.
    tx : Out(1)
        Line to the host.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)

    def __init__(self, core: wiring.Component, link: LinkConfig, *, identity: bytes):
        super().__init__()
        self._core, self._link, self._identity = core, link, identity
        self._streams, _ = interface(core)

    def elaborate(self, platform):
        m = Module()
        written, read = served(self._streams)
        m.submodules.server = server = Server(self._link)
        m.submodules.core = ResetInserter(server.reset)(self._core)
        m.submodules.write_ports = write_ports = WritePorts([port.shape for port in written])
        m.submodules.read_ports = read_ports = ReadPorts([port.shape for port in read], identity=self._identity)
        m.d.comb += [
            server.rx.eq(self.rx),
            self.tx.eq(server.tx),
            write_ports.clear.eq(server.reset),
            write_ports.start.eq(server.start),
            write_ports.port.eq(server.port),
            write_ports.byte.eq(server.write_byte),
            write_ports.enable.eq(server.write_enable),
            write_ports.last.eq(server.write_last),
            server.write_free.eq(write_ports.free),
            server.write_whole.eq(write_ports.whole),
            read_ports.start.eq(server.start),
            read_ports.port.eq(server.port),
            read_ports.ready.eq(server.read_ready),
            server.read_valid.eq(read_ports.valid),
            server.read_byte.eq(read_ports.byte),
        ]
        for i, port in enumerate(written):
            connect(m, getattr(write_ports, f"o{i}"), port.interface)
        for i, port in enumerate(read):
            connect(m, port.interface, getattr(read_ports, f"i{i}"))
        return m


def linked_core(config: LinkedUnit, link: LinkConfig) -> LinkedCore:
    """The attention core, the SpMM engine or the co-processor of a configuration, behind a link.

    Raises
    ------
    ConfigError
        A beat of the core does not fit into a payload.
    """
    signature, make = _kind(config)
    streams, _ = interface(signature.create(path=()))
    longest = max(beat_bytes(Shape.cast(beat_shape(port.shape)).width) for port in streams.values())
    if longest >= link.payload_bytes:
        raise ConfigError("payload_bytes", link.payload_bytes, f"must be more than the {longest} bytes of a beat")
    named = config.coprocessor if isinstance(config, OnChipConfig) else config
    return LinkedCore(make(config), link, identity=identity(named, payload_bytes=link.payload_bytes))


def _kind(config: LinkedUnit) -> tuple[wiring.Signature, Callable[[Any], wiring.Component]]:
    """Signature and class of a core."""
    match config:
        case AttentionConfig():
            return attention_signature(config), AttentionCore
        case SpmmConfig():
            return spmm_signature(config), Spmm
        case OnChipConfig():
            return on_chip_signature(), OnChipCoprocessor
