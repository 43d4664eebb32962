"""JSON of configurations and scales."""

import json
from pathlib import Path

from thresher.cli.settings import any_configuration
from thresher.model.quantise import AttentionScales, LayerScales, load_scales
from thresher.spec import PRESETS

from ..reader import FuzzReader
from ..trees import kinded_bytes, kinded_tree

__all__ = ["READERS"]

UNITS = ("attention", "spmm", "vector", "coprocessor")


def _read(data: bytes, folder: Path) -> None:
    """The first line says what the rest is the JSON of."""
    kind, _, content = data.partition(b"\n")
    path = folder / "settings.json"
    path.write_bytes(content)
    match kind.decode("latin-1"):
        case "scales":
            _use_scales(load_scales(path))
        case name:
            unit = name if name in UNITS else "attention"
            config = any_configuration("tiny", unit=unit, policy=None, file=path)
            assert type(config).from_json(config.to_json()) == config
            config.hash()


def _use_scales(scales: AttentionScales) -> None:
    assert AttentionScales.from_json(scales.to_json()) == scales
    for layer in scales.layers:
        layer.command(PRESETS["tiny"], length=4, head_dim=4)


def _seeds() -> dict[str, bytes]:
    layer = LayerScales(q=0.01, k=0.02, v=0.3, o=0.4)
    scales = AttentionScales(method="percentile", percentile=99.9, sentences=3, layers=(layer, layer))
    found = {unit: any_configuration("tiny", unit=unit, policy=None, file=None).to_json() for unit in UNITS}
    found["scales"] = scales.to_json()
    return {name: kinded_bytes([name, json.loads(text)]) for name, text in found.items()} | {
        "changes": b'attention\n{"max_length": 32}',
        "whole": b'coprocessor\n{"attention": {"lanes": 4}, "cores": 2}',
    }


READERS = {
    "settings": FuzzReader(
        name="settings",
        what="configurations of all units (`--config`), and scales of attention",
        read=_read,
        seeds=_seeds,
        split=kinded_tree,
        join=kinded_bytes,
        words=[
            *UNITS,
            "policy",
            "thresher",
            "hdp",
            "probability",
            "lanes",
            "layers",
            "q",
            "method",
            "sentences",
            1e-45,
            1e39,
        ],
    ),
}
