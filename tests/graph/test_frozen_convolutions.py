"""A fused network whose binary convolutions became torch's: frozen, drawn, passed by a training, or real again."""

import copy

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.graph import running

KINDS = {
    f"{kind.__name__}": kind
    for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
}


class Net(nn.Module):
    def __init__(self, kind, size):
        super().__init__()
        self.conv1, self.lif1 = kind(1, 4, 3, padding=1), snn.Leaky(beta=0.9, threshold=0.2)
        self.conv2, self.lif2 = kind(4, 2, 3, padding=1), snn.Leaky(beta=0.9, threshold=0.2)
        self.fc = nn.Linear(2 * size, 3)

    def forward(self, x):
        mem1, mem2, found = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for x_t in x:
            spikes, mem1 = self.lif1(self.conv1(x_t), mem1)
            spikes, mem2 = self.lif2(self.conv2(spikes), mem2)
            found.append(self.fc(spikes.flatten(1)))
        return torch.stack(found)


def fused(kind, rule):
    torch.manual_seed(0)
    kind = KINDS[kind]
    sizes = [4] * int(kind.__name__[-2])
    net, x = Net(kind, torch.Size(sizes).numel()), (torch.rand(6, 5, 1, *sizes) < 0.4).float()
    sb.binarize_(net, rule)
    return net.eval(), sb.fuse(net, x[:4, :2]).eval(), x


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_network_that_loops(kind):
    net, graph, x = fused(kind, sb.Bernoulli())
    with torch.no_grad():
        members = sb.Ensemble(graph, num_members=2, seed=3)
        assert torch.equal(members(x), sb.Ensemble(net, num_members=2, seed=3)(x))
        frozen = sb.freeze(graph)
        assert type(frozen.conv1) is KINDS[kind]
        torch.testing.assert_close(frozen(x), graph(x))
        assert torch.equal(frozen(x), sb.freeze(net)(x))
        assert torch.equal(copy.deepcopy(frozen)(x), frozen(x))
        torch.testing.assert_close(sb.pack(members, x)(x), members(x))
        sb.unbinarize_(net)
        assert torch.equal(graph(x), net(x))
        sb.binarize_(net, sb.Sign())
        assert torch.equal(graph(x), net(x))


def test_the_graph_is_of_the_layers_that_stand_there():
    _, graph, x = fused("Conv2d", sb.Sign())
    assert not any(node.target is running.as_batch for node in _convolution(graph).all_input_nodes)
    frozen = sb.freeze(graph)
    assert [node.target for node in _convolution(frozen).all_input_nodes] == [running.as_batch]
    assert frozen.graph is frozen.graph
    with torch.no_grad():
        assert torch.equal(frozen.graph_module()(x), frozen(x))


def _convolution(graph):
    return next(node for node in graph.graph.nodes if node.target == "conv2")


def test_networks_that_a_training_passed_answer_in_long_sequences_too():
    torch.manual_seed(0)
    net, graph, x = fused("Conv2d", sb.Bernoulli())
    optimizer = sb.optim.BayesBiSNN(graph.parameters())
    trajectory = sb.Trajectory(graph, optimizer, num_members=2)
    for _ in range(6):
        optimizer.zero_grad()
        graph.train()(x).sum().backward()
        optimizer.step()
    long = x.repeat(40, 4, 1, 1, 1)
    with torch.no_grad():
        for member in trajectory.networks().values():
            twin = sb.freeze(net)
            twin.load_state_dict(member.state_dict())
            assert torch.equal(member(long), twin(long))


def test_gradients_of_what_is_real_again():
    net, graph, x = fused("Conv2d", sb.Sign())
    sb.unbinarize_(net)
    for forward in (graph, net):
        forward(x).square().sum().backward()
        if forward is graph:
            found = [parameter.grad.clone() for parameter in net.parameters()]
            net.zero_grad()
    for one, parameter in zip(found, net.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-4, atol=1e-5)
