"""No file that a command reads, but a configuration that its user names, chooses a class, a function or a path.

Two kinds are planted in place of each file: a pickle that makes a marker, and a file that ``torch.load`` accepts with
``weights_only=True`` whose names of classes would run a shell command that does.
"""

import contextlib
import json
import shutil
from pathlib import Path

import pytest
import torch

pytest.importorskip("lightning")

import lightning as L
from lightning.pytorch.cli import LightningCLI

from snntorch_binary._files import RunFolder, tensor_bytes
from snntorch_binary.checkpoint import load_trained
from snntorch_binary.cli import main
from snntorch_binary.experiments.config import read_experiment, shipped
from snntorch_binary.experiments.fit.command import shipped_configs
from snntorch_binary.experiments.results_folder import write_settings
from snntorch_binary.experiments.runs import run_files
from snntorch_binary.lightning import BayesBiSNN, SpikeDataModule, SpikingModule
from snntorch_binary.lightning.plain_checkpoints import PlainCheckpoints, make_plain_
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.models import SpikingMLP

pytestmark = [
    pytest.mark.usefixtures("undrawn"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings(r"ignore:[\s\S]*denied by the"),  # jsonargparse warns of the plant, and runs it
]

SMALL = ["--data.limit_per_class", "2", "--trainer.max_epochs", "1", "--trainer.logger", "false"]
CONFIG = ["--config", "digits-bayes", "--model.init_args.net.init_args.hidden_sizes", "[8]", *SMALL]
KINDS = ["pickle", "names of classes"]


def names_of_classes(marker):
    """Arguments of a constructor that run a shell command where somebody makes objects of them."""
    shell = {"cmd": f"touch {marker}", "encoding": None, "errors": None}
    traced = {"class_path": "torch.fx.symbolic_trace", "init_args": {"root": "subprocess.getoutput"}}
    traced["init_args"]["concrete_args"] = shell
    return {
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
        "_class_path": "snntorch_binary.lightning.SpikingModule",
        "net": traced,
        "num_classes": 10,
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def marker(tmp_path):
    """Nothing makes it."""
    path = tmp_path / "marker"
    yield path
    assert not path.exists()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A good checkpoint, as `fit` writes one."""
    folder = tmp_path_factory.mktemp("fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", *CONFIG]) == 0
    return next(folder.rglob("last.ckpt"))


@pytest.fixture(params=KINDS)
def planted(request, checkpoint, tmp_path, marker, planted_pickle):
    """A checkpoint that somebody has planted."""
    path = tmp_path / "planted.ckpt"
    if request.param == "pickle":
        path.write_bytes(planted_pickle(marker))
    else:
        contents = torch.load(checkpoint, weights_only=True)
        for name in ("hyper_parameters", "datamodule_hyper_parameters", "hparams", "module_arguments"):
            contents[name] = names_of_classes(marker)
        torch.save(contents, path)
    return path


def ends_well(code, capsys):
    """With its results, or with one sentence."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert error.count("\n") <= 1
    assert (code == 0) == (": error: " not in error)


@pytest.mark.slow
def test_the_plant_works(here, checkpoint, marker):
    """Lightning's own command line takes the names for an order; should that end, so may all of this."""
    contents = torch.load(checkpoint, weights_only=True)
    torch.save({**contents, "hyper_parameters": names_of_classes(marker)}, "planted.ckpt")
    config = ["--config", str(shipped_configs()["digits-bayes"]), *SMALL, "--ckpt_path", "planted.ckpt"]
    kept = {"subclass_mode_model": True, "parser_kwargs": {"exit_on_error": False}}
    with contextlib.suppress(Exception), quiet():
        LightningCLI(SpikingModule, SpikeDataModule, args=["test", *config], **kept)
    assert marker.exists()
    marker.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "validate", "test"])
def test_commands_of_lightning(command, planted, here, capsys):
    ends_well(main([command, *CONFIG, "--ckpt_path", str(planted)]), capsys)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["summary", "predict", "evaluate", "packed", "nir", "torch"])
def test_commands_of_a_checkpoint(command, planted, here, capsys):
    if command == "predict":
        (here / "pictures").mkdir()
        arguments = ["predict", str(planted), "pictures"]
    elif command == "evaluate":
        arguments = ["evaluate", str(planted), "--data", "digits"]
    elif command == "summary":
        arguments = ["summary", str(planted)]
    else:
        if command == "nir":
            pytest.importorskip("nir")
        arguments = ["export", "--to", command, str(planted), "out"]
    ends_well(main(arguments), capsys)


@pytest.mark.slow
@pytest.mark.parametrize("module", [SpikingModule, BayesBiSNN])
def test_load_from_checkpoint_takes_the_network_from_its_caller(module, planted):
    with pytest.raises(ValueError, match=r"`net` to be given|cannot be read"):
        module.load_from_checkpoint(planted)
    with pytest.raises(ValueError, match="weights_only"):
        module.load_from_checkpoint(planted, weights_only=False)
    with contextlib.suppress(ValueError, RuntimeError):
        module.load_from_checkpoint(planted, net=SpikingMLP(64, [8], 10))
    with contextlib.suppress(ValueError):
        SpikeDataModule.load_from_checkpoint(planted)


@pytest.mark.slow
def test_a_good_checkpoint_is_loaded(checkpoint, here, capsys):
    module = BayesBiSNN.load_from_checkpoint(checkpoint, net=SpikingMLP(64, [8], 10))
    assert module.hparams["readout_scale"] == 5.0
    assert load_trained(checkpoint)[1]["readout_scale"] == 5.0
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert main(["test", *CONFIG, "--ckpt_path", str(checkpoint)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_what_a_checkpoint_was_trained_with_is_said_where_it_is_not_used(checkpoint, here, capsys):
    assert main(["test", *CONFIG, "--model.init_args.readout", "rate", "--ckpt_path", str(checkpoint)]) == 0
    note = f"{checkpoint} was trained with readout='auto'; used with readout='rate', as the configuration says."
    assert capsys.readouterr().err == f"snntorch-binary: note: {note}\n"


def test_checkpoints_of_fit_name_no_classes(checkpoint):
    contents = torch.load(checkpoint, weights_only=True)
    assert "class_path" not in repr({**contents, "state_dict": None, "optimizer_states": None})


# ---- paths -----------------------------------------------------------------------------------------------------------


class Few(L.LightningModule):
    """The least that trains."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(range(2))


@pytest.mark.parametrize("place", ["{folder}/../precious.ckpt", "{folder}/precious.txt", "{parent}/precious.ckpt"])
def test_a_checkpoint_removes_no_file_that_it_names(place, here):
    """Lightning removes the last best checkpoint where there is a new one."""
    folder = here / "run"

    def fit(epochs, path=None):
        saved = L.pytorch.callbacks.ModelCheckpoint(folder, "last", enable_version_counter=False)
        options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = L.Trainer(
            max_epochs=epochs, callbacks=[saved], plugins=[PlainCheckpoints()], accelerator="cpu", **options
        )
        with quiet():
            trainer.fit(Few(), ckpt_path=path, weights_only=True)

    fit(1)
    victim = Path(place.format(folder=folder, parent=here))
    victim.write_text("precious")
    contents = torch.load(folder / "last.ckpt", weights_only=True)
    state = next(value for name, value in contents["callbacks"].items() if name.startswith("ModelCheckpoint"))
    state.update(best_model_path=str(victim), best_k_models={str(victim): 0.0}, kth_best_model_path=str(victim))
    (here / "other").mkdir()
    torch.save(contents, here / "other" / "last.ckpt")
    fit(2, str(here / "other" / "last.ckpt"))
    assert victim.read_text() == "precious"


def test_paths_in_its_own_folder_are_left():
    state = {
        "dirpath": "/runs/a",
        "best_model_path": "/runs/a/epoch=1.ckpt",
        "kth_best_model_path": "",
        "last_model_path": "",
        "best_k_models": {"/runs/a/epoch=1.ckpt": torch.zeros(())},
    }
    checkpoint = {"callbacks": {"ModelCheckpoint{}": dict(state)}}
    make_plain_(checkpoint)
    assert checkpoint["callbacks"]["ModelCheckpoint{}"] == state
    for path in ("/runs/b/epoch=1.ckpt", "/runs/a/../b.ckpt", "s3://runs/a.ckpt", "/runs/a/notes.txt", 5):
        checkpoint = {"callbacks": {"ModelCheckpoint{}": {**state, "best_k_models": {path: 0.0}}}}
        make_plain_(checkpoint)
        assert checkpoint["callbacks"]["ModelCheckpoint{}"]["best_k_models"] == {}


# ---- folders of results ----------------------------------------------------------------------------------------------


def plant(folder, run, kind, marker, planted_pickle, names):
    """Plant files in the folder of a run; those of names are as the record says."""
    folder.mkdir(parents=True)
    for name in names:
        if kind == "pickle":
            (folder / name).write_bytes(planted_pickle(marker))
        else:
            RunFolder(folder, run).write(name, tensor_bytes({"net": names_of_classes(marker), "state_dict": {}}))
    if kind == "pickle":
        (folder / "record.json").write_bytes(planted_pickle(marker))
    for name in ("hparams.yaml", "config.yaml"):
        (folder / name).write_text(f"!!python/object/apply:os.system ['touch {marker}']\n")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_compare(kind, here, marker, planted_pickle, capsys):
    experiment = read_experiment(shipped()["digits"], ["st"], limit_per_class=2).with_changes(seeds=(0,), epochs=1)
    write_settings(here / "out", experiment.settings())
    name, key = experiment.run("st", seed=0, fold=0)
    folder = run_files(here / "out" / "runs" / name, name, key)
    plant(folder.path, folder.run, kind, marker, planted_pickle, ["predictions.pt", "last.ckpt", "hpc_ckpt_1.ckpt"])
    (here / "hpc_ckpt_1.ckpt").write_bytes(planted_pickle(marker))
    arguments = ["--rules", "st", "--seeds", "0", "--epochs", "1", "--limit-per-class", "2", "--out", "out"]
    ends_well(main(["compare", "digits", *arguments]), capsys)


@pytest.mark.parametrize("content", ["[" * 9_999 + "]" * 9_999, "[]", "\0", '{"__class__": "os.system"}'])
def test_settings_of_a_folder(content, here, capsys):
    (here / "out" / "runs").mkdir(parents=True)
    (here / "out" / "settings.json").write_text(content)
    assert main(["compare", "digits", "--out", "out"]) == 1
    ends_well(1, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_federate(kind, here, marker, planted_pickle, capsys):
    """In place of every file of a run that has ended: it is made anew, with the same results, or refused."""
    pytest.importorskip("flwr")
    arguments = ["federate", "digits-5-clients", "--methods", "bayes-product", "--rounds", "1", "--seeds", "0"]
    arguments += ["--limit-per-class", "10", "--out", "out", "--jobs", "1"]
    assert main(arguments) == 0

    def results():
        rows = json.loads((here / "out" / "results.json").read_text())
        return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]

    before = results()
    capsys.readouterr()
    (folder,) = (here / "out" / "runs").iterdir()
    run = json.loads((folder / "record.json").read_text())["run"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"predictions.pt", "last.ckpt", "record.json", "description.json"} <= {path.name for path in files}
    for path in files:
        path.unlink()
        if kind == "pickle":
            path.write_bytes(planted_pickle(marker))
        elif path.suffix in (".pt", ".ckpt"):
            RunFolder(path.parent, run).write(path.name, tensor_bytes({"state_dict": names_of_classes(marker)}))
        else:
            path.write_text(json.dumps(names_of_classes(str(marker))))
    assert main(arguments) == 0
    assert results() == before
    assert "made anew" in " ".join(capsys.readouterr().out.split())
    settings = json.dumps(names_of_classes(str(marker))).encode() if kind != "pickle" else planted_pickle(marker)
    (here / "out" / "settings.json").write_bytes(settings)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("give another --out or remove the folder.\n")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_tune_and_its_replay(kind, here, marker, planted_pickle, monkeypatch, capsys):
    """The files of members and of the results; and schedule.yaml, which is written anew before a user replays it."""
    pytest.importorskip("ray.tune")
    import yaml

    from snntorch_binary._files import digest
    from snntorch_binary.tune import Plan, Quadratic, Range, population
    from snntorch_binary.tune.fingerprint import fingerprint
    from snntorch_binary.tune.interval import files_of, train_or_find
    from snntorch_binary.tune.lineage import write_report

    plan, space = Plan("Q", "max", epochs=2, interval=1, population=2), {"h0": Range(0.0, 1.0)}
    config = {"model": {"class_path": "snntorch_binary.tune.Quadratic", "init_args": {}}}
    of_population = digest(fingerprint(Quadratic, None, space, plan, config))
    out, values = here / "out", {"h0": 0.5}

    def run(module_factory, data, space, plan, resources, out, of, listener, tried):
        for member in range(plan.population):
            start = None
            for _ in range(2):
                store = out / "members"
                report = train_or_find(module_factory, data, plan, member, values, start, store, "cpu", of)
                write_report(out / "reports.jsonl", report)
                start = report.id

    monkeypatch.setattr(population, "_run", run)

    def train(folder):
        return population.population_based_training(Quadratic, None, space, plan, out=folder, config=config)

    honest = train(here / "honest")
    files = ["winner.ckpt", "answers.pt"]
    plant(out, files_of(out, of_population).run, kind, marker, planted_pickle, files)
    for report in honest.reports:
        folder = out / "members" / report.id
        plant(folder, files_of(folder, of_population).run, kind, marker, planted_pickle, ["last.ckpt"])
    (out / "reports.jsonl").write_bytes(planted_pickle(marker))
    for name in ("schedule.yaml", "plan.json"):
        (out / name).write_text(f"!!python/object/apply:os.system ['touch {marker}']\n")
    with pytest.raises(Exception, match=r"plan\.json is damaged"):
        train(out)
    shutil.copy(here / "honest" / "plan.json", out)
    found = train(out)
    assert [(of.id, of.scores) for of in found.reports] == [(of.id, of.scores) for of in honest.reports]
    replay = yaml.safe_load((out / "schedule.yaml").read_text())
    assert replay == yaml.safe_load((here / "honest" / "schedule.yaml").read_text())
    assert not json.loads((out / "plan.json").read_text()).keys() & {"class_path"}
