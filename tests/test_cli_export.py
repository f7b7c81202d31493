"""`export`, `summary`, `predict` and `evaluate` of a run: they say what its network is; mistakes are one sentence."""

import csv
import json
import shutil

import commands
import figures
import nir
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import snntorch_binary as sb
from snntorch_binary.checkpoint import load_trained
from snntorch_binary.cli import main
from snntorch_binary.data import RateEncoder
from snntorch_binary.data.unlabelled import read_unlabelled
from snntorch_binary.experiments import load_run
from snntorch_binary.inference import logits
from snntorch_binary.lightning import STBiSNN
from snntorch_binary.models import LocalSpikingMLP, SpikingMLP

# Lightning's advice about DataLoader workers and TensorBoard, and a deprecated call of its own.
pytestmark = pytest.mark.filterwarnings(
    "ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning",
    "ignore:Starting from v1.9.0, `tensorboardX` has been removed:UserWarning",
    "ignore:.*LeafSpec.* is deprecated:FutureWarning",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Checkpoints by name: of `compare` each rule and one of local credit, of `fit` one with hard resets."""
    here = tmp_path_factory.mktemp("runs")
    tiny = ["--epochs", "1", "--limit-per-class", "4", "--seeds", "0", "--jobs", "1"]
    hard = ["--model.init_args.net.init_args.reset_mechanism", "zero", "--trainer.logger.init_args.save_dir", str(here)]
    with pytest.MonkeyPatch.context() as patch, figures.left_undrawn():
        patch.chdir(here)
        assert main(["compare", "digits", *tiny, "--out", "compared"]) == 0
        assert main(["compare", "digits", *tiny, "--rules", "st", "--credit", "local", "--out", "local"]) == 0
        fit = ["--trainer.max_epochs", "1", "--data.limit_per_class", "4"]
        assert main(["fit", "--config", "digits-bayes", *fit, *hard]) == 0
    found = {rule: here / "compared" / "runs" / f"{rule}-seed0" for rule in ("full-precision", "st", "bayes")}
    return {
        **found,
        "out": here / "compared",
        "local": here / "local" / "runs" / "st-seed0",
        "fit": here / "digits-bayes" / "version_0" / "checkpoints" / "last.ckpt",
    }


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def spikes():
    return (torch.rand(20, 6, 64) < 0.5).float()


def run(*arguments, capsys):
    try:
        code = main(list(map(str, arguments)))
    except SystemExit as exit:
        code = exit.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def trained(folder):
    """The network as Lightning has trained it, by the module that wrote the checkpoint."""
    from snntorch_binary.lightning import BayesBiSNN, SpikingModule, STBiSNN
    from snntorch_binary.models import SpikingMLP

    kinds = {"full-precision": SpikingModule, "st": STBiSNN, "bayes": BayesBiSNN}
    kind = kinds[folder.name.removesuffix("-seed0")]
    checkpoint = torch.load(folder / "last.ckpt", weights_only=True)
    assert checkpoint["snntorch_binary"] == {"format": 1, "version": sb.__version__}
    module = kind(SpikingMLP(64, [256], 10), **checkpoint["hyper_parameters"])
    module.load_state_dict(checkpoint["state_dict"])
    return module.net.eval()


@pytest.mark.parametrize("rule", ["full-precision", "st", "bayes"])
def test_the_network_is_that_of_the_module(rule, runs, spikes):
    expected, found = trained(runs[rule]), load_trained(runs[rule])[0]
    assert torch.equal(found(spikes), expected(spikes))
    assert [getattr(layer, "rule", None) for layer in found] == [getattr(layer, "rule", None) for layer in expected]
    assert len(expected(spikes).unique()) > 100


def test_packed(runs, spikes, capsys):
    code, out, _ = run("export", "--to", "packed", runs["bayes"] / "last.ckpt", "net.safetensors", capsys=capsys)
    assert code == 0
    assert out.startswith("Written to net.safetensors: 1 bit per weight")
    assert torch.equal(sb.load_packed("net.safetensors")(spikes), trained(runs["bayes"])(spikes))
    code, out, _ = run("export", "--to", "packed", "--members", 4, runs["bayes"], "four", "--quiet", capsys=capsys)
    assert (code, out) == (0, "")
    assert sb.load_packed("four").num_members == 4


def test_torch(runs, spikes, capsys):
    code, out, _ = run("export", "--to", "torch", runs["bayes"], "net.pt", "--weights", "5", capsys=capsys)
    assert code == 0
    assert "a state dict of snntorch_binary.models.SpikingMLP in float" in out
    plain = torch.nn.Sequential(
        torch.nn.Flatten(2), torch.nn.Linear(64, 256), sb.nn.Leaky(beta=0.5), torch.nn.Linear(256, 10)
    )
    plain.load_state_dict(torch.load("net.pt", weights_only=True))
    expected = sb.freeze(trained(runs["bayes"]), "binary", torch.Generator().manual_seed(5))
    assert torch.equal(plain(spikes), expected(spikes))
    assert len(plain[1].weight[0].abs().unique()) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_onnx(runs, spikes, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    code, out, err = run("export", "--to", "onnx", runs["st"], "net.onnx", capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("Written to net.onnx: an ONNX program for inputs of the shape [10, 2, 64], any batch size")
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: spikes[:10].numpy()})
    torch.testing.assert_close(
        torch.from_numpy(answer), trained(runs["st"])(spikes[:10]).detach(), rtol=1e-5, atol=1e-5
    )


def test_nir_of_a_network_with_hard_resets(runs, spikes, capsys):
    code, out, _ = run("export", "--to", "nir", runs["fit"], "net.nir", capsys=capsys)
    assert code == 0
    assert out.startswith("Written to net.nir: a NIR graph of 5 nodes")
    again = sb.export.from_nir("net.nir")
    assert torch.equal(again(spikes), load_trained(runs["fit"])[0](spikes))
    assert again[1].reset_mechanism == "zero"
    assert again[0].rule == sb.Bernoulli(init_scale=6.0)
    code, _, _ = run("export", "--to", "nir", runs["fit"], "net.nir", "--weights", "3", capsys=capsys)
    assert code == 0
    assert nir.read("net.nir").metadata["weights"] == "seed 3"


def test_a_soft_reset_needs_to_be_allowed(runs, empty_folder, capsys):
    code, out, error = run("export", "--to", "nir", runs["st"], "net.nir", capsys=capsys)
    assert (code, out) == (1, "")
    assert_one_sentence(error, "soft reset", "'2' (Leaky)", "--allow-lossy")
    assert list(empty_folder.iterdir()) == []
    code, *_ = run("export", "--to", "nir", "--allow-lossy", runs["st"], "net.nir", capsys=capsys)
    assert code == 0
    assert sb.export.from_nir("net.nir")[1].reset_mechanism == "zero"


def test_summary(runs, capsys):
    code, out, _ = run("summary", runs["bayes"], capsys=capsys)
    assert code == 0
    assert out == f"{sb.summary(trained(runs['bayes']))}\n"
    assert "18,944 binary weights" in out
    code, quiet, _ = run("summary", "--quiet", runs["bayes"], capsys=capsys)
    assert quiet == out.splitlines()[-1] + "\n"


def assert_one_sentence(error, *words):
    assert error.startswith("snntorch-binary: error: ")
    assert error.count("\n") == 1
    for word in words:
        assert str(word) in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "{bayes}", "net"], ["--to"]),
        (["export", "--to", "tflite", "{bayes}", "net"], ["--to", "tflite", "packed"]),
        (["export", "--to", "packed", "{bayes}"], ["OUT"]),
        (["export", "--to", "packed", "nothing.ckpt", "net"], ["`RUN`", "'nothing.ckpt'"]),
        (["export", "--to", "packed", "{bayes}", "no/folder/net"], ["`OUT`", "no/folder/net"]),
        (["export", "--to", "packed", "{bayes}", "."], ["`OUT`"]),
        (["export", "--to", "packed", "{full-precision}", "net"], ["`RUN`", "full precision"]),
        (["export", "--to", "packed", "--weights", "mean", "{bayes}", "net"], ["--weights", "mean"]),
        (["export", "--to", "packed", "--weights", "-1", "{bayes}", "net"], ["--weights"]),
        (["export", "--to", "packed", "--members", "0", "{bayes}", "net"], ["--members"]),
        (["export", "--to", "nir", "--members", "3", "{bayes}", "net"], ["--members", "--to packed"]),
        (["export", "--to", "packed", "--members", "3", "{st}", "net"], ["--members", "one member", "but got 3"]),
        (["export", "--to", "torch", "--allow-lossy", "{bayes}", "net"], ["--allow-lossy"]),
        (["summary"], ["RUN"]),
        (["summary", "nothing"], ["`RUN`", "'nothing'"]),
        (["summary", "{out}"], ["`RUN`", "the folder of one run", "compared/runs"]),
        (["summary", "{bayes}", "--network", "os.system"], ["does not fit", "that system takes"]),
        (["evaluate", "{bayes}", "--members", "0"], ["`--members`", "0"]),
        (["evaluate", "{st}", "--members", "5"], ["`--members`", "one member", "but got 5"]),
        (["evaluate", "{bayes}", "--data", "two-moons"], ["`data`", "10 classes"]),
        (["predict", "{bayes}", "pictures", "--data", "digits"], ["`FOLDER`", "--data"]),
    ],
)
def test_mistakes(arguments, words, runs, empty_folder, capsys):
    code, out, error = run(*(word.format(**runs) if word[0] == "{" else word for word in arguments), capsys=capsys)
    assert code in (1, 2)
    assert out == ""
    assert_one_sentence(error, *words)
    assert list(empty_folder.iterdir()) == []


def with_change(runs, change):
    checkpoint = torch.load(runs["bayes"] / "last.ckpt", weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, "changed.ckpt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("state_dict"), ["no checkpoint", "state_dict"]),
        (lambda c: c["snntorch_binary"].update(format=2, version="9.1"), ["snntorch-binary 9.1", "update"]),
        (lambda c: c.update(snntorch_binary="?"), ["damaged"]),
        (lambda c: c["state_dict"].pop("net.1.bias"), ["net.1", "bias"]),
        (lambda c: c["state_dict"].pop("net.2.beta"), ["net.2", "beta"]),
        (lambda c: c["state_dict"].pop("net.1.weight"), ["another network"]),
        (lambda c: c["state_dict"].update({"net.2.reset_mechanism_val": torch.tensor(9)}), ["net.2"]),
        (lambda c: c["state_dict"].update({"net.3.weight": torch.zeros(10)}), ["net.3"]),
        (lambda c: c["state_dict"].update({"net.9.weight": torch.zeros(2, 2)}), ["another network"]),
        (
            lambda c: c["state_dict"].update({"net.3.weight": torch.zeros(10, 99), "net.3.weight_draw": torch.ones(2)}),
            ["do not fit together"],
        ),
        (lambda c: c["hyper_parameters"]["rule"].update(prior=2.0), ["net.1", "`prior`"]),
    ],
)
def test_checkpoints_of_another_version_or_network(change, words, runs, capsys):
    with_change(runs, change)
    code, _, error = run("summary", "changed.ckpt", capsys=capsys)
    assert code == 1
    assert_one_sentence(error, "changed.ckpt", *words)


class Harmful:
    def __reduce__(self):
        return (print, ("run",))


def test_files_that_are_no_checkpoint_run_nothing(runs, empty_folder, capsys):
    whole = (runs["bayes"] / "last.ckpt").read_bytes()
    (empty_folder / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    (empty_folder / "text.ckpt").write_text("weights")
    torch.save({"state_dict": Harmful()}, "code.ckpt")
    torch.save([1, 2], "list.ckpt")
    for name in ("cut.ckpt", "text.ckpt", "code.ckpt", "list.ckpt"):
        code, out, error = run("summary", name, capsys=capsys)
        assert (code, out) == (1, "")
        assert_one_sentence(error, name, "no checkpoint")


def test_what_is_needed_is_said(runs, empty_folder, tmp_path):
    program = """
import sys
from snntorch_binary.cli import main
sys.modules["nir"] = None
assert main(["export", "--to", "nir", sys.argv[1], "net.nir"]) == 1
for name in list(sys.modules):
    if name.startswith("snntorch_binary"):
        del sys.modules[name]
sys.modules["lightning"] = None
from snntorch_binary.cli import main
assert main(["summary", "--quiet", sys.argv[1]]) == 1
"""
    (tmp_path / "without.py").write_text(program)
    done = commands.run([tmp_path / "without.py", runs["bayes"]])
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "snntorch-binary: error: nir is not installed; install it with `pip install 'snntorch-binary[export]'`.",
        "snntorch-binary: error: lightning is not installed; install it with "
        "`pip install 'snntorch-binary[lightning]'`.",
    ]
    assert list(empty_folder.iterdir()) == []


def test_a_network_of_local_credit(runs, spikes, capsys):
    code, out, _ = run("export", "--to", "torch", runs["local"], "net.pt", capsys=capsys)
    assert (code, "a state dict of snntorch_binary.models.LocalSpikingMLP" in out) == (0, True)
    plain = LocalSpikingMLP(64, [256, 256], 10, drive=8.0, readout_scale=1.0, burn_in=0, tau_mem=4.0, tau_syn=2.0)
    plain.load_state_dict(torch.load("net.pt", weights_only=True))
    assert torch.equal(plain.eval()(spikes), load_run(runs["local"]).net(spikes))
    code, out, _ = run("summary", "--quiet", runs["local"], capsys=capsys)
    assert (code, "81,920 binary weights" in out or "smaller" in out) == (0, True)


# ---- predict -----------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """Test digits as 8 x 8 pictures, one of them in a folder below, and their classes by name."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    bunch = load_digits()
    classes = {}
    for index in range(30):
        name = f"{'more/' if index == 7 else ''}{index:02d}.png"
        grey = (bunch.images[index] * 255 / 16).astype("uint8")
        Image.fromarray(grey).save(folder / name)
        classes[name] = int(bunch.target[index])
    (folder / "notes.txt").write_text("no picture")
    return folder, classes


def answers(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_pictures(runs, pictures, empty_folder, capsys):
    folder, classes = pictures
    for rule in ("full-precision", "st", "bayes"):
        code, out, _ = run("predict", runs[rule], folder, "--out", f"{rule}.csv", capsys=capsys)
        assert code == 0
        assert out.startswith("30 answers, of each class: ")
        rows = answers(empty_folder / f"{rule}.csv")
        assert [row["file"] for row in rows] == sorted(classes)
        probability = torch.tensor([float(row["probability"]) for row in rows])
        entropy = torch.tensor([float(row["entropy"]) for row in rows])
        assert ((probability > 0.1) & (probability <= 1)).all()
        assert ((entropy >= 0) & (entropy <= torch.tensor(10.0).log())).all()
        same = [(row["class"], row["probability"]) == (row["mode_class"], row["mode_probability"]) for row in rows]
        assert all(same) == (rule != "bayes")


def test_answers_are_those_of_the_network(runs, pictures, empty_folder, capsys):
    folder, _ = pictures
    assert run("predict", runs["st"], folder, "--quiet", capsys=capsys)[:2] == (0, "")
    dataset, files = read_unlabelled(folder, 10, (64,), RateEncoder())
    x = torch.stack([dataset[index][0] for index in range(len(files))], 1)
    net = load_trained(runs["st"])[0]
    with torch.no_grad():
        expected = logits(net(x), "membrane", 5.0).softmax(-1).amax(-1)
    found = torch.tensor([float(row["probability"]) for row in answers(empty_folder / "predictions.csv")])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", ["full-precision", "bayes"])
def test_without_a_folder_the_test_data_of_the_run_are_answered(rule, runs, empty_folder, capsys):
    """As they were when it was tested."""
    assert run("predict", runs[rule], capsys=capsys)[0] == 0
    tested = torch.load(runs[rule] / "predictions.pt", weights_only=True)
    rows = answers(empty_folder / "predictions.csv")
    assert [int(row["label"]) for row in rows] == tested["labels"].tolist()
    names = {"full-precision": ("single", "single"), "bayes": ("ensemble", "mode")}[rule]
    for prefix, name in zip(("", "mode_"), names, strict=True):
        probabilities = tested["probabilities"][name]
        assert [int(row[f"{prefix}class"]) for row in rows] == probabilities.argmax(1).tolist()
        found = torch.tensor([float(row[f"{prefix}probability"]) for row in rows])
        torch.testing.assert_close(found, probabilities.amax(1), rtol=1e-5, atol=0)


def test_a_checkpoint_alone_does_not_say_what_it_learned_from(runs, empty_folder, capsys):
    shutil.copy(runs["bayes"] / "last.ckpt", "alone.ckpt")
    code, _, error = run("evaluate", "alone.ckpt", capsys=capsys)
    assert code == 1
    assert_one_sentence(error, "`--data`", "the run does not say what it learned from")
    assert run("evaluate", "alone.ckpt", "--data", "digits", "--members", "2", capsys=capsys)[0] == 0


def test_a_run_of_fit_answers(runs, empty_folder, capsys):
    assert run("evaluate", runs["fit"], "--members", "2", capsys=capsys)[0] == 0
    code, out, _ = run("predict", runs["fit"], "--data", "digits", "--members", "2", capsys=capsys)
    assert (code, out.startswith("359 answers, of each class: ")) == (0, True)
    assert len(answers(empty_folder / "predictions.csv")) == 359


def test_evaluate_says_what_the_comparison_said(runs, capsys):
    assert run("evaluate", runs["bayes"], "--out", "scores.json", capsys=capsys)[0] == 0
    with open("scores.json") as file:
        found = {row["prediction"]: row for row in json.load(file)}
    rows = json.loads((runs["out"] / "results.json").read_text())
    for row in (row for row in rows if row["rule"] == "bayes" and not row["scaled"]):
        for score in ("accuracy", "ece", "nll", "brier", "bits_per_weight"):
            assert found[row["prediction"]][score] == pytest.approx(row[score], rel=1e-6)
    code, out, _ = run("evaluate", runs["st"], "--data", "digits", capsys=capsys)
    assert (code, "accuracy" in out) == (0, True)


def test_recordings(tmp_path, empty_folder, capsys):
    """N-MNIST's five bytes an event, in a network of its size."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    event = bytes([3, 4, 0b10000000, 0, 9])
    for name in ("a.bin", "b.bin"):
        (folder / name).write_bytes(event * (5 if name == "a.bin" else 3))
    module = STBiSNN(SpikingMLP(2 * 34 * 34, [6], 3), 3, readout_scale=5.0)
    checkpoint = tmp_path / "net.ckpt"
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, checkpoint)
    assert run("predict", checkpoint, folder, capsys=capsys)[0] == 0
    assert [row["file"] for row in answers(empty_folder / "predictions.csv")] == ["a.bin", "b.bin"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: None, "an existing folder"),
        (lambda folder: folder.mkdir(), "has no images"),
        (lambda folder: (folder.mkdir(), (folder / "a.png").write_bytes(b"none")), "cannot be read"),
        (lambda folder: (folder.mkdir(), Image.new("L", (5, 4)).save(folder / "a.png")), "but got 5 x 4 in"),
        (lambda folder: (folder.mkdir(), Image.new("L", (4, 16)).save(folder / "a.png")), "8 x 8 pixels"),
        (lambda folder: (folder.mkdir(), (folder / "a.bin").write_bytes(bytes(5))), "`input_shape` to be 2312 values"),
        (
            lambda folder: (folder.mkdir(), (folder / "a.bin").touch(), (folder / "b.png").touch()),
            "of one kind, but got files .bin, .png",
        ),
    ],
)
def test_folders_that_cannot_be_answered(make, sentence, runs, tmp_path, capsys):
    make(tmp_path / "folder")
    code, _, error = run("predict", runs["st"], tmp_path / "folder", capsys=capsys)
    assert code == 1
    assert sentence in error
    assert error.count("\n") == 1


def test_a_packed_ensemble_reads_its_members_as_the_checkpoint_says(runs, spikes, empty_folder, capsys):
    assert run("export", "--to", "packed", "--members", 3, runs["bayes"], "e.safetensors", capsys=capsys)[0] == 0
    ensemble = sb.Ensemble(load_trained(runs["bayes"])[0], num_members=3, readout="membrane", readout_scale=5.0)
    found = sb.load_packed(empty_folder / "e.safetensors").predict(spikes)
    torch.testing.assert_close(found.probs, ensemble.predict(spikes).probs)
