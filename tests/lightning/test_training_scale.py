"""Counts are read as in training, whatever the number of steps of a test."""

import pytest
import torch
from torch.utils.data import DataLoader
from training import make_trainer

import snntorch_binary as sb
from snntorch_binary.inference import Ensemble, run, sample_scores
from snntorch_binary.lightning import BayesBiSNN, SpikingModule, STBiSNN
from snntorch_binary.models import SpikingMLP

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
]


def batches(*steps):
    """One batch each of so many steps."""
    generator = torch.Generator().manual_seed(0)
    return [((torch.rand(t, 8, 6, generator=generator) < 0.5).float(), torch.arange(8) % 3) for t in steps]


def trained(kind, *steps, readout="rate", **options):
    torch.manual_seed(0)
    module = kind(SpikingMLP(6, [16], 3, drive=4.0), 3, readout=readout, **options)
    trainer = make_trainer(1)
    loader = DataLoader(batches(*steps), batch_size=None)
    trainer.fit(module, loader, loader)
    return module, trainer


@pytest.mark.parametrize("kind", [SpikingModule, STBiSNN])
def test_another_number_of_steps_is_read_as_in_training(kind, tmp_path):
    module, trainer = trained(kind, 10, 10)
    assert module.readout_scale == 10
    ((x, _),) = batches(40)
    with torch.no_grad():
        rates = run(module.eval().net, x)
        rates = (rates[0] if isinstance(rates, tuple) else rates).mean(0)
    assert rates.max() > 0
    torch.testing.assert_close(module(x), 10 * rates)
    torch.testing.assert_close(module.answers(x, True)["single"], (10 * rates).softmax(-1))
    if kind is STBiSNN:
        torch.testing.assert_close(sb.predict(module, x, num_samples=1).probs, (10 * rates).softmax(-1))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = kind.load_from_checkpoint(tmp_path / "last.ckpt", net=SpikingMLP(6, [16], 3, drive=4.0))
    assert again.readout_scale == 10
    torch.testing.assert_close(again.eval()(x), module(x))


def test_of_a_posterior_too():
    module, _ = trained(BayesBiSNN, 10, 10)
    ((x, _),) = batches(40)
    found, ensemble = module.eval().scores(x, True), Ensemble(module)
    how = {"readout": "rate", "readout_scale": 10.0, "generator": torch.Generator().manual_seed(0)}
    mode, members = sample_scores(module.net, x, 10, **how)
    assert mode.abs().max() > 0
    torch.testing.assert_close(found["mode"][0], mode)
    torch.testing.assert_close(found["ensemble"], members)
    assert ensemble.readout_scale == 10


@pytest.mark.parametrize(
    ("steps", "readout", "options", "scale"),
    [
        ((10, 12), "rate", {}, None),  # each batch by its own: as it was learned
        ((1, 1), "rate", {}, 1.0),
        ((10, 10), "membrane", {}, None),
        ((10, 10), "rate", {"readout_scale": 3.0}, 3.0),
    ],
)
def test_what_there_is_no_one_number_of_stays_as_it_is(steps, readout, options, scale):
    module, trainer = trained(SpikingModule, *steps, readout=readout, **options)
    assert module.readout_scale == scale
    state = trainer._checkpoint_connector.dump_checkpoint()
    assert state["snntorch_binary"].get("readout_scale") == (None if options else scale)


@pytest.mark.parametrize("said", ["12", -1.0, float("inf"), True, [3.0], None])
def test_a_file_says_a_scale_or_nothing(said):
    module = SpikingModule(SpikingMLP(6, [16], 3), 3)
    module.take_up({"snntorch_binary": {"readout_scale": said}})
    assert module.readout_scale is None


@pytest.mark.slow
def test_a_run_is_answered_for_with_the_scale_of_its_training(tmp_path):
    from snntorch_binary.cli import main
    from snntorch_binary.experiments.description import load_run

    command = ["compare", "digits", "--rules", "st", "--epochs", "1", "--limit-per-class", "6", "--seeds", "0"]
    (tmp_path / "mine.yaml").write_text(
        "network: {class_path: snntorch_binary.models.SpikingMLP, init_args: {hidden_sizes: [16], drive: 4.0}}\n"
        "data: {name: digits, num_steps: 7}\nrules: {st: {}}\nreadout: rate\n"
    )
    command[1:2] = ["--config", str(tmp_path / "mine.yaml")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    (run_folder,) = (tmp_path / "out" / "runs").iterdir()
    assert load_run(run_folder).description.reading["readout_scale"] == 7
