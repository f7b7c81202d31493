"""A network that goes step by step is trained with all time steps at once, and learns the same."""

import copy
import re

import lightning as L
import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from training import RULES, History, SnnTorchNet, Stop, checkpoint_in, init_hidden_net, make_trainer

from snntorch_binary.lightning import SpikingModule
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.models import SpikingMLP

STEPS, BATCHES = 4, 50


class EventTutorial(nn.Sequential):
    """The convolutional network of snnTorch's tutorial on event data, of which a call is one time step."""

    def __init__(self):
        def neurons(**more):
            return snn.Leaky(beta=0.5, init_hidden=True, **more)

        super().__init__(
            *(nn.Conv2d(2, 12, 5), neurons(), nn.MaxPool2d(2)),
            *(nn.Conv2d(12, 32, 5), neurons(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(32 * 5 * 5, 10), neurons(output=True)),
        )


class Residual(nn.Module):
    """Spikes of a layer added to the currents of the next but one, with batch norms; answers class scores [B, C]."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm0 = nn.Conv2d(2, 8, 3, 2), nn.BatchNorm2d(8)
        self.conv1, self.norm1 = nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8)
        self.lif0, self.lif1, self.lif2 = (snn.Leaky(beta=0.8, threshold=0.5) for _ in range(3))
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        mem0, mem1, mem2 = self.lif0.init_leaky(), self.lif1.init_leaky(), self.lif2.init_leaky()
        currents = []
        for t in range(x.size(0)):
            spk0, mem0 = self.lif0(self.norm0(self.stem(x[t])), mem0)
            spk1, mem1 = self.lif1(self.norm1(self.conv1(spk0)), mem1)
            spk2, mem2 = self.lif2(self.norm2(self.conv2(spk1)) + spk0, mem2)
            currents.append(self.fc(F.adaptive_avg_pool2d(spk2, 1).flatten(1)))
        return torch.stack(currents).mean(0)


NETWORKS = {
    "event tutorial": (EventTutorial, (2, 32, 32)),
    "residual": (Residual, (2, 12, 12)),
    "loop": (SnnTorchNet, (64,)),
    "one step": (init_hidden_net, (64,)),
}


def batches(shape, count=BATCHES, size=4):
    torch.manual_seed(7)
    labels = torch.arange(count * size) % 10
    rates = torch.rand(10, *shape) ** 2
    x = (torch.rand(STEPS, count * size, *shape) < rates[labels]).float()
    data = TensorDataset(x.transpose(0, 1), labels)
    return DataLoader(
        data, size, collate_fn=lambda rows: (torch.stack([x for x, _ in rows], 1), torch.stack([y for _, y in rows]))
    )


class Losses(History):
    def on_train_batch_end(self, trainer, pl_module, outputs, *_):
        self.logged.append(float(outputs["loss"]))

    def on_train_epoch_end(self, *_):
        pass


def fit(net, rule, data, epochs=1, folder=None, stop=None, resume=False, **options):
    torch.manual_seed(1)  # of what Bernoulli weights draw
    module, losses = RULES[rule](copy.deepcopy(net), **options), Losses()
    callbacks = [losses, *([] if folder is None else [checkpoint_in(folder)]), *([] if stop is None else [stop])]
    with quiet():
        path = str(folder / "last.ckpt") if resume else None
        make_trainer(epochs, callbacks).fit(module, data, ckpt_path=path, weights_only=True)
    return module, losses.logged


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETWORKS)
def test_it_learns_the_same(name, rule):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    net, data = make(), batches(shape)
    plain, before = fit(net, rule, data, fuse=False)
    fused, after = fit(net, rule, data)
    assert plain.over_time is None
    assert fused.over_time.said.startswith("All time steps are trained at once, ")
    assert len(before) == BATCHES
    assert before == pytest.approx(after, rel=2e-3)
    assert plain.state_dict().keys() == fused.state_dict().keys()


class Calls(L.Callback):
    """How often a layer has been called by the end of each batch."""

    def __init__(self, layer):
        self.so_far, self.counts = 0, []
        layer.register_forward_hook(self.count)

    def count(self, *_):
        self.so_far += 1

    def on_train_batch_end(self, *_):
        self.counts.append(self.so_far)


@pytest.mark.parametrize(("fuse", "calls"), [(True, 1), (False, STEPS)])
def test_a_layer_is_called_once_a_batch(fuse, calls):
    net = SnnTorchNet(16)
    counted = Calls(net.fc1)
    with quiet():
        make_trainer(1, [counted]).fit(SpikingModule(net, 10, fuse=fuse), batches((64,), 4))
    first, *others = counted.counts  # in the first batch the network's form is found out, too
    assert [count - first for count in others] == [calls, 2 * calls, 3 * calls]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["event tutorial", "residual"])
def test_a_resumed_run_is_the_unbroken_one(name, tmp_path):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    net, data = make(), batches(shape, 10)
    unbroken, losses = fit(net, "bayes", data, 3, tmp_path / "unbroken")
    with pytest.raises(RuntimeError, match="stopped"):
        fit(net, "bayes", data, 3, tmp_path / "broken", Stop(25))
    resumed, rest = fit(net, "bayes", data, 3, tmp_path / "broken", resume=True)
    assert rest == losses
    for key, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_the_log_says_it_once(caplog):
    with quiet(), caplog.at_level("INFO", "lightning.pytorch"):
        make_trainer(2).fit(RULES["st"](SnnTorchNet(16)), batches((64,), 3), batches((64,), 3))
    said = [line for line in caplog.messages if line.startswith("All time steps are trained at once")]
    assert len(said) == 1
    assert re.fullmatch(
        r"All time .* at once, \d+\.\d times (faster|slower) on the first batch than step by step\.", said[0]
    )


class DependsOnData(SnnTorchNet):
    def forward(self, x):
        return super().forward(x if float(x.sum()) > 1e9 else x * 1.0 if float(x.mean()) > 0.31 else x)


class Breaks(SnnTorchNet):
    """A network that nothing can be recorded of."""

    def __deepcopy__(self, memo):
        raise NotImplementedError("no copies")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            DependsOnData,
            r"The network does not fold over time: a decision .*, line \d+\)\. It is trained as it is\.",
        ),
        (
            Breaks,
            "The network could not be followed over time, and is trained as it is: NotImplementedError: no copies",
        ),
        (lambda: SpikingMLP(64, [16], 10), ""),
    ],
)
def test_what_does_not_fold_is_trained_as_it_is(make, sentence):
    module = SpikingModule(make(), 10)
    with quiet():
        make_trainer(1).fit(module, batches((64,), 3))
    assert re.fullmatch(sentence, module.over_time.said), module.over_time.said
    assert module.answering(torch.ones(STEPS, 2, 64))[0] is module.net


def test_answers_outside_of_training_are_those_of_the_network_as_it_is():
    x = torch.ones(STEPS, 2, 64)
    module = SpikingModule(SnnTorchNet(16), 10)
    assert module.answering(x)[0] is module.net
    module, _ = fit(SnnTorchNet(16), "full-precision", batches((64,), 3))
    assert module.answering(x)[0] is module.net
    assert module.over_time.of(x)[0] is not module.net
    assert torch.equal(module(x), module.net(x)[0].sum(0))


def test_a_copy_of_a_trained_module_trains_its_own_network():
    module, _ = fit(SnnTorchNet(16), "full-precision", batches((64,), 3))
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.net.parameters():
            parameter.zero_()
    x = torch.ones(STEPS, 2, 64)
    assert module(x).abs().sum() > 0
    assert other(x).abs().sum() == 0
