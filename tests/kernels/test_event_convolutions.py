"""The convolution of a binary layer against torch's, event-driven or dense."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.kernels import convolution, use_engine
from snntorch_binary.kernels.convolution import event_convolution
from snntorch_binary.kernels.pooled_convolution import pooled_event_convolution

pytest.importorskip("numba")


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch):
    monkeypatch.setattr(convolution, "_LEAST_WORK", 0)


def spikes(*shape, density=0.1, seed=0):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density).float()


def signs(*shape):
    return torch.where(torch.rand(shape) < 0.5, -1.0, 1.0)


@pytest.mark.parametrize("few_in_a_window", [0, 1000], ids=["window by window", "spike by spike"])
@pytest.mark.parametrize("share", [0.0, 1.0], ids=["gradients dense", "gradients that are not zero"])
@settings(deadline=None, max_examples=40)
@given(
    channels=st.sampled_from([1, 2, 5, 12]),
    outputs=st.sampled_from([1, 3, 12, 35, 101]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    density=st.sampled_from([0.0, 0.05, 0.15]),
    last=st.booleans(),
    seed=st.integers(0, 100),
)
def test_equals_the_dense_convolution(
    few_in_a_window, share, channels, outputs, size, kernel, stride, padding, density, last, seed
):
    if any(s + 2 * p < k for s, p, k in zip(size, padding, kernel, strict=True)):
        return
    torch.manual_seed(seed)
    x = spikes(3, channels, *size, density=density, seed=seed)
    x = (x.to(memory_format=torch.channels_last) if last else x).requires_grad_()
    weight = signs(outputs, channels, *kernel).requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "_FEW_IN_A_WINDOW", few_in_a_window)
        patch.setattr(convolution, "MAX_SHARE_OF_GRADIENTS", share)
        output = event_convolution(x, weight, 1.0, None, stride, padding)
        if output is None:  # so small that a few spikes are many
            assert x[0].mean() > 0.2 or x.mean() > 0.2
            return
        dense = F.conv2d(x, weight, None, stride, padding)
        upstream = torch.randint(-4, 5, dense.shape) * (torch.rand(dense.shape) < 0.3).float()
        assert torch.equal(output, dense)
        found = torch.autograd.grad(output, (x, weight), upstream)  # integers: every order of a sum is exact
    for ours, theirs in zip(found, torch.autograd.grad(dense, (x, weight), upstream), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("rule", [sb.Sign(), sb.Bernoulli()], ids=["st", "bayes"])
@pytest.mark.parametrize("scale", ["fan_in", "channel"])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: nn.Conv2d(6, 20, 3, padding=1), (8, 6, 12, 12)),
        (lambda: nn.Conv2d(6, 20, (3, 5), stride=2, padding="valid", bias=False), (8, 6, 12, 12)),
        (lambda: nn.Conv2d(6, 20, 3, padding="same"), (4, 2, 6, 12, 12)),
        (lambda: nn.Conv1d(6, 20, 5, stride=2, padding=3), (8, 6, 40)),
        (lambda: nn.Conv1d(6, 20, 5, padding="same"), (4, 2, 6, 40)),
    ],
    ids=["2d", "stride", "time first", "1d", "1d time first"],
)
def test_layers_use_it_and_learn_alike(rule, scale, layer, shape):
    torch.manual_seed(0)
    net = nn.Sequential(layer())
    sb.binarize_(net, rule, scale=scale)
    if net[0].gain is not None:
        net[0].gain.data.uniform_(0.5, 2.0)
    x, results, upstream = spikes(*shape), {}, None
    for engine in ("numba", "torch"):
        with use_engine(engine):
            given = x.clone().requires_grad_()
            net.zero_grad()
            output = net(given)
            upstream = torch.randn_like(output) if upstream is None else upstream
            output.backward(upstream)
        results[engine] = [output.detach(), given.grad, *(each.grad.clone() for each in net.parameters())]
        assert output.is_contiguous()
        assert ("EventConvolution" in graph_of(output)) == (engine == "numba")
    assert torch.equal(results["numba"][0], results["torch"][0])
    for ours, theirs in zip(results["numba"][1:], results["torch"][1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def graph_of(output):
    names, todo = [], [output.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None:
            names.append(node.name())
            todo += [following for following, _ in node.next_functions]
    return " ".join(names)


@pytest.mark.parametrize(
    ("options", "x"),
    [
        ({}, spikes(4, 6, 12, 12, density=0.5)),
        ({}, torch.cat([spikes(4, 6, 12, 12), spikes(4, 6, 12, 12, density=0.9)])),
        ({}, 0.5 * spikes(4, 6, 12, 12)),
        ({}, torch.full((4, 6, 12, 12), torch.nan)),
        ({"groups": 2}, spikes(4, 6, 12, 12)),
        ({"dilation": 2}, spikes(4, 6, 12, 12)),
        ({"padding": 1, "padding_mode": "circular"}, spikes(4, 6, 12, 12)),
        ({}, spikes(6, 12, 12)),
        ({}, spikes(4, 6, 12, 12).bfloat16()),
    ],
    ids=["dense", "gets dense", "graded", "nan", "groups", "dilation", "border", "one image", "half"],
)
def test_what_is_left_to_torch(options, x):
    layer = sb.nn.BinaryConv2d(6, 20, 3, **options, dtype=x.dtype)
    output = layer(x)
    assert "EventConvolution" not in graph_of(output)
    with use_engine("torch"):
        assert torch.equal(output.nan_to_num(), layer(x).nan_to_num())


def test_second_derivatives():
    x, weight = spikes(4, 6, 9, 9).requires_grad_(), torch.randn(5, 6, 3, 3).requires_grad_()

    def second(output):
        (first,) = torch.autograd.grad(output.pow(3).sum(), weight, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (x, weight))

    ours = second(event_convolution(x, weight, 1.0, None, (1, 1), (1, 1)))
    for found, expected in zip(ours, second(F.conv2d(x, weight, padding=1)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def test_spikes_are_kept_as_a_list():
    kept = []

    def pack(tensor):
        kept.append(tensor.shape)
        return tensor

    x, weight = spikes(50, 4, 8, 8).requires_grad_(), signs(7, 4, 3, 3).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = event_convolution(x, weight, 1.0, None, (1, 1), (0, 0))
    assert x.shape not in kept
    x.data.zero_()  # what is kept is no view of x
    found, _ = torch.autograd.grad(output.sum(), (weight, x))
    expected = torch.nn.grad.conv2d_weight(spikes(50, 4, 8, 8), weight.shape, torch.ones_like(output))
    torch.testing.assert_close(found, expected)


def test_functional_transforms_and_autocast():
    layer, x = sb.nn.BinaryConv2d(6, 20, 3), spikes(4, 6, 12, 12)
    batched = torch.func.vmap(lambda one: layer(one))(x)
    torch.testing.assert_close(batched, layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize("window", [(2, 2), (2, 3), (3, 2), (4, 1)])
@settings(deadline=None, max_examples=40)
@given(
    channels=st.sampled_from([1, 2, 12]),
    outputs=st.sampled_from([1, 12, 35]),
    size=st.tuples(st.integers(6, 14), st.integers(6, 14)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    further=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    scale=st.sampled_from([1.0, 0.25, "gains"]),
    seed=st.integers(0, 100),
)
def test_pooled_equals_both_one_after_the_other(
    window, channels, outputs, size, kernel, stride, padding, further, scale, seed
):
    torch.manual_seed(seed)
    x = spikes(7, channels, *size, density=0.1, seed=seed).requires_grad_()
    weight = signs(outputs, channels, *kernel).requires_grad_()
    bias = torch.randint(-2, 3, (outputs,)).float().requires_grad_()
    if scale == "gains":
        scale = torch.randint(1, 4, (outputs,)).float().requires_grad_()
    step = (window[0] + further[0], window[1] + further[1])
    by_channel = scale.view(-1, 1, 1) if isinstance(scale, torch.Tensor) else scale
    maps = F.conv2d(x, weight, None, stride, padding) * by_channel + bias.view(-1, 1, 1)
    output = pooled_event_convolution(x, weight, scale, bias, stride, padding, window, step)
    if output is None:
        assert maps.shape[-2] < window[0] or maps.shape[-1] < window[1] or x[0].mean() > 0.2 or x.mean() > 0.2
        return
    expected = F.max_pool2d(maps, window, step)
    assert torch.equal(output, expected)
    upstream = torch.randint(-4, 5, expected.shape).float()
    leaves = [leaf for leaf in (x, weight, scale, bias) if isinstance(leaf, torch.Tensor)]
    found = torch.autograd.grad(output, leaves, upstream)  # integers and quarters: every order of a sum is exact
    for ours, theirs in zip(found, torch.autograd.grad(expected, leaves, upstream), strict=True):
        assert torch.equal(ours, theirs)


def test_pooled_second_derivatives_and_nan():
    x, weight = spikes(4, 6, 9, 9).requires_grad_(), torch.randn(5, 6, 3, 3).requires_grad_()

    def second(output):
        (first,) = torch.autograd.grad(output.pow(3).sum(), weight, create_graph=True)
        return torch.autograd.grad(first.square().sum(), (x, weight))

    geometry = ((1, 1), (1, 1), (2, 2), (2, 2))
    ours = second(pooled_event_convolution(x, weight, 1.0, None, *geometry))
    for found, expected in zip(ours, second(F.max_pool2d(F.conv2d(x, weight, padding=1), 2)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))
    with torch.no_grad():
        weight[2, 1, 1, 1] = torch.nan
        pooled = pooled_event_convolution(x, weight, 1.0, None, *geometry)
        expected = F.max_pool2d(F.conv2d(x, weight, padding=1), 2)
        assert torch.equal(pooled[:, [0, 1, 3, 4]].isnan(), expected[:, [0, 1, 3, 4]].isnan())


@pytest.mark.parametrize("changed", [lambda y: y.add_(1), lambda y: F.relu_(y)], ids=["add_", "relu_"])
@pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "maps"])
def test_the_result_may_be_written_to(changed, pooled):
    x, weight = spikes(4, 6, 9, 9), signs(5, 6, 3, 3).requires_grad_()
    if pooled:
        output = pooled_event_convolution(x, weight, 1.0, None, (1, 1), (1, 1), (2, 2), (2, 2))
    else:
        output = event_convolution(x, weight, 1.0, None, (1, 1), (1, 1))
    (found,) = torch.autograd.grad(changed(output).square().sum(), weight)
    dense = F.conv2d(x, weight, padding=1)
    expected = changed(F.max_pool2d(dense, 2) if pooled else dense * 1)
    torch.testing.assert_close(found, torch.autograd.grad(expected.square().sum(), weight)[0])


@pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "maps"])
def test_backward_by_another_engine(pooled):
    x, weight = spikes(4, 6, 9, 9).requires_grad_(), signs(5, 6, 3, 3).requires_grad_()
    if pooled:
        output = pooled_event_convolution(x, weight, 1.0, None, (1, 1), (1, 1), (2, 2), (2, 2))
    else:
        output = event_convolution(x, weight, 1.0, None, (1, 1), (1, 1))
    with use_engine("torch"):
        found = torch.autograd.grad(output.sum(), (x, weight))
    dense = F.conv2d(x, weight, padding=1)
    expected = torch.autograd.grad((F.max_pool2d(dense, 2) if pooled else dense).sum(), (x, weight))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_nan_is_pooled_as_torch_does():
    x, weight = spikes(40, 6, 9, 9), signs(4, 6, 3, 3)
    scale = torch.tensor([torch.inf, 1.0, torch.nan, -1.0])
    found = pooled_event_convolution(x, weight, scale, None, (1, 1), (1, 1), (2, 2), (2, 2))
    expected = F.max_pool2d(F.conv2d(x, weight, padding=1) * scale[:, None, None], 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert 0 < expected[:, 0].isnan().float().mean() < 1
