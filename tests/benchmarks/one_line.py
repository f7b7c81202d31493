"""What one changed line costs: networks as people write them, each trained by its author's recipe.

    python -m tests.benchmarks.one_line --data-dir D
    python -m tests.benchmarks.one_line --data-dir D --tuning --tasks readme,recurrent --seeds 0

Each network is trained by its own loop at its own learning rate and epochs: as it is (float), with the line
`sb.binarize_(net, sb.Sign())` (ST) or `sb.BalancedSign()` in it (balanced), with `sb.Bernoulli()` and
`sb.optim.BayesBiSNN` in place of Adam, or with `sb.BalancedBernoulli()` alone (mode, an ensemble of ten, and one of 32,
which has the bits of the float network); networks of three layers and more also with "all but first and last". Where
there are batch norms, the binary networks answer twice: as they are, and after `sb.refit_norms_` (of an ensemble each
member). Float and balanced networks are also followed by `sb.Trajectory`, whose ten networks answer together. All go
with all time steps at once (`sb.fuse`), which changes nothing but the time. Accuracy (of real targets root mean squared
error) and negative log-likelihood, mean and spread over seeds. With `--tuning` a fifth of the training part stands for
the test part, with `--tuning last` the last one, of digits other writers. Some rules of it: `--rules float,balanced`.
With `--latent-lr 5e-3` latents that are real weights learn at that rate, by a second line,
`sb.optim.parameter_groups(net, 5e-3)` in place of `net.parameters()`; with `--constant-rates` the recipe that has a
cosine goes without. About two hours on one core.
"""

import argparse
import csv
import math
import statistics
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F

import snntorch_binary as sb
from snntorch_binary.experiments.provenance import provenance
from snntorch_binary.inference.norms import NormsOfDraws, norms_of
from tests.benchmarks.one_line_tasks import TASKS

MEMBERS, NORMED = (10, 32), 1000
ANSWERS = {
    "float": ("float", "float trajectory"),
    "st": ("st",),
    "balanced": ("balanced", "balanced trajectory"),
    "bayes": ("bayes mode", "bayes ensemble"),
    "balanced-bayes": ("balanced-bayes mode", "balanced-bayes ensemble"),
}
WEIGHTS = {
    "st": sb.Sign(),
    "balanced": sb.BalancedSign(),
    "bayes": sb.Bernoulli(),
    "balanced-bayes": sb.BalancedBernoulli(),
}
FOLLOWED = ("float", "balanced")
ENDS_REAL = " ends-real"
RULES = ("float", *WEIGHTS, *(rule + ENDS_REAL for rule in WEIGHTS))


def train(task, learns_by, train_part, seed, latent_lr=None):
    """Return a network that was trained by the recipe, with one line or two changed, and those that it passed.

    Args:
        task: the recipe.
        learns_by: float, or the rule of its weights.
        train_part: inputs and targets.
        seed: of weights, draws and order.
        latent_lr: rate of latents that are real weights, in place of the recipe's.
    """
    torch.manual_seed(seed)
    net = task.make()
    rule = learns_by.removesuffix(ENDS_REAL)
    if rule in WEIGHTS:
        sb.binarize_(net, WEIGHTS[rule], "all but first and last" if learns_by.endswith(ENDS_REAL) else None)
    if rule == "bayes":
        optimizer = sb.optim.BayesBiSNN(net.parameters(), base_lr=task.lr)
    else:
        groups = net.parameters() if latent_lr is None else sb.optim.parameter_groups(net, latent_lr)
        optimizer = torch.optim.Adam(groups, lr=task.lr)
    trajectory = sb.Trajectory(net, optimizer)
    sample = batch(task, train_part[0][:3])
    model = sb.fuse(net, sample)
    learn(task, model, optimizer, train_part, seed)
    passed = [sb.fuse(member, sample).eval() for member in trajectory.ensemble().members] if rule in FOLLOWED else []
    return model.eval(), passed


def learn(task, model, optimizer, train_part, seed):
    """Train by the recipe: its epochs, batches, loss and schedule."""
    x, y = train_part
    generator = torch.Generator().manual_seed(seed)
    steps = task.epochs * math.ceil(len(x) / task.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if task.cosine else None
    model.train()
    for _ in range(task.epochs):
        for chosen in torch.randperm(len(x), generator=generator).split(task.batch_size):
            target = y[chosen].transpose(0, 1) if task.real and task.time_first else y[chosen]
            loss = task.loss(model(batch(task, x[chosen])), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()


def batch(task, x):
    return x.transpose(0, 1) if task.time_first else x


@torch.no_grad()
def answers(task, model, passed, x, rule, norms=None):
    """Return the scores of the members of each answer by name, [K, B, C].

    Args:
        task: the task.
        model: its trained network.
        passed: networks that its training has passed through, if that was looked at.
        x: inputs.
        rule: what it learned by.
        norms: inputs from which the batch norms of each network take statistics of its own, if they do.
    """
    of_draws = None if norms is None else NormsOfDraws(norms)

    def scores(net, key=None):
        with nullcontext() if norms is None or key is None else of_draws.of(net, key):
            found = [task.scores(net(batch(task, part))) for part in x.split(200)]
        return torch.cat([each.transpose(0, 1) if task.real and task.time_first else each for each in found])

    found = {ANSWERS[rule][0]: scores(model, "mode")[None]}
    if passed:
        if norms is not None:
            for net in passed:
                sb.refit_norms_(net, norms)
        found[f"{ANSWERS[rule][1]} of {len(passed)}"] = torch.stack([scores(net) for net in passed])
    elif rule not in FOLLOWED and len(ANSWERS[rule]) > 1:
        generator, members = torch.Generator().manual_seed(0), []
        for member in range(max(MEMBERS)):
            with sb.sampled(model, "binary", generator):
                members.append(scores(model, member))
        for count in MEMBERS:
            found[f"{ANSWERS[rule][1]} of {count}"] = torch.stack(members[:count])
    return found


def measure(task, members, y):
    """Return accuracy, or root mean squared error, and negative log-likelihood."""
    if task.real:
        mean, spread = members.mean(0), members.var(0, correction=0)
        noise = ((mean - y) ** 2).mean()  # of the residuals
        variance = spread + (noise - spread.mean()).clamp_min(1e-4)
        return float(noise.sqrt()), float((((mean - y) ** 2 / variance + variance.log()) / 2).mean() + 0.9189)
    probabilities = members.softmax(-1).mean(0)
    accuracy = (probabilities.argmax(-1) == y).double().mean()
    return float(accuracy), float(F.nll_loss(probabilities.clamp_min(1e-38).log(), y))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument(
        "--tuning", nargs="?", const="random", choices=("random", "last"), help="test on a fifth of the training part"
    )
    parser.add_argument("--latent-lr", type=float, help="rate of latents that are real weights, by a second line")
    parser.add_argument("--constant-rates", action="store_true", help="leave out the schedule of recipes that have one")
    parser.add_argument("--csv", type=Path, help="where rows are added")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.tasks.split(","):
        task = replace(TASKS[name], cosine=TASKS[name].cosine and not options.constant_rates)
        learned_from, tested = task.split(options.data_dir, options.tuning)
        layers = sb.binarize_(task.make(), sb.Sign()).converted
        for rule in options.rules.split(","):
            if rule.endswith(ENDS_REAL) and len(layers) < 3:
                continue
            real_latents = rule.removesuffix(ENDS_REAL) not in ("float", "bayes")
            latent_lr = options.latent_lr if real_latents else None
            found, begin = {}, time.perf_counter()
            for seed in map(int, options.seeds.split(",")):
                model, passed = train(task, rule, learned_from, seed, latent_lr)
                ways = {"": None}
                if norms_of(model):
                    ways[", norms refitted"] = [batch(task, part) for part in learned_from[0][:NORMED].split(100)]
                for way, norms in ways.items():
                    ends = ENDS_REAL if rule.endswith(ENDS_REAL) else ""
                    rates = "" if latent_lr is None else f", latents at {latent_lr:g}"
                    rates += ", constant rates" if TASKS[name].cosine and not task.cosine else ""
                    own = rule.removesuffix(ends)
                    for answer, members in answers(task, model, passed, tested[0], own, norms).items():
                        found.setdefault(answer + ends + rates + way, []).append(measure(task, members, tested[1]))
            seconds = (time.perf_counter() - begin) / len(options.seeds.split(","))
            for answer, scores in found.items():
                (score, spread), (nll, nll_spread) = (mean_and_spread(values) for values in zip(*scores, strict=True))
                print(
                    f"{name:14} {answer:64} {'RMSE' if task.real else 'accuracy':8} {score:.4f} ± {spread:.4f}  "
                    f"NLL {nll:.3f} ± {nll_spread:.3f}  {seconds:.0f} s",
                    flush=True,
                )
                rows.append(
                    {
                        "task": name,
                        "answer": answer,
                        "score": "rmse" if task.real else "accuracy",
                        "mean": score,
                        "std": spread,
                        "nll": nll,
                        "nll_std": nll_spread,
                        "seeds": options.seeds,
                        "seconds": seconds,
                        **provenance([]),
                    }
                )
    if options.csv:
        with options.csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            if not file.tell():
                writer.writeheader()
            writer.writerows(rows)


def mean_and_spread(values):
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
