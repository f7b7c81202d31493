"""`sampled` says which weights are in force."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import snntorch_binary as sb


@pytest.fixture(params=["hard", "gumbel"])
def layer(request):
    layer = sb.nn.BinaryLinear(30, 20, weight=sb.Bernoulli(estimator=request.param), scale=1.0)
    with torch.no_grad():
        layer.latent.copy_(torch.randn(20, 30))
    return layer


def kind_of(layer):
    weight, latent = layer.weight.detach(), layer.latent.detach()
    if torch.equal(weight, torch.where(latent >= 0, 1.0, -1.0)):
        return "mode"
    if torch.equal(weight, torch.tanh(latent)):
        return "mean"
    return "binary" if (weight.abs() == 1).all() else "relaxed"


def test_each_kind(layer):
    training = "relaxed" if layer.rule.estimator == "gumbel" else "binary"
    assert kind_of(layer) == training
    for kind in ("relaxed", "binary", "mode", "mean"):
        with sb.sampled(layer, kind) as net:
            assert net is layer
            assert kind_of(layer) == kind
            layer.eval()
            assert kind_of(layer) == kind
            layer.train()
    assert kind_of(layer) == training
    assert kind_of(layer.eval()) == "mode"


def test_contexts_nest_and_end_with_an_error(layer):
    before = layer.weight.clone()
    with sb.sampled(layer, "binary"):
        outer = layer.weight.clone()
        with pytest.raises(RuntimeError, match="stop"), sb.sampled(layer, "mean"):
            raise RuntimeError("stop")
        assert torch.equal(layer.weight, outer)
    assert torch.equal(layer.weight, before)


def test_a_generator_decides_the_draw_whatever_was_drawn_before(layer):
    def look(seed):
        with sb.sampled(layer, "binary", torch.Generator().manual_seed(seed)):
            return layer.weight.detach().clone()

    first = look(1)
    sb.resample_(layer)
    assert torch.equal(look(1), first)
    assert not torch.equal(look(2), first)


def test_a_draw_is_held_inside_the_context_until_the_latent_moves(layer):
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-6)
    with sb.sampled(layer, "relaxed"):
        before = layer.weight.detach().clone()
        layer(torch.randn(4, 30)).sum().backward()
        assert torch.equal(layer.weight, before)
        optimizer.step()
        assert kind_of(layer) == "relaxed"
        assert not torch.equal(layer.weight, before)


def test_a_relaxed_look_trains_the_latent_with_its_own_gradient(layer):
    with sb.sampled(layer, "mean"):
        layer(torch.eye(30)).sum().backward()
    torch.testing.assert_close(layer.latent.grad, 1 - torch.tanh(layer.latent.detach()) ** 2)


def test_sign_has_one_weight_of_every_kind():
    layer = sb.nn.BinaryLinear(30, 20, scale=1.0)
    for kind in ("relaxed", "binary", "mode", "mean"):
        with sb.sampled(layer, kind):
            assert kind_of(layer) == "mode"


@pytest.mark.parametrize("use", [sb.resample_, lambda net: sb.sampled(net, "mode").__enter__()])
def test_a_network_without_binary_layers(use):
    with pytest.raises(ValueError, match="`net` to be a network with binary layers"):
        use(nn.Linear(2, 2))


def test_an_unknown_kind(layer):
    with (
        pytest.raises(ValueError, match=r"`kind` to be one of .*, but got 'median'"),
        sb.sampled(layer, "median"),
    ):
        pass


# ---- threads and tasks --------------------------------------------------------------------------


def wide():
    torch.manual_seed(0)
    rule = sb.Bernoulli(init_scale=0.5)
    return nn.Sequential(sb.nn.BinaryLinear(64, 64, weight=rule), sb.nn.BinaryLinear(64, 8, weight=rule)).eval()


def looks(net, seed, pause=lambda: None):
    """The weights of one member, looked at layer by layer."""
    seen = []
    with sb.sampled(net, "binary", torch.Generator().manual_seed(seed)):
        for layer in net:
            pause()
            seen.append(layer.weight.detach().clone())
    return torch.cat([weight.flatten() for weight in seen])


def test_threads_see_their_own_weights_and_leave_none_behind():
    net = wide()
    alone = [looks(net, seed) for seed in range(12)]
    mode = net[0].weight.detach().clone()
    barrier = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: looks(net, seed, lambda: barrier.wait(30)), range(12)))
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(net[0].weight, mode)


def test_a_thread_that_started_inside_is_outside():
    net = wide()
    mode, seen = net[0].weight.detach().clone(), []
    with sb.sampled(net, "mean"):
        thread = threading.Thread(target=lambda: seen.append(net[0].weight.detach().clone()))
        thread.start()
        thread.join()
        assert not torch.equal(net[0].weight, mode)
    assert torch.equal(seen[0], mode)


def test_tasks_see_their_own_weights():
    net = wide()
    alone = [looks(net, seed) for seed in range(5)]

    async def look(seed):
        with sb.sampled(net, "binary", torch.Generator().manual_seed(seed)):
            seen = []
            for layer in net:
                await asyncio.sleep(0.001 * (seed % 3))
                seen.append(layer.weight.detach().clone())
        return torch.cat([weight.flatten() for weight in seen])

    async def main():
        return await asyncio.gather(*map(look, range(5)))

    for one, other in zip(alone, asyncio.run(main()), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_networks_take_turns():
    torch.compiler.reset()
    net, x = wide(), torch.rand(4, 64)
    net.compile(backend="eager")

    def ask(seed):
        with sb.sampled(net, "binary", torch.Generator().manual_seed(seed)), torch.no_grad():
            return net(x)

    alone = [ask(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(ask, range(8)), strict=True):
            assert torch.equal(one, other)


def test_an_update_is_counted_once_by_threads_that_look_together():
    net = wide().train()
    net[0].in_force()
    for step in range(20):
        net[0].latent.data.add_(0.01)
        barrier = threading.Barrier(4)

        def look(_, barrier=barrier):
            barrier.wait(30)
            return net[0].in_force().detach().clone()

        with ThreadPoolExecutor(4) as pool:
            first, *others = pool.map(look, range(4))
        assert all(torch.equal(first, other) for other in others)
        assert net[0].draw.counter == step + 1
