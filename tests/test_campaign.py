"""The campaign of random tests: what it repeats, what it leaves out, and that it sees what differs."""

import json
from concurrent.futures import Executor, Future

import numpy as np
import pytest
from thresher.spec import InputError

from . import products
from .bench_scripts import bench_script

campaign = bench_script("campaign")


class Now(Executor):
    """Runs everything in this process, at once."""

    def submit(self, fn, /, *args, **kwargs):
        done: Future = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def run(path, monkeypatch, rounds: int, mismatches=()) -> list[tuple[str, int]]:
    """The rounds that a campaign of so many rounds runs."""
    ran = []

    def fake(kind, number, cache):
        ran.append((kind, number))
        now[0] += 60
        return {"items": 10, "mismatches": list(mismatches), "seconds": 6.0}

    now = [0.0]
    monkeypatch.setattr(campaign, "run_round", fake)
    monkeypatch.setattr(campaign.time, "monotonic", lambda: now[0])
    log = campaign.Log(path, path.with_name("record.json"))
    campaign.campaign(log, Now(), minutes=rounds, kinds=["attention", "product"], width=1, cache=path.parent)
    return ran


def test_a_campaign_goes_on_after_its_last_round(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    assert run(path, monkeypatch, 3) == [("attention", 0), ("product", 0), ("attention", 1)]
    with path.open("a") as file:
        file.write('{"sources": "cut of')  # by a run that was killed
    assert run(path, monkeypatch, 2) == [("product", 1), ("attention", 2)]
    record = campaign.Log(path, tmp_path / "record.json").record()
    assert record["attention"] == {
        "sources": campaign.sources("attention"),
        "rounds": 3,
        "items": 30,
        "mismatches": [],
        "processor_minutes": 0.3,
        "next": 3,
    }


@pytest.mark.parametrize("kept", [True, False])
def test_a_campaign_goes_on_after_its_record(tmp_path, monkeypatch, kept):
    """With the log of the rounds in the record, or without it, on another machine."""
    path, recorded = tmp_path / "log.jsonl", tmp_path / "record.json"
    run(path, monkeypatch, 3, ["differs"])
    recorded.write_text(json.dumps(campaign.Log(path, recorded).record()))
    if not kept:
        path.unlink()
    assert run(path, monkeypatch, 3) == [("attention", 2), ("product", 1), ("attention", 3)]
    record = campaign.Log(path, recorded).record()
    assert [record["attention"][name] for name in ("rounds", "items", "next")] == [4, 40, 4]
    assert [record["product"][name] for name in ("rounds", "items", "next")] == [2, 20, 2]
    assert record["attention"]["mismatches"] == ["round 0: differs", "round 1: differs"]
    other = {kind: totals | {"sources": "others"} for kind, totals in record.items()}
    recorded.write_text(json.dumps(other))
    path.unlink(missing_ok=True)
    assert run(path, monkeypatch, 1) == [("attention", 0)]


def test_other_sources_begin_anew(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    run(path, monkeypatch, 1)
    rows = [json.loads(line) | {"sources": "others"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(path, monkeypatch, 1, ["differs"]) == [("attention", 0)]
    record = campaign.Log(path, tmp_path / "record.json").record()
    assert record["attention"]["mismatches"] == ["round 0: differs"]
    assert len(path.read_text().splitlines()) == 2


RECORD = '{"product":{"sources":"SAME","rounds":1,"items":"9","mismatches":[],"processor_minutes":1,"next":1}}'


@pytest.mark.parametrize("text", ["", "7", '{"product": {}}', '{"product": {"sources": "SAME"}}', RECORD])
def test_a_file_that_is_no_record_is_rejected(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text.replace("SAME", campaign.sources("product")))
    with pytest.raises(InputError, match=r"record.json' is no record of a campaign"):
        campaign.Log(tmp_path / "log.jsonl", path)


@pytest.mark.slow
def test_a_round_sees_what_differs(monkeypatch):
    """The same configuration as ever, with few products."""
    jobs = products.random_jobs
    monkeypatch.setattr(products, "random_jobs", lambda config, **settings: jobs(config, **settings | {"count": 20}))
    assert campaign.run_round("product", 1)["mismatches"] == []
    golden = products.golden_results

    def changed(config, some):
        results = golden(config, some)
        output = next(result for result in results if result is not None).output
        output[0, 0] = np.int8(output[0, 0] ^ 1)
        return results

    monkeypatch.setattr(products, "golden_results", changed)
    found = campaign.run_round("product", 1)
    assert len(found["mismatches"]) == 1
    assert found["items"] == 0
