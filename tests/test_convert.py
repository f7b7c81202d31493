"""Models that exist: `binarize_`, `unbinarize_`, `freeze`, `summary`, `reset`."""

import copy
import pickle

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn

import snntorch_binary as sb

RULES = [sb.Sign(), sb.Bernoulli(), sb.Bernoulli(estimator="gumbel")]
each_rule = pytest.mark.parametrize("rule", RULES, ids=repr)


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 3))


def convolutional():
    """One of each layer that has a binary form, none of them spiking."""
    return nn.Sequential(
        nn.Conv3d(1, 2, 2, padding=1, padding_mode="replicate"),
        nn.Flatten(2, 3),
        nn.Conv2d(2, 4, 3, stride=2, groups=2),
        nn.BatchNorm2d(4),
        nn.Flatten(2, 3),
        nn.Conv1d(4, 3, 3, padding="same", bias=False),
        nn.Flatten(),
        nn.LazyLinear(5),
    )


# ---- binarize_ ---------------------------------------------------------------------------------


@each_rule
def test_layers_become_binary_and_start_from_their_weights(rule):
    net = nn.ModuleDict({"a": mlp(), "b": nn.ModuleList([nn.Conv2d(2, 3, 3), nn.Sequential(nn.Conv1d(1, 1, 1))])})
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    report = sb.binarize_(net, rule)
    assert report.converted == ("a.0", "a.2.0", "a.3", "b.0", "b.1.0")
    assert report.skipped == {}
    for name in report.converted:
        layer = net.get_submodule(name)
        assert type(layer).__name__ == "Binary" + {"a": "Linear", "b.0": "Conv2d", "b.1.0": "Conv1d"}.get(
            name, "Linear"
        )
        assert layer.rule == rule
        assert torch.equal(layer.latent.detach(), rule.initial_latent(before[f"{name}.weight"]))
        assert torch.equal(layer.bias, before[f"{name}.bias"])
    assert {name for name, _ in net.named_parameters()} == set(before)


def test_the_root_itself_may_be_a_layer():
    net = nn.Linear(4, 2)
    report = sb.binarize_(net, sb.Sign())
    assert report.converted == ("",)
    assert type(net) is sb.nn.BinaryLinear
    assert "(the model)" in str(report)
    assert net(torch.ones(1, 4)).shape == (1, 2)


def test_the_recurrent_layer_inside_a_neuron():
    neuron = snn.RLeaky(beta=0.9, linear_features=5, init_hidden=True)
    net = nn.Sequential(nn.Linear(3, 5), neuron)
    report = sb.binarize_(net, sb.Bernoulli())
    assert report.converted == ("0", "1.recurrent")
    net(torch.rand(2, 3))
    net(torch.rand(2, 3)).sum().backward()
    assert neuron.recurrent.latent.grad is not None
    assert torch.equal(neuron.recurrent.weight.abs(), torch.full((5, 5), 5**-0.5))


def tied_pair():
    net = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    net[2].weight = net[0].weight
    return net


@each_rule
@pytest.mark.parametrize("scale", ["fan_in", "channel"])
def test_tied_weights_stay_tied(rule, scale):
    net = tied_pair()
    weight = net[0].weight.detach().clone()
    sb.binarize_(net, rule, scale=scale)
    assert net[0].latent is net[2].latent
    assert net[0].draw is net[2].draw
    assert torch.equal(net[0].latent.detach(), rule.initial_latent(weight))
    assert torch.equal(net[0].weight, net[2].weight)
    if scale == "channel":
        for layer in (net[0], net[2]):
            torch.testing.assert_close(
                layer.weight.abs().mean(1) if rule.training_kind != "relaxed" else layer.gain.detach() * 5**-0.5,
                weight.abs().mean(1),
            )
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    assert torch.equal(net[0].weight, net[2].weight)


def test_a_weight_shared_with_a_module_that_stays_real_is_left_alone():
    embedding, head, other = nn.Embedding(7, 5), nn.Linear(5, 7), nn.Linear(5, 5)
    head.weight = embedding.weight
    net = nn.Sequential(embedding, other, head)
    before = head.weight.detach().clone()
    report = sb.binarize_(net, sb.Bernoulli())
    assert report.converted == ("1",)
    assert report.skipped["2"] == "its weight is shared with Embedding, which stays real"
    assert "Embedding" in report.skipped["0"]
    assert torch.equal(head.weight, before)
    assert head.weight is embedding.weight


def test_of_tied_layers_filter_fn_takes_all_or_none():
    net = nn.Sequential(tied_pair(), nn.Linear(5, 5))
    before = net[0][2].weight.detach().clone()
    report = sb.binarize_(net, sb.Bernoulli(), lambda module, name: name != "0.2")
    assert report.converted == ("1",)
    assert report.skipped == {
        "0.0": "its weight is shared with Linear, which stays real",
        "0.2": "left real, as filter_fn says",
    }
    assert torch.equal(net[0][0].weight, before)
    assert torch.equal(net[0][2].weight, before)


class Scaled(nn.Linear):
    """Leaves its weight to torch's Linear."""

    def forward(self, x):
        return 2 * super().forward(x)


class Stepping(nn.Conv2d):
    """A convolution with a mode for one time step and one for many, as other libraries have them."""

    def __init__(self, *args, step_mode="s", **kwargs):
        super().__init__(*args, **kwargs)
        self.step_mode = step_mode

    def extra_repr(self):
        return f"{super().extra_repr()}, step_mode={self.step_mode}"

    def forward(self, x):
        if self.step_mode == "s":
            return super().forward(x)
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Empty(nn.Linear):
    """Nothing of its own."""


class Started(nn.Linear):
    """Starts in its own way."""

    def reset_parameters(self):
        nn.init.constant_(self.weight, 0.25)
        nn.init.zeros_(self.bias)


@each_rule
@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda: Empty(6, 4), torch.ones(2, 6)),
        (lambda: Scaled(6, 4), torch.ones(2, 6)),
        (lambda: Started(6, 4), torch.ones(2, 6)),
        (lambda: Stepping(2, 3, 3, padding=1), torch.ones(2, 2, 5, 5)),
        (lambda: Stepping(2, 3, 3, step_mode="m"), torch.ones(4, 2, 2, 5, 5)),
    ],
)
def test_a_subclass_that_leaves_the_weight_to_torch_is_converted_frozen_and_copied(make, x, rule):
    net = nn.Sequential(make())
    kind, float_weight = type(net[0]), net[0].weight.detach().clone()
    assert sb.binarize_(net, rule).converted == ("0",)
    assert isinstance(net[0], kind)
    assert isinstance(net[0], sb.nn.BinaryLinear if kind is not Stepping else sb.nn.BinaryConv2d)
    assert torch.equal(net[0].latent, rule.initial_latent(float_weight))
    net.eval()
    frozen = sb.freeze(net)
    assert type(frozen[0]) is kind
    torch.testing.assert_close(frozen(x), net(x))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(other[0]) is type(net[0])
        assert torch.equal(other(x), net(x))
        with torch.no_grad():
            other[0].latent.neg_()
        torch.testing.assert_close(other(x) - other[0].forward(0 * x), net[0].forward(0 * x) - net(x))
    before = net[0].latent.detach().clone()
    net[0].reset_parameters()
    if kind is Started:
        assert torch.equal(net[0].latent, rule.initial_latent(torch.full((4, 6), 0.25)))
    elif isinstance(rule, sb.Sign):
        assert not torch.equal(net[0].latent, before)
    assert type(sb.unbinarize_(net)[0]) is kind


def test_what_is_not_converted_and_why():
    class Shifted(nn.Linear):
        def forward(self, x):
            return nn.functional.linear(x, self.weight + 1, self.bias)

    net = nn.ModuleDict(
        {
            "linear": nn.Linear(4, 4),
            "refused": nn.Linear(4, 4),
            "subclass": Shifted(4, 4),
            "parametrized": nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
            "lazy": nn.LazyLinear(4),
            "attention": nn.MultiheadAttention(4, 2),
            "norm": nn.LayerNorm(4),
            "bilinear": nn.Bilinear(2, 2, 2),
            "complex": nn.Linear(4, 4, dtype=torch.complex64),
        }
    )
    asked = []
    weights = {name: value for name, value in net.state_dict().items() if "lazy" not in name}
    weights = copy.deepcopy(weights)
    report = sb.binarize_(net, sb.Bernoulli(), lambda module, name: asked.append((module, name)) or name != "refused")
    assert report.converted == ("linear",)
    assert asked == [(net["linear"], "linear"), (net["refused"], "refused")]
    reasons = {
        "refused": "left real, as filter_fn says",
        "subclass": "a subclass of Linear",
        "parametrized": "parametrized",
        "lazy": "run the model once before",
        "attention": "in_proj_weight stays real",
        "attention.out_proj": "a subclass of Linear",
        "bilinear": "Bilinear has no binary form",
        "complex": "torch.complex64",
    }
    for name, reason in reasons.items():
        assert reason in report.skipped[name]
        assert name in str(report)
        assert report.skipped[name] in str(report)
    assert "norm" not in report.skipped
    for name, value in weights.items():
        if not name.startswith("linear."):
            assert torch.equal(net.state_dict()[name], value)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
def test_the_old_weight_norm_is_left_alone():
    net = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 4))
    assert sb.binarize_(net, sb.Sign()).skipped == {"0": "its weight is computed by weight_norm or pruning"}


def test_a_lazy_layer_that_has_run_is_converted():
    net = nn.Sequential(nn.LazyLinear(3))
    net(torch.zeros(1, 4))
    assert sb.binarize_(net, sb.Sign()).converted == ("0",)


def test_an_optimizer_made_before_keeps_working():
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    sb.binarize_(net, sb.Sign())
    latents = [layer.latent.detach().clone() for layer in sb.weights.binary_layers(net).values()]
    net(torch.randn(20, 6)).square().sum().backward()
    optimizer.step()
    for layer, before in zip(sb.weights.binary_layers(net).values(), latents, strict=True):
        assert not torch.equal(layer.latent, before)


def test_hooks_and_references_survive():
    net, seen = mlp(), []
    layer = net[3]
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    sb.binarize_(net, sb.Sign())
    net(torch.zeros(2, 6))
    assert net[3] is layer
    assert seen == [(2, 3)]


def test_a_zero_by_chance_among_very_many_weights_is_no_pruned_one():
    net = nn.Linear(500, 400)
    with torch.no_grad():
        net.weight[net.weight == 0] = 0.01
        net.weight[0, 0] = 0
    sb.binarize_(net, sb.Sign())  # warnings are errors here


def test_channel_scale_starts_at_the_magnitude_of_the_weights():
    net = nn.Conv2d(2, 4, 3)
    with torch.no_grad():
        net.weight[1].zero_()
    magnitude = net.weight.detach().abs().mean((1, 2, 3))
    with pytest.warns(UserWarning, match="18 of 72 weights are exactly 0"):
        sb.binarize_(net, sb.Sign(), scale="channel")
    got = net.weight.detach().abs().mean((1, 2, 3))
    torch.testing.assert_close(got[[0, 2, 3]], magnitude[[0, 2, 3]])
    assert got[1] > 0  # a silent output keeps a scale that can learn


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            nn.Sequential(nn.Tanh()),
            "`model` to be a model with a Linear or Conv layer to convert, but got Sequential",
        ),
        (nn.Sequential(nn.LSTM(3, 3)), "LSTM has no binary form"),
    ],
)
def test_nothing_to_convert(model, message):
    with pytest.raises(ValueError, match=message):
        sb.binarize_(model, sb.Sign())


def test_converting_twice():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    sb.binarize_(net, sb.Bernoulli(), lambda module, name: name == "1")
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(
        ValueError, match="`model` to be a model without binary layers, but got one where '1' is binary"
    ):
        sb.binarize_(net, sb.Sign())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [(("bayes",), TypeError, "a weight rule .*, but got 'bayes'"), ((sb.Sign,), TypeError, "a weight rule")],
)
def test_a_rule_that_is_none(arguments, error, message):
    net = mlp()
    with pytest.raises(error, match=message):
        sb.binarize_(net, *arguments)
    assert type(net[0]) is nn.Linear


# ---- unbinarize_ -------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["fan_in", "channel", 2.0])
def test_sign_round_trip_is_bit_exact(scale):
    net = convolutional()
    net(torch.randn(2, 1, 4, 5, 5))
    plain = copy.deepcopy(net)
    sb.binarize_(net, sb.Sign(), scale=scale)
    assert sb.unbinarize_(net) is net
    assert [type(module) for module in net.modules()] == [type(module) for module in plain.modules()]
    assert list(net.state_dict()) == list(plain.state_dict())
    for name, value in net.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name])
    assert pickle.dumps(net).count(b"snntorch_binary") == 0


def test_bernoulli_gives_its_mean():
    net = mlp()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.4), scale="channel")
    with sb.sampled(net, "mean"):
        means = [layer.weight.detach().clone() for layer in sb.weights.binary_layers(net).values()]
    sb.unbinarize_(net)
    for layer, mean in zip((net[0], net[2][0], net[3]), means, strict=True):
        torch.testing.assert_close(layer.weight.detach(), mean.as_subclass(torch.Tensor))
        assert layer.weight.requires_grad
    net(torch.randn(4, 6)).sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    sb.binarize_(net, sb.Sign())  # and back again


def test_unbinarize_keeps_ties():
    net = tied_pair()
    sb.binarize_(net, sb.Bernoulli())
    sb.unbinarize_(net)
    assert net[0].weight is net[2].weight


# ---- freeze ------------------------------------------------------------------------------------


@each_rule
@pytest.mark.parametrize("scale", ["fan_in", "channel", 0.3])
@pytest.mark.parametrize("kind", ["mode", "binary", "mean", "relaxed"])
def test_frozen_is_plain_and_computes_the_same(rule, scale, kind):
    net, x = convolutional(), torch.randn(2, 1, 4, 5, 5)
    net(x)
    sb.binarize_(net, rule, scale=scale)
    net.eval()
    before, weight = copy.deepcopy(net.state_dict()), net[0].weight.detach().clone()
    frozen = sb.freeze(net, kind, torch.Generator().manual_seed(4))
    assert all(type(module).__module__.startswith("torch.nn") for module in frozen.modules())
    assert b"snntorch_binary" not in pickle.dumps(frozen)
    with sb.sampled(net, kind, torch.Generator().manual_seed(4)):
        torch.testing.assert_close(frozen(x), net(x), rtol=1e-5, atol=1e-6)
        assert torch.equal(frozen[0].weight, net[0].weight.as_subclass(torch.Tensor))
    if kind in ("mode", "binary"):
        magnitudes = frozen[0].weight.abs().flatten(1)
        assert torch.equal(magnitudes, magnitudes[:, :1].expand_as(magnitudes))
    assert not any(frozen[i].weight.requires_grad for i in (0, 2, 5, 7))
    # The model is left as it was.
    assert type(net[0]) is sb.nn.BinaryConv3d
    assert torch.equal(net[0].weight, weight)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_freeze_after_a_forward_pass_with_gradients():
    net = nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True))
    sb.binarize_(net, sb.Bernoulli())
    net(torch.rand(2, 4))
    membrane = net[1].mem
    assert membrane.grad_fn is not None
    frozen = sb.freeze(net)
    assert frozen[1].mem.grad_fn is None
    assert torch.equal(frozen[1].mem, membrane)
    assert net[1].mem is membrane


def test_a_time_first_convolution_freezes_inside_time_first():
    net = nn.Sequential(sb.nn.TimeFirst(nn.Conv2d(1, 2, 3)), sb.nn.TimeFirst(nn.Flatten()), nn.Linear(72, 3))
    sb.binarize_(net, sb.Bernoulli())
    x = torch.rand(5, 2, 1, 8, 8)
    torch.testing.assert_close(sb.freeze(net)(x), net.eval()(x))


@pytest.mark.parametrize("use", [sb.freeze, sb.unbinarize_])
def test_without_binary_layers_or_with_ones_of_your_own(use):
    class Mine(sb.nn.BinaryLinear):
        def forward(self, x):
            return -super().forward(x)

    with pytest.raises(ValueError, match="`net` to be a network with binary layers"):
        use(mlp())
    net = nn.Sequential(sb.nn.BinaryLinear(2, 2), Mine(2, 2))
    with pytest.raises(TypeError, match=r"`model` to be one whose binary layers are .*, but got a Mine"):
        use(net)
    assert type(net[0]) is sb.nn.BinaryLinear


@pytest.mark.parametrize("use", [sb.freeze, sb.unbinarize_])
def test_an_empty_subclass_of_a_binary_layer_is_taken_as_one(use):
    class Mine(sb.nn.BinaryLinear):
        def __init__(self, size):
            super().__init__(size, size, weight=sb.Bernoulli())

    assert type(use(nn.Sequential(Mine(3)))[0]) is nn.Linear


def test_zeros_of_pruned_weights_are_spoken_of():
    net = nn.Sequential(nn.Linear(4, 3))
    with torch.no_grad():
        net[0].weight[0, :2] = 0.0
    with pytest.warns(UserWarning, match=r"Linear: 2 of 12 weights are exactly 0 \(pruned or masked\)"):
        sb.binarize_(net, sb.Sign())
    state = nn.Sequential(nn.Linear(4, 3)).state_dict()
    state["0.weight"] = torch.zeros(3, 4)
    with pytest.warns(UserWarning, match=r"12 of 12 weights are exactly 0"):
        net.load_state_dict(state)


def test_what_stays_real_is_logged(caplog):
    net = nn.Sequential(nn.Linear(4, 3), nn.LSTM(3, 3), nn.Linear(3, 2))
    sb.binarize_(net, sb.Sign(), lambda module, name: name != "2")
    (record,) = caplog.records
    assert "binarize_ leaves real: 1 (LSTM has no binary form" in record.getMessage()
    assert "filter_fn" not in record.getMessage()


def test_graph_tensors_that_a_model_keeps_in_lists_are_copied():
    class Recording(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.seen, self.by_name = nn.Linear(4, 3), [], {"last": ()}

        def forward(self, x):
            y = self.fc(x)
            self.seen.append(y)
            self.by_name["last"] = (y, [y * 2])
            return y

    net = Recording()
    sb.binarize_(net, sb.Sign())
    y = net(torch.ones(2, 4))
    frozen = sb.freeze(net)
    assert torch.equal(frozen.seen[0], y)
    assert frozen.seen[0] is frozen.by_name["last"][0]
    assert not frozen.by_name["last"][1][0].requires_grad
    assert net.seen[0] is y


def test_freeze_of_an_unknown_kind():
    with pytest.raises(ValueError, match=r"`kind` to be one of .*, but got 'best'"):
        sb.freeze(sb.nn.BinaryLinear(2, 2), "best")


# ---- summary -----------------------------------------------------------------------------------


def test_summary_by_hand():
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(5, 5), nn.Linear(5, 5, bias=False)
    )
    net[4].weight = net[3].weight
    sb.binarize_(net, sb.Bernoulli(), scale="channel")
    result = sb.summary(net)
    rows = {row.name: (row.module, row.rule, row.binary_weights, row.real_parameters) for row in result.rows}
    assert rows == {
        "0": ("BinaryConv2d", "Bernoulli()", 27, 3 + 3),  # bias and gain
        "1": ("BatchNorm2d", "real", 0, 6),
        "3": ("BinaryLinear", "Bernoulli()", 25, 5 + 5),
        "4": ("BinaryLinear", "Bernoulli()", 0, 5),  # tied: its gain alone
    }
    assert (result.binary_weights, result.real_parameters) == (52, 27)
    assert result.bytes_binary == 4 + 4 + 27 * 4  # 27 and 25 bits in whole bytes, layer by layer
    assert result.bytes_float32 == 79 * 4
    assert result.bits_per_weight == (52 + 27 * 32) / 79
    assert "52 binary weights, 27 real parameters, 11.59 bits per weight" in str(result)
    assert "116 bytes deployed, 316 in float32: 2.7x smaller" in str(result)


@pytest.mark.parametrize("scale", ["fan_in", "channel"])
def test_summary_of_a_packed_network_is_that_of_the_network(scale):
    net = nn.Sequential(
        sb.nn.BinaryConv2d(2, 9, 3, scale=scale),
        sb.nn.TimeFirst(nn.BatchNorm2d(9)),
        sb.nn.Leaky(beta=0.9, learn_beta=True),
        sb.nn.TimeFirst(nn.Flatten()),
        sb.nn.BinaryLinear(36, 5, bias=False, scale=scale),
    )
    if scale == "channel":
        for layer in (net[0], net[4]):
            nn.init.uniform_(layer.gain, 0.5, 2.0)
    ours, packed = sb.summary(net), sb.summary(sb.pack(net))
    assert packed.binary_weights == ours.binary_weights == 9 * 2 * 9 + 36 * 5
    assert packed.real_parameters == ours.real_parameters
    assert (packed.bits_per_weight, packed.bytes_float32) == (ours.bits_per_weight, ours.bytes_float32)
    assert packed.bytes_binary == ours.bytes_binary
    assert [row.rule for row in packed.rows] == ["packed", "real", "packed"]
    members = sb.summary(sb.pack(sb.Ensemble(nn.Sequential(nn.Flatten(2), net[4]), num_members=3)))
    assert members.binary_weights == 3 * 36 * 5


def test_summary_of_a_real_model():
    result = sb.summary(nn.Linear(3, 2))
    assert (result.binary_weights, result.real_parameters, result.bits_per_weight) == (0, 8, 32.0)
    assert sb.summary(nn.Tanh()).bits_per_weight == 0


# ---- reset -------------------------------------------------------------------------------------


def spiking():
    return nn.Sequential(
        nn.Sequential(nn.Linear(3, 4), snn.Leaky(beta=0.9, init_hidden=True)),
        nn.ModuleDict({"deep": nn.Sequential(snn.Synaptic(alpha=0.8, beta=0.9, init_hidden=True))})["deep"],
        sb.nn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


def states(net):
    return [net[0][1].mem, net[1][0].syn, net[1][0].mem]


def test_reset_reaches_every_neuron_of_this_model_and_no_other():
    net, other = spiking(), spiking()
    twin = copy.deepcopy(net)
    x = torch.full((2, 3), 2.0)
    first = net(x)
    for model in (net, other, twin):
        sb.reset(model)
        for _ in range(3):
            model(x)
    theirs = [state.clone() for state in states(other)]
    assert all(state.abs().sum() > 0 for state in states(net) + states(twin))
    sb.reset(net)
    assert all((state == 0).all() for state in states(net))
    assert all(state.abs().sum() > 0 for state in states(twin))
    assert all(torch.equal(state, before) for state, before in zip(states(other), theirs, strict=True))
    for value, expected in zip(net(x), first, strict=True):
        torch.testing.assert_close(value, expected)
    sb.reset(twin)  # a deepcopy has neurons that snnTorch does not know of
    assert all((state == 0).all() for state in states(twin))


def test_why_snntorchs_own_reset_does_not_serve():
    net = spiking()
    for _ in range(3):
        net(torch.full((2, 3), 2.0))
    utils.reset(net)
    assert all(state.abs().sum() > 0 for state in states(net))


@pytest.mark.parametrize(
    ("position", "converted"),
    [("all but first", ("2", "4")), ("all but last", ("0", "2")), ("all but first and last", ("2",))],
)
def test_layers_by_their_place(position, converted):
    net = nn.Sequential(
        nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2), nn.Embedding(3, 2)
    )
    report = sb.binarize_(net, sb.Sign(), position)
    assert report.converted == converted
    sizes = {"0": 32, "2": 64, "4": 16, "5": 6}
    bits = sum(size * (1 if name in converted else 32) for name, size in sizes.items()) / sum(sizes.values())
    assert report.bits_per_weight == pytest.approx(bits)
    assert f"{bits:.3g} bits a weight on average" in str(report)


def test_a_place_that_is_none():
    with pytest.raises(ValueError, match="Expected argument `filter_fn` to be a function or one of all but first"):
        sb.binarize_(nn.Linear(2, 2), sb.Sign(), "inner")


@pytest.mark.parametrize("finish", [sb.freeze, sb.pack, sb.unbinarize_])
def test_a_layer_whose_bias_was_pruned_stays_so(finish) -> None:
    layer = nn.Linear(8, 6)
    net = nn.Sequential(layer)
    sb.binarize_(net, sb.Sign())
    nn.utils.prune.l1_unstructured(layer, "bias", 3)
    x = torch.rand(4, 8).round()
    expected = net(x)
    weight, pruned = layer.latent.detach().clone(), layer.bias.detach().clone()
    assert (pruned == 0).sum() == 3
    plain = finish(net) or net
    if finish is sb.unbinarize_:
        expected = nn.functional.linear(x, weight, pruned)
    torch.testing.assert_close(plain(x), expected)
