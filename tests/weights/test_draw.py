"""The draw in force: one network over T, and a new one exactly when the latent has changed."""

import copy
import gc
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import snntorch_binary as sb
from snntorch_binary.weights.registry import announce_

RULES = [sb.Bernoulli(init_scale=0.5), sb.Bernoulli(init_scale=0.5, estimator="gumbel", tau=0.7)]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.estimator)


def make(rule):
    """20-30-4: with 720 weights of P(+1) near ½, two draws are never equal by chance."""
    return nn.Sequential(sb.nn.BinaryLinear(20, 30, weight=rule), nn.Tanh(), sb.nn.BinaryLinear(30, 4, weight=rule))


def weights(net):
    return torch.cat([layer.weight.detach().flatten() for layer in (net[0], net[2])]).clone()


def same(net, before):
    return torch.equal(weights(net), before)


def train_once(net):
    net(torch.randn(8, 20)).square().mean().backward()


@each_rule
def test_held_while_the_latent_stays(rule):
    net, x = make(rule), torch.randn(8, 20)
    before, counters = weights(net), [layer.draw.counter for layer in (net[0], net[2])]
    held = net[0].in_force()
    for _ in range(10):  # T calls of one sequence
        net(x).sum().backward()
    net.zero_grad()
    net.eval()
    net(x)
    net.train()
    with torch.no_grad():
        net(x)
    with torch.inference_mode():
        net(x)
    net.requires_grad_(False)
    net(x)
    net.requires_grad_(True)
    copy.deepcopy(net)
    net.state_dict()
    net.to(torch.float32)
    assert same(net, before)
    assert counters == [layer.draw.counter for layer in (net[0], net[2])]
    assert torch.equal(held, net[0].in_force())


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-6),
    "sgd-foreach": lambda p: torch.optim.SGD(p, lr=1e-6, foreach=True),
    "sgd-fused": lambda p: torch.optim.SGD(p, lr=1e-6, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-6),
    "adam-fused": lambda p: torch.optim.Adam(p, lr=1e-6, fused=True),
    "bayes-bisnn": lambda p: sb.optim.BayesBiSNN(p, lr=1e-6, rho=0.0, betas=None),
}


@each_rule
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_new_draw_after_an_optimizer_step(rule, name):
    net = make(rule)
    optimizer = OPTIMIZERS[name](net.parameters())
    for step in range(3):
        before = weights(net)
        train_once(net)
        assert same(net, before)
        optimizer.step()
        assert not same(net, before)
        optimizer.zero_grad()
        assert [layer.draw.counter for layer in (net[0], net[2])] == [step + 1] * 2


def by_parameters(net):
    with torch.no_grad():
        for parameter in net.parameters():
            parameter -= 1e-3 * parameter.grad


def by_attribute(net):
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.latent -= 1e-3 * layer.latent.grad


def by_data_and_word(net):
    for layer in (net[0], net[2]):
        layer.latent.data -= 1e-3 * layer.latent.grad
    announce_(net.parameters())


@each_rule
@pytest.mark.parametrize("update", [by_parameters, by_attribute, by_data_and_word])
def test_one_new_draw_after_a_handwritten_update(rule, update):
    net = make(rule)
    before = weights(net)
    train_once(net)
    update(net)
    assert not same(net, before)
    assert [layer.draw.counter for layer in (net[0], net[2])] == [1, 1]


def set_data(latent, new):
    latent.data = new.clone()


WRITES = {
    "data.copy_": lambda latent, new: latent.data.copy_(new),
    "data.add_": lambda latent, new: latent.data.add_(new - latent.data),
    "data =": set_data,
    "vector_to_parameters": lambda latent, new: nn.utils.vector_to_parameters(new.flatten(), [latent]),
    "numpy view": lambda latent, new: latent.detach().numpy().__setitem__(..., new.numpy()),
    "part of data": lambda latent, new: [row.copy_(other) for row, other in zip(latent.data, new, strict=True)],
    "latent =": lambda latent, new: None,
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rule", [sb.Sign(), sb.Sign("identity"), *RULES], ids=repr)
@pytest.mark.parametrize("write", WRITES)
def test_the_weight_is_that_of_the_latent_however_it_was_written(write, rule, training):
    torch.manual_seed(0)
    net, new, x = make(rule), torch.randn(30, 20), torch.rand(4, 20)
    layer = net[0].train(training)
    before = layer(x)
    if write == "latent =":
        layer.latent = nn.Parameter(new.clone())
    else:
        WRITES[write](layer.latent, new)
    torch.testing.assert_close(layer.latent.detach(), new)
    twin = copy.deepcopy(layer)  # looks at nothing that the layer has kept
    output = layer(x)
    assert torch.equal(output, twin(x))
    assert not torch.equal(output, before)
    kind = layer.draw.kind(training)
    drawn, _ = rule.drawn(layer.latent.detach(), kind, layer.draw._seed() if rule.needs_noise(kind) else None)
    assert torch.equal(layer.in_force().detach(), drawn)
    assert layer.draw.counter == (write != "latent =")
    for again in (sb.freeze(layer), sb.freeze(layer, "mean")):
        kind = "mode" if again(x).equal(sb.freeze(layer)(x)) else "mean"
        with sb.sampled(layer, kind):
            torch.testing.assert_close(layer(x), again(x))
    layer.train()(x).square().sum().backward()
    assert layer.latent.grad.any()


@pytest.mark.parametrize("write", [name for name in WRITES if name != "latent ="])
def test_a_write_inside_sampled_counts_once(write):
    net, new = make(RULES[0]), torch.randn(30, 20)
    with sb.sampled(net, "binary"):
        first = net[0].in_force().detach().clone()
        WRITES[write](net[0].latent, new)
        assert not torch.equal(net[0].in_force(), first)
    assert [net[0].draw.counter, net[2].draw.counter] == [1, 0]


def test_the_clip_of_the_straight_through_gradient_sees_a_clamp_through_data():
    layer = sb.nn.BinaryLinear(8, 4, bias=False)
    with torch.no_grad():
        layer.latent.mul_(10)
    layer(torch.ones(1, 8))
    layer.latent.data.clamp_(-1, 1)
    layer(torch.rand(5, 8)).square().sum().backward()
    assert (layer.latent.grad != 0).all()


def test_the_optimizer_takes_the_variance_of_the_latent_there_is():
    """A write between backward and step: the natural gradient is divided by 1 - μ² of the latent that moves."""
    steps = []
    for look in (True, False):
        torch.manual_seed(0)
        net = make(RULES[0])
        optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0)
        train_once(net)
        net[0].latent.data.mul_(2)
        if look:
            gradient = net[0].latent.grad.clone()
            net[0].in_force()
            net[0].latent.grad.copy_(gradient)
        before = net[0].latent.detach().clone()
        optimizer.step()
        steps.append(net[0].latent.detach() - before)
    torch.testing.assert_close(*steps)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("rule", [sb.Sign(), *RULES], ids=repr)
def test_a_compiled_network_in_evaluation_sees_a_write_through_data(rule):
    torch.compiler.reset()
    net, x = make(rule).eval(), torch.rand(4, 20)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    compiled(x)
    net[0].latent.data.neg_()
    torch.testing.assert_close(compiled(x), copy.deepcopy(net)(x))


@each_rule
def test_a_write_of_what_was_there_renews_nothing(rule):
    net = make(rule)
    before = weights(net)
    with torch.no_grad():
        for parameter in net.parameters():  # as DistributedDataParallel does when it wraps a network
            parameter.copy_(parameter.clone())
    assert same(net, before)
    assert net[0].draw.counter == 0


def test_an_optimizer_of_other_parameters_renews_nothing():
    net, other = make(RULES[0]), make(RULES[0])
    before = weights(net)
    train_once(other)
    torch.optim.SGD(other.parameters(), lr=0.1).step()
    train_once(net)
    torch.optim.SGD([net[0].bias], lr=0.1).step()
    assert same(net, before)


def test_a_skipped_update_of_half_the_network_renews_that_half():
    net = make(RULES[0])
    first, second = net[0].weight.clone(), net[2].weight.clone()
    train_once(net)
    torch.optim.SGD(net[0].parameters(), lr=0.1).step()
    assert not torch.equal(net[0].weight, first)
    assert torch.equal(net[2].weight, second)


@each_rule
def test_two_backwards_through_one_draw(rule):
    net, x = make(rule), torch.randn(8, 20)
    net(x).square().sum().backward()
    once = [parameter.grad.clone() for parameter in net.parameters()]
    net(x).square().sum().backward()
    for parameter, gradient in zip(net.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)
    loss = net(x).square().sum()
    loss.backward(retain_graph=True)
    loss.backward()
    for parameter, gradient in zip(net.parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 4 * gradient)


@each_rule
def test_gradient_accumulation_equals_the_big_batch(rule):
    net, x = make(rule).double(), torch.randn(12, 20, dtype=torch.float64)
    net(x).square().mean(1).sum().backward()
    big = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    for micro_batch in x.split(4):
        net(micro_batch).square().mean(1).sum().backward()
    for parameter, gradient in zip(net.parameters(), big, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@each_rule
def test_activation_checkpointing_changes_nothing(rule):
    net, x = make(rule), torch.randn(8, 20, requires_grad=True)
    sb.resample_(net)
    for layer in (net[0], net[2]):
        layer.draw.forget()  # the first look is then inside the checkpoint
    checkpoint(net, x, use_reentrant=False).square().sum().backward()
    checkpointed = [tensor.grad.clone() for tensor in (x, *net.parameters())]
    net.zero_grad()
    x.grad = None
    net(x).square().sum().backward()
    for tensor, gradient in zip((x, *net.parameters()), checkpointed, strict=True):
        assert torch.equal(tensor.grad, gradient)


def train(net, steps, look=lambda: None):
    torch.manual_seed(7)
    optimizer, seen = torch.optim.Adam(net.parameters(), lr=0.1), []
    batches = torch.randn(steps, 8, 20)
    for x in batches:
        look()
        net(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(weights(net))
    return torch.stack(seen)


@each_rule
def test_looking_does_not_change_the_draws_of_training(rule):
    net = make(rule)
    twin = copy.deepcopy(net)
    x = torch.randn(5, 3, 20)

    def look():
        sb.predict(twin, x, num_samples=2)
        for kind in ("relaxed", "binary", "mode", "mean"):
            with sb.sampled(twin, kind):
                twin(x)
        sb.Ensemble(twin, num_members=2)

    assert torch.equal(train(net, 4), train(twin, 4, look))


@each_rule
def test_the_draw_survives_in_a_state_dict(rule):
    net, other = make(rule), make(rule)
    train(net, 3)
    other.load_state_dict(net.state_dict())
    assert same(other, weights(net))
    for model in (net, other):
        train(model, 2)
    assert same(other, weights(net))


@pytest.mark.parametrize("keep", [lambda net: copy.deepcopy(net.state_dict()), copy.deepcopy])
def test_what_is_kept_knows_of_an_update_nobody_has_looked_at_yet(keep):
    net = make(RULES[0])
    train_once(net)
    by_parameters(net)
    kept = keep(net)
    if isinstance(kept, dict):
        state, kept = kept, make(RULES[0])
        kept.load_state_dict(state)
    assert same(kept, weights(net))


def test_resample_draws_anew_and_repeats_with_equal_generators():
    net, other = make(RULES[0]), make(RULES[0])
    before = weights(net)
    sb.resample_(net)
    assert not same(net, before)
    sb.resample_(net, torch.Generator().manual_seed(3))
    first = weights(net)
    sb.resample_(net, torch.Generator().manual_seed(4))
    assert not same(net, first)
    sb.resample_(net, torch.Generator().manual_seed(3))
    assert same(net, first)
    other.load_state_dict(net.state_dict())
    sb.resample_(other)
    sb.resample_(other, torch.Generator().manual_seed(3))
    assert same(other, first)


def test_layers_of_equal_shape_draw_independently():
    net = nn.Sequential(*(sb.nn.BinaryLinear(100, 100, bias=False, weight=RULES[0], scale=1.0) for _ in range(2)))
    with torch.no_grad():
        for layer in net:
            layer.latent.zero_()
    agreement = (net[0].weight == net[1].weight).double().mean()
    assert abs(agreement - 0.5) < 4.5 * 0.5 / 100


def test_successive_draws_are_independent():
    layer = sb.nn.BinaryLinear(20, 20, bias=False, weight=RULES[0], scale=1.0)
    with torch.no_grad():
        layer.latent.zero_()
    draws = []
    for _ in range(400):
        sb.resample_(layer)
        draws.append(layer.weight.detach().flatten().clone())
    draws = torch.stack(draws)
    lagged = (draws[1:] * draws[:-1]).mean()  # 399 x 400 products of ±1
    assert lagged.abs() < 4.5 / (399 * 400) ** 0.5


def test_ranks_draw_independently_unless_noise_is_shared(monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    for shared in (False, True):
        layer = sb.nn.BinaryLinear(20, 20, weight=sb.Bernoulli(init_scale=0.5, shared_noise=shared))
        drawn = []
        for rank in (0, 1):
            monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
            drawn.append(layer.weight.detach().clone())
        assert torch.equal(*drawn) == shared


# ---- an optimizer that knows nothing of posteriors -------------------------------------------------------------------


def stepped(net, optimizer, times=2):
    for _ in range(times):
        net(torch.ones(2, 3)).sum().backward()
        optimizer.step()


def test_an_optimizer_that_knows_no_posterior_is_warned_of_once():
    net = nn.Sequential(nn.Linear(3, 2), sb.nn.BinaryLinear(2, 2, weight=sb.Sign()))
    sb.binarize_(net[:1], sb.Bernoulli())
    sentence = r"^Adam has stepped latents of Bernoulli\(\), .*BayesBiSNN\(net\.parameters\(\), base_lr=0\.002\)"
    with pytest.warns(UserWarning, match=sentence) as found:
        stepped(net, torch.optim.Adam(net.parameters(), lr=2e-3))
    assert len(found) == 1


@pytest.mark.parametrize("learns", ["real parameters", "by the rule", "by one of its own"])
def test_others_are_not(learns):
    net = nn.Sequential(nn.Linear(3, 2))
    sb.binarize_(net, sb.Bernoulli())
    if learns == "by the rule":
        optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0)
    else:
        optimizer = torch.optim.SGD([net[0].bias] if learns == "real parameters" else net.parameters(), lr=0.1)
        optimizer.learns_posteriors = learns == "by one of its own"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stepped(net, optimizer)


@pytest.mark.parametrize("used", [False, True])
def test_a_layer_is_freed_with_its_last_reference(used):
    """Not when the garbage collector comes: that of ten large networks may come late."""
    layer = sb.nn.BinaryLinear(8, 4, weight=sb.Bernoulli())
    if used:
        layer(torch.ones(2, 8)).sum().backward()
    layer.refresh()
    watched = weakref.ref(layer.draw), weakref.ref(layer.latent), weakref.ref(layer.draw.value)
    gc.collect()
    gc.disable()
    try:
        del layer
        assert [each() for each in watched] == [None] * 3
    finally:
        gc.enable()


def test_no_node_is_made_that_nobody_asks_for():
    layer = sb.nn.BinaryLinear(8, 4, weight=sb.Bernoulli())
    optimizer = sb.optim.BayesBiSNN(layer.parameters())
    layer(torch.ones(2, 8)).sum().backward()
    optimizer.step()
    layer.refresh()
    assert layer.draw.held.node is None
    with torch.inference_mode():
        layer(torch.ones(2, 8))
    layer(torch.ones(2, 8)).sum().backward()
    assert layer.draw.held.node.requires_grad
