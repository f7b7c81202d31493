"""A fused network against the network it was made of, step by step."""

import copy

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn

import snntorch_binary as sb
from snntorch_binary.fuse import EachStep
from snntorch_binary.inference import run
from snntorch_binary.kernels.surrogates import ArcTan, FastSigmoid

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def gradients(output, parameters):
    spikes, potentials = output
    weights = torch.linspace(-1, 1, spikes.numel()).view_as(spikes)
    return torch.autograd.grad((spikes * weights).sum() + (potentials * weights).sum(), parameters)


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize(
    "spike_grad", [surrogate.atan(3.0), surrogate.fast_sigmoid(10), None], ids=["arctan", "fast", "default"]
)
def test_equals_the_steps(reset, spike_grad):
    options = {"init_hidden": True, "reset_mechanism": reset, "spike_grad": spike_grad}
    net = nn.Sequential(
        nn.Linear(20, 30),
        snn.Leaky(beta=0.9, threshold=0.3, learn_beta=True, learn_threshold=True, **options),
        nn.Sequential(nn.Linear(30, 7), snn.Leaky(beta=torch.rand(7), threshold=0.2, output=True, **options)),
    )
    fused = sb.fuse(net)
    x = (torch.rand(12, 4, 20) < 0.4).float()
    before, after = run(net, x), fused(x)
    assert before[0].sum() > 5
    assert torch.equal(before[0], after[0])
    torch.testing.assert_close(before[1], after[1], rtol=1e-6, atol=1e-6)
    assert {id(p) for p in net.parameters()} == {id(p) for p in fused.parameters()}
    parameters = list(net.parameters())
    for ours, theirs in zip(gradients(after, parameters), gradients(before, parameters), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert list(fused.report) == ["0", "1", "2.0", "2.1"]
    assert "one scan" in fused.report["1"]
    assert "step by step" not in fused.summary()


def test_binary_convolutional_network():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        snn.Leaky(beta=0.8, init_hidden=True, threshold=0.5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 5),
        snn.Synaptic(alpha=0.7, beta=0.9, init_hidden=True, output=True, threshold=0.2),
    )
    sb.binarize_(net, sb.Sign())
    fused = sb.fuse(net)
    x = (torch.rand(6, 3, 1, 8, 8) < 0.5).float()
    before, after = run(net, x), fused(x)
    assert torch.equal(before[0], after[0])
    torch.testing.assert_close(before[-1], after[-1], rtol=1e-5, atol=1e-5)
    assert fused.report["2"] == "MaxPool2d, all steps as one batch"


def test_layers_and_neurons_that_hand_out_their_state():
    fc1, lif1, fc2, lif2 = nn.Linear(6, 8), snn.Leaky(beta=0.9), nn.Linear(8, 3), snn.Leaky(beta=0.9, threshold=0.2)
    x = torch.rand(10, 2, 6)
    spikes, potentials = [], []
    mem1, mem2 = lif1.init_leaky(), lif2.init_leaky()
    for x_t in x:
        spk, mem1 = lif1(fc1(x_t), mem1)
        spk, mem2 = lif2(fc2(spk), mem2)
        spikes.append(spk)
        potentials.append(mem2)
    fused = sb.fuse([fc1, lif1, fc2, lif2])
    after = fused(x)
    assert torch.equal(torch.stack(spikes), after[0])
    torch.testing.assert_close(torch.stack(potentials), after[1])


def test_what_cannot_be_fused_goes_step_by_step_and_is_named():
    class Twice(nn.Module):
        def forward(self, x):
            assert x.dim() == 2
            return 2 * x

    net = nn.Sequential(
        nn.Linear(6, 8),
        snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True),
        Twice(),
        nn.BatchNorm1d(8),
        nn.Linear(8, 3),
        snn.Leaky(beta=0.9, init_hidden=True, spike_grad=surrogate.sigmoid(), output=True),
    ).eval()
    fused = sb.fuse(net)
    x = torch.rand(9, 2, 6) * 4
    assert torch.equal(run(net, x)[0], fused(x)[0])
    assert torch.equal(fused(x)[0], fused(x)[0])  # at rest again
    assert isinstance(fused[1], EachStep)
    assert fused.report["1"] == "Alpha, step by step: no time-first form of Alpha neurons"
    assert fused.report["2"] == "Twice, step by step: unknown layer"
    assert "statistics over time and batch" in fused.report["3"]
    assert fused.report["5"].endswith("its surrogate gradient step by step")


def test_surrogates_are_recognised_by_what_they_compute():
    def leaky(spike_grad):
        return sb.fuse([snn.Leaky(beta=0.5, spike_grad=spike_grad, init_hidden=True)])[0].spike_grad

    assert leaky(surrogate.atan(5.0)) == ArcTan(5.0)
    assert leaky(surrogate.fast_sigmoid(7)) == FastSigmoid(7.0)
    custom = surrogate.spike_rate_escape()
    assert leaky(custom) is custom


def test_a_layer_that_occurs_twice_stays_twice():
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(5, 5), relu, nn.Linear(5, 5), relu)
    x = torch.randn(3, 2, 5)
    assert torch.equal(sb.fuse(net)(x), net(x))
    neuron = snn.Leaky(beta=0.9, init_hidden=True)
    with pytest.raises(ValueError, match="neurons that occur once"):
        sb.fuse([nn.Linear(5, 5), neuron, nn.Linear(5, 5), neuron])


def test_layers_with_a_forward_of_their_own_go_step_by_step():
    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    class Centred(nn.Linear):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0)
    net = nn.Sequential(Centred(6, 4), Residual(nn.Linear(4, 4), nn.Tanh()), encoder, nn.Softmax(dim=0)).eval()
    fused = sb.fuse(net)
    x = torch.randn(5, 3, 6)
    torch.testing.assert_close(fused(x), torch.stack([net(x_t) for x_t in x]))
    assert all(what.endswith("step by step: unknown layer") for what in fused.report.values())
    with pytest.raises(TypeError, match="whose forward says more"):
        sb.fuse(Residual(nn.Linear(4, 4)))


def test_the_last_layer_keeps_its_outputs_where_it_goes_step_by_step():
    net = nn.Sequential(nn.Linear(4, 3), snn.Lapicque(beta=0.9, init_hidden=True, output=True))
    x = torch.rand(6, 2, 4)
    for ours, theirs in zip(sb.fuse(net)(x), run(net, x), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("neuron", [sb.nn.Leaky(0.9, 0.3), sb.nn.Synaptic(0.5, 0.9, 0.3), sb.nn.SRM(threshold=0.2)])
@pytest.mark.parametrize("output", [False, True])
def test_our_neurons_that_keep_their_state_become_one_scan(neuron, output):
    stepwise = copy.deepcopy(neuron)
    stepwise.one_step, stepwise.init_hidden, stepwise.output = True, True, output
    if isinstance(stepwise, sb.nn.Leaky):
        stepwise.beta = nn.Parameter(stepwise._buffers.pop("beta"))
    net = nn.Sequential(sb.nn.BinaryLinear(20, 30), stepwise)
    fused = sb.fuse(net)
    x = (torch.rand(12, 4, 20) < 0.4).float()
    before, after = run(net, x), fused(x)
    for ours, theirs in zip(after if output else [after], before if output else [before], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    assert torch.equal((after[0] if output else after), (before[0] if output else before))
    assert fused.report["1"].endswith("one scan")
    assert (stepwise.one_step, stepwise.init_hidden, stepwise._kept is None) == (True, True, False)
    assert {id(p) for p in net.parameters()} == {id(p) for p in fused.parameters()}


def test_what_goes_step_by_step_inside_takes_whole_sequences():
    """`run`, and with it `predict`, hands it all time steps at once."""
    net = nn.Sequential(nn.Linear(4, 3), snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True, threshold=0.1))
    x = torch.rand(6, 2, 4)
    assert torch.equal(run(sb.fuse(net), x), run(net, x))


def test_bad_networks_are_named():
    with pytest.raises(TypeError, match="whose forward says more than its layers"):
        sb.fuse(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="init_hidden=True where there is no time-first form of RLeaky neurons"):
        sb.fuse([snn.RLeaky(beta=0.9, linear_features=4)])
    with pytest.raises(ValueError, match="T >= 1"):
        EachStep(nn.Identity())(torch.zeros(0, 2, 3))
