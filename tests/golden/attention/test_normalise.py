"""Normalisation: accumulators divided by their row's denominator, beside exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from thresher.golden.attention.normalise import normalise, row_multiplier
from thresher.golden.attention.reciprocal import reciprocal
from thresher.spec import PRESETS, HeadCommand
from thresher.spec.attention_command import output_scaling

EDGE = PRESETS["edge"]


def _command(scale: float) -> HeadCommand:
    multiplier, shift = output_scaling(scale)
    return HeadCommand(query_length=1, key_length=1, head_dim=1, output_multiplier=multiplier, output_shift=shift)


@pytest.mark.parametrize("scale", [2.0**-16, 0.01, 0.37, 1.0, 3.3, 100.0, 2.0**15])
def test_is_the_contract_in_fractions(scale):
    rng = np.random.default_rng(5)
    command = _command(scale)
    denominators = rng.integers(EDGE.weight_max, EDGE.max_length * EDGE.weight_max, 50)
    accumulators = rng.integers(-128, 128, (50, 8)) * denominators[:, None] + rng.integers(-99, 99, (50, 8))
    mantissa, exponent = reciprocal(EDGE, denominators)
    output, saturations = normalise(command, accumulators, mantissa, exponent)
    clipped = 0
    for (i, j), accumulator in np.ndenumerate(accumulators):
        operand = math.floor(Fraction(int(accumulator) * 512, 2 ** int(exponent[i])))
        factor = math.floor(Fraction(int(mantissa[i]) * command.output_multiplier, 2**16) + Fraction(1, 2))
        exact = math.floor(Fraction(operand * factor, 512 * 2**command.output_shift) + Fraction(1, 2))
        assert output[i, j] == max(-128, min(127, exact))
        clipped += not -128 <= exact <= 127
        assert -(1 << (EDGE.output_operand_bits - 1)) <= operand < 1 << (EDGE.output_operand_bits - 1)
    assert saturations == clipped


@pytest.mark.parametrize("scale", [0.1, 0.5, 1.0, 1.9])
def test_distance_from_real_division(scale):
    """At most half a unit for the rounding, and a small part of one for the reciprocal and the 9 fraction bits."""
    rng = np.random.default_rng(6)
    denominators = rng.integers(EDGE.weight_max, EDGE.max_length * EDGE.weight_max, 200)
    mean = rng.uniform(-60, 60, (200, 4))
    accumulators = np.round(mean * denominators[:, None]).astype(np.int64)
    mantissa, exponent = reciprocal(EDGE, denominators)
    output, saturations = normalise(_command(scale), accumulators, mantissa, exponent)
    assert saturations == 0
    assert np.abs(output - accumulators / denominators[:, None] * scale).max() < 0.5 + 0.03


def test_row_multiplier_fits_sixteen_bits():
    mantissa = np.array([1 << 15, (1 << 16) - 1, 1 << 16])
    command = HeadCommand(query_length=1, key_length=1, head_dim=1, output_multiplier=(1 << 16) - 1)
    assert row_multiplier(command, mantissa).max() < 1 << 16
