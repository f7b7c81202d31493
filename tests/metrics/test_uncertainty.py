import itertools
import math

import pytest
import torch

from snntorch_binary.metrics import disagreement, uncertainty_scores


def samples(num_members=5, num_examples=40, num_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(num_members, num_examples, num_classes, generator=generator), -1)


def test_scores_are_their_definitions():
    members = samples().double()
    mean = members.mean(0)
    of_mean = torch.distributions.Categorical(mean)
    scores = uncertainty_scores(samples())
    assert torch.allclose(scores.predictive_entropy, of_mean.entropy(), atol=1e-6)
    assert torch.allclose(scores.least_confidence, 1 - mean.max(-1).values, atol=1e-6)
    # Mutual information of answer and member: the members' mean divergence from their mean.
    divergence = torch.stack(
        [torch.distributions.kl_divergence(torch.distributions.Categorical(member), of_mean) for member in members]
    )
    assert torch.allclose(scores.mutual_information, divergence.mean(0), atol=1e-6)


def test_one_network_disagrees_with_nobody():
    assert uncertainty_scores(samples(1)).mutual_information.abs().max() < 1e-12


@pytest.mark.parametrize("num_members", [2, 3, 7])
def test_disagreement_by_counting_all_pairs(num_members):
    members = samples(num_members)
    answers = members.argmax(-1)
    pairs = [(a != b).double().mean().item() for a, b in itertools.combinations(answers, 2)]
    found = disagreement(members)
    assert found.pairwise == pytest.approx(sum(pairs) / math.comb(num_members, 2))
    together = members.mean(0).argmax(-1)
    assert found.from_ensemble == pytest.approx(
        sum((a != together).double().mean().item() for a in answers) / num_members
    )


def test_bad_input():
    with pytest.raises(ValueError, match="`samples` to be of at least two members, but got 1"):
        disagreement(samples(1))
    for function in (disagreement, uncertainty_scores):
        with pytest.raises(ValueError, match=r"of shape \[K, N, C\] with K, N >= 1 and C >= 2, but got \[5, 40\]"):
            function(samples()[..., 0])
        with pytest.raises(ValueError, match="rows that sum to 1"):
            function(2 * samples())
        with pytest.raises(ValueError, match="`samples` to be finite"):
            function(samples() * float("nan"))
        with pytest.raises(TypeError, match="`samples` to be a floating-point tensor, but got list"):
            function([0.5, 0.5])
