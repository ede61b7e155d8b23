import math
import warnings

import numpy as np
import pytest
from scipy import stats

from fer.evaluation.statistics import estimate, holm, over_images, over_seeds


def test_estimate_is_the_textbook_interval():
    found = estimate([0.70, 0.72, 0.71, 0.75])
    low, high = stats.t.interval(0.95, 3, 0.72, np.std([0.70, 0.72, 0.71, 0.75], ddof=1) / 2)
    assert found[:2] == pytest.approx((0.72, np.std([0.70, 0.72, 0.71, 0.75], ddof=1)))
    assert found[2:4] == pytest.approx((low, high))
    # By hand: t(0.975, 2) = 4.30265, standard error 1 / sqrt(3).
    assert estimate([1, 2, 3])[2:4] == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-5)


def test_estimate_of_few_runs_claims_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(estimate([0.7]).sd)
        two, none = estimate([0.7, math.nan, 0.8]), estimate([math.nan])
    assert (two.mean, two.n, math.isnan(two.low)) == (0.75, 2, True)
    assert none.n == 0


def test_welch_by_hand():
    first, second = [27.5, 21.0, 19.0, 23.6], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8]
    parts = [np.var(sample, ddof=1) / len(sample) for sample in (first, second)]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 6)
    value, error = np.mean(first) - np.mean(second), sum(parts) ** 0.5
    reach = stats.t.ppf(0.975, freedom) * error
    p = 2 * stats.t.sf(abs(value / error), freedom)
    assert over_seeds(first, second) == pytest.approx((value, value - reach, value + reach, p))


def test_welch_needs_three_runs_and_a_spread():
    assert over_seeds([1, 2], [3, 4, 5]) is None
    assert over_seeds([1, 2, math.nan], [3, 4, 5]) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        equal = over_seeds([0.7] * 3, [0.6] * 3)
    assert (equal.value, equal.p, math.isnan(equal.low)) == (pytest.approx(0.1), 1.0, True)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []


def test_bootstrap_over_kinds_is_the_bootstrap_over_images():
    rng = np.random.default_rng(0)
    gains, targets = (
        rng.choice([-1, -1 / 3, 0, 1 / 3, 1], 400, p=[0.05, 0.1, 0.6, 0.15, 0.1]),
        rng.integers(3, size=400),
    )
    found = over_images(gains, targets, "abc")
    chosen = rng.integers(400, size=(4000, 400))
    drawn = gains[chosen].mean(1)
    assert found["accuracy"].value == pytest.approx(gains.mean())
    assert found["accuracy"][1:3] == pytest.approx(np.percentile(drawn, (2.5, 97.5)), abs=0.004)
    recalls = [[gains[i][targets[i] == label].mean() for label in range(3)] for i in chosen[:2000]]
    assert found["balanced_accuracy"][1:3] == pytest.approx(np.percentile(np.mean(recalls, 1), (2.5, 97.5)), abs=0.006)
    assert found["recall/b"][1:3] == pytest.approx(np.percentile(np.array(recalls)[:, 1], (2.5, 97.5)), abs=0.01)


def test_p_over_images_is_that_of_the_sign_test():
    gains = np.repeat([1.0, -1.0, 0.0], [40, 22, 538])
    expected = stats.binomtest(40, 62).pvalue
    assert over_images(gains, np.zeros(600, int), "a")["accuracy"].p == pytest.approx(expected, abs=0.012)


def test_equal_nets_do_not_differ():
    assert over_images(np.zeros(50), np.arange(50) % 2, "ab")["accuracy"] == (0, 0, 0, 1)
    always = over_images(np.ones(50), np.arange(50) % 2, "abc")  # no image of c
    assert always["balanced_accuracy"][:3] == (1, 1, 1)
    assert "recall/b" in always and "recall/c" not in always
    assert always["accuracy"].p < 0.001


def test_same_seed_same_interval():
    gains, targets = np.random.default_rng(1).choice([-1, 0, 1], 200), np.zeros(200, int)
    assert over_images(gains, targets, "a") == over_images(gains, targets, "a")
    assert over_images(gains, targets, "a") != over_images(gains, targets, "a", seed=1)


@pytest.mark.slow
def test_intervals_hold_the_truth_in_about_95_of_100_samples():
    """Drawn anew many times: the images of the bootstrap, and the seeds of Welch's test."""
    images = seeds = claimed = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        targets = rng.integers(6, size=500)
        gains = (rng.random(500) < 0.72).astype(float) - (rng.random(500) < 0.70)
        found = over_images(gains, targets, "abcdef", resamples=800)
        images += found["accuracy"].low <= 0.02 <= found["accuracy"].high
        welch = over_seeds(rng.normal(0.72, 0.01, 3), rng.normal(0.70, 0.003, 4))
        seeds += welch.low <= 0.02 <= welch.high
        equal = [over_seeds(rng.normal(0, 1, 3), rng.normal(0, 1, 3)).p for _ in range(5)]
        claimed += min(holm(equal)) < 0.05
    assert 0.92 < images / 600 < 0.975
    assert 0.92 < seeds / 600 < 0.985
    assert claimed / 600 < 0.07
