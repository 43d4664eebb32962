"""Metrics and their bootstrap."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from thresher.model.tasks import Metric
from thresher.runtime.metrics import merit as merit_of
from thresher.runtime.metrics import merits, resamples

SEED = 5


def merit(metric, targets, predictions, classes=2):
    return merit_of(metric, targets, predictions, classes=classes)


def test_two_classes():
    """8 true positives, 2 false positives, 3 false negatives, 7 true negatives."""
    targets = np.array([1] * 11 + [0] * 9, float)
    predictions = np.array([1] * 8 + [0] * 3 + [1] * 2 + [0] * 7, float)
    assert merit(Metric.ACCURACY, targets, predictions) == 15 / 20
    assert merit(Metric.F1, targets, predictions) == pytest.approx(16 / (16 + 2 + 3))
    assert merit(Metric.MCC, targets, predictions) == pytest.approx((8 * 7 - 2 * 3) / np.sqrt(10 * 11 * 9 * 10))
    assert merit(Metric.MCC, targets, predictions) == pytest.approx(np.corrcoef(targets, predictions)[0, 1])
    assert merit(Metric.MCC, targets, 1 - predictions) == pytest.approx(-merit(Metric.MCC, targets, predictions))


def test_more_classes():
    targets, predictions = np.array([0, 0, 1, 1, 2, 2], float), np.array([0, 1, 1, 1, 2, 0], float)
    assert merit(Metric.ACCURACY, targets, predictions, classes=3) == pytest.approx(4 / 6)
    assert merit(Metric.F1, targets, predictions, classes=3) == pytest.approx(np.mean([2 / 4, 4 / 5, 2 / 3]))
    assert merit(Metric.MCC, targets, targets, classes=3) == pytest.approx(1)


def test_classes_that_do_not_occur():
    """They belong to no mean, and the number of classes does not depend on what occurs."""
    targets = np.array([0, 0, 2, 2], float)
    assert merit(Metric.F1, targets, targets, classes=3) == 1
    assert merit(Metric.F1, np.array([0, 1, 1.0]), np.array([0, 1, 0.0]), classes=3) == pytest.approx(2 / 3)
    assert merit(Metric.F1, np.ones(2), np.array([1.0, 2]), classes=3) == pytest.approx((2 / 3 + 0) / 2)


@pytest.mark.parametrize("metric", [Metric.MCC, Metric.SPEARMAN])
def test_equal_predictions_do_not_correlate(metric):
    assert merit(metric, np.array([0.0, 1, 1]), np.ones(3)) == 0
    assert merit(metric, np.ones(3), np.array([0.0, 1, 1])) == 0


def test_a_class_that_nobody_predicts():
    assert merit(Metric.F1, np.zeros(3), np.zeros(3)) == 0
    assert merit(Metric.ACCURACY, np.zeros(3), np.zeros(3)) == 1


def test_spearman():
    random = np.random.default_rng(SEED)
    targets, predictions = random.integers(0, 5, 40).astype(float), random.normal(size=40)
    assert merit(Metric.SPEARMAN, targets, predictions) == pytest.approx(
        np.asarray(spearmanr(targets, predictions))[0]
    ), f"seed {SEED}"


# Perplexity is not a metric of predicted classes or scores.
@pytest.mark.parametrize("metric", [metric for metric in Metric if metric is not Metric.PERPLEXITY])
def test_each_resample_is_the_metric_of_its_examples(metric):
    random = np.random.default_rng(SEED)
    targets, predictions = random.integers(0, 2, (2, 30)).astype(float)
    samples = resamples(30, seed=SEED, count=20)
    found = merits(metric, targets, predictions, samples, classes=2)
    expected = [merit(metric, targets[sample], predictions[sample]) for sample in samples]
    np.testing.assert_allclose(found, expected, err_msg=f"seed {SEED}")


def test_the_bootstrap_error_of_an_accuracy():
    """That of a mean: √(p(1 − p)/n)."""
    targets, predictions = np.ones(400), np.repeat([1.0, 0.0], [300, 100])
    error = merits(Metric.ACCURACY, targets, predictions, resamples(400, seed=SEED), classes=2).std()
    assert error == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.1), f"seed {SEED}"
