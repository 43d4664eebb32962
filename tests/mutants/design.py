"""Prints a digest of the hardware as the sources of this process describe it. Equal digests are equal hardware."""

import hashlib
import sys
from collections.abc import Iterator

from amaranth.back import rtlil
from amaranth.lib import wiring
from thresher.hdl.bus.system import CoprocessorSystem
from thresher.hdl.link.linked_core import linked_core
from thresher.hdl.unit_files import make_unit
from thresher.spec import SPMM_PRESETS
from thresher.spec.buses import Bus
from thresher.spec.link import LinkConfig

from ..formal.small import COPROCESSOR
from ..hdl.configs import both_kinds, tiny

ENGINE = SPMM_PRESETS["tiny"]
CORES = both_kinds({"causal": tiny(causal=True)})


def units(room: str) -> Iterator[wiring.Component]:
    """Those that contain the blocks of a room: cores, engine, co-processors or link."""
    if room in ("attention", "lib"):
        yield from map(make_unit, CORES.values())
    if room in ("spmm", "lib"):
        yield make_unit(ENGINE)
    if room in ("coprocessor", "bus"):
        yield from (CoprocessorSystem(COPROCESSOR, bus) for bus in (Bus.AXI4, Bus.WISHBONE))
    if room == "link":
        yield linked_core(ENGINE, LinkConfig(clocks_per_bit=8))


def main() -> None:
    digest = hashlib.sha256()
    for unit in units(sys.argv[1]):
        digest.update(rtlil.convert(unit, emit_src=False).encode())
    print(digest.hexdigest())


if __name__ == "__main__":
    main()
