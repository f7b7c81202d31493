"""The same networks on other machines, under qemu, and on this one under the sanitizers: equal to the packed ones."""

import boards
import networks
import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.export.c.describe import describe
from snntorch_binary.export.c.fixed import fixed_arithmetic
from snntorch_binary.export.c.numbers import Fixed
from snntorch_binary.export.c.simulate import Simulation

_RULE = sb.Bernoulli()


def _fires(net):
    """Let the neurons of a network spike."""
    for module in net.modules():
        if hasattr(module, "threshold"):
            module.threshold = torch.tensor(0.3)
    return net.eval()


def _dense(members):
    layers = [sb.nn.BinaryLinear(70, 40, weight=_RULE), sb.nn.Leaky(beta=0.9), sb.nn.BinaryLinear(40, 3, weight=_RULE)]
    net = _fires(nn.Sequential(*layers, sb.nn.Leaky(beta=0.8)))
    return sb.pack(sb.Ensemble(net, num_members=members, seed=3)), networks.spikes(8, 3, 70)


def _convolutional():
    norm = nn.BatchNorm2d(6)
    norm.running_mean.uniform_(-0.3, 0.3)
    norm.running_var.uniform_(0.5, 2)
    front = [sb.nn.BinaryConv2d(2, 6, 3, padding=1, scale="channel"), sb.nn.TimeFirst(norm), sb.nn.Leaky(beta=0.9)]
    back = [sb.nn.TimeFirst(nn.MaxPool2d(2)), nn.Flatten(2), sb.nn.BinaryLinear(6 * 9, 4), sb.nn.SRM(threshold=0.2)]
    return sb.pack(_fires(nn.Sequential(*front, *back))), networks.spikes(6, 2, 2, 6, 6)


def _recurrent():
    neurons = sb.nn.Recurrent(sb.nn.Synaptic(alpha=0.5, beta=0.8), sb.nn.BinaryLinear(33, 33))
    net = nn.Sequential(sb.nn.BinaryLinear(20, 33), neurons, sb.nn.BinaryLinear(33, 4))
    return sb.pack(_fires(net)), networks.spikes(8, 2, 20)


NETWORKS = {
    "linear": lambda: _dense(1),
    "ensemble": lambda: _dense(4),
    "convolutional": _convolutional,
    "recurrent": _recurrent,
}


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("board", boards.BOARDS)
def test_equal_on_every_machine(board, network, tmp_path):
    torch.manual_seed(7)
    packed, x = NETWORKS[network]()
    expected = networks.scores_by_step(networks.Case(packed, x, counts=network != "recurrent"))
    assert float(expected[-1].abs().max()) > 0
    run = boards.run(board, packed, x, tmp_path, sample=x)
    assert torch.equal(run.scores.permute(1, 2, 0, 3), expected)
    for example, (label, numbers) in enumerate(run.answers):
        each = expected[-1, :, example].softmax(-1)
        probabilities = each.mean(0)
        entropy = float(torch.special.entr(probabilities).sum())
        inner = float(torch.special.entr(each).sum(-1).mean())
        assert numbers == pytest.approx([*probabilities.tolist(), entropy, max(entropy - inner, 0.0)], abs=1e-5)
        assert label == int(torch.tensor(numbers[: len(probabilities)]).argmax())


@pytest.mark.slow
@pytest.mark.parametrize("network", ["linear", "ensemble", "convolutional"])
@pytest.mark.parametrize("board", ["host with sanitizers", "cortex-m0", "riscv", "s390x"])
def test_fixed_arithmetic_is_the_same_on_every_machine(board, network, tmp_path):
    torch.manual_seed(7)
    packed, x = NETWORKS[network]()
    labels = torch.zeros(x.shape[1], dtype=torch.int64)
    data = {"arithmetic": "fixed", "data": (x, labels), "max_accuracy_loss": 1.0}
    run = boards.run(board, packed, x, tmp_path, sample=x, **data)
    program, flat = describe(packed, x), x.flatten(2)
    point = fixed_arithmetic(program, flat, labels, 1.0).point
    expected = torch.stack([Simulation(program, Fixed(point), k).scores(flat) for k in range(program.members)])
    assert float(expected.max()) > 0
    torch.testing.assert_close(run.scores[:, -1].transpose(0, 1) / 2.0**point, expected, rtol=0, atol=1e-4)
