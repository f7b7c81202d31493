"""Products of experts: against enumeration, factors counted once, and what a server does with every kind of layer."""

import itertools

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.federated import Average, OneBit, OneBitChange, ProductOfExperts, Task, product_of_experts
from snntorch_binary.federated.aggregation import shared_state
from snntorch_binary.optim import BayesBiSNN


def task(round=1, accepted=0, client=0):
    return Task(round=round, seed=7, client=client, num_clients=2, accepted=accepted)


def bayes_net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(sb.nn.BinaryLinear(3, 2, weight=sb.Bernoulli(init_scale=0.7)), torch.nn.Linear(2, 2))


def log_q(latent, w):
    return (latent * w - torch.logaddexp(latent, -latent)).sum(-1)


def test_it_is_the_product_of_the_distributions():
    """The normalised product q ∏ (q_k / q) over all 2^n networks is the Bernoulli of the combined parameter."""
    prior, *clients = torch.randn(4, 5, dtype=torch.float64)
    networks = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=5)), dtype=torch.float64)
    logs = log_q(prior, networks) + sum(log_q(each, networks) - log_q(prior, networks) for each in clients)
    wanted = torch.softmax(logs, 0)
    found = log_q(product_of_experts(prior, clients), networks).exp()
    torch.testing.assert_close(found, wanted)


@pytest.mark.slow
def test_exact_likelihoods_give_the_exact_posterior_in_any_number_of_visits():
    """Where each client's likelihood is a Bernoulli factor, visiting again changes nothing: data count once."""
    net = bayes_net()
    aggregation = ProductOfExperts()
    layer = net[0]
    with torch.no_grad():
        layer.latent.zero_()
    evidence = [torch.randn(2, 3), torch.randn(2, 3)]
    memories, accepted = [{}, {}], [0, 0]
    for round in range(1, 7):
        for client in (0, 1) if round % 2 else (1,):  # the second one takes part twice as often
            given = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            asked = task(round, accepted[client], client)
            aggregation.prepare(net, memories[client], asked)
            learned = bayes_net()
            learned.load_state_dict(net.state_dict())
            with torch.no_grad():  # the minimum of E[-ln t] + KL(q || cavity) is the cavity times t
                learned[0].latent.copy_(net[0].prior_latent + evidence[client])
            sent = aggregation.upload(learned, given, memories[client], asked)
            net.load_state_dict(given)
            aggregation.combine(net, [sent], [1.0], seed=0)
            accepted[client] = round
    torch.testing.assert_close(net[0].latent.detach(), evidence[0] + evidence[1])
    assert net[0].prior_latent.shape == ()


def test_a_change_that_the_server_did_not_take_is_no_part_of_the_factor():
    net, memory, aggregation = bayes_net(), {}, ProductOfExperts(damping=0.5)
    start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    aggregation.prepare(net, memory, task(1))
    with torch.no_grad():
        net[0].latent += 1.0
    aggregation.upload(net, start, memory, task(1))
    kept = {name: tensor.clone() for name, tensor in memory.items()}
    aggregation.prepare(net, dict(kept), task(2, accepted=1))
    torch.testing.assert_close(net[0].prior_latent, net[0].latent.detach() - 0.5)
    aggregation.prepare(net, dict(kept), task(2, accepted=0))
    torch.testing.assert_close(net[0].prior_latent, net[0].latent.detach())


@pytest.mark.filterwarnings("ignore:In the first 30 steps the pull of the KL term was all there is")
def test_the_optimizer_learns_with_the_cavity_for_its_prior():
    """The core's BayesBiSNN, unchanged: with a gradient of zero it goes to the cavity, not to the layer's own prior."""
    net, memory = bayes_net(), {}
    ProductOfExperts().prepare(net, memory, task())
    memory.update({"factor.0": torch.full((2, 3), 0.25), "round": torch.tensor(9)})
    ProductOfExperts().prepare(net, memory, task())
    start = net[0].latent.detach().clone()
    optimizer = BayesBiSNN(net.parameters(), lr=0.1, rho=1.0, betas=None)
    for _ in range(200):
        net[0].latent.grad = torch.zeros_like(net[0].latent)
        optimizer.step()
    torch.testing.assert_close(net[0].latent.detach(), start - 0.25)


@pytest.mark.parametrize("aggregation", [Average(), OneBit(), OneBitChange()])
def test_elsewhere_the_global_posterior_is_the_prior(aggregation):
    net = bayes_net()
    aggregation.prepare(net, {}, task())
    assert sb.kl_divergence(net).item() == pytest.approx(0.0, abs=1e-4)
    assert "0.prior_latent" not in aggregation.upload(net, dict(net.state_dict()), {}, task())


def test_sums_and_means_differ_as_they_should():
    net = bayes_net()
    before = net[0].latent.detach().clone()
    uploads = []
    for change in (0.2, 0.4):
        sent = shared_state(net)
        sent["0.weight"] = before + change
        sent["1.bias"] = torch.full((2,), change)
        uploads.append(sent)
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    Average().combine(net, uploads, [1, 3], seed=0)
    torch.testing.assert_close(net[0].latent.detach(), before + 0.35)
    net.load_state_dict(state)
    ProductOfExperts().combine(net, uploads, [1, 3], seed=0)
    torch.testing.assert_close(net[0].latent.detach(), before + 0.6)
    torch.testing.assert_close(net[1].bias.detach(), torch.full((2,), 0.35))
    net.load_state_dict(state)
    ProductOfExperts(limit=0.75).combine(net, uploads, [1, 3], seed=0)
    assert net[0].latent.abs().max() <= 0.75


def test_what_is_the_servers_own_is_not_sent():
    names = shared_state(bayes_net()).keys()
    assert names == {"0.weight", "0.bias", "1.weight", "1.bias"}


@pytest.mark.slow
@pytest.mark.parametrize("rule", [sb.Bernoulli(init_scale=0.4), sb.Sign()])
def test_one_bit_uploads_move_the_mean_without_bias(rule):
    torch.manual_seed(0)
    net = sb.nn.BinaryLinear(3, 2, weight=rule, scale="channel")
    bernoulli = isinstance(rule, sb.Bernoulli)
    with torch.no_grad():
        net.latent.uniform_(-0.5, 0.5)
    theirs = torch.rand(2, 3) * 0.6 - 0.3
    state, aggregation, total = {k: v.clone() for k, v in net.state_dict().items()}, OneBit(step=0.5), 0.0
    to_mean = torch.tanh if bernoulli else (lambda latent: latent)
    rounds = 1200
    for seed in range(rounds):
        with torch.no_grad():
            net.latent.copy_(theirs)
            net.gain.fill_(2.0)
        sent = aggregation.upload(net, state, {}, Task(1, seed, 0, 1, 0))
        net.load_state_dict(state)
        aggregation.combine(net, [sent], [5], seed)
        assert net.gain.tolist() == [2.0, 2.0]
        total = total + to_mean(net.latent.detach()).double()
    assert sent["weight"].dtype == torch.uint8
    assert sent["weight"].numel() == 1
    wanted = 0.5 * to_mean(state["weight"]) + 0.5 * to_mean(theirs)
    torch.testing.assert_close(total / rounds, wanted.double(), atol=0.05, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [sb.Bernoulli(init_scale=0.4), sb.Sign()])
def test_uploads_of_changes_add_them_to_the_mean(rule):
    torch.manual_seed(0)
    net = sb.nn.BinaryLinear(3, 2, weight=rule, scale="channel")
    to_mean = torch.tanh if isinstance(rule, sb.Bernoulli) else (lambda latent: latent)
    with torch.no_grad():
        net.latent.uniform_(-0.5, 0.5)
    state, aggregation, total = {k: v.clone() for k, v in net.state_dict().items()}, OneBitChange(width=4.0), 0.0
    theirs = state["weight"] + torch.tensor([[0.01, -0.02, 0.0], [0.03, -0.01, 0.02]])
    rounds = 2000
    for seed in range(rounds):
        with torch.no_grad():
            net.latent.copy_(theirs)
        sent = aggregation.upload(net, state, {}, Task(1, seed, 0, 1, 0))
        net.load_state_dict(state)
        aggregation.combine(net, [sent], [5], seed)
        total = total + to_mean(net.latent.detach()).double()
    assert {name: (tensor.dtype, tensor.numel()) for name, tensor in sent.items()} == {
        name: (tensor.dtype, tensor.numel()) for name, tensor in aggregation.like(net).items()
    }
    assert (sent["weight"].dtype, sent["weight"].numel(), sent["weight.scale"].numel()) == (torch.uint8, 1, 1)
    torch.testing.assert_close(total / rounds, to_mean(theirs).double(), atol=3e-3, rtol=0)


def test_sign_networks_are_votes():
    net = sb.nn.BinaryLinear(2, 1, weight=sb.Sign(), bias=False)
    with torch.no_grad():
        net.latent.copy_(torch.tensor([[0.2, -0.4]]))
    aggregation = OneBit(step=0.5, bits="sign")
    votes = [torch.tensor([[0.01, -0.9]]), torch.tensor([[0.5, 0.1]]), torch.tensor([[-0.1, 0.1]])]
    uploads = []
    state = {k: v.clone() for k, v in net.state_dict().items()}
    for vote in votes:
        with torch.no_grad():
            net.latent.copy_(vote)
        uploads.append(aggregation.upload(net, state, {}, task()))
    net.load_state_dict(state)
    aggregation.combine(net, uploads, None, 0)
    torch.testing.assert_close(net.latent.detach(), torch.tensor([[0.1 + 0.5 / 3, -0.2 + 0.5 / 3]]))


def test_a_network_without_such_layers_is_refused():
    net = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="`net`"):
        ProductOfExperts().like(net)
    with pytest.raises(ValueError, match="`net`"):
        OneBit().like(net)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ProductOfExperts(damping=0.0),
        lambda: ProductOfExperts(limit=31.0),
        lambda: OneBit(step=1.1),
        lambda: OneBit(bits="two"),
        lambda: OneBitChange(width=0.0),
        lambda: OneBitChange(limit=0.0),
    ],
)
def test_arguments_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="Expected argument"):
        make()
