"""Batch norms of maps that lie channels-last: as exact as torch's of contiguous ones, and the same in all else."""

import copy

import pytest
import torch
from torch import nn

from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.norm import normalized as normalized_over_time
from snntorch_binary.kernels.norm import normalized_and_repeated

pytest.importorskip("numba")


def normalized(norm, x):
    """One step of a sequence of one."""
    return normalized_over_time(norm, x[None])[0]


def maps(batch=64, channels=8, size=16):
    """Sums of few spikes, all of one kind, which rounding has no mercy with."""
    torch.manual_seed(0)
    x = (torch.rand(batch, channels, size, size) < 0.1).float() * torch.randn(channels, 1, 1) + 0.3
    return x.contiguous(memory_format=torch.channels_last)


def test_they_are_exact():
    x, norm = maps(), nn.BatchNorm2d(8)
    expected = nn.functional.batch_norm(x.double(), None, None, training=True)
    ours, torchs = normalized(norm, x), copy.deepcopy(norm)(x)
    error, of_torch = (float((y - expected).detach().abs().max()) for y in (ours, torchs))
    assert error < 3e-6 < of_torch / 3
    assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}])
def test_gradients_and_running_statistics_are_those_of_contiguous_maps(options, engine):
    x, norm = maps(6, 5, 4), nn.BatchNorm2d(5, **options)
    if norm.affine:
        nn.init.uniform_(norm.weight), nn.init.uniform_(norm.bias)
    twin, weights = copy.deepcopy(norm), torch.randn(6, 5, 4, 4)
    found = []
    with use_engine(engine):
        for of, given in ((normalized, x), (lambda norm, x: norm(x), x.contiguous())):
            net = norm if of is normalized else twin
            given = given.detach().requires_grad_()
            for _ in range(2):
                y = of(net, given)
            gradients = torch.autograd.grad((y * weights).sum(), [given, *net.parameters()])
            found.append([y, *gradients, *net.buffers()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", ["channels-last", "contiguous", "repeated"])
def test_every_step_has_statistics_of_its_own(order):
    x = torch.stack([(t + 1) * maps(6, 5, 4).contiguous() + t for t in range(3)])
    if order == "channels-last":
        x = x.movedim(2, -1).contiguous().movedim(-1, 2)
    if order == "repeated":
        x = x[:1].expand(3, -1, -1, -1, -1)
    norm = nn.BatchNorm2d(5)
    nn.init.uniform_(norm.weight)
    twin, found = copy.deepcopy(norm), []
    weights = torch.randn(x.shape)
    for net, of in ((norm, normalized_over_time), (twin, lambda net, x: torch.stack([net(x_t) for x_t in x]))):
        given = (x if net is norm else x.contiguous()).detach().requires_grad_()
        y = of(net, given)
        found.append([y, *torch.autograd.grad((y * weights).sum(), [given, *net.parameters()]), *net.buffers()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert int(norm.num_batches_tracked) == 3


@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}])
@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm1d, (6, 5)), (nn.BatchNorm2d, (6, 5, 4, 4))])
def test_what_is_the_same_at_every_step_is_normalized_once(kind, shape, options):
    torch.manual_seed(0)
    x, norm = 3 * torch.rand(shape) + 1, kind(5, **options)
    twin, weights, found = copy.deepcopy(norm), torch.randn(3, *shape), []
    for net, of in ((norm, normalized_and_repeated), (twin, lambda net, x, steps: torch.stack([net(x)] * steps))):
        given = x.clone().requires_grad_()
        for _ in range(3 if net is twin else 1):
            y = of(net, given, 3)
        assert y.shape == (3, *shape)
        found.append([y, *torch.autograd.grad((y * weights).sum(), [given, *net.parameters()]), *net.buffers()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"Expected more than 1 value per channel|expected"):
        normalized_and_repeated(norm, x[:1, :, :1, :1] if x.dim() == 4 else x[:1], 3)


def test_second_derivatives_and_who_looks_on():
    x, norm, found = maps(3, 2, 3), nn.BatchNorm2d(2), []
    for given in (x, x.contiguous()):
        given = given.detach().requires_grad_()
        (grad,) = torch.autograd.grad(normalized(norm, given).pow(3).sum(), given, create_graph=True)
        found.append(torch.autograd.grad(grad.square().sum(), given)[0])
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)
    seen = []
    norm.register_forward_hook(lambda *_: seen.append(1))
    normalized(norm, x)
    assert seen == [1]


def test_many_gradients_at_once():
    x, norm = maps(3, 2, 2), nn.BatchNorm2d(2)
    found = [
        torch.autograd.functional.jacobian(lambda x: normalized(norm, x), x, vectorize=vectorize)
        for vectorize in (False, True)
    ]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_other_norms_are_called_as_they_are():
    class Own(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x) + 1

    x = maps(3, 2, 3)
    own, plain = Own(2), nn.BatchNorm2d(2)
    torch.testing.assert_close(normalized(own, x), normalized(plain, x) + 1)
    double = nn.BatchNorm2d(2).double()
    torch.testing.assert_close(normalized(double, x.double()), normalized(plain, x).double(), rtol=1e-5, atol=1e-5)


def test_they_are_exact_far_from_zero():
    torch.manual_seed(0)
    x = (1e3 + 0.1 * torch.randn(16, 4, 8, 8)).contiguous(memory_format=torch.channels_last)
    expected = nn.functional.batch_norm(x.double(), None, None, training=True)
    plain = nn.BatchNorm2d(4)(x.contiguous())
    errors = [float((y.detach() - expected).abs().max()) for y in (normalized(nn.BatchNorm2d(4), x), plain)]
    assert errors[0] < 2 * errors[1]


def test_statistics_that_are_not_to_go_on_do_not():
    x, norm = maps(3, 2, 3), nn.BatchNorm2d(2)
    norm.track_running_stats = False
    normalized(norm, x)
    assert int(norm.num_batches_tracked) == 0
    assert bool((norm.running_mean == 0).all())


@pytest.mark.parametrize("shape", [(2, 3, 3), (1, 2, 1, 1), (3, 4, 3, 3)])
def test_wrong_shapes_are_refused_as_torch_does(shape):
    x = torch.rand(shape)
    x = x.movedim(-3, -1).contiguous().movedim(-1, -3)
    with pytest.raises((ValueError, RuntimeError)):
        normalized(nn.BatchNorm2d(2), x)
