"""The binary layers: the tester that all pass, and what is particular to some."""

from typing import ClassVar

import pytest
import torch
from harness import BinaryLayerTester, plain, spikes
from torch import nn

import snntorch_binary as sb


class TestBinaryLinear(BinaryLayerTester):
    layer, twin = sb.nn.BinaryLinear, nn.Linear
    cases: ClassVar = [((5, 4), {}, (3, 5)), ((5, 4), {"bias": False}, (3, 5))]


class TestBinaryConv1d(BinaryLayerTester):
    layer, twin = sb.nn.BinaryConv1d, nn.Conv1d
    cases: ClassVar = [
        ((2, 4, 3), {"padding": 1}, (3, 2, 6)),
        (
            (4, 6, 3),
            {"groups": 2, "stride": 2, "padding": 2, "padding_mode": "circular", "bias": False},
            (3, 4, 7),
        ),
    ]


class TestBinaryConv2d(BinaryLayerTester):
    layer, twin = sb.nn.BinaryConv2d, nn.Conv2d
    cases: ClassVar = [
        ((2, 4, 3), {"padding": "same", "padding_mode": "reflect"}, (3, 2, 5, 6)),
        ((4, 4, (2, 3)), {"groups": 4, "stride": (2, 1), "dilation": 2, "bias": False}, (2, 4, 7, 7)),
    ]


class TestBinaryConv3d(BinaryLayerTester):
    layer, twin = sb.nn.BinaryConv3d, nn.Conv3d
    cases: ClassVar = [
        ((2, 3, 2), {"padding": 1, "padding_mode": "replicate"}, (2, 2, 3, 3, 3)),
        ((2, 2, 2), {"groups": 2, "stride": 2, "bias": False}, (2, 2, 4, 4, 4)),
    ]


class TestBinaryConvTranspose1d(BinaryLayerTester):
    layer, twin = sb.nn.BinaryConvTranspose1d, nn.ConvTranspose1d
    cases: ClassVar = [
        ((2, 4, 3), {"padding": 1}, (3, 2, 6)),
        ((4, 6, 4), {"groups": 2, "stride": 2, "padding": 1, "output_padding": 1, "bias": False}, (3, 4, 7)),
    ]


class TestBinaryConvTranspose2d(BinaryLayerTester):
    layer, twin = sb.nn.BinaryConvTranspose2d, nn.ConvTranspose2d
    cases: ClassVar = [((4, 6, (2, 3)), {"groups": 2, "stride": (2, 1), "dilation": 2}, (2, 4, 5, 4))]


class TestBinaryConvTranspose3d(BinaryLayerTester):
    layer, twin = sb.nn.BinaryConvTranspose3d, nn.ConvTranspose3d
    cases: ClassVar = [((2, 2, 2), {"groups": 2, "stride": 2, "bias": False}, (2, 2, 3, 3, 3))]


# ---- transposed convolutions ---------------------------------------------------------------------


@pytest.mark.parametrize(("stride", "groups", "fan_in"), [(1, 1, 4 * 9), (2, 1, 9), (2, 2, 4), (3, 1, 4), (5, 4, 1)])
def test_an_output_of_a_transposed_convolution_sums_over_so_many_inputs_on_average(stride, groups, fan_in):
    layer = sb.nn.BinaryConvTranspose2d(4, 4, 3, stride=stride, groups=groups)
    assert layer.fan_in == fan_in
    assert layer.weight.abs().unique().tolist() == pytest.approx([fan_in**-0.5])


def test_a_transposed_convolution_takes_steps_and_the_size_of_its_output():
    layer = sb.nn.BinaryConvTranspose2d(2, 3, 3, stride=2)
    x = spikes((4, 5, 2, 6, 6))
    for size in (13, 14):
        y = layer(x, output_size=[size, size])
        assert y.shape == (4, 5, 3, size, size)
        twin = nn.ConvTranspose2d(2, 3, 3, stride=2)
        twin.load_state_dict({"weight": plain(layer.weight), "bias": layer.bias.detach()})
        for step in range(4):
            torch.testing.assert_close(y[step], twin(x[step], output_size=[size, size]))
            torch.testing.assert_close(layer(x[step], output_size=(5, 3, size, size)), y[step])


def test_a_lazy_transposed_convolution_learns_its_size():
    layer = sb.nn.LazyBinaryConvTranspose2d(3, 2, stride=2, weight=sb.Bernoulli())
    assert layer(spikes((4, 2, 5, 5))).shape == (4, 3, 10, 10)
    assert type(layer) is sb.nn.BinaryConvTranspose2d


# ---- starting ----------------------------------------------------------------------------------


def test_sign_starts_from_torchs_own_initialisation():
    torch.manual_seed(5)
    plain_layer = nn.Conv2d(3, 4, 3)
    torch.manual_seed(5)
    layer = sb.nn.BinaryConv2d(3, 4, 3)
    assert torch.equal(layer.latent, plain_layer.weight)
    assert torch.equal(layer.bias, plain_layer.bias)


def test_reset_parameters_starts_again():
    layer = sb.nn.BinaryLinear(30, 20, weight=sb.Bernoulli(), scale="channel")
    before = layer.latent.detach().clone()
    with torch.no_grad():
        layer.latent.zero_()
        layer.gain.zero_()
    layer.reset_parameters()
    assert layer.latent.abs().unique().tolist() == [3.0]
    assert not torch.equal(layer.latent, before)
    assert layer.gain.unique().tolist() == [1.0]


def test_built_on_meta_and_loaded_with_assign():
    layer = sb.nn.BinaryLinear(30, 20, weight=sb.Bernoulli(init_scale=0.5))
    with torch.device("meta"):
        other = sb.nn.BinaryLinear(30, 20, weight=sb.Bernoulli(init_scale=0.5))
    other.load_state_dict(layer.state_dict(), assign=True)
    assert torch.equal(plain(other.weight), plain(layer.weight))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: sb.nn.BinaryLinear(2, 2, weight="sign"),
            TypeError,
            "`weight` to be a weight rule .*, but got 'sign'",
        ),
        (lambda: sb.nn.BinaryLinear(2, 2, weight=sb.Sign), TypeError, "`weight`"),
        (lambda: sb.nn.BinaryLinear(2, 2, scale="row"), ValueError, "`scale` to be .*, but got 'row'"),
        (lambda: sb.nn.BinaryConv1d(2, 2, 1, scale=0.0), ValueError, "`scale`"),
        (lambda: sb.nn.BinaryConv1d(2, 2, 1, scale=True), ValueError, "`scale`"),
        (lambda: sb.nn.BinaryConv1d(2, 2, 1, scale=float("inf")), ValueError, "`scale`"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "x", "error", "message"),
    [
        (sb.nn.BinaryLinear(4, 2), torch.zeros(3, 5), ValueError, r"size 4 \(in_features\).*\(3, 5\)"),
        (sb.nn.BinaryLinear(4, 2), torch.zeros(3, 4, dtype=torch.long), TypeError, "torch.int64"),
        (sb.nn.BinaryLinear(4, 2), torch.tensor(1.0), ValueError, "in_features"),
        (sb.nn.BinaryConv2d(2, 2, 1), torch.zeros(3, 3, 4, 4), ValueError, r"size 2 \(in_channels\)"),
        (sb.nn.BinaryConv2d(2, 2, 1), torch.zeros(4, 4), ValueError, "in_channels"),
        (sb.nn.BinaryConv2d(2, 2, 1), torch.zeros(2, 4, 4, dtype=torch.bool), TypeError, "torch.bool"),
    ],
)
def test_bad_input(layer, x, error, message):
    with pytest.raises(error, match=message):
        layer(x)


def test_a_weight_that_does_not_fit():
    layer, other = sb.nn.BinaryLinear(4, 2), sb.nn.BinaryLinear(2, 4)
    before = layer.latent.detach().clone()
    for value in (torch.zeros(2, 3), other.weight):
        with pytest.raises(ValueError, match=r"`weight` to be of shape \(2, 4\)"):
            layer.weight = value
    with pytest.raises(TypeError, match="`weight` to be a tensor, but got NoneType"):
        layer.weight = None
    assert torch.equal(layer.latent, before)


# ---- the weight as a tensor to read ------------------------------------------------------------


def test_the_weight_reads_as_a_tensor():
    layer = sb.nn.BinaryLinear(4, 3, weight=sb.Bernoulli(), scale=2.0)
    weight = layer.weight.detach()
    assert weight.tolist() == [[float(value) for value in row] for row in weight]
    assert int(weight[0, 0]) in (-2, 2)
    assert weight.numpy().shape == (3, 4)
    assert type(layer.weight + 0) is torch.Tensor
    assert (layer.weight.clone().zero_() == 0).all()  # a clone is the reader's own


def test_the_weight_is_differentiable():
    layer = sb.nn.BinaryLinear(4, 3, weight=sb.Bernoulli(), scale=2.0)
    layer.weight.sum().backward()
    torch.testing.assert_close(layer.latent.grad, 2 * (1 - torch.tanh(layer.latent.detach()) ** 2))


@pytest.mark.parametrize("rule", [sb.Sign("identity"), sb.Bernoulli(init_scale=0.5)], ids=repr)
def test_the_weight_is_differentiable_by_its_gains(rule):
    layer = sb.nn.BinaryLinear(4, 3, weight=rule, scale="channel")
    direction = torch.randn(3, 4)
    (layer.weight * direction).sum().backward()
    torch.testing.assert_close(layer.gain.grad, (layer.in_force().detach() * direction).sum(1) / 2)


def test_a_part_of_a_weight_ties_nothing():
    layer, other = sb.nn.BinaryLinear(3, 3), sb.nn.BinaryLinear(3, 3)
    other.weight = layer.weight.t()
    assert other.latent is not layer.latent
    assert torch.equal(plain(other.weight), plain(layer.weight).t())


# ---- ties --------------------------------------------------------------------------------------


def test_a_tie_by_the_latent_shares_the_draw_too():
    for _ in range(5):  # whichever of the two the registry finds first
        first, second = (sb.nn.BinaryLinear(9, 9, weight=sb.Bernoulli(init_scale=0.3)) for _ in "ab")
        second.latent = first.latent
        assert torch.equal(plain(first.weight), plain(second.weight))
        with torch.no_grad():
            first.latent -= 1e-3
        sb.resample_(first)
        assert torch.equal(plain(first.weight), plain(second.weight))


def test_tied_layers_share_the_prior():
    first, second = (sb.nn.BinaryLinear(9, 9, weight=sb.Bernoulli(prior=p)) for p in (0.2, 0.7))
    second.weight = first.weight
    sb.set_prior_(nn.ModuleList([first, second]), "posterior")
    assert first.prior_latent is second.prior_latent
    assert torch.equal(first.prior_latent, first.latent)


# ---- time-first convolutions ---------------------------------------------------------------------


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_a_convolution_takes_all_time_steps_at_once(spatial):
    layer = [sb.nn.BinaryConv1d, sb.nn.BinaryConv2d, sb.nn.BinaryConv3d][spatial - 1](2, 3, 2, weight=sb.Bernoulli())
    x = torch.randn(5, 4, 2, *(4,) * spatial)
    torch.testing.assert_close(layer(x), torch.stack([layer(x_t) for x_t in x]))
    torch.testing.assert_close(layer(x[0]), torch.stack([layer(example) for example in x[0]]))


# ---- torch.compile -----------------------------------------------------------------------------


class Recurrent(nn.Module):
    """A layer that is called T times inside one graph."""

    def __init__(self, rule):
        super().__init__()
        self.fc1 = sb.nn.BinaryLinear(6, 8, weight=rule)
        self.fc2 = sb.nn.BinaryLinear(8, 3, weight=rule, scale="channel")

    def forward(self, x):
        mem = torch.zeros(x.shape[0], 8)
        for _ in range(3):
            mem = 0.9 * mem + self.fc1(x)
        return self.fc2(torch.tanh(mem))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize(
    ("backend", "rule"),
    [
        ("inductor", sb.Bernoulli(init_scale=0.5)),
        ("aot_eager", sb.Bernoulli(init_scale=0.5, estimator="gumbel")),
        ("aot_eager", sb.Sign()),
    ],
    ids=repr,
)
def test_compiled_training_is_training(backend, rule):
    torch.compiler.reset()
    net, x = Recurrent(rule), torch.randn(4, 6)
    twin = Recurrent(rule)
    twin.load_state_dict(net.state_dict())
    compiled = torch.compile(net, backend=backend, fullgraph=True)
    for run, model in ((compiled, net), (twin, twin)):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            run(x).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    for parameter, expected in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected)
    with sb.sampled(net, "mode"), torch.no_grad():
        torch.testing.assert_close(compiled(x), twin.eval()(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("estimator", ["hard", "gumbel"])
@pytest.mark.parametrize("bayesian", [True, False])
def test_a_new_draw_needs_no_new_graph(estimator, bayesian):
    torch.compiler.reset()
    net, x = Recurrent(sb.Bernoulli(init_scale=0.5, estimator=estimator)), torch.randn(4, 6)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    if bayesian:
        optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=0.0, betas=None)
    else:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with torch._dynamo.config.patch(error_on_recompile=True):
        outputs = []
        for _ in range(4):
            outputs.append(compiled(x).detach())
            compiled(x).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert not torch.equal(outputs[0], outputs[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("by_attribute", [True, False])
def test_a_compiled_network_follows_its_mode_however_it_is_set(by_attribute):
    torch.compiler.reset()
    net, x = Recurrent(sb.Bernoulli(init_scale=0.5)), torch.randn(4, 6)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    for training in (True, False, True, False, True):
        if by_attribute:
            for module in net.modules():
                module.training = training
        else:
            net.train(training)
        torch.testing.assert_close(compiled(x), net(x), rtol=0, atol=0)


def test_compiled_with_a_handwritten_update():
    torch.compiler.reset()
    net, x = Recurrent(sb.Sign()), torch.randn(4, 6)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    compiled(x)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.neg_()
    torch.testing.assert_close(compiled(x), net(x))
