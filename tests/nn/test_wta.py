"""Winner-take-all networks against the definition, written as loops."""

import copy
import itertools
import math

import pytest
import torch
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.kernels import use_engine
from snntorch_binary.nn import Exponential, RaisedCosine, WTANetwork, layered_mask
from snntorch_binary.nn.wta.circuits import draw_symbols, symbol_log_probs


def random_symbols(*shape, density=0.5):
    """Symbols [..., C], each circuit silent or with one of C."""
    drawn = torch.randint(1, shape[-1] + 1, shape[:-1]) * (torch.rand(shape[:-1]) < density)
    return F.one_hot(drawn, shape[-1] + 1)[..., 1:].double()


def network(num_symbols, **options):
    options = {"basis": RaisedCosine(3, 4), "feedback_basis": RaisedCosine(2, 3), "init": 1.0, **options}
    net = WTANetwork(4, 3, 2, num_symbols, **options).double()
    for group in net.circuits().values():
        torch.nn.init.normal_(group.linear.bias)
    return net


def coefficients(basis, num_lags):
    """a [K, lags], lag 1 first."""
    if isinstance(basis, Exponential):
        return torch.tensor([[math.exp(-d / tau) for d in range(num_lags)] for tau in basis.time_constants]).double()
    return F.pad(basis.coefficients(), (0, max(0, num_lags - basis.window)))[:, :num_lags]


def potentials_by_loops(net, name, history):
    """u [N, C] after a history [t, N_in + N_h + N_out, C] of one example."""
    group, sizes = net.circuits()[name], [net.num_inputs, net.num_hidden, net.num_outputs]
    weight, scale = group.unscaled_weight()
    weight = group.masked_(weight.detach().clone())
    first = {"hidden": net.num_inputs, "outputs": net.num_inputs + net.num_hidden}[name]
    starts = [0, sizes[0], sizes[0] + sizes[1]]
    num_symbols, num_lags = net.num_symbols, len(history)
    a, b = coefficients(net.basis, num_lags), coefficients(net.feedback_basis, num_lags)
    u = torch.zeros(group.num_circuits, num_symbols, dtype=torch.float64)
    for i, c in itertools.product(range(group.num_circuits), range(num_symbols)):
        row, column = i * num_symbols + c, 0
        u[i, c] = group.linear.bias[row]
        for source in group.sources:
            for j, other, k in itertools.product(range(sizes[source]), range(num_symbols), range(net.basis.num)):
                for d in range(1, num_lags + 1):
                    u[i, c] += scale * weight[row, column] * a[k, d - 1] * history[-d, starts[source] + j, other]
                column += 1
        if group.feedback is not None:
            for k in range(net.feedback_basis.num):
                for d in range(1, num_lags + 1):
                    u[i, c] += group.feedback[i, c, k] * b[k, d - 1] * history[-d, first + i, c]
    return u


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"feedback": "hidden"},
        {"feedback": "none", "mask": layered_mask(4, 3, 2, hidden_lateral=False, output_lateral=False)},
        {"mask": torch.rand(5, 9, generator=torch.Generator().manual_seed(1)).round().mul(
            1 - torch.eye(9)[4:]).int()},
        {"basis": Exponential((1.5, 4.0)), "feedback_basis": Exponential((3.0,))},
        {"weight": sb.Sign(), "scale": 0.3},
    ],
    ids=["all", "hidden feedback", "feedforward", "any mask", "exponential", "binary"],
)  # fmt: skip
@pytest.mark.parametrize("num_symbols", [1, 3])
@torch.no_grad()
def test_potentials_and_likelihoods_against_loops(num_symbols, options):
    net, num_steps = network(num_symbols, **options), 6
    x, targets = random_symbols(num_steps, 2, 4, num_symbols), random_symbols(num_steps, 2, 2, num_symbols)
    history = [torch.zeros(0, 9, num_symbols).double() for _ in range(2)]
    for t, step in enumerate(net.steps(x, targets)):
        assert torch.equal(step.outputs.symbols, targets[t])
        for example in range(2):
            for name, found in (("hidden", step.hidden), ("outputs", step.outputs)):
                u = potentials_by_loops(net, name, history[example])
                silent = -torch.log(1 + u.exp().sum(-1))
                expected = torch.cat([silent[:, None], u + silent[:, None]], 1)
                torch.testing.assert_close(found.log_probs[example], expected)
                emitted = found.symbols[example]
                likelihood = (expected[:, 1:] * emitted).sum(-1) + expected[:, 0] * (1 - emitted.sum(-1))
                torch.testing.assert_close(found.log_likelihood[example], likelihood)
            now = torch.cat([x[t, example], step.hidden.symbols[example], step.outputs.symbols[example]])
            history[example] = torch.cat([history[example], now[None]])


@torch.no_grad()
def test_one_symbol_is_the_bernoulli_glm():
    """u = A * (spikes) with K filters by conv1d, spikes with probability sigmoid(u)."""
    net = network(1, mask=layered_mask(4, 3, 2, hidden_lateral=False, output_lateral=False), feedback="none")
    x = random_symbols(20, 5, 4, 1)
    filters = net.basis.coefficients().flip(1)[:, None]  # [K, 1, window]
    past = F.pad(x.squeeze(-1).permute(1, 2, 0).flatten(0, 1)[:, None], (net.basis.window, 0))[..., :-1]
    traces = F.conv1d(past, filters).unflatten(0, (5, 4))  # [B, N, K, T]
    u = torch.einsum("bnkt,hnk->tbh", traces, net.hidden.linear.weight.unflatten(1, (4, 3))) + net.hidden.linear.bias
    for t, step in enumerate(net.steps(x)):
        torch.testing.assert_close(step.hidden.log_probs[..., 1], F.logsigmoid(u[t]), rtol=1e-14, atol=1e-14)
        torch.testing.assert_close(step.hidden.log_probs[..., 0], F.logsigmoid(-u[t]), rtol=1e-14, atol=1e-14)
        torch.testing.assert_close(step.hidden.score[..., 0], step.hidden.symbols[..., 0] - u[t].sigmoid())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_potentials_of_a_thousand(dtype):
    u = torch.tensor([[1000.0, -1000.0], [-1000.0, -1000.0], [1000.0, 1000.0], [0.0, 1000.0]], dtype=dtype)
    log_probs = symbol_log_probs(u)
    half = math.log(0.5)
    expected = [[-1000, 0, -2000], [0, -1000, -1000], [-1000 + half, half, half], [-1000, -1000, 0]]
    torch.testing.assert_close(log_probs, torch.tensor(expected, dtype=dtype))
    for seed in range(200):
        symbols = draw_symbols(log_probs, seed)
        assert symbols[[0, 1, 3]].tolist() == [[1, 0], [0, 0], [0, 1]]
        assert symbols[2].sum() == 1


def test_draws_have_the_probabilities_and_are_a_function_of_the_seed():
    log_probs = symbol_log_probs(torch.tensor([0.3, -1.0, 1.2])).expand(100_000, 4)
    symbols = draw_symbols(log_probs, 7)
    assert symbols.sum(-1).max() == 1
    frequency, expected = symbols.mean(0), log_probs[0, 1:].exp()
    assert ((frequency - expected).abs() < 4 * (expected * (1 - expected) / len(symbols)).sqrt()).all()
    assert torch.equal(symbols, draw_symbols(log_probs, 7))
    assert not torch.equal(symbols, draw_symbols(log_probs, 8))
    with use_engine("torch"):
        assert torch.equal(symbols, draw_symbols(log_probs, 7))


def test_the_networks_own_stream_goes_on_and_is_saved():
    net, x = network(2), random_symbols(8, 3, 4, 2)
    state = net.state_dict()
    first, second = net(x), net(x)
    assert not torch.equal(first, second)
    assert torch.equal(net(x, seed=5), net(x, seed=5))  # without moving the stream on
    other = network(2)
    other.load_state_dict(state)
    assert torch.equal(other(x), first)
    assert torch.equal(other(x), second)
    assert set(first.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("basis", [RaisedCosine(3, 4), Exponential((1.5, 4.0))])
@torch.no_grad()
def test_a_memory_is_all_that_a_network_needs_to_go_on(basis):
    net = network(2, basis=basis, feedback_basis=basis)
    x = random_symbols(9, 3, 4, 2)
    whole = [step.outputs for step in net.steps(x, seed=5)]

    def go_on(memory, start, stop):
        for t in range(start, stop):
            step = net.look(memory, None, 5, t)
            net.remember(memory, x[t], step)
            assert torch.equal(step.outputs.log_probs, whole[t].log_probs)
            assert torch.equal(step.outputs.symbols, whole[t].symbols)

    first, second = net.memory(3, x), net.memory(3, x)
    go_on(first, 0, 6)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    go_on(second, 6, 9)
    second.reset()
    go_on(second, 0, 9)


@torch.no_grad()
def test_raised_cosines():
    a = RaisedCosine(8, 10).coefficients()
    assert a.shape == (8, 10)
    assert a.argmax(1)[0] == 0
    assert a.argmax(1)[-1] == 9
    assert (a >= 0).all()
    assert (a <= 1).all()
    lags = [math.log(d + 1) for d in range(10)]
    spacing = (lags[-1] - lags[0]) / 7
    for k, d in itertools.product(range(8), range(10)):
        angle = (lags[d] - (lags[0] + k * spacing)) * 0.5 * math.pi / spacing
        assert a[k, d] == pytest.approx(0.5 * (1 + math.cos(min(max(angle, -math.pi), math.pi))))


def test_weights_can_be_made_binary_afterwards():
    net = WTANetwork(4, 3, 2, 2)
    sb.binarize_(net, sb.Bernoulli())
    assert net(torch.zeros(5, 2, 4, 2)).shape == (5, 2, 2)
    sb.unbinarize_(net)
    sb.binarize_(net, sb.Sign(), scale="channel")
    with pytest.raises(ValueError, match=r"`scale` to be 'fan_in' or a number .*'channel'"):
        net(torch.zeros(5, 2, 4, 2))


def test_no_hidden_circuits_no_time_steps_and_no_examples():
    net = WTANetwork(4, 0, 2, 2)
    assert next(iter(net.steps(torch.zeros(1, 2, 4, 2)))).hidden is None
    assert net(torch.zeros(0, 2, 4, 2)).shape == (0, 2, 2)
    assert network(2).float()(torch.zeros(3, 0, 4, 2)).shape == (3, 0, 2)


TWICE = torch.zeros(3, 1, 4, 2)
TWICE[1, 0, 2] = 1
CYCLE = layered_mask(4, 3, 2)
CYCLE[1, 5] = True


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: WTANetwork(4, 3, 2, 2).steps(TWICE), ValueError,
         "`x` to be at most one symbol per circuit and time step, but got 2 at once."),
        (lambda: WTANetwork(4, 3, 4, 2).steps(0 * TWICE, TWICE), ValueError,
         "`targets` to be at most one symbol per circuit and time step, but got 2 at once."),
        (lambda: WTANetwork(4, 3, 2, 2).steps(0.5 * TWICE), ValueError,
         "`x` to be only 0 and 1, but got other values."),
        (lambda: WTANetwork(4, 3, 2, 1).steps(TWICE), ValueError,
         "`x` to be of shape [T, B, 4, 1], but got (3, 1, 4, 2)."),
        (lambda: WTANetwork(4, 3, 4, 2).steps(0 * TWICE, torch.zeros(2, 1, 4, 2)), ValueError,
         "`targets` to be as long and of as many examples as `x`, (3, 1), but got (2, 1)."),
        (lambda: WTANetwork(4, 3, 2, 2).steps(TWICE.int()), TypeError, "`x` to be a floating-point tensor"),
        (lambda: WTANetwork(4, 3, 2, mask=torch.ones(5, 8)), ValueError,
         "`mask` to be a tensor of shape (5, 9), but got shape (5, 8)."),
        (lambda: WTANetwork(4, 3, 2, mask=torch.full((5, 9), 2)), ValueError, "`mask` to be only 0 and 1"),
        (lambda: WTANetwork(4, 3, 2, mask=CYCLE), ValueError, "`mask` to be 0 where a circuit would feed itself"),
        (lambda: WTANetwork(0, 3, 2), ValueError, "`num_inputs` to be an integer of at least 1, but got 0."),
        (lambda: WTANetwork(4, 3, 2, 0), ValueError, "`num_symbols` to be an integer of at least 1, but got 0."),
        (lambda: WTANetwork(4, 3, 2, feedback="some"), ValueError, "`feedback` to be one of all, hidden, none"),
        (lambda: WTANetwork(4, 3, 2, weight="sign"), TypeError, "`weight` to be a weight rule"),
        (lambda: RaisedCosine(11, 10), ValueError, "`num` to be an integer from 1 to `window` = 10, but got 11."),
        (lambda: Exponential(()), ValueError, "`time_constants` to be positive floats, at least one"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, error, sentence):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith("Expected argument ")
    assert sentence in str(caught.value)
