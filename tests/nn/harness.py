"""What every binary layer must do, whatever its rule and scale: the tester that each test class inherits."""

import copy
import io
import math
import pickle
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

import snntorch_binary as sb

RULES = [
    sb.Sign("clipped"),
    sb.Sign("identity"),
    sb.Bernoulli(init_scale=0.5),
    sb.Bernoulli(init_scale=0.5, estimator="gumbel", tau=0.7),
]
SCALES = ["fan_in", "channel", 0.7]


def plain(tensor):
    return tensor.detach().as_subclass(torch.Tensor).clone()


def spikes(shape, dtype=torch.float32):
    return (torch.rand(shape) < 0.4).to(dtype)


def outputs_first(layer, weight):
    """[C_out, ...], output by output."""
    if not getattr(layer, "transposed", False):
        return weight
    return torch.cat([group.transpose(0, 1) for group in weight.chunk(layer.groups)])


def each_output(layer, value):
    """[C_out] as what is multiplied by the weight."""
    shape = (-1, *(1,) * (layer.latent.dim() - 1))
    if not getattr(layer, "transposed", False):
        return value.reshape(shape)
    rows = len(layer.latent) // layer.groups
    return torch.cat([group.expand(rows, -1) for group in value.chunk(layer.groups)]).unflatten(1, shape[:-1])


class BinaryLayerTester:
    """Subclasses name the layer, torch's own, and how to build both."""

    layer: type[nn.Module]
    twin: type[nn.Module]
    cases: ClassVar[list[tuple[tuple, dict, tuple[int, ...]]]]  # arguments, keyword arguments, input shape

    def pytest_generate_tests(self, metafunc):
        metafunc.parametrize("case", self.cases, ids=lambda case: "-".join(map(str, [*case[0], *case[1].values()])))
        metafunc.parametrize("rule", RULES, ids=repr)
        if "scale" in metafunc.fixturenames:
            metafunc.parametrize("scale", SCALES)

    @pytest.fixture
    def build(self, request, case, rule):
        # The scale matters for the product only; elsewhere it is the one that has a Parameter of its own.
        scale = request.getfixturevalue("scale") if "scale" in request.fixturenames else "channel"

        def build(seed=0):
            torch.manual_seed(seed)
            layer = self.layer(*case[0], weight=rule, scale=scale, **case[1])
            with torch.no_grad():
                layer.latent.copy_(torch.randn(layer.latent.shape))
                if layer.gain is not None:
                    layer.gain.copy_(torch.rand(layer.gain.shape) + 0.5)
            layer.refresh()
            return layer

        return build

    def torch_layer(self, layer, case):
        """torch's layer with the weight in force."""
        twin = self.twin(*case[0], **case[1]).to(layer.latent.dtype)
        state = {"weight": plain(layer.weight)} | ({"bias": layer.bias.detach()} if layer.bias is not None else {})
        twin.load_state_dict(state)
        return twin

    # ---- what it computes -----------------------------------------------------------------------

    def test_output_and_gradients_are_those_of_torch(self, build, case, rule, scale):
        layer = build()
        twin = self.torch_layer(layer, case)
        x = torch.randn(case[2], requires_grad=True)
        twin_x = x.detach().clone().requires_grad_()
        output, twin_output = layer(x), twin(twin_x)
        torch.testing.assert_close(output, twin_output)
        direction = torch.randn(output.shape)
        (output * direction).sum().backward()
        (twin_output * direction).sum().backward()
        torch.testing.assert_close(x.grad, twin_x.grad)

        unit = 1 / layer.fan_in**0.5
        factor = 0.7 if scale == 0.7 else unit
        factor = each_output(layer, unit * layer.gain.detach()) if scale == "channel" else factor
        latent, weight = layer.latent.detach(), plain(layer.weight) / factor
        derivative = {
            "clipped": (latent.abs() <= 1).float(),
            "identity": torch.ones_like(latent),
            "hard": 1 - torch.tanh(latent) ** 2,
            "gumbel": (1 - weight**2) / 0.7,
        }[getattr(rule, "estimator", getattr(rule, "straight_through", None))]
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(layer.latent.grad, twin.weight.grad * factor * derivative, **close)
        if layer.bias is not None:
            torch.testing.assert_close(layer.bias.grad, twin.bias.grad)
        if layer.gain is not None:
            summed = outputs_first(layer, twin.weight.grad * weight * unit).flatten(1).sum(1)
            torch.testing.assert_close(layer.gain.grad, summed, **close)

    def test_weights_are_plus_or_minus_the_scale(self, build, case, rule, scale):
        layer = build()
        unit = 0.7 if scale == 0.7 else 1 / layer.fan_in**0.5
        outputs = len(outputs_first(layer, layer.latent))
        each = torch.ones(outputs) if layer.gain is None else layer.gain.detach()
        exact = each_output(layer, each * unit).expand(layer.latent.shape)
        if rule.training_kind == "relaxed":
            assert (layer.weight.abs() < exact).all()
            layer.eval()
        assert torch.equal(plain(layer.weight.abs()), exact)

    def test_the_product_of_spikes_is_an_exact_integer(self, build, case, rule, scale):
        layer = build().eval()
        x = spikes(case[2])
        with torch.no_grad():
            output = layer(x)
            twin = self.torch_layer(layer, case).double()
            twin.weight.copy_(layer.in_force())
            if twin.bias is not None:
                twin.bias.zero_()
            counts = twin(x.double())
            assert torch.equal(counts, counts.round())
            channel_first = (-1, *(1,) * (layer.latent.dim() - 2))
            factor = layer._scale()
            factor = factor.reshape(channel_first) if isinstance(factor, torch.Tensor) else factor
            bias = 0.0 if layer.bias is None else layer.bias.reshape(channel_first)
            # One rounding of the product and one of the sum is all that happens to the integer.
            torch.testing.assert_close(output, counts.float() * factor + bias, rtol=2e-7, atol=1e-7)

    # ---- what is in force -----------------------------------------------------------------------

    def test_training_draws_and_evaluation_takes_the_mode(self, build, case, rule):
        layer = build()
        random = rule.needs_noise(rule.training_kind)
        first = plain(layer.weight)
        sb.resample_(layer)
        assert torch.equal(plain(layer.weight), first) != random
        layer.eval()
        mode = torch.where(layer.latent >= 0, 1.0, -1.0)
        assert torch.equal(plain(layer.in_force()), mode)
        with sb.sampled(layer, "mean"):
            mean = torch.tanh(layer.latent) if isinstance(rule, sb.Bernoulli) else mode
            assert torch.equal(plain(layer.in_force()), mean)

    def test_a_write_to_the_weight_starts_the_latent_from_it(self, build, case, rule):
        shape = build().latent.shape
        weight = torch.randn(shape)
        writes = [
            lambda layer: layer.weight.copy_(weight),
            lambda layer: layer.weight.data.copy_(weight),
            lambda layer: layer.weight.detach().copy_(weight),
            lambda layer: layer.weight.view(-1).copy_(weight.view(-1)),
            lambda layer: layer.weight.data.view_as(weight).copy_(weight),
            lambda layer: layer.weight.__setitem__(..., weight),
            lambda layer: torch.mul(weight, 1, out=layer.weight),
            lambda layer: setattr(layer.weight, "data", weight),
            lambda layer: nn.utils.vector_to_parameters(weight.view(-1), [layer.weight]),
            lambda layer: torch._foreach_copy_([layer.weight], [weight]),
            lambda layer: [part.copy_(row) for part, row in zip(layer.weight, weight, strict=True)],
        ]
        for write in writes:
            layer = build()
            before = layer.latent
            with torch.no_grad():
                write(layer)
            assert layer.latent is before
            assert torch.equal(layer.latent.detach(), rule.initial_latent(weight))
            # scale · (±1) has the mean magnitude of what was written, and the draw is of the new latent
            magnitude = outputs_first(layer, weight).flatten(1).abs().mean(1)
            torch.testing.assert_close(layer.gain.detach(), magnitude * layer.fan_in**0.5)
            layer.eval()
            assert torch.equal(plain(layer.weight).sign(), weight.sign())

    @pytest.mark.parametrize(
        "init",
        ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "orthogonal_", "trunc_normal_"],
    )
    def test_init_functions_start_it_as_they_start_torchs(self, build, case, rule, init):
        layer, twin = build(), self.twin(*case[0], **case[1])
        torch.manual_seed(3)
        returned = getattr(nn.init, init)(layer.weight)
        torch.manual_seed(3)
        getattr(nn.init, init)(twin.weight)
        assert torch.equal(plain(returned), twin.weight.detach())
        assert torch.equal(layer.latent.detach(), rule.initial_latent(twin.weight.detach()))

    def test_a_mask_or_clamp_starts_only_the_weights_that_it_changes(self, build, case, rule):
        layer = build().eval()
        before, latent = plain(layer.weight), plain(layer.latent)
        with torch.no_grad():
            layer.weight.clamp_(-100, 100)
        assert torch.equal(plain(layer.latent), latent)
        layer.weight.data[0].neg_()
        assert torch.equal(plain(layer.latent)[1:], latent[1:])
        assert torch.equal(plain(layer.latent)[0], rule.initial_latent(-before[0]))
        with pytest.warns(UserWarning, match=r"\d+ of [\d,]+ weights are exactly 0 .*: they start as \+1"):
            layer.weight.data[1:].mul_(before[1:] > 0)
        assert (plain(layer.weight)[1:] > 0).all()

    def test_assigning_a_weight_starts_from_it(self, build, case, rule):
        layer, other = build(0), build(1)
        weight = torch.randn(layer.latent.shape)
        layer.weight = weight
        assert torch.equal(layer.latent.detach(), rule.initial_latent(weight))
        layer.weight = plain(other.weight)
        assert layer.latent is not other.latent

    def test_tied_layers_share_latent_and_draw(self, build, case, rule):
        first, second = build(0), build(1)
        second.weight = first.weight
        first.weight = first.weight  # ties a layer with itself: nothing happens
        pair = nn.ModuleList([first, second])
        for net in (pair, copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))):
            a, b = net
            assert a.latent is b.latent
            optimizer = torch.optim.SGD([a.latent], lr=0.5)
            for _ in range(3):
                assert torch.equal(plain(a.in_force()), plain(b.in_force()))
                (a.weight * a.latent.detach()).sum().backward()
                optimizer.step()
            sb.resample_(net)
            assert torch.equal(plain(a.in_force()), plain(b.in_force()))
            state = copy.deepcopy(net.state_dict())
            with torch.no_grad():
                a.latent -= 1.0
            assert torch.equal(plain(a.in_force()), plain(b.in_force()))
            net.load_state_dict(state)
            assert a.latent is b.latent
            assert torch.equal(plain(a.in_force()), plain(b.in_force()))

    # ---- copies and checkpoints -----------------------------------------------------------------

    def test_copies_keep_the_draw_and_go_their_own_way(self, build, case, rule):
        layer = build()
        sb.resample_(layer)
        layer(torch.randn(case[2])).sum().backward()
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        before = plain(layer.weight)
        for other in (
            copy.deepcopy(layer),
            pickle.loads(pickle.dumps(layer)),
            torch.load(file, weights_only=False),
        ):
            assert type(other) is type(layer)
            assert torch.equal(plain(other.weight), before)
            with torch.no_grad():
                other.latent.neg_()
            assert not torch.equal(plain(other.weight), before)
            sb.resample_(other)
        assert torch.equal(plain(layer.weight), before)

    @pytest.mark.parametrize("assign", [False, True])
    def test_state_dict_round_trip(self, build, case, rule, assign):
        layer, other = build(0), build(1)
        sb.resample_(layer)
        file = io.BytesIO()
        torch.save(layer.state_dict(), file)
        file.seek(0)
        optimizer_made_before = torch.optim.SGD(other.parameters(), lr=0.5)
        other.load_state_dict(torch.load(file, weights_only=True), assign=assign)
        for _ in range(3):  # now, and at the draws to come
            assert torch.equal(plain(other.weight), plain(layer.weight))
            sb.resample_(layer)
            sb.resample_(other)
        optimizer = torch.optim.SGD(other.parameters(), lr=0.5) if assign else optimizer_made_before
        (other.weight * other.latent.detach().sign()).sum().backward()
        latent = other.latent.detach().clone()
        counter = other.draw.counter
        optimizer.step()
        assert not torch.equal(other.latent, latent)
        assert other.draw.counter == counter + 1

    @pytest.mark.parametrize("assign", [False, True])
    def test_a_float_checkpoint_loads_as_the_rule_says(self, build, case, rule, assign):
        layer, twin = build(), self.twin(*case[0], **case[1])
        weight = twin.weight.detach().clone()
        net = nn.Sequential(layer)
        assert not any(net.load_state_dict(nn.Sequential(twin).state_dict(), assign=assign))
        assert torch.equal(layer.latent.detach(), rule.initial_latent(weight))
        # scale · (±1) has the mean magnitude of the checkpoint's weights
        magnitude = outputs_first(layer, weight).flatten(1).abs().mean(1)
        torch.testing.assert_close(layer.gain.detach() / math.sqrt(layer.fan_in), magnitude)
        if twin.bias is not None:
            assert torch.equal(layer.bias, twin.bias)
        assert torch.equal(twin.weight, weight)

    def test_a_checkpoint_of_another_shape_says_so(self, build, case, rule):
        layer = build()
        state = {**layer.state_dict(), "weight": torch.zeros(1, *layer.latent.shape[1:])}
        with pytest.raises(RuntimeError, match=r"size mismatch for weight"):
            layer.load_state_dict(state)

    @pytest.mark.parametrize("convert", [lambda layer: layer.to(torch.float64), lambda layer: layer.double()])
    def test_double(self, build, case, rule, convert):
        layer = build()
        before = plain(layer.weight)
        convert(layer)
        assert all(tensor.dtype == torch.float64 for tensor in (layer.weight, layer.latent, layer.gain))
        torch.testing.assert_close(plain(layer.weight).float(), before)
        x = torch.randn(case[2], dtype=torch.float64)
        torch.testing.assert_close(layer(x), self.torch_layer(layer, case)(x))

    def test_bfloat16_autocast(self, build, case, rule):
        layer, x = build(), torch.randn(case[2])
        exact = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            output = layer(x)
        assert output.dtype == torch.bfloat16
        torch.testing.assert_close(output.float(), exact, rtol=0.05, atol=0.05)
        output.sum().backward()
        assert layer.latent.grad.dtype == torch.float32
        torch.testing.assert_close(layer.weight.detach(), build().weight.detach())  # the draw is the same

    # ---- torch.func -----------------------------------------------------------------------------

    def test_functional_call(self, build, case, rule):
        layer, other = build(0), build(1)
        x = torch.randn(case[2])
        own, before = layer(x), plain(layer.weight)
        assert torch.equal(functional_call(layer, dict(layer.named_parameters()), x), own)
        other.set_draw(layer.weight_draw)
        other.draw.forget()
        assert torch.equal(functional_call(layer, dict(other.named_parameters()), x), other(x))
        assert torch.equal(plain(layer.weight), before)

    def test_vmap_over_stacked_parameters(self, build, case, rule):
        layers = [build(seed) for seed in range(3)]
        for layer in layers:
            layer.set_draw(layers[0].weight_draw)
            layer.draw.forget()
        x = torch.randn(case[2])
        parameters, buffers = stack_module_state(layers)
        base = copy.deepcopy(layers[0])

        def run(parameters, buffers):
            return functional_call(base, (parameters, buffers), (x,))

        same = vmap(run, randomness="same")(parameters, buffers)
        torch.testing.assert_close(same, torch.stack([layer(x) for layer in layers]))

        equal = {name: value[:1].expand_as(value) for name, value in parameters.items()}
        different = vmap(run, randomness="different")(equal, buffers)
        random = rule.needs_noise(rule.training_kind)
        assert torch.equal(different[0], different[1]) != random
        assert torch.equal(different[1], different[2]) != random

    def test_per_example_gradients(self, build, case, rule):
        layer = build()
        x = torch.randn(case[2])
        parameters = {name: value.detach() for name, value in layer.named_parameters()}

        def loss(parameters, example):
            return functional_call(layer, parameters, (example,)).sigmoid().square().sum()

        gradients = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
        for index, example in enumerate(x):
            layer.zero_grad()
            layer(example).sigmoid().square().sum().backward()
            for name, parameter in layer.named_parameters():
                torch.testing.assert_close(gradients[name][index], parameter.grad)

    @pytest.mark.slow
    def test_compiled(self, build, case, rule):
        torch.compiler.reset()
        layer, x = build(), torch.randn(case[2])
        compiled = torch.compile(layer, backend="eager", fullgraph=True)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
        for _ in range(3):
            torch.testing.assert_close(compiled(x), layer(x))
            compiled(x).square().sum().backward()
            gradients = [parameter.grad.clone() for parameter in layer.parameters()]
            layer.zero_grad()
            layer(x).square().sum().backward()
            for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
                torch.testing.assert_close(parameter.grad, gradient)
            optimizer.step()
            optimizer.zero_grad()
        sb.resample_(layer)
        torch.testing.assert_close(compiled(x), layer(x))
