"""Control blocks, and the tests that watch them."""

from dataclasses import dataclass

__all__ = ["BLOCKS", "Block"]


@dataclass(frozen=True)
class Block:
    """A module of the hardware.

    Attributes
    ----------
    module : str
        Below ``hdl``, with dots.
    tests : tuple of str
        Arguments of pytest. Those that find most come first.
    """

    module: str
    tests: tuple[str, ...]

    @property
    def room(self) -> str:
        """Folder of the hardware."""
        return self.module.split(".")[0]

    @property
    def path(self) -> str:
        """File of the module, below the repository."""
        return f"hdl/{self.module.replace('.', '/')}.py"


HEADS = (
    "tests/hdl/test_packets.py",
    "tests/hdl/attention/test_core.py",
    "tests/sim/test_attention.py::test_causal_heads_match_golden",
)
PRODUCTS = ("tests/hdl/spmm", "tests/hdl/test_packets.py", "tests/sim/test_spmm.py")
PROGRAMS = ("tests/hdl/coprocessor/test_coprocessor.py", "tests/sim/test_system.py")


def _coprocessor(module: str, *tests: str) -> Block:
    own = tests or (f"tests/hdl/coprocessor/test_{module}.py",)
    return Block(f"coprocessor.{module}", (*own, *PROGRAMS))


BLOCKS = (
    Block("lib.streams", ("tests/hdl/lib/test_streams.py", *HEADS, *PRODUCTS)),
    Block("lib.packets", ("tests/hdl/test_packets.py", *PRODUCTS)),
    Block("attention.heads.table", HEADS),
    Block("attention.heads.loader", HEADS),
    Block("attention.heads.output", HEADS),
    Block("attention.selection.kept_blocks", HEADS),
    Block("spmm.sequencer", PRODUCTS),
    Block("spmm.dispatcher", PRODUCTS),
    Block("spmm.collector", PRODUCTS),
    Block("spmm.tile_loader", PRODUCTS),
    _coprocessor("arbiter"),
    _coprocessor("gate"),
    _coprocessor("reader"),
    _coprocessor("writer"),
    _coprocessor("splitter"),
    _coprocessor("supervisor"),
    _coprocessor("sequencer", "tests/hdl/coprocessor/test_coprocessor.py"),
    Block("bus.axi4", ("tests/hdl/bus/test_masters.py", "tests/hdl/bus/test_third_party.py", *PROGRAMS)),
    Block("bus.wishbone", ("tests/hdl/bus/test_masters.py", "tests/hdl/bus/test_third_party.py", *PROGRAMS)),
    Block("bus.axi4_lite", ("tests/hdl/bus/test_axi4_lite.py", "tests/hdl/bus/test_third_party_hosts.py", *PROGRAMS)),
    Block(
        "bus.wishbone_slave",
        ("tests/hdl/bus/test_wishbone_slave.py", "tests/hdl/bus/test_third_party_hosts.py", *PROGRAMS),
    ),
    Block("bus.registers", ("tests/hdl/bus/test_registers.py", "tests/host/test_drivers.py", *PROGRAMS)),
    Block("link.server", ("tests/hdl/link", "tests/host/test_link.py")),
)
