"""Networks that read themselves out over time, and what is fused or packed, are read as they are."""

import pytest
import torch
from snntorch import utils
from test_form import IN, B, C, Looped, T
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference.find_form import form_of
from snntorch_binary.inference.readout import class_scores


class Scores(Looped):
    """Class scores [B, C]: the mean of the potentials, or the number of spikes."""

    def __init__(self, read="potentials", **form):
        super().__init__(**form)
        self.read, self.time_out = read, 0

    def forward(self, x):
        spikes, potentials = super().forward(x)
        return potentials.mean(0) if self.read == "potentials" else spikes.sum(0)


class ParallelScores(nn.Module):
    """The same of layers that take a sequence."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(IN, 8), sb.nn.Leaky(0.9), nn.Linear(8, C))

    def forward(self, x):
        return self.layers(x).mean(0)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (Scores, (T, B, IN)),
        (lambda: Scores("spikes"), (T, B, IN)),
        (lambda: Scores(time_in=1), (B, T, IN)),
        (lambda: Scores(num_steps=T), (B, IN)),
        (ParallelScores, (T, B, IN)),
        (Scores, (B, B, IN)),
        (Scores, (T, 1, IN)),
    ],
)
def test_class_scores_are_taken_for_what_they_are(make, shape):
    torch.manual_seed(0)
    net, x = make(), 3 * torch.rand(shape)
    sb.binarize_(net, sb.Sign())
    assert form_of(net, x).scored
    utils.reset(net)
    want = net(x)
    assert want.std() > 0
    assert torch.equal(class_scores(net, x), want)
    assert torch.equal(class_scores(net, x, scale=2.0), 2 * want)
    torch.testing.assert_close(sb.predict(net, x, 1).mode_probs, want.softmax(-1))
    torch.testing.assert_close(sb.Ensemble(net, 1)(x)[0], want)


@pytest.mark.parametrize(
    ("make", "shape"),
    [(lambda: Looped(single=True), (T, IN)), (lambda: nn.Sequential(nn.Linear(IN, C), sb.nn.Leaky(0.9)), (T, IN))],
)
def test_one_example_over_time_is_not_taken_for_class_scores(make, shape):
    net, x = make(), torch.rand(shape)
    assert not form_of(net, x).scored
    with pytest.raises(ValueError, match=r"^Expected argument `output` to be of shape \[T, B, C\]"):
        class_scores(net, x)


def test_scores_have_no_membrane_potential():
    with pytest.raises(ValueError, match=r"^Expected argument `output` to be of shape \[T, B, C\]"):
        class_scores(Scores(), torch.rand(T, B, IN), "membrane")


@pytest.mark.slow
@pytest.mark.parametrize("convert", [sb.fuse, sb.pack])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Looped(time_in=1, time_out=1), (B, T, IN)),
        (lambda: Looped(time_out=1), (T, B, IN)),
        (lambda: Looped(num_steps=T), (B, IN)),
        (Scores, (T, B, IN)),
        (lambda: Scores(time_in=1), (B, T, IN)),
    ],
)
def test_what_is_fused_or_packed_is_read_as_the_network_is(make, shape, convert):
    torch.manual_seed(0)
    net, x = make(), 3 * torch.rand(shape)
    sb.binarize_(net, sb.Sign())
    torch.testing.assert_close(class_scores(convert(net, x), x), class_scores(net, x))
