"""Ports of a module, as its Verilog declares them and as its description has them."""

import re


def declared_ports(text, top):
    """Names, directions and widths of the ports of a module, read from the Verilog."""
    body = text[text.index(f"module {top}(") :]
    body = body[: body.index("endmodule")]
    return {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body, re.MULTILINE)
    }


def described_ports(described, *, clock="clk", reset="rst"):
    """The same, from a description."""
    found = {clock: ("input", 1), reset: ("input", 1)}
    for port in described:
        there, back = ("input", "output") if port["direction"] == "in" else ("output", "input")
        if port["kind"] == "stream":
            found[f"{port['name']}__payload"] = (there, port["width"])
            found[f"{port['name']}__valid"] = (there, 1)
            found[f"{port['name']}__ready"] = (back, 1)
        else:
            found[port["name"]] = (there, port["width"])
    return found
