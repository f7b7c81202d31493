"""Networks of Norse, SpikingJelly and sinabs through the same recording."""

import pytest
import torch
from torch import nn

import snntorch_binary as sb


def fused(net, x, **options):
    """Return a network's fused form, which has been compared with it, and its answer."""
    network = sb.fuse(net, x, **options)
    assert "equal bit for bit" in network.proof
    return network, network(x)


@pytest.mark.filterwarnings("ignore")
def test_norse():
    norse = pytest.importorskip("norse.torch")

    class Cells(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(12, 8), norse.LIFCell()
            self.out, self.li = nn.Linear(8, 3), norse.LICell()

        def forward(self, x):
            a = b = None
            rec = []
            for t in range(x.shape[0]):
                z, a = self.lif(5 * self.fc(x[t]), a)
                v, b = self.li(self.out(z), b)
                rec.append(v)
            return torch.stack(rec)

    class Container(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = norse.SequentialState(nn.Linear(12, 8), norse.LIFCell(), nn.Linear(8, 3), norse.LICell())

        def forward(self, x):
            state, rec = None, []
            for x_t in x:
                y, state = self.net(5 * x_t, state)
                rec.append(y)
            return torch.stack(rec).max(0)[0]

    x = torch.rand(5, 3, 12)
    for kind in (Cells, Container):
        net = kind()
        network, answer = fused(net, x)
        assert torch.equal(answer, net(x))
        assert sum("all steps at once" in what for what in network.report.values()) == 2
    steps = norse.SequentialState(nn.Linear(12, 8), norse.LIFCell(), nn.Linear(8, 3), norse.LICell())
    _, answer = fused(steps, x)
    state, rec = None, []
    for x_t in x:
        y, state = steps(x_t, state)
        rec.append(y)
    assert torch.equal(answer, torch.stack(rec))


@pytest.mark.filterwarnings("ignore")
def test_spikingjelly():
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(
                layer.Flatten(), layer.Linear(12, 8), neuron.LIFNode(), layer.Linear(8, 3), neuron.IFNode()
            )

        def forward(self, x):
            functional.reset_net(self)
            total = 0.0
            for _ in range(4):
                total += self.net(4 * x)
            return total / 4

    class AllSteps(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(
                layer.Linear(12, 8), neuron.ParametricLIFNode(), layer.Linear(8, 3), neuron.IFNode()
            )
            functional.set_step_mode(self, "m")

        def forward(self, x):
            functional.reset_net(self)
            return self.net((4 * x).unsqueeze(0).repeat(4, 1, 1)).mean(0)

    x = torch.rand(3, 12)
    for kind in (Loop, AllSteps):
        net = kind()
        _, answer = fused(net, x)
        assert torch.equal(answer, net(x))
    one = nn.Sequential(layer.Linear(12, 8), neuron.LIFNode(v_reset=None), layer.Linear(8, 3), neuron.LIFNode())
    network, _ = fused(one, torch.rand(5, 3, 12), step=True)
    assert network.report["2"] == "Linear, all steps at once"


@pytest.mark.filterwarnings("ignore")
def test_sinabs():
    """Its layers take whole sequences, batch first, and keep their state: they stay as they are inside the graph."""
    layers = pytest.importorskip("sinabs.layers")
    net = nn.Sequential(nn.Linear(12, 8), layers.LIF(tau_mem=10.0, norm_input=False), nn.Linear(8, 3), layers.IAF())
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(4, 10, 12) > 0.5).float()

    def answer(model):
        for module in model.modules():
            if isinstance(module, layers.StatefulLayer):
                module.reset_states()
        return model.eval()(x)

    expected = answer(net)
    assert expected.any()
    for network in (sb.fuse(net, x), sb.pack(net, x)):
        assert torch.equal(answer(network), expected)
