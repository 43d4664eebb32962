"""The stream bench: correct components pass, and broken stream rules are reported."""

import pytest
from thresher.sim.testbench import run_streams
from thresher.spec.errors import InputError

from .samples import Broken, Inverter, Summer, stimulus, summer_golden


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_collects_what_the_component_computes(seed, stall):
    commands, lanes = stimulus(seed, 30)
    result = run_streams(
        Summer(), {"i_command": commands, "i_data": lanes}, {"o": 30}, seed=seed, stall=stall, settings={"offset": -8}
    )
    expected = [summer_golden(c, row, -8) for c, row in zip(commands, lanes, strict=True)]
    assert result.values == {"o": expected}, f"seed {seed}"
    assert set(result.cycles) == {"i_command", "i_data", "o"}
    for cycles in result.cycles.values():
        assert len(cycles) == 30
        assert sorted(set(cycles)) == cycles
    assert result.cycles["i_command"] == result.cycles["i_data"]
    if stall == 0:
        assert result.cycles["i_data"] == list(range(30))


def test_stalls_are_repeatable_and_differ_by_seed():
    commands, lanes = stimulus(1, 20)
    first, again, other = (
        run_streams(Summer(), {"i_command": commands, "i_data": lanes}, {"o": 20}, seed=seed) for seed in (5, 5, 6)
    )
    assert first == again
    assert first.cycles != other.cycles


def test_stalls_by_name():
    commands, lanes = stimulus(1, 40)
    inputs = {"i_command": commands, "i_data": lanes}
    slow = run_streams(Summer(), inputs, {"o": 40}, seed=5, stall={"o": 0.8})
    free = run_streams(Summer(), inputs, {"o": 40}, seed=5, stall={})
    assert slow.values == free.values
    assert free.cycles["i_data"] == list(range(40))
    assert slow.cycles["o"][-1] > 80
    with pytest.raises(ValueError, match="'x' is not a stream of the component"):
        run_streams(Inverter(), {}, {}, seed=0, stall={"x": 0.1})
    with pytest.raises(ValueError, match=r"stall of o must be .* not -1"):
        run_streams(Inverter(), {}, {}, seed=0, stall={"o": -1})


def test_combinational_component():
    assert run_streams(Inverter(), {"i": [0, 255, 1]}, {"o": 3}, seed=1).values == {"o": [255, 0, 254]}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("valid", r"stream o, cycle \d+, seed 3: valid fell"),
        ("payload", r"stream o, cycle \d+, seed 3: payload changed before ready, from 1 to 2"),
        ("double", r"stream o, cycle \d+, seed 3: more than the expected 4"),
        ("lossy", r"seed 3: too few payloads from o \(3 of 4\); sent: i \(4 of 4\)"),
    ],
)
def test_broken_components_are_reported(fault, message):
    with pytest.raises(AssertionError, match=message):
        run_streams(Broken(fault), {"i": [1, 1, 1, 0]}, {"o": 4}, seed=3, stall=0.7, max_cycles=200)


def test_a_correct_register_passes():
    assert run_streams(Broken(None), {"i": [1, 2, 0]}, {"o": 3}, seed=3, stall=0.7).values == {"o": [1, 2, 0]}


def test_surplus_payloads_are_reported():
    with pytest.raises(AssertionError, match="more than the expected 1"):
        run_streams(Broken("double"), {"i": [7]}, {"o": 1}, seed=1, stall=0)


def test_wrong_names_and_values_are_rejected():
    with pytest.raises(ValueError, match="'x' is not an input stream of the component: choose from i"):
        run_streams(Inverter(), {"x": []}, {}, seed=0)
    with pytest.raises(ValueError, match="'i' is not an output stream"):
        run_streams(Inverter(), {}, {"i": 1}, seed=0)
    with pytest.raises(ValueError, match="'o' is not a plain input"):
        run_streams(Inverter(), {}, {}, seed=0, settings={"o": 1})
    with pytest.raises(ValueError, match=r"stall of .* must be .* not 1\.0"):
        run_streams(Inverter(), {}, {}, seed=0, stall=1.0)
    with pytest.raises(InputError, match=r"i\[1\] must be .* not 256"):
        run_streams(Inverter(), {"i": [0, 256]}, {}, seed=0)
    with pytest.raises(InputError, match=r"offset must be .* not 8"):
        run_streams(Summer(), {}, {}, seed=0, settings={"offset": 8})


def test_background_process_and_waveforms(tmp_path):
    seen = []
    dut = Inverter()

    async def watch(ctx):
        async for _, _, valid in ctx.tick().sample(dut.i.valid):
            seen.append(valid)

    run_streams(dut, {"i": [1]}, {"o": 1}, seed=0, stall=0, processes=[watch], vcd=tmp_path / "run.vcd")
    assert seen[0] == 1
    assert (tmp_path / "run.vcd").stat().st_size > 0
