"""The schedule of gradual pruning."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thresher.model.pruning.schedule import gradual_sparsity
from thresher.spec import ThresherError

SPARSITIES = st.floats(0, 1, exclude_max=True)


def test_gradual_schedule_by_hand():
    targets = [
        gradual_sparsity(step, start=10, end=50, initial=0.2, final=0.9, frequency=10)
        for step in (0, 9, 10, 19, 20, 30, 40, 49, 50, 10**9)
    ]
    cubes = [0.9 - 0.7 * (left / 4) ** 3 for left in (4, 4, 4, 4, 3, 2, 1, 1, 0, 0)]
    assert targets == pytest.approx(cubes)


@given(
    start=st.integers(0, 50),
    length=st.integers(1, 100),
    bounds=st.tuples(SPARSITIES, SPARSITIES).map(sorted),
    data=st.data(),
)
def test_gradual_schedule_never_falls_and_is_held_between_updates(start, length, bounds, data):
    initial, final = bounds
    frequency = data.draw(st.integers(1, length))

    def target(step: int) -> float:
        return gradual_sparsity(
            step, start=start, end=start + length, initial=initial, final=final, frequency=frequency
        )

    targets = [target(step) for step in range(start + length + 2)]
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(targets))
    assert targets[0] == pytest.approx(initial)
    assert targets[-1] == final
    for step in range(start, start + length):
        if (step - start) % frequency:
            assert targets[step] == targets[step - 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gradual_sparsity(-1, start=0, end=9, initial=0, final=0.9), "step=-1"),
        (lambda: gradual_sparsity(0, start=5, end=5, initial=0, final=0.9), "end=5"),
        (lambda: gradual_sparsity(0, start=0, end=9, initial=0, final=1), "final=1"),
        (lambda: gradual_sparsity(0, start=0, end=9, initial=0.5, final=0.4), "final=0.4"),
        (lambda: gradual_sparsity(0, start=0, end=9, initial=0, final=0.4, frequency=10), "frequency=10"),
    ],
)
def test_refusals_are_one_line(call, message):
    with pytest.raises(ThresherError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
