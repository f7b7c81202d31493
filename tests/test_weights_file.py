"""`save_weights` and `load_weights_`."""

import copy
import json
import random
import time

import pytest
import snntorch as snn
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

import snntorch_binary as sb
from snntorch_binary.weights import binary_layers
from snntorch_binary.weights_file import (
    VERSION,
    WeightsFileError,
    WeightsFileVersionError,
    _checksum,
    _checksum_of_description,
)

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
    assert "1.weight" in json.loads((tmp_path / "net.json").read_text())["aliases"]
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


WRAPPERS = {
    "compiled": lambda net: torch.compile(net, backend="eager"),
    "data parallel": nn.DataParallel,
    "compiled in data parallel": lambda net: nn.DataParallel(torch.compile(net, backend="eager")),
    "a compiled part": lambda net: nn.Sequential(*net[:3], torch.compile(net[3], backend="eager"), *net[4:]),
    "checkpointed": lambda net: checkpoint_wrapper(net),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_around_the_network_leaves_no_trace(wrapper, tmp_path):
    net = trained(RULES["bernoulli"])
    sb.save_weights(net, tmp_path / "plain.safetensors")
    sb.save_weights(WRAPPERS[wrapper](net), tmp_path / "wrapped.safetensors")
    for name in ("plain", "wrapped"):
        (tmp_path / f"{name}.json").read_text().index('"3"')
    assert json.loads((tmp_path / "plain.json").read_text()) == json.loads((tmp_path / "wrapped.json").read_text())
    same(sb.load_weights_(float_net(), tmp_path / "wrapped.safetensors"), net)
    inside = float_net()
    sb.load_weights_(WRAPPERS[wrapper](inside), tmp_path / "plain.safetensors")
    same(inside, net)


def test_a_layer_that_is_binary_only_here(tmp_path):
    sb.save_weights(float_net(), tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"whose '0' is real, but got Sign"):
        sb.load_weights_(trained(sb.Sign()), tmp_path / "net.safetensors")


def edit(path, **changes):
    content = json.loads(path.read_text())
    content.update(changes)
    content["sha256_of_this"] = _checksum_of_description(content)
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


def write(path, tensors, description):
    """Write a pair of files whose checksums are right, whatever they hold."""
    save_file(tensors, path)
    description = {**description, "sha256": _checksum(tensors)}
    description["sha256_of_this"] = _checksum_of_description(description)
    path.with_suffix(".json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"layers": {}, "layers": {}}', "the key 'layers' stands twice in one object"),
        ('{"scale": 1e999}', "the number 1e999 is too large"),
        ('{"scale": 1' + "0" * 400 + "}", r"the number 1000\S+ is too large"),
        ('{"scale": NaN}', "NaN is no number"),
        ('{"scale": -Infinity}', "-Infinity is no number"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 70 + "]" * 70, "nested too deeply"),
        ("9" * 5_000, "is too large"),
        ("", "no readable JSON"),
    ],
)
def test_json_that_python_reads_or_chokes_on(text, sentence, tmp_path):
    sb.save_weights(trained(sb.Sign()), tmp_path / "net.safetensors")
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(WeightsFileError, match=sentence) as raised:
        sb.load_weights_(float_net(), tmp_path / "net.safetensors")
    assert "\n" not in str(raised.value)


BERNOULLI = {"type": "BinaryConv2d", **sb.Bernoulli().to_json(), "scale": "channel"}


@pytest.mark.parametrize(
    "changes",
    [
        {"tau": 10**301},
        {"tau": 0},
        {"tau": True},
        {"tau": "1"},
        {"tau": [1.0]},
        {"tau": None},
        {"prior": 1.0},
        {"estimator": ["hard"]},
        {"estimator": "os.system"},
        {"init_scale": -1.0},
        {"shared_noise": 1},
        {"path": "/etc/passwd"},
        {"rule": "snntorch_binary.weights.sign.Sign"},
        {"rule": ""},
        {"rule": ["sign"]},
        {"scale": 10**299},
        {"scale": 0},
        {"scale": True},
        {"scale": "layer"},
        {"scale": ["channel"]},
        {"scale": {}},
        {"type": "Linear"},
        {"type": ["BinaryConv2d"]},
        {"type": None},
    ],
)
def test_hostile_rules_with_a_right_checksum(changes, tmp_path):
    path = tmp_path / "net.safetensors"
    sb.save_weights(trained(sb.Bernoulli()), path)
    description = json.loads(path.with_suffix(".json").read_text())
    assert description["layers"]["0"] == BERNOULLI
    description["layers"]["0"] = BERNOULLI | changes
    write(path, load_file(path), description)
    net = float_net()
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z"):
        sb.load_weights_(net, path)
    assert type(net[0]) is nn.Conv2d


def test_a_whole_number_for_a_temperature(tmp_path):
    """Compiled kernels have another type for it, and one that does not take large ones."""
    path = tmp_path / "net.safetensors"
    sb.save_weights(trained(sb.Bernoulli()), path)
    description = json.loads(path.with_suffix(".json").read_text())
    for layer in description["layers"].values():
        layer["tau"] = 10**20
    write(path, load_file(path), description)
    rule = sb.load_weights_(float_net(), path)[0].rule
    assert rule.tau == 1e20
    assert type(rule.tau) is float


def test_hostile_tensors_with_a_right_checksum(tmp_path):
    path = tmp_path / "net.safetensors"
    sb.save_weights(trained(sb.Bernoulli()), path)
    tensors, description = load_file(path), json.loads(path.with_suffix(".json").read_text())
    latent, state, prior = tensors["0.weight"], tensors["0.weight_draw"], tensors["0.prior_latent"]
    for changed in (
        {"0.weight": latent.to(torch.int64)},
        {"0.weight": latent.to(torch.complex64)},
        {"0.weight": latent > 0},
        {"0.weight": latent.flatten().clone()},
        {"0.weight": latent[:0].clone()},
        {"0.weight_draw": state.float() + 0.5},
        {"0.weight_draw": torch.zeros(3, dtype=torch.int64)},
        {"0.weight_draw": torch.zeros((), dtype=torch.int64)},
        {"0.weight_draw": torch.zeros(0, dtype=torch.int64)},
        {"0.prior_latent": prior.expand(2).clone()},
        {"1.num_batches_tracked": torch.tensor(1.5)},
        {"more": torch.zeros(1)},
        {"x" * 100_000: torch.zeros(1)},
    ):
        write(path, tensors | changed, description)
        net = float_net()
        with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as raised:
            sb.load_weights_(net, path)
        assert len(str(raised.value)) < 1000
        assert type(net[0]) is nn.Conv2d
    write(path, {**tensors, "0.weight": latent.double()}, description)  # another precision of the same numbers is none
    assert torch.equal(sb.load_weights_(float_net(), path)[0].latent, latent)
    write(path, tensors, {**description, "aliases": {"0.weight": "0.weight"}})
    with pytest.raises(WeightsFileError, match=r"'0\.weight' is saved, and said to be another"):
        sb.load_weights_(float_net(), path)


def test_a_changed_word_of_the_description_is_found(tmp_path):
    """A temperature is no part of the tensors, and was taken as it came."""
    path = tmp_path / "net.safetensors"
    sb.save_weights(trained(sb.Bernoulli(tau=0.5)), path)
    description = path.with_suffix(".json")
    description.write_text(description.read_text().replace('"tau": 0.5', '"tau": 0.6'))
    with pytest.raises(WeightsFileError, match="its contents do not have the checksum in it"):
        sb.load_weights_(float_net(), path)
    content = json.loads(description.read_text())
    del content["sha256_of_this"]  # as the first files were
    description.write_text(json.dumps(content))
    assert sb.load_weights_(float_net(), path)[0].rule.tau == 0.6


def small_net():
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


@pytest.mark.parametrize("files", [300, pytest.param(20_000, marks=pytest.mark.repeated)])
def test_mutated_files(files, tmp_path):
    """Damage is found by the checksums; what somebody changed and signed is refused, or is what then stands there."""
    path = tmp_path / "net.safetensors"
    saved = small_net()
    sb.binarize_(saved, sb.Bernoulli())
    sb.save_weights(saved, path)
    tensors, text = load_file(path), path.with_suffix(".json").read_text()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    description, whole = json.loads(text), {path: path.read_bytes(), path.with_suffix(".json"): text.encode()}
    chance = random.Random(0)
    slowest, loads, refusals = 0.0, 0, set()
    for trial in range(files):
        signed = trial % 3 == 0
        if signed:
            changed = changed_json(description, chance)
            write(path, tensors, changed)
        else:
            for file, content in whole.items():
                file.write_bytes(content if (trial % 3 == 1) == (file == path) else mutated(content, chance))
        net, start = small_net(), time.process_time()
        try:
            sb.load_weights_(net, path)
        except ValueError as error:
            refusals.add((type(error), "\n" in str(error)))
        else:
            loads += 1
            layers = changed["layers"] if signed else description["layers"]
            assert {
                name: {"type": type(layer).__name__, **layer.rule.to_json(), "scale": layer.scale}
                for name, layer in binary_layers(net).items()
            } == {
                name: {key: float(value) if type(value) is int else value for key, value in layer.items()}
                for name, layer in layers.items()
            }
            same(net, saved) if not signed else None
        slowest = max(slowest, time.process_time() - start)
    assert 0 < loads < files / 2
    assert slowest < 2
    assert refusals <= {(kind, False) for kind in (ValueError, WeightsFileError, WeightsFileVersionError)}
    print(f"{files} files, {loads} loaded, the slowest took {slowest:.3f} s")


def mutated(content, chance):
    """Some bytes flipped, cut, inserted or exchanged."""
    content, at = bytearray(content), chance.randrange(len(content))
    kind = chance.randrange(4)
    if kind == 0:
        content[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del content[at:]
    elif kind == 2:
        content[at:at] = chance.randbytes(chance.randrange(1, 9))
    else:
        content[at] = chance.choice(b'0123456789{}[]":,-ex')
    return bytes(content)


def changed_json(values, chance):
    """A description with one value, anywhere in it, replaced by another."""
    values = copy.deepcopy(values)
    places, stack = [], [values]
    while stack:
        node = stack.pop()
        for key, value in node.items():
            places.append((node, key))
            if isinstance(value, dict):
                stack.append(value)
    node, key = chance.choice(places)
    node[key] = chance.choice([None, True, -1, 0, 1, 2, 2**63, 10**40, 0.5, 1e300, "", "sign", "channel", [], [1], {}])
    return values


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
