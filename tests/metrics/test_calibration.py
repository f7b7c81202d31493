import numpy as np
import pytest
import torch
import torchmetrics
from hypothesis import given, settings
from hypothesis import strategies as st

from snntorch_binary import metrics
from snntorch_binary.metrics import (
    adaptive_calibration_error,
    classwise_calibration_error,
    expected_calibration_error,
)
from snntorch_binary.metrics.calibration import NUM_BINS, confidence_bins


def predictions(num_examples, num_classes, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_examples, num_classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(torch.softmax(0.7 * logits, 1), 1, generator=generator).squeeze(1)
    return torch.softmax(logits, 1).to(dtype), labels


def gap_by_definition(predicted, observed, edges):
    """Sum over bins [a, b) of n_b / N |mean observed - mean predicted|; a value of 1 is in a bin of its own."""
    error = 0.0
    for low, high in zip(edges, [*edges[1:-1], 1.0, 2.0], strict=True):
        inside = (predicted >= low) & (predicted < high)
        if inside.any():
            gap = observed[inside].mean() - predicted[inside].mean(dtype=np.float64)
            error += inside.mean() * abs(gap)
    return error


@pytest.mark.parametrize(
    ("num_classes", "num_bins", "low"), [(10, 15, 0.0), (10, 20, 0.0), (2, 10, 0.5), (3, 7, 1 / 3), (10, 9, 0.1)]
)
def test_ece_is_its_definition(num_classes, num_bins, low):
    probabilities, labels = predictions(500, num_classes)
    edges = torch.linspace(low, 1, num_bins + 1).numpy()
    confidence, correct = probabilities.amax(1).numpy(), (probabilities.argmax(1) == labels).numpy()
    found = expected_calibration_error(probabilities, labels, num_bins=num_bins, low=low)
    assert found == pytest.approx(gap_by_definition(confidence, correct, edges), abs=1e-6)


def test_ten_bins_from_one_half_are_the_upper_ten_of_twenty():
    probabilities, labels = predictions(500, 2)
    from_half = expected_calibration_error(probabilities, labels, num_bins=10, low=0.5)
    reference = torchmetrics.functional.classification.multiclass_calibration_error(
        probabilities, labels, num_classes=2, n_bins=20
    )
    assert from_half == pytest.approx(reference.item(), abs=1e-6)
    assert from_half != pytest.approx(expected_calibration_error(probabilities, labels, num_bins=10), abs=1e-4)


def test_a_confidence_just_below_one_half_is_a_rounding_error():
    probabilities = torch.tensor([[0.4999, 0.4999], [0.9, 0.1]])
    found = expected_calibration_error(probabilities, torch.tensor([0, 0]), num_bins=2, low=0.5)
    assert found == pytest.approx((0.5001 + 0.1) / 2, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    votes=st.lists(st.integers(0, 15), min_size=1, max_size=30),
    labels_seed=st.integers(0, 1000),
)
def test_bins_are_those_of_torchmetrics_on_the_edges(votes, labels_seed):
    first = torch.tensor(votes, dtype=torch.float32) / 15  # every confidence sits on an edge
    probabilities = torch.stack([first, 1 - first], 1)
    labels = torch.randint(2, (len(votes),), generator=torch.Generator().manual_seed(labels_seed))
    confidence, bins = confidence_bins(probabilities)
    gap = metrics.example_scores(probabilities, labels).correct - confidence
    by_bins = torch.bincount(bins, weights=gap, minlength=NUM_BINS + 1).abs().sum() / len(votes)
    reference = torchmetrics.functional.classification.multiclass_calibration_error(
        probabilities, labels, num_classes=2, n_bins=15
    )
    assert by_bins.item() == pytest.approx(reference.item(), abs=1e-6)
    assert metrics.expected_calibration_error(probabilities, labels) == pytest.approx(reference.item(), abs=1e-6)


def test_a_rounding_error_above_one_is_not_taken_for_logits():
    probabilities = torch.tensor([[1.0 + 1e-6, 0.0], [0.0, 1.0], [0.0, 1.0]])
    labels = torch.tensor([0, 1, 0])
    assert metrics.expected_calibration_error(probabilities, labels) == pytest.approx(1 / 3, abs=1e-6)


def test_adaptive_bins_hold_equally_many():
    probabilities, labels = predictions(600, 4, dtype=torch.float64)
    confidence, order = probabilities.amax(1).sort()
    correct = (probabilities.argmax(1) == labels).double()[order]
    gaps = [abs(c.mean() - p.mean()) for c, p in zip(correct.chunk(15), confidence.chunk(15), strict=True)]
    found = adaptive_calibration_error(probabilities, labels)
    assert found == pytest.approx(sum(gaps).item() / 15)


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(12)), num_bins=st.integers(1, 14))
def test_adaptive_error_does_not_depend_on_the_order_of_equal_confidences(order, num_bins):
    first = torch.tensor([0.5, 0.6, 0.6, 0.6, 0.6, 0.8, 0.8, 0.8, 0.8, 0.8, 1.0, 1.0])
    probabilities = torch.stack([first, 1 - first], 1)
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1])
    found = adaptive_calibration_error(probabilities, labels, num_bins=num_bins)
    permuted = adaptive_calibration_error(probabilities[order], labels[order], num_bins=num_bins)
    assert permuted == pytest.approx(found)


def test_adaptive_error_of_more_bins_than_examples_is_the_mean_gap():
    probabilities, labels = predictions(5, 3, dtype=torch.float64)
    correct = (probabilities.argmax(1) == labels).double()
    mean_gap = (correct - probabilities.amax(1)).abs().mean().item()
    assert adaptive_calibration_error(probabilities, labels) == pytest.approx(mean_gap)


@pytest.mark.parametrize("num_classes", [2, 10])
def test_classwise_error_is_the_mean_of_one_class_against_the_others(num_classes):
    probabilities, labels = predictions(400, num_classes)
    edges = torch.linspace(0, 1, NUM_BINS + 1).numpy()
    of_classes = [
        gap_by_definition(probabilities[:, label].numpy(), (labels == label).numpy(), edges)
        for label in range(num_classes)
    ]
    assert classwise_calibration_error(probabilities, labels) == pytest.approx(np.mean(of_classes), abs=1e-6)


@pytest.mark.parametrize("function", [adaptive_calibration_error, classwise_calibration_error])
def test_the_variants_refuse_what_the_ece_refuses(function):
    probabilities, labels = predictions(4, 3)
    with pytest.raises(ValueError, match="`probabilities` to be finite, but got NaN or infinite values"):
        function(probabilities * float("nan"), labels)
    with pytest.raises(ValueError, match=r"`labels` to be of shape \[4\], but got \[3\]"):
        function(probabilities, labels[:3])
    with pytest.raises(ValueError, match="`num_bins` to be a positive integer, but got 0"):
        function(probabilities, labels, num_bins=0)


@pytest.mark.parametrize("low", [0.5, -0.1, float("nan")])
def test_bins_that_leave_a_confidence_out_are_refused(low):
    with pytest.raises(ValueError, match=r"`low` to be in \[0, 1/3\], as no confidence is lower, but got"):
        expected_calibration_error(*predictions(4, 3), low=low)
