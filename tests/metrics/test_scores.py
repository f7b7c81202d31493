import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics
import torch
import torchmetrics

from snntorch_binary import metrics
from snntorch_binary._errors import MissingPackageError


def predictions(num_examples, num_classes, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_examples, num_classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(torch.softmax(0.7 * logits, 1), 1, generator=generator).squeeze(1)
    return torch.softmax(logits, 1).to(dtype), labels


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_scores_agree_with_sklearn_and_torchmetrics(num_classes, dtype):
    probabilities, labels = predictions(500, num_classes, dtype=dtype)
    scores = metrics.evaluate(probabilities, labels)
    p, y = probabilities.double().numpy(), labels.numpy()
    # sklearn insists on rows that sum to 1 in float64.
    p = p / p.sum(1, keepdims=True)
    assert scores.accuracy == pytest.approx(sklearn.metrics.accuracy_score(y, p.argmax(1)))
    assert scores.nll == pytest.approx(sklearn.metrics.log_loss(y, p, labels=range(num_classes)), abs=1e-6)
    brier = sklearn.metrics.brier_score_loss(y, p, labels=range(num_classes), scale_by_half=False)
    assert scores.brier == pytest.approx(brier, abs=1e-6)
    reference = torchmetrics.classification.MulticlassCalibrationError(num_classes, n_bins=15, norm="l1")
    assert scores.ece == pytest.approx(reference(probabilities, labels).item(), abs=1e-6)


def test_evaluate_is_the_four_functions():
    probabilities, labels = predictions(50, 3)
    assert metrics.evaluate(probabilities, labels) == metrics.Scores(
        accuracy=metrics.accuracy(probabilities, labels),
        ece=metrics.expected_calibration_error(probabilities, labels),
        nll=metrics.negative_log_likelihood(probabilities, labels),
        brier=metrics.brier_score(probabilities, labels),
    )


def test_a_label_of_probability_zero_costs_a_large_finite_amount():
    nll = metrics.negative_log_likelihood(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert nll == pytest.approx(87.3365, abs=1e-3)


def test_confident_errors_are_not_forgiven():
    nll = metrics.negative_log_likelihood(torch.tensor([[1.0, 1e-20]]), torch.tensor([1]))
    assert nll == pytest.approx(20 * np.log(10), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_small_integer_labels_and_half_precision_probabilities(dtype):
    probabilities, labels = predictions(64, 4)
    assert metrics.evaluate(probabilities, labels.to(dtype)) == metrics.evaluate(probabilities, labels)
    half = metrics.evaluate(probabilities.half(), labels)
    assert half.brier == pytest.approx(metrics.brier_score(probabilities, labels), abs=2e-3)


GOOD = torch.tensor([[0.5, 0.5], [0.2, 0.8]])
LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("probabilities", "labels", "error", "sentence"),
    [
        ([[0.5, 0.5]], LABELS, TypeError, "`probabilities` to be a floating-point tensor, but got list"),
        (torch.ones(2, 2, dtype=torch.long), LABELS, TypeError, "floating-point tensor, but got torch.int64"),
        (torch.ones(2, 1), LABELS, ValueError, r"of shape \[N, C\] with N >= 1 and C >= 2, but got \[2, 1\]"),
        (torch.ones(0, 2), LABELS[:0], ValueError, r"but got \[0, 2\]"),
        (torch.tensor([0.5, 0.5]), LABELS, ValueError, r"but got \[2\]"),
        (GOOD, [0, 1], TypeError, "`labels` to be an integer tensor, but got list"),
        (GOOD, LABELS.float(), TypeError, "`labels` to be an integer tensor, but got torch.float32"),
        (GOOD, LABELS.bool(), TypeError, "`labels` to be an integer tensor, but got torch.bool"),
        (GOOD, LABELS[:1], ValueError, r"`labels` to be of shape \[2\], but got \[1\]"),
        (GOOD, LABELS + 1, ValueError, "`labels` to be in 0..1, but got the label 2"),
        (GOOD, LABELS - 1, ValueError, "`labels` to be in 0..1, but got the label -1"),
        (GOOD * float("nan"), LABELS, ValueError, "`probabilities` to be finite"),
        (GOOD * 2, LABELS, ValueError, "rows that sum to 1, but got a row that sums to 2"),
        (torch.tensor([[1.5, -0.5], [0.5, 0.5]]), LABELS, ValueError, "non-negative, but got the value -0.5"),
    ],
)
@pytest.mark.parametrize("function", [metrics.evaluate, metrics.expected_calibration_error])
def test_bad_input_gets_the_house_sentence(function, probabilities, labels, error, sentence):
    with pytest.raises(error, match=sentence):
        function(probabilities, labels)


def test_without_torchmetrics_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.classification", None)
    with pytest.raises(MissingPackageError, match=r"torchmetrics is not installed.*\[lightning\]"):
        metrics.evaluate(GOOD, LABELS)


@pytest.mark.slow
def test_importing_the_room_loads_no_optional_package():
    program = (
        "import sys, snntorch_binary.metrics\n"
        "loaded = {'torchmetrics', 'matplotlib', 'rich', 'sklearn', 'lightning'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
