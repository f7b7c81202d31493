import json
import os
import shutil

import pytest
import torch

from snntorch_binary.cli import main
from snntorch_binary.experiments.split_mnist import run as split_mnist
from snntorch_binary.experiments.split_mnist.run import make_module, training_sets
from snntorch_binary.experiments.split_mnist.settings import RULES, TASKS, SplitRecipe

NAMES = ["0/1", "2/3", "4/5", "6/7", "8/9"]
ROW = {
    "dataset": str,
    "rule": str,
    "credit": str,
    "prediction": str,
    "seed": int,
    "task": str,
    "after_task": str,
    "accuracy": float,
    "ece": float,
    "nll": float,
    "brier": float,
    "bits_per_weight": float,
    "train_seconds": float,
    "epochs": int,
    "coreset": int,
}
LINES = {
    ("full-precision", "single"): 32,
    ("full-precision-ewc", "single"): 32,
    ("st", "single"): 1,
    ("st-ewc", "single"): 1,
    ("bayes", "mode"): 1,
    ("bayes", "draw"): 1,
    ("bayes", "ensemble"): 10,
}


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + bytes(array.flatten().tolist())


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A folder like MNIST's, whose digits are noisy copies of ten random pictures."""
    folder = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(10, 28, 28, generator=generator)
    for part, count in (("train", 240), ("t10k", 60)):
        labels = torch.arange(count) % 10
        images = 200 * pictures[labels] + 50 * torch.rand(count, 28, 28, generator=generator)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images.to(torch.uint8)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels.to(torch.uint8)))
    return folder


@pytest.fixture(autouse=True)
def few_fisher_examples(monkeypatch):
    monkeypatch.setattr(split_mnist, "_FISHER_EXAMPLES", 5)


def compare(folder, out, *more):
    fixed = ["--data-dir", str(folder), "--out", str(out), "--coreset", "4", "--epochs", "2"]
    return main(["compare", "split-mnist", *fixed, *more])


def rows_of(folder):
    return [
        {key: value for key, value in row.items() if key != "train_seconds"}
        for row in json.loads((folder / "results.json").read_text())
    ]


@pytest.fixture(scope="module")
def unbroken(mnist, tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "deep" / "split-mnist"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split_mnist, "_FISHER_EXAMPLES", 5)
        assert compare(mnist, out, "--seeds", "0,1") == 0
    return out


def test_rows(unbroken):
    rows = json.loads((unbroken / "results.json").read_text())
    for row in rows:
        assert {key: type(value) for key, value in row.items()} == ROW
        assert row["bits_per_weight"] == LINES[row["rule"], row["prediction"]]
        assert (row["dataset"], row["credit"], row["epochs"], row["coreset"]) == ("split-mnist", "through-time", 2, 4)
    assert [(row["rule"], row["prediction"], row["seed"], row["after_task"], row["task"]) for row in rows] == [
        (rule, prediction, seed, NAMES[after], NAMES[task])
        for rule in RULES
        for seed in (0, 1)
        for prediction in [line[1] for line in LINES if line[0] == rule]
        for after in range(5)
        for task in range(after + 1)
    ]
    assert (unbroken / "tasks.png").stat().st_size > 10_000
    assert set(json.loads((unbroken / "differences.json").read_text())) == {
        f"bayes {prediction} - {rule}" for prediction in ("ensemble", "mode") for rule in list(RULES)[:4]
    }


def test_without_a_coreset_earlier_tasks_are_forgotten(mnist, tmp_path):
    last = {}
    for coreset in (0, 40):
        out = tmp_path / str(coreset)
        arguments = ["--rules", "full-precision", "--epochs", "8", "--seeds", "0", "--coreset", str(coreset)]
        assert compare(mnist, out, *arguments) == 0
        last[coreset] = [row["accuracy"] for row in rows_of(out) if row["after_task"] == "8/9"]
    assert last[0] == [0, 0, 0, 0, 1]
    assert min(last[40]) > 0.9


def test_the_penalty_begins_with_the_second_task(unbroken):
    """Up to the end of the first task, elastic weight consolidation changes nothing, and afterwards it does."""
    for rule in ("full-precision", "st"):
        for task, same in ((1, True), (2, False)):
            plain, held = (
                torch.load(unbroken / "runs" / f"{name}-seed0" / f"task{task}.pt", weights_only=True)
                for name in (rule, f"{rule}-ewc")
            )
            assert all(torch.equal(plain["net"][name], held["net"][name]) for name in plain["net"]) == same


def test_the_posterior_is_the_prior_of_the_next_task(unbroken):
    for task in (1, 2):
        net = torch.load(unbroken / "runs" / "bayes-seed0" / f"task{task}.pt", weights_only=True)["net"]
        priors = [name for name in net if name.endswith("prior_latent")]
        assert len(priors) == 2
        for name in priors:
            assert torch.equal(net[name], net[name.replace("prior_latent", "weight")])


def test_an_interrupted_comparison_continues_at_the_task(mnist, unbroken, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(unbroken, out)
    for rule, first_missing in (("full-precision-ewc", 3), ("st-ewc", 1), ("bayes", 4)):
        for task in range(first_missing, 6):
            (out / "runs" / f"{rule}-seed1" / f"task{task}.pt").unlink()
    (out / "results.json").unlink()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/task*.pt")}
    assert compare(mnist, out, "--seeds", "0,1") == 0
    assert rows_of(out) == rows_of(unbroken)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize("how", ["a changed byte", "of another run", "a pickle"])
def test_a_damaged_task_is_said_and_learned_anew(how, mnist, unbroken, tmp_path, capsys, planted_pickle):
    """And all tasks after it."""
    out, marker = tmp_path / "out", tmp_path / "marker"
    shutil.copytree(unbroken, out)
    path = out / "runs" / "st-ewc-seed1" / "task4.pt"
    content = path.read_bytes()
    place = len(content) // 2
    path.write_bytes(
        {
            "a changed byte": content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :],
            "of another run": (unbroken / "runs" / "st-ewc-seed0" / "task4.pt").read_bytes(),
            "a pickle": planted_pickle(marker),
        }[how]
    )
    before = {task: (path.with_name(f"task{task}.pt")).stat().st_mtime_ns for task in range(1, 6)}
    capsys.readouterr()
    assert compare(mnist, out, "--seeds", "1", "--rules", "st-ewc") == 0
    assert f"{path} is damaged or of another run: it is made anew." in capsys.readouterr().out
    last = [torch.load(of / "runs/st-ewc-seed1/task5.pt", weights_only=True) for of in (out, unbroken)]
    assert torch.equal(*(of["stage"]["probabilities"]["single"] for of in last))
    assert all(torch.equal(value, last[1]["net"][name]) for name, value in last[0]["net"].items())
    assert not marker.exists()
    after = {task: (path.with_name(f"task{task}.pt")).stat().st_mtime_ns for task in range(1, 6)}
    assert [task for task in after if after[task] == before[task]] == [1, 2, 3]


def test_settings_are_not_mixed(mnist, unbroken, capsys):
    assert compare(mnist, unbroken, "--epochs", "1") == 1
    assert "holds runs with other settings (epochs)" in capsys.readouterr().err


def test_every_task_comes_with_what_is_kept_of_those_before(mnist):
    train = split_mnist.load("mnist", mnist).train
    sets = training_sets(train, coreset=4, seed=0)
    before = set()
    for number, (task, examples) in enumerate(sets):
        assert {int(train.labels[i]) for i in task.indices} == set(TASKS[number])
        assert examples.indices[: len(task)] == task.indices
        kept = examples.indices[len(task) :]
        assert len(kept) == len(set(kept)) == 4 * number
        assert set(kept) <= before
        before |= set(task.indices)
    assert before == set(range(len(train)))
    assert all(len(task) == len(examples) for task, examples in training_sets(train, coreset=0))


def test_every_rule_starts_from_the_same_signs():
    signs = []
    for rule in RULES:
        torch.manual_seed(0)
        net = make_module(rule, SplitRecipe()).net
        signs.append([parameter.sign() for parameter in net.parameters() if parameter.dim() > 1])
    for others in signs[1:]:
        assert len(others) == 2
        assert all(torch.equal(a, b) for a, b in zip(signs[0], others, strict=True))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["split-mnist", "--coreset", "45"], ["`coreset`", "the digits 0 and 1", "got 45"]),
        (["split-mnist", "--coreset", "-1"], ["`coreset`", "-1"]),
        (["split-mnist", "--rules", "st,sgd"], ["`rules`", "full-precision-ewc", "'sgd'"]),
        (["split-mnist", "--rules", ""], ["`rules`"]),
        (["split-mnist", "--seeds", "1,1"], ["`seeds`"]),
        (["split-mnist", "--epochs", "0"], ["`epochs`", "0"]),
        (["split-mnist", "--credit", "local"], ["`--credit`", "split-mnist", "local"]),
        (["split-mnist", "--classes", "1,2"], ["`--classes`", "split-mnist"]),
        (["split-mnist", "--folds", "5"], ["`--folds`", "split-mnist"]),
        (["digits", "--coreset", "5"], ["`--coreset`", "split-mnist"]),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(arguments, words, mnist, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments, "--data-dir", str(mnist)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("snntorch-binary: error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert os.listdir(tmp_path) == []
