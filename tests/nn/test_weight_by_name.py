"""The latent among parameters and in checkpoints: found by the word "weight", and never taken for a real weight."""

import pytest
import torch
import torch.nn.utils.prune
from torch import nn

import snntorch_binary as sb

RULES = [sb.Sign(), sb.Bernoulli()]
each_rule = pytest.mark.parametrize("rule", RULES, ids=repr)


def float_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def binary_net(rule, seed=0):
    net = float_net(seed)
    sb.binarize_(net, rule)
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.latent.copy_(torch.randn(layer.latent.shape) * 2)
    return net


@each_rule
def test_parameters_chosen_by_the_word_weight_are_the_latents(rule):
    net = binary_net(rule)
    chosen = [value for name, value in net.named_parameters() if name.endswith(".weight")]
    assert [id(value) for value in chosen] == [id(net[0].latent), id(net[2].latent)]


@each_rule
def test_parameters_set_by_the_names_they_have_stay_as_they_are(rule):
    net = binary_net(rule)
    before = net[0].latent.detach().clone()
    for name, value in list(net[0].named_parameters()):
        setattr(net[0], name, value)
    assert torch.equal(net[0].latent, before)


@each_rule
def test_a_part_of_a_float_checkpoint_loads(rule):
    source = float_net(1).state_dict()
    part = {key: value for key, value in source.items() if key.startswith("0.")}
    for strict_part in (part, {"0.weight": source["0.weight"]}):
        net = binary_net(rule)
        other = net[2].latent.detach().clone()
        missing, unexpected = net.load_state_dict(strict_part, strict=False)
        assert torch.equal(net[0].latent, rule.initial_latent(source["0.weight"]))
        assert torch.equal(net[2].latent, other)
        assert "2.weight" in missing
        assert not unexpected


@each_rule
def test_the_filter_of_every_tutorial_finds_the_weights(rule):
    net, source = binary_net(rule), float_net(1).state_dict()
    known = net.state_dict()
    part = {key: value for key, value in source.items() if key in known and value.shape == known[key].shape}
    assert part.keys() == source.keys()
    net.load_state_dict(part, strict=False)
    assert torch.equal(net[0].latent, rule.initial_latent(source["0.weight"]))


@each_rule
def test_weights_of_a_binary_checkpoint_chosen_by_that_word_stay_latents(rule):
    source, net = binary_net(rule, 1), binary_net(rule, 2)
    part = {key: value for key, value in source.state_dict().items() if "weight" in key}
    net.load_state_dict(part, strict=False)
    assert torch.equal(net[0].latent, source[0].latent)
    assert torch.equal(net.train()[0].in_force(), source.train()[0].in_force())


@each_rule
def test_a_part_of_a_float_checkpoint_loads_through_the_networks_own_state(rule):
    """Three lines of many tutorials: filter, update, load."""
    net, source = binary_net(rule), float_net(1).state_dict()
    for value in source.values():
        value.mul_(0.2)
    state = net.state_dict()
    state.update({key: value for key, value in source.items() if key in state and key.startswith("0.")})
    other = net[2].latent.detach().clone()
    net.load_state_dict(state)
    assert torch.equal(net[0].latent, rule.initial_latent(source["0.weight"]))
    assert torch.equal(net[2].latent, other)


@each_rule
def test_averages_of_latents_load_through_the_networks_own_state(rule):
    net, clients = binary_net(rule), [binary_net(rule), binary_net(rule)]
    with torch.no_grad():
        for client in clients:
            client[0].latent.add_(0.3 * torch.randn(5, 6))
    mean = (clients[0][0].latent.detach() + clients[1][0].latent.detach()) / 2
    net.load_state_dict({**net.state_dict(), "0.weight": mean})
    assert torch.equal(net[0].latent, mean)
    half = {key: value.half() if value.is_floating_point() else value for key, value in clients[0].state_dict().items()}
    net.load_state_dict(half)
    assert torch.equal(net[0].latent, clients[0][0].latent.half().float())


def test_a_weight_put_beside_another_draw_is_refused_where_it_can_be_two_things():
    net, source = binary_net(sb.Bernoulli()), float_net(1).state_dict()
    source["0.weight"].mul_(2)  # a quarter of the latent's mean size
    before = net[0].latent.detach().clone()
    with pytest.raises(RuntimeError, match=r"'0\.weight' are not those that '0\.weight_draw' was saved with: drop"):
        net.load_state_dict({**net.state_dict(), **source})
    assert torch.equal(net[0].latent, before)
    latents = {"0.latent": torch.full((5, 6), 0.5), "2.latent": torch.full((3, 5), -0.5)}
    net.load_state_dict({**net.state_dict(), **latents})
    assert net[0].latent.unique().tolist() == [0.5]
    state = {key: value for key, value in net.state_dict().items() if not key.endswith("_draw")}
    net.load_state_dict({**state, **source})
    assert torch.equal(net[0].latent, sb.Bernoulli().initial_latent(source["0.weight"]))


def test_a_sign_layer_takes_both_for_they_are_one():
    net, source = binary_net(sb.Sign()), float_net(1).state_dict()
    net.load_state_dict({**net.state_dict(), **source})
    assert torch.equal(net[0].latent, source["0.weight"])


def test_a_target_network_may_average_whole_state_dicts():
    policy, target = binary_net(sb.Bernoulli(), 1), binary_net(sb.Bernoulli(), 2)
    wanted = 0.25 * policy[0].latent.detach() + 0.75 * target[0].latent.detach()
    state, theirs = target.state_dict(), policy.state_dict()
    target.load_state_dict({key: 0.25 * theirs[key] + 0.75 * state[key] for key in state})
    torch.testing.assert_close(target[0].latent.detach(), wanted)


@each_rule
def test_checkpoints_of_older_versions_load(rule):
    source, net = binary_net(rule, 1), binary_net(rule, 2)
    older = {}
    for key, value in source.state_dict().items():
        layer, _, name = key.partition(".")
        if name == "weight_draw":
            older[f"{layer}._extra_state"] = value[:2]
        else:
            older[f"{layer}.latent" if name == "weight" else key] = value
    assert not any(net.load_state_dict(older))
    assert torch.equal(net[0].latent, source[0].latent)
    assert torch.equal(net.train()[0].in_force(), source.train()[0].in_force())


def test_a_draw_that_is_none():
    state = {**binary_net(sb.Sign()).state_dict(), "0.weight_draw": torch.zeros(7, dtype=torch.int64)}
    with pytest.raises(RuntimeError, match=r"Expected '0\.weight_draw' to be 4 integers, but got shape \(7,\)"):
        binary_net(sb.Sign()).load_state_dict(state)


# ---- what users' code does to a weight ----------------------------------------------------------


@each_rule
def test_frozen_by_the_weight(rule):
    for freeze in (
        lambda layer: setattr(layer.weight, "requires_grad", False),
        lambda layer: layer.weight.requires_grad_(False),
    ):
        net = binary_net(rule)
        freeze(net[0])
        assert not net[0].latent.requires_grad
        assert not net[0].weight.requires_grad
        net(torch.ones(2, 6)).sum().backward()
        assert net[0].latent.grad is None
        net[0].weight.requires_grad = True
        assert net[0].latent.requires_grad


@each_rule
def test_a_subclass_that_starts_in_its_own_way(rule):
    class Mine(sb.nn.Linear):
        def reset_parameters(self):
            nn.init.constant_(self.weight, -0.25)
            self.weight.data[0] = 0.5
            nn.init.zeros_(self.bias)

    layer = Mine(4, 3, weight=rule)
    wanted = torch.full((3, 4), -0.25)
    wanted[0] = 0.5
    for _ in range(2):
        assert torch.equal(layer.latent, rule.initial_latent(wanted))
        assert not layer.bias.any()
        with torch.no_grad():
            layer.latent.copy_(torch.randn(3, 4))
            layer.bias.fill_(1.0)
        layer.reset_parameters()


@pytest.mark.parametrize("where", ["init", "apply"])
def test_a_network_that_starts_its_own_weights_under_the_changed_import(where):
    """What public networks do in ``__init__`` or by ``net.apply``."""

    def start(module):
        torch.manual_seed(0)  # building a binary layer has drawn a seed of its own
        if isinstance(module, torch.nn.Linear):
            nn.init.xavier_uniform_(module.weight, gain=2.0)
            module.weight.data.mul_(0.5).add_(0.01)
            module.weight.data.clamp_(-1, 1)
        elif isinstance(module, torch.nn.Conv2d):
            size = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            module.weight.data.normal_(0, (2.0 / size) ** 0.5)
        if getattr(module, "bias", None) is not None:
            module.bias.data.fill_(0.1)

    def make(of):
        net = nn.Sequential(of.Conv2d(1, 2, 3), of.Flatten(), of.Linear(18, 3))
        return net.apply(start) if where == "apply" else nn.Sequential(*[start(part) or part for part in net])

    binary, real = make(sb.nn), make(nn)
    assert torch.equal(binary[0].latent, real[0].weight)
    assert torch.equal(binary[2].bias, real[2].bias)
    # The second line of the Linear's start works on the weight in force, whose sign is that of the first.
    assert binary[2].latent.abs().max() <= 1


@pytest.mark.parametrize("scale", ["fan_in", "channel"])
@pytest.mark.parametrize("rule", [sb.Sign(), sb.Sign("identity"), *RULES], ids=repr)
def test_the_gradient_of_the_weight_in_force(rule, scale):
    """That of a real layer with the same weights, over steps, sums of backward passes and both kinds of zero."""
    torch.manual_seed(0)
    layer = sb.nn.BinaryLinear(6, 5, weight=rule, scale=scale)
    assert layer.weight.grad is None
    with torch.no_grad():
        layer.latent.copy_(torch.randn(5, 6))
    real = sb.freeze(layer)
    real.weight.requires_grad_().data.copy_(layer.weight.detach())
    for accumulate in (False, True):
        for to_none in (True, False):
            layer.zero_grad(to_none)
            real.zero_grad(to_none)
            for _ in range(1 + accumulate):
                x = torch.randn(4, 6)
                for net in (layer, real):
                    hidden = net(x)
                    (net(hidden.sum() + x) * hidden.cos()).sum().backward()
            torch.testing.assert_close(layer.weight.grad, real.weight.grad)
            assert layer.weight.data.grad is None
    layer.zero_grad(False)
    with pytest.raises(RuntimeError, match=r"at `layer\.latent`"):
        layer.weight.grad  # noqa: B018
    layer(x).square().sum().backward()
    torch.optim.SGD([layer.latent], lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"at `layer\.latent`"):
        layer.weight.grad  # noqa: B018


def test_where_hooks_are():
    layer = binary_net(sb.Sign("identity"))[0]
    layer(torch.ones(2, 6)).sum().backward()
    for look in (
        lambda: layer.latent.grad.mul_(0.5) is None or layer.weight.grad,  # as clipping does
        lambda: layer.weight.register_hook(print),
        lambda: layer.weight.retain_grad(),
        lambda: setattr(layer.weight, "grad", torch.ones(5, 6)),
    ):
        with pytest.raises(
            RuntimeError, match=r"the gradient that learning has, and the place for hooks, is at `layer\.latent`"
        ):
            look()
    assert layer.latent.grad is not None
    layer.weight.grad = None
    assert layer.latent.grad is None


def test_writes_that_nobody_could_hear_of_are_refused():
    layer = sb.nn.BinaryLinear(4, 3)
    with pytest.raises(ValueError, match="read-only"):
        layer.weight.detach().numpy()[0] = 1.0
    with pytest.raises(RuntimeError, match="cannot change its shape, but `resize_`"):
        layer.weight.data.resize_(2, 2)
    with pytest.raises(ValueError, match=r"of shape \(3, 4\)"):
        layer.weight.data = torch.ones(2, 2)


def test_a_parameter_made_of_the_weight_is_its_own():
    layer = sb.nn.BinaryLinear(4, 3)
    before = layer.latent.detach().clone()
    own = nn.Parameter(layer.weight.data)
    assert isinstance(own, nn.Parameter)
    assert own.requires_grad
    optimizer = torch.optim.SGD([own], lr=1.0)
    own.sum().backward()
    optimizer.step()
    assert torch.equal(layer.latent, before)
    torch.testing.assert_close(own.detach() + 1, layer.weight.detach() + 0)
    assert layer.latent.requires_grad


@pytest.mark.parametrize("fold", ["linear", "conv"])
def test_a_batch_norm_folds_into_a_layer_with_gains_or_a_frozen_one(fold):
    from torch.nn.utils import fuse_conv_bn_eval, fuse_linear_bn_eval

    torch.manual_seed(0)
    if fold == "linear":
        make, norm, fuse = lambda **k: sb.nn.Linear(8, 6, **k), nn.BatchNorm1d(6), fuse_linear_bn_eval
        x = torch.randn(4, 8)
    else:
        make, norm, fuse = lambda **k: sb.nn.Conv2d(3, 6, 3, **k), nn.BatchNorm2d(6), fuse_conv_bn_eval
        x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 2)
        norm.weight.uniform_(-2, 2)
    norm.eval()
    layer = make(scale="channel").eval()
    torch.testing.assert_close(fuse(layer, norm)(x), norm(layer(x)))
    layer = make().eval()
    torch.testing.assert_close(fuse(sb.freeze(layer).eval(), norm)(x), norm(layer(x)))
    with pytest.raises(TypeError, match=r"got a binary one, whose weights have one magnitude: use .*freeze"):
        fuse(layer, norm)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize(
    "take",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.orthogonal,
        lambda layer: nn.utils.prune.l1_unstructured(layer, "weight", 2),
        lambda layer: nn.utils.prune.custom_from_mask(layer, "weight", torch.ones(3, 4)),
        lambda layer: delattr(layer, "weight"),
    ],
)
def test_what_would_take_the_weight_away_is_refused_and_leaves_the_layer_as_it_was(take):
    layer, x = sb.nn.BinaryLinear(4, 3), torch.ones(2, 4)
    latent, before = layer.latent, layer(x)
    with pytest.raises(TypeError, match=r"use them on a real layer, or on snntorch_binary\.freeze"):
        take(layer)
    assert layer.latent is latent
    assert type(layer) is sb.nn.BinaryLinear
    assert torch.equal(layer(x), before)


@pytest.mark.parametrize("rule", [sb.Sign(), sb.Bernoulli()], ids=repr)
def test_sharded_parameters_are_refused(rule, tmp_path):
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not hasattr(fsdp, "fully_shard"):
        pytest.skip("torch is older than fully_shard")
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        with pytest.raises(TypeError, match="got shards: a binary layer makes its weights of the whole latent"):
            fsdp.fully_shard(sb.nn.BinaryLinear(4, 3, weight=rule))
    finally:
        torch.distributed.destroy_process_group()


# ---- float16 and sizes of zero -------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["fan_in", "channel", 0.05])
def test_float16_is_finite_where_the_frozen_layer_is(scale):
    for layer, x in (
        (nn.Linear(784, 10), torch.full((2, 784), 255.0)),
        (nn.Conv2d(512, 8, 3), torch.full((1, 512, 4, 4), 20.0)),
        (nn.Conv1d(900, 8, 3), torch.full((3, 2, 900, 4), 20.0)),
    ):
        with torch.no_grad():
            layer.weight.abs_()
        sb.binarize_(layer, sb.Sign(), scale=scale)
        exact = layer(x)
        with torch.autocast("cpu", dtype=torch.float16):
            output = layer(x)
            output.float().sum().backward()
        assert output.dtype == torch.float16
        torch.testing.assert_close(output.float(), exact, rtol=5e-3, atol=0.5)
        assert layer.latent.grad.isfinite().all()
        torch.testing.assert_close(layer.half()(x.half()).float(), exact, rtol=5e-3, atol=0.5)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("scale", ["fan_in", "channel"])
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 0), (0, 4)])
def test_layers_without_outputs_or_inputs_are_as_torchs(inputs, outputs, scale):
    net = nn.Sequential(nn.Linear(inputs, outputs))
    x = torch.ones(2, inputs)
    shape = net(x).shape
    sb.binarize_(net, sb.Bernoulli(), scale=scale)
    net[0].reset_parameters()
    net[0](x).sum().backward()
    for other in (net, sb.freeze(net), sb.unbinarize_(net)):
        assert other(x).shape == shape


# ---- lazy layers ---------------------------------------------------------------------------------


@each_rule
@pytest.mark.parametrize(
    ("lazy", "arguments", "x", "kind"),
    [
        (sb.nn.LazyLinear, (5,), torch.ones(2, 4), sb.nn.BinaryLinear),
        (sb.nn.LazyConv1d, (5, 3), torch.ones(2, 4, 6), sb.nn.BinaryConv1d),
        (sb.nn.LazyConv2d, (5, 3), torch.ones(2, 4, 6, 6), sb.nn.BinaryConv2d),
        (sb.nn.LazyConv3d, (5, 3), torch.ones(2, 4, 6, 6, 6), sb.nn.BinaryConv3d),
    ],
)
def test_a_lazy_layer_is_binary_from_its_first_input_on(lazy, arguments, x, kind, rule):
    net = nn.Sequential(lazy(*arguments, weight=rule, scale="channel"))
    first = net(x)
    assert type(net[0]) is kind
    assert net[0].rule == rule
    assert torch.equal(first, net(x))
    net.eval()
    magnitude = net[0].fan_in ** -0.5
    torch.testing.assert_close(net[0].weight.abs().detach() + 0, torch.full_like(net[0].latent.detach(), magnitude))
