import pytest
import torch
from torch import nn as torch_nn

import snntorch_binary as sb
from snntorch_binary import nn
from snntorch_binary.kernels import use_engine


def make(output=True):
    torch.manual_seed(0)
    return torch_nn.Sequential(
        nn.BinaryLinear(12, 20, scale="channel"),
        nn.Leaky(beta=0.9, threshold=0.3, learn_beta=True),
        nn.BinaryLinear(20, 5),
        nn.Synaptic(alpha=0.8, beta=0.9, threshold=0.2, output=output),
    )


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("steps", [1, 4, 7, 11, 50])
def test_equals_the_whole(steps, engine):
    if engine == "numba":
        pytest.importorskip("numba")
    x = (torch.rand(11, 3, 12) < 0.4).float().requires_grad_()
    whole = make()
    chunked = nn.TimeChunks(whole, steps)
    with use_engine(engine):
        results = []
        for net in (whole, chunked):
            outputs = net(x)
            loss = sum((output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum() for output in outputs)
            results.append((outputs, torch.autograd.grad(loss, [x, *whole.parameters()])))
    (outputs, gradients), (again, chunk_gradients) = results
    assert len(outputs) == len(again) == 3
    for one, other in zip(outputs, again, strict=True):
        assert torch.equal(one, other)
    for one, other in zip(gradients, chunk_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_without_gradients_and_with_spikes_alone():
    net = make(output=False)
    x = (torch.rand(9, 2, 12) < 0.4).float()
    with torch.no_grad():
        assert torch.equal(nn.TimeChunks(net, 4)(x), net(x))


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_sequence():
    kept = []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    def count(net, x):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            net(x)
        return sum(kept)

    net = make(output=False)
    x = (torch.rand(200, 4, 12) < 0.4).float()
    assert count(nn.TimeChunks(net, 10), x) < 0.5 * count(net, x)


def test_other_weights_in_the_backward_pass_are_an_error():
    net = torch_nn.Sequential(nn.BinaryLinear(12, 5, weight=sb.Bernoulli(init_scale=0.5)), nn.Leaky(0.9))
    chunked = nn.TimeChunks(net, 3)
    x = (torch.rand(9, 2, 12) < 0.4).float()
    with sb.sampled(net, "binary"):
        loss = chunked(x).sum()
    with pytest.raises(RuntimeError, match=r"call backward\(\) before that changes"):
        loss.backward()


def test_batch_norm_and_no_step_at_all():
    net = torch_nn.Sequential(nn.TimeFirst(torch_nn.BatchNorm1d(3)), nn.Leaky(0.9))
    with pytest.raises(ValueError, match="without batch norm in training"):
        nn.TimeChunks(net, 3)(torch.rand(4, 2, 3))
    nn.TimeChunks(net, 3).eval()(torch.rand(4, 2, 3))
    with pytest.raises(ValueError, match="T >= 1"):
        nn.TimeChunks(make(), 3)(torch.zeros(0, 2, 12))


def test_bad_networks_and_steps_are_named():
    with pytest.raises(TypeError, match=r"an nn\.Sequential"):
        nn.TimeChunks(nn.BinaryLinear(2, 2), 4)
    for neuron in (nn.SRM(), nn.Leaky(0.9, init_hidden=True), nn.SynapticTrace()):
        with pytest.raises(TypeError, match="layers without memory and time-first Leaky or Synaptic neurons"):
            nn.TimeChunks(torch_nn.Sequential(neuron), 4)
    with pytest.raises(ValueError, match="`steps` to be an integer of at least 1"):
        nn.TimeChunks(make(), 0)


def test_a_state_to_go_on_from_is_no_view_of_a_sequence():
    for neuron in (nn.Leaky(0.9, reset_delay=False), nn.Synaptic(0.8, 0.9, reset_mechanism="zero"), nn.Leaky(0.9)):
        *_, last = neuron._resumed(torch.rand(20, 3, 5), None)
        assert all(each.untyped_storage().nbytes() == 4 * 15 for each in last)
