import re
import subprocess
import sys
from pathlib import Path

import commands
import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.cli import main

pytestmark = pytest.mark.usefixtures("undrawn")
FEW = ["--data.limit_per_class", "20"]
TINY = ["--epochs", "1", "--limit-per-class", "4", "--seeds", "0", "--jobs", "1"]


def run(*arguments, capsys):
    """Run a command in this process; return exit code, standard output and standard error."""
    try:
        code = main(list(map(str, arguments)))
    except SystemExit as exit:
        code = exit.code
    captured = capsys.readouterr()
    return code, captured.out, said(captured.err)


def said(error):
    """What a command said on standard error, other than that a kernel was compiled, which may happen in any test."""
    return "".join(line for line in error.splitlines(True) if not line.startswith("snntorch_binary compiles "))


def assert_one_sentence(code, error, *words):
    assert code not in (0, None)
    assert error.startswith("snntorch-binary: error: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    for word in words:
        assert str(word) in error


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every command runs in an empty folder, with an empty cache beside it."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return here


def truncated_archive(folder):
    folder.mkdir()
    (folder / "NMNIST.zip").write_bytes(b"PK\x03\x04 and no more")
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["COMMAND"]),
        (["compute"], ["COMMAND", "compute"]),
        (["compare", "cifar"], ["`NAME`", "digits", "poker-dvs", "split-mnist", "'cifar'"]),
        (["compare", "digits", "--config", "mine.yaml"], ["`NAME`", "--config", "'digits'"]),
        (["compare", "--config", "mine.yaml"], ["`--config`", "a YAML file", "mine.yaml"]),
        (["compare", "digits", "--rules", "st,vowel"], ["`rules`", "full-precision", "'vowel'"]),
        (["compare", "digits", "--rules", ""], ["`rules`"]),
        (["compare", "digits", "--seeds", "0,0"], ["`seeds`"]),
        (["compare", "digits", "--seeds", "a"], ["--seeds", "'a'"]),
        (["compare", "digits", "--seeds", ""], ["--seeds", "integers", "''"]),
        (["compare", "digits", "--epochs", "0"], ["`epochs`", "0"]),
        (["compare", "digits", "--epochs", "many"], ["--epochs", "many"]),
        (["compare", "digits", "--classes", "3,12"], ["`classes`", "12"]),
        (["compare", "digits", "--classes", "3"], ["`classes`", "at least two"]),
        (["compare", "digits", "--rules", "softlif", "--anytime"], ["`--anytime`", "one time step"]),
        (["compare", "digits", "--rules", "softlif,st"], ["`--rules`", "digits-softlif", "softlif, st"]),
        (["compare", "digits", "--rules", "vowel-binary", "--credit", "local"], ["`--rules`", "--credit local"]),
        (["compare", "digits", "--jobs", "0"], ["`jobs`", "a positive integer", "0"]),
        (["compare", "digits", "--limit-per-class", "0"], ["`limit_per_class`"]),
        (["compare", "digits", "--folds", "1"], ["`num_folds`"]),
        (["compare", "mnist", "--folds", "5", "--data-dir", "."], ["MNIST"]),
        (["compare", "mnist", "--data-dir", "nowhere"], ["`data_dir`", "nowhere"]),
        (["compare", "mnist", "--data-dir", "."], ["MNIST"]),
        (["compare", "mnist"], ["MNIST"]),
        (["compare", "digits", "--epoch"], ["--epoch"]),
        (["fit"], ["--config", "digits-bayes"]),
        (["fit", "--config", "nothing"], ["--config", "digits-bayes", "'nothing'"]),
        (["fit", "--config", "digits-bayes", "--trainer.colour", "red"], ["--trainer.colour"]),
        (["fit", "--config", "digits-bayes", "--model.init_args.lr", "fast"], ["lr", "fast"]),
        (["fit", "--config", "digits-bayes", "--model.init_args.lr=-1"], ["`lr`", "positive", "-1.0"]),
        (["fit", "--config", "digits-bayes", "--data.name", "cifar"], ["`name`", "'cifar'"]),
        (["fit", "--config=mnist-bayes", "--data.data_dir", "nowhere"], ["`data_dir`", "nowhere"]),
        (["test", "--config", "digits-bayes", "--ckpt_path", "no.ckpt"], ["no.ckpt"]),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(arguments, words, empty_folder, capsys):
    code, _, error = run(*arguments, capsys=capsys)
    assert_one_sentence(code, error, *words)
    assert list(empty_folder.iterdir()) == []


def test_a_truncated_archive(tmp_path, empty_folder, capsys):
    folder = truncated_archive(tmp_path / "data")
    code, _, error = run("compare", "nmnist", "--data-dir", folder, *TINY, capsys=capsys)
    assert_one_sentence(code, error, folder / "NMNIST.zip", "truncated or damaged")
    assert list(empty_folder.iterdir()) == []


def test_an_out_that_cannot_be_written(empty_folder, capsys):
    file = empty_folder / "file"
    file.write_text("precious")
    for out in (file, file / "below" / "it"):
        code, _, error = run("compare", "digits", *TINY, "--out", out, capsys=capsys)
        assert_one_sentence(code, error, "The results cannot be written to", out)
    assert file.read_text() == "precious"
    assert list(empty_folder.iterdir()) == [file]


def test_a_damaged_settings_file(empty_folder, capsys):
    (empty_folder / "out").mkdir()
    (empty_folder / "out" / "settings.json").write_text("{")
    code, _, error = run("compare", "digits", *TINY, "--out", "out", capsys=capsys)
    assert_one_sentence(code, error, "settings.json", "damaged")


def test_other_settings_of_a_folder_without_runs_are_in_nobodys_way(empty_folder, capsys):
    (empty_folder / "out").mkdir()
    (empty_folder / "out" / "settings.json").write_text('{"epochs": 7}')
    code, _, error = run("compare", "digits", *TINY, "--out", "out", capsys=capsys)
    assert (code, error) == (0, "")
    code, _, error = run("compare", "digits", *TINY, "--classes", "3,4", "--out", "out", capsys=capsys)
    assert_one_sentence(code, error, "holds runs with other settings (data.classes)")


def test_missing_packages(tmp_path):
    """Each optional package is made unimportable in a process that has imported none of them."""
    program = """
import sys
from snntorch_binary.cli import main
cases = [("lightning", ["compare", "digits"]), ("torchmetrics", ["compare", "digits"]),
         ("rich", ["compare", "digits"]), ("matplotlib", ["compare", "digits"]),
         ("jsonargparse", ["fit", "--config", "digits-bayes"]),
         ("lightning", ["fit", "--config", "digits-bayes"]),
         ("sklearn", ["compare", "digits"])]
for package, arguments in cases:
    before = sys.modules.get(package)
    sys.modules[package] = None
    assert main(arguments) == 1, (package, arguments)
    del sys.modules[package]
    if before is not None:
        sys.modules[package] = before
"""
    here = tmp_path / "here"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=here, check=True, timeout=300
    )
    lines = done.stderr.splitlines()
    packages = ["lightning", "torchmetrics", "rich", "matplotlib", "jsonargparse", "lightning", "sklearn"]
    assert [line.split()[2] for line in lines] == packages
    for line in lines:
        assert line.startswith("snntorch-binary: error: ")
        assert "pip install 'snntorch-binary[lightning]'" in line
    assert done.stdout == ""
    assert list(here.iterdir()) == []


def test_python_m_and_a_sentence_without_traceback(empty_folder):
    done = subprocess.run(
        [sys.executable, "-m", "snntorch_binary", "compare", "digits", "--rules", "sgd"],
        capture_output=True, text=True, check=False, cwd=empty_folder,
    )  # fmt: skip
    assert_one_sentence(done.returncode, done.stderr, "`rules`", "'sgd'")
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["", "compare", "fit", "validate", "test", "predict", "evaluate"])
def test_help(command, capsys):
    code, text, error = run(command, "--help", capsys=capsys) if command else run("--help", capsys=capsys)
    assert code == 0
    assert error == ""
    assert text.startswith("usage: snntorch-binary")
    words = {
        "": ["compare", "predict", "evaluate", "begin with:"],
        "compare": ["--config", "--data-dir", "--limit-per-class", "--jobs", "class_path: my_models.ConvNet"],
        "predict": ["RUN [FOLDER]", "--network", "--config", "entropy"],
        "evaluate": ["--data DATA", "--network", "calibration"],
    }
    for word in words.get(command, ["--config", "--ckpt_path", "nmnist-bayes", "--data.data_dir"]):
        assert word in text


def test_version(capsys):
    assert run("--version", capsys=capsys) == (0, f"snntorch-binary {sb.__version__}\n", "")


def test_an_interrupt_says_how_to_continue(capsys, monkeypatch):
    from snntorch_binary.lightning import SpikingModule

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SpikingModule, "training_step", interrupt)
    code, _, error = run("compare", "digits", *TINY, capsys=capsys)
    assert code == 130
    assert error == "snntorch-binary: interrupted; to continue, give the same command.\n"


def test_a_loss_that_becomes_nan(capsys, monkeypatch):
    from snntorch_binary.lightning import SpikingModule

    monkeypatch.setattr(SpikingModule, "loss", lambda self, x, labels: (self(x) * torch.nan).mean())
    code, _, error = run("compare", "digits", *TINY, "--rules", "st", capsys=capsys)
    assert_one_sentence(code, error, "The loss became nan at step 0 (epoch 0, batch 0)")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The output of a short `fit` and the folder it ran in; a process of its own, as a user has it."""
    here = tmp_path_factory.mktemp("fit")
    command = ["fit", "--config", "digits-bayes", "--trainer.max_epochs", "2", *FEW]
    done = commands.run(["-m", "snntorch_binary", *command], here)
    assert done.returncode == 0, done.stderr
    return here, done


def checkpoint(here):
    return here / "results/digits-bayes/version_0/checkpoints/last.ckpt"


def test_fit_says_how_it_goes_and_where_things_are(trained):
    here, done = trained
    assert said(done.stderr) == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    for epoch, line in enumerate(lines[:2], start=1):
        assert line.startswith(f"epoch {epoch}/2  loss ")
        assert "validation accuracy mode " in line
        assert "ensemble " in line
    assert "results/digits-bayes/version_0" in lines[2]
    assert str(checkpoint(here).relative_to(here)) in lines[3]
    folder = here / "results/digits-bayes/version_0"
    assert {path.name for path in folder.iterdir()} == {
        "checkpoints",
        "config.yaml",
        "description.json",
        "hparams.yaml",
        "metrics.csv",
    }
    columns = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train_loss", "val_mode_accuracy", "val_ensemble_nll"} <= set(columns)
    torch.load(checkpoint(here), weights_only=True)


def test_fit_without_a_progress_bar_or_a_logger(empty_folder, capsys):
    options = [*FEW, "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false", "--trainer.logger", "false"]
    code, output, error = run("fit", "--config", "digits-bayes", *options, capsys=capsys)
    assert (code, said(error)) == (0, "")
    assert output.splitlines() == ["Written to .: config.yaml", "Checkpoint for --ckpt_path: checkpoints/last.ckpt"]
    assert {path.name for path in empty_folder.iterdir()} == {"checkpoints", "config.yaml", "description.json"}


def test_fit_is_the_run_of_compare(trained, tmp_path, capsys):
    here, _ = trained
    arguments = ["--rules", "bayes", "--seeds", "0", "--epochs", "2", "--limit-per-class", "20"]
    arguments += ["--out", tmp_path / "out"]
    code, _, error = run("compare", "digits", *arguments, capsys=capsys)
    assert (code, error) == (0, "")
    first, second = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (checkpoint(here), tmp_path / "out/runs/bayes-seed0/last.ckpt")
    )
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("command", ["validate", "test"])
def test_scores_of_a_checkpoint(command, trained, capsys):
    here, _ = trained
    code, text, error = run(command, "--config", "digits-bayes", "--ckpt_path", checkpoint(here), capsys=capsys)
    assert (code, error) == (0, "")
    prefix = "val" if command == "validate" else "test"
    for score in ("mode_accuracy", "ensemble_accuracy", "ensemble_ece", "ensemble_nll"):
        assert f"{prefix}_{score}" in text


def test_measuring_a_network_that_was_not_trained_is_said(capsys):
    code, _, error = run("test", "--config", "digits-bayes", capsys=capsys)
    assert code == 0
    assert error.startswith("snntorch-binary: note: without --ckpt_path this is a network that has not been trained.")


def test_fit_goes_on_from_a_checkpoint(trained, capsys):
    here, _ = trained
    arguments = [
        "fit",
        "--config",
        "digits-bayes",
        "--trainer.max_epochs",
        "3",
        *FEW,
        "--ckpt_path",
        checkpoint(here),
    ]
    code, text, error = run(*arguments, capsys=capsys)
    assert (code, error) == (0, "")
    assert text.splitlines()[0].startswith("epoch 3/3  loss ")


@pytest.mark.parametrize("name", ["digits-full-precision", "digits-st", "mnist-bayes", "nmnist-bayes", "nmnist-vowel"])
def test_every_shipped_configuration_trains(name, capsys, request):
    arguments = ["fit", "--config", name, "--trainer.max_epochs", "1", "--data.limit_per_class", "3"]
    if not name.startswith("digits"):
        arguments += ["--data.data_dir", request.getfixturevalue("real_data")]
    code, text, error = run(*arguments, capsys=capsys)
    assert (code, error) == (0, "")
    assert "epoch 1/1" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 3", ["'epoch' (did you mean 'epochs'?)", "See docs/guide/your_network.md."]),
        ("rules: [st, bays]", ["'bays' (did you mean 'bayes'?)", "See docs/guide/your_network.md."]),
        ("rules: {st: {latent_rl: 1}}", ["'latent_rl' (did you mean 'latent_lr'?)"]),
        ("rules: {st: {zzz: 1}}", ["'zzz' is not accepted"]),
    ],
)
def test_a_name_that_is_misspelt_in_a_file(text, words, empty_folder, capsys):
    path = empty_folder / "mine.yaml"
    path.write_text(f"network: {{class_path: torch.nn.Identity}}\ndata: {{name: digits}}\n{text}\n")
    code, _, error = run("compare", "--config", path, capsys=capsys)
    assert_one_sentence(code, error, *words)
    guide = Path(__file__).parent.parent
    assert all((guide / page).is_file() for page in re.findall(r"See (\S+)\.\n", error))


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["compare", "nminst"], "nmnist"),
        (["compare", "digits", "--rules", "st,bays"], "bayes"),
        (["compare", "digits", "--shift", "noise_spike"], "noise_spikes"),
        (["compare", "digits", "--ood", "notmnst"], "notmnist"),
    ],
)
def test_a_name_that_is_misspelt_on_the_command_line(arguments, meant, capsys):
    code, _, error = run(*arguments, capsys=capsys)
    assert_one_sentence(code, error, f"(did you mean '{meant}'?)")
