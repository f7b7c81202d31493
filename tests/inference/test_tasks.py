"""What is asked of a network: one of several classes, several labels, or real values."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference import Prediction, RealPrediction
from snntorch_binary.inference.predictions import prediction_of

T, B, IN, C = 6, 4, 12, 3


def one_output(rule=None):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(IN, 20), sb.nn.Leaky(beta=0.9), nn.Linear(20, 1))
    sb.binarize_(net, rule or sb.Bernoulli(init_scale=0.4))
    return net.eval(), 3 * torch.rand(T, B, IN)


def members_of(net, x, count=5):
    generator, found = torch.Generator().manual_seed(3), []
    for _ in range(count):
        with sb.sampled(net, "binary", generator), torch.no_grad():
            found.append(net(x).mean(0))
    return torch.stack(found)


def test_one_output_is_asked_about():
    net, x = one_output()
    sentence = r"^Expected argument `task` to be 'real' .*, 'labels' .* or 'classes' .* one output, but got None\.$"
    with pytest.raises(ValueError, match=sentence):
        sb.predict(net, x)
    with pytest.raises(ValueError, match=sentence):
        sb.Ensemble(net, 2).predict(x)
    with pytest.raises(ValueError, match=sentence):
        sb.pack(sb.Ensemble(net, 2), real_input=["0"]).predict(x)
    with pytest.raises(ValueError, match=r"^Expected argument `task` to be one of classes, labels, real, but got"):
        sb.predict(net, x, task="a")


def test_real_values():
    net, x = one_output()
    members = members_of(net, x)
    found = sb.predict(net, x, 5, generator=torch.Generator().manual_seed(3), task="real", noise=0.3)
    torch.testing.assert_close(found.samples, members)
    torch.testing.assert_close(found.mode, net(x).mean(0))
    torch.testing.assert_close(found.mean, members.mean(0))
    torch.testing.assert_close(found.disagreement, (members - members.mean(0)).square().mean(0).sqrt())
    torch.testing.assert_close(found.std.square(), found.disagreement.square() + 0.09)
    assert found.disagreement.min() > 0
    low, high = found.interval(0.9)
    torch.testing.assert_close((high - low) / found.std, torch.full((B, 1), 2 * 1.6448536))
    torch.testing.assert_close((low + high) / 2, found.mean)
    assert repr(found) == f"RealPrediction(5 members, {B} examples, 1 values)"
    with pytest.raises(ValueError, match=r"^Expected argument `probability` to be between 0 and 1"):
        found.interval(1.0)


def test_intervals_hold_what_they_say():
    torch.manual_seed(0)
    members, noise = torch.randn(200, 4000, 1), 0.5
    target = torch.randn(4000, 1) + noise * torch.randn(4000, 1)
    low, high = RealPrediction(members, noise=noise).interval(0.8)
    assert float(((low <= target) & (target <= high)).float().mean()) == pytest.approx(0.8, abs=0.02)


def test_several_labels():
    net, x = one_output()
    net[2] = sb.nn.BinaryLinear(20, C, weight=sb.Bernoulli(init_scale=0.4)).eval()
    members = members_of(net, x).sigmoid()
    found = sb.predict(net, x, 5, generator=torch.Generator().manual_seed(3), task="labels")
    torch.testing.assert_close(found.probs, members.mean(0))
    torch.testing.assert_close(found.mode_probs, net(x).mean(0).sigmoid())
    assert torch.equal(found.labels, members.mean(0) > 0.5)

    def uncertainty(p):
        return -(p * p.log() + (1 - p) * (1 - p).log())

    torch.testing.assert_close(found.entropy, uncertainty(members.mean(0)))
    expected = (uncertainty(members.mean(0)) - uncertainty(members).mean(0)).clamp_min(0)
    torch.testing.assert_close(found.mutual_information, expected, atol=1e-6, rtol=1e-4)
    assert repr(found) == f"LabelPrediction(5 members, {B} examples, {C} labels)"


def test_two_classes_by_a_sign():
    net, x = one_output(sb.Sign())
    found = sb.predict(net, x, task="classes")
    scores = net(x).mean(0).detach()
    torch.testing.assert_close(found.mode_probs, torch.cat([(-scores).sigmoid(), scores.sigmoid()], -1))
    assert torch.equal(found.labels, (scores[:, 0] > 0).long())


def test_a_module_knows_its_task():
    pytest.importorskip("torchmetrics")  # `lightning` is also the name of a folder of tests
    from snntorch_binary.lightning import BayesBiSNN

    net, x = one_output(sb.Sign())
    sb.unbinarize_(net)
    for num_classes, kind in ((None, RealPrediction), (2, Prediction)):
        module = BayesBiSNN(copy.deepcopy(net), num_classes).eval()
        assert type(sb.predict(module, x)) is kind
        ensemble = sb.Ensemble(module)
        assert type(ensemble.predict(x)) is kind
        assert type(sb.pack(ensemble, real_input=["0"]).predict(x)) is kind


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (-1.0, "finite numbers of at least 0"),
        (float("nan"), "finite numbers of at least 0"),
        (torch.tensor([0.1, -0.1, 0.1]), "finite numbers of at least 0"),
        (torch.ones(2), r"one number, or of shape \(3,\) or \(4, 3\), but got shape \(2,\)"),
        (torch.ones(5, 4, 3), r"one number, or of shape \(3,\) or \(4, 3\), but got shape"),
        ("0.1", "a number or a tensor, but got str"),
        (True, "a number or a tensor, but got bool"),
    ],
)
def test_noise_that_is_no_deviation(noise, said):
    with pytest.raises(ValueError, match=rf"^Expected argument `noise` to be {said}"):
        prediction_of("real", torch.rand(5, 4, 3), noise=noise)


def test_noise_of_each_value_and_of_none():
    noise = torch.tensor([0.1, 0.2, 0.3])
    found = prediction_of("real", torch.zeros(5, 4, 3), noise=noise)
    assert torch.allclose(found.std, noise.expand(4, 3))
    by_example = torch.rand(4, 1)
    assert torch.allclose(prediction_of("real", torch.zeros(5, 4, 3), noise=by_example).std, by_example.expand(4, 3))
    assert prediction_of("real", torch.zeros(5, 4, 3), noise=np.float32(0.5)).std.max() == 0.5
    for task in ("classes", "labels", None):
        prediction_of(task, torch.rand(5, 4, 3), noise=0.0)
        with pytest.raises(ValueError, match=r"^Expected argument `noise` to be 0 where the task is not 'real'"):
            prediction_of(task, torch.rand(5, 4, 3), noise=0.3)
