"""Regression of several numbers, of pictures and of series."""

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.utils.data import DataLoader
from training import make_trainer

import snntorch_binary as sb
from snntorch_binary.lightning import BayesBiSNN, SpikingModule, STBiSNN

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]
STEPS, BATCH = 5, 4


class Loop(nn.Module):
    """Potentials [T, B, ...] of the shape asked for, and spikes before them."""

    def __init__(self, *shape):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 12), nn.Linear(12, torch.Size(shape).numel())
        self.lif, self.out, self.shape = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9, reset_mechanism="none"), shape

    def forward(self, x):
        mem, mem_out, found = self.lif.init_leaky(), self.out.init_leaky(), []
        for step in x:
            spk, mem = self.lif(4 * self.fc1(step), mem)
            spk_out, mem_out = self.out(self.fc2(spk), mem_out)
            found.append((spk_out.unflatten(1, self.shape), mem_out.unflatten(1, self.shape)))
        spikes, potentials = zip(*found, strict=True)
        return torch.stack(spikes), torch.stack(potentials)


def last_step(output):
    return output[1][-1]


def series(output):
    return output[1].transpose(0, 1)


CASES = {
    "several numbers": ((3,), "membrane", (BATCH, 3)),
    "a picture": ((1, 2, 2), last_step, (BATCH, 1, 2, 2)),
    "a series": ((1,), series, (BATCH, STEPS, 1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SpikingModule, STBiSNN, BayesBiSNN])
@pytest.mark.parametrize(("shape", "readout", "targets"), CASES.values(), ids=CASES)
def test_it_learns_and_answers(kind, shape, readout, targets, tmp_path):
    torch.manual_seed(0)
    batches = [((torch.rand(STEPS, BATCH, 6) < 0.5).float(), torch.rand(targets)) for _ in range(3)]
    net = Loop(*shape)
    module = kind(net, None, readout=readout)
    trainer = make_trainer(1)
    loader = DataLoader(batches, batch_size=None)
    trainer.fit(module, loader, loader)
    (logged,) = trainer.test(module, loader, verbose=False)
    module.eval()
    x = batches[0][0]
    with torch.no_grad():
        loss = module.loss(x, batches[0][1])
        read = net(x)[1].mean(0) if readout == "membrane" else readout(net(x))
    assert float(loss.detach()) == pytest.approx(float((read - batches[0][1]).square().mean()))
    for answer in module.answers(x, True).values():
        assert answer.shape == (*targets, 2)
    name = "mode" if kind is BayesBiSNN else "single"
    squares = [(module.answers(x, True)[name][..., 0].detach() - y).square().mean() for x, y in batches]
    assert logged[f"test_{name}_rmse"] == pytest.approx(float(torch.stack(squares).mean().sqrt()), rel=1e-5)
    if kind is not SpikingModule:
        predicted = sb.predict(module, x, generator=torch.Generator().manual_seed(0))
        assert predicted.mean.shape == predicted.std.shape == targets
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = kind.load_from_checkpoint(tmp_path / "last.ckpt", net=Loop(*shape), readout=readout)
    for one, other in zip(module.answers(x, True).values(), again.eval().answers(x, True).values(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_file_of_a_network_that_was_read_by_a_function_needs_it_again(tmp_path):
    module = SpikingModule(Loop(3), None, readout=last_step)
    batches = [((torch.rand(STEPS, BATCH, 6) < 0.5).float(), torch.rand(BATCH, 3))]
    trainer = make_trainer(1)
    trainer.fit(module, DataLoader(batches, batch_size=None), DataLoader(batches, batch_size=None))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="`readout` to be the function that it was trained with, as in the file"):
        SpikingModule.load_from_checkpoint(tmp_path / "last.ckpt", net=Loop(3), num_classes=None)


def test_what_does_not_fit_is_one_sentence():
    x = torch.zeros(STEPS, BATCH, 6)
    with pytest.raises(
        ValueError, match=r"`targets` to be of the shape \[4, 3\], that of the network's answers, but got"
    ):
        SpikingModule(Loop(3), None, readout="membrane").loss(x, torch.zeros(BATCH))
    with pytest.raises(ValueError, match=r"`targets` to be of the shape \[4, 5, 1\]"):
        SpikingModule(Loop(1), None, readout=series).loss(x, torch.zeros(STEPS, BATCH, 1))
    with pytest.raises(ValueError, match=r"`readout` to be one that gives class scores"):
        SpikingModule(Loop(1, 2, 2), 4, readout=last_step)(x)
