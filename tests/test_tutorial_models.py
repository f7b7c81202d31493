"""snnTorch's own tutorial models: binary with one changed line (ST), Bayesian with two."""

import difflib

import pytest
import torch

import snntorch_binary as sb

# snnTorch tutorial 5: static images, a class with explicit state; the digits are scikit-learn's.
STATIC_IMAGES = """
import torch
import torch.nn as nn
import snntorch as snn
from sklearn.datasets import load_digits

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 100)
        self.lif1 = snn.Leaky(beta=0.95)
        self.fc2 = nn.Linear(100, 10)
        self.lif2 = snn.Leaky(beta=0.95)

    def forward(self, x):
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for step in range(8):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec), torch.stack(mem2_rec)

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images, dtype=torch.float) / 16
labels = torch.tensor(labels)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
loss_fn = nn.CrossEntropyLoss()
losses = []
for epoch in range(4):
    for batch in torch.randperm(len(labels)).split(128):
        spk_rec, mem_rec = net(images[batch])
        loss = sum(loss_fn(mem, labels[batch]) for mem in mem_rec)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
accuracy = (net.eval()(images)[0].sum(0).argmax(1) == labels).float().mean().item()
"""

# snnTorch tutorial 7: N-MNIST frames (T, B, 2, H, W), an nn.Sequential with hidden state; synthetic events.
EVENT_FRAMES = """
import torch
import torch.nn as nn
import snntorch as snn
from snntorch import functional as SF
from snntorch import utils

def events(count):
    labels = torch.randint(4, (count,))
    rate = torch.full((count, 2, 16, 16), 0.05)
    for example, label in enumerate(labels.tolist()):  # the class is the quadrant where the events are
        rate[example, :, 8 * (label // 2):, 8 * (label % 2):][:, :8, :8] = 0.5
    return torch.rand(5, count, 2, 16, 16).lt(rate).float(), labels

net = nn.Sequential(
    nn.Conv2d(2, 8, 5),
    snn.Leaky(beta=0.5, init_hidden=True),
    nn.MaxPool2d(2),
    nn.Conv2d(8, 16, 3),
    snn.Leaky(beta=0.5, init_hidden=True),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(64, 4),
    snn.Leaky(beta=0.5, init_hidden=True, output=True),
)

def forward_pass(net, data):
    spk_rec = []
    utils.reset(net)
    for step in range(data.size(0)):
        spk_out, mem_out = net(data[step])
        spk_rec.append(spk_out)
    return torch.stack(spk_rec)

optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
loss_fn = SF.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2)
losses = []
for iteration in range(30):
    data, targets = events(32)
    spk_rec = forward_pass(net, data)
    loss = loss_fn(spk_rec, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
data, targets = events(200)
accuracy = SF.accuracy_rate(forward_pass(net.eval(), data), targets)
"""

SCRIPTS = {"static-images": STATIC_IMAGES, "event-frames": EVENT_FRAMES}

# old line -> new lines
FACADE = {"import torch.nn as nn": ["from snntorch_binary import nn"]}
OPTIMIZER = "optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)"
ST = {OPTIMIZER: ["sb.binarize_(net, sb.Sign())", OPTIMIZER]}
BAYES = {
    OPTIMIZER: [
        "sb.binarize_(net, sb.Bernoulli())",
        "optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.2, rho=1e-4, betas=(0.9, 0.99))",
    ]
}
IMPORT = {"import snntorch as snn": ["import snntorch as snn", "import snntorch_binary as sb"]}


def edit(script, changes):
    lines = script.splitlines()
    for old, new in changes.items():
        assert lines.count(old) == 1, old
        index = lines.index(old)
        lines[index : index + 1] = new
    return "\n".join(lines)


def new_lines(script, edited):
    """Lines of the edited script that the first does not have; every line that is gone has a successor."""
    difference = [line for line in difflib.ndiff(script.splitlines(), edited.splitlines()) if line[0] in "+-"]
    added = [line[2:] for line in difference if line[0] == "+"]
    removed = [line for line in difference if line[0] == "-"]
    assert len(removed) <= len(added)
    return added


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize(
    ("changes", "imports", "count", "rule"),
    [
        (FACADE, {}, 1, sb.Sign()),
        (ST, IMPORT, 1, sb.Sign()),  # beside the package's import
        (BAYES, IMPORT, 2, sb.Bernoulli()),
    ],
    ids=["st-facade", "st-binarize", "bayes"],
)
def test_tutorial(script, changes, imports, count, rule):
    assert len(new_lines(script, edit(script, changes))) == count
    edited = edit(script, {**changes, **imports})
    result = {"__name__": "__main__"}
    exec(compile(edited, "tutorial", "exec"), result)

    losses, quarter = result["losses"], len(result["losses"]) // 4
    assert sum(losses[-quarter:]) < 0.7 * sum(losses[:quarter])
    assert result["accuracy"] > 0.6  # of the most probable weights alone; chance is 0.1 and 0.25
    layers = sb.weights.binary_layers(result["net"])
    assert len(layers) == sum(
        line.strip().startswith(("nn.Linear", "nn.Conv2d", "self.fc")) for line in script.splitlines()
    )
    for layer in layers.values():
        assert layer.rule == rule
        assert torch.equal(layer.weight.abs(), torch.full_like(layer.latent, layer.fan_in**-0.5))
