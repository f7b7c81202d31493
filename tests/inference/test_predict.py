"""`predict` against the exact posterior predictive, for every style of network, leaving no trace."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import snntorch as snn
import torch
from oracle import TinyNet, assert_mean_is, latents, outputs, probabilities, settings
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference import Prediction, logits, run

T, B, IN, C = 6, 4, 12, 3


class ClassStyle(nn.Module):
    """snnTorch's first tutorial: a loop inside forward, `(spk, mem)` stacked."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(IN, 20), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(20, C), snn.Leaky(beta=0.9)

    def forward(self, x):
        mem1, mem2, spikes, membranes = self.lif1.init_leaky(), self.lif2.init_leaky(), [], []
        for x_t in x:
            spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


def sequential(output=False):
    return nn.Sequential(
        nn.Linear(IN, 20),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(20, C),
        snn.Leaky(beta=0.9, init_hidden=True, output=output),
    )


def time_first():
    return nn.Sequential(nn.Linear(IN, 20), sb.nn.Leaky(beta=0.9), nn.Linear(20, C), sb.nn.Leaky(beta=0.9))


STYLES = {
    "class": ClassStyle,
    "sequential": sequential,
    "sequential-output": lambda: sequential(output=True),
    "time-first": time_first,
}


@pytest.fixture(params=STYLES)
def net(request):
    net = STYLES[request.param]()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.8))
    return net


@pytest.fixture
def x():
    return (torch.rand(T, B, IN) < 0.6).float() * 2


def by_hand(net, x):
    """Spike counts [B, C] of the network as it stands."""
    sb.reset(net)
    if isinstance(net, ClassStyle):
        return net(x)[0].sum(0)
    if isinstance(net[1], sb.nn.Leaky):
        return net(x).sum(0)
    out = [net(x_t) for x_t in x]
    return sum(step[0] if isinstance(step, tuple) else step for step in out)


@pytest.mark.slow
def test_probabilities_converge_to_the_exact_predictive():
    net, x = TinyNet(sb.Bernoulli()), torch.randn(4, 2, dtype=torch.float64)
    weights = settings(10)
    with torch.no_grad():
        scores = outputs(net, weights, x).sum(1)
    exact = (probabilities(weights, latents(net))[:, None, None] * scores.softmax(-1)).sum(0)
    prediction = sb.predict(net, x, num_samples=800, readout="rate")
    assert_mean_is(prediction.samples, exact)
    torch.testing.assert_close(prediction.probs, prediction.samples.mean(0))
    mode = outputs(net, torch.where(latents(net) >= 0, 1.0, -1.0)[None].double(), x)[0].sum(0).softmax(-1)
    torch.testing.assert_close(prediction.mode_probs, mode)


def test_samples_are_those_of_the_drawn_networks(net, x):
    prediction = sb.predict(net, x, 3, readout="rate", generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    net.eval()
    expected = []
    with torch.no_grad():
        for _ in range(3):
            with sb.sampled(net, "binary", generator):
                expected.append(by_hand(net, x).softmax(-1))
        assert torch.equal(prediction.mode_probs, by_hand(net, x).softmax(-1))
    assert torch.equal(prediction.samples, torch.stack(expected))
    assert not torch.equal(prediction.samples[0], prediction.samples[1])


def test_nothing_is_left_behind(net, x):
    net.train()
    next(iter(net.children())).eval()
    run(net, x)  # the neurons keep a state with an autograd graph
    modes = {name: module.training for name, module in net.named_modules()}
    membranes = [neuron.mem for neuron in net.modules() if isinstance(neuron, snn.Leaky)]
    values = [membrane.detach().clone() for membrane in membranes]
    weights = [layer.weight.detach().clone() for layer in sb.weights.binary_layers(net).values()]
    state = copy.deepcopy(net.state_dict())
    sb.predict(net, x, num_samples=2)
    assert {name: module.training for name, module in net.named_modules()} == modes
    after = [neuron.mem for neuron in net.modules() if isinstance(neuron, snn.Leaky)]
    assert all(a is b and torch.equal(a, value) for a, b, value in zip(after, membranes, values, strict=True))
    for layer, weight in zip(sb.weights.binary_layers(net).values(), weights, strict=True):
        assert torch.equal(layer.weight, weight)
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name])


def test_an_error_leaves_nothing_behind_either(net, x):
    weights = [layer.weight.detach().clone() for layer in sb.weights.binary_layers(net).values()]
    with pytest.raises(ValueError, match="in_features"):
        sb.predict(net, x[..., :-1])
    assert all(module.training for module in net.modules())
    for layer, weight in zip(sb.weights.binary_layers(net).values(), weights, strict=True):
        assert torch.equal(layer.weight, weight)


def test_a_state_of_our_own_neurons_is_put_back():
    net = nn.Sequential(nn.Linear(IN, C), sb.nn.Leaky(beta=0.9, init_hidden=True, output=True))
    sb.binarize_(net, sb.Bernoulli())
    x_t = torch.rand(B, IN)
    twin = copy.deepcopy(net)
    for model in (net, twin):
        model(x_t)
    sb.predict(net, torch.rand(T, B, IN), num_samples=2)
    assert torch.equal(net(x_t)[1], twin(x_t)[1])


def test_sign_needs_one_sample(x):
    net = time_first()
    sb.binarize_(net, sb.Sign())
    prediction = sb.predict(net, x, num_samples=50)
    assert prediction.samples.shape == (1, B, C)
    assert torch.equal(prediction.probs, prediction.mode_probs)


# ---- uncertainty -------------------------------------------------------------------------------


def test_uncertainty_is_bounded_and_adds_up():
    samples = torch.randn(7, 50, C).mul(4).softmax(-1)
    prediction = Prediction(samples)
    log_c = torch.log(torch.tensor(float(C)))
    assert ((prediction.entropy >= 0) & (prediction.entropy <= log_c + 1e-6)).all()
    assert ((prediction.mutual_information >= 0) & (prediction.mutual_information <= prediction.entropy + 1e-6)).all()
    # The mutual information is the mean KL divergence of the members from their mean.
    mean = samples.mean(0)
    divergence = (samples * (samples / mean).log()).sum(-1).mean(0)
    torch.testing.assert_close(prediction.mutual_information, divergence, rtol=1e-4, atol=1e-5)
    assert torch.equal(prediction.labels, mean.argmax(-1))


def test_members_that_agree_and_members_that_do_not():
    one = torch.randn(1, 50, C).softmax(-1)
    agree = Prediction(one.expand(4, 50, C))
    torch.testing.assert_close(agree.mutual_information, torch.zeros(50), rtol=0, atol=1e-6)
    torch.testing.assert_close(agree.entropy, -(one * one.log()).sum(-1)[0])
    certain_each_of_another_class = Prediction(torch.eye(C)[:, None])
    torch.testing.assert_close(certain_each_of_another_class.mutual_information, torch.log(torch.tensor([float(C)])))


# ---- readouts ----------------------------------------------------------------------------------


def test_readouts():
    spikes, membrane = (torch.rand(T, B, C) < 0.5).float(), torch.randn(T, B, C)
    torch.testing.assert_close(logits((spikes, membrane)), spikes.sum(0))
    torch.testing.assert_close(logits((spikes, membrane), scale=1.0), spikes.mean(0))
    torch.testing.assert_close(logits((spikes, membrane), "membrane"), membrane.mean(0))
    torch.testing.assert_close(logits(membrane, "membrane", 5.0), 5 * membrane.mean(0))
    torch.testing.assert_close(logits(membrane), membrane.mean(0))
    torch.testing.assert_close(logits((membrane, spikes)), membrane.mean(0))
    torch.testing.assert_close(logits(membrane, "rate"), membrane.sum(0))
    torch.testing.assert_close(logits(membrane.transpose(0, 1), time_dim=1), membrane.mean(0))
    torch.testing.assert_close(logits((spikes, None, [spikes, membrane]), "membrane"), membrane.mean(0))
    torch.testing.assert_close(logits((spikes, membrane), lambda output: output[1][-1]), membrane[-1])


@pytest.mark.parametrize(
    "output", [(torch.ones(T, B, C),), (torch.randn(T, B, C), torch.eye(B)[:, :C].expand(T, B, C))]
)
def test_spikes_are_no_membrane_potentials(output):
    with pytest.raises(
        ValueError, match=r"`readout` to be 'rate' or a function .* nothing but spikes, but got 'membrane'"
    ):
        logits(output, "membrane")
    assert torch.equal(logits((output[-1] * 0,), "membrane"), torch.zeros(B, C))  # nobody can tell, and nothing differs


def test_predict_reads_what_it_is_told(x):
    net = ClassStyle()
    sb.binarize_(net, sb.Bernoulli())
    with torch.no_grad():
        _, membrane = net.eval()(x)
    for readout, scale, expected in (
        ("membrane", None, membrane.mean(0)),
        ("membrane", 3.0, 3 * membrane.mean(0)),
        (lambda output: output[1].amax(0), None, membrane.amax(0)),
    ):
        prediction = sb.predict(net, x, num_samples=1, readout=readout, readout_scale=scale)
        torch.testing.assert_close(prediction.mode_probs, expected.softmax(-1))


def test_a_loop_inside_forward_with_hidden_state_says_so(x):
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = sequential()

        def forward(self, x):
            return torch.stack([self.layers(x_t) for x_t in x])

    net = Loop()
    sb.binarize_(net, sb.Bernoulli())
    assert sb.predict(net, x, num_samples=2, step=False).probs.shape == (B, C)


# ---- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_input_that_is_not_finite(value, net, x):
    x[2, 1, 3] = value
    with pytest.raises(ValueError, match="Expected argument `x` to be finite"):
        sb.predict(net, x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_samples": 0}, ValueError, r"`num_samples` to be an integer of at least 1, but got 0\."),
        ({"num_samples": 2.5}, ValueError, "`num_samples`"),
        ({"readout": "sum"}, ValueError, "`readout` to be 'auto', 'rate', 'membrane' or a function"),
        (
            {"x": torch.zeros(T, B, IN, dtype=torch.long)},
            TypeError,
            "`x` to be a floating-point tensor, but got torch.int64",
        ),
        (
            {"x": [[1.0]]},
            TypeError,
            "`x` to be a floating-point tensor, or a tuple of arguments that begins with one, but got list",
        ),
    ],
)
def test_bad_arguments(arguments, error, message, net, x):
    with pytest.raises(error, match=message):
        sb.predict(net, **{"x": x, **arguments})


@pytest.mark.parametrize("style", ["sequential", "time-first"])
def test_no_time_step(style):
    net = STYLES[style]()
    sb.binarize_(net, sb.Bernoulli())
    with pytest.raises(ValueError, match="with T >= 1"):
        sb.predict(net, torch.zeros(0, B, IN))


def test_output_of_another_shape():
    net = sb.nn.BinaryLinear(IN, C, weight=sb.Bernoulli())
    with pytest.raises(ValueError, match=r"`output` to be of shape \[T, B, C\] .*, but got \(4, 3\)"):
        sb.predict(net, torch.rand(B, IN))


def test_a_network_without_binary_weights(x):
    with pytest.raises(ValueError, match="`net` to be a network with binary layers"):
        sb.predict(time_first(), x)


def test_a_softmax_at_the_end_is_said(x):
    net = nn.Sequential(nn.Linear(x.shape[-1], 4), nn.Softmax(-1))
    sb.binarize_(net, sb.Sign())
    with pytest.warns(UserWarning, match="sum to one, as those of a Softmax do"):
        twice = sb.predict(net, x, 1).mode_probs
    with torch.no_grad():
        own = net(x).mean(0)
    assert torch.allclose(twice, own.softmax(-1))
    once = sb.predict(net, x, 1, readout=lambda outputs: outputs.mean(0).log()).mode_probs
    assert torch.allclose(once, own)


def test_a_prediction_is_one_line_when_printed():
    net = sb.nn.Sequential(sb.nn.Linear(6, 3, weight=sb.Bernoulli()), sb.nn.Leaky(beta=0.9))
    prediction = sb.predict(net, torch.rand(5, 4, 6).round(), num_samples=2)
    assert repr(prediction) == "Prediction(2 members, 4 examples, 3 classes)"


class LoopInside(nn.Module):
    """A network whose neuron keeps its state, and which goes through time by itself."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(16, 3), snn.Leaky(beta=0.9, init_hidden=True, output=True)

    def forward(self, x):
        self.lif.reset_mem()
        spikes, potentials = zip(*(self.lif(self.fc(x_t)) for x_t in x), strict=True)
        return torch.stack(spikes), torch.stack(potentials)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Linear(16, 3), snn.Leaky(beta=0.9, init_hidden=True)),
        lambda: nn.Sequential(nn.Linear(16, 3), sb.nn.Leaky(beta=0.9)),
        LoopInside,
    ],
    ids=["one step", "time-first", "loop inside"],
)
@pytest.mark.parametrize("training", [True, False])
def test_threads_get_the_answers_that_they_get_alone(make, training):
    torch.manual_seed(0)
    net = make()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    net.train(training)
    xs = [3 * torch.rand(6, 4, 16) for _ in range(8)]
    ensemble = sb.Ensemble(net, 3)

    def ask(i):
        own = torch.Generator().manual_seed(i)
        return sb.predict(net, xs[i], 4, generator=own).samples, ensemble.predict(xs[i]).samples

    alone = [ask(i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(ask, range(8)), strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
    assert net.training == training
