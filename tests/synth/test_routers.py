"""The router of nextpnr: which one a design has, and when it is stopped. With fake tools."""

import json
import re

import pytest
from thresher.synth import html, routers
from thresher.synth.devices import Capacity
from thresher.synth.tools import SynthesisError

from . import fake_tools
from .fake_tools import calls, run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def tools(tmp_path, monkeypatch):
    fake_tools.install(tmp_path / "bin", monkeypatch)


def test_crowded_ecp5s_have_another_router(tmp_path, monkeypatch):
    luts = {f"lut{i}": fake_tools.cell("LUT4") for i in range(50)}
    monkeypatch.setenv("FAKE_NETLIST", fake_tools.netlist(luts))
    for name, lut, options in (
        ("lfe5u-85f", 100, "--router router1 --seed"),
        ("lfe5u-85f", 99, "--router router2 --tmg-ripup --seed"),
        ("lfe5u-85f", 79, "--router router2 --seed"),
        ("ice40up5k", 99, "--router router1 --seed"),
    ):
        folder = tmp_path / f"{name}-{lut}"
        run(folder, name=name, capacity=Capacity(lut=lut, ff=99, bram=9, dsp=9))
        assert options in calls(folder)[-1]


STANDING = [9000, 8000, *[7500, 7200] * routers.ROUTER1.standstill]
"""What a router without progress reports."""


@pytest.mark.parametrize(
    ("name", "placer", "crowded"),
    [("lfe5u-85f", "nextpnr-ecp5", 0.5), ("lfe5u-85f", "nextpnr-ecp5", 0), ("ice40up5k", "nextpnr-ice40", 0)],
)
def test_router_without_progress_is_stopped(tmp_path, monkeypatch, name, placer, crowded):
    told = []
    monkeypatch.setattr(routers, "CROWDED", crowded)
    monkeypatch.setenv("FAKE_ROUTER", json.dumps({"1": STANDING, "3": STANDING}))
    with pytest.raises(SynthesisError, match=rf"{placer} stood still with every seed: try other seeds"):
        run(tmp_path, name=name)
    result = run(tmp_path, name=name, seeds=(1, 2, 3), announce=told.append)
    assert {seed: route.fmax_mhz for seed, route in result.routes.items()} == {2: 82.0}
    notes = [f"seed {seed} was given up: the router of {placer} stood still" for seed in (1, 3)]
    assert result.notes == tuple(notes)
    assert result.to_dict()["notes"] == notes
    assert set(notes) <= set(told)
    assert notes[0] in html.page(result)
    # What is known of seeds costs no further runs of them.
    assert run(tmp_path, name=name, seeds=(1, 2, 3)).notes == result.notes
    assert [re.findall(r"--seed (\d)", line) for line in calls(tmp_path)] == [[], ["1"], ["2"], ["3"]]


@pytest.mark.parametrize(("router", "crowded"), [(routers.ROUTER1, 1), (routers.ROUTER2, 0)])
def test_slow_router_is_not_stopped(tmp_path, monkeypatch, router, crowded):
    monkeypatch.setattr(routers, "CROWDED", crowded)
    slow = [left for left in (900, 800, 700) for _ in range(router.standstill)]
    monkeypatch.setenv("FAKE_ROUTER", json.dumps({"1": [*slow, 0]}))
    assert run(tmp_path).notes == ()
