"""Operations of torch as people write them between layers: fused and packed they give what the network does."""

import sys

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb

OPERATIONS = {
    "F.relu": lambda s: F.relu(s),
    "F.relu, into its argument": lambda s: F.relu(s.clone(), inplace=True),
    "torch.relu": torch.relu,
    "s.relu()": lambda s: s.relu(),
    "s ** 2": lambda s: s**2,
    "s.pow(2)": lambda s: s.pow(2),
    "torch.pow(s, 2)": lambda s: torch.pow(s, 2),
    "torch.pow(2.0, s)": lambda s: torch.pow(2.0, s),
    "2 ** s": lambda s: 2**s,
    "s // 0.5": lambda s: s // 0.5,
    "s % 0.5": lambda s: s % 0.5,
    "1 - s": lambda s: 1 - s,
    "1 / (1 + s * s)": lambda s: 1 / (1 + s * s),
    "abs(s)": abs,
    "F.softmax": lambda s: F.softmax(s, dim=1),
    "F.softmax of float64": lambda s: F.softmax(s, 1, dtype=torch.float64).float(),
    "F.log_softmax": lambda s: F.log_softmax(s, dim=-1),
    "torch.softmax": lambda s: torch.softmax(s, dim=1),
    "s.softmax": lambda s: s.softmax(1),
    "F.sigmoid": lambda s: F.sigmoid(s),
    "F.tanh": lambda s: F.tanh(s),
    "F.silu": lambda s: F.silu(s),
    "F.leaky_relu": lambda s: F.leaky_relu(s, 0.1),
    "F.layer_norm": lambda s: F.layer_norm(s, (4,)),
    "s @ M": lambda s: s @ torch.eye(4),
    "F.linear": lambda s: F.linear(s, torch.eye(4)),
    "s.index_select": lambda s: s.index_select(1, torch.tensor([1, 0, 3, 2])),
    "s + s.new_zeros": lambda s: s + s.new_zeros(s.shape),
    "s.view_as": lambda s: s.view_as(s),
    "torch.where": lambda s: torch.where(s > 0, s, 0.0),
    "s - s.mean": lambda s: s - s.mean(1, keepdim=True),
    "torch.einsum": lambda s: torch.einsum("bi,bj->bij", s, s).sum(2),
    "torch.stack": lambda s: torch.stack([s, s]).mean(0),
    "F.normalize": lambda s: F.normalize(s, p=2, dim=1),
    "s.max(1, keepdim=True).values": lambda s: s - s.max(1, keepdim=True).values,
    "s.sort(1).values": lambda s: s.sort(1).values,
    "torch.topk": lambda s: torch.topk(s, 4, dim=1).values,
    "s.median(1)": lambda s: s - s.median(1, keepdim=True).values,
    "F.pad": lambda s: F.pad(s, (0, 1))[:, 1:],
}


class Net(nn.Module):
    def __init__(self, operation):
        super().__init__()
        self.fc, self.lif, self.fc2 = nn.Linear(6, 4), snn.Leaky(beta=0.9, threshold=0.2), nn.Linear(4, 2)
        self.operation = operation

    def forward(self, x):
        mem, rec = self.lif.init_leaky(), []
        for x_t in x:
            spk, mem = self.lif(self.operation(self.fc(x_t)), mem)
            rec.append(self.fc2(self.operation(spk)))
        return torch.stack(rec)


@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_between_layers(operation, make):
    torch.manual_seed(0)
    net = Net(operation)
    sb.binarize_(net, sb.Sign(), lambda layer, name: name == "fc")  # the other sees what may be no spikes
    x = (torch.rand(5, 3, 6, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    made = make(net.eval(), x)
    torch.testing.assert_close(made(x), net(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [sb.fuse, sb.pack])
def test_neurons_that_are_given_things_by_name(make):
    class ByName(Net):
        def forward(self, x):
            mem, rec = self.lif.init_leaky(), []
            for x_t in x:
                spk, mem = self.lif(input_=self.fc(x_t), mem=mem)
                rec.append(spk)
            return torch.stack(rec)

    torch.manual_seed(0)
    net = ByName(None)
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(5, 3, 6, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    made = make(net.eval(), x)
    assert torch.equal(made(x), net(x))
    assert float(net(x).detach().sum()) > 0


def test_a_view_of_what_a_packed_convolution_gives():
    """Its channels are last in memory, which neurons that are not packed with it keep."""
    torch.manual_seed(0)

    class Convolutional(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.lif = nn.Conv2d(1, 4, 3), snn.Alpha(alpha=0.9, beta=0.8, threshold=0.1, init_hidden=True)
            self.fc = nn.Linear(16, 3)

        def forward(self, x):
            self.lif.reset_mem()
            return torch.stack([self.fc(self.lif(F.max_pool2d(self.conv(x_t), 2)).view(len(x_t), -1)) for x_t in x])

    net = Convolutional()
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(5, 3, 1, 6, 6) < 0.3).float()
    torch.testing.assert_close(sb.pack(net.eval(), x)(x), net(x))


def test_what_cannot_be_followed_is_one_sentence(monkeypatch):
    def fails(*args, **kwargs):
        raise KeyError("nobody has thought of this")

    monkeypatch.setattr(sys.modules["snntorch_binary.fuse"], "build", fails)
    x = torch.ones(3, 2, 6)
    with pytest.raises(ValueError, match=r"does not fold over time: to follow it ends in a KeyError \('nobody"):
        sb.fuse(Net(torch.relu), x)


def test_a_mistake_of_the_networks_own_is_said_in_its_words():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        sb.fuse(Net(torch.relu), torch.ones(3, 2, 5))
