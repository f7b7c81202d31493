"""Average pooling by windows that tile an image: torch's own, and its gradients."""

import pytest
import torch
from torch.nn import functional as F

from snntorch_binary.kernels import memory
from snntorch_binary.kernels.average import averages


@pytest.mark.parametrize("window", [(2, 2), (3, 1), (6, 4)])
@pytest.mark.parametrize("order", ["contiguous", "channels-last", "other"])
@pytest.mark.parametrize("large", [False, True])
def test_it_is_torchs(window, order, large, monkeypatch):
    pytest.importorskip("numba")
    if large:
        monkeypatch.setattr(memory, "_LARGE", 1)
    x = torch.rand(3, 5, 6, 4)
    if order == "channels-last":
        x = x.contiguous(memory_format=torch.channels_last)
    if order == "other":
        x = torch.rand(5, 3, 6, 4).transpose(0, 1)
    weights, found = torch.randn_like(F.avg_pool2d(x, window)), []
    for pool in (averages, F.avg_pool2d):
        given = x.detach().requires_grad_()
        y = pool(given, window)
        (once,) = torch.autograd.grad((y.square() * weights).sum(), given, create_graph=True)
        found.append((y, once, torch.autograd.grad(once.square().sum(), given)[0]))
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1:], found[1][1:])


def test_many_gradients_at_once():
    x = torch.rand(2, 3, 4, 4)
    one, all_at_once = (
        torch.autograd.functional.jacobian(lambda x: averages(x, (2, 2)), x, vectorize=vectorize)
        for vectorize in (False, True)
    )
    torch.testing.assert_close(one, all_at_once)


def test_others_are_left_to_torch():
    x = torch.rand(3, 5, 6, 4, requires_grad=True)
    assert averages(x, (4, 2)) is None
    assert averages(x[0], (2, 2)) is None
    assert averages(x.double(), (2, 2)) is None
    assert averages(x[:, :, :0], (2, 2)) is None
    assert averages(x, (0, 2)) is None
    with torch.no_grad():
        assert averages(x, (2, 2)) is None
