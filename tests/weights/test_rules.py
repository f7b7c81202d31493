"""Weight rules are frozen values with a JSON form, and say what is wrong with their arguments."""

import json
import pickle

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.weights import WeightRule

RULES = [
    sb.Sign(),
    sb.Sign("identity"),
    sb.Bernoulli(),
    sb.Bernoulli(tau=0.3, prior=0.2, estimator="gumbel", init_scale=1.0, shared_noise=True),
    sb.Bernoulli(estimator="disarm"),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_json_pickle_and_repr_bring_the_rule_back(rule):
    assert WeightRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert eval(repr(rule), {"Sign": sb.Sign, "Bernoulli": sb.Bernoulli}) == rule
    with pytest.raises(AttributeError):
        rule.tau = 2.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Bernoulli(tau=-1.0), r"Expected argument `tau` to be a positive float, but got -1.0\."),
        (lambda: sb.Bernoulli(tau=float("nan")), "`tau`"),
        (lambda: sb.Bernoulli(tau=float("inf")), "`tau`"),
        (lambda: sb.Bernoulli(prior=0.0), "`prior`"),
        (lambda: sb.Bernoulli(prior=1.0), "`prior`"),
        (lambda: sb.Bernoulli(estimator="soft"), "`estimator` to be 'hard', 'gumbel' or 'disarm', but got 'soft'"),
        (lambda: sb.Bernoulli(init_scale=0.0), "`init_scale`"),
        (lambda: sb.Bernoulli(init_scale=31.0), "`init_scale`"),
        (lambda: sb.Sign("hard"), "`straight_through`"),
        (
            lambda: WeightRule.from_json({"rule": "gaussian"}),
            "`rule` to be one of .*'bernoulli'.*'sign'.* got 'gaussian'",
        ),
    ],
)
def test_bad_arguments_get_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("straight_through", "passed"), [("clipped", [0, 1, 1, 1, 0]), ("identity", [1] * 5)])
def test_straight_through(straight_through, passed):
    layer = sb.nn.BinaryLinear(5, 1, bias=False, weight=sb.Sign(straight_through), scale=1.0)
    with pytest.warns(UserWarning, match="1 of 5 weights are exactly 0"):
        layer.weight = torch.tensor([[-1.5, -1.0, 0.0, 0.3, 1.1]])
    assert layer.weight.tolist() == [[-1, -1, 1, 1, 1]]  # sign(0) = +1
    layer(torch.full((1, 5), 2.0)).sum().backward()
    assert layer.latent.grad.tolist() == [[2.0 * p for p in passed]]


def test_learning_starts_where_the_rule_can_learn():
    weight = torch.tensor([[-0.02, 0.0, 0.03]])
    assert sb.Sign().initial_latent(weight) is weight
    assert sb.Bernoulli().initial_latent(weight).tolist() == [[-3.0, 3.0, 3.0]]
    assert sb.Bernoulli(init_scale=0.5).initial_latent(weight).tolist() == [[-0.5, 0.5, 0.5]]
