"""Arithmetic blocks at small widths, for every input, against the golden model or Python's own arithmetic.

Split, activations, and the fractions of the exponential are tested for every input of their full widths elsewhere.
"""

import dataclasses
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from amaranth import Cat, Module, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from thresher.golden.attention.exponential import weights
from thresher.golden.attention.reciprocal import reciprocal
from thresher.golden.attention.selection import level_scale
from thresher.golden.lib.requantise import requantise
from thresher.golden.vector.reciprocal_root import reciprocal_root
from thresher.hdl.attention.selection.level_factor import LevelFactor
from thresher.hdl.attention.softmax.exponential import Exponential
from thresher.hdl.attention.softmax.reciprocal import Reciprocal
from thresher.hdl.lib import arithmetic
from thresher.hdl.lib.arithmetic import AdderTree
from thresher.hdl.lib.divider import Divider
from thresher.hdl.lib.requantise import Requantize
from thresher.hdl.vector.reciprocal_root import ReciprocalRoots
from thresher.sim.testbench import run_streams
from thresher.spec import HeadCommand, VectorConfig, preset
from thresher.spec.formats import SCORE_SHIFT_BITS

from .wrappers import StreamPipeline

TINY = preset("tiny")


class Function(wiring.Component):
    """A function of numbers without registers."""

    def __init__(self, shapes: Sequence, function: Callable[..., Value]):
        self._function = function
        self.names = [f"x{i}" for i in range(len(shapes))]
        members = {name: In(shape) for name, shape in zip(self.names, shapes, strict=True)}
        super().__init__(members | {"y": Out(signed(16))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.y.eq(self._function(m, *(getattr(self, name) for name in self.names)))
        return m


def values(shape) -> range:
    """Every number of a shape, an integer for unsigned ones."""
    if isinstance(shape, int):
        return range(1 << shape)
    return range(-(1 << (shape.width - 1)), 1 << (shape.width - 1))


def greatest(m: Module, *operands: Value) -> Value:
    return arithmetic.extreme(m, list(operands), arithmetic.maximum, name="greatest")


def least(m: Module, *operands: Value) -> Value:
    return arithmetic.extreme(m, list(operands), arithmetic.minimum, name="least")


@pytest.mark.parametrize(
    ("shapes", "function", "wanted"),
    [
        ((4, 4), lambda m, a, b: arithmetic.masked_product(a, b), lambda a, b: a * b),
        ((signed(4), 4), lambda m, a, b: arithmetic.masked_product(a, b), lambda a, b: a * b),
        ((4, signed(4)), lambda m, a, b: arithmetic.masked_product(a, b), lambda a, b: a * b),
        ((signed(4), signed(4)), lambda m, a, b: arithmetic.masked_product(a, b), lambda a, b: a * b),
        ((signed(4), signed(1)), lambda m, a, b: arithmetic.masked_product(a, b), lambda a, b: a * b),
        ((5, signed(3)), lambda m, a, b: arithmetic.chosen_product(m, a, b, name="p"), lambda a, b: a * b),
        ((signed(5), signed(4)), lambda m, a, b: arithmetic.chosen_product(m, a, b, name="p"), lambda a, b: a * b),
        ((signed(4), signed(1)), lambda m, a, b: arithmetic.chosen_product(m, a, b, name="p"), lambda a, b: a * b),
        ((signed(3), signed(3), signed(3)), greatest, max),
        ((signed(2), 2, signed(3), signed(2)), least, min),
        ((1, 1, 1, 1, 1), lambda m, *bits: arithmetic.popcount(Cat(*bits)), lambda *bits: sum(bits)),
        ((2,), lambda m, a: arithmetic.look_up([9, 0, 4, 7], a), lambda a: [9, 0, 4, 7][a]),
    ],
)
def test_functions(shapes, function, wanted):
    dut = Function(shapes, function)
    cases = 0

    async def bench(ctx):
        nonlocal cases
        for numbers in product(*map(values, shapes)):
            for name, number in zip(dut.names, numbers, strict=True):
                ctx.set(getattr(dut, name), number)
            await ctx.delay(1e-9)
            assert ctx.get(dut.y) == wanted(*numbers), numbers
            cases += 1

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    assert cases == np.prod([len(values(shape)) for shape in shapes])


def results(dut: wiring.Component, beats: list[dict]) -> list[dict]:
    """What a component gives for these beats, without stalls."""
    return run_streams(dut, {"i": beats}, {"o": len(beats)}, seed=0, stall=0).values["o"]


@pytest.mark.parametrize(("count", "levels"), [(2, 1), (3, 1), (3, 2), (4, 1)])
def test_adder_trees(count, levels):
    cases = list(product(range(-4, 4), repeat=count))
    found = results(
        StreamPipeline(AdderTree(count=count, width=3, levels=levels)), [{"operands": case} for case in cases]
    )
    assert [beat["total"] for beat in found] == list(map(sum, cases))


@pytest.mark.parametrize("steps", [1, 2])
def test_quotients(steps):
    cases = [(n, d) for d in range(1, 8) for n in range(d << 5)]
    found = results(Divider(width_q=5, width_d=3, steps=steps), [{"numerator": n, "denominator": d} for n, d in cases])
    assert [beat["quotient"] for beat in found] == [n // d for n, d in cases]


@pytest.mark.parametrize(
    ("value_bits", "multiplier_bits", "shift_base", "shift_bits"), [(7, 4, 1, 3), (10, 2, 2, 2), (5, 7, 3, 1)]
)
def test_requantised_values(value_bits, multiplier_bits, shift_base, shift_bits):
    cases = list(product(values(signed(value_bits)), values(multiplier_bits), values(shift_bits)))
    dut = Requantize(
        value_bits=value_bits, multiplier_bits=multiplier_bits, shift_base=shift_base, shift_bits=shift_bits
    )
    names = ("value", "multiplier", "shift")
    found = results(StreamPipeline(dut), [dict(zip(names, case, strict=True)) for case in cases])
    v, multiplier, shift = np.array(cases).T
    assert [beat["result"] for beat in found] == requantise(v, multiplier, shift_base + shift)[0].tolist()
    saturated = [requantise(np.array([v]), q, shift_base + s)[1] for v, q, s in cases]
    assert [beat["saturated"] for beat in found] == saturated


@pytest.mark.parametrize(("compact", "count"), [(False, 32), (True, 8)])
def test_exponentials(compact, count):
    """Every difference of scores of two dimensions, at a scale that reaches all weights."""
    config = dataclasses.replace(TINY, max_head_dim=2)
    differences = np.arange(2 * config.score_peak).reshape(-1, count)
    command = HeadCommand(query_length=1, key_length=1, head_dim=2, score_multiplier=3601, score_shift=0)
    scale = {"score_multiplier": command.score_multiplier, "score_shift": command.score_shift}
    dut = Exponential(config, count, compact=compact)
    found = results(StreamPipeline(dut), [{"difference": row} | scale for row in differences])
    wanted = weights(config, command, differences)
    assert np.array_equal([beat["weight"] for beat in found], wanted)
    assert set(wanted.flat) >= set(range(config.weight_max + 1))


@pytest.mark.parametrize("segments", [1, 8, 64])
def test_reciprocals(segments):
    config = dataclasses.replace(TINY, max_length=4, weight_bits=9, reciprocal_segments=segments)
    denominators = np.arange(1, config.max_length * config.weight_max + 1)
    found = results(Reciprocal(config), [{"denominator": each} for each in denominators])
    mantissa, exponent = reciprocal(config, denominators)
    assert [(beat["mantissa"], beat["exponent"]) for beat in found] == list(zip(mantissa, exponent, strict=True))


def test_reciprocal_roots():
    """Every variance of twelve bits, as S2 of a channel."""
    lanes = 8
    dut = ReciprocalRoots(VectorConfig(lanes=lanes, max_channels=1))
    variances = np.arange(1, 1 << 12)
    mantissa, exponent = reciprocal_root(variances)

    async def bench(ctx):
        ctx.set(dut.channels, 1)
        for first in range(0, len(variances), lanes):
            part = range(first, min(first + lanes, len(variances)))
            for lane, place in enumerate(part):
                ctx.set(dut.squares[lane], int(variances[place]))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick().repeat(dut.latency)
            for lane, place in enumerate(part):
                root = dut.roots[lane]
                assert (ctx.get(root.mantissa), ctx.get(root.exponent)) == (mantissa[place], exponent[place]), place

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_level_factors():
    """Every multiplier of ten bits with every shift, and the largest multipliers."""
    config = dataclasses.replace(TINY, block_rule="probability")
    dut = LevelFactor(config)
    top = 1 << len(dut.score_multiplier)
    multipliers = [*range(1, 1 << 10), *range(top - 64, top)]

    async def bench(ctx):
        ctx.set(dut.load, 1)
        for multiplier, shift in product(multipliers, range(1 << SCORE_SHIFT_BITS)):
            ctx.set(dut.score_multiplier, multiplier)
            ctx.set(dut.score_shift, shift)
            await ctx.tick().repeat(2)
            command = HeadCommand(
                query_length=1, key_length=1, head_dim=1, score_multiplier=multiplier, score_shift=shift
            )
            assert (ctx.get(dut.scale.factor), ctx.get(dut.scale.shift)) == level_scale(config, command), command

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
