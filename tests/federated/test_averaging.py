"""Averaging without Flower: means, refusals, stragglers and noise."""

import re

import pytest
import torch

from snntorch_binary.federated import weighted_mean, why_refused, with_noise, without_stragglers


def states():
    return [
        {"w": torch.tensor([1.0, 2.0]), "seen": torch.tensor(4)},
        {"w": torch.tensor([3.0, 6.0]), "seen": torch.tensor(9)},
    ]


def test_the_mean_is_weighted_and_counters_stay_counters():
    mean = weighted_mean(states(), [3, 1])
    torch.testing.assert_close(mean["w"], torch.tensor([1.5, 3.0]))
    assert mean["seen"].dtype == torch.int64
    assert int(mean["seen"]) == 9
    torch.testing.assert_close(weighted_mean(states())["w"], torch.tensor([2.0, 4.0]))


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 2.0], [0.0, 0.0], [float("nan"), 1.0]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match="`weights`"):
        weighted_mean(states(), weights)
    with pytest.raises(ValueError, match="`states`"):
        weighted_mean([])


def test_batch_norm_is_averaged_with_its_statistics():
    nets = [torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)]
    for index, net in enumerate(nets):
        net(torch.randn(8, 2) + index)
        net(torch.randn(8, 2))
    mean = weighted_mean([net.state_dict() for net in nets])
    nets[0].load_state_dict(mean)
    torch.testing.assert_close(mean["running_mean"], (nets[0].running_mean + nets[0].running_mean) / 2)
    assert int(nets[0].num_batches_tracked) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"w": torch.tensor([float("nan"), 0.0])}, "w has NaN"),
        ({"w": torch.tensor([float("inf"), 0.0])}, "w has NaN or infinite"),
        ({"w": torch.zeros(3)}, r"w has shape \(3,\) and not \(2,\)"),
        ({"w": torch.zeros(2, dtype=torch.float64)}, "w is torch.float64"),
        ({"other": torch.zeros(2)}, "its network is another one .*other"),
    ],
)
def test_what_cannot_be_used_is_said(change, words):
    like = states()[0]
    assert why_refused(like, like) is None
    reason = why_refused({**like, **change}, like)
    assert reason is not None
    assert re.search(words, reason)


def test_the_first_client_is_never_late_and_the_others_as_often_as_told():
    late = sum(6 - len(without_stragglers(range(6), 0.3, seed)) for seed in range(2000)) / (5 * 2000)
    assert late == pytest.approx(0.3, abs=0.02)
    assert all(without_stragglers(range(6), 0.9, seed)[0] == 0 for seed in range(50))
    assert without_stragglers(range(6), 0.0, 0) == list(range(6))
    with pytest.raises(ValueError, match="probability"):
        without_stragglers([0], 1.5, 0)


def test_noise_has_the_size_of_the_update():
    start = {"w": torch.zeros(20_000), "b": torch.zeros(3), "n": torch.tensor(3)}
    sent = {"w": torch.full((20_000,), -0.5), "b": torch.ones(3), "n": torch.tensor(5)}
    noisy = with_noise(sent, start, 0.2, seed=1, names={"w", "n"})
    difference = noisy["w"] - sent["w"]
    assert difference.std().item() == pytest.approx(0.2 * 0.5, rel=0.03)
    assert difference.mean().item() == pytest.approx(0.0, abs=0.003)
    assert torch.equal(noisy["b"], sent["b"])
    assert torch.equal(noisy["n"], sent["n"])
    assert torch.equal(noisy["w"], with_noise(sent, start, 0.2, seed=1)["w"])
    assert torch.equal(with_noise(sent, start, 0.0, seed=1)["w"], sent["w"])
