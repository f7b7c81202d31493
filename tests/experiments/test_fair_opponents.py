"""Whom a posterior is compared with: opponents that are scaled, and several networks; the best at its bits and cost."""

from pathlib import Path

import pytest
import torch

from snntorch_binary.experiments.compare.comparison import Comparison, Run
from snntorch_binary.experiments.compare.opponents import differences, pairs
from snntorch_binary.experiments.compare.predictors import Predictor, gather
from snntorch_binary.experiments.compare.regression import mixture
from snntorch_binary.experiments.experiment import make_experiment
from snntorch_binary.metrics import apply_temperature, fit_temperature
from snntorch_binary.models import SpikingMLP

LABELS = torch.arange(60) % 3


def parts():
    return {}


def parts_by_seed(seed):
    return {}


def answers(sureness, wrong=0.0, labels=LABELS):
    """Class probabilities [N, C]: so sure of the label, and of another class for a share of the examples."""
    scores = sureness * torch.nn.functional.one_hot(labels, 3).float()
    scores[: round(wrong * len(labels))] = scores[: round(wrong * len(labels))].roll(1, 1)
    return (scores + 0.1 * torch.rand(len(labels), 3)).softmax(1)


def run(rule, seed, prediction="single", *, test=(2.0, 0.1), validation=(2.0, 0.1), labels=LABELS):
    return Run(
        rule, seed, 0, Path(), {prediction: answers(*test)}, LABELS,
        validation_labels=labels, history={},
        train_seconds=1.0, validation_answers={prediction: answers(*validation, labels)},
    )  # fmt: skip


def comparison(*runs, data=parts, members=10):
    rules = ["full-precision", "st", {"bayes": {"num_members": members}}]
    seeds = tuple(dict.fromkeys(run.seed for run in runs))
    return Comparison(make_experiment(SpikingMLP, data, rules, seeds=seeds), runs, Path(), regression=False)


def test_together_they_are_scaled_on_the_mean_of_their_validation_answers():
    runs = [run("st", seed, test=(9.0, 0.2), validation=(9.0, 0.2)) for seed in range(3)]
    found = gather(comparison(*runs))[Predictor("st", "single", 3, scaled=True)]
    test = sum(run.probabilities["single"] for run in runs) / 3
    validation = sum(run.validation_answers["single"] for run in runs) / 3
    temperature = fit_temperature(validation.log(), LABELS)
    assert temperature > 1.5
    torch.testing.assert_close(found.test[None], apply_temperature(test.log(), temperature).float())
    assert (found.bits, found.train_seconds) == (3, {None: 3.0})


@pytest.mark.parametrize("how", ["a seed decides the parts", "another order"])
def test_networks_without_validation_data_in_common_are_scaled_one_by_one(how):
    """What one validated on, another may have learned from."""
    labels = [LABELS, LABELS if how == "a seed decides the parts" else LABELS.flip(0)]
    runs = [run("st", seed, test=(9.0, 0.2), validation=(9.0 - seed, 0.2), labels=labels[seed]) for seed in (0, 1)]
    found = gather(comparison(*runs, data=parts_by_seed if how == "a seed decides the parts" else parts))
    each = [
        apply_temperature(
            run.probabilities["single"].log(),
            fit_temperature(run.validation_answers["single"].log(), run.validation_labels),
        )
        for run in runs
    ]
    together, alone = (found[Predictor("st", "single", trainings, scaled=True)] for trainings in (2, 1))
    torch.testing.assert_close(together.test[None], (sum(each) / 2).float())
    assert together.mean_validation_nll == pytest.approx(alone.mean_validation_nll)


def test_posteriors_are_not_put_together():
    runs = [run("bayes", seed, "ensemble") for seed in range(2)]
    assert list(gather(comparison(*runs))) == [
        Predictor("bayes", "ensemble"), Predictor("bayes", "ensemble", scaled=True),
    ]  # fmt: skip


def test_what_has_no_validation_answers_is_not_scaled_and_no_opponent():
    lacking = run("st", 0)
    lacking.validation_answers.clear()
    found = gather(comparison(lacking, run("bayes", 0, "ensemble")))
    assert Predictor("st", "single") in found
    assert Predictor("st", "single", scaled=True) not in found
    assert [pair.second for pair in pairs(found) if pair.at] == []


def compared(members, st_wrong, float_wrong):
    """Pairs of a posterior with ST and full-precision networks that are wrong on so much validation data.

    On the test part it is the other way round.
    """
    runs = [
        made
        for seed in range(3)
        for made in (
            run("full-precision", seed, validation=(3.0, float_wrong), test=(3.0, 0.5 - float_wrong)),
            run("st", seed, validation=(3.0, st_wrong), test=(3.0, 0.5 - st_wrong)),
            run("bayes", seed, "ensemble"),
        )
    ]
    found = gather(comparison(*runs, members=members))
    return found, {pair.at: pair.second for pair in pairs(found) if pair.at and not pair.first.scaled}


@pytest.mark.parametrize(
    ("members", "st_wrong", "float_wrong", "at_bits", "at_trainings"),
    [
        (10, 0.3, 0.1, ("st", 3), ("full-precision", 1)),  # no full-precision network has at most 10 bits
        (2, 0.3, 0.1, ("st", 1), ("full-precision", 1)),  # nor have three networks at most 2
        (40, 0.3, 0.1, ("full-precision", 1), ("full-precision", 1)),
        (10, 0.1, 0.3, ("st", 3), ("st", 1)),
    ],
)
def test_the_best_opponent_needs_no_more_and_is_chosen_on_validation_data(
    members, st_wrong, float_wrong, at_bits, at_trainings
):
    _, found = compared(members, st_wrong, float_wrong)
    both = found.get(("bits", "trainings"))
    bits, trainings = (both, both) if both else (found[("bits",)], found[("trainings",)])
    assert (bits.rule, bits.trainings) == at_bits
    assert (trainings.rule, trainings.trainings) == at_trainings


def test_fair_pairs_are_named_first_and_all_are_kept():
    found, _ = compared(10, 0.3, 0.1)
    labels = [pair.label for pair in pairs(found)]
    assert labels[0].startswith("bayes ensemble - st x 3")
    assert labels[0].endswith("(at its bits)")
    assert labels[1].endswith("(at its trainings)")
    shown = [pair.label for pair in pairs(found) if pair.is_shown]
    assert shown == [*labels[:2], "st - full-precision"]
    assert "bayes ensemble - st" in labels
    of = differences(found, LABELS)
    ensemble = found[Predictor("st", "single", 3)].test[None]
    pair = next(pair for pair in of if pair.second.trainings == 3)
    answered = torch.stack(list(found[pair.first].test.values()))
    right = (answered.argmax(2) == LABELS).double().mean() - (ensemble.argmax(1) == LABELS).double().mean()
    assert of[pair]["accuracy"].difference == pytest.approx(float(right))


def test_a_mixture_of_normal_answers():
    one, two = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 3.0]])
    torch.testing.assert_close(mixture([one, two]), torch.tensor([[1.0, 6.0**0.5]]))
    torch.testing.assert_close(mixture([one]), one)
