import math

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.inference import logits, run
from snntorch_binary.metrics import anytime_scores, early_exit, evaluate, running_probabilities

LABELS = torch.arange(30) % 3


def outputs(*leading, num_classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(*leading, 30, num_classes, generator=generator)
    return noise + torch.nn.functional.one_hot(LABELS, num_classes)


@pytest.mark.parametrize(("readout", "scale"), [("rate", 8.0), ("membrane", 1.0)])
def test_after_t_steps_it_is_the_readout_of_the_first_t(readout, scale):
    scores = outputs(8)
    running = running_probabilities(scores, scale)
    for steps in range(1, 9):
        at_once = logits(scores[:steps], readout, scale).double().softmax(-1)
        assert torch.allclose(running[steps - 1], at_once, atol=1e-6)


def test_an_ensemble_averages_probabilities():
    members = outputs(4, 8)
    together = torch.stack([running_probabilities(member, 2.0) for member in members]).mean(0)
    assert torch.allclose(running_probabilities(members, 2.0), together)


def test_the_last_step_of_a_network_is_what_predict_says():
    net = torch.nn.Sequential(sb.nn.BinaryLinear(6, 3, weight=sb.Sign()), sb.nn.Leaky(beta=0.9))
    x = torch.rand(12, 5, 6)
    with torch.no_grad(), sb.sampled(net, "mode"):
        spikes = run(net, x)
    assert torch.allclose(running_probabilities(spikes, 12.0)[-1].float(), sb.predict(net, x).probs, atol=1e-6)


def test_scores_of_every_step():
    probabilities = running_probabilities(outputs(8))
    assert anytime_scores(probabilities, LABELS) == [evaluate(after_t, LABELS) for after_t in probabilities]


def test_early_exit_by_going_through_the_steps():
    probabilities = running_probabilities(outputs(8), 3.0)
    thresholds = [0.2, 0.5, 0.9]
    for threshold, found in zip(thresholds, early_exit(probabilities, LABELS, thresholds), strict=True):
        steps, answers = [], []
        for example in probabilities.unbind(1):
            for step, answer in enumerate(example, 1):
                if -(answer * answer.log()).sum() < threshold or step == 8:
                    steps.append(step)
                    answers.append(answer)
                    break
        assert found.threshold == threshold
        assert found.mean_steps == pytest.approx(sum(steps) / 30)
        assert 1 < found.mean_steps < 8
        assert found.scores == evaluate(torch.stack(answers), LABELS)


def test_the_ends_are_the_last_and_the_first_step():
    probabilities = running_probabilities(outputs(8))
    never, at_once = early_exit(probabilities, LABELS, [0.0, 2 * math.log(3)])
    assert (never.mean_steps, never.scores) == (8, evaluate(probabilities[-1], LABELS))
    assert (at_once.mean_steps, at_once.scores) == (1, evaluate(probabilities[0], LABELS))


def test_bad_input():
    scores = outputs(8)
    with pytest.raises(ValueError, match=r"`outputs` to be of shape \[T, B, C\] with T, B >= 1 and C >= 2"):
        running_probabilities(scores[0])
    with pytest.raises(ValueError, match=r"`outputs` to be of shape \[K, T, B, C\]"):
        running_probabilities(outputs(0, 8))
    with pytest.raises(TypeError, match="`outputs` to be a floating-point tensor, but got tuple"):
        running_probabilities((scores, scores))
    with pytest.raises(ValueError, match="`outputs` to be finite"):
        running_probabilities(scores * float("inf"))
    with pytest.raises(ValueError, match="`scale` to be a positive finite number, but got 0"):
        running_probabilities(scores, 0)
    probabilities = running_probabilities(scores)
    for function in (anytime_scores, lambda *given: early_exit(*given, [0.1])):
        with pytest.raises(ValueError, match="rows that sum to 1"):
            function(scores.abs(), LABELS)
        with pytest.raises(ValueError, match=r"`probabilities` to be of shape \[T, N, C\]"):
            function(probabilities[0], LABELS)
        with pytest.raises(ValueError, match=r"`labels` to be of shape \[30\], but got \[29\]"):
            function(probabilities, LABELS[1:])
    with pytest.raises(ValueError, match="`thresholds` to be at least one number, none negative, but got -1"):
        early_exit(probabilities, LABELS, [0.1, -1])
    with pytest.raises(ValueError, match="`thresholds` to be at least one number, none negative, but got none"):
        early_exit(probabilities, LABELS, [])
