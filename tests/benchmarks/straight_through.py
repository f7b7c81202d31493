"""What a straight-through gradient does: parts of `BalancedSign` alone and together, on validation data.

    python -m tests.benchmarks.straight_through --data-dir D

Networks and recipes are those of `one_line`; a fifth of the training part stands for the test part. Each part can be
joined with others by a `+`:

* `none`: `Sign`, the sign of a latent, whose gradient passes where the latent is at most 1, times 1/sqrt(fan_in);
* `scale`: in place of it twice the mean magnitude of a layer's latents, which learns with them;
* `outputs`: that, and the derivative below, of each output by itself;
* `centred`: latents less the mean of their output;
* `falling`: a derivative that falls linearly with the distance to a flip, to zero at four times the mean magnitude.
"""

import argparse
import statistics

import torch
from torch import nn
from torch.nn.utils import parametrize

from .one_line import answers, batch, learn, measure
from .one_line_tasks import TASKS

PARTS = "none,scale,scale+outputs,centred,scale+centred,scale+falling,scale+centred+falling"


class Weight(nn.Module):
    """The effective weight of a latent."""

    def __init__(self, latent, parts):
        super().__init__()
        self.parts, self.fixed = parts, latent[0].numel() ** -0.5

    def right_inverse(self, weight):
        return weight

    def forward(self, latent):
        by_output = (-1, *(1,) * (latent.dim() - 1))
        if "centred" in self.parts:
            latent = latent - latent.flatten(1).mean(1).view(by_output)
        size = latent.flatten(1).abs().mean(1).view(by_output) if "outputs" in self.parts else latent.abs().mean()
        scale = 2 * size if "scale" in self.parts else self.fixed
        passed = latent.clamp(-1, 1)
        if "falling" in self.parts:
            u = (latent / (4 * size.detach())).clamp(-1, 1)
            passed = 2 * u - u * u.abs()
        signs = torch.where(latent < 0, -1.0, 1.0)
        return scale * (signs + passed - passed.detach())


def train(task, parts, train_part, seed):
    """Return a network that was trained by the recipe, its norms refitted."""
    torch.manual_seed(seed)
    net = task.make()
    for layer in [part for part in net.modules() if isinstance(part, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]:
        parametrize.register_parametrization(layer, "weight", Weight(layer.weight, parts), unsafe=True)
    learn(task, net, torch.optim.Adam(net.parameters(), lr=task.lr), train_part, seed)
    norms = [part for part in net.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    if norms:
        with torch.no_grad():
            for part in train_part[0][:1000].split(100):
                net(batch(task, part))
    return net.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--tasks", default="norm and dropout,norse,recurrent,attention,ramp")
    parser.add_argument("--parts", default=PARTS)
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.tasks.split(","):
        task = TASKS[name]
        learned_from, (x, y) = task.split(options.data_dir, "random")
        for parts in options.parts.split(","):
            found = []
            for seed in map(int, options.seeds.split(",")):
                net = train(task, parts.split("+"), learned_from, seed)
                found.append(measure(task, answers(task, net, [], x, "float")["float"], y))
            scores, nlls = zip(*found, strict=True)
            spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
            print(
                f"{name:18} {parts:24} {statistics.fmean(scores):.4f} ± {spread:.4f}  NLL {statistics.fmean(nlls):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
