"""Each row of a row engine is complete at most once, after it came: a proof in steps.

A row comes, is begun by the sequencer, has its last weight word, is complete, and is taken from the engine. Each step
of the proof is a claim. It assumes what the steps in ``given`` prove, and that those in ``before`` held until the cycle
before.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.utils import exact_log2
from thresher.hdl.lib.pipeline import delay
from thresher.hdl.spmm.row_engine import OPERAND_CYCLES, PRODUCT_CYCLES, RowEngine
from thresher.hdl.spmm.tile_memory import READ_CYCLES
from thresher.spec import WeightFormat
from thresher.spec.spmm_command import FORMAT_CODES

from .claims import Claim, smaller, stable_inputs
from .properties import Before, Held, Level, Property
from .rooms import opened
from .small import SPMM

__all__ = ["CLAIMS", "CONFIGURATION", "ROWS_COMPLETE", "STEPS", "engine", "row_surroundings"]

CONFIGURATION = "small, two rows ahead, one command"
ROWS = 2

CHOSEN_CYCLES = 5
"""From a weight word to its step at the tile memory: three cycles in a front end, two to choose among front ends."""

SPREAD_CHOSEN_CYCLES = 2
"""The same for a word whose weights all make one step."""

SUM_CYCLES = READ_CYCLES + OPERAND_CYCLES + PRODUCT_CYCLES + 1
"""From a step to the complete sum of a lane."""

ADDER_CYCLES = exact_log2(SPMM.banks)
"""Of the adders that sum over all banks, in products that spread."""


def engine(component: type[RowEngine]) -> Any:
    """A row engine for the claims."""
    return smaller(opened(component), ROWS_AHEAD=ROWS)(SPMM, index=0)


def _since_first_row(m: Module, engine: Any) -> Signal:
    """The first row has come in this cycle or before."""
    before, since = Signal(name="before"), Signal(name="since")
    m.d.comb += since.eq(before | engine.i_rows.valid)
    m.d.sync += before.eq(since)
    return since


class _OneCommand(Property):
    """From the first row on, the command is legal and stays."""

    def __init__(self, engine: Any):
        super().__init__("one legal command")
        self._engine = engine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        engine, since = self._engine, _since_first_row(m, self._engine)
        m.submodules.held = held = Held(self.name, since, Cat(engine.format, engine.spread, engine.bank_columns))
        has_front_end = Cat(engine.format == FORMAT_CODES[each] for each in SPMM.formats).any()
        legal = has_front_end & (~engine.spread | (engine.format == FORMAT_CODES[WeightFormat.BBS]))
        m.d.comb += [self.reached.eq(since), self.broken.eq(held.broken | (since & ~legal))]
        return m


def row_surroundings(engine: Any) -> list[Property]:
    """A row engine gets no more rows than it may hold, and one command."""
    taken = engine.o_finished.valid & engine.o_finished.ready
    return [
        *stable_inputs(engine),
        Level("rows ahead", engine.i_rows.valid, taken, most=ROWS, swaps=False),
        _OneCommand(engine),
    ]


class _Between(Property):
    """Rows that have passed one place and not another: at least 0, at most ``most``.

    Parameters
    ----------
    engine : RowEngine
    first, second : str
        Places: ``came``, ``begun`` by the sequencer, ``last`` word, ``complete``, ``taken`` from the engine.
    late : int
        Cycles after which a row counts as having passed the first place.
    most : int
    floor : bool
        See :class:`~.properties.Level`.
    """

    def __init__(
        self, name: str, engine: Any, *, first: str, second: str, late: int = 0, most: int, floor: bool = True
    ):
        super().__init__(name)
        work, words = engine.parts.sequencer.i_work, engine.parts.sequencer.o_words
        places = {
            "came": engine.i_rows.valid,
            "begun": work.valid & work.ready & ~work.payload.end,
            "last": words.valid & words.payload.tag.last,
            "complete": Signal(name="complete"),
            "taken": engine.o_finished.valid & engine.o_finished.ready,
        }
        self._first, self._second, self._late = places[first], places[second], late
        self._options = {"most": most, "floor": floor}
        if "complete" in (first, second):
            self.inner = {"complete": places["complete"]}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = delay(m, self._first, self._late, enable=1, name="first")[-1]
        m.submodules.level = level = Level(self.name, first, self._second, **self._options)
        m.d.comb += [self.reached.eq(self._second), self.broken.eq(level.broken)]
        return m


class _Chosen(Property):
    """When a word comes, the engine has chosen the front end of the command."""

    def __init__(self, name: str, engine: Any):
        super().__init__(name)
        self._engine = engine
        self._named = {each: Signal(name=f"named_{each.name.lower()}") for each in SPMM.formats}
        self.inner: Mapping[str, Signal] = {signal.name: signal for signal in self._named.values()}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block, spread = self._engine, self._engine.parts.bbs.spread
        wrong = [named != (block.format == FORMAT_CODES[each]) for each, named in self._named.items()]
        m.d.comb += [
            self.reached.eq(block.parts.sequencer.o_words.valid),
            self.broken.eq(self.reached & Cat(*wrong, spread != block.spread).any()),
        ]
        return m


class _NoEarlyWords(Property):
    """No word comes before the first row."""

    def __init__(self, name: str, engine: Any):
        super().__init__(name)
        self._engine = engine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.reached.eq(self._engine.parts.sequencer.o_words.valid),
            self.broken.eq(self.reached & ~_since_first_row(m, self._engine)),
        ]
        return m


class _NoneLost(Property):
    """If nothing waits for the sequencer for some cycles, it has begun every row that came."""

    def __init__(self, name: str, engine: Any):
        super().__init__(name)
        self._engine = engine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        came, work = self._engine.i_rows.valid, self._engine.parts.sequencer.i_work
        waiting = Signal(range(2 * ROWS))
        busy = Signal(4)
        m.d.sync += [
            waiting.eq(waiting + came - (work.valid & work.ready & ~work.payload.end)),
            busy.eq(Cat(came | work.valid, busy)),
        ]
        idle = ~(came | work.valid | busy.any())
        m.d.comb += [self.reached.eq(work.valid), self.broken.eq(idle & (waiting != 0))]
        return m


class _OneEnd(Property):
    """Neither a row nor another end comes with an end, or before the sequencer has taken it."""

    def __init__(self, engine: Any):
        super().__init__("one end at a time")
        self._engine = engine

    def elaborate(self, platform: object) -> Module:
        m = Module()
        end, came, work = self._engine.end, self._engine.i_rows.valid, self._engine.parts.sequencer.i_work
        waits = Signal()
        m.d.sync += waits.eq((waits | end) & ~(work.valid & work.ready & work.payload.end))
        m.d.comb += [self.reached.eq(end), self.broken.eq((end & came) | (waits & (end | came)))]
        return m


class _Delayed(Property):
    """A row is complete a fixed number of cycles after its last word."""

    def __init__(self, name: str, engine: Any):
        super().__init__(name)
        self._engine, self._complete = engine, Signal(name="complete")
        self.inner = {"complete": self._complete}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = self._engine.parts.sequencer.o_words
        cycles = CHOSEN_CYCLES + SUM_CYCLES
        spread_cycles = SPREAD_CHOSEN_CYCLES + SUM_CYCLES + ADDER_CYCLES
        last = delay(m, words.valid & words.payload.tag.last, max(cycles, spread_cycles), enable=1, name="last")
        m.d.comb += [
            self.reached.eq(self._complete),
            self.broken.eq(self._complete != Mux(self._engine.spread, last[spread_cycles], last[cycles])),
        ]
        return m


@dataclasses.dataclass(frozen=True)
class Fact:
    """A rule that a row engine keeps, and the property that checks it."""

    rule: str
    check: Callable[[str, Any], Property]

    def __call__(self, engine: Any) -> Property:
        return self.check(self.rule, engine)


def _between(rule: str, first: str, second: str, **options: Any) -> Fact:
    return Fact(rule, partial(_Between, first=first, second=second, **options))


CHOSEN = Fact("words come while their front end is chosen", _Chosen)
NO_EARLY_WORDS = Fact("no word comes before the first row", _NoEarlyWords)
DELAYED = Fact("a row is complete some cycles after its last word", _Delayed)
NONE_LOST = Fact("no row is lost before it begins", _NoneLost)
ONE_LAST_WORD = _between("each row has at most one last word, after it begins", "begun", "last", late=2, most=4)
FEW_WITHOUT_LAST_WORD = _between("few rows have no last word yet", "came", "last", most=ROWS, floor=False)
FEW_WAIT = _between("few rows wait for the sequencer", "came", "begun", most=ROWS, floor=False)
BEGINS_ONCE = _between("each row begins at most once, after it came", "came", "begun", late=2, most=ROWS)
LAST_WORD = _between("each row has at most one last word, after it came", "came", "last", late=4, most=ROWS)
TAKEN = _between("each row is taken at most once, after it is complete", "complete", "taken", most=ROWS + 1)
ROWS_COMPLETE = _between("each row is complete at most once, after it came", "came", "complete", late=4, most=ROWS)
"""What the output of a row engine relies on."""

FRONT_ENDS = tuple(each.name.lower() for each in SPMM.formats)
ALL = ("sequencer", *FRONT_ENDS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the proof.

    Attributes
    ----------
    holds : Fact
        What is proved.
    given : tuple of Fact
        What is assumed. Earlier steps prove it.
    before : tuple of Fact
        What is assumed until the cycle before. Any step proves it.
    around : function of the engine
        Further surroundings.
    free : tuple of str
        See :func:`~.prover.prove`.
    """

    holds: Fact
    given: tuple[Fact, ...] = ()
    before: tuple[Fact, ...] = ()
    around: Callable[[Any], list[Property]] = lambda engine: []
    free: tuple[str, ...] = ()

    @property
    def claim(self) -> Claim:
        """The step as a claim."""
        return Claim(
            rule=self.holds.rule,
            component=RowEngine,
            configuration=CONFIGURATION,
            make=engine,
            asserted=lambda block: [self.holds(block)],
            assumed=lambda block: [
                *row_surroundings(block),
                *self.around(block),
                *(holds(block) for holds in self.given),
                *(Before(holds(block)) for holds in self.before),
            ],
            free=self.free,
        )


STEPS = (
    Step(holds=CHOSEN),
    Step(holds=NO_EARLY_WORDS),
    Step(holds=DELAYED, given=(CHOSEN, NO_EARLY_WORDS), free=("sequencer",)),
    Step(holds=ONE_LAST_WORD, free=("work", *FRONT_ENDS)),
    Step(holds=FEW_WITHOUT_LAST_WORD, given=(DELAYED,), before=(LAST_WORD,), free=ALL),
    Step(holds=FEW_WAIT, given=(FEW_WITHOUT_LAST_WORD, ONE_LAST_WORD), free=ALL),
    Step(holds=BEGINS_ONCE, given=(FEW_WAIT,), free=ALL),
    Step(holds=NONE_LOST, given=(FEW_WAIT,), around=lambda engine: [_OneEnd(engine)], free=ALL),
    Step(holds=LAST_WORD, given=(BEGINS_ONCE, ONE_LAST_WORD, FEW_WITHOUT_LAST_WORD), free=ALL),
    Step(holds=TAKEN, before=(ROWS_COMPLETE,), free=ALL),
    Step(holds=ROWS_COMPLETE, given=(LAST_WORD, DELAYED, TAKEN), free=ALL),
)

CLAIMS = [step.claim for step in STEPS]
