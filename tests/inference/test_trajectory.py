"""`Trajectory`: an ensemble of the networks that one training passes through."""

import copy
import io
import itertools
import re

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference.passed import Passed

T, B, IN, C = 5, 6, 70, 3


def network(rule=None):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(IN, 20), sb.nn.Leaky(beta=0.9), nn.Linear(20, C))
    if rule is not None:
        sb.binarize_(net, rule)
    return net


def optimizer_of(net, rule):
    if isinstance(rule, sb.Bernoulli):
        return sb.optim.BayesBiSNN(net.parameters(), lr=0.3)
    return torch.optim.Adam(net.parameters(), lr=1e-2)


def batch(step):
    generator = torch.Generator().manual_seed(step)
    return (torch.rand(T, B, IN, generator=generator) < 0.3).float(), torch.arange(B) % C


def learn(net, optimizer, steps, after=None):
    for step in steps:
        x, y = batch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x).mean(0), y).backward()
        optimizer.step()
        if after is not None:
            after(step)


RULES = [sb.Sign(), sb.BalancedSign(), sb.BalancedBernoulli(), sb.Bernoulli(), None]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_it_changes_nothing_of_a_training(rule):
    nets = []
    for follows in (False, True):
        net = network(rule)
        optimizer = optimizer_of(net, rule)
        trajectory = sb.Trajectory(net, optimizer, num_members=2) if follows else None
        learn(net, optimizer, range(30))
        nets.append(net)
    assert trajectory.num_steps == 30
    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))


@pytest.mark.parametrize("rule", [sb.Sign(), sb.BalancedSign(), None], ids=str)
def test_members_answer_as_the_network_did_at_their_step(rule):
    net = network(rule)
    optimizer = optimizer_of(net, rule)
    trajectory = sb.Trajectory(net, optimizer, num_members=4)
    x, _ = batch(1000)
    answers = {}

    def remember(step):
        with torch.no_grad():
            answers[step + 1] = (sb.freeze(net) if rule is not None else copy.deepcopy(net)).eval()(x).mean(0)

    learn(net, optimizer, range(50), remember)
    found = trajectory.networks()
    assert len(found) == 4
    for step, member in found.items():
        assert torch.equal(member(x).mean(0), answers[step])
    ensemble = trajectory.ensemble()
    assert torch.equal(ensemble(x), torch.stack([answers[step] for step in found]))
    assert not torch.equal(ensemble(x)[0], ensemble(x)[-1])


@pytest.mark.parametrize(
    ("num_members", "num_steps", "share"), [(3, 9, 1 / 3), (10, 500, 1 / 3), (4, 77, 1), (5, 64, 0.1)]
)
def test_members_are_evenly_spaced_over_the_last_part(num_members, num_steps, share):
    net = network(sb.Sign())
    trajectory = sb.Trajectory(net, num_members=num_members, share=share)
    for _ in range(num_steps):
        trajectory.step()
        assert trajectory.num_held <= 2 * num_members
    steps = list(trajectory.networks())
    assert len(steps) == num_members
    assert min(steps) > num_steps * (1 - share) - 1e-9
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert max(gaps) <= 2 * min(gaps)
    assert num_steps - steps[-1] < min(gaps)  # the last that was looked at
    assert max(gaps) * num_members >= share * num_steps / 2  # the part is covered


def test_of_a_posterior_each_member_is_a_draw_of_its_step():
    net = network(sb.Bernoulli(init_scale=0.3))
    trajectory = sb.Trajectory(net, num_members=3, seed=5)
    for _ in range(9):
        trajectory.step()
    weights = [member[0].weight for member in trajectory.networks().values()]
    assert not torch.equal(weights[0], weights[1])
    again = sb.Trajectory(net, num_members=3, seed=5)
    for _ in range(9):
        again.step()
    assert all(map(torch.equal, weights, (member[0].weight for member in again.networks().values())))


def test_it_goes_on_from_its_state_bit_for_bit():
    def start():
        net = network(sb.BalancedSign())
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        return net, optimizer, sb.Trajectory(net, optimizer, num_members=3)

    net, optimizer, whole = start()
    learn(net, optimizer, range(40))
    first, optimizer_of_first, before = start()
    learn(first, optimizer_of_first, range(25))
    file = io.BytesIO()
    torch.save([before.state_dict(), first.state_dict(), optimizer_of_first.state_dict()], file)
    file.seek(0)
    states = torch.load(file, weights_only=True)
    second, optimizer, after = start()
    after.load_state_dict(states[0])
    second.load_state_dict(states[1])
    optimizer.load_state_dict(states[2])
    learn(second, optimizer, range(25, 40))
    assert list(whole.networks()) == list(after.networks())
    x, _ = batch(99)
    assert torch.equal(whole.ensemble()(x), after.ensemble()(x))


def bytes_of(passed):
    parts = [part for each in passed.tensors.values() for part in (each.values() if isinstance(each, dict) else [each])]
    return sum(part.numel() * part.element_size() for part in parts)


@pytest.mark.parametrize("channels_last", [False, True])
def test_binary_weights_are_held_at_one_bit(channels_last):
    wide = nn.Sequential(nn.Linear(512, 512), nn.ConvTranspose2d(8, 16, 5), nn.Conv2d(16, 8, 5))
    sb.binarize_(wide, sb.Sign(), scale="channel")
    with torch.no_grad():
        for layer in wide:
            layer.gain.copy_(torch.rand_like(layer.gain) + 0.5)
    frozen = sb.freeze(wide)
    if channels_last:
        frozen = frozen.to(memory_format=torch.channels_last)
    state = {name: value.clone() for name, value in frozen.state_dict().items()}
    passed = Passed.of(frozen)
    weights = sum(layer.weight.numel() for layer in wide)
    assert bytes_of(passed) < weights / 8 + 4 * (2 * 512 + 4 * 32) + 300
    assert all(parameter.is_meta for parameter in passed.shell.parameters())
    again = passed.network(sb.freeze(wide))
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize("special", [0.0, -0.0, float("inf"), float("nan")])
def test_what_is_not_one_size_is_held_whole(special):
    net = nn.Linear(8, 8)
    with torch.no_grad():
        net.weight.fill_(1.0)[3, 3] = special
    weight = net.weight.detach().clone()
    whole = Passed.of(net).network(nn.Linear(8, 8)).weight
    assert torch.equal(whole.nan_to_num(5), weight.nan_to_num(5))
    assert torch.equal(whole.signbit(), weight.signbit())


class Annealed(nn.Module):
    """A user's network whose state is not all of it: an attribute, buffers that grow and come late, an extra state."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(IN, C)
        self.temperature = 1.0
        self.register_buffer("offset", torch.zeros(C), persistent=False)
        self.register_buffer("history", torch.zeros(0))

    def get_extra_state(self):
        return {"temperature": self.temperature}

    def set_extra_state(self, state):
        self.temperature = state["temperature"]

    def forward(self, x):
        return self.fc(x) * self.temperature + self.offset + self.history.sum()

    def follow(self):
        self.temperature *= 0.9
        self.offset = self.offset + 0.1
        self.history = torch.cat([self.history, torch.ones(1)])
        if not hasattr(self, "late"):
            self.register_buffer("late", torch.ones(1))


def test_members_are_all_that_the_network_was_not_its_state_alone():
    torch.manual_seed(0)
    net = Annealed()
    sb.binarize_(net, sb.BalancedSign())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    trajectory = sb.Trajectory(net, optimizer, num_members=3)
    x, answers = torch.rand(4, IN), {}
    for step in range(20):
        net.follow()
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
        answers[step + 1] = sb.freeze(net)(x)
    for step, member in trajectory.networks().items():
        assert torch.equal(member(x), answers[step])


def test_members_go_where_the_network_has_gone():
    net = network(sb.BalancedSign())
    trajectory = sb.Trajectory(net, num_members=2)
    for _ in range(6):
        trajectory.step()
    x, _ = batch(1)
    expected = trajectory.ensemble()(x)
    net.double()
    torch.testing.assert_close(trajectory.ensemble()(x.double()), expected.double())


def test_members_made_within_inference_mode_serve_elsewhere():
    net = nn.Sequential(nn.Linear(IN, 20), nn.BatchNorm1d(20), nn.Linear(20, C))
    sb.binarize_(net, sb.BalancedSign())
    trajectory = sb.Trajectory(net, num_members=2)
    for _ in range(6):
        trajectory.step()
    with torch.inference_mode():
        members = trajectory.networks().values()
    for member in members:
        member[1].running_mean.copy_(torch.ones(20))


def test_an_optimizer_is_followed_once_and_no_longer_than_needed():
    net = network(sb.Sign())
    optimizer = torch.optim.Adam(net.parameters())
    trajectory = sb.Trajectory(net, optimizer)
    trajectory.follow(optimizer)
    learn(net, optimizer, range(3))
    assert trajectory.num_steps == 3
    del trajectory
    learn(net, optimizer, range(1))
    assert not optimizer._optimizer_step_post_hooks


def test_steps_without_a_gradient_draw_as_they_do_alone():
    losses = []
    for follows in (0, 1, 2):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(IN, C))
        sb.binarize_(net, sb.BalancedBernoulli(sharpness=0.5))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
        kept = [sb.Trajectory(net, optimizer, num_members=2) for _ in range(follows)]
        found = []
        for step in range(12):
            optimizer.zero_grad()
            loss = net(batch(0)[0]).square().mean()
            found.append(loss.item())
            if step % 3:
                loss.backward()
            optimizer.step()
        losses.append(found)
        assert all(each.num_steps == 12 for each in kept)
    assert losses[0] == losses[1] == losses[2]


def test_norms_of_members_are_refitted_on_data():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(IN, 20), nn.BatchNorm1d(20), nn.Linear(20, C))
    sb.binarize_(net, sb.BalancedSign())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    trajectory = sb.Trajectory(net, optimizer, num_members=2)
    for _ in range(20):
        optimizer.zero_grad()
        net(torch.rand(32, IN)).square().mean().backward()
        optimizer.step()
    data = torch.rand(200, IN)
    ensemble = trajectory.ensemble(data=data, step=False)
    for member in ensemble.members:
        hidden = member[0](data)
        torch.testing.assert_close(member[1].running_mean, hidden.mean(0), rtol=1e-4, atol=1e-5)
    assert not torch.equal(ensemble.members[0][1].running_mean, ensemble.members[1][1].running_mean)


def test_step_by_step_networks_and_their_state():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(IN, C), snn.Leaky(beta=0.9, init_hidden=True))
    sb.binarize_(net, sb.Sign())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    trajectory = sb.Trajectory(net, optimizer, num_members=2)
    for step in range(12):
        x, _ = batch(step)
        optimizer.zero_grad()
        sb.reset(net)
        sum(net(at) for at in x).sum().backward()
        optimizer.step()  # membrane potentials are part of a graph here
    x, _ = batch(3)
    members = trajectory.networks().values()
    expected = torch.stack([scores(member, x) for member in members])
    torch.testing.assert_close(trajectory.ensemble(step=True).predict(x).samples, expected.softmax(-1))


def scores(member, x):
    sb.reset(member)
    return sum(member(at) for at in x)


def test_packed_members_answer_alike():
    net = network(sb.BalancedSign())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    trajectory = sb.Trajectory(net, optimizer, num_members=3)
    learn(net, optimizer, range(20))
    x, _ = batch(50)
    ensemble = trajectory.ensemble()
    torch.testing.assert_close(sb.pack(ensemble).predict(x).probs, ensemble.predict(x).probs)


WRONG = [
    ({"num_members": 0}, "Expected argument `num_members` to be an integer of at least 1, but got 0."),
    ({"share": 0.0}, "Expected argument `share` to be above 0 and at most 1, but got 0.0."),
    ({"share": 1.5}, "Expected argument `share` to be above 0 and at most 1, but got 1.5."),
    ({"seed": 1.5}, "Expected argument `seed` to be an integer, but got 1.5."),
    ({"optimizer": "adam"}, "Expected argument `optimizer` to be an optimizer of torch, or None, but got str."),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG)
def test_wrong_arguments_get_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(sentence)}$"):
        sb.Trajectory(network(sb.Sign()), **arguments)


def test_an_optimizer_of_another_network_is_refused():
    other = torch.optim.Adam(network().parameters())
    with pytest.raises(ValueError, match="to be one of the network's parameters, but got one of others"):
        sb.Trajectory(network(sb.Sign()), other)


def test_too_few_steps_for_so_many_members_are_said():
    trajectory = sb.Trajectory(network(sb.Sign()))
    for _ in range(9):
        trajectory.step()
    with pytest.raises(ValueError, match="at most 9, the networks held of 9 steps, but got 10"):
        trajectory.ensemble()
    assert len(trajectory.ensemble(3).members) == 3
    trajectory.step()
    assert list(trajectory.networks()) == list(range(1, 11))  # of a short training all there are


@pytest.mark.parametrize("num_members", [0, -1, True, 2.0, "3"])
def test_numbers_of_networks_are_whole_and_positive(num_members):
    trajectory = sb.Trajectory(network(sb.Sign()))
    trajectory.step()
    with pytest.raises(ValueError, match="Expected argument `num_members` to be an integer of at least 1"):
        trajectory.networks(num_members)


def test_networks_that_do_not_know_their_sizes_are_refused():
    with pytest.raises(ValueError, match="to be a network that knows its sizes: call it once, but got one with lazy"):
        sb.Trajectory(nn.Sequential(nn.LazyLinear(3)))


def states():
    trajectory = sb.Trajectory(network(sb.Sign()), num_members=2)
    for _ in range(6):
        trajectory.step()
    good = trajectory.state_dict()

    def changed(change):
        state = copy.deepcopy(good)
        change(state)
        return state

    def first(state):
        return next(iter(state["held"].values()))

    yield "nothing", {}
    yield "text", "text"
    yield "count", changed(lambda s: s.update(num_steps=-1))
    yield "truth", changed(lambda s: s.update(num_steps=True))
    yield "spacing", changed(lambda s: s.update(spacing=0))
    yield "list", changed(lambda s: s.update(held=[1]))
    yield "later", changed(lambda s: s["held"].update({"7": first(s)}))
    yield "name", changed(lambda s: s["held"].update({"one": first(s)}))
    yield "missing", changed(lambda s: first(s).popitem())
    yield "more", changed(lambda s: first(s).update(more=torch.ones(1)))
    yield "shape", changed(lambda s: first(s).update({"0.bias": torch.ones(3)}))
    yield "kind", changed(lambda s: first(s).update({"0.bias": torch.ones(20).double()}))
    yield "no number", changed(lambda s: first(s).update({"0.bias": torch.full((20,), float("nan"))}))
    yield "no tensor", changed(lambda s: first(s).update({"0.bias": 3}))
    yield "signs", changed(lambda s: first(s)["0.weight"].update(signs=torch.ones(3).long()))
    yield "size", changed(lambda s: first(s)["0.weight"].update(size=torch.ones(7)))
    yield "long name", changed(lambda s: s["held"].update({"1" * 5000: first(s)}))
    yield "large spacing", changed(lambda s: s.update(spacing=10**30))
    yield "negative", changed(lambda s: first(s)["0.weight"].update(size=-torch.ones(1, 1)))
    yield "other shape", changed(lambda s: first(s)["0.weight"].update(shape=torch.tensor([IN, 20])))
    yield "infinite", changed(lambda s: first(s)["0.weight"].update(size=torch.full((1, 1), float("inf"))))


@pytest.mark.parametrize("state", [pytest.param(state, id=name) for name, state in states()])
def test_states_of_strangers_are_refused_in_a_sentence(state):
    trajectory = sb.Trajectory(network(sb.Sign()), num_members=2)
    with pytest.raises(ValueError, match=r"^Expected argument `state` to be .*, but got .*\.$"):
        trajectory.load_state_dict(state)
    assert (trajectory.num_steps, trajectory.num_held) == (0, 0)


def test_of_another_network_nothing_is_taken():
    trajectory = sb.Trajectory(network(sb.Sign()), num_members=1)
    for _ in range(3):
        trajectory.step()
    other = nn.Sequential(nn.Linear(IN, 21))
    sb.binarize_(other, sb.Sign())
    with pytest.raises(ValueError, match="Expected argument `state` to be the tensors of this network"):
        sb.Trajectory(other).load_state_dict(trajectory.state_dict())
