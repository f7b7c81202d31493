"""Long sequences a number of time steps at a time: answers, gradients and statistics of the whole, in less memory."""

import copy

import pytest
import snntorch as snn
import torch
from models import MODELS
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import snntorch_binary as sb
from snntorch_binary.graph import chunks
from snntorch_binary.graph.tree import leaves

SLOW = {"residual blocks", "autoencoder", "self-attention", "convolutions with batch norm"}
WHOLE = {"Lapicque", "SLSTM", "LeakyParallel", "own neuron", "subclass and detach", "ModuleList"}
"""All of whose neurons go step by step, or have no other form; the last one draws numbers."""


@pytest.fixture
def cut(monkeypatch):
    """Cut every stretch into chunks of a number of steps; 0 for none. It counts chunks."""
    counts = []

    def choose(steps):
        monkeypatch.setattr(chunks, "_LEAST_STEPS", 1)
        monkeypatch.setattr(
            chunks, "_steps_at_once", lambda total, *_: counts.append(total) or min(steps or total, total)
        )
        counts.clear()
        return counts

    return choose


def answered(net, x):
    """Outputs, gradients and what a network keeps after a step of training."""
    net.train()
    kept = copy.deepcopy(net.state_dict())
    torch.manual_seed(1)
    outputs = [leaf for leaf in leaves(net(x)) if isinstance(leaf, torch.Tensor)]
    learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
    total = sum((each * torch.linspace(-1, 1.5, each.numel()).view_as(each)).sum() for each in outputs if each.grad_fn)
    gradients = torch.autograd.grad(total, learned, allow_unused=True)
    after = copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    return outputs, gradients, after


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODELS]
)
def test_answers_gradients_and_statistics_are_those_of_the_whole(name, cut):
    torch.manual_seed(0)
    make, sample = MODELS[name]
    net, x = make(), sample()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # a chunk draws what it drops by itself
    net.p = 0.0
    fused = sb.fuse(net, x)
    cut(0)
    outputs, gradients, after = answered(fused, x)
    counts = cut(2)
    again, chunk_gradients, chunk_after = answered(fused, x)
    assert bool(counts) == (name not in WHOLE)
    for one, other in zip(again, outputs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    largest = max((float(grad.abs().max()) for grad in gradients if grad is not None), default=0.0)
    for one, other in zip(chunk_gradients, gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * largest)
    for key, value in after.items():
        torch.testing.assert_close(chunk_after[key], value)


class Loop(nn.Module):
    def __init__(self, sizes=(40, 64, 64, 5)):
        super().__init__()
        self.layers = nn.ModuleList(map(nn.Linear, sizes, sizes[1:]))
        self.neurons = nn.ModuleList(snn.Leaky(beta=0.9, threshold=0.3) for _ in self.layers)

    def forward(self, x):
        mems, out = [neuron.init_leaky() for neuron in self.neurons], []
        for x_t in x:
            for i, (layer, neuron) in enumerate(zip(self.layers, self.neurons, strict=True)):
                x_t, mems[i] = neuron(layer(x_t), mems[i])
            out.append(x_t)
        return torch.stack(out)


class Largest(TorchDispatchMode):
    """What the largest tensor is that an operation gives, but for views of one."""

    def __init__(self, but):
        super().__init__()
        self.numel, self.but = 0, but.untyped_storage().data_ptr()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        tensors = [each for each in leaves(found) if isinstance(each, torch.Tensor)]
        sizes = [each.numel() for each in tensors if each.untyped_storage().data_ptr() != self.but]
        self.numel = max([self.numel, *sizes])
        return found


def test_nothing_is_there_as_a_whole_but_what_comes_out(cut):
    net = Loop()
    sb.binarize_(net, sb.Sign())
    x = (torch.rand(40, 8, 40) < 0.3).float()
    fused = sb.fuse(net, x[:4])
    found = []
    for steps in (0, 5):
        cut(steps)
        with Largest(x) as largest:
            fused(x).sum().backward()
        found.append(largest.numel)
    assert found == [40 * 8 * 64, 64 * 64]  # the weights


def time_first(output, middle=()):
    torch.manual_seed(0)
    return nn.Sequential(
        sb.nn.TimeFirst(nn.Conv2d(1, 4, 3)),
        sb.nn.Leaky(beta=0.8, threshold=0.3, learn_beta=True),
        sb.nn.Conv2d(4, 5, 3),
        *middle,
        sb.nn.TimeFirst(nn.MaxPool2d(2)),
        nn.Flatten(2),
        sb.nn.Linear(20, 6),
        sb.nn.Synaptic(alpha=0.7, beta=0.9, threshold=0.2, output=output),
    )


@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_networks_that_take_sequences_as_they_are(output, norm, cut):
    net = time_first(output, [sb.nn.TimeFirst(nn.BatchNorm2d(5))] if norm else [])
    x = (torch.rand(9, 3, 1, 8, 8) < 0.5).float()
    fused = sb.fuse(net, x)
    cut(0)
    outputs, gradients, after = answered(fused, x)
    counts = cut(2)
    again, chunk_gradients, chunk_after = answered(fused, x)
    assert counts == [9] * (1 + norm)  # statistics of a batch norm are of all steps together
    for one, other in zip([*again, *chunk_gradients], [*outputs, *gradients], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    for key, value in after.items():
        torch.testing.assert_close(chunk_after[key], value)
    assert float(outputs[0].detach().sum()) > 0
    with torch.no_grad():
        expected = net(x)
        for one, other in zip(again, expected if output else [expected], strict=True):
            torch.testing.assert_close(one, other)


def test_who_looks_on_at_neurons_that_take_sequences(cut):
    net, x, seen = time_first(False), torch.rand(9, 3, 1, 8, 8), []
    fused = sb.fuse(net, x)
    net[1].register_forward_hook(lambda _, args, output: seen.append(tuple(output.shape)))
    counts = cut(2)
    fused(x)
    assert (counts, seen) == ([], [(9, 3, 4, 6, 6)])


def test_other_neurons_that_stand_there_by_now_are_not_cut(cut):
    net, x = time_first(False), (torch.rand(9, 3, 1, 8, 8) < 0.5).float()
    fused = sb.fuse(net, x)
    net[1] = sb.nn.SRM()
    setattr(fused, "1", net[1])
    counts = cut(2)
    assert torch.equal(fused(x), net(x))
    assert counts == []


class Attends(nn.Module):
    """Looks at all time steps between two layers of neurons, so that the second has to wait for all of the first."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(12, 6), snn.Leaky(beta=0.9, threshold=0.2)
        self.fc2, self.lif2 = nn.Linear(6, 4), snn.Leaky(beta=0.9, threshold=0.1)

    def forward(self, x):
        mem1, mem2, first, out = self.lif1.init_leaky(), self.lif2.init_leaky(), [], []
        for x_t in x:
            spk, mem1 = self.lif1(self.fc1(x_t), mem1)
            first.append(spk)
        rates = torch.stack(first).mean(0)
        for spk in first:
            spk, mem2 = self.lif2(self.fc2(spk * rates), mem2)
            out.append(spk)
        return torch.stack(out), rates


def test_what_needs_all_steps_parts_two_stretches(cut):
    torch.manual_seed(0)
    net, x = Attends(), (torch.rand(9, 3, 12) < 0.5).float()
    fused = sb.fuse(net, x)
    counts = cut(4)
    answers = fused(x)
    assert counts == [9, 9]
    for one, other in zip(answers, net(x), strict=True):
        assert torch.equal(one, other)
        assert float(other.detach().sum()) > 0


def test_second_derivatives(cut):
    torch.manual_seed(0)
    net, x = Loop((12, 20, 4)), torch.rand(6, 5, 12).requires_grad_()
    fused, found = sb.fuse(net, x.detach()), []
    for steps in (0, 2):
        cut(steps)
        (grad,) = torch.autograd.grad(fused(x).square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(grad.square().sum(), [layer.weight for layer in net.layers]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    assert all(float(each.abs().sum()) > 0 for each in found[0])


def test_who_looks_on_sees_whole_sequences(cut):
    net, x = Loop(), torch.rand(10, 3, 40)
    fused, seen = sb.fuse(net, x), []
    cut(2)
    handle = fused.layers[1].register_forward_hook(lambda _, args, output: seen.append(tuple(output.shape)))
    fused(x)
    assert seen == [(10, 3, 64)]
    handle.remove()
    counts = cut(2)
    torch.func.functional_call(fused, dict(fused.named_parameters()), (x,))
    assert counts == [10]
    counts = cut(2)
    torch.func.vmap(lambda each: fused(each))(x[None])
    assert counts == []


@pytest.mark.parametrize(
    ("total", "bytes_a_step", "modules", "expected"),
    [
        (400, 2**17, [nn.Linear(784, 256)], 34),  # 12 chunks of 4 MiB
        (100, 2**16, [nn.Linear(784, 256)], 100),  # 6 MiB are not twice as many
        (100, 2**18, [nn.Linear(2048, 1024)], 34),  # weights of 8 MiB
        (100, 2**18, [nn.Conv2d(2, 12, 5)], 50),
        (100, 2**22, [nn.Linear(784, 256)], 9),  # at least eight steps
        (17, 2**24, [], 9),
    ],
)
def test_how_many_steps(total, bytes_a_step, modules, expected):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert chunks._steps_at_once(total, bytes_a_step, tuple(modules)) == expected
        torch.set_num_threads(2)
        assert chunks._steps_at_once(total, bytes_a_step, tuple(modules)) >= expected
    finally:
        torch.set_num_threads(threads)


def test_by_default_a_long_sequence_is_cut_and_a_short_one_is_not(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    net = Loop((40, 256, 256, 5))
    fused, parts = sb.fuse(net, torch.rand(3, 2, 40)), []
    cat = torch.cat
    monkeypatch.setattr(torch, "cat", lambda tensors, *rest: parts.append(len(tensors)) or cat(tensors, *rest))
    for steps, expected in ((20, []), (200, [6])):
        parts.clear()
        with torch.no_grad():
            found = fused(torch.rand(steps, 64, 40))
        assert parts == expected
        assert found.shape == (steps, 64, 5)


class Drops(Loop):
    def __init__(self, functional):
        super().__init__((12, 8, 4))
        self.drop = nn.Dropout(0.0 if functional else 0.5)
        self.functional = functional

    def forward(self, x):
        mem1, mem2, out = self.neurons[0].init_leaky(), self.neurons[1].init_leaky(), []
        for x_t in x:
            spk, mem1 = self.neurons[0](self.layers[0](x_t), mem1)
            spk = torch.dropout(spk, 0.5, self.training) if self.functional else self.drop(spk)
            spk, mem2 = self.neurons[1](self.layers[1](spk), mem2)
            out.append(mem2)
        return torch.stack(out)


@pytest.mark.parametrize("functional", [False, True])
def test_what_dropout_draws_does_not_depend_on_chunks(functional, cut):
    net, x = Drops(functional), torch.rand(9, 3, 12)
    fused, found = sb.fuse(net, x).train(), []
    for steps in (0, 2):
        counts = cut(steps)
        torch.manual_seed(0)
        found.append(fused(x))
        assert counts == []
    assert torch.equal(*found)
    counts = cut(2)
    fused.eval()(x)
    assert counts == ([] if functional else [9])


def test_the_gradient_of_the_input_takes_no_more_than_itself(cut):
    """A slice of each chunk would have a gradient as large as the whole."""
    net, x = Loop((40, 8, 5)), torch.rand(60, 8, 40, requires_grad=True)
    fused = sb.fuse(net, x.detach()[:4])
    cut(5)
    sizes = []

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            found = func(*args, **(kwargs or {}))
            sizes.extend(each.numel() for each in leaves(found) if isinstance(each, torch.Tensor))
            return found

    output = fused(x).sum()
    with Sizes():
        output.backward()
    assert sum(size == x.numel() for size in sizes) <= 3


@pytest.mark.parametrize(
    "layer",
    [nn.ReLU(inplace=True), sb.nn.TimeFirst(nn.ReLU(inplace=True)), sb.nn.TimeFirst(nn.Softmax(-2)), nn.Softmax(0)],
    ids=str,
)
def test_layers_that_write_to_their_input_or_look_along_time(layer, cut):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), layer, sb.nn.Leaky(0.9, threshold=0.05), nn.Linear(8, 4))
    fused, x = sb.fuse(net, torch.rand(4, 3, 12)), torch.rand(9, 3, 12)
    cut(2)
    found = []
    for of in (fused, net):
        net.zero_grad()
        output = of(x)
        output.sum().backward()
        found.append([output.detach(), *(each.grad.clone() for each in net.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


class WritesToItsInput(Loop):
    def forward(self, x):
        mem, out = self.neurons[0].init_leaky(), []
        for x_t in x * 1:
            spk, mem = self.neurons[0](self.layers[0](x_t.relu_()), mem)
            out.append(spk)
        return torch.stack(out)


def test_an_operation_that_writes_to_its_input(cut):
    net, x = WritesToItsInput((12, 8)), torch.rand(9, 3, 12)
    fused = sb.fuse(net, x)
    cut(2)
    assert torch.equal(fused(x), net(x))
    fused(x).sum().backward()
