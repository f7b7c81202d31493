"""`Ensemble.of`: networks and posteriors trained apart as one ensemble."""

import pytest
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.packed import PackedEnsemble

T, B, IN, C = 6, 4, 12, 3


def network(rule, hidden=20, classes=C, beta=0.9):
    net = nn.Sequential(nn.Linear(IN, hidden), sb.nn.Leaky(beta=beta, threshold=0.3), nn.Linear(hidden, classes))
    if rule is not None:
        sb.binarize_(net, rule, scale=0.125)  # of a power of two no sum is rounded
    return net


def module(**options):
    pytest.importorskip("torchmetrics")  # which the core does not need
    from snntorch_binary.lightning import STBiSNN

    return STBiSNN(network(None), C, **options)


def posterior():
    return network(sb.Bernoulli(init_scale=0.4))


@pytest.fixture
def x():
    return (torch.rand(T, B, IN) < 0.6).float()


@pytest.mark.parametrize("rule", [sb.Sign(), None], ids=["st", "float"])
def test_each_network_is_a_member(rule, x):
    nets = [network(rule) for _ in range(3)]
    ensemble = sb.Ensemble.of(nets)
    each = torch.stack([net.eval()(x).mean(0) for net in nets])
    torch.testing.assert_close(ensemble(x), each)
    torch.testing.assert_close(ensemble.predict(x).probs, each.softmax(-1).mean(0))
    assert not torch.equal(each[0], each[1])
    with torch.no_grad():
        nets[0][0].bias.add_(1)  # what is learned later reaches no member
    torch.testing.assert_close(ensemble(x), each)


def test_networks_may_come_one_by_one(x):
    nets = [network(sb.Sign()) for _ in range(2)]
    assert torch.equal(sb.Ensemble.of(net for net in nets)(x), sb.Ensemble.of(nets)(x))


def test_a_member_is_a_draw_of_each_posterior_by_turns(x):
    """Two posteriors that are sure of opposite networks are told apart by their members."""
    nets = [posterior(), posterior()]
    with torch.no_grad():
        for layer, other in zip(*(net[::2] for net in nets), strict=True):
            layer.latent.copy_(layer.latent.sign() * 20)
            other.latent.copy_(-layer.latent)
    ensemble = sb.Ensemble.of(nets, num_members=5)
    weights = torch.stack([member[0].weight for member in ensemble.members])
    assert torch.equal(weights[0::2], weights[:1].expand(3, -1, -1))
    assert torch.equal(weights[1::2], -weights[:1].expand(2, -1, -1))


def test_of_one_posterior_it_is_its_ensemble(x):
    net = posterior()
    ensemble = sb.Ensemble.of([net], seed=4)
    assert len(ensemble.members) == 10
    assert torch.equal(ensemble(x), sb.Ensemble(net, seed=4)(x))
    assert not torch.equal(ensemble(x)[0], ensemble(x)[1])


def test_how_many_members_there_are():
    assert len(sb.Ensemble.of([posterior() for _ in range(3)]).members) == 10
    assert len(sb.Ensemble.of([posterior() for _ in range(11)]).members) == 11
    assert len(sb.Ensemble.of([posterior(), network(sb.Sign())]).members) == 2


def test_modules_say_how_they_are_read(x):
    modules = [module(readout="membrane", readout_scale=3.0) for _ in range(2)]
    ensemble = sb.Ensemble.of(modules)
    assert (ensemble.readout, ensemble.readout_scale, ensemble.task) == ("membrane", 3.0, "classes")
    torch.testing.assert_close(ensemble(x), torch.stack([module.eval()(x) for module in modules]))


def test_each_members_norms_go_by_data():
    nets = [nn.Sequential(nn.Linear(IN, C), nn.BatchNorm1d(C)) for _ in range(2)]
    for net in nets:
        sb.binarize_(net, sb.Sign())
    data = torch.rand(200, IN)
    ensemble = sb.Ensemble.of(nets, data=data, step=False)
    for member in ensemble.members:
        torch.testing.assert_close(member(data).mean(0), torch.zeros(C), atol=1e-2, rtol=0)


@pytest.mark.parametrize("rule", [sb.Sign(), sb.Bernoulli(init_scale=0.4)], ids=["st", "bayes"])
def test_packed_together_and_kept_in_a_file(rule, x, tmp_path):
    ensemble = sb.Ensemble.of([network(rule) for _ in range(3)], num_members=3)
    packed = sb.pack(ensemble)
    assert isinstance(packed, PackedEnsemble)
    assert isinstance(packed.net, nn.Sequential)
    assert torch.equal(packed(x), ensemble(x))
    sb.save_packed(packed, tmp_path / "three.safetensors")
    assert torch.equal(sb.load_packed(tmp_path / "three.safetensors")(x), ensemble(x))


def test_neurons_that_learned_their_own_constants_are_packed_one_by_one(x):
    ensemble = sb.Ensemble.of([network(sb.Sign(), beta=beta) for beta in (0.9, 0.2)])
    packed = sb.pack(ensemble)
    assert isinstance(packed.net, nn.ModuleList)
    torch.testing.assert_close(packed(x), ensemble(x))
    same = sb.Ensemble.of([network(sb.Sign(), beta=0.2) for _ in range(2)])
    assert isinstance(sb.pack(same).net, nn.Sequential)


def modules(**changed):
    return [module(), module(**changed)]


@pytest.mark.parametrize(
    ("nets", "arguments", "sentence"),
    [
        (list, {}, r"`nets` to be at least one network, but got none\."),
        (lambda: network(None), {}, r"`nets` to be a list of networks, but got a Sequential\."),
        (lambda: None, {}, r"`nets` to be a list of networks, but got a NoneType\."),
        (lambda: 3, {}, r"`nets` to be a list of networks, but got a int\."),
        (lambda: (net for net in ()), {}, r"`nets` to be at least one network, but got none\."),
        (lambda: [network(None), "st"], {}, r"`nets` to be networks and posteriors, no ensembles, but got a str\."),
        (lambda: [sb.Ensemble(posterior())], {}, r"no ensembles, but got a Ensemble\."),
        (lambda: [sb.pack(sb.Ensemble(posterior()))], {}, r"no ensembles, but got a PackedEnsemble\."),
        (lambda: [network(None), network(None, hidden=7)], {}, "one architecture, with as many classes, but got '0'"),
        (lambda: [network(None), network(None, classes=4)], {}, r"got '2': Linear\(.*=3.*\) and Linear\(.*=4.*\)\."),
        (lambda: [network(None), nn.Linear(IN, C)], {}, "of one architecture"),
        (lambda: [network(None), nn.Sequential(*network(None), nn.Tanh())], {}, r"but got '3': none and Tanh\(\)\."),
        (lambda: modules(readout="membrane"), {}, "networks of the same readout, but got 'auto' and 'membrane'"),
        (lambda: modules(readout_scale=2.0), {}, "networks of the same readout_scale, but got None and 2.0"),
        (lambda: [posterior()] * 3, {"num_members": 2}, "`num_members` to be an integer of at least 3, one member a"),
        (lambda: [posterior()] * 3, {"num_members": True}, "at least 3, one member a network, but got True"),
        (lambda: [network(sb.Sign())] * 3, {"num_members": 4}, "`num_members` to be at most 3, one a network"),
        (lambda: [posterior(), network(None)], {"num_members": 3}, "`num_members` to be at most 2"),
    ],
)  # fmt: skip
def test_what_is_refused(nets, arguments, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        sb.Ensemble.of(nets(), **arguments)
