"""Norse models: `binarize_` and everything after it, with no line of Norse's own changed."""

import pytest

pytest.importorskip("norse.torch", reason="Norse is not installed")

import itertools
import subprocess
import sys

import norse.torch as norse
import torch
from norse.torch.module.regularization import RegularizationCell
from torch import nn

import snntorch_binary as sb
from snntorch_binary.norse import BinaryLConv2d, BinarySynapses, SRMCell
from snntorch_binary.weights import disarm_loss


def small_net():
    return norse.SequentialState(
        nn.Linear(6, 8, bias=False),
        norse.LIFCell(),
        norse.SequentialState(norse.LIFRecurrentCell(8, 10), norse.LSNNRecurrentCell(10, 7)),
        nn.Linear(7, 3, bias=False),
        SRMCell(),
    )


def containers():
    cells = lambda: (nn.Linear(6, 8), norse.LIFRecurrentCell(8, 5))  # noqa: E731
    return {
        "SequentialState": norse.SequentialState(*cells()),
        "nested": norse.SequentialState(norse.SequentialState(*cells()), norse.LIFCell()),
        "Lift": norse.Lift(norse.SequentialState(*cells())),
        "RecurrentSequential": norse.RecurrentSequential(nn.Linear(6, 6), norse.LIFRecurrentCell(6, 6)),
        "sequences": norse.SequentialState(
            norse.Lift(nn.Conv2d(1, 2, 2)), nn.Flatten(2), norse.LSNNRecurrent(8, 5), norse.LI()
        ),
    }


@pytest.mark.parametrize("name", containers())
def test_containers(name):
    net = containers()[name]
    report = sb.binarize_(net, sb.Bernoulli(init_scale=1.0))
    assert len(report.converted) == 3
    assert report.skipped == {}
    x = 50 * torch.rand(15, 4, 1, 3, 3) if name == "sequences" else 5 * torch.rand(15, 4, 6)
    prediction = sb.predict(net, x, num_samples=4, generator=torch.Generator().manual_seed(0))
    assert prediction.samples.shape[:2] == (4, 4)
    assert prediction.mutual_information.max() > 0
    ensemble = sb.Ensemble(net, num_members=4, seed=0)
    assert not any(isinstance(module, sb.nn.BinaryLinear | BinarySynapses) for module in ensemble.modules())
    assert ensemble.predict(x).mutual_information.max() > 0


@pytest.mark.slow
def test_a_model_of_cells_runs_step_by_step_with_its_state():
    net = small_net()
    sb.binarize_(net, sb.Bernoulli(init_scale=1.0))
    x = 5 * torch.rand(20, 4, 6)
    of_cells, of_lifted = (
        sb.predict(model, x, num_samples=3, generator=torch.Generator().manual_seed(3))
        for model in (net, norse.Lift(net))
    )
    assert of_cells.mode_probs.std() > 0
    assert torch.equal(of_cells.mode_probs, of_lifted.mode_probs)
    assert torch.equal(of_cells.samples, of_lifted.samples)
    assert torch.equal(sb.Ensemble(net, 3)(x), sb.Ensemble(norse.Lift(net), 3)(x))

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, state=None):
            return self.net(x, state)

    stepped = sb.predict(Wrapped(), x, num_samples=3, generator=torch.Generator().manual_seed(3), step=True)
    assert torch.equal(stepped.samples, of_cells.samples)


def test_reset_leaves_a_model_without_kept_state_alone():
    net = norse.Lift(small_net())
    sb.binarize_(net, sb.Sign())
    x = 5 * torch.rand(10, 2, 6)
    before = net(x)[0]
    sb.reset(net)
    assert torch.equal(net(x)[0], before)


def test_a_regularised_model_is_copied_and_asked_without_a_trace():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.cell, self.count = nn.Linear(6, 8), norse.LIFCell(), RegularizationCell()

        def forward(self, x):
            state, outputs = None, []
            for x_t in x:
                spikes, state = self.cell(self.fc(x_t), state)
                outputs.append(self.count(spikes, state)[0])
            return torch.stack(outputs)

    net = Net()
    sb.binarize_(net, sb.Bernoulli())
    x = 20 * torch.rand(10, 4, 6)
    counted = net(x).sum()
    assert net.count.state == counted > 0
    sb.predict(net, x)
    sb.Ensemble(net, 2).predict(x)
    assert net.count.state == counted
    net.count.state.backward()
    assert net.fc.latent.grad.any()


def test_summary_prior_and_kl():
    net = norse.Lift(small_net())
    sb.binarize_(net, sb.Bernoulli())
    result = sb.summary(net)
    assert result.binary_weights == 6 * 8 + 8 * 10 + 10 * 10 + 10 * 7 + 7 * 7 + 7 * 3
    assert result.real_parameters == 0
    existing = result.binary_weights - 10 - 7  # no autapses
    bit = sb.kl_divergence(sb.nn.BinaryLinear(1, 1, weight=sb.Bernoulli())).item()
    torch.testing.assert_close(sb.kl_divergence(net).item(), existing * bit)
    sb.set_prior_(net, {"*.recurrent_weights": 0.3})
    assert net.lifted_module[2][0].synapses["recurrent_weights"].prior_latent < 0


@pytest.mark.slow
def test_a_plain_norse_loop_trains_every_binary_weight():
    torch.manual_seed(1)
    net = norse.Lift(norse.SequentialState(nn.Linear(12, 24), norse.LIFRecurrentCell(24, 24), nn.Linear(24, 2)))
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5), scale=1.0)
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.3, rho=1e-4, betas=(0.9, 0.999))
    labels = torch.arange(64) % 2
    rates = torch.stack((torch.cat((torch.full((6,), 0.6), torch.full((6,), 0.2))),) * 2)
    rates[1] = rates[1].flip(0)
    x = (torch.rand(20, 64, 12) < rates[labels]).float()
    latents = [parameter.detach().clone() for parameter in net.parameters()]
    losses, draws = [], []
    for _ in range(25):
        optimizer.zero_grad()
        draws.append(net.lifted_module[1].recurrent_weights.clone())
        loss = nn.functional.cross_entropy(net(x)[0].mean(0), labels)
        loss.backward()
        assert torch.equal(net.lifted_module[1].recurrent_weights, draws[-1])
        optimizer.step()
        losses.append(loss.item())
    assert not torch.equal(draws[0], draws[1])
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    for parameter, before in zip(net.parameters(), latents, strict=True):
        assert not torch.equal(parameter, before)
    prediction = sb.predict(net, x, readout=lambda output: output[0].mean(0))
    assert (prediction.labels == labels).float().mean() > 0.9


@pytest.mark.slow
def test_the_unbiased_estimator():
    """Its gradient agrees with that of every network of a tiny cell, enumerated."""
    cell = norse.LIFRecurrentCell(2, 2)
    sb.binarize_(cell, sb.Bernoulli(estimator="disarm", init_scale=0.3), scale=4.0)
    x = torch.tensor([[1.0, 1.0]]).expand(6, 1, 2)
    layers = list(cell.synapses.values())
    latents = [layer.latent for layer in layers]

    def loss():
        outputs, _ = norse.Lift(cell)(x)
        return (outputs.flatten() * torch.linspace(1, 2, 12)).sum()

    expected = [torch.zeros(2, 2), torch.zeros(2, 2)]
    real = sb.freeze(cell)
    present = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]  # no autapses
    with torch.no_grad():
        for signs in itertools.product((-1.0, 1.0), repeat=len(present)):
            weights = [torch.zeros(2, 2), torch.zeros(2, 2)]
            probability = 1.0
            for (layer, row, column), sign in zip(present, signs, strict=True):
                weights[layer][row, column] = sign
                probability *= torch.sigmoid(2 * sign * latents[layer][row, column])
            real.input_weights.copy_(4 * weights[0])
            real.recurrent_weights.copy_(4 * weights[1])
            value = (norse.Lift(real)(x)[0].flatten() * torch.linspace(1, 2, 12)).sum()
            for layer, row, column in present:
                score = weights[layer][row, column] - torch.tanh(latents[layer][row, column])
                expected[layer][row, column] += probability * value * score
    gradients = []
    for _ in range(500):
        sb.resample_(cell)
        cell.zero_grad()
        disarm_loss(cell, loss).backward()
        gradients.append(torch.stack([latent.grad for latent in latents]))
    gradients = torch.stack(gradients)
    error = gradients.std(0) / len(gradients) ** 0.5
    where = tuple(torch.tensor(present).T)
    exact = torch.stack(expected)[where]
    assert ((gradients.mean(0)[where] - exact).abs() < 4 * error[where]).all()
    assert (exact.abs() > 8 * error[where]).any()


def test_convolution_over_time():
    layer = norse.LConv2d(2, 3, 3, padding=1)
    before = layer.weight.detach().clone()
    x = torch.rand(5, 2, 2, 6, 6).round()
    assert sb.binarize_(nn.ModuleList([layer]), sb.Sign()).converted == ("0",)
    assert type(layer) is BinaryLConv2d
    assert torch.equal(layer.weight, before.sign() * 18**-0.5)
    frozen = sb.freeze(layer)
    assert type(frozen) is norse.LConv2d
    assert torch.equal(layer(x), frozen(x))
    per_step = torch.stack([nn.functional.conv2d(x_t, before.sign()[..., 0], padding=1) for x_t in x])
    torch.testing.assert_close(layer(x), per_step * 18**-0.5)
    assert type(sb.unbinarize_(layer)) is norse.LConv2d


@pytest.mark.slow
def test_no_import_of_ours_is_needed():
    script = """
import torch, snntorch_binary as sb, sys
assert "norse" not in sys.modules
import norse.torch as norse
assert "snntorch_binary.norse" not in sys.modules
net = norse.Lift(norse.SequentialState(torch.nn.Linear(4, 4), norse.LIFRecurrentCell(4, 3)))
assert len(sb.binarize_(net, sb.Bernoulli()).converted) == 3
assert sb.predict(net, torch.rand(6, 2, 4)).probs.shape == (2, 3)
"""
    allowed = "ignore:`torch.jit.script` is deprecated"
    run = [sys.executable, "-W", "error", "-W", allowed, "-c", script]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_layers_inside_lift_are_packed():
    torch.manual_seed(0)
    net = norse.SequentialState(norse.Lift(nn.Linear(6, 8)), norse.LIF(), norse.Lift(nn.Linear(8, 3)), norse.LIF())
    sb.binarize_(net, sb.Sign(), scale=4.0)
    packed = sb.pack(net.eval(), (torch.rand(5, 2, 6) < 0.5).float())
    assert len(packed.report) == 2
    assert all(what.startswith("1 bit a weight") for what in packed.report.values())
    x = (torch.rand(9, 3, 6) < 0.5).float()
    assert torch.equal(packed(x)[0], net(x)[0])
    assert net(x)[0].any()
