"""``thresher estimate``: sizes and cycles of a configuration, from formulas."""

from typing import Annotated, Any

import typer

from ..synth.devices import Family, device
from . import options
from .frame import app, command, print_json
from .report import bands
from .settings import unit_configuration
from .terminal import make_console, make_table

__all__ = ["estimate"]


@command(app, "estimate")
def estimate(
    unit: options.Unit = options.UnitName.ATTENTION,
    preset: options.Preset = options.EDGE,
    device_name: Annotated[options.DeviceName, typer.Option("--device", help="Target chip.")] = options.LFE5U_85F,
    policy: options.UnitPolicy = None,
    config_file: options.Config = None,
    as_json: options.Json = False,
) -> None:
    """Estimate size and cycles of a configuration from formulas; its measured size, too, if there is one."""
    from ..cost.estimate import estimate

    config = unit_configuration(preset, spmm=unit is options.UnitName.SPMM, policy=policy, file=config_file)
    chip = device(device_name.value)
    result = {"preset": preset.value, "unit": unit.value, "device": chip.name}
    result |= estimate(config, fabric=chip.fabric, available=chip.available)
    if as_json:
        print_json(result)
    else:
        _show(result)


def _show(result: dict[str, Any]) -> None:
    """Print sizes, and cycles by sparsity."""
    console = make_console()
    multipliers = f"{result['multipliers']} INT8 multipliers"
    console.print(f"{result['unit']} of {result['preset']}, {multipliers}, estimated for {result['device']}\n")
    if result["resources"]:
        _sizes(result["resources"])
    else:
        console.print("sizes are not estimated for this device")
    if device(result["device"]).family is Family.ICE40:
        lut, ff = (result["resources"][name] for name in ("lut4", "ff"))
        least, most = max(lut["estimate"], ff["estimate"]), lut["estimate"] + ff["estimate"]
        cells = f"{least:,} to {most:,} of {lut['available']:,} logic cells, each a look-up table, a flip-flop or both"
        console.print(cells, soft_wrap=True)
    console.print()
    shown = make_table(result["work"], "cycles", "speedup over dense with all multipliers busy", right=1)
    for row in result["cycles"]:
        speedup = row["dense_cycles_at_full_use"] / row["cycles"]
        shown.add_row(f"{row['sparsity']:.0%} pruned", f"{row['cycles']:,}", f"{speedup:.2f}")
    console.print(shown)
    console.print(f"cycles within ±{result['cycles_band']:.1%} of RTL", soft_wrap=True)


def _sizes(resources: dict[str, Any]) -> None:
    """Print sizes, shares of the device, and measured sizes."""
    console = make_console()
    table = make_table("", *(name.upper() for name in resources), right=1)
    table.add_row("estimate", *(f"{entry['estimate']:,}" for entry in resources.values()))
    table.add_row("share", *map(_share, resources.values()))
    if any(entry["measured"] is not None for entry in resources.values()):
        table.add_row("measured", *(f"{entry['measured']:,}" for entry in resources.values()))
        errors = [entry["error"] for entry in resources.values()]
        table.add_row("error", *("" if error is None else f"{error:+.1%}" for error in errors))
    console.print(table)
    console.print(bands(resources), soft_wrap=True)


def _share(entry: dict[str, Any]) -> str:
    """Share of the device."""
    return f"{entry['estimate'] / entry['available']:.1%}" if entry["available"] else "none there"
