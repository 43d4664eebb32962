"""Serves the spans of a component from a memory, in Amaranth's simulator."""

from random import Random

import numpy as np
from amaranth import Value
from thresher.golden.memory import Memory
from thresher.hdl.coprocessor.program_streams import instruction_layout
from thresher.spec.program import WORD_BYTES, Instruction, Opcode


async def until(ctx, condition, value):
    """A value in the first cycle, from now on, at whose end a condition holds."""
    while True:
        _, _, holds, sampled = await ctx.tick().sample(condition, value)
        if holds:
            return sampled


def reader(memory: Memory, spans, words, *, seed: int, stall: float):
    """Background test bench: gives the words of each span."""
    random = Random(seed)

    async def serve(ctx):
        while True:
            ctx.set(spans.ready, 1)
            span = await until(ctx, spans.valid, spans.payload)
            ctx.set(spans.ready, 0)
            data = memory.read(span.address, span.words * WORD_BYTES).reshape(-1, WORD_BYTES)
            for word in data:
                while random.random() < stall:
                    await ctx.tick()
                ctx.set(Value.cast(words.payload), int.from_bytes(word.tobytes(), "little"))
                ctx.set(words.valid, 1)
                await until(ctx, words.ready, words.ready)
                ctx.set(words.valid, 0)

    return serve


def writer(memory: Memory, spans, words, written, *, seed: int, stall: float):
    """Background test bench: writes the words of each span, then says so."""
    random = Random(seed)

    async def serve(ctx):
        while True:
            ctx.set(spans.ready, 1)
            span = await until(ctx, spans.valid, spans.payload)
            ctx.set(spans.ready, 0)
            for index in range(span.words):
                while random.random() < stall:
                    await ctx.tick()
                ctx.set(words.ready, 1)
                value = await until(ctx, words.valid, Value.cast(words.payload))
                ctx.set(words.ready, 0)
                data = np.frombuffer(value.to_bytes(WORD_BYTES, "little"), np.uint8)
                memory.write(span.address + index * WORD_BYTES, data)
            while random.random() < stall:
                await ctx.tick()
            ctx.set(written.valid, 1)
            await until(ctx, written.ready, written.ready)
            ctx.set(written.valid, 0)

    return serve


def sequencer(dut, unit: Opcode, instructions: list[Instruction], *, seed: int, stall: float):
    """Background test bench: sends each instruction when its unit has completed as many as it waits for."""
    random, layout = Random(seed), instruction_layout(unit)

    async def serve(ctx):
        completed = dut.o_completed
        done = 0
        for item in instructions:
            beat = layout.const({name: item.body.get(name, 0) for name in layout.members})
            sending = False
            while True:
                if not sending and done >= item.waits.get(unit, 0) and random.random() >= stall:
                    ctx.set(dut.i_instruction.payload, beat)
                    ctx.set(dut.i_instruction.valid, 1)
                    sending = True
                ends = completed.valid & completed.ready
                _, _, ended, taken = await ctx.tick().sample(ends, dut.i_instruction.ready)
                done += ended
                if sending and taken:
                    ctx.set(dut.i_instruction.valid, 0)
                    break

    return serve
