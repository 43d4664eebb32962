"""``thresher presets``: the presets of all units, and the policies."""

from typing import Any

from . import options
from .frame import app, command, print_json
from .settings import preset_list
from .terminal import make_console, make_table

__all__ = ["presets"]


@command(app, "presets")
def presets(as_json: options.Json = False) -> None:
    """List the presets of the hardware, and the policies."""
    listed = preset_list()
    if as_json:
        print_json(listed)
    else:
        _show(listed)


def _show(listed: dict[str, Any]) -> None:
    console = make_console()
    console.print("attention")
    table = make_table("preset", "multipliers", "lengths to", "d to", "block", "predictor lanes × blocks", right=1)
    for name, entry in listed["presets"].items():
        fields = entry["configuration"]
        block = f"{fields['block']}×{fields['block']}"
        predictor = f"{fields['predictor_lanes']} × {fields['predictor_blocks']}"
        sizes = (entry["multipliers"], fields["max_length"], fields["max_head_dim"])
        table.add_row(name, *map(str, sizes), block, predictor)
    console.print(table)
    console.print("\nspmm")
    names = ("preset", "multipliers", "row engines × lanes", "M to", "K to", "N to", "banks", "N:M", "formats")
    table = make_table(*names, right=1)
    for name, entry in listed["spmm_presets"].items():
        fields = entry["configuration"]
        sizes = (fields["max_rows"], fields["max_columns"], fields["max_tokens"], fields["banks"])
        engines, pattern = f"{fields['rows']} × {fields['lanes']}", f"{fields['kept']}:{fields['group']}"
        table.add_row(name, str(entry["multipliers"]), engines, *map(str, sizes), pattern, ", ".join(fields["formats"]))
    console.print(table)
    console.print("\nvector")
    table = make_table("preset", "multipliers", "lanes", "channels to", "tokens to", right=1)
    for name, entry in listed["vector_presets"].items():
        fields = entry["configuration"]
        sizes = (entry["multipliers"], fields["lanes"], fields["max_channels"], fields["max_tokens"])
        table.add_row(name, *map(str, sizes))
    console.print(table)
    console.print("\npolicies of attention")
    names = list(next(iter(listed["policies"].values())))
    table = make_table("policy", *(name.replace("_", " ") for name in names), right=99)
    for name, rules in listed["policies"].items():
        table.add_row(name, *(rules[field] for field in names))
    console.print(table)
