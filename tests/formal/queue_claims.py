"""What the queues keep: nothing is lost, doubled or reordered, for ever."""

import dataclasses
from collections.abc import Callable
from typing import Any

from amaranth.lib import wiring
from thresher.hdl.lib.streams import BlockQueue, HalfBuffer, PingPong, SkidBuffer, StreamFIFO, StreamRegister

from .claims import Claim, stable_inputs
from .properties import Answered, Fifo, Level, Property

__all__ = ["CLAIMS"]


def _queue(
    component: type[wiring.Component],
    make: Callable[[Any], Any],
    configuration: str,
    *,
    room: int,
    latency: int = 0,
    through: bool = False,
    counted: bool = False,
    **options: Any,
) -> Claim:
    """The contract of a queue; with ``counted``, the sender counts the room."""

    def assumed(block: Any) -> list[Property]:
        leaves = block.o.valid & block.o.ready
        limit = [Level("payloads inside", block.i.valid, leaves, most=room)] if counted else []
        return [*stable_inputs(block), *limit]

    return Claim(
        rule="payloads leave once, in order and in time",
        component=component,
        configuration=configuration,
        make=make,
        asserted=lambda block: [Fifo("queue", block.i, block.o, room=room, latency=latency, through=through)],
        assumed=assumed,
        **options,
    )


def _accepts(claim: Claim) -> Claim:
    """The sender does not wait for ever if the receiver does not."""
    return dataclasses.replace(
        claim,
        rule="the sender waits at most 3 cycles if the receiver waits at most one",
        asserted=lambda block: [Answered("i is accepted in time", block.i.valid, block.i.ready, within=3)],
        assumed=lambda block: [
            *claim.assumed(block),
            Answered("o is accepted in time", block.o.valid, block.o.ready, within=1),
        ],
    )


QUEUES = [
    _queue(HalfBuffer, lambda c: c(2), "2 bits", room=1, short=True),
    _queue(StreamRegister, lambda c: c(2), "2 bits", room=2, short=True),
    _queue(PingPong, lambda c: c(2), "2 bits", room=2, short=True),
    _queue(SkidBuffer, lambda c: c(2), "2 bits", room=1, through=True, short=True),
    *(
        _queue(StreamFIFO, lambda c, d=depth: c(2, depth=d), f"{depth} × 2 bits", room=depth, short=depth < 4)
        for depth in (1, 2, 3, 4, 5, 8)
    ),
    _queue(StreamFIFO, lambda c: c(2, depth=3, counted=True), "3 × 2 bits, counted", room=3, counted=True, short=True),
    _queue(BlockQueue, lambda c: c(2, depth=3), "3 × 2 bits", room=3, latency=1, counted=True, short=True),
    _queue(BlockQueue, lambda c: c(2, depth=4), "4 × 2 bits", room=4, latency=1, counted=True),
]
COUNTED = {claim.name for claim in QUEUES if "counted" in claim.configuration or claim.component is BlockQueue}

CLAIMS = [*QUEUES, *(_accepts(claim) for claim in QUEUES if claim.name not in COUNTED)]
