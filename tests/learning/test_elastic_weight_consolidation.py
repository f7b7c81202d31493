import pytest
import torch
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.learning.elastic_weight_consolidation import ElasticWeightConsolidation


def exact_fisher(net, x):
    """The diagonal of the Fisher information of softmax regression: E_x[p_c (1 - p_c) x_j²]."""
    p = net(x).softmax(-1).detach()
    return torch.einsum("nc,nj->cj", p * (1 - p), x.square()) / len(x)


@pytest.mark.slow
def test_fisher_information_of_softmax_regression():
    """Gradients of +x and -x cancel in a batch; squared one by one they do not."""
    net = nn.Linear(3, 4)
    x = torch.tensor([[1.0, 0.5, 0.0], [-1.0, -0.5, 0.0], [2.0, 0.0, 0.0]])
    consolidation = ElasticWeightConsolidation(net, 1.0)
    consolidation.consolidate(net, x.repeat(2_000, 1).split(1), torch.Generator().manual_seed(0))
    exact = exact_fisher(net, x)
    assert exact[:, :2].min() > 0.01
    torch.testing.assert_close(consolidation.fisher["weight"], exact, rtol=0.1, atol=0)


def test_labels_are_drawn_from_the_answer_of_each_example():
    net = nn.Linear(2, 3)
    x = torch.randn(20, 2)
    consolidation = ElasticWeightConsolidation(net, 1.0)
    consolidation.consolidate(net, x.split(1), torch.Generator().manual_seed(1))
    generator, expected = torch.Generator().manual_seed(1), torch.zeros(3, 2)
    for one in x:
        p = net(one).softmax(-1).detach()
        label = torch.multinomial(p, 1, generator=generator)
        expected += torch.outer(F.one_hot(label[0], 3) - p, one).square() / 20
    torch.testing.assert_close(consolidation.fisher["weight"], expected)


def test_the_penalty_holds_what_the_first_task_depends_on():
    """Input 1 is silent in the first task, so its weights move as if there were no penalty."""
    net = nn.Linear(2, 2, bias=False)
    start = net.weight.detach().clone()
    first, second = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    consolidation = ElasticWeightConsolidation(net, strength=300.0)
    assert consolidation.penalty().item() == 0
    consolidation.consolidate(net, first.split(1))
    optimizer = torch.optim.SGD(net.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        (F.cross_entropy(net(second), torch.tensor([0, 1])) + consolidation.penalty()).backward()
        optimizer.step()
    moved = (net.weight.detach() - start).abs()
    assert moved[:, 0].max() < moved[:, 1].min() / 10
    assert consolidation.penalty() > 0  # the anchor did not move along


def test_a_second_task_adds_its_information_around_the_new_parameters():
    net = nn.Linear(2, 2)
    x = torch.randn(6, 2)
    together, alone = ElasticWeightConsolidation(net, 3.0), ElasticWeightConsolidation(net, 3.0)
    together.consolidate(net, x[:3].split(1))
    before = together.fisher["weight"].clone()
    with torch.no_grad():
        net.weight += 1
    alone.consolidate(net, x[3:].split(1), torch.Generator().manual_seed(0))
    together.consolidate(net, x[3:].split(1), torch.Generator().manual_seed(0))
    assert together.penalty().item() == 0
    torch.testing.assert_close(together.fisher["weight"], before + alone.fisher["weight"])
    with torch.no_grad():
        net.weight += 0.5
    expected = 3.0 / 2 * 0.25 * together.fisher["weight"].sum()
    torch.testing.assert_close(together.penalty().detach(), expected)


def test_a_binary_time_first_network():
    """Straight-through gradients reach latents within [-1, 1]; those beyond cannot flip and are free."""
    net = nn.Sequential(sb.nn.BinaryLinear(6, 4, weight=sb.Sign()), sb.nn.Leaky(beta=0.9), nn.Linear(4, 3))
    with torch.no_grad():
        net[0].latent.uniform_(-0.5, 0.5)
        net[0].latent[0] = 2.0
    consolidation = ElasticWeightConsolidation(net, 1.0)
    consolidation.consolidate(lambda x: net(x).mean(0), (torch.rand(5, 20, 6) > 0.3).float().split(1, dim=1))
    fisher = consolidation.fisher["0.weight"]
    assert (fisher[0] == 0).all()
    assert (fisher[1:] > 0).all()


def test_parameters_that_are_not_learned_are_left_alone():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    consolidation = ElasticWeightConsolidation(net, 1.0)
    consolidation.consolidate(net, torch.rand(2, 2).split(1))
    assert set(consolidation.fisher) == {"1.weight", "1.bias"}


def test_state():
    net = nn.Linear(2, 2)
    consolidation = ElasticWeightConsolidation(net, 2.0)
    consolidation.consolidate(net, torch.rand(4, 2).split(1))
    state = consolidation.state_dict()
    with torch.no_grad():
        net.weight += 1
    other = ElasticWeightConsolidation(net, 2.0)
    other.load_state_dict(state)
    assert other.penalty().item() == consolidation.penalty().item() > 0
    with pytest.raises(ValueError, match="`state` to be that of a network with the same parameters"):
        ElasticWeightConsolidation(nn.Linear(3, 2), 2.0).load_state_dict(state)


def test_bad_input():
    net = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="`strength` to be a float of at least 0"):
        ElasticWeightConsolidation(net, -1.0)
    with pytest.raises(ValueError, match="`net` to be a network with parameters to learn"):
        ElasticWeightConsolidation(nn.ReLU(), 1.0)
    consolidation = ElasticWeightConsolidation(net, 1.0)
    with pytest.raises(ValueError, match="`examples` to be at least one example"):
        consolidation.consolidate(net, [])
    with pytest.raises(ValueError, match=r"`scores` to be a function that returns \[1, C\] .* got \(3, 2\)"):
        consolidation.consolidate(net, [torch.rand(3, 2)])
    assert float(consolidation.fisher["weight"].sum()) == 0
