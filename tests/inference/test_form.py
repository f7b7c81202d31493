"""One step a call or a sequence, and where time and the batch are: found out by running, or refused in a sentence."""

import copy
import dataclasses

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference import run
from snntorch_binary.inference.find_form import form_of, known_step

T, B, IN, C = 5, 4, 6, 3


def body(output=True, last=None):
    last = last or snn.Leaky(beta=0.8, init_hidden=True, output=output)
    return nn.Sequential(nn.Linear(IN, 8), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(8, C), last)


class Looped(nn.Module):
    """Neurons that keep their state, a loop inside `forward`, in the order of dimensions that is asked for."""

    def __init__(self, time_in=0, time_out=0, num_steps=None, single=False, layers=None, rests=True):
        super().__init__()
        self.body, self.single, self.rests = layers or body(), single, rests
        self.time_in, self.time_out, self.num_steps = time_in, time_out, num_steps

    def forward(self, x):
        if self.rests:
            utils.reset(self.body)
        steps = [x] * self.num_steps if self.num_steps else x.unbind(self.time_in)
        spikes, potentials = zip(*map(self.body, steps), strict=True)
        spikes, potentials = (torch.stack(of_time, self.time_out) for of_time in (spikes, potentials))
        return potentials if self.single else (spikes, potentials)


class OneStep(nn.Module):
    """A class of its own that takes one step a call."""

    def __init__(self):
        super().__init__()
        self.layers = body()

    def forward(self, x):
        return self.layers(x)


class WithoutState(nn.Module):
    """Neurons without `init_hidden` that are given no state: snnTorch keeps it all the same."""

    def __init__(self):
        super().__init__()
        self.fc, self.lif, self.out = nn.Linear(IN, 8), snn.Leaky(beta=0.9), nn.Linear(8, C)
        self.last = snn.Synaptic(alpha=0.8, beta=0.7)

    def forward(self, x):
        spikes, _ = self.lif(self.fc(x))
        spikes, _, potential = self.last(self.out(spikes))
        return spikes, potential


class StateHandedOn(nn.Module):
    """snnTorch's tutorial: states are variables of `forward`; an image is shown for some steps."""

    def __init__(self, neurons=snn.Leaky, num_steps=7, **options):
        super().__init__()
        self.fc, self.lif, self.num_steps = nn.Linear(IN, C), neurons(**{"beta": 0.9, **options}), num_steps

    def forward(self, x):
        state, kept = (), []
        utils.reset(self)
        for _ in range(self.num_steps):
            spikes, *state = self.lif(self.fc(x), *state)
            kept.append((spikes, state[-1]))
        return tuple(map(torch.stack, zip(*kept, strict=True)))


class Handmade(nn.Module):
    """No neuron that anybody knows: the loop is over a product of all steps."""

    def __init__(self, time_first=True):
        super().__init__()
        self.fc, self.time_first = nn.Linear(IN, C), time_first

    def forward(self, x):
        currents = self.fc(x) if self.time_first else self.fc(x).transpose(0, 1)
        potential, kept = torch.zeros_like(currents[0]), []
        for current in currents:
            potential = 0.9 * potential + current
            kept.append(potential)
        kept = torch.stack(kept)
        return kept if self.time_first else kept.transpose(0, 1)


class OtherNeuron(nn.Module):
    """A neuron of another library that keeps its state, and returns to rest by a method of some name."""

    def __init__(self, multi_step=False):
        super().__init__()
        self.v, self.multi_step = 0.0, multi_step

    def forward(self, x):
        if not self.multi_step:
            self.v = 0.8 * self.v + x
            return self.v
        steps = []
        for x_t in x:
            self.v = 0.8 * self.v + x_t
            steps.append(self.v)
        return torch.stack(steps)


class WithReset(OtherNeuron):
    def reset(self):
        self.v = 0.0


class WithResetStates(OtherNeuron):
    def reset_states(self):
        self.v = 0.0


class InPlace(WithReset):
    """One that writes to the tensor it keeps."""

    def forward(self, x):
        if isinstance(self.v, float):
            self.v = torch.zeros_like(x)
        self.v.mul_(0.8).add_(x)
        return self.v.clone()


def of_others(neuron, loop=False):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.neuron = nn.Linear(IN, C), neuron

        def forward(self, x):
            if loop:
                return torch.stack([self.neuron(self.fc(x_t)) for x_t in x])
            return self.neuron(self.fc(x))

    return Net()


def in_a_row(neuron):
    return nn.Sequential(nn.Linear(IN, C), neuron)


SEQUENCE, IMAGES, BATCH_FIRST = (T, B, IN), (B, IN), (B, T, IN)

ZOO = {
    "loop": (Looped, SEQUENCE, False, 0),
    "loop, batch first out": (lambda: Looped(time_out=1), SEQUENCE, False, 1),
    "loop, batch first in": (lambda: Looped(time_in=1), BATCH_FIRST, False, 0),
    "loop, batch first in and out": (lambda: Looped(time_in=1, time_out=1), BATCH_FIRST, False, 1),
    "loop, potentials only": (lambda: Looped(single=True), SEQUENCE, False, 0),
    "loop, never at rest by itself": (lambda: Looped(rests=False), SEQUENCE, False, 0),
    "loop, time last": (lambda: Looped(time_out=2), SEQUENCE, False, 2),
    "images": (lambda: Looped(num_steps=7), IMAGES, False, 0),
    "images, as many steps as examples": (lambda: Looped(num_steps=B), IMAGES, False, 0),
    "images, batch first out": (lambda: Looped(num_steps=B, time_out=1), IMAGES, False, 1),
    "state handed on": (StateHandedOn, IMAGES, False, 0),
    "recurrent": (lambda: StateHandedOn(snn.RLeaky, linear_features=C), IMAGES, False, 0),
    "synaptic": (lambda: StateHandedOn(snn.Synaptic, alpha=0.8), IMAGES, False, 0),
    "alpha": (lambda: StateHandedOn(snn.Alpha, alpha=0.95), IMAGES, False, 0),
    "one step": (OneStep, SEQUENCE, True, 0),
    "one step, no init_hidden": (WithoutState, SEQUENCE, True, 0),
    "layers in a row": (body, SEQUENCE, True, 0),
    "layers in a row, no init_hidden": (lambda: in_a_row(snn.Leaky(beta=0.9)), SEQUENCE, True, 0),
    "time-first": (lambda: in_a_row(sb.nn.Leaky(beta=0.9, output=True)), SEQUENCE, False, 0),
    "a time-first body": (lambda: of_others(sb.nn.Leaky(beta=0.9, output=True)), SEQUENCE, False, 0),
    "handmade": (Handmade, SEQUENCE, False, 0),
    "handmade, batch first": (lambda: Handmade(time_first=False), BATCH_FIRST, False, 1),
    "another's, reset": (lambda: of_others(WithReset()), SEQUENCE, True, 0),
    "another's, reset, in a row": (lambda: in_a_row(WithReset()), SEQUENCE, True, 0),
    "another's, written in place": (lambda: of_others(InPlace()), SEQUENCE, True, 0),
    "another's, reset_states": (lambda: of_others(WithResetStates()), SEQUENCE, True, 0),
    "another's, looped": (lambda: of_others(WithReset(), loop=True), SEQUENCE, False, 0),
    "another's, all steps in a call": (lambda: of_others(WithReset(multi_step=True)), SEQUENCE, False, 0),
}  # fmt: skip
STEP_WITH_B_OF_T = {name: entry for name, entry in ZOO.items() if entry[1] != IMAGES}


def to_rest(net):
    sb.reset(net)
    for module in net.modules():
        if isinstance(module, OtherNeuron):
            module.v = 0.0


def by_hand(net, x, step, time_dim):
    """The mean over time [B, C] of the last output."""
    to_rest(net)
    with torch.no_grad():
        outputs = [net(x_t) for x_t in x] if step else net(x)
    if step:
        outputs = [output[-1] if isinstance(output, tuple) else output for output in outputs]
        return torch.stack(outputs).mean(0)
    return (outputs[-1] if isinstance(outputs, tuple) else outputs).mean(time_dim)


def made(name, sizes=None):
    make, shape, step, time_dim = ZOO[name]
    torch.manual_seed(0)
    net = make()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.5))
    sizes = dict(zip((T, B), sizes, strict=True)) if sizes else {}
    x = 3 * torch.rand([sizes.get(size, size) for size in shape])
    return net.eval(), x, step, time_dim


@pytest.mark.parametrize("name", ZOO)
def test_the_form_is_found_out(name):
    net, x, step, time_dim = made(name)
    form = form_of(net, x)
    assert (form.step, form.time_dim) == (step, time_dim)
    want = by_hand(net, x, step, time_dim).softmax(-1)
    to_rest(net)
    got = sb.predict(net, x, 2, readout="membrane")
    torch.testing.assert_close(got.mode_probs, want)
    generator = torch.Generator().manual_seed(0)
    for member in sb.Ensemble(net, 2, readout="membrane").members:
        with sb.sampled(net, "binary", generator):
            torch.testing.assert_close(by_hand(member, x, step, time_dim), by_hand(net, x, step, time_dim))
    ensemble = sb.Ensemble(net, 2, readout="membrane")
    expected = torch.stack([by_hand(member, x, step, time_dim) for member in ensemble.members])
    torch.testing.assert_close(ensemble(x), expected)


@pytest.mark.parametrize("name", STEP_WITH_B_OF_T)
@pytest.mark.parametrize("sizes", [(4, 4), (1, 1), (C, IN)])
def test_sizes_that_agree_change_nothing(name, sizes):
    net, x, step, time_dim = made(name, sizes)
    form = form_of(net, x)
    assert (form.step, form.time_dim) == (step, time_dim)


@pytest.mark.parametrize("name", ZOO)
def test_nothing_is_left_behind(name):
    net, x, *_ = made(name)
    with torch.no_grad():
        run(net.train(), x)
    net = copy.deepcopy(net)  # nothing is known of it yet
    random = torch.random.get_rng_state()
    before = [(module, vars(module) | module._buffers, copy.deepcopy(module)) for module in net.modules()]
    form_of(net, x)
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(module.training for module in net.modules())
    for module, values, twin in before:
        after = vars(module) | module._buffers
        assert after.keys() == values.keys()
        for key, value in values.items():
            assert after[key] is value
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, (vars(twin) | twin._buffers)[key])


def test_it_is_found_out_once():
    net, x, *_ = made("loop")
    calls = []
    net.body[0].register_forward_pre_hook(lambda *_: calls.append(1))
    run(net, x)
    first = len(calls)
    run(net, x)
    run(net.train(), torch.rand(T + 2, B, IN))
    assert first > T
    assert len(calls) == first + T + T + 2


def test_a_network_that_changes_is_looked_at_again():
    net, x, *_ = made("another's, reset")
    net.neuron.multi_step = False
    assert form_of(net, x).step
    net.neuron.multi_step = True
    assert not form_of(net, x).step


def test_norms_and_dropout_do_not_matter():
    net = nn.Sequential(nn.Linear(IN, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), snn.Leaky(beta=0.9, init_hidden=True))
    net = Looped(layers=nn.Sequential(net, nn.Linear(8, C), snn.Leaky(beta=0.9, init_hidden=True, output=True))).train()
    state = copy.deepcopy(net.state_dict())
    assert form_of(net, torch.rand(T, B, IN)).step is False
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items() if not key.endswith("mem"))


def test_convolutions():
    def conv():
        return nn.Sequential(
            nn.Conv2d(1, 2, 3), snn.Leaky(beta=0.9, init_hidden=True), nn.Flatten(), nn.Linear(2 * 6 * 6, C),
            snn.Leaky(beta=0.9, init_hidden=True, output=True),
        )  # fmt: skip

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = conv()

        def forward(self, x):
            utils.reset(self.layers)
            return tuple(map(torch.stack, zip(*[self.layers(x_t) for x_t in x], strict=True)))

    class Each(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = conv()

        def forward(self, x):
            return self.layers(x)

    x = torch.rand(T, B, 1, 8, 8)
    assert form_of(Whole(), x).step is False
    assert form_of(Each(), x).step is True
    assert form_of(Looped(num_steps=3, layers=conv()), x[0]).step is False


def test_a_fixed_number_of_steps():
    class Fixed(nn.Module):
        def __init__(self, fixed_batch):
            super().__init__()
            self.body, self.fixed_batch = body(), fixed_batch

        def forward(self, x):
            if self.fixed_batch and x.shape[1] != B:
                raise ValueError("another batch size")
            utils.reset(self.body)
            return tuple(map(torch.stack, zip(*[self.body(x[t]) for t in range(T)], strict=True)))

    for fixed_batch in (False, True):
        form = form_of(Fixed(fixed_batch), torch.rand(T, B, IN))
        assert form.step is False
        assert form.time_dim in ((0,) if not fixed_batch else (0, None))


def test_what_cannot_be_told_is_asked_for():
    class Sometimes(nn.Module):
        """Each call does one step, for no more than four examples."""

        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(IN, C), snn.Leaky(beta=0.9, init_hidden=True, output=True)

        def forward(self, x):
            return self.lif(self.fc(x[:B]))

    net = Sometimes()
    sb.binarize_(net, sb.Bernoulli())
    with pytest.raises(ValueError, match=r"^Expected argument `step` to be True .* or False .*, but got None\.$"):
        sb.predict(net, torch.rand(B, B, IN))
    assert sb.predict(net, torch.rand(B, B, IN), 2, step=True).probs.shape == (B, C)


def test_a_dimension_of_time_that_cannot_be_told_is_asked_for():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body()

        def forward(self, x):
            assert x.shape == (T, B, IN)
            utils.reset(self.body)
            return tuple(torch.stack(parts, 1) for parts in zip(*[self.body(x_t) for x_t in x], strict=True))

    net, x = Fixed(), 3 * torch.rand(T, B, IN)
    sb.binarize_(net, sb.Bernoulli())
    with pytest.raises(
        ValueError, match=r"^Expected argument `time_dim` to be the dimension of time .*, but got None\."
    ):
        sb.predict(net, x)
    net.eval()
    want = net(x)[1].mean(1).softmax(-1)
    torch.testing.assert_close(sb.predict(net, x, 2, readout="membrane", time_dim=1).mode_probs, want)


def test_a_state_that_nothing_puts_to_rest():
    net = of_others(OtherNeuron())
    sb.binarize_(net, sb.Bernoulli())
    with pytest.raises(ValueError, match=r"put to rest by .*, but got a OtherNeuron in 'neuron' that keeps a state"):
        sb.predict(net, torch.rand(T, B, IN))


def test_an_unrelated_reset_is_not_called():
    class Layer(nn.Linear):
        def reset(self):
            raise AssertionError

    class Meter(nn.Module):
        """Counts what goes through, and is set to zero by whoever reads it."""

        def __init__(self):
            super().__init__()
            self.total = torch.zeros(())

        def reset(self):
            self.total = torch.zeros(())

        def forward(self, x):
            self.total = self.total + x.sum()
            return x

    net = Looped(layers=nn.Sequential(Layer(IN, C), Meter(), snn.Leaky(beta=0.9, init_hidden=True, output=True)))
    assert form_of(net, torch.rand(T, B, IN)).step is False
    assert net.body[1].total == 0


def test_layers_of_both_kinds():
    both = nn.Sequential(nn.Linear(IN, 8), sb.nn.Leaky(beta=0.9), *in_a_row(snn.Leaky(beta=0.9, init_hidden=True)))
    with pytest.raises(ValueError, match="one step in '3' and a sequence in '1'"):
        known_step(both)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"time_dim": 3}, "`time_dim` to be 0, 1 or 2, or None to find out, but got 3"),
        ({"time_dim": True}, "`time_dim` to be 0, 1 or 2"),
        ({"time_dim": 1, "step": True}, "`time_dim` to be 0 or None for a network of single time steps, but got 1"),
    ],
)
def test_bad_dimensions(arguments, sentence):
    net, x, *_ = made("loop")
    for call in (lambda: sb.predict(net, x, **arguments), lambda: sb.Ensemble(net, **arguments)):
        with pytest.raises(ValueError, match=sentence):
            call()


# ---- outputs of any structure ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Answer:
    spikes: torch.Tensor
    potential: torch.Tensor


STRUCTURES = {
    "dictionary": (lambda s, m: {"spk": s, "mem": m}, lambda o: o["mem"]),
    "nested": (lambda s, m: (s, [s, {"mem": m}]), lambda o: o[1][1]["mem"]),
    "none": (lambda s, m: (s, None, m), lambda o: o[2]),
    "data class": (Answer, lambda o: o.potential),
    "named": (lambda s, m: torch.return_types.max((s, m)), lambda o: o[1]),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_outputs_keep_their_structure(name):
    wrap, read = STRUCTURES[name]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = body()

        def forward(self, x):
            return wrap(*self.layers(x))

    net, x = Net(), 3 * torch.rand(T, B, IN)
    sb.binarize_(net, sb.Bernoulli())
    sb.reset(net.eval())
    with torch.no_grad():
        want = torch.stack([net.layers(x_t)[1] for x_t in x])
    output = run(net, x)
    assert type(output) is type(wrap(want, want))
    assert torch.equal(read(output), want)
    found = sb.predict(net, x, 2, readout=lambda o: read(o).mean(0))
    torch.testing.assert_close(found.mode_probs, want.mean(0).softmax(-1))


def test_a_dictionary_has_no_order():
    net = Looped()
    net.forward = lambda x: {"spk": x, "mem": x}
    sb.binarize_(net, sb.Bernoulli())
    with pytest.raises(TypeError, match=r"`readout` to be a function of the network's output .*, but got .* a dict"):
        sb.predict(net, torch.rand(T, B, C))


def test_runs_that_tell_the_form_are_not_counted():
    from snntorch_binary.metrics import energy

    x = torch.rand(T, B, IN)
    for make in (lambda net: net, lambda net: sb.Ensemble(net, 2)):
        torch.manual_seed(0)
        net = Looped()
        sb.binarize_(net, sb.Bernoulli())
        model = make(net)
        first, again = energy(model, x, batch_size=B), energy(model, x, batch_size=B)
        assert first.rows == again.rows


def test_images_with_channels_first_over_time_are_asked_about():
    """[B, C, T] and [B, T, C] look alike; how often the neurons were called tells them apart, where it can."""

    class ChannelsFirst(Looped):
        def forward(self, x):
            spikes, potentials = super().forward(x)
            return spikes.permute(1, 2, 0), potentials.permute(1, 2, 0)

    assert form_of(ChannelsFirst(num_steps=7), torch.rand(B, IN)).time_dim == 2
    assert form_of(ChannelsFirst(num_steps=C), torch.rand(B, IN)).time_dim is None
    assert form_of(Looped(num_steps=C, time_out=1), torch.rand(B, IN)).time_dim is None
