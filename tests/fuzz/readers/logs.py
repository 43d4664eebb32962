"""Logs and records of runs, which go on where they were ended."""

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
RECORD = b"record\n"
campaign: Any = bench_script("campaign")
campaign.sources = cache(campaign.sources)  # it reads all files
KIND = next(iter(campaign.KINDS))


def _read(data: bytes, folder: Path) -> None:
    """A study's log, or after a line that says so, a campaign's log or its record."""
    if data.startswith((CAMPAIGN, RECORD)):
        name, _, text = data.partition(b"\n")
        path = folder / name.decode()
        path.write_bytes(text.replace(b"STATE", campaign.sources(KIND).encode()))
        log = campaign.Log(folder / "campaign", folder / "record")
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
    first = next((mark for mark in (CAMPAIGN, RECORD) if data.startswith(mark)), b"")
    return [first.decode().strip()] + [json.loads(line) for line in data.removeprefix(first).splitlines()]


def _bytes(tree: Any) -> bytes:
    first = {"campaign": CAMPAIGN, "record": RECORD}.get(tree[0], b"") if isinstance(tree[0], str) else b""
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
    totals = {"sources": "STATE", "rounds": 1, "items": 9, "mismatches": [], "processor_minutes": 0.5, "next": 1}
    return {
        "study": _bytes(["", *results]),
        "cut": _bytes(["", *results])[:-9],
        "campaign": _bytes(["campaign", *rows]),
        "record": _bytes(["record", {KIND: totals, "other": totals}]),
        "none": b"",
    }


READERS = {
    "logs": FuzzReader(
        name="logs",
        what="logs of `thresher study` and of campaigns, which resume, and a campaign's record",
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
            "rounds",
            "processor_minutes",
            "next",
            "model",
        ],
    ),
}
