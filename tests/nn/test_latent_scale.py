"""A scale that follows the magnitude of the latents."""

import warnings

import pytest
import torch
from torch import nn

import snntorch_binary as sb

LAYERS = {
    "linear": (lambda: nn.Linear(20, 7), (5, 20)),
    "convolution": (lambda: nn.Conv2d(3, 6, 3, groups=3), (2, 3, 8, 8)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 5, 5)),
}


@pytest.fixture(params=LAYERS)
def layer_and_input(request):
    torch.manual_seed(0)
    make, shape = LAYERS[request.param]
    net = nn.Sequential(make())
    sb.binarize_(net, sb.Sign(), scale="latent")
    return net[0], torch.rand(shape)


def by_hand(layer, x, latent):
    """The same by operations of torch alone: the size of the latents times their signs, straight through."""
    transposed = isinstance(layer, nn.ConvTranspose2d)
    signs = latent.sign().detach() + latent - latent.detach()
    if isinstance(layer, nn.Linear):
        return nn.functional.linear(x, signs * 2 * latent.abs().mean(), layer.bias)
    if not transposed:
        return nn.functional.conv2d(x, signs * 2 * latent.abs().mean(), layer.bias, groups=layer.groups)
    return nn.functional.conv_transpose2d(x, signs * 2 * latent.abs().mean(), layer.bias, stride=2, groups=2)


def test_values_and_gradients(layer_and_input):
    layer, x = layer_and_input
    latent = layer.latent.detach().clone().requires_grad_()
    expected, output = by_hand(layer, x, latent), layer(x)
    torch.testing.assert_close(output, expected)
    upstream = torch.randn_like(output)
    output.backward(upstream)
    (of_latent,) = torch.autograd.grad(expected, latent, upstream)
    torch.testing.assert_close(layer.latent.grad, of_latent)
    effective = layer.weight.detach().clone().requires_grad_()
    frozen = sb.freeze(nn.Sequential(layer))[0]
    torch.testing.assert_close(frozen.weight, effective)
    torch.testing.assert_close(frozen(x), output)
    (of_weight,) = torch.autograd.grad(
        torch.func.functional_call(frozen, {"weight": effective}, x), effective, upstream
    )
    torch.testing.assert_close(layer.weight.grad, of_weight, rtol=1e-4, atol=1e-6)


def test_zeros_have_the_usual_scale():
    layer = sb.nn.BinaryLinear(16, 3, scale="latent")
    nn.init.constant_(layer.latent, 0.5)
    assert layer.weight.unique().tolist() == [1.0]
    nn.init.zeros_(layer.latent)
    assert layer.weight.unique().tolist() == [0.25]


@pytest.mark.parametrize("value", [0.0, 0.3], ids=["zeros", "all the same"])
def test_balanced_signs_learn_from_latents_that_say_nothing(value):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 4))
    nn.init.constant_(net[0].weight, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zeros
        sb.binarize_(net, sb.BalancedSign())
    assert float(net[0].weight.abs().detach().min()) == pytest.approx(20**-0.5)
    x, y = torch.randn(200, 20), torch.randn(20, 4)
    losses, optimizer = [], torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(60):
        loss = (net(x) - x @ y.sign() / 20**0.5).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_no_outputs():
    assert sb.nn.BinaryLinear(20, 0, weight=sb.BalancedSign())(torch.rand(3, 20)).shape == (3, 0)


def test_it_packs_saves_and_loads(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 16), sb.nn.Leaky(0.9), nn.Linear(16, 5), sb.nn.Leaky(0.9))
    sb.binarize_(net, sb.Sign(), scale="latent")
    x = (torch.rand(10, 4, 20) < 0.3).float()
    assert torch.equal(sb.pack(net, x)(x), net(x))
    sb.save_weights(net, tmp_path / "net.safetensors")
    other = nn.Sequential(nn.Linear(20, 16), sb.nn.Leaky(0.9), nn.Linear(16, 5), sb.nn.Leaky(0.9))
    sb.binarize_(other, sb.Sign(), scale="latent")
    sb.load_weights_(other, tmp_path / "net.safetensors")
    assert torch.equal(other(x), net(x))


def test_it_returns_from_nir():
    pytest.importorskip("nir")
    net = nn.Sequential(nn.Linear(20, 16), sb.nn.Leaky(0.9, reset_mechanism="zero"))
    sb.binarize_(net, sb.Sign(), scale="latent")
    x = (torch.rand(10, 4, 20) < 0.3).float()
    graph = sb.export.to_nir(net, x, dt=1e-3, allow_lossy=True)
    torch.testing.assert_close(sb.export.from_nir(graph)(x), net(x))


def test_balanced_signs():
    torch.manual_seed(0)
    layer = sb.nn.BinaryLinear(24, 7, weight=sb.BalancedSign())
    x = torch.rand(5, 24)
    latent = layer.latent.detach().clone().requires_grad_()
    real = latent - latent.mean(1, keepdim=True)
    size = 2 * real.abs().mean()
    slope = (1 - real.detach().abs() / (2 * size.detach())).clamp(min=0) / size.detach()
    signs = real.sign().detach() + slope * (latent - latent.detach())
    expected, output = nn.functional.linear(x, signs * size, layer.bias), layer(x)
    torch.testing.assert_close(output, expected)
    upstream = torch.randn_like(output)
    output.backward(upstream)
    torch.testing.assert_close(layer.latent.grad, torch.autograd.grad(expected, latent, upstream)[0])
    assert layer.scale == "latent"
    assert 0 < slope.min() < slope.max()


def test_few_weights_are_not_balanced():
    net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.Conv1d(4, 4, 4))
    sb.binarize_(net, sb.BalancedSign())
    with torch.no_grad():
        for layer in net:
            layer.latent.abs_()
    assert bool((net[0].weight > 0).all())
    assert 0 < (net[1].weight > 0).float().mean() < 1


def test_balanced_signs_in_a_module_and_its_checkpoint(tmp_path):
    pytest.importorskip("torchmetrics")
    from snntorch_binary.lightning import STBiSNN
    from snntorch_binary.models import SpikingMLP

    module = STBiSNN(SpikingMLP(64, [32], 10), 10, rule=sb.BalancedSign())
    assert {layer.scale for layer in sb.weights.binary_layers(module).values()} == {"latent"}
    sb.save_weights(module.net, tmp_path / "net.safetensors")
    net = SpikingMLP(64, [32], 10)
    sb.binarize_(net, sb.BalancedSign())
    sb.load_weights_(net, tmp_path / "net.safetensors")
    x = torch.rand(6, 2, 64).round()
    assert torch.equal(net(x), module.net(x))
    other = SpikingMLP(64, [32], 10)
    sb.binarize_(other, sb.BalancedSign(), scale="fan_in")
    with pytest.raises(ValueError, match="scale"):
        sb.load_weights_(other, tmp_path / "net.safetensors")


def test_where_latents_are_no_weights_it_is_refused():
    with pytest.raises(ValueError, match=r"`scale` to be 'fan_in', 'channel' or a positive float for Bernoulli\(\)"):
        sb.nn.BinaryLinear(3, 2, weight=sb.Bernoulli(), scale="latent")
    net = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="whose latents are no weights"):
        sb.binarize_(net, sb.Bernoulli(), scale="latent")
    assert type(net[0]) is nn.Linear


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{"rule": sb.BalancedSign()}, {"scale": "latent"}, {"rule": sb.Sign("identity"), "scale": 0.3}, {}]
)
def test_a_checkpoint_says_rule_and_scale(how, tmp_path):
    pytest.importorskip("torchmetrics")
    from lightning import Trainer

    from snntorch_binary.checkpoint import load_trained
    from snntorch_binary.lightning import SpikeDataModule, STBiSNN
    from snntorch_binary.lightning.quiet import quiet
    from snntorch_binary.models import SpikingMLP

    module = STBiSNN(SpikingMLP(64, [32], 10), 10, **how)
    with quiet():
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(max_epochs=1, limit_train_batches=3, limit_val_batches=1, **options)
        trainer.fit(module, SpikeDataModule("digits", batch_size=20))
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    net, _ = load_trained(tmp_path / "run.ckpt")
    x = torch.rand(8, 3, 64).round()
    assert torch.equal(net(x), module.eval().net(x))
