"""`save_weights` and `load_weights_`."""

import json

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.weights_file import VERSION, WeightsFileError, WeightsFileVersionError

RULES = {"sign": sb.Sign("identity"), "bernoulli": sb.Bernoulli(tau=0.5, prior=0.3, init_scale=2.0)}


def float_net(hidden=6):
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.Flatten(),
        nn.Linear(3 * 4, hidden),
        snn.Leaky(beta=0.9, init_hidden=True, learn_beta=True),
        nn.Linear(hidden, hidden, bias=False),
        nn.Linear(hidden, 2),
    )


def trained(rule, scale="channel"):
    torch.manual_seed(0)
    net = float_net()
    net[6].requires_grad_(False)
    sb.binarize_(net, rule, lambda module, name: name != "6", scale=scale)
    optimizer = sb.optim.BayesBiSNN(net.parameters(), 0.1, 0.01, betas=None) if isinstance(rule, sb.Bernoulli) else None
    optimizer = optimizer or torch.optim.Adam(net.parameters(), 0.1)
    for _ in range(3):
        sb.reset(net)
        net(torch.rand(4, 1, 4, 4)).square().sum().backward()
        optimizer.step()
    return net


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scale", ["channel", "fan_in", 0.25])
def test_a_float_network_of_the_same_make_becomes_the_saved_one(rule, scale, tmp_path):
    net = trained(RULES[rule], scale)
    sb.save_weights(net, tmp_path / "net.safetensors")
    torch.manual_seed(5)
    loaded = sb.load_weights_(float_net(), tmp_path / "net.safetensors")
    same(net, loaded)
    assert type(loaded[6]) is nn.Linear
    assert loaded[3].rule == RULES[rule]
    assert loaded[3].scale == scale
    assert torch.equal(loaded[3].train().in_force(), net[3].train().in_force())  # the very draw


def test_a_binary_network_takes_it_up_too(tmp_path):
    net = trained(RULES["bernoulli"])
    sb.save_weights(net, tmp_path / "net.safetensors")
    other = trained(RULES["bernoulli"])
    with torch.no_grad():
        other[3].latent.zero_()
    same(net, sb.load_weights_(other, tmp_path / "net.safetensors"))


def test_tied_weights_are_saved_once_and_stay_tied(tmp_path):
    def make():
        net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        net[1].weight = net[0].weight
        return net

    net = make()
    sb.binarize_(net, sb.Bernoulli())
    sb.save_weights(net, tmp_path / "net.safetensors")
    assert "1.latent" in json.loads((tmp_path / "net.json").read_text())["aliases"]
    loaded = sb.load_weights_(make(), tmp_path / "net.safetensors")
    same(net, loaded)
    assert loaded[0].latent is loaded[1].latent


def test_a_real_network_without_binary_layers(tmp_path):
    net = float_net()
    sb.save_weights(net, tmp_path / "net.safetensors")
    same(net, sb.load_weights_(float_net(), tmp_path / "net.safetensors"))


OTHER_NETS = {
    "a smaller one": (lambda: float_net(5), "size mismatch"),
    "another layer": (lambda: nn.Sequential(nn.Linear(3, 3)), r"whose '0' can become a BinaryConv2d, but got a Linear"),
    "too short": (lambda: float_net()[:2], r"whose '3' can become a BinaryLinear, but got none of that name"),
    "another rule": (
        lambda: trained(sb.Sign()),
        r"'0' is a BinaryConv2d by Bernoulli\(.*but got Sign\(\) in '0'",
    ),
    "another scale": (lambda: trained(RULES["bernoulli"], 2.0), "scale 'channel'.*of scale 2.0"),
}


@pytest.mark.parametrize("case", OTHER_NETS)
def test_another_network_is_refused_and_stays_as_it_was(case, tmp_path):
    sb.save_weights(trained(RULES["bernoulli"]), tmp_path / "net.safetensors")
    make, sentence = OTHER_NETS[case]
    other = make()
    before, kinds = {k: v.clone() for k, v in other.state_dict().items()}, [type(part) for part in other.modules()]
    with pytest.raises(ValueError, match=sentence) as error:
        sb.load_weights_(other, tmp_path / "net.safetensors")
    assert "\n" not in str(error.value)
    assert [type(part) for part in other.modules()] == kinds
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())


def test_a_layer_that_is_binary_only_here(tmp_path):
    sb.save_weights(float_net(), tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"whose '0' is real, but got Sign"):
        sb.load_weights_(trained(sb.Sign()), tmp_path / "net.safetensors")


def edit(path, **changes):
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"version": VERSION + 1}, WeightsFileVersionError, "update it"),
        ({"version": 0}, WeightsFileError, "is damaged"),
        ({"format": "something"}, WeightsFileError, "its format is not"),
        ({"sha256": "0" * 64}, WeightsFileError, "is damaged, or of another network"),
        ({"layers": {"0": {"type": "BinaryConv2d", "scale": 1.0, "rule": "none"}}}, WeightsFileError, "no known rule"),
        ({"layers": {"0": {"scale": 1.0, "rule": "sign"}}}, WeightsFileError, "no known rule"),
        ({"layers": [1]}, WeightsFileError, "missing"),
        ({"aliases": {"a": "b"}}, WeightsFileError, "which is not saved"),
    ],
)
def test_a_description_that_is_wrong(changes, error, sentence, tmp_path):
    sb.save_weights(trained(sb.Sign()), tmp_path / "net.safetensors")
    edit(tmp_path / "net.json", **changes)
    with pytest.raises(error, match=sentence):
        sb.load_weights_(float_net(), tmp_path / "net.safetensors")


def test_damaged_bytes(tmp_path):
    path = tmp_path / "net.safetensors"
    sb.save_weights(trained(sb.Sign()), path)
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        at = int(torch.randint(len(whole), (), generator=generator))
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(torch.randint(8, (), generator=generator))
        path.write_bytes(damaged if at % 2 else whole[:at])
        try:
            loaded = sb.load_weights_(float_net(), path)
        except WeightsFileError:
            continue
        path.write_bytes(whole)  # a flip in the header's own metadata changes no tensor
        same(loaded, sb.load_weights_(float_net(), path))


def test_paths(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.safetensors, but got 'net\.pt'"):
        sb.save_weights(float_net(), "net.pt")
    with pytest.raises(FileNotFoundError):
        sb.load_weights_(float_net(), tmp_path / "none.safetensors")


def test_a_packed_file_has_another_reader(tmp_path):
    sb.save_packed(sb.pack(nn.Sequential(sb.nn.BinaryLinear(4, 2))), tmp_path / "net.safetensors")
    with pytest.raises(WeightsFileError, match=r"has no net\.json beside it, .* load_packed reads packed networks\."):
        sb.load_weights_(float_net(), tmp_path / "net.safetensors")


def test_state_that_is_no_tensor(tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

    with pytest.raises(TypeError, match="whose state is tensors, but got a dict, '_extra_state'"):
        sb.save_weights(Odd(2, 2), tmp_path / "net.safetensors")


def test_raw_weights_of_norse(tmp_path):
    norse = pytest.importorskip("norse.torch", reason="Norse is not installed")

    def make():
        return norse.SequentialState(norse.LIFRecurrentCell(4, 5), nn.Linear(5, 2))

    net = make()
    sb.binarize_(net, sb.Bernoulli(), lambda module, name: name != "1")
    sb.save_weights(net, tmp_path / "net.safetensors")
    loaded = sb.load_weights_(make(), tmp_path / "net.safetensors")
    same(net, loaded)
    assert torch.equal(loaded[0].recurrent_weights, net[0].recurrent_weights)
