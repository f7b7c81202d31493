"""Networks whose `forward` takes several arguments, given as a tuple."""

import pytest
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.inference import run
from snntorch_binary.inference.find_form import form_of

T, B, IN, M, C = 7, 6, 10, 4, 3


class Net(nn.Module):
    """A layer for spikes, one for what is shown with them, and neurons."""

    def __init__(self, init_hidden=False, norm=False):
        super().__init__()
        self.fc, self.context = nn.Linear(IN, C), nn.Linear(M, C)
        self.norm = nn.BatchNorm1d(C) if norm else nn.Identity()
        self.lif = snn.Leaky(beta=0.9, threshold=0.3, init_hidden=init_hidden)

    def step(self, x_t, context_t, mem):
        return self.lif(self.norm(self.fc(x_t) + self.context(context_t)), mem)

    def loop(self, pairs):
        mem, spikes = self.lif.init_leaky(), []
        for x_t, context_t in pairs:
            spk, mem = self.step(x_t, context_t, mem)
            spikes.append(spk)
        return spikes


class Context(Net):
    def forward(self, x, context):
        return torch.stack(self.loop((x_t, context) for x_t in x))


class TwoSequences(Net):
    def forward(self, x, context):
        return torch.stack(self.loop(zip(x, context)))  # noqa: B905  # as users write it


class BatchFirst(Net):
    def forward(self, x, context):
        return torch.stack(self.loop(zip(x.unbind(1), context.unbind(1))), 1)  # noqa: B905


class ContextOverTime(Net):
    """The input batch first, the context time-first."""

    def forward(self, x, context):
        return torch.stack(self.loop((x[:, t], context[t]) for t in range(len(context))), 1)


class Image(Net):
    def forward(self, x, num_steps):
        return torch.stack(self.loop((x, x[:, :M]) for _ in range(num_steps)))


class Flagged(Net):
    def forward(self, x, num_steps, time_first, gain, context=None):
        shown = x[:, :M] if context is None else context
        return torch.stack(self.loop((gain * x, shown) for _ in range(num_steps)), 0 if time_first else 1)


class Scores(Net):
    def forward(self, x, context):
        return torch.stack(self.loop((x_t, context) for x_t in x)).mean(0)


class Kinds(Net):
    """A kind of example by its number."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, M)

    def forward(self, x, kinds):
        return torch.stack(self.loop((x_t, self.embedding(kinds)) for x_t in x))


class Hidden(Net):
    """Neurons that keep their state, and a loop that does not reset them."""

    def __init__(self):
        super().__init__(init_hidden=True)

    def forward(self, x, context):
        return torch.stack([self.lif(self.fc(x_t) + self.context(context)) for x_t in x])


class OneStep(Hidden):
    def forward(self, x, context):
        return self.lif(self.fc(x) + self.context(context))


def sequence(*shape):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(len(shape))) < 0.6).float()


CASES = {
    "a context": (Context, lambda: (sequence(T, B, IN), torch.rand(B, M)), 0),
    "a context for all": (Context, lambda: (sequence(T, B, IN), torch.rand(1, M)), 0),
    "one example": (Context, lambda: (sequence(T, 1, IN), torch.rand(1, M)), 0),
    "as many steps as examples": (Context, lambda: (sequence(B, B, IN), torch.rand(B, M)), 0),
    "a context as wide as the batch": (Context, lambda: (sequence(T, M, IN), torch.rand(M, M)), 0),
    "two sequences": (TwoSequences, lambda: (sequence(T, B, IN), torch.rand(T, B, M)), 0),
    "two square sequences": (TwoSequences, lambda: (sequence(M, M, IN), torch.rand(M, M, M)), 0),
    "one step of two sequences": (TwoSequences, lambda: (sequence(1, B, IN), torch.rand(1, B, M)), 0),
    "one step of one example": (TwoSequences, lambda: (sequence(1, 1, IN), torch.rand(1, 1, M)), 0),
    "batch first": (BatchFirst, lambda: (sequence(B, T, IN), torch.rand(B, T, M)), 1),
    "time in the second only": (ContextOverTime, lambda: (sequence(B, T, IN), torch.rand(T, B, M)), 1),
    "an image and a number of steps": (Image, lambda: (sequence(B, IN), 5), 0),
    "an image for one step": (Image, lambda: (sequence(B, IN), 1), 0),
    "flags": (Flagged, lambda: (sequence(B, IN), 5, True, 1.5), 0),
    "batch first by a flag": (Flagged, lambda: (sequence(B, IN), 5, False, 0.5, None), 1),
    "a flag and a context": (Flagged, lambda: (sequence(B, IN), 5, False, 0.5, torch.rand(B, M)), 1),
    "whole numbers": (Kinds, lambda: (sequence(T, B, IN), torch.arange(B) % 5), 0),
    "neurons with a state": (Hidden, lambda: (sequence(T, B, IN), torch.rand(B, M)), 0),
    "class scores": (Scores, lambda: (sequence(T, B, IN), torch.rand(B, M)), None),
}


@pytest.fixture(params=list(CASES))
def case(request):
    torch.manual_seed(0)
    make, args, time_dim = CASES[request.param]
    net = make()
    sb.binarize_(net, sb.Bernoulli(init_scale=0.8))
    return net.eval(), args(), time_dim


def by_hand(net, args, time_dim):
    """Spike counts [B, C] of the weights in force, or the scores that the network gives."""
    sb.reset(net)
    out = net(*args)
    return out if time_dim is None else out.sum(time_dim)


@torch.no_grad()
def drawn(net, args, time_dim, count, seed):
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        with sb.sampled(net, "binary", generator):
            found.append(by_hand(net, args, time_dim))
    return torch.stack(found)


def test_predict_answers_as_the_drawn_networks(case):
    net, args, time_dim = case
    want = drawn(net, args, time_dim, 3, seed=5)
    assert want.unique().numel() > 1
    prediction = sb.predict(net, args, 3, generator=torch.Generator().manual_seed(5))
    assert torch.equal(prediction.samples, want.softmax(-1))
    with torch.no_grad():
        assert torch.equal(prediction.mode_probs, by_hand(net, args, time_dim).softmax(-1))


def test_an_ensemble_answers_as_the_drawn_networks(case):
    net, args, time_dim = case
    ensemble = sb.Ensemble(net, 3, seed=5)
    want = drawn(net, args, time_dim, 3, seed=5)
    torch.testing.assert_close(ensemble(args), want)
    torch.testing.assert_close(ensemble.predict(args).samples, want.softmax(-1))


@pytest.mark.parametrize("task", ["real", "labels"])
def test_tasks(task):
    torch.manual_seed(0)
    net, args = Context(), (sequence(T, B, IN), torch.rand(B, M))
    sb.binarize_(net, sb.Bernoulli())
    net.eval()
    want = drawn(net, args, 0, 4, seed=2)
    answer = sb.predict(net, args, 4, task=task, generator=torch.Generator().manual_seed(2))
    assert torch.equal(answer.samples, want.sigmoid() if task == "labels" else want)


def test_a_tuple_of_one_is_the_input_itself():
    net = nn.Sequential(nn.Linear(IN, C), snn.Leaky(beta=0.9, init_hidden=True))
    sb.binarize_(net, sb.Bernoulli())
    x = sequence(T, B, IN)
    answers = [sb.predict(net, each, 3, generator=torch.Generator().manual_seed(1)).samples for each in (x, (x,))]
    assert torch.equal(*answers)
    ensemble = sb.Ensemble(net, 3)
    assert torch.equal(ensemble.predict(x).samples, ensemble.predict((x,)).samples)


def test_a_state_is_put_back_and_answers_do_not_depend_on_it():
    net, args = Hidden(), (sequence(T, B, IN), torch.rand(B, M))
    sb.binarize_(net, sb.Bernoulli())
    at_rest = sb.predict(net, args, 2, generator=torch.Generator().manual_seed(1)).samples
    net(*args)
    kept, values = net.lif.mem, net.lif.mem.detach().clone()
    assert values.any()
    assert torch.equal(sb.predict(net, args, 2, generator=torch.Generator().manual_seed(1)).samples, at_rest)
    assert net.lif.mem is kept
    assert torch.equal(kept, values)


def test_another_number_of_steps_and_another_flag_have_forms_of_their_own():
    net = Flagged()
    sb.binarize_(net, sb.Bernoulli())
    x = sequence(B, IN)
    assert form_of(net, (x, 5, True, 1.0)).time_dim == 0
    assert form_of(net, (x, 5, False, 1.0)).time_dim == 1
    assert form_of(net, (x, 6, True, 1.0)).step is False


def test_the_form_is_found_out_once_whatever_the_size():
    net, calls = Context(), []
    net.register_forward_pre_hook(lambda *_: calls.append(1))
    sb.binarize_(net, sb.Bernoulli())
    sb.predict(net, (sequence(T, B, IN), torch.rand(B, M)), 2)
    for steps, size in ((T, B), (T + 2, B + 2)):
        calls.clear()
        sb.predict(net, (sequence(steps, size, IN), torch.rand(size, M)), 2)
        assert len(calls) == 3


def test_run_takes_arguments_too():
    net, args = Context().eval(), (sequence(T, B, IN), torch.rand(B, M))
    assert torch.equal(run(net, args), net(*args))


def test_a_fused_network():
    torch.manual_seed(0)
    net, x, context = Context(), sequence(T, B, IN), torch.rand(B, M)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.8))
    fused = sb.fuse(net.eval(), (x, context))
    answers = [
        sb.predict(each, (x, context), 3, time_dim=dim, generator=torch.Generator().manual_seed(1)).samples
        for each, dim in ((net, 0), (fused, 0), (fused, None))
    ]
    torch.testing.assert_close(answers[0], answers[1])
    torch.testing.assert_close(answers[0], answers[2])
    image = Image()
    sb.binarize_(image, sb.Bernoulli(init_scale=0.8))
    fused = sb.fuse(image.eval(), (x[0], 5))
    answers = [
        sb.predict(each, (x[0], 5), 3, generator=torch.Generator().manual_seed(1)).samples for each in (image, fused)
    ]
    torch.testing.assert_close(*answers)
    with pytest.raises(ValueError, match="`args` to be 5, as in the sample, but got 6"):
        sb.predict(fused, (x[0], 6))


def test_members_of_several_networks():
    nets = [Image() for _ in range(3)]
    for net in nets:
        sb.binarize_(net, sb.Sign())
    ensemble, args = sb.Ensemble.of([sb.freeze(net) for net in nets]), (sequence(B, IN), 5)
    want = torch.stack([by_hand(net.eval(), args, 0) for net in nets])
    torch.testing.assert_close(ensemble.predict(args).samples, want.softmax(-1))


# ---- statistics of batch norms ---------------------------------------------------------------------


def normed():
    torch.manual_seed(0)
    net = Context(norm=True)
    sb.binarize_(net, sb.Bernoulli(init_scale=0.8))
    return net.eval(), (sequence(T, 40, IN), torch.rand(40, M))


@torch.no_grad()
def statistics(net, args):
    x, context = args
    currents = [net.fc(x_t) + net.context(context) for x_t in x]
    return torch.stack([each.mean(0) for each in currents]).mean(0), torch.stack([e.var(0) for e in currents]).mean(0)


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("kind", [tuple, list])
def test_statistics_of_the_weights_in_force(labels, kind):
    """Loaders of torch make lists of tuples."""
    net, args = normed()
    data = [(kind(args), torch.zeros(40))] if labels else [(kind(args),)]
    sb.refit_norms_(net, data)
    for got, want in zip((net.norm.running_mean, net.norm.running_var), statistics(net, args), strict=True):
        torch.testing.assert_close(got, want)


def test_every_draw_has_statistics_of_its_own():
    net, args = normed()
    prediction = sb.predict(net, args, 2, data=[(args, None)], generator=torch.Generator().manual_seed(3))
    ensemble = sb.Ensemble(net, 2, seed=3, data=[(args, None)])
    generator, want = torch.Generator().manual_seed(3), []
    for member in range(2):
        with sb.sampled(net, "binary", generator), torch.no_grad():
            net.norm.running_mean, net.norm.running_var = statistics(net, args)
            want.append(net(*args).sum(0).softmax(-1))
            torch.testing.assert_close(ensemble.members[member].norm.running_mean, net.norm.running_mean)
    torch.testing.assert_close(prediction.samples, torch.stack(want))
    torch.testing.assert_close(ensemble.predict(args).samples, torch.stack(want))


def time_first(rows):
    (x, context), labels = torch.utils.data.default_collate(rows)
    return [x.transpose(0, 1), context], labels


def test_a_loader_of_pairs():
    net, (x, context) = normed()
    data = [((x[:, i], context[i]), 0) for i in range(40)]
    loader = torch.utils.data.DataLoader(data, batch_size=40, collate_fn=time_first)
    sb.refit_norms_(net, loader)
    torch.testing.assert_close(net.norm.running_mean, statistics(net, (x, context))[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda x, context: x, r"a tuple of 2 arguments, as `x` is, but got one of 1\."),
        (lambda x, context: (x, context), "as `x` is, but got one of 1"),  # two batches of one input
        (lambda x, context: [(x, context)], "as `x` is, but got one of 1"),  # inputs and labels
        (lambda x, context: [((x, context, 5), 0)], "as `x` is, but got one of 3"),
    ],
)
def test_data_of_another_number_of_arguments(data, message):
    net, args = normed()
    with pytest.raises(ValueError, match=message):
        sb.predict(net, args, data=data(*args))


def test_data_of_several_arguments_for_one():
    net = nn.Sequential(sb.nn.BinaryLinear(IN, C), nn.BatchNorm1d(C))
    x = torch.rand(B, IN)
    with pytest.raises(ValueError, match="`data` to be batches of one input, as `x` is, but got one of 2"):
        sb.predict(net, x, data=[((x, 5), 0)], readout=lambda out: out)


# ---- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["predict", "Ensemble"])
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            (),
            TypeError,
            "`x` to be a floating-point tensor, or a tuple of arguments that begins .*, but got an empty one",
        ),
        ((5, "x"), TypeError, "a tuple of arguments that begins with one, but got a tuple that begins with int"),
        (("long", "context"), TypeError, "but got a tuple that begins with torch.int64"),
        (["x", "context"], TypeError, "or a tuple of arguments that begins with one, but got list"),
        (("x", ["context"]), TypeError, r"`x\[1\]` to be a tensor, a number, a word or None, but got list"),
        (("x", "nan"), ValueError, r"`x\[1\]` to be numbers, but got NaN\."),
        (("nan", "context"), ValueError, r"`x\[0\]` to be finite"),
    ],
)
def test_bad_arguments(asked, x, error, message):
    values = {"x": sequence(T, B, IN), "context": torch.rand(B, M), "nan": torch.full((B, M), torch.nan)}
    values["long"] = values["x"].long()
    net = Context()
    sb.binarize_(net, sb.Bernoulli())
    x = type(x)(values.get(each, each) if isinstance(each, str) else each for each in x)
    with pytest.raises(error, match=message):
        sb.predict(net, x) if asked == "predict" else sb.Ensemble(net).predict(x)


@pytest.mark.parametrize("steps", [T, B])
@pytest.mark.parametrize("step", [None, True])
def test_one_step_a_call_takes_one_argument(steps, step):
    """Whether the context is one of a time step or of the sequence, nothing says."""
    net, args = OneStep(), (sequence(steps, B, IN), torch.rand(B, M))
    sb.binarize_(net, sb.Bernoulli())
    message = r"`x` to be one sequence \[T, B, ...\] where a call .* is one time step, but got a tuple of 2 arguments"
    with pytest.raises(ValueError, match=message):
        sb.predict(net, args, step=step)
    with pytest.raises(ValueError, match=message):
        sb.Ensemble(net, step=step).predict(args)
    with pytest.raises(ValueError, match=message):
        sb.predict(net, (args[0], torch.rand(steps, B, M)), step=step)
    stacked = nn.Sequential(nn.Linear(IN, C), snn.Leaky(beta=0.9, init_hidden=True))
    sb.binarize_(stacked, sb.Bernoulli())
    with pytest.raises(ValueError, match=message):
        sb.predict(stacked, args, step=step)


def test_what_the_network_does_not_take_it_says_itself():
    net = Context()
    sb.binarize_(net, sb.Bernoulli())
    x = sequence(T, B, IN)
    with pytest.raises(TypeError, match="takes 3 positional arguments but 4 were given"):
        sb.predict(net, (x, torch.rand(B, M), 5))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'context'"):
        sb.predict(net, x)
    with pytest.raises(RuntimeError, match="must match the size"):
        sb.predict(net, (x, torch.rand(B - 1, M)))
