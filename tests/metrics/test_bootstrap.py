import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from snntorch_binary.metrics import (
    Difference,
    evaluate,
    example_scores,
    paired_bootstrap,
    paired_differences,
)

SCORES = ("accuracy", "ece", "nll", "brier")


def predictions(generator, num_seeds, num_examples, num_classes=3, sharpness=1.0):
    logits = 2 * torch.randn(num_seeds, num_examples, num_classes, generator=generator)
    return torch.softmax(sharpness * logits, dim=2)


@pytest.mark.slow
def test_intervals_are_the_exact_ones_of_all_resamples():
    generator = torch.Generator().manual_seed(3)
    a, b = predictions(generator, 2, 4), predictions(generator, 2, 4, sharpness=0.5)
    labels = torch.tensor([0, 1, 2, 0])

    def difference(seeds, examples):
        values = []
        for s in seeds:
            of_a, of_b = (evaluate(p[s][list(examples)], labels[list(examples)]) for p in (a, b))
            values.append([getattr(of_a, name) - getattr(of_b, name) for name in SCORES])
        return np.mean(values, axis=0)

    estimate = difference(range(2), range(4))
    every = [
        difference(seeds, examples)
        for seeds in itertools.product(range(2), repeat=2)
        for examples in itertools.product(range(4), repeat=4)
    ]
    q_low, q_high = np.quantile(every, [0.1, 0.9], axis=0)
    found = paired_differences(a, b, labels, num_resamples=40_000, confidence=0.8)
    for index, name in enumerate(SCORES):
        assert found[name].difference == pytest.approx(estimate[index], abs=1e-6)
        # Quantiles of a sample of 40,000: the share below each must be right, whatever the jumps there.
        for end, share in (
            (2 * estimate[index] - found[name].high, 0.1),
            (2 * estimate[index] - found[name].low, 0.9),
        ):
            below = np.mean([value[index] < end - 1e-6 for value in every])
            at_or_below = np.mean([value[index] <= end + 1e-6 for value in every])
            assert below - 0.01 <= share <= at_or_below + 0.01
        assert q_low[index] < q_high[index]


def test_per_example_scores_give_the_same_intervals_as_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    a, b = predictions(generator, 3, 200), predictions(generator, 3, 200)
    labels = torch.randint(3, (200,), generator=generator)
    all_four = paired_differences(a, b, labels, num_resamples=300, seed=5)
    scores_a, scores_b = ([example_scores(p, labels) for p in several] for several in (a, b))
    for name in ("correct", "nll", "brier"):
        values_a, values_b = (torch.stack([getattr(s, name) for s in several]) for several in (scores_a, scores_b))
        one = paired_bootstrap(values_a, values_b, num_resamples=300, seed=5)
        expected = all_four["accuracy" if name == "correct" else name]
        assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(expected), abs=1e-9)


def test_width_is_that_of_the_normal_approximation():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 1, 2000, generator=generator)
    result = paired_bootstrap(a, b, num_resamples=4000)
    half = 1.96 * (a - b).std().item() / math.sqrt(2000)
    assert (result.high - result.low) / 2 == pytest.approx(half, rel=0.06)
    assert result.difference == pytest.approx((a - b).mean().item(), abs=1e-6)


def test_pairing_removes_what_both_predictors_share():
    generator = torch.Generator().manual_seed(0)
    difficulty = 10 * torch.randn(1, 500, generator=generator)
    a, b = difficulty + 0.01 + 0.02 * torch.randn(1, 500, generator=generator), difficulty
    result = paired_bootstrap(a, b)
    assert not result.tie
    assert result.high - result.low < 0.01


def test_seeds_that_disagree_widen_the_interval():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 1000, generator=generator)
    agreeing = paired_bootstrap(noise + 0.5, torch.zeros(3, 1000))
    disagreeing = paired_bootstrap(noise + torch.tensor([[-0.5], [0.5], [1.5]]), torch.zeros(3, 1000))
    assert not agreeing.tie
    assert disagreeing.tie


@pytest.mark.slow
def test_coverage_of_the_mean():
    generator = torch.Generator().manual_seed(1)
    hits = 0
    for trial in range(200):
        a = 0.3 + torch.randn(100, generator=generator)
        result = paired_bootstrap(a, torch.zeros(100), num_resamples=400, seed=trial)
        hits += result.low <= 0.3 <= result.high
    assert 0.88 <= hits / 200 <= 0.99


@pytest.mark.slow
def test_equally_calibrated_predictors_seldom_differ_in_ece():
    generator = torch.Generator().manual_seed(2)
    ties = 0
    for trial in range(100):
        a, b = predictions(generator, 2, 1000, num_classes=2)
        # Two different predictors, each right as often as it says: relabelled so that both see one label.
        labels = torch.zeros(1000, dtype=torch.long)
        a, b = (torch.where(torch.rand(1000, 1, generator=generator) < p[:, :1], p, p.flip(1)) for p in (a, b))
        ties += paired_differences(a, b, labels, num_resamples=300, seed=trial)["ece"].tie
    assert ties >= 88


def test_equal_predictors_tie_exactly():
    generator = torch.Generator().manual_seed(0)
    a = predictions(generator, 3, 100, num_classes=10)
    labels = torch.randint(10, (100,), generator=generator)
    assert set(paired_differences(a, a, labels, num_resamples=50).values()) == {Difference(0.0, 0.0, 0.0)}


def test_same_seed_same_interval_and_swapping_negates():
    generator = torch.Generator().manual_seed(0)
    a, b = predictions(generator, 2, 80), predictions(generator, 2, 80)
    labels = torch.randint(3, (80,), generator=generator)
    one, again = (paired_differences(a, b, labels, num_resamples=101, seed=7) for _ in range(2))
    assert one == again
    assert one != paired_differences(a, b, labels, num_resamples=101, seed=8)
    swapped = paired_differences(b, a, labels, num_resamples=101, seed=7)
    for name in SCORES:
        assert swapped[name].difference == pytest.approx(-one[name].difference, abs=1e-9)
        assert swapped[name].low == pytest.approx(-one[name].high, abs=1e-9)
        assert swapped[name].high == pytest.approx(-one[name].low, abs=1e-9)


def test_one_seed_needs_no_seed_dimension():
    generator = torch.Generator().manual_seed(0)
    a, b = predictions(generator, 1, 30), predictions(generator, 1, 30)
    labels = torch.randint(3, (30,), generator=generator)
    assert paired_differences(a[0], b[0], labels) == paired_differences(a, b, labels)
    assert paired_bootstrap(a[0, :, 0], b[0, :, 0]) == paired_bootstrap(a[:, :, 0], b[:, :, 0])


@pytest.mark.parametrize(
    ("low", "high", "tie"), [(-1.0, 1.0, True), (0.0, 1.0, True), (-1.0, 0.0, True), (0.1, 1.0, False)]
)
def test_a_tie_is_an_interval_that_contains_zero(low, high, tie):
    assert Difference((low + high) / 2, low, high).tie is tie


def test_bad_input():
    ones = torch.ones(2, 5)
    with pytest.raises(ValueError, match=r"`values_b` to be of shape \[2, 5\], but got \[2, 4\]"):
        paired_bootstrap(ones, ones[:, :4])
    with pytest.raises(ValueError, match="`values_a` to be finite"):
        paired_bootstrap(ones * float("nan"), ones)
    with pytest.raises(ValueError, match=r"`values_a` to be of shape \[num_seeds, N\]"):
        paired_bootstrap(ones[None], ones[None])
    with pytest.raises(TypeError, match="`values_b` to be a tensor, but got list"):
        paired_bootstrap(ones, [1.0])
    with pytest.raises(ValueError, match="`num_resamples` to be a positive integer, but got 0"):
        paired_bootstrap(ones, ones, num_resamples=0)
    with pytest.raises(ValueError, match=r"`confidence` to be in \(0, 1\), but got 95"):
        paired_bootstrap(ones, ones, confidence=95)
    thirds = torch.full((2, 5, 3), 1 / 3)
    labels = torch.zeros(5, dtype=torch.long)
    with pytest.raises(ValueError, match=r"`probabilities_b` to be of shape \[2, 5, 3\], but got \[1, 5, 3\]"):
        paired_differences(thirds, thirds[:1], labels)
    with pytest.raises(ValueError, match="`probabilities_a` to be of at least one seed"):
        paired_differences(thirds[:0], thirds[:0], labels)
    with pytest.raises(ValueError, match=r"`labels` to be of shape \[5\], but got \[4\]"):
        paired_differences(thirds, thirds, labels[:4])
    with pytest.raises(ValueError, match="rows that sum to 1"):
        paired_differences(thirds, 2 * thirds, labels)
