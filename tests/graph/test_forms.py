"""Networks in the forms that people write, fused, against themselves."""

import copy

import pytest
import snntorch as snn
import torch
from models import MODELS
from torch import nn

import snntorch_binary as sb
from snntorch_binary.graph.tree import leaves
from snntorch_binary.inference import run

STEPWISE = {"one step a call", "Sequential"}
IMAGES = {"static image, convolutions", "residual blocks", "autoencoder"}
SLOW = {"residual blocks", "autoencoder", "self-attention", "convolutions with batch norm"}


def made(name, dropout=True):
    torch.manual_seed(0)
    make, sample = MODELS[name]
    net = make()
    if not dropout:
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        net.p = 0.0
    return net, sample()


def answered(net, x, name, seed=1):
    torch.manual_seed(seed)
    if name in STEPWISE and not hasattr(net, "graph"):
        return [leaf for leaf in leaves(run(net, x, step=True)) if isinstance(leaf, torch.Tensor)]
    sb.reset(net)
    return [leaf for leaf in leaves(net(x)) if isinstance(leaf, torch.Tensor)]


def check_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        if bool((other == other.round()).all()):  # spikes, and sums of them
            assert torch.equal(one, other)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def gradients(outputs, parameters):
    total = sum(
        (output * torch.linspace(-1, 1.5, output.numel()).view_as(output)).sum()
        for output in outputs
        if output.requires_grad
    )
    return torch.autograd.grad(total, parameters, allow_unused=True)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODELS]
)
def test_answers_and_gradients_are_those_of_the_network(name):
    net, x = made(name, dropout=False)
    fused = sb.fuse(net, x)
    assert list(fused.state_dict()) == list(net.state_dict())
    assert [id(parameter) for parameter in fused.parameters()] == [id(parameter) for parameter in net.parameters()]

    net.eval(), fused.eval()
    check_equal(answered(fused, x, name), answered(net, x, name))

    net.train(), fused.train()
    kept = copy.deepcopy(net.state_dict())
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    theirs = answered(net, x, name)
    expected = gradients(theirs, parameters)
    after = copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    ours = answered(fused, x, name)
    check_equal(ours, theirs)
    for key, value in fused.state_dict().items():  # statistics of batch norms
        torch.testing.assert_close(value, after[key])

    largest = max(float(grad.abs().max()) for grad in expected if grad is not None) if expected else 0.0
    for one, other in zip(gradients(ours, parameters), expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert bool(torch.isfinite(one).all())
            # Of the bias before a batch norm the gradient is nothing but rounding.
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * largest)


@pytest.mark.parametrize("name", sorted(set(MODELS) - SLOW))
def test_other_times_and_batches(name):
    net, x = made(name)
    fused = sb.fuse(net, x).eval()
    net.eval()
    more = torch.cat([x, x.flip(0)])
    check_equal(answered(fused, more, name), answered(net, more, name))
    if x.dim() > 2 and name not in IMAGES:
        more = torch.cat([x, x.flip(1)[:, :1]], 1)
        check_equal(answered(fused, more, name), answered(net, more, name))


def test_training_one_trains_the_other_and_checkpoints_are_shared():
    net, x = made("loop over time")
    fused = sb.fuse(net, x)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    before = copy.deepcopy(net.state_dict())
    fused(x).sum().backward()
    optimizer.step()
    assert any(not torch.equal(value, before[key]) for key, value in net.state_dict().items())
    check_equal(answered(fused.eval(), x, ""), answered(net.eval(), x, ""))
    other, _ = made("loop over time")
    fused.load_state_dict(other.state_dict())
    check_equal(answered(net, x, ""), answered(other.eval(), x, ""))


def test_a_layer_that_does_not_change_over_time_is_computed_once():
    net, x = made("static image")
    calls = []
    net.fc1.register_forward_hook(lambda *_: calls.append(1))
    fused = sb.fuse(net, x)
    calls.clear()
    fused(x)
    assert len(calls) == 1
    assert fused.report == {
        "fc1": "Linear, once",
        "lif1": "Leaky, one scan",
        "fc2": "Linear, all steps at once",
        "lif2": "Leaky, one scan",
    }
    assert fused.summary().splitlines()[1] == "lif1  Leaky, one scan"


def test_what_feeds_back_goes_step_by_step_and_the_rest_does_not():
    net, x = made("feedback")
    report = sb.fuse(net, x).report
    assert {name for name, what in report.items() if "step by step" in what} == {"back", "lif1", "fc2", "lif2"}
    assert report["lif3"] == "Leaky, one scan"


def test_dropout_is_drawn_anew_at_every_step():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return torch.stack([self.drop(x) for _ in range(4)])

    fused = sb.fuse(Net(), torch.ones(3, 100))
    steps = fused.train()(torch.ones(3, 100))
    assert not any(torch.equal(steps[0], step) for step in steps[1:])
    assert torch.equal(fused.eval()(torch.ones(3, 100)), torch.ones(4, 3, 100))


def test_a_network_is_left_as_it_was():
    net, x = made("convolutions with batch norm")
    before, training = copy.deepcopy(net.state_dict()), [module.training for module in net.modules()]
    random = torch.get_rng_state()
    sb.fuse(net, x)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == training
    assert torch.equal(random, torch.get_rng_state())
    assert net.lif1.mem.numel() == 0


def test_copies_and_pickles():
    import pickle

    net, x = made("two heads")
    for lif in (net.lif, net.lif_classes, net.readout):
        lif.spike_grad = sb.nn.surrogate.ArcTan(2.0)  # snnTorch's own cannot be pickled
    fused = sb.fuse(net, x).eval()
    answer = answered(fused, x, "")
    for twin in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused))):
        check_equal(answered(twin, x, ""), answer)
        with torch.no_grad():
            twin.fc.weight.zero_()
    check_equal(answered(fused, x, ""), answer)


def test_binary_weights():
    net, x = made("static image, convolutions")
    sb.binarize_(net, sb.Bernoulli())
    fused = sb.fuse(net, x)
    check_equal(answered(fused, x, ""), answered(net, x, ""))
    loss = fused(x)[1].square().mean()
    optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.3, rho=0.0)
    loss.backward()
    optimizer.step()
    check_equal(answered(fused, x, ""), answered(net, x, ""))


def test_arguments_beside_the_input():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(4, 3), sb.nn.Leaky(0.9, 0.3, step=True)

        def forward(self, x, num_steps):
            mem, rec = None, []
            for _ in range(num_steps):
                spk, mem = self.lif(self.fc(x), mem)
                rec.append(spk)
            return torch.stack(rec)

    net, x = Net(), torch.rand(2, 4)
    fused = sb.fuse(net, (x, 7))
    assert torch.equal(fused(x, 7), net(x, 7))
    with pytest.raises(ValueError, match="7, as in the sample"):
        fused(x, 8)


class OneStep(nn.Module):
    """Takes an image a call, which neurons keep their state of; a sequence of images it does not take."""

    def __init__(self):
        super().__init__()
        self.conv, self.lif = nn.Conv2d(2, 4, 3), snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True)
        self.fc, self.out = nn.Linear(4 * 36, 3), snn.Leaky(beta=0.9, threshold=0.2, init_hidden=True)

    def forward(self, x):
        return self.out(self.fc(self.lif(self.conv(x)).flatten(1)))


def test_a_network_of_single_steps_is_found_to_be_one():
    torch.manual_seed(0)
    net = OneStep().eval()
    sb.binarize_(net, sb.Sign())
    x = torch.rand(5, 2, 2, 8, 8)
    for over_time in (sb.fuse(net, x), sb.pack(net, x)):
        for steps, batch in ((5, 2), (9, 3)):
            sequence = torch.rand(steps, batch, 2, 8, 8)
            sb.reset(net)
            with torch.no_grad():
                expected = torch.stack([net(x_t) for x_t in sequence])
            assert torch.equal(over_time(sequence), expected)
            assert float(expected.sum()) > 0


@pytest.mark.slow
def test_a_graph_module_of_torch():
    net, x = made("residual blocks")
    fused = sb.fuse(net, x).eval()
    module = fused.graph_module()
    assert isinstance(module, torch.fx.GraphModule)
    assert "self.block1.conv1" in module.code
    check_equal(leaves(module(x)), answered(fused, x, ""))
    check_equal(leaves(torch.fx.Interpreter(module).run(x)), answered(fused, x, ""))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convolutions with batch norm", "residual blocks"])
def test_fused_training_learns_the_same(name):
    curves = []
    for fuse in (False, True):
        net, x = made(name, dropout=False)
        network = (sb.fuse(net, x) if fuse else net).train()
        # Adam makes whole steps of gradients that are rounding alone, as those of a bias before a batch norm are.
        optimizer = torch.optim.SGD(network.parameters(), 0.03)
        labels, losses = torch.tensor([0, 2, 4]), []
        for _ in range(10):
            scores = network(x)
            loss = nn.functional.cross_entropy(scores.mean(0) if scores.dim() == 3 else scores, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        curves.append(torch.tensor([*losses, *(value.double().sum() for value in net.state_dict().values())]))
    assert curves[0][9] < curves[0][0]
    torch.testing.assert_close(curves[1], curves[0], rtol=1e-3, atol=1e-3)


def test_it_can_be_fused_where_no_gradients_are_kept():
    net, x = made("loop over time")
    with torch.no_grad():
        fused = sb.fuse(net, x)
    check_equal(answered(fused, x, "loop over time"), answered(net, x, "loop over time"))
    assert fused(x)[0].requires_grad


class Underscored(nn.Module):
    """Names that begin with an underscore, as those of what a graph adds do; neurons of ours in a recurrent layer."""

    def __init__(self):
        super().__init__()
        self._fc = nn.Linear(12, 6)
        self._hidden = sb.nn.Recurrent(
            sb.nn.Leaky(beta=0.9, spike_grad=sb.kernels.surrogates.ArcTan()), nn.Linear(6, 6)
        )

    def forward(self, x):
        return self._hidden(4 * self._fc(x))


def test_names_with_underscores_and_surrogates_as_arguments():
    net, x = Underscored(), torch.rand(5, 3, 12)
    fused = sb.fuse(net, x)
    assert fused.proof == "compared on 2 fresh inputs: equal bit for bit"
    assert torch.equal(fused(x), net(x))
    other = Underscored()
    assert torch.equal(fused.of(other)(x), other(x))
    assert not torch.equal(fused(x), other(x))


class ShownTheSame(nn.Module):
    """A normalized image at every step, which it returns as well."""

    def __init__(self):
        super().__init__()
        self.norm, self.lif = nn.BatchNorm1d(6), snn.Leaky(beta=0.9)

    def forward(self, x):
        mem, spikes, currents = self.lif.init_leaky(), [], []
        for _ in range(4):
            current = self.norm(x)
            spk, mem = self.lif(current, mem)
            spikes.append(spk)
            currents.append(current)
        return torch.stack(spikes), torch.stack(currents)


@pytest.mark.parametrize("training", [True, False])
def test_each_step_of_what_is_the_same_has_memory_of_its_own(training):
    net, x = ShownTheSame().train(training), torch.rand(5, 6)
    found = []
    for each in (net, sb.fuse(net, x)):
        currents = each(x)[1].detach()
        currents[0] = 0
        found.append(currents)
    torch.testing.assert_close(*found)
    assert float(found[1][1:].abs().min()) > 0
