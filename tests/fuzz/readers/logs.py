"""Logs of unfinished runs, which go on where they were ended."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from thresher.runtime.study.log import LOG, open_log
from thresher.spec.base import digest

from ...bench_scripts import bench_script
from ..reader import FuzzReader

__all__ = ["READERS"]

IDENTITY = {"model": "a" * 8, "settings": "b" * 8}
CAMPAIGN = b"campaign\n"
campaign: Any = bench_script("campaign")
campaign.sources = cache(campaign.sources)  # it reads all files
KIND = next(iter(campaign.KINDS))


def _read(data: bytes, folder: Path) -> None:
    """A study's log, or after a line that says so, a campaign's."""
    if data.startswith(CAMPAIGN):
        path = folder / "campaign.jsonl"
        path.write_bytes(data.removeprefix(CAMPAIGN).replace(b"STATE", campaign.sources(KIND).encode()))
        log = campaign.Log(path)
        log.record()
        next(campaign.todo(log, list(campaign.KINDS)))
        return
    path = folder / LOG
    path.write_bytes(data)
    with open_log(folder, IDENTITY) as log:
        known = log.known
        log.add("another", {"cpu_seconds": 1.0})
    with open_log(folder, IDENTITY) as log:
        assert log.known >= min(known, 1)
        assert log["another"] == {"cpu_seconds": 1.0}


def _tree(data: bytes) -> list[Any]:
    first = [CAMPAIGN.decode().strip()] if data.startswith(CAMPAIGN) else [""]
    return first + [json.loads(line) for line in data.removeprefix(CAMPAIGN).splitlines()]


def _bytes(tree: Any) -> bytes:
    first = CAMPAIGN if tree[0] else b""
    return first + b"".join(json.dumps(_sealed(line)).encode() + b"\n" for line in tree[1:])


def _sealed(line: Any) -> Any:
    """A line with the digest of its result."""
    if not isinstance(line, dict) or not {"key", "result"} <= set(line):
        return line
    return line | {"digest": digest(json.dumps([line["key"], line["result"]]))[:16]}


def _seeds() -> dict[str, bytes]:
    results = [
        {"study": IDENTITY},
        {"key": "parameter of thresher 0.5", "result": 0.25},
        {"key": "thresher 0.5, part 0", "result": {"outputs": [[0.1, 0.9]], "blocks": 12, "cpu_seconds": 0.5}},
    ]
    row = {
        "sources": "STATE",
        "kind": KIND,
        "round": 0,
        "items": 9,
        "mismatches": [],
        "seconds": 1.5,
    }
    rows = [row, row | {"round": 1, "mismatches": ["head 3"]}, row | {"sources": "old"}]
    return {
        "study": _bytes(["", *results]),
        "cut": _bytes(["", *results])[:-9],
        "campaign": _bytes(["campaign", *rows]),
        "none": b"",
    }


READERS = {
    "logs": FuzzReader(
        name="logs",
        what="logs of `thresher study` and of campaigns, which resume",
        read=_read,
        seeds=_seeds,
        split=_tree,
        join=_bytes,
        words=[
            "study",
            "key",
            "result",
            "sources",
            "kind",
            "round",
            "items",
            "mismatches",
            "seconds",
            "STATE",
            "model",
        ],
    ),
}
