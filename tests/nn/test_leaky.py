import copy
import itertools
import pickle

import pytest
import snntorch as snn
import torch

from snntorch_binary.kernels.surrogates import ArcTan, Boxcar, FastSigmoid
from snntorch_binary.nn.neurons.leaky import Leaky, LeakyState

T, B, N = 12, 5, 7
RESETS = ("subtract", "zero", "none")


def currents(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.8 + 0.3


def stepped(neuron, x):
    """A neuron of snnTorch, or ours with step=True, over x [T, B, ...]."""
    mem = neuron.init_leaky()
    spikes, potentials = [], []
    for t in range(len(x)):
        s, mem = neuron(x[t], mem)
        spikes.append(s)
        potentials.append(mem)
    return torch.stack(spikes), torch.stack(potentials)


def gradients(neuron, run, x, weights):
    """Outputs, and the gradient of a loss on both of them for the input and every Parameter."""
    x = x.clone().requires_grad_()
    spikes, mem = run(neuron, x)
    named = {"x": x, **dict(neuron.named_parameters())}
    loss = (spikes * weights[0]).sum() + (mem * weights[1]).sum()
    return spikes, mem, dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def assert_close_relative(ours, theirs, tolerance):
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        error = (ours[name] - gradient).abs().max() / gradient.abs().max()
        assert error < tolerance, (name, error)


COMBINATIONS = list(itertools.product(RESETS, (True, False), (True, False), (True, False), (1.0, 2.5)))


@pytest.mark.parametrize(("reset", "delay", "learn_beta", "learn_threshold", "factor"), COMBINATIONS)
def test_equals_snntorch(reset, delay, learn_beta, learn_threshold, factor):
    settings = {
        "beta": 0.83,
        "threshold": 0.9,
        "reset_mechanism": reset,
        "reset_delay": delay,
        "learn_beta": learn_beta,
        "learn_threshold": learn_threshold,
        "graded_spikes_factor": factor,
        "learn_graded_spikes_factor": factor != 1.0,
    }
    # Weights of one sign: a sum that cancels has no relative precision to compare.
    x, weights = currents(T, B, N), currents(2, T, B, N, seed=1).abs()
    spikes, mem, expected = gradients(snn.Leaky(**settings), stepped, x, weights)
    ours = gradients(Leaky(output=True, **settings), Leaky.__call__, x, weights)
    assert torch.equal(ours[0], spikes)
    assert torch.equal(ours[1], mem)
    assert_close_relative(ours[2], expected, 1e-6)
    assert 0.1 < (spikes > 0).float().mean() < 0.9


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("surrogate", [ArcTan(), FastSigmoid(5.0), Boxcar()])
def test_the_scan_equals_the_loop_of_steps(reset, surrogate):
    # One decay and threshold per neuron, in float64, with a first potential: everything the scan can take.
    beta, threshold = torch.linspace(0.2, 1.0, N).double(), torch.linspace(0.5, 1.5, N).double()
    leaky = Leaky(
        beta,
        threshold,
        surrogate,
        learn_beta=True,
        learn_threshold=True,
        reset_mechanism=reset,
        output=True,
    )
    x, weights = currents(T, B, N).double(), currents(2, T, B, N, seed=3).double()
    first = torch.nn.Parameter(currents(B, N, seed=1).double() * 2)

    def scan(neuron, x):
        return neuron(x, first)

    def loop(neuron, x):
        spikes, state = neuron._loop(x, LeakyState(first))
        return spikes, state.mem

    leaky.first = first  # a Parameter of the test, so that `gradients` differentiates it too
    spikes, mem, expected = gradients(leaky, loop, x, weights)
    ours = gradients(leaky, scan, x, weights)
    assert torch.equal(ours[0], spikes)
    assert torch.equal(ours[1], mem)
    assert_close_relative(ours[2], expected, 1e-12)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("losses", ["spikes", "mem"])
def test_second_derivatives_equal_the_loop_of_steps(reset, losses):
    leaky = Leaky(0.7, 0.6, reset_mechanism=reset, learn_beta=True, learn_threshold=True, output=True).double()

    def hessian_vector(run):
        x = currents(6, 2, 3).double().requires_grad_()
        spikes, mem = run(x)
        loss = ((spikes if losses == "spikes" else mem) ** 2).sum()
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return torch.autograd.grad(gradient.sin().sum(), [x, leaky.beta])

    def loop(x):
        spikes, state = leaky._loop(x, None)
        return spikes, state.mem

    torch.testing.assert_close(hessian_vector(leaky), hessian_vector(loop), rtol=1e-10, atol=1e-12)


def test_a_foreign_surrogate_runs_and_equals_ours():
    x, weights = currents(T, B, N), currents(2, T, B, N, seed=1).abs()
    ours = gradients(Leaky(0.9, output=True), Leaky.__call__, x, weights)
    foreign = gradients(Leaky(0.9, spike_grad=snn.surrogate.atan(), output=True), Leaky.__call__, x, weights)
    assert torch.equal(ours[0], foreign[0])
    assert_close_relative(ours[2], foreign[2], 1e-6)


@pytest.mark.parametrize("form", [{"step": True}, {"init_hidden": True, "output": True}])
@pytest.mark.parametrize("reset", RESETS)
def test_every_form_gives_the_same_bits(form, reset):
    x = currents(T, B, 2, 3, 4)
    spikes, mem = Leaky(0.9, reset_mechanism=reset, output=True)(x)
    neuron = Leaky(0.9, reset_mechanism=reset, **form)
    if neuron.init_hidden:
        steps = [neuron(x_t) for x_t in x]
        one_step = [torch.stack(tensors) for tensors in zip(*steps, strict=True)]
    else:
        one_step = stepped(neuron, x)
    assert torch.equal(one_step[0], spikes)
    assert torch.equal(one_step[1], mem)


def test_a_sequence_can_be_continued():
    x = currents(T, B, N)
    leaky = Leaky(0.9, output=True)
    spikes, mem = leaky(x)
    early_spikes, early_mem = leaky(x[:5])
    late_spikes, late_mem = leaky(x[5:], early_mem[-1])
    assert torch.equal(torch.cat([early_spikes, late_spikes]), spikes)
    assert torch.equal(torch.cat([early_mem, late_mem]), mem)


def test_hidden_state_goes_on_until_reset():
    leaky = Leaky(0.5, init_hidden=True, output=True)
    x = torch.full((2, 3), 0.4)
    assert [leaky(x)[1][0, 0].item() for _ in range(2)] == pytest.approx([0.4, 0.6])
    with pytest.raises(ValueError, match=r"Expected argument `x` to be .*\[2, 3\].*but got \[4, 3\]"):
        leaky(torch.zeros(4, 3))
    leaky.reset_mem()
    assert leaky(torch.full((4, 3), 0.4))[1][0, 0].item() == pytest.approx(0.4)
    with pytest.raises(TypeError, match="init_hidden"):
        leaky(x, torch.zeros(2, 3))


def test_explicit_state_leaves_nothing_behind():
    leaky = Leaky(0.5, step=True)
    x = torch.full((2, 3), 0.4)
    assert torch.equal(leaky(x)[1], leaky(x)[1])
    with pytest.raises(ValueError, match="shape of the state"):
        leaky(x, torch.zeros(2, 4))


@pytest.mark.parametrize("form", [{}, {"step": True}, {"init_hidden": True}])
def test_copies_and_pickles_after_a_forward_with_gradient(form):
    leaky = Leaky(0.5, learn_beta=True, **form)
    x = currents(3, 4, 5).requires_grad_()
    leaky(x)
    for twin in (copy.deepcopy(leaky), pickle.loads(pickle.dumps(leaky))):
        assert torch.equal(twin.beta, leaky.beta)
        outs = [out[0] if isinstance(out, tuple) else out for out in (twin(x), copy.deepcopy(leaky)(x))]
        assert torch.equal(*outs)


def test_checkpoints_go_both_ways():
    theirs = snn.Leaky(torch.full((N,), 0.3), 0.7, learn_beta=True, reset_mechanism="zero", graded_spikes_factor=3.0)
    ours = Leaky(torch.ones(N), learn_beta=True)
    ours.load_state_dict(theirs.state_dict())
    assert ours.reset_mechanism == "zero"
    ours.reset_mechanism = "none"
    assert ours.state_dict()["reset_mechanism_val"] == 2
    ours.reset_mechanism = "zero"
    x = currents(T, B, N)
    assert torch.equal(ours(x), stepped(theirs, x)[0])
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    theirs.load_state_dict(ours.state_dict())


def test_hidden_state_is_no_buffer_but_moves_along():
    # Distributed data parallel broadcasts every buffer, persistent or not, before each forward.
    leaky = Leaky(0.5, init_hidden=True)
    leaky(currents(2, 3))
    assert {name for name, _ in leaky.named_buffers()} == set(leaky.state_dict())
    assert leaky.double()(currents(2, 3).double()).dtype == torch.float64


@pytest.mark.parametrize("reset", RESETS)
def test_vmap_over_inputs_and_thresholds(reset):
    leaky = Leaky(0.9, reset_mechanism=reset, learn_threshold=True)
    x, thresholds = currents(4, T, B, N), torch.linspace(0.5, 1.5, 4)

    weight = currents(T, B, N, seed=2)

    def loss(threshold, x):
        spikes = torch.func.functional_call(leaky, {"threshold": threshold}, x)
        return (spikes * weight).sum(), spikes

    grad = torch.func.grad(loss, argnums=(0, 1), has_aux=True)
    gradient, spikes = torch.vmap(grad)(thresholds, x)
    for i in range(4):
        (d_threshold, d_x), s = grad(thresholds[i], x[i])
        assert torch.equal(spikes[i], s)
        torch.testing.assert_close(gradient[0][i], d_threshold, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gradient[1][i], d_x)
    shared_input = torch.vmap(lambda threshold: loss(threshold, x[0])[1])(thresholds)
    assert torch.equal(shared_input[2], loss(thresholds[2], x[0])[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_keeps_the_dtype(dtype):
    x = currents(T, B, N).to(dtype).requires_grad_()
    spikes, mem = Leaky(0.9, output=True)(x)
    spikes.sum().backward()
    assert spikes.dtype == mem.dtype == x.grad.dtype == dtype


def test_under_autocast_the_membrane_potential_is_float32():
    linear, leaky = torch.nn.Linear(6, N), Leaky(0.9, output=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        current = linear(currents(T, B, 6))
        spikes, mem = leaky(current)
        spikes.sum().backward()
    assert current.dtype == torch.bfloat16
    assert torch.equal(mem, leaky(current.float())[1])
    assert linear.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(0, 3, 4), (1, 3, 4), (5, 0, 4)])
@pytest.mark.parametrize("delay", [True, False])
def test_few_steps_and_empty_batches(shape, delay):
    x = currents(*shape).requires_grad_()
    spikes, mem = Leaky(0.9, output=True, reset_delay=delay, learn_beta=True)(x)
    (spikes.sum() + mem.sum()).backward()
    assert spikes.shape == mem.shape == x.grad.shape == shape


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from inside dynamo
def test_compiles_without_a_graph_break():
    leaky, x = Leaky(0.9), currents(4, B, N).requires_grad_()
    spikes = torch.compile(leaky, fullgraph=True, backend="aot_eager")(x)
    assert torch.equal(spikes, leaky(x))
    (compiled,) = torch.autograd.grad(spikes.sum(), x)
    (eager,) = torch.autograd.grad(leaky(x).sum(), x)
    torch.testing.assert_close(compiled, eager)


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"beta": 1.5}, ValueError, r"`beta` to be a decay per time step in \[0, 1\], but got 1.5."),
        ({"beta": 0.9, "inhibition": True}, ValueError, "`inhibition` to be False"),
        (
            {"beta": 0.9, "reset_mechanism": "hard"},
            ValueError,
            "`reset_mechanism` to be one of subtract, zero",
        ),
        ({"beta": 0.9, "spike_grad": 2.0}, TypeError, "`spike_grad` to be a callable"),
    ],
)
def test_refuses_bad_settings(settings, error, sentence):
    with pytest.raises(error, match=sentence):
        Leaky(**settings)


@pytest.mark.parametrize(
    ("x", "error", "sentence"),
    [
        (torch.zeros(3), ValueError, r"shape \[T, B, ...\] \(time-first\), but got \[3\]."),
        (
            torch.zeros(3, 2, dtype=torch.long),
            TypeError,
            "`x` to be a floating point tensor, but got torch.int64.",
        ),
        ([1.0], TypeError, "`x` to be a floating point tensor, but got list."),
    ],
)
def test_refuses_bad_inputs(x, error, sentence):
    with pytest.raises(error, match=sentence):
        Leaky(0.9)(x)
