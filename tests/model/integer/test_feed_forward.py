"""Two dense layers with an activation between them, beside float."""

from itertools import pairwise

import numpy as np
import pytest
from thresher.model.activations import ACTIVATIONS
from thresher.model.encoder import Linear
from thresher.model.integer.feed_forward import channel_classes, feed_forward, flat_ends
from thresher.spec import spmm_preset

ENGINE = spmm_preset("tiny")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("gelu", -3.69, np.inf),
        ("gelu_new", -3.56, np.inf),
        ("relu", 0, np.inf),
        ("silu", -9.94, np.inf),
        ("tanh", -4.19, 4.19),
    ],
)
def test_flat_ends(name, low, high):
    assert flat_ends(ACTIVATIONS[name]) == pytest.approx((low, high), abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_classes_hold_every_channel_once(count):
    bounds = np.random.default_rng(0).lognormal(size=100)
    classes = channel_classes(bounds, np.ones(100), count)
    assert len(classes) == count
    assert sorted(np.concatenate(classes).tolist()) == list(range(100))
    assert all(bounds[a].max() <= bounds[b].min() for a, b in pairwise(classes))


def test_outliers_have_a_class_of_their_own():
    bounds = np.ones(128)
    bounds[[5, 77]] = 20
    small, large = channel_classes(bounds, np.ones(128), 2)
    assert set(large) == {5, 77}
    assert len(small) == 126


@pytest.mark.parametrize("adjacent", [3, 4, 32, 100, 128])
def test_adjacent_channels_stay_together(adjacent):
    """Blocks are moved as a whole; those that are left over stay at the end."""
    bounds = np.random.default_rng(2).lognormal(size=100)
    order = np.concatenate(channel_classes(bounds, np.ones(100), 2, adjacent))
    blocks = order[: 100 // adjacent * adjacent].reshape(-1, adjacent)
    assert (blocks % adjacent == np.arange(adjacent)).all()
    assert (np.diff(bounds[blocks].max(axis=1)) >= 0).all()
    assert sorted(order.tolist()) == list(range(100))
    assert order[blocks.size :].tolist() == list(range(blocks.size, 100))


def test_fewer_channels_than_classes():
    assert [group.tolist() for group in channel_classes(np.array([3.0]), np.ones(1), 3)] == [[0]]


@pytest.mark.parametrize("name", ["gelu", "gelu_new", "relu", "silu", "tanh"])
@pytest.mark.parametrize("classes", [1, 2])
def test_close_to_float(name, classes):
    rng = np.random.default_rng(1)
    function = ACTIVATIONS[name]
    first = Linear(rng.normal(0, 0.3, (40, 24)).astype(np.float32), rng.normal(size=40).astype(np.float32))
    second = Linear(rng.normal(0, 0.3, (16, 40)).astype(np.float32), rng.normal(size=16).astype(np.float32))
    first.weight[:4] *= 5
    columns = np.full(24, 1 / 40)
    q = rng.integers(-127, 128, (24, 60)).astype(np.int8)
    middle = first((q.T * columns).astype(np.float32))
    wanted = second(function(middle)).T
    rows = np.abs(wanted).max(axis=1) / 127
    parts, output = feed_forward(
        first, second, function, columns=columns, rows=rows, low=middle.min(0), high=middle.max(0), classes=classes
    )
    assert len(parts) == classes
    found = output(ENGINE, np.concatenate([part(ENGINE, q) for part in parts]))
    error = np.sqrt(np.square(found * rows[:, None] - wanted).mean()) / wanted.std()
    assert error < 0.03
