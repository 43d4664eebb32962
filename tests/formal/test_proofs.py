"""Properties hold, no component with streams is forgotten, and proofs of broken components fail."""

import dataclasses
import importlib
import inspect
import pkgutil
import sys
from types import ModuleType
from typing import Any

import pytest
from amaranth.hdl import Fragment, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from thresher.hdl.attention.selection.kept_blocks import KeptBlocks
from thresher.hdl.bus.axi4 import Axi4Master
from thresher.hdl.bus.system import CoprocessorSystem
from thresher.hdl.coprocessor.arbiter import Arbiter
from thresher.hdl.lib.streams import HalfBuffer, StreamFIFO, StreamRegister
from thresher.hdl.unit_files import make_unit
from thresher.spec.buses import Bus
from thresher.synth.tools import SynthesisError

from .claims import output_streams, stable_outputs
from .properties import Property
from .prover import Result, prove
from .row_claims import ROWS_COMPLETE, STEPS
from .small import COMPACT, COPROCESSOR, PIPELINED, SPMM, VECTOR
from .stream_claims import ALWAYS_ACCEPTED, BUT_FOR, RULE, WHOLE_UNITS, WITHOUT_STREAMS
from .table import CLAIMS, PAGE, key, listed

SHORT = [claim for claim in CLAIMS if claim.short]


@pytest.mark.slow
@pytest.mark.parametrize("claim", SHORT, ids=lambda claim: claim.name)
def test_proof(claim):
    verdict = claim.prove()
    assert verdict.result is Result.PROVED, f"{verdict.broken}\n{verdict.trace}"
    assert verdict.reached, "no run was found in which there is something to check"


BROKEN = [
    # component, text of its module, what takes its place, part of the name of the claim that must fail
    (HalfBuffer, "m.d.comb += [self.i.ready.eq(~self.o.valid)", "m.d.comb += [self.i.ready.eq(1)", ""),
    (StreamRegister, "with m.If(free):", "with m.If(1):", ""),
    (
        StreamFIFO,
        "Mux(pop, level[1:].any(), self.o.valid)",
        "Mux(pop, 0, self.o.valid)",
        "3 × 2 bits: payloads",
    ),
    (StreamFIFO, "Mux(push, level != self._depth - 1, ready)", "ready", "3 × 2 bits: payloads"),
    (KeptBlocks, "with m.If(self.o_rows.ready):", "with m.If(1):", "stable"),
    (KeptBlocks, "m.d.sync += word.eq(rest)", "m.d.sync += word.eq(rest + 1)", "mask"),
    (Axi4Master, "sent == lengths.payload", "sent == 3", "marked"),
    (Axi4Master, 'axi["len"].eq(burst.words - 1)', 'axi["len"].eq(burst.words)', "once"),
    (Arbiter, "gate.drop.eq(self.fault.valid)", "gate.drop.eq(0)", "fault"),
]


def _mutant(component: type, old: str, new: str) -> type:
    """The component from the text of its module with one change."""
    original = sys.modules[component.__module__]
    text = inspect.getsource(original)
    assert text.count(old) == 1, f"{component.__module__} has changed: choose another text for {old!r}"
    module = ModuleType(component.__module__)
    module.__package__ = original.__package__
    exec(compile(text.replace(old, new), f"mutant of {original.__file__}", "exec"), module.__dict__)
    return getattr(module, component.__name__)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("component", "old", "new", "rule"), BROKEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_broken_component_is_refuted(component, old, new, rule):
    claims = [claim for claim in CLAIMS if claim.component is component and rule in claim.name]
    mutant = _mutant(component, old, new)
    assert claims[0].prove(mutant).result is Result.REFUTED


class _Pair(wiring.Component):
    """Two buffers, one behind the other."""

    i: In(stream.Signature(2))
    o: Out(stream.Signature(2))

    def elaborate(self, platform):
        m = Module()
        m.submodules.first = first = HalfBuffer(2)
        m.submodules.second = second = StreamRegister(2)
        connect(m, flipped(self.i), first.i)
        connect(m, first.o, second.i)
        connect(m, second.o, flipped(self.o))
        return m


@pytest.mark.slow
@pytest.mark.parametrize(("free", "result"), [("first", Result.PROVED), ("second", Result.UNFINISHED)])
def test_free_parts_may_do_anything(free, result):
    """The payloads of a pair come from its second buffer."""
    block = _Pair()
    assert prove(block, asserted=stable_outputs(block), free=[free]).result is result


@pytest.mark.slow
def test_induction_proves_and_refutes():
    claim = next(claim for claim in CLAIMS if claim.component is HalfBuffer and claim.rule == RULE)
    claim = dataclasses.replace(claim, induction=3)
    assert claim.prove().result is Result.PROVED
    assert claim.prove(_mutant(*BROKEN[0][:3])).broken == ("o is stable",)


class _Same(Property):
    """A signal inside a pair is the valid of its output."""

    def __init__(self, pair: _Pair, path: str):
        super().__init__("same")
        self._pair, self._signal = pair, Signal(name="inside")
        self.inner = {path: self._signal}

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.reached.eq(self._pair.o.valid), self.broken.eq(self._signal ^ self._pair.o.valid)]
        return m


@pytest.mark.slow
@pytest.mark.parametrize(("part", "result"), [("second", Result.PROVED), ("first", Result.REFUTED)])
def test_signals_inside(part, result):
    """A pair's ``o`` comes from its second buffer, not from its first."""
    block = _Pair()
    assert prove(block, asserted=[_Same(block, f"{part}.o__valid")]).result is result


@pytest.mark.slow
def test_signals_inside_must_exist():
    block = _Pair()
    with pytest.raises(SynthesisError, match="third"):
        prove(block, asserted=[_Same(block, "third.o__valid")])


@pytest.mark.slow
def test_signals_inside_have_their_width():
    block = _Pair()
    with pytest.raises(SynthesisError, match="second"):
        prove(block, asserted=[_Same(block, "second.o__payload")])


@pytest.mark.slow
def test_free_parts_must_exist():
    block = _Pair()
    with pytest.raises(SynthesisError, match="third"):
        prove(block, asserted=stable_outputs(block), free=["third"])


@pytest.mark.slow
def test_a_refutation_shows_the_run():
    claim = next(claim for claim in CLAIMS if claim.component is HalfBuffer and claim.rule == RULE)
    verdict = claim.prove(_mutant(*BROKEN[0][:3]))
    assert verdict.broken == ("o is stable",)
    lines = {line.split()[0]: line.split()[1:] for line in verdict.trace.splitlines()}
    assert lines.keys() >= {"rst", "i__valid", "i__payload", "o__ready", "o__valid", "o__payload"}
    assert len({len(cells) for cells in lines.values()}) == 1


def _components() -> set[type]:
    """All components of the hardware that are no base of others."""
    found = set()
    hdl = importlib.import_module("thresher.hdl")
    for info in pkgutil.walk_packages(hdl.__path__, "thresher.hdl."):
        module = importlib.import_module(info.name)
        for each in vars(module).values():
            if inspect.isclass(each) and issubclass(each, wiring.Component) and each.__module__ == info.name:
                found.add(each)
    return {each for each in found if not any(other is not each and issubclass(other, each) for other in found)}


@pytest.mark.slow
def test_every_component_with_streams_has_a_claim(monkeypatch):
    """Components are made by the units that contain them. One that no unit here contains needs a claim, too."""
    streams: dict[type, set[str]] = {}
    make = wiring.Component.__init__

    def record(self: Any, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        streams.setdefault(type(self), set()).update(output_streams(self))

    monkeypatch.setattr(wiring.Component, "__init__", record)
    for unit in (*map(make_unit, (PIPELINED, COMPACT, SPMM, VECTOR)), CoprocessorSystem(COPROCESSOR, Bus.AXI4)):
        Fragment.get(unit, None)
    without = {each for each, names in streams.items() if not names}
    claimed = {claim.component for claim in CLAIMS if claim.rule.startswith(RULE)} | WHOLE_UNITS | set(ALWAYS_ACCEPTED)
    missing = {f"{each.__module__}.{each.__name__}" for each in _components() - claimed - without - WITHOUT_STREAMS}
    assert missing == set(), "add them to tests/formal/stream_claims.py"


def test_outputs_that_a_claim_leaves_out_have_one_of_their_own():
    rules = {(claim.component, claim.rule) for claim in CLAIMS}
    left_out = [claim for claim in CLAIMS if claim.rule.startswith(BUT_FOR)]
    assert len(left_out) == 2
    for claim in left_out:
        for name in claim.rule.removeprefix(BUT_FOR).split(" and "):
            assert (claim.component, f"{name} is stable") in rules, claim.name


def test_steps_assume_only_what_other_steps_prove():
    """No circle: a step may assume a later one only until the cycle before."""
    proved = set()
    for step in STEPS:
        assert set(step.given) <= proved
        proved.add(step.holds)
    assert ROWS_COMPLETE in proved
    assert {holds for step in STEPS for holds in step.before} <= proved


def test_the_page_lists_every_claim():
    results = listed(PAGE.read_text(encoding="utf-8"))
    assert set(results) == {key(claim) for claim in CLAIMS}, "run make formal"
    assert len(results) == len(CLAIMS)
    assert all(result.startswith(("proved", "not finished in ")) for result in results.values())
