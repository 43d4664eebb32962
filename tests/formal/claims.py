"""A claim: a component in one configuration, with what it keeps and what its surroundings keep."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

from amaranth.hdl import Fragment, ValueLike
from amaranth.lib import wiring
from thresher.hdl.emit import StreamPort, interface

from .properties import Property, Stable
from .prover import Verdict, prove

__all__ = ["Claim", "channel", "output_streams", "smaller", "stable_inputs", "stable_outputs"]

Watch = Callable[[Any], Sequence[Property]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """What is proved of a component.

    Attributes
    ----------
    rule : str
        What it keeps, in a few words.
    component : type
    configuration : str
        In a few words.
    make : function of the class
        Makes the component, or a block around it.
    asserted, assumed : function of the block
        Its properties, and those of its surroundings.
    free : tuple of str
        Parts whose outputs may have any values; see :func:`~.prover.prove`.
    induction : int
        Cycles of an induction, in place of PDR; see :func:`~.prover.prove`.
    short : bool
        The proof takes few seconds, and belongs to the tests of every day.
    seconds : int
        Time limit of the engine.
    """

    rule: str
    component: type[wiring.Component]
    configuration: str
    make: Callable[[Any], wiring.Component]
    asserted: Watch
    assumed: Watch = lambda block: ()
    free: tuple[str, ...] = ()
    induction: int = 0
    short: bool = False
    seconds: int = 240

    @property
    def engine(self) -> str:
        """The command of ABC that proves it."""
        return "ind" if self.induction else "pdr"

    @property
    def name(self) -> str:
        """The component, with its folder, the configuration, and the rule."""
        return f"{', '.join(filter(None, (self.place, self.configuration)))}: {self.rule}"

    @property
    def place(self) -> str:
        """The component with its module below ``hdl``."""
        return f"{self.component.__module__.removeprefix('thresher.hdl.')}.{self.component.__name__}"

    def prove(self, component: type | None = None) -> Verdict:
        """Prove it, of another class on request; see :func:`~.prover.prove`."""
        block = self.make(component or self.component)
        return prove(
            block,
            asserted=self.asserted(block),
            assumed=self.assumed(block),
            free=self.free,
            induction=self.induction,
            seconds=self.seconds,
        )


def smaller(
    component: type[wiring.Component], *, modules: Sequence[ModuleType] = (), **constants: Any
) -> type[wiring.Component]:
    """The component with other constants of its module, or of other modules, such as the depth of a queue."""
    # A mutant is a class of another module than its name says.
    own = [vars(each)["elaborate"].__globals__ for each in component.__mro__ if "elaborate" in vars(each)]
    candidates = [vars(module) for module in modules] or own
    places = [(names, name) for names in candidates for name in constants if name in names]
    assert {name for _, name in places} == set(constants), f"the modules have not all of {', '.join(constants)}"

    @contextlib.contextmanager
    def changed() -> Iterator[None]:
        before = [names[name] for names, name in places]
        for names, name in places:
            names[name] = constants[name]
        try:
            yield
        finally:
            for (names, name), value in zip(places, before, strict=True):
                names[name] = value

    class Smaller(component):
        def __init__(self, *arguments: Any, **options: Any):
            with changed():
                super().__init__(*arguments, **options)

        def elaborate(self, platform: object) -> Any:
            with changed():
                return Fragment.get(super().elaborate(platform), platform)  # with all parts

    return Smaller


def _waiting(block: wiring.Component, direction: str) -> list[StreamPort]:
    """Streams of a direction whose payloads may have to wait."""
    streams = interface(block)[0].values()
    return [each for each in streams if each.direction == direction and not each.signature.always_ready]


def output_streams(block: wiring.Component) -> list[str]:
    """Names of the output streams whose payloads may have to wait."""
    return [each.name for each in _waiting(block, "out")]


def stable_outputs(block: wiring.Component, *, but: Sequence[str] = ()) -> list[Property]:
    """All output streams are stable, except some."""
    return [Stable(each.name, each.interface) for each in _waiting(block, "out") if each.name not in but]


def stable_inputs(block: wiring.Component) -> list[Property]:
    """All input streams are stable."""
    return [Stable(each.name, each.interface) for each in _waiting(block, "in")]


def channel(valid: ValueLike, ready: ValueLike, payload: ValueLike) -> Any:
    """Three values as a stream."""
    return SimpleNamespace(valid=valid, ready=ready, payload=payload)
