import itertools
import sys

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snntorch_binary._errors import MissingPackageError
from snntorch_binary.metrics import OODScores, ood_scores, paired_auroc_difference


def scores(num_inside=300, num_outside=200, shift=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inside = torch.randn(num_inside, generator=generator, dtype=torch.float64)
    return inside, shift + torch.randn(num_outside, generator=generator, dtype=torch.float64)


def reference(inside, outside):
    is_outside = np.repeat([0, 1], [len(inside), len(outside)])
    values = np.concatenate([inside, outside])
    false_positive, true_positive, _ = sklearn.metrics.roc_curve(is_outside, values, drop_intermediate=False)
    fpr95 = false_positive[true_positive >= 0.95].min()
    return sklearn.metrics.roc_auc_score(is_outside, values), fpr95


@pytest.mark.parametrize("shift", [-1.0, 0.0, 1.0, 10.0])
# Large values would be ties after a sigmoid in float32.
@pytest.mark.parametrize("scale", [0.01, 1.0, 1e6])
def test_scores_are_those_of_sklearn(shift, scale):
    inside, outside = scores(shift=shift)
    found = ood_scores(scale * inside, scale * outside)
    auroc, fpr95 = reference(inside, outside)
    assert found.auroc == pytest.approx(auroc, abs=1e-6)
    assert found.fpr95 == pytest.approx(fpr95, abs=1e-12)


votes = st.lists(st.integers(0, 4), min_size=1, max_size=25)


@settings(deadline=None, max_examples=40)
@given(inside=votes, outside=votes)
def test_ties_count_half(inside, outside):
    inside, outside = torch.tensor(inside) / 4, torch.tensor(outside) / 4
    found = ood_scores(inside, outside)
    pairs = [(b > a) + 0.5 * (b == a) for a, b in itertools.product(inside.tolist(), outside.tolist())]
    assert found.auroc == pytest.approx(np.mean(pairs), abs=1e-6)
    assert found.fpr95 == pytest.approx(reference(inside, outside)[1], abs=1e-12)


def test_equal_scores_say_nothing():
    assert ood_scores(torch.ones(5), torch.ones(3)) == OODScores(auroc=0.5, fpr95=1.0)


def test_paired_difference_is_that_of_the_aurocs_over_seeds():
    a = [scores(seed=seed) for seed in (0, 1)]
    b = [scores(shift=0.5, seed=seed) for seed in (2, 3)]
    expected = np.mean([reference(*of_a)[0] - reference(*of_b)[0] for of_a, of_b in zip(a, b, strict=True)])
    stacked = [tuple(torch.stack(parts) for parts in zip(*several, strict=True)) for several in (a, b)]
    found = paired_auroc_difference(*stacked, num_resamples=200)
    assert found.difference == pytest.approx(expected)
    assert found.low < expected < found.high
    assert found == paired_auroc_difference(*stacked, num_resamples=200)
    assert found != paired_auroc_difference(*stacked, num_resamples=200, seed=1)


def test_interval_is_the_exact_one_of_all_resamples():
    generator = torch.Generator().manual_seed(4)
    inside_a, outside_a, inside_b, outside_b = (torch.rand(n, generator=generator) for n in (3, 2, 3, 2))
    of_inside, of_outside = (itertools.product(range(n), repeat=n) for n in (3, 2))
    every = [
        ood_scores(inside_a[i], outside_a[o]).auroc - ood_scores(inside_b[i], outside_b[o]).auroc
        for i, o in itertools.product(map(list, of_inside), map(list, of_outside))
    ]
    found = paired_auroc_difference((inside_a, outside_a), (inside_b, outside_b), num_resamples=20_000, confidence=0.8)
    for end, share in ((2 * found.difference - found.high, 0.1), (2 * found.difference - found.low, 0.9)):
        assert np.mean(np.array(every) < end - 1e-6) - 0.01 <= share <= np.mean(np.array(every) <= end + 1e-6) + 0.01


def test_width_is_that_of_delong():
    """DeLong et al. (1988): for one predictor against chance, the variance of the AUROC from its two placements."""
    inside, outside = scores(400, 300)
    above = (outside[:, None] > inside).double()
    variance = above.mean(1).var() / len(outside) + above.mean(0).var() / len(inside)
    constant = (torch.zeros_like(inside), torch.zeros_like(outside))
    found = paired_auroc_difference((inside, outside), constant, num_resamples=3000)
    assert found.difference == pytest.approx(above.mean().item() - 0.5)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * variance.sqrt().item(), rel=0.07)


def test_equal_predictors_tie_exactly():
    found = paired_auroc_difference(scores(), scores(), num_resamples=50)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_bad_input():
    inside, outside = scores(4, 3)
    with pytest.raises(ValueError, match="`inside` to be finite, but got NaN or infinite values"):
        ood_scores(inside * float("nan"), outside)
    with pytest.raises(ValueError, match=r"`outside` to be of shape \[M\] with M >= 1, but got \[0\]"):
        ood_scores(inside, outside[:0])
    with pytest.raises(TypeError, match=r"`outside` to be a floating-point tensor, but got torch\.int64"):
        ood_scores(inside, torch.ones(3, dtype=torch.long))
    with pytest.raises(TypeError, match="`a` to be a pair of tensors, in and out of distribution, but got Tensor"):
        paired_auroc_difference(inside, outside)
    with pytest.raises(ValueError, match=r"`b` to be of the shape of `a`, \[1, 3\], but got \[1, 2\]"):
        paired_auroc_difference((inside, outside), (inside, outside[:2]))
    with pytest.raises(ValueError, match="`a` to be of as many seeds in as out of distribution, but got 2 and 1"):
        paired_auroc_difference((inside.expand(2, 4), outside), (inside, outside))
    with pytest.raises(ValueError, match="`confidence` to be in"):
        paired_auroc_difference((inside, outside), (inside, outside), confidence=95)


def test_without_torchmetrics_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.classification", None)
    with pytest.raises(MissingPackageError, match=r"torchmetrics is not installed.*\[lightning\]"):
        ood_scores(*scores())
