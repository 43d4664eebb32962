"""Post-synthesis simulation of the co-processor ``tiny`` on Wishbone: ECP5, iCE40 and Xilinx 7.

A netlist has more cells than the chips of iCE40. Simulation does not mind.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from thresher.spec import CoprocessorConfig, coprocessor_preset
from thresher.spec.errors import ThresherError
from thresher.spec.program import Region

from ..host.drivers import BASE, SIZE, Python
from ..host.systems import System, build
from ..images import random_image
from .gates import system_gates

__all__ = ["DEVICES", "check_programs"]

DEVICES = ("lfe5u-85f", "ice40up5k", "xc7a100t")
SEEDS = (100, 101, 102)


def check_programs(config: CoprocessorConfig, verilog: str) -> int:
    """Run random programs on a netlist. Every byte that they may write is compared with the golden model.

    Returns
    -------
    int
        Cycles of all programs.
    """
    library, cycles = build(config, verilog=verilog), 0
    for seed in SEEDS:
        system = System(library, base=BASE, size=SIZE, seed=seed)
        driver, program = Python(system), random_image(config, seed)
        driver.load(program.image.encode())
        system.put(program.places(BASE)[Region.SCRATCH], program.scratch)
        output = driver.run(program.input, len(program.after[Region.OUTPUT]))
        assert output == program.after[Region.OUTPUT], f"seed {seed}"
        for region, wanted in program.after.items():
            assert system.bytes_at(program.places(BASE)[region], len(wanted)) == wanted, f"seed {seed}, {region.name}"
        assert library.system_outside(system.handle) == 0, f"seed {seed}"
        cycles += driver.counters()["cycles"]
        system.close()
    return cycles


def main() -> int:
    """Check the netlists of some devices. Returns 1 if one of them fails, otherwise 0."""
    parser = argparse.ArgumentParser(prog="make gates", description=__doc__)
    parser.add_argument("--devices", nargs="+", choices=DEVICES, default=DEVICES)
    options = parser.parse_args()
    failed = 0
    for name in options.devices:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            config = coprocessor_preset("tiny")
            try:
                verilog = system_gates(config, name=name, folder=Path(folder))
                print(f"{name}: {time.monotonic() - begun:.0f} s to the netlist", flush=True)
                result = f"bit-exact, {check_programs(config, verilog):,} cycles"
            except (AssertionError, ThresherError) as error:
                failed, result = 1, f"failed: {error}"
        print(f"{name}: {time.monotonic() - begun:.0f} s: {result}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
