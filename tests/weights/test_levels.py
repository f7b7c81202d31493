"""Rules that are not ±1, whoever assumes ±1: right, or refused in a sentence."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.federated.bit_uploads import OneBit, OneBitChange
from snntorch_binary.metrics import energy
from snntorch_binary.weights import WeightRule


@dataclass(frozen=True, repr=False)
class Ternary(WeightRule):
    name = "ternary of the tests"
    levels = (-1, 0, 1)

    def initial_latent(self, weight):
        return 2 * weight / weight.abs().max()

    def weight_and_derivative(self, latent, kind, uniform, *, paper_exact=False):
        return latent.clamp(-1, 1).round(), None


@dataclass(frozen=True, repr=False)
class OnOff(Ternary):
    name = "on and off of the tests"
    levels = (1.0, 0.0)

    def weight_and_derivative(self, latent, kind, uniform, *, paper_exact=False):
        return (latent > 0).to(latent.dtype), None


@dataclass(frozen=True, repr=False)
class Real(Ternary):
    name = "real of the tests"
    levels = None

    def weight_and_derivative(self, latent, kind, uniform, *, paper_exact=False):
        return latent.clamp(-1, 1), None


@dataclass(frozen=True, repr=False)
class Silent(WeightRule):
    """Says nothing of itself."""

    def initial_latent(self, weight):
        return weight

    def weight_and_derivative(self, latent, kind, uniform, *, paper_exact=False):
        return latent.clamp(-1, 1), None


@dataclass(frozen=True, repr=False)
class Scaled(sb.Bernoulli):
    """A posterior of one's own, whose draws no kernel of this package makes."""

    name = "scaled of the tests"
    levels = (-1.0, 1.0)

    def weight_and_derivative(self, latent, kind, uniform, *, paper_exact=False):
        weight, slope = super().weight_and_derivative(latent, kind, uniform, paper_exact=paper_exact)
        return -weight, -slope


@dataclass(frozen=True, repr=False)
class TernarySign(sb.Sign):
    """Makes other weights than its base and does not say which."""

    def weight_and_derivative(self, latent, kind, uniform, *, paper_exact=False):
        return latent.clamp(-1, 1).round(), None


class Finer(sb.Sign):
    """Adds nothing to its weights."""


OTHERS = [Ternary(), OnOff(), Real()]


def spikes(*shape):
    return (torch.rand(*shape) < 0.3).float()


def network(rule, hidden=70):
    return nn.Sequential(
        sb.nn.BinaryLinear(20, hidden, weight=rule),
        sb.nn.Leaky(beta=0.9, threshold=0.3),
        sb.nn.BinaryLinear(hidden, 4, weight=rule),
    )


def test_levels_and_bits():
    for rule, levels, bits in (
        (sb.Sign(), (-1, 1), 1),
        (sb.Bernoulli(), (-1, 1), 1),
        (Ternary(), (-1, 0, 1), 2),
        (OnOff(), (0, 1), 1),
        (Real(), None, 32),
        (Silent(), None, 32),
        (Scaled(), (-1, 1), 1),
        (TernarySign(), None, 32),
        (Finer(), (-1, 1), 1),
    ):
        assert (rule.levels, rule.bits) == (levels, bits)
        assert rule.takes_signs == (levels == (-1, 1))
    assert sb.Bernoulli(prior=0.3).prior_latent == pytest.approx(-0.4236, abs=1e-4)
    assert sb.Sign().prior_latent is None
    with pytest.raises(ValueError, match="`levels` to be finite numbers"):
        type("Odd", (WeightRule,), {"levels": (float("nan"), 1.0)})
    assert type("Five", (WeightRule,), {"levels": (0, 1, 2, 3, 4)})().bits == 3


def test_names():
    with pytest.raises(ValueError, match="another than that of snntorch_binary's Sign, but got 'sign'"):
        type("Mine", (sb.Sign,), {"name": "sign"})
    nameless = type("Nameless", (sb.Sign,), {})()  # inherits a name, by which files would load another rule
    assert isinstance(WeightRule.from_json({"rule": "sign"}), sb.Sign)
    assert type(WeightRule.from_json({"rule": "sign"})) is sb.Sign
    for rule in (nameless, Silent()):
        with pytest.raises(ValueError, match="`name` to be one of its own for the rule"):
            rule.to_json()
    assert WeightRule.from_json(Ternary().to_json()) == Ternary()


@pytest.mark.parametrize("rule", OTHERS, ids=repr)
def test_packing_says_why_not(rule):
    with pytest.raises(ValueError, match=r"'0' cannot be: not all of its weights by \w+\(\) are -1 or \+1; '2' cannot"):
        sb.pack(network(rule))
    with pytest.raises(ValueError, match="cannot be"):
        sb.pack(network(rule)[0])


@pytest.mark.parametrize("rule", OTHERS, ids=repr)
def test_a_packed_network_around_such_a_layer_is_right(rule, caplog):
    net = nn.Sequential(*network(sb.Sign())[:2], sb.nn.BinaryLinear(70, 30, weight=rule), *network(sb.Sign(), 30)[1:])
    packed, x = sb.pack(net), spikes(9, 3, 20)
    assert [type(layer).__name__ for layer in packed] == ["PackedLayer", "BinaryLinear", "Leaky", "PackedLayer"]
    assert torch.equal(packed(x), net.eval()(x))
    assert packed(x).abs().sum() > 0
    assert f"Layer '2' stays as it is: not all of its weights by {rule!r}" in caplog.text


def test_latents_that_are_nan_are_not_packed():
    net = network(sb.Sign())
    with torch.no_grad():
        net[0].latent[0, 0] = float("nan")
        net[2].latent[0, 0] = float("nan")
    with pytest.raises(ValueError, match="'0' cannot be: its latent holds infinite values or NaN; '2' cannot"):
        sb.pack(net)


def test_summary_counts_what_a_rule_says():
    weights, biases = 20 * 70 + 70 * 4, 74
    for rule, binary, others, real, bits in (
        (sb.Sign(), weights, 0, biases, 1),
        (Ternary(), 0, weights, biases, 2),
        (OnOff(), weights, 0, biases, 1),
        (Real(), 0, 0, biases + weights, 32),
        (Silent(), 0, 0, biases + weights, 32),
        (TernarySign(), 0, 0, biases + weights, 32),
    ):
        found = sb.summary(network(rule))
        assert (found.binary_weights, found.other_weights, found.real_parameters) == (binary, others, real)
        assert found.bytes_binary == weights * bits // 8 + 4 * biases
        assert found.bytes_float32 == 4 * (weights + biases)
        assert found.bits_per_weight == pytest.approx((bits * weights + 32 * biases) / (weights + biases))
        assert ("at 2" in str(found)) == (bits == 2)


def test_energy_counts_what_a_rule_says():
    x = spikes(9, 3, 20)
    for rule, bits in ((sb.Sign(), 1), (Ternary(), 2), (OnOff(), 1), (Real(), 32)):
        row = energy(network(rule), x).rows[0]
        assert (row.bits, row.binary, row.weight_bytes) == (bits, bits == 1, 20 * 70 * bits // 8)
        per_operation = 0.9 if bits == 32 else 0.1
        assert row.operations_nj == pytest.approx(
            1e-3 * (per_operation * row.synaptic_operations + 4.6 * row.update_macs + 0.9 * row.update_additions)
        )
        read = 9 * 20 + bits * row.synaptic_operations
        assert row.bytes_moved == pytest.approx((read + 9 * 70 + 2 * 32 * 9 * 70) / 8)


@pytest.mark.parametrize("rule", [*OTHERS, TernarySign(), Scaled()], ids=repr)
@pytest.mark.parametrize("upload", [OneBit(), OneBitChange()])
def test_one_bit_uploads_are_refused(rule, upload):
    net = network(rule)
    with pytest.raises(ValueError, match=rf"a network of ±1 weights, .* but got {type(rule).__name__}\(\) in '0'"):
        upload.like(net)


@pytest.mark.parametrize("rule", OTHERS, ids=repr)
def test_many_rows_of_few_spikes_are_multiplied_right(rule):
    """The event-driven product and the one over many rows."""
    layer = sb.nn.BinaryLinear(300, 96, weight=rule, scale="channel")
    for density in (0.02, 1.0):
        x = (torch.rand(60, 16, 300) < density).float()
        expected = torch.nn.functional.linear(x.double(), layer.weight.detach().double(), layer.bias.double())
        torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", OTHERS, ids=repr)
def test_freezing_and_files_keep_the_weights(rule, tmp_path):
    pytest.importorskip("safetensors")
    net, x = network(rule), spikes(9, 3, 20)
    frozen = sb.freeze(net)
    assert torch.equal(frozen[0].weight, net.eval()[0].weight)
    assert sb.summary(frozen).binary_weights == 0
    sb.save_weights(net, tmp_path / "net.safetensors")
    loaded = sb.load_weights_(nn.Sequential(nn.Linear(20, 70), net[1], nn.Linear(70, 4)), tmp_path / "net.safetensors")
    assert loaded[0].rule == rule
    assert torch.equal(loaded.eval()(x), net.eval()(x))


@pytest.mark.parametrize("rule", OTHERS, ids=repr)
def test_nir_has_the_weights_and_no_posterior(rule):
    pytest.importorskip("nir")
    net = nn.Sequential(
        sb.nn.BinaryLinear(20, 7, weight=rule), sb.nn.Leaky(beta=0.9, threshold=0.3, reset_mechanism="zero")
    )
    graph = sb.export.to_nir(net, torch.zeros(1, 1, 20))
    node = graph.nodes["0_linear"]
    assert (node.weight == net.eval()[0].weight.detach().numpy()).all()
    assert json.loads(node.metadata["rule"])["rule"] == rule.name
    assert "flip_probability" not in node.metadata
    again, x = sb.export.from_nir(graph), spikes(9, 3, 20)
    assert again[0].rule == rule
    assert torch.equal(again(x), net(x))


def test_what_has_a_posterior_is_asked_of_the_rule():
    with pytest.raises(ValueError, match="a network with Bernoulli weights"):
        sb.kl_divergence(network(Ternary()))
    assert sb.kl_divergence(network(Scaled())) > 0
    assert "0.prior_latent" in network(Scaled()).state_dict()
    assert "0.prior_latent" not in network(Ternary()).state_dict()
    net = network(Ternary())
    latent = net[0].latent.detach().clone()
    assert torch.equal(sb.unbinarize_(net)[0].weight, latent)


def test_draws_of_a_subclass_are_its_own():
    """A compiled kernel that draws for Bernoulli drew for its subclasses too, whatever these say."""
    layer = sb.nn.BinaryLinear(50, 40, weight=Scaled(init_scale=10.0))
    assert torch.equal(layer.in_force(), -layer.latent.sign())  # at ±10 no draw differs from the mode
    optimizer = sb.optim.BayesBiSNN(layer.parameters(), lr=1e-3, rho=0.0)
    for _ in range(3):
        layer(torch.ones(1, 50)).sum().backward()
        optimizer.step()
        assert torch.equal(layer.in_force(), -layer.latent.sign())
