"""A memory that serves an executor of VECTOR instructions, with random stalls."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from amaranth import Value
from amaranth.sim import Simulator
from thresher.hdl.coprocessor.memory_streams import span_layout
from thresher.hdl.coprocessor.program_streams import completion_layout, instruction_layout
from thresher.hdl.coprocessor.vector.executor import VectorExecutor
from thresher.sim.bridge import pack, unpack
from thresher.spec.coprocessor_config import CoprocessorConfig
from thresher.spec.program import (
    READ_ONLY,
    VECTOR_FIELDS,
    WORD_BYTES,
    Instruction,
    Opcode,
    Region,
    offset_of,
    region_of,
)

Regions = dict[Region, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How an instruction ended: the completion, all bytes at that time, and its cycles."""

    error: int
    detail: int
    regions: Regions
    cycles: int
    read_spans: int
    write_spans: int


class Bench:
    """Runs instructions, one after the other.

    Parameters
    ----------
    config : CoprocessorConfig
    regions : dict of Region to bytes
        All bytes of the memory. They are copied.
    seed : int
    stall : float
        Probability that a stream stalls in a cycle.
    latency : int
        Cycles from a read span to its first word.
    """

    def __init__(
        self,
        config: CoprocessorConfig,
        regions: Regions,
        *,
        seed: int,
        stall: float,
        latency: int = 0,
    ):
        self.dut = VectorExecutor(config)
        self.regions = {region: values.copy() for region, values in regions.items()}
        self.random = Random(seed)
        self.seed, self.stall, self.latency = seed, stall, latency
        self.reads: deque[tuple[int, int]] = deque()  # cycle, word
        self.writes: deque[tuple[int, int]] = deque()  # address, words
        self.words: deque[int] = deque()
        self.written = self.done = 0  # spans of this instruction
        self.spans = [0, 0]
        self.cycle = 0

    def run(self, items: Sequence[Instruction], *, max_cycles: int = 30_000) -> list[Result]:
        """``max_cycles`` limits each instruction."""
        self.results: list[Result] = []
        self.items = items
        self.max_cycles = max_cycles
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._clock)
        for process in (self._send_instructions, self._send_words, self._send_done):
            simulator.add_testbench(process, background=True)
        for name, take in (
            ("o_spans", self._take_read),
            ("o_result_spans", self._take_write),
            ("o_results", self._take_word),
            ("o_completed", self._take_completion),
        ):
            simulator.add_testbench(self._sink(name, take), background=True)
        simulator.run()
        return self.results

    def _go(self) -> bool:
        return self.random.random() >= self.stall

    async def _clock(self, ctx) -> None:
        limit = self.max_cycles
        finished = 0
        while len(self.results) < len(self.items) or self.cycle < limit - self.max_cycles + 20:
            await ctx.tick()
            self.cycle += 1
            if len(self.results) > finished:
                finished, limit = len(self.results), self.cycle + self.max_cycles
            assert self.cycle < limit, f"seed {self.seed}: instruction {finished} does not end"

    async def _send(self, ctx, stream: Any, bits: int) -> None:
        ctx.set(Value.cast(stream.payload), bits)
        ctx.set(stream.valid, 1)
        ready = 0
        while not ready:
            *_, ready = await ctx.tick().sample(stream.ready)
        ctx.set(stream.valid, 0)

    async def _send_instructions(self, ctx) -> None:
        for item in self.items:
            fields = dict.fromkeys(VECTOR_FIELDS, 0) | dict(item.body)
            await self._send(ctx, self.dut.i_instruction, pack(instruction_layout(Opcode.VECTOR), fields))
            self.began, self.spans, self.written, self.done = self.cycle, [0, 0], 0, 0

    async def _send_words(self, ctx) -> None:
        while True:
            if self.reads and self.reads[0][0] <= self.cycle and self._go():
                await self._send(ctx, self.dut.i_words, self.reads.popleft()[1])
            else:
                await ctx.tick()

    async def _send_done(self, ctx) -> None:
        while True:
            self._write()
            if self.done < self.written and self._go():
                await self._send(ctx, self.dut.i_written, 0)
                self.done += 1
            else:
                await ctx.tick()

    def _sink(self, name: str, take):
        async def process(ctx) -> None:
            stream = getattr(self.dut, name)
            payload = Value.cast(stream.payload)
            pending = None
            while True:
                go = self._go()
                ctx.set(stream.ready, int(go))
                *_, valid, bits = await ctx.tick().sample(stream.valid, payload)
                if pending is not None:
                    assert valid, f"seed {self.seed}: {name}: valid fell before ready"
                    assert bits == pending, f"seed {self.seed}: {name}: payload changed before ready"
                pending = bits if valid and not go else None
                if valid and go:
                    take(bits)

        return process

    def _bytes(self, span: dict[str, int]) -> np.ndarray:
        place, size = span["address"], WORD_BYTES * span["words"]
        assert size, f"seed {self.seed}: an empty span"
        start, values = offset_of(place), self.regions[region_of(place)]
        assert start % WORD_BYTES == 0
        assert start + size <= len(values), f"seed {self.seed}: bytes outside a region"
        return values[start : start + size]

    def _take_read(self, bits: int) -> None:
        self.spans[0] += 1
        values = self._bytes(unpack(span_layout(), bits))
        self.reads += [(self.cycle + self.latency, int(word)) for word in values.view("<u8")]

    def _take_write(self, bits: int) -> None:
        self.spans[1] += 1
        span = unpack(span_layout(), bits)
        assert region_of(span["address"]) not in READ_ONLY
        self._bytes(span)
        self.writes.append((span["address"], span["words"]))

    def _take_word(self, bits: int) -> None:
        self.words.append(bits)

    def _write(self) -> None:
        """Write the spans whose words are all there."""
        while self.writes and len(self.words) >= self.writes[0][1]:
            address, count = self.writes.popleft()
            values = np.array([self.words.popleft() for _ in range(count)], "<u8").view(np.uint8)
            self._bytes({"address": address, "words": count})[:] = values
            self.written += 1

    def _take_completion(self, bits: int) -> None:
        where = f"seed {self.seed}, instruction {len(self.results)}"
        assert not self.reads, f"{where}: words are left"
        assert not self.words, f"{where}: words without a span"
        assert self.done == self.spans[1], f"{where}: spans are not yet written"
        self.results.append(
            Result(
                **unpack(completion_layout(), bits),
                regions={region: values.copy() for region, values in self.regions.items()},
                cycles=self.cycle - self.began,
                read_spans=self.spans[0],
                write_spans=self.spans[1],
            )
        )
