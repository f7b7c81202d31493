"""Writes the files of one version: `python tests/golden/write.py`, once a release; later versions must load them."""

from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import snntorch_binary as sb
from snntorch_binary.lightning import BayesBiSNN, STBiSNN
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.models import SpikingMLP


def spikes(*shape):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.3).float()


def conv_net():
    return nn.Sequential(
        sb.nn.TimeFirst(nn.Conv2d(2, 4, 3)),
        sb.nn.Synaptic(alpha=0.8, beta=0.9, threshold=0.2),
        sb.nn.TimeFirst(nn.Flatten()),
        nn.Linear(4 * 4, 3),
        sb.nn.Leaky(beta=0.9, threshold=0.1, reset_mechanism="zero", learn_beta=True),
    )


def modules():
    """A LightningModule of each rule, as it is before its checkpoint is loaded."""
    given = {"scale": "channel", "readout": "membrane"}  # the defaults of 0.1.0
    return {
        "st": STBiSNN(SpikingMLP(12, [8], 3), 3, **given),
        "bayes": BayesBiSNN(SpikingMLP(12, [8], 3), 3, rho=0.01, **given),
    }


def write(folder):
    torch.manual_seed(0)
    folder.mkdir()
    answers = {}
    for name, rule in {"sign": sb.Sign(), "bernoulli": sb.Bernoulli(tau=0.5, init_scale=0.7)}.items():
        net = conv_net()
        sb.binarize_(net, rule, scale="channel")
        net(spikes(6, 5, 2, 4, 4)).sum().backward()
        torch.optim.SGD(net.parameters(), 1e-3).step()
        net.eval()
        sb.save_weights(net, folder / f"{name}.safetensors")
        sb.save_packed(sb.pack(net), folder / f"{name}_packed.safetensors")
        with torch.no_grad():
            answers[name] = net(spikes(6, 5, 2, 4, 4))
            assert 0.1 < answers[name].mean() < 0.9
            answers[f"{name}_draw"] = net.train()[3].in_force().clone()
    ensemble = sb.Ensemble(net.eval(), num_members=3)
    sb.save_packed(sb.pack(ensemble), folder / "ensemble_packed.safetensors")
    answers["ensemble"] = ensemble.predict(spikes(6, 5, 2, 4, 4)).probs
    for name, module in modules().items():
        batches = DataLoader(TensorDataset(spikes(8, 5, 12), torch.arange(8) % 3), 4, collate_fn=collate)
        checkpoint = ModelCheckpoint(folder, filename=name, enable_version_counter=False)
        options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        with quiet():
            L.Trainer(max_epochs=2, accelerator="cpu", callbacks=[checkpoint], **options).fit(module, batches)
        with torch.no_grad():
            of_module = module.eval().answers(spikes(5, 8, 12), final=True)
        answers.update({f"{name}_{prediction}": value for prediction, value in of_module.items()})
    save_file({name: value.contiguous() for name, value in answers.items()}, folder / "answers.safetensors")


def collate(batch):
    return torch.stack([x for x, _ in batch], 1), torch.stack([label for _, label in batch])


if __name__ == "__main__":
    write(Path(__file__).parent / sb.__version__)
