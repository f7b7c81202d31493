import itertools

import numpy as np
import pytest
import torch

from snntorch_binary.metrics import accuracy, retained_accuracy


def predictions(num_examples=200, num_classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(num_examples, num_classes, generator=generator)
    labels = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator).squeeze(1)
    return torch.softmax(logits, 1), labels


def test_curve_by_rejecting_one_after_the_other():
    probabilities, labels = predictions()
    curve = retained_accuracy(probabilities, labels)
    entropy = torch.distributions.Categorical(probabilities.double()).entropy()
    surest = entropy.argsort()
    for rejected in (0, 1, 37, 150, 199):
        kept = surest[: 200 - rejected]
        assert curve.rejected[rejected].item() == pytest.approx(rejected / 200)
        assert curve.accuracy[rejected].item() == pytest.approx(accuracy(probabilities[kept], labels[kept]))
    assert curve.area == pytest.approx(curve.accuracy.mean().item())


def test_ties_give_the_mean_over_all_orders():
    probabilities, labels = predictions(6)
    labels = probabilities.argmax(1)
    labels[[1, 4]] = (labels[[1, 4]] + 1) % 4
    uncertainty = torch.tensor([0.1, 0.2, 0.2, 0.2, 0.3, 0.3])
    correct = (probabilities.argmax(1) == labels).double().numpy()
    curves = []
    for order in itertools.permutations(range(6)):
        if (uncertainty[list(order)].diff() >= 0).all():
            kept = np.cumsum(correct[list(order)]) / np.arange(1, 7)
            curves.append(kept[::-1])
    found = retained_accuracy(probabilities, labels, uncertainty)
    assert found.accuracy.numpy() == pytest.approx(np.mean(curves, axis=0))


def test_an_oracle_rejects_all_errors_first_and_chance_nothing():
    probabilities, labels = predictions()
    wrong = (probabilities.argmax(1) != labels).float()
    oracle = retained_accuracy(probabilities, labels, wrong)
    num_wrong = int(wrong.sum())
    assert 0 < num_wrong < 200
    assert (oracle.accuracy[num_wrong:] == 1).all()
    chance = retained_accuracy(probabilities, labels, torch.zeros(200))
    assert chance.accuracy.numpy() == pytest.approx(1 - num_wrong / 200)
    assert chance.area < retained_accuracy(probabilities, labels).area < oracle.area


def test_bad_input():
    probabilities, labels = predictions(5)
    with pytest.raises(ValueError, match=r"`uncertainty` to be of shape \[5\], but got \[4\]"):
        retained_accuracy(probabilities, labels, torch.ones(4))
    with pytest.raises(ValueError, match="`uncertainty` to be finite, but got NaN"):
        retained_accuracy(probabilities, labels, torch.full((5,), float("nan")))
    with pytest.raises(ValueError, match="rows that sum to 1"):
        retained_accuracy(2 * probabilities, labels)
