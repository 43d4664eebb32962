"""Random heads."""

import numpy as np
import pytest
from thresher.golden.baselines.random_heads import random_heads

SEED = 5


@pytest.mark.parametrize(("heads", "share"), [(12, 0.25), (12, 0.3), (4, 0.9), (2, 0.1), (1, 0.5)])
def test_the_share_is_exact_on_average(heads, share):
    """A layer prunes a whole number of heads next to its share. No head is preferred."""
    random = np.random.default_rng([SEED, heads])
    pruned = np.array([random_heads(heads, share, random) for _ in range(4000)])
    counts = pruned.sum(axis=1)
    wanted = share * heads
    assert np.all((counts > wanted - 1) & (counts < wanted + 1)), f"seed {SEED}"
    # Four standard errors of a share over 4000 draws.
    assert pruned.mean(axis=0) == pytest.approx(np.full(heads, share), abs=4 * np.sqrt(share * (1 - share) / 4000))


def test_ends_of_the_share():
    random = np.random.default_rng(SEED)
    assert not any(random_heads(5, 0.0, random).any() for _ in range(50))
    assert all(random_heads(5, 1.0, random).all() for _ in range(50))


def test_the_generator_decides():
    def draws(seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        return np.array([random_heads(12, 0.5, random) for _ in range(6)])

    np.testing.assert_array_equal(draws(SEED), draws(SEED))
    assert not np.array_equal(draws(SEED), draws(SEED + 1))
    assert len(np.unique(draws(SEED), axis=0)) > 1
