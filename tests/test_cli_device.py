"""`export --to c` and `--to mem` of a run: what is written answers as the network; mistakes are one sentence."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.cli import main
from snntorch_binary.experiments import load_run
from snntorch_binary.inference import logits

sys.path.insert(0, str(Path(__file__).parent / "export" / "c"))
import host

# Lightning's advice about DataLoader workers and TensorBoard, and a deprecated call of its own.
pytestmark = pytest.mark.filterwarnings(
    "ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning",
    "ignore:Starting from v1.9.0, `tensorboardX` has been removed:UserWarning",
    "ignore:.*LeafSpec.* is deprecated:FutureWarning",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of `compare digits` by rule."""
    here = tmp_path_factory.mktemp("runs")
    tiny = ["--epochs", "1", "--limit-per-class", "20", "--seeds", "0", "--jobs", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        assert main(["compare", "digits", *tiny, "--out", "compared"]) == 0
    return {rule: here / "compared" / "runs" / f"{rule}-seed0" for rule in ("full-precision", "st", "bayes")}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every command runs in an empty folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def run(*arguments, capsys):
    try:
        code = main(list(map(str, arguments)))
    except SystemExit as exit:
        code = exit.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def _scores_by_step(outputs, scale):
    """Class scores of currents [T, B, C] after each step, added in the order of time."""
    total, found = torch.zeros_like(outputs[0]), []
    for step, now in enumerate(outputs, 1):
        total = total + now
        found.append(total / step * scale)
    return torch.stack(found)


@pytest.mark.parametrize("language", ["gcc", "g++"])
@pytest.mark.parametrize(("rule", "members"), [("st", None), ("bayes", None), ("bayes", 4)])
def test_answers_as_the_trained_network(runs, rule, members, language, capsys, tmp_path):
    host.compiler(language)
    more = [] if members is None else ["--members", members]
    code, out, _ = run("export", "--to", "c", "--name", "digits", *more, runs[rule], "written", capsys=capsys)
    assert code == 0
    assert "bytes of weights" in out
    assert "fits" in out
    trained = load_run(runs[rule])
    nets = [trained.net.eval()]
    if members is not None:
        nets = sb.Ensemble(trained.net, num_members=members, seed=0, **trained.description.reading).members
    device = host.Device.of(Path("written"), tmp_path, "digits", language=language)
    x = (torch.rand(10, 200, 64, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    with torch.no_grad():
        outputs = [sb.pack(net)(x) for net in nets]
    scale = trained.description.reading["readout_scale"]
    expected = torch.stack([_scores_by_step(each, scale) for each in outputs])  # [K, T, B, C]
    for example in range(200):
        device.call("reset")
        for step in range(10):
            device.step(x[step, example])
            if example < 20:
                assert torch.equal(device.scores(), expected[:, step, example])
        assert torch.equal(device.scores(), expected[:, -1, example])
    scores = torch.stack([logits(each, "membrane", scale) for each in outputs])
    torch.testing.assert_close(expected[:, -1], scores, rtol=1e-5, atol=1e-5)


def test_the_example_builds_and_runs(runs, capsys):
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("make and cc are not installed")
    assert run("export", "--to", "c", "--name", "digits", runs["bayes"], "written", "--quiet", capsys=capsys)[:2] == (
        0,
        "",
    )
    done = subprocess.run(["make", "-C", "written/example"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "step 10: class" in done.stdout


def test_fixed_arithmetic_says_what_it_costs(runs, capsys):
    fixed = ["--to", "c", "--arithmetic", "fixed", "--max-accuracy-loss", "0.5"]
    code, _, _ = run("export", *fixed, runs["bayes"], "written", capsys=capsys)
    assert code == 0
    header = Path("written/network.h").read_text()
    assert "int32 with" in header
    assert "accuracy is" in header
    assert "float *scores" not in header


def test_memory_images_hold_the_weights(runs, capsys):
    assert run("export", "--to", "mem", "--name", "bits", runs["bayes"], "written", capsys=capsys)[0] == 0
    about = json.loads(Path("written/bits.json").read_text())
    packed = [module for module in sb.pack(load_run(runs["bayes"]).net).modules() if hasattr(module, "positive")]
    assert len(about["layers"]) == len(packed) == 2
    for layer, module in zip(about["layers"], packed, strict=True):
        words = [int(line, 16) for line in Path("written", layer["file"]).read_text().split()]
        assert len(words) == layer["rows"] * layer["words_a_row"]
        rows = torch.tensor(words).view(layer["rows"], layer["words_a_row"], 1)
        bits = (rows >> torch.arange(32) & 1).flatten(1)[:, : module.in_features]
        assert torch.equal(bits.bool(), module.positive[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--to", "c", "--name", "class", "bayes", "out"],
            "`--name` to be one that C, C++ and the runtime",
        ),
        (["--to", "c", "--name", "2", "bayes", "out"], "`--name` to be an identifier of C"),
        (["--to", "c", "bayes", "full"], "`OUT` to be empty or one that was exported before"),
        (["--to", "c", "bayes", "no/where"], "`OUT` to be in a folder that exists"),
        (["--to", "c", "full-precision", "out"], "`RUN` to be one of binary weights"),
        (["--to", "c", "--members", "3", "st", "out"], "left out for a network without a posterior"),
        (["--to", "c", "--members", "0", "bayes", "out"], "`--members` to be a positive integer"),
        (["--to", "c", "--weights", "mean", "bayes", "out"], "not two-valued"),
        (["--to", "mem", "--arithmetic", "fixed", "bayes", "out"], "`--arithmetic` to be left out"),
        (["--to", "packed", "--name", "net", "bayes", "out"], "`--name` to be left out"),
        (["--to", "c", "--max-accuracy-loss", "0.1", "bayes", "out"], "`--max-accuracy-loss` to be left out without"),
    ],
)
def test_mistakes_are_one_sentence(runs, arguments, said, capsys):
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("mine")
    arguments = [runs.get(each, each) for each in arguments]
    code, out, err = run("export", *arguments, capsys=capsys)
    assert code != 0
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not out
    assert [path.name for path in Path.cwd().iterdir()] == ["full"]
    assert [path.name for path in Path("full").iterdir()] == ["thesis.txt"]


def test_what_was_exported_is_replaced(runs, capsys):
    for name in ("one", "two"):
        assert run("export", "--to", "c", "--name", name, runs["st"], "written", capsys=capsys)[0] == 0
    assert Path("written/two.h").is_file()
    assert not Path("written/one.h").exists()
    assert [path.name for path in Path.cwd().iterdir()] == ["written"]
