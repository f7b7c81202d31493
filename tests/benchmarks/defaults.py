"""What the defaults were chosen by: learning on handwritten digits, three seeds, scores on validation data.

    python tests/benchmarks/defaults.py scale
    python tests/benchmarks/defaults.py readout
    python tests/benchmarks/defaults.py looks

`scale` compares layers without and with learnable gains, made by `binarize_` and trained by a plain loop; `readout`
compares spike counts and mean membrane potentials of a network that returns both, trained by the LightningModules.
Minutes each. `looks` times what it costs that a layer compares its latent with a copy at every look, beside the product
that follows.
"""

import argparse
import statistics
import time
import warnings

import lightning as L
import snntorch as snn
import torch
from torch import nn

import snntorch_binary as sb
from snntorch_binary.data import load
from snntorch_binary.kernels.same_bits import same_bits
from snntorch_binary.lightning import BayesBiSNN, SpikeDataModule, STBiSNN
from snntorch_binary.lightning.quiet import quiet

SEEDS = range(3)


class Digits(nn.Module):
    """One time step after another of an `nn.Sequential`; (spikes, membrane potentials) [T, B, 10]."""

    def __init__(self, convolutional=False):
        super().__init__()
        neuron = lambda **more: snn.Leaky(beta=0.9, init_hidden=True, **more)  # noqa: E731  # an alias of three words
        if convolutional:
            blocks = [
                [
                    nn.Unflatten(1, (1, 8)),
                    nn.Conv2d(1, 12, 3, padding=1),
                    nn.BatchNorm2d(12),
                    neuron(),
                    nn.MaxPool2d(2),
                ],
                [nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), neuron(), nn.Flatten(), nn.Linear(384, 10)],
            ]
        else:
            blocks = [[nn.Flatten(), nn.Linear(64, 128), neuron(), nn.Linear(128, 10)]]
        self.net = nn.Sequential(*(layer for block in blocks for layer in block), neuron(output=True))

    def forward(self, x):
        sb.reset(self)
        spikes, potentials = zip(*(self.net(x_t.view(-1, 8, 8)) for x_t in x), strict=True)
        return torch.stack(spikes), torch.stack(potentials)


def show(name, scores):
    print(f"{name:40} {statistics.fmean(scores):.3f} ± {statistics.stdev(scores):.3f}", flush=True)


def scale():
    splits = load("digits", num_steps=6)
    parts = [
        [torch.stack(part) for part in zip(*each, strict=True)]
        for each in map(examples, (splits.train, splits.validation))
    ]
    (inputs, labels), (new, wanted) = parts
    for convolutional, epochs in ((False, 10), (True, 5)):
        for rule in (sb.Sign(), sb.Bernoulli()):
            for chosen in ("fan_in", "channel"):
                scores = []
                for seed in SEEDS:
                    torch.manual_seed(seed)
                    net = Digits(convolutional)
                    sb.binarize_(net, rule, scale=chosen)
                    if isinstance(rule, sb.Sign):
                        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
                    else:
                        optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.3, rho=0.1 / len(inputs))
                    for _ in range(epochs):
                        for batch in torch.randperm(len(inputs)).split(64):
                            _, potentials = net(inputs[batch].transpose(0, 1))
                            loss = sum(nn.functional.cross_entropy(each, labels[batch]) for each in potentials)
                            optimizer.zero_grad()
                            loss.backward()
                            optimizer.step()
                    net.eval()
                    with torch.no_grad():
                        answers = net(new.transpose(0, 1))[1].mean(0).argmax(-1)
                    scores.append((answers == wanted).float().mean().item())
                show(f"{'convolutions' if convolutional else '64-128-10'}, {rule!r}, {chosen}", scores)


def examples(part):
    return [(torch.as_tensor(x).float(), torch.as_tensor(label)) for x, label in (part[i] for i in range(len(part)))]


def readout():
    make = {
        "ST-BiSNN": lambda net, read: STBiSNN(net, 10, 1e-3, 1e-2, readout=read),
        "Bayes-BiSNN": lambda net, read: BayesBiSNN(net, 10, 0.3, rho=0.0, readout=read),
    }
    for name, module_of in make.items():
        for read in ("rate", "membrane"):
            scores = []
            for seed in SEEDS:
                torch.manual_seed(seed)
                module = module_of(Digits(), read)
                with quiet():
                    trainer = L.Trainer(max_epochs=8, accelerator="cpu", logger=False, enable_checkpointing=False)
                    trainer.fit(module, datamodule=SpikeDataModule("digits", batch_size=50, seed=seed))
                scores.append(max(float(v) for k, v in trainer.callback_metrics.items() if "val" in k and "acc" in k))
            show(f"{name}, {read}", scores)


def looks():
    torch.set_num_threads(1)
    layer, x = sb.nn.BinaryLinear(784, 256), torch.rand(64, 784)
    copy = layer.latent.detach().clone()
    times = {"comparison": [], "product of 64 rows": []}
    with torch.no_grad():
        for _ in range(200):
            for name, run in (
                ("comparison", lambda: same_bits(layer.latent, copy)),
                ("product of 64 rows", lambda: layer(x)),
            ):
                start = time.perf_counter()
                run()
                times[name].append(1e6 * (time.perf_counter() - start))
    for name, found in times.items():
        print(f"{name:40} {statistics.median(found):.0f} µs")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    tables = {"scale": scale, "readout": readout, "looks": looks}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=tables)
    tables[parser.parse_args().table]()
