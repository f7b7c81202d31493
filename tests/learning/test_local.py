"""Local learning: fixed readouts, gradients that stay in their block, and the explicit three-factor product."""

from __future__ import annotations

import math

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.kernels.surrogates import ArcTan, Boxcar
from snntorch_binary.learning import ActivityRegularizer, LocalNetwork, online_gradients
from snntorch_binary.nn import BinaryLinear, Leaky, Refractory, SynapticTrace, TimeFirst

WIDE = ArcTan(alpha=1.0, fires_at_threshold=True)


def spikes(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).lt(0.3).float()


def network(
    rule: sb.Sign | sb.Bernoulli | None, scale: str = "fan_in", bias: bool = True, burn_in: int = 3
) -> LocalNetwork:
    torch.manual_seed(0)
    blocks = []
    for size_in, size_out in ((6, 9), (9, 8)):
        if rule is None:
            layer: nn.Linear = nn.Linear(size_in, size_out, bias)
        else:
            layer = BinaryLinear(size_in, size_out, bias, weight=rule, scale=scale)  # type: ignore[arg-type]
        blocks.append(nn.Sequential(SynapticTrace(normalize=True), layer, Refractory(surrogate=WIDE)))
    return LocalNetwork(blocks, num_outputs=3, input_shape=(6,), burn_in=burn_in, seed=1)


RULES = {
    "float": None,
    "sign": sb.Sign(),
    "hard": sb.Bernoulli(init_scale=1.0),
    "gumbel": sb.Bernoulli(tau=0.7, estimator="gumbel", init_scale=1.0),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("scale", ["fan_in", "channel"])
@pytest.mark.parametrize("loss", ["cross-entropy", "binary-cross-entropy", "squared-error", F.multi_margin_loss])
@pytest.mark.parametrize("activity", [None, ActivityRegularizer(0.3, 0.1, 0.4)], ids=["", "activity"])
def test_the_three_factor_product_is_the_gradient(
    name: str, scale: str, loss: object, activity: ActivityRegularizer | None
) -> None:
    net, x = network(RULES[name], scale), spikes(12, 5, 6)
    labels = torch.tensor([0, 1, 2, 0, 1])
    targets = F.one_hot(labels, 3).float() if loss in ("binary-cross-entropy", "squared-error") else labels
    found = {}
    for explicit in (False, True):
        net.zero_grad()
        losses = list(online_gradients(net, x, targets, loss, activity, explicit))  # type: ignore[arg-type]
        gradients = {key: parameter.grad.clone() for key, parameter in net.named_parameters()}
        found[explicit] = (torch.stack(losses), gradients)
    assert len(found[True][0]) == 12 - 3
    torch.testing.assert_close(found[True][0], found[False][0])
    assert found[True][1].keys() == found[False][1].keys()
    for key, gradient in found[True][1].items():
        assert gradient.abs().max() > 0, key
        torch.testing.assert_close(gradient, found[False][1][key], rtol=1e-4, atol=1e-7, msg=key)


@pytest.mark.parametrize("loss", ["cross-entropy", "binary-cross-entropy", "squared-error"])
def test_a_kernel_learns_what_torch_learns_of_large_and_wrong_readouts(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = pytest.importorskip("snntorch_binary.kernels.compiled.online")
    calls, learn = [], kernels.learn
    monkeypatch.setattr(kernels, "learn", lambda *given: calls.append(given[0]) or learn(*given))
    labels = torch.tensor([0, 1, 2, 0, 1])
    targets = labels if loss == "cross-entropy" else torch.randn(5, 3)
    found = []
    for engine in ("numba", "torch"):
        net = network(None)
        net.readout_scale = 2000.0  # far beyond what exp can take
        with sb.kernels.use_engine(engine):
            losses = list(online_gradients(net, spikes(12, 5, 6), targets, loss))  # type: ignore[arg-type]
        found.append((torch.stack(losses), [parameter.grad for parameter in net.parameters()]))
    assert len(calls) == 2 * 9  # both blocks at each step behind the burn-in, by one engine
    assert found[0][0].isfinite().all()
    assert found[0][0].max() > 100
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-3)


def test_labels_that_are_no_classes_are_refused_as_by_torch() -> None:
    for labels, error in (
        (torch.tensor([0, 3]), IndexError),
        (torch.tensor([0, -2]), IndexError),
        (torch.tensor([0]), ValueError),
    ):
        with pytest.raises(error):
            list(online_gradients(network(None), spikes(8, 2, 6), labels))


@pytest.mark.filterwarnings("ignore:In the first 30 steps")
def test_both_paths_learn_the_same_network_step_by_step() -> None:
    x, labels = spikes(40, 8, 6), torch.arange(8) % 3
    nets = []
    for explicit in (False, True):
        net = network(sb.Bernoulli(init_scale=1.0), "channel").double()
        for layer in net.modules():
            if isinstance(layer, BinaryLinear):
                layer.draw.seed = 5
        optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.05, rho=1e-3, betas=None)
        draws = []
        for _ in online_gradients(net, x.double(), labels, explicit=explicit):
            draws.append(net.blocks[0][1].weight.detach().clone())
            optimizer.step()
            optimizer.zero_grad()
        assert any(not torch.equal(draws[0], draw) for draw in draws[1:])  # redrawn at every time step
        nets.append(net)
    for (key, a), b in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, msg=key)


def test_a_sum_over_a_sequence_is_the_gradient_of_the_local_loss() -> None:
    net, x, labels = network(sb.Sign()), spikes(12, 5, 6), torch.tensor([0, 1, 2, 0, 1])
    steps = len(list(online_gradients(net, x, labels)))
    accumulated = {key: parameter.grad.clone() / steps for key, parameter in net.named_parameters()}
    net.zero_grad()
    net.local_loss(x, labels).backward()
    for key, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, accumulated[key], rtol=1e-4, atol=1e-7, msg=key)


def test_gradients_do_not_leave_their_block() -> None:
    net, x = network(None), spikes(12, 2, 6)
    for index, (readouts, _) in enumerate(net.local(x)):
        net.zero_grad()
        readouts.square().sum().backward()
        for other, block in enumerate(net.blocks):
            gradients = [parameter.grad for parameter in block.parameters()]
            assert all(
                (gradient is not None and gradient.abs().max() > 0) == (other == index) for gradient in gradients
            )


def test_the_answer_is_the_last_readout_stepwise_or_not() -> None:
    net, x = network(sb.Sign()), spikes(12, 4, 6)
    answer = net(x)
    assert answer.shape == (9, 4, 3)
    torch.testing.assert_close(answer, torch.stack([step.readouts[-1] for step in net.steps(x)]))
    torch.testing.assert_close(answer, net.local(x)[-1][0])


def test_readouts_are_fixed_fair_coins_and_saved() -> None:
    blocks = [nn.Sequential(nn.Linear(4, 4000), Refractory())]
    net = LocalNetwork(blocks, 5, (4,), readout_scale=2.0, seed=3)
    readout = net.readout(0)
    assert readout.unique().tolist() == [-1.0, 1.0]
    assert abs(readout.mean()) < 0.03
    assert "readout0" in net.state_dict()
    assert "readout0" not in dict(net.named_parameters())
    other = LocalNetwork([nn.Sequential(nn.Linear(4, 4000), Refractory())], 5, (4,), readout_scale=2.0, seed=4)
    assert not torch.equal(readout, other.readout(0))
    other.load_state_dict(net.state_dict())
    x = spikes(3, 2, 4)
    assert torch.equal(net(x), other(x))
    fired = net.blocks[0](x)
    torch.testing.assert_close(net(x), 2 / math.sqrt(4000) * fired @ readout.T)


def test_snntorch_blocks_and_convolutions_learn_online() -> None:
    blocks = [
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2), snn.Leaky(beta=0.8, init_hidden=True)),
        nn.Sequential(nn.Flatten(), nn.Linear(27, 6), snn.Leaky(beta=0.8, init_hidden=True)),
    ]
    net = LocalNetwork(blocks, 2, (1, 8, 8))
    sb.binarize_(net, sb.Sign())
    x = spikes(5, 3, 1, 8, 8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    losses = []
    for loss in online_gradients(net, x, torch.tensor([0, 1, 0])):
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss)
    assert len(losses) == 5
    assert any(not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))
    assert net(x).shape == (5, 3, 2)


def test_time_first_blocks_with_pooling_go_step_by_step() -> None:
    block = nn.Sequential(sb.nn.BinaryConv2d(1, 2, 3), TimeFirst(nn.MaxPool2d(2)), Leaky(beta=0.5))
    net, x = LocalNetwork([block], 2, (1, 8, 8)), spikes(6, 3, 1, 8, 8)
    torch.testing.assert_close(net(x), torch.stack([step.readouts[-1] for step in net.steps(x)]))


def test_an_ensemble_answers_and_freezes() -> None:
    net, x = network(sb.Bernoulli(init_scale=0.5)), spikes(12, 4, 6)
    prediction = sb.predict(net, x, num_samples=4, readout="membrane")
    assert prediction.probs.shape == (4, 3)
    assert prediction.mutual_information.max() > 0
    members = sb.Ensemble(net, 3, readout="membrane")
    assert members(x).shape == (3, 4, 3)
    assert torch.equal(members.members[0].readout(0), net.readout(0))


def test_the_explicit_path_says_where_it_cannot_be_taken() -> None:
    net = LocalNetwork([nn.Sequential(nn.Linear(4, 3), Leaky(beta=0.5))], 2, (4,))
    with pytest.raises(ValueError, match="Expected argument `explicit` to be False or None"):
        online_gradients(net, spikes(5, 1, 4), torch.tensor([0]), explicit=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_outputs": 0}, "`num_outputs`"),
        ({"readout_scale": 0.0}, "`readout_scale`"),
        ({"burn_in": -1}, "`burn_in`"),
        ({"blocks": []}, "`blocks`"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    given = {"blocks": [nn.Sequential(nn.Linear(4, 3), Refractory(surrogate=Boxcar()))], "num_outputs": 2}
    with pytest.raises(ValueError, match=f"Expected argument {message}"):
        LocalNetwork(**{**given, **arguments}, input_shape=(4,))


def test_a_burn_in_as_long_as_the_sequence_is_refused() -> None:
    net = network(None, burn_in=5)
    for attempt in (net, net.local, lambda x: list(online_gradients(net, x, torch.tensor([0])))):
        with pytest.raises(ValueError, match="longer than the burn-in of 5"):
            attempt(spikes(5, 1, 6))
    with pytest.raises(ValueError, match="Expected argument `loss` to be one of cross-entropy"):
        list(online_gradients(net, spikes(8, 1, 6), torch.tensor([0]), "hinge"))  # type: ignore[arg-type]


def test_the_activity_penalty_is_its_own_derivative() -> None:
    penalty = ActivityRegularizer(0.7, 0.2, 0.4)
    x = torch.rand(5, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(penalty(x), x)
    torch.testing.assert_close(gradient, penalty.error(x.detach()).expand(5, 6))
    with pytest.raises(ValueError, match="Expected argument `low, high`"):
        ActivityRegularizer(1.0, 0.5, 0.1)


def test_an_estimator_without_a_gradient_is_refused() -> None:
    net = network(sb.Bernoulli(estimator="disarm"))
    with pytest.raises(ValueError, match="a network whose weights have a gradient at every time step"):
        online_gradients(net, spikes(12, 5, 6), torch.zeros(5, dtype=torch.int64))


def test_online_under_autocast():
    x, labels = spikes(6, 4, 20), torch.tensor([0, 1, 0, 1])
    gradients = []
    for enabled in (False, True):
        torch.manual_seed(0)
        net = LocalNetwork([nn.Sequential(SynapticTrace(), BinaryLinear(20, 8), Refractory())], 2, (20,))
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses = list(online_gradients(net, x, labels))
        assert losses[0].dtype == torch.float32
        gradients.append(net.blocks[0][1].latent.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("burn_in", [0, 3])
def test_as_a_sequence_it_answers_the_same(burn_in: int) -> None:
    net = network(sb.Sign(), burn_in=burn_in).eval()
    x = spikes(9, 2, 6)
    sequence = net.as_sequence()
    assert type(sequence) is nn.Sequential
    assert torch.equal(sequence(x), net(x))
    assert not set(sequence.parameters()) & set(net.parameters())
    if burn_in:
        with pytest.raises(ValueError, match="longer than the burn-in of 3"):
            sequence(x[:3])
