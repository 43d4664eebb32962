"""Shapes of networks, and the bench of their pointwise layers."""

import pytest
from thresher.cost.spmm import cycles
from thresher.runtime import network_bench
from thresher.runtime.network_bench import bench_network, check_network, pieces
from thresher.runtime.networks import NETWORKS, PointwiseLayer
from thresher.sim.spmm import SpmmSimulator
from thresher.spec import ThresherError, WeightFormat, spmm_preset

TINY, EDGE = spmm_preset("tiny"), spmm_preset("edge")


def sizes(name: str) -> tuple[int, int]:
    """Products and weights of a network's pointwise layers."""
    layers = NETWORKS[name]
    return sum(each.rows * each.columns * each.tokens for each in layers), sum(
        each.rows * each.columns for each in layers
    )


def test_mobilenet_v1_has_the_published_size():
    """Table 2 of the paper: 1×1 convolutions are 94.86 % of 569 million products and 74.59 % of 4.2 million weights."""
    products, weights = sizes("mobilenet-v1")
    assert len(NETWORKS["mobilenet-v1"]) == 13
    assert products / 568.7e6 == pytest.approx(0.9486, abs=0.013)
    assert weights / 4.23e6 == pytest.approx(0.7459, abs=0.005)


def test_mobilenet_v2_has_the_published_size():
    """300 million products and 3.4 million weights in all, of which the classifier has 1.28 million."""
    products, weights = sizes("mobilenet-v2")
    layers = NETWORKS["mobilenet-v2"]
    assert len(layers) == 16 * 2 + 1 + 1
    assert 0.85 < products / 300e6 < 1
    assert weights == pytest.approx(3.4e6 - 1.28e6, rel=0.05)  # without those of depthwise layers
    assert (layers[0].shape, layers[-1].shape) == ((16, 32, 112**2), (1280, 320, 49))


def test_pieces():
    assert pieces(10, 4) == {4: 2, 2: 1}
    assert pieces(8, 4) == {4: 2}
    assert pieces(3, 4) == {3: 1}


def test_the_presets_take_what_they_can():
    for name, layers in NETWORKS.items():
        check_network(EDGE, layers, WeightFormat.CSR)
        with pytest.raises(ThresherError, match=r"cols=\d+ is not allowed: the engine takes 1 to 64") as caught:
            check_network(TINY, layers, WeightFormat.CSR)
        assert "\n" not in str(caught.value), name


@pytest.mark.slow
def test_layers_are_measured_once_and_in_pieces(monkeypatch):
    """Two layers of one shape, with 10 tokens of which a product takes 4."""
    monkeypatch.setattr(network_bench, "most_simulated", lambda config, rows, columns: 4)
    layers = [PointwiseLayer(name=name, rows=12, columns=16, tokens=10) for name in ("first", "second")]
    layers.append(PointwiseLayer(name="third", rows=8, columns=16, tokens=3))
    with SpmmSimulator(TINY) as simulator:
        found = bench_network(simulator, layers, weight_format=WeightFormat.CSR, sparsity=0.75, seed=0)
    first, second, third = found.layers
    assert found.bit_exact
    assert [each.measured for each in found.layers] == [True, False, True]
    assert (first.products, third.products) == (3, 1)
    assert (first.cycles, first.dense_cycles) == (second.cycles, second.dense_cycles)
    expected = [cycles(TINY, WeightFormat.DENSE, columns=16, tokens=n, lengths=[16] * 12) for n in (4, 4, 2)]
    assert first.dense_cycles == pytest.approx(sum(expected), abs=15)
    assert first.sparsity == 0.75
    assert found.cycles == 2 * first.cycles + third.cycles
    assert found.speedup == found.dense_cycles / found.cycles > 1.2
    assert found.macs == 2 * 12 * 16 * 10 + 8 * 16 * 3
    assert found.utilisation == pytest.approx(found.macs * 0.25 / (TINY.multipliers * found.cycles))
