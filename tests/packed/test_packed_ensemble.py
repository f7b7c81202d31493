"""Packed ensembles: all members at once, and the same answer as one by one."""

import pytest
import snntorch as snn
import torch
from random_spikes import spikes
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference import logits
from snntorch_binary.models import SpikingMLP
from snntorch_binary.packed import PackedEnsemble, SpikeBits


def linear(scale=0.125):
    return nn.Sequential(
        nn.Flatten(2),
        sb.nn.BinaryLinear(60, 70, weight=sb.Bernoulli(init_scale=0.4), scale=scale),
        sb.nn.Leaky(beta=0.9, threshold=0.5),
        sb.nn.BinaryLinear(70, 130, weight=sb.Bernoulli(init_scale=0.4), scale=scale),
        sb.nn.Synaptic(alpha=0.5, beta=0.9, threshold=0.5),
        sb.nn.BinaryLinear(130, 4, weight=sb.Bernoulli(init_scale=0.4), scale=scale),
        sb.nn.SRM(),
    )


def convolutional(scale=0.125):
    return nn.Sequential(
        sb.nn.TimeFirst(sb.nn.BinaryConv2d(2, 6, 3, padding=1, weight=sb.Bernoulli(init_scale=0.4), scale=scale)),
        sb.nn.Leaky(beta=0.9, threshold=0.5),
        sb.nn.TimeFirst(nn.MaxPool2d(2)),
        sb.nn.TimeFirst(sb.nn.BinaryConv2d(6, 66, 3, groups=2, weight=sb.Bernoulli(init_scale=0.4), scale=scale)),
        sb.nn.Leaky(beta=0.9, threshold=0.5),
        nn.Flatten(2),
        sb.nn.BinaryLinear(66, 4, weight=sb.Bernoulli(init_scale=0.4), scale=scale),
    )


@pytest.mark.parametrize("members", [1, 2, 7])
@pytest.mark.parametrize(
    ("net", "shape", "spatial"), [(linear, (6, 10), 0), (convolutional, (2, 6, 6), 2)], ids=["linear", "convolutional"]
)
def test_it_answers_as_the_ensemble(engine, members, net, shape, spatial):
    """With a power of two as scale the float members' sums are not rounded, and the answers are the same."""
    ensemble = sb.Ensemble(net(), num_members=members, seed=3)
    packed = sb.pack(ensemble)
    assert isinstance(packed.net, nn.Sequential)
    for steps, batch in ((1, 1), (12, 3)):
        x = spikes(steps, batch, *shape)
        scores = packed(x)
        assert torch.equal(scores, ensemble(x))
        assert torch.equal(packed.predict(x).probs, ensemble.predict(x).probs)
    if spatial:
        assert torch.equal(packed(SpikeBits.of(x, spatial)), scores)
    assert members == 1 or not torch.equal(scores[0], scores[1])


def test_with_any_scale_a_member_is_the_binary_network(engine):
    """Against networks that take the product with ±1 and scale it afterwards, as `BinaryLinear` does."""
    net = SpikingMLP(60, [70], 4, threshold=0.5)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.4))
    ensemble = sb.Ensemble(net, num_members=3)
    x = spikes(12, 3, 60)
    for scores, member in zip(sb.pack(ensemble)(x), ensemble.members, strict=True):
        binary = SpikingMLP(60, [70], 4, threshold=0.5)
        sb.binarize_(binary, sb.Sign())
        with torch.no_grad():
            for layer, frozen in zip(binary, member, strict=True):
                if isinstance(layer, sb.nn.BinaryLinear):
                    layer.weight = frozen.weight
                    layer.bias.copy_(frozen.bias)
        assert torch.equal(scores, logits(binary.eval()(x)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [sb.nn.Leaky, snn.Leaky], ids=["ours", "snntorch"])
def test_members_that_take_steps_are_computed_together(engine, kind):
    net = nn.Sequential(
        sb.nn.BinaryLinear(64, 8, weight=sb.Bernoulli(init_scale=0.4)),
        kind(beta=0.9, threshold=0.3, init_hidden=True),
        sb.nn.BinaryLinear(8, 3, weight=sb.Bernoulli(init_scale=0.4), scale=0.25),
        kind(beta=0.9, threshold=0.3, init_hidden=True),
    )
    ensemble = sb.Ensemble(net, num_members=3)
    packed = sb.pack(ensemble)
    assert isinstance(packed.net, nn.Sequential)
    assert (ensemble.step, packed.step) == (True, False)
    x = spikes(9, 2, 64)
    assert torch.equal(packed(x), ensemble(x))
    assert packed(x).sum() > 0


def test_members_one_by_one_where_a_part_needs_it(engine):
    x = spikes(9, 2, 64)
    layer = sb.nn.BinaryLinear(64, 8, weight=sb.Bernoulli(init_scale=0.4))
    with_output = nn.Sequential(layer, sb.nn.Leaky(beta=0.9, output=True))
    ensemble = sb.Ensemble(with_output, num_members=2, readout="membrane")
    assert isinstance(sb.pack(ensemble).net, nn.ModuleList)
    assert torch.equal(sb.pack(ensemble)(x), ensemble(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_members_that_have_a_step_of_their_own_keep_taking_steps(engine):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = sb.nn.BinaryLinear(64, 8, weight=sb.Bernoulli(init_scale=0.4))
            self.lif = snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True)

        def forward(self, x):
            return self.lif(self.layer(x))

    ensemble = sb.Ensemble(nn.Sequential(Block()), num_members=2)
    packed = sb.pack(ensemble)
    assert packed.step is None  # found out at the first call
    x = spikes(9, 2, 64)
    assert torch.equal(packed(x), ensemble(x))
    assert packed(x).sum() > 0


def test_readouts(engine):
    x = spikes(9, 2, 6, 10)
    for arguments in ({"readout_scale": 2.5}, {"readout": lambda output: output.sum(0)}):
        ensemble = sb.Ensemble(linear(), num_members=2, **arguments)
        assert torch.equal(sb.pack(ensemble)(x), ensemble(x))


def test_repr_says_who_answers():
    text = repr(sb.pack(sb.Ensemble(linear(), num_members=2, seed=5)))
    assert "num_members=2, readout='auto', seed=5" in text
    assert "members=2" in text
    assert isinstance(sb.pack(sb.Ensemble(linear(), num_members=1)), PackedEnsemble)
