"""VOWEL against autograd, against the enumeration of all spike trains, and on a task in which signs matter."""

import copy
import itertools
import math

import pytest
import torch
from torch.nn import functional as F

import snntorch_binary as sb
import snntorch_binary.nn.wta.network as wta
from snntorch_binary.data import class_symbols
from snntorch_binary.learning import VOWEL
from snntorch_binary.nn import RaisedCosine, WTANetwork, layered_mask
from snntorch_binary.nn.wta.circuits import symbol_log_probs

STEPS, BATCH = 6, 5


def random_symbols(*shape, density=0.5):
    drawn = torch.randint(1, shape[-1] + 1, shape[:-1]) * (torch.rand(shape[:-1]) < density)
    return F.one_hot(drawn, shape[-1] + 1)[..., 1:].double()


def network(num_symbols=2, num_hidden=3, **options):
    return WTANetwork(
        4, num_hidden, 2, num_symbols,
        basis=RaisedCosine(2, 3), feedback_basis=RaisedCosine(1, 3), **{"init": 0.7, **options},
    ).double()  # fmt: skip


def parameters(group):
    """The parameters of a group of circuits by the names that the rule gives them."""
    linear = group.linear
    found = {"weight": getattr(linear, "latent", linear.weight), "bias": linear.bias, "feedback": group.feedback}
    return {name: value for name, value in found.items() if value is not None}


def batch(num_symbols=2):
    return random_symbols(STEPS, BATCH, 4, num_symbols), random_symbols(STEPS, BATCH, 2, num_symbols)


class ByAutograd:
    """The same estimator: per-example scores by autograd, and every average written out."""

    def __init__(self, net, rule):
        self.net, self.rule = net, rule
        self.momentum, self.numerator, self.denominator = {}, {}, {}

    def scores(self, group, step, example):
        values = list(parameters(group).values())
        if hasattr(group.linear, "latent"):
            values[0] = group.linear.in_force()  # averages are of the weights in force
        own = None if step.own is None else step.own[example : example + 1]
        log_probs = symbol_log_probs(group(step.traces[example : example + 1], own))
        symbols = step.symbols[example]
        likelihood = (log_probs[0, :, 1:] * symbols).sum() + (log_probs[0, :, 0] * (1 - symbols.sum(-1))).sum()
        grads = torch.autograd.grad(likelihood, values)
        scores = dict(zip(parameters(group), grads, strict=True))
        return likelihood.detach(), scores

    def reward(self, step, example, outputs):
        rule, symbols = self.rule, step.hidden.symbols[example]
        probs = step.hidden.log_probs[example].detach().exp()
        regulariser = 0.0
        for i in range(len(symbols)):
            if symbols[i].sum() == 0:
                regulariser += math.log(probs[i, 0] / rule.silence)
            else:
                c = int(symbols[i].argmax())
                regulariser += math.log(probs[i, 1 + c] / ((1 - rule.silence) / symbols.shape[1]))
        return outputs - rule.gamma * regulariser

    def learn(self, x, targets, seed):
        kappa, beta = self.rule.kappa, self.rule.beta
        names = list(parameters(self.net.hidden))
        self.baseline = {
            name: torch.nan_to_num(self.numerator[name] / self.denominator[name]) if name in self.numerator else 0.0
            for name in names
        }
        visible, hidden = {}, [{} for _ in range(x.shape[1])]
        for step in self.net.steps(x, targets, seed):
            rewards = []
            mean = {}
            for b in range(x.shape[1]):
                likelihood, scores = self.scores(self.net.outputs, step.outputs, b)
                for name, score in scores.items():
                    mean[name] = mean.get(name, 0.0) + score / x.shape[1]
                rewards.append(self.reward(step, b, likelihood))
                for name, score in self.scores(self.net.hidden, step.hidden, b)[1].items():
                    hidden[b][name] = kappa * hidden[b].get(name, 0.0) + (1 - kappa) * score
            for name, score in mean.items():
                visible[name] = kappa * visible.get(name, 0.0) + (1 - kappa) * score
            for name in names:
                e = [of_example[name] for of_example in hidden]
                direction = sum((value - self.baseline[name]) * of for value, of in zip(rewards, e, strict=True)) / len(
                    e
                )
                self.momentum[name] = kappa * self.momentum.get(name, 0.0) + (1 - kappa) * direction
                squares = sum(of**2 for of in e) / len(e)
                weighted = sum(value * of**2 for value, of in zip(rewards, e, strict=True)) / len(e)
                self.denominator[name] = beta * self.denominator.get(name, 0.0) + (1 - beta) * squares
                self.numerator[name] = beta * self.numerator.get(name, 0.0) + (1 - beta) * weighted
            yield visible, self.momentum


OPTIONS = {
    "real": {},
    "one symbol": {"num_symbols": 1},
    "no feedback": {"feedback": "none"},
    "masked": {"mask": layered_mask(4, 3, 2, hidden_lateral=False, output_lateral=False)},
    "sign": {"weight": sb.Sign(), "scale": 0.4},
    "bernoulli": {"weight": sb.Bernoulli(init_scale=0.7), "scale": 0.4},
    "relaxed": {"weight": sb.Bernoulli(init_scale=0.7, estimator="gumbel"), "scale": 0.4},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kappa", [0.0, 0.6])
def test_against_autograd(options, kappa):
    """Gradients at every step agree while an optimizer moves the weights, over two batches."""
    net = network(**options)
    other = copy.deepcopy(net)
    rule = VOWEL(net, kappa, beta=0.8, gamma=0.7, silence=0.6)
    reference = ByAutograd(other, rule)
    optimizers = [torch.optim.SGD(of.parameters(), lr=0.1) for of in (net, other)]
    for number in range(2):
        x, targets = batch(net.num_symbols)
        for _, expected in zip(rule.gradients(x, targets, number), reference.learn(x, targets, number), strict=True):
            for group, directions in zip(("outputs", "hidden"), expected, strict=True):
                for name, parameter in parameters(net.circuits()[group]).items():
                    layer = other.circuits()[group].linear
                    if name == "weight" and hasattr(layer, "latent"):
                        _, derivative = layer.rule.drawn(layer.latent, layer.draw.kind(True), layer.draw._seed())
                        directions = directions | {name: directions[name] * derivative.detach()}
                    torch.testing.assert_close(parameter.grad, -directions[name], rtol=1e-9, atol=1e-10)
                    parameters(other.circuits()[group])[name].grad = -directions[name]
            for optimizer in optimizers:
                optimizer.step()
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_bernoulli_weights_follow_the_natural_gradient():
    net = network(weight=sb.Bernoulli(init_scale=1.5), scale=0.4)
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0, base_lr=0.0, betas=None)
    rule = VOWEL(net)
    for _ in rule.gradients(*batch()):
        latent, layer = net.hidden.linear.latent.clone(), net.hidden.linear
        # 1 - μ² of the rule's derivative and of the Fisher matrix cancel: what is left is dL/dw.
        natural = layer.latent.grad / (1 - torch.tanh(latent) ** 2)
        weight = layer.weight.clone()
        optimizer.step()
        torch.testing.assert_close(layer.latent, latent - 0.1 * natural)
    assert not torch.equal(weight, layer.weight)  # the step drew new weights


def force(monkeypatch, train):
    """Let hidden circuits emit a train [T, B, N, C]."""
    steps = iter(train)
    monkeypatch.setattr(wta, "draw_symbols", lambda log_probs, seed: next(steps))


def all_trains(monkeypatch, net, x, targets, visit):
    """Visit every hidden spike train of one example with one symbol; yield probability and what the visit returns."""
    num_steps, num_hidden = len(x), net.num_hidden
    for bits in itertools.product((0.0, 1.0), repeat=num_steps * num_hidden):
        train = torch.tensor(bits).double().view(num_steps, 1, num_hidden, 1)
        force(monkeypatch, train)
        yield train, visit()


def expected_rewards(net, rule, x, targets, monkeypatch):
    """E[ℓ_t] for every t as a function of a copy of the hidden weight and bias for each time step."""
    num_steps = len(x)
    linear = net.hidden.linear
    mask = torch.ones_like(linear.weight)
    net.hidden.masked_(mask)
    copies = [
        {
            "weight": linear.weight.detach().clone().requires_grad_(),
            "bias": linear.bias.detach().clone().requires_grad_(),
        }
        for _ in range(num_steps)
    ]
    rewards = [0.0] * num_steps
    for train, steps in all_trains(monkeypatch, net, x, targets, lambda: list(net.steps(x, targets, 0))):
        probability = torch.ones((), dtype=torch.float64)
        for t, step in enumerate(steps):
            u = step.hidden.traces @ (copies[t]["weight"] * mask).T + copies[t]["bias"]
            likelihoods = F.logsigmoid(u) * train[t, :, :, 0] + F.logsigmoid(-u) * (1 - train[t, :, :, 0])
            probability = probability * likelihoods.sum().exp()
            reference = train[t] * math.log(1 - rule.silence) + (1 - train[t]) * math.log(rule.silence)
            outputs = step.outputs.log_likelihood.sum().detach()
            reward = outputs - rule.gamma * (likelihoods.sum() - reference.sum())
            # Every train that goes on from these steps counts, and one is enough.
            rewards[t] = rewards[t] + probability * reward / 2 ** (net.num_hidden * (num_steps - 1 - t))
    return rewards, copies


@pytest.mark.slow
@pytest.mark.parametrize(("kappa", "baseline"), [(0.0, False), (0.0, True), (0.7, False), (0.7, True)])
def test_unbiased_against_all_spike_trains(monkeypatch, kappa, baseline):
    """2 hidden units, 3 steps: the mean over all 2^6 trains is the gradient of the expected rewards, discounted."""
    torch.manual_seed(3)
    net = WTANetwork(3, 2, 1, 1, basis=RaisedCosine(2, 3), feedback="none", init=1.0).double()
    x, targets = random_symbols(3, 1, 3, 1), random_symbols(3, 1, 1, 1)
    rule = VOWEL(net, kappa, beta=0.5, gamma=0.6, silence=0.7, baseline=baseline)
    for name in ("weight", "bias"):  # a baseline as if from earlier batches
        getattr(rule, f"{name}_squares").uniform_(0.1, 1)
        getattr(rule, f"{name}_reward_squares").uniform_(-3, 0)
    start = copy.deepcopy(rule.state_dict())

    def directions():
        rule.load_state_dict(start)
        total, before = None, None
        for _ in rule.gradients(x, targets, 0):
            now = [-net.hidden.linear.weight.grad.clone(), -net.hidden.linear.bias.grad.clone()]
            # Undo the smoothing of the direction, which is a filter of what is to be tested.
            new = now if before is None else [(a - kappa * b) for a, b in zip(now, before, strict=True)]
            total = new if total is None else [a + b for a, b in zip(total, new, strict=True)]
            before = now
        return [value / (1 - kappa) for value in total]

    estimate, certain = [0.0, 0.0], 0.0
    for train, found in all_trains(monkeypatch, net, x, targets, directions):
        force(monkeypatch, train)
        with torch.no_grad():
            likelihood = sum(step.hidden.log_likelihood.sum() for step in net.steps(x, targets, 0))
        certain += likelihood.exp()
        estimate = [a + likelihood.exp() * b for a, b in zip(estimate, found, strict=True)]
    assert float(certain) == pytest.approx(1)

    rewards, copies = expected_rewards(net, rule, x, targets, monkeypatch)
    exact = [torch.zeros_like(net.hidden.linear.weight), torch.zeros_like(net.hidden.linear.bias)]
    for t, reward in enumerate(rewards):
        for s in range(t + 1):
            grads = torch.autograd.grad(reward, list(copies[s].values()), retain_graph=True, allow_unused=True)
            for total, grad in zip(exact, grads, strict=True):
                if grad is not None:
                    total += (1 - kappa) * kappa ** (t - s) * grad
    for ours, theirs in zip(estimate, exact, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
        assert theirs.abs().max() > 1e-3


def test_the_mean_score_is_zero():
    """E[s - p] = 0, exactly over the symbols, and in the mean of draws."""
    net = network(3)
    x = random_symbols(4, 1, 4, 3).expand(4, 20_000, 4, 3)
    with torch.no_grad():
        for t, step in enumerate(net.steps(x, seed=1)):
            for circuits in (step.hidden, step.outputs):
                probs = circuits.log_probs.exp()
                each = torch.cat([torch.zeros(1, 3), torch.eye(3)]).double()  # silence, and every symbol
                scores = [circuits._replace(symbols=one.expand_as(circuits.symbols)).score for one in each]
                mean = sum(probs[..., [i]] * score for i, score in enumerate(scores))
                assert mean.abs().max() < 1e-15
                if t == 0:
                    deviation = (probs[0, :, 1:] * (1 - probs[0, :, 1:]) / 20_000).sqrt()
                    assert (circuits.score.mean(0).abs() < 5 * deviation).all()


@pytest.mark.slow
def test_the_baseline_lowers_the_variance():
    """Gradients of many draws for one batch, with what was averaged before: same mean, less variance."""
    net, (x, targets) = network(), batch()
    estimates = {}
    for baseline in (True, False):
        rule = VOWEL(net, beta=0.99, baseline=baseline)
        for seed in range(50):  # nothing steps: the averages settle
            list(rule.gradients(x, targets, seed))
        settled = copy.deepcopy(rule.state_dict())
        found = []
        for seed in range(1000, 1100):
            rule.load_state_dict(settled)
            rule.weight_direction.zero_()
            sums = sum(net.hidden.linear.weight.grad.clone() for _ in rule.gradients(x, targets, seed))
            found.append(sums)
        estimates[baseline] = torch.stack(found)
    with_it, without = estimates[True], estimates[False]
    assert with_it.var(0).sum() < 0.5 * without.var(0).sum()
    error = ((with_it.var(0) + without.var(0)) / len(with_it)).sqrt()
    assert ((with_it.mean(0) - without.mean(0)).abs() <= 5 * error).all()


def test_eligibility_and_direction_are_two_tensors():
    """A reward that the baseline takes away entirely moves nothing, and leaves eligibility as it was."""
    net = network()
    rule = VOWEL(net, kappa=0.5)
    list(rule.gradients(*batch(), 0))
    kept = rule._eligibility.values
    assert kept.data_ptr() != rule.weight_direction.data_ptr()
    assert kept.shape == (6, 1, BATCH, 64)  # batch x synapses, these in blocks of 64; nothing larger is kept


def test_it_stops_and_goes_on_from_its_state():
    net = network()
    rule, optimizer = VOWEL(net), torch.optim.SGD(net.parameters(), lr=0.1)
    batches = [batch() for _ in range(4)]
    for x, targets in batches[:2]:
        for _ in rule.gradients(x, targets):
            optimizer.step()
    again = network()
    again.load_state_dict(copy.deepcopy(net.state_dict()))
    other, second = VOWEL(again), torch.optim.SGD(again.parameters(), lr=0.1)
    other.load_state_dict(copy.deepcopy(rule.state_dict()))
    assert sorted(rule.state_dict()) == sorted(
        f"{name}_{average}"
        for name in ("weight", "bias", "feedback")
        for average in ("reward_squares", "squares", "direction")
    )
    for one, step in ((rule, optimizer), (other, second)):
        for x, targets in batches[2:]:
            for _ in one.gradients(x, targets):
                step.step()
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_learning_rate_of_zero_changes_nothing():
    net = network()
    before = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    for _ in VOWEL(net).gradients(*batch(), 0):
        optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def sign_task(num_examples, num_steps=8):
    """Class = sign of the events; where they are says nothing."""
    labels = torch.arange(num_examples) % 2
    x = torch.zeros(num_steps, num_examples, 6, 2)
    active = torch.rand(num_steps, num_examples, 6) < 0.5
    x[..., 0], x[..., 1] = active & (labels == 0)[:, None], active & (labels == 1)[:, None]
    return x, labels


@pytest.mark.slow
@pytest.mark.parametrize("weight", [None, sb.Sign(), sb.Bernoulli(init_scale=1.0)], ids=["real", "sign", "bernoulli"])
def test_signs_are_learned_where_they_are_kept(weight):
    """The outputs see hidden circuits only, which must learn from the reward to tell the signs apart."""
    accuracy = {}
    for num_symbols in (2, 1):
        torch.manual_seed(0)
        mask = layered_mask(6, 8, 2, hidden_lateral=False, output_lateral=False)
        mask[8:, :6] = False
        net = WTANetwork(
            6, 8, 2, num_symbols, basis=RaisedCosine(2, 4), feedback="none", mask=mask, weight=weight, scale=0.5
        )
        rule = VOWEL(net, gamma=0.05, silence=0.5)
        if isinstance(weight, sb.Bernoulli):
            optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0, base_lr=0.01, betas=None)
        else:
            optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
        encode = (lambda x: x) if num_symbols == 2 else (lambda x: x.amax(-1, keepdim=True))
        for _ in range(60):
            x, labels = sign_task(32)
            for _ in rule.gradients(encode(x), class_symbols(labels, len(x), 2, num_symbols)):
                optimizer.step()
        x, labels = sign_task(200)
        counts = sum(net.eval()(encode(x), seed).sum(0) for seed in range(10))
        accuracy[num_symbols] = float((counts.argmax(-1) == labels).double().mean())
    assert accuracy[2] > 0.95
    assert accuracy[1] < 0.65


CYCLE = layered_mask(4, 3, 2)
CYCLE[0, 7:] = True


def test_a_cycle_through_the_outputs_can_be_sampled_and_not_trained():
    net = network(mask=CYCLE)
    net(batch()[0])
    with pytest.raises(ValueError) as caught:
        VOWEL(net)
    assert str(caught.value) == (
        "Expected argument `mask` to be without connections from outputs to hidden circuits, which would see the "
        "target, but got 2 of them."
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kappa": 1.0}, "`kappa` to be a float in [0, 1), but got 1.0."),
        ({"kappa": -0.1}, "`kappa` to be a float in [0, 1), but got -0.1."),
        ({"beta": 1.0}, "`beta` to be a float in [0, 1), but got 1.0."),
        ({"beta": math.nan}, "`beta` to be a float in [0, 1), but got nan."),
        ({"gamma": -1.0}, "`gamma` to be a float of at least 0, but got -1.0."),
        ({"silence": 1.0}, "`silence` to be a probability between 0 and 1, both excluded, but got 1.0."),
    ],
)
def test_bad_arguments_are_one_sentence(options, sentence):
    with pytest.raises(ValueError) as caught:
        VOWEL(network(), **options)
    assert str(caught.value) == f"Expected argument {sentence}"


def test_bad_batches():
    rule, (x, targets) = VOWEL(network()), batch()
    with pytest.raises(ValueError, match="at most one symbol per circuit and time step, but got 2 at once"):
        rule.gradients(x, torch.ones_like(targets))
    with pytest.raises(ValueError, match="`x` to be of at least one example, but got none"):
        rule.gradients(x[:, :0], targets[:, :0])
