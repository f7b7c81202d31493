"""VOWEL as a LightningModule."""

import pytest
import torch
from training import Stop, checkpoint_in, make_trainer

import snntorch_binary as sb
from snntorch_binary.lightning import VOWEL, SpikeDataModule
from snntorch_binary.lightning.quiet import quiet
from snntorch_binary.nn import RaisedCosine, WTANetwork, layered_mask


def module_for_digits(hidden=4, **options):
    mask = layered_mask(64, hidden, 10, output_lateral=False)
    net = WTANetwork(64, hidden, 10, 1, basis=RaisedCosine(2), feedback="hidden", mask=mask, **options)
    return VOWEL(net, 10, 0.3, None, "sgd", gamma=1.0, silence=0.8, polarities=False)


def train(folder, stop=None, epochs=3):
    last = folder / "last.ckpt"
    torch.manual_seed(1 if last.exists() else 0)
    module, data = module_for_digits(), SpikeDataModule("digits", batch_size=20, limit_per_class=20)
    trainer = make_trainer(epochs, [checkpoint_in(folder)] + ([stop] if stop else []))
    with quiet():
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    return module.eval(), data, trainer


@pytest.mark.slow
def test_it_learns_and_answers_with_probabilities(tmp_path):
    module, data, trainer = train(tmp_path, epochs=6)
    assert trainer.global_step == 6 * len(data.train_dataloader())  # a step is a batch
    x, labels = next(iter(data.test_dataloader()))
    answers = module.answers(x, final=True)
    assert list(answers) == ["single", "ensemble"]
    for probabilities in answers.values():
        assert torch.allclose(probabilities.sum(1), torch.ones(len(x[0])))
    assert (answers["ensemble"].argmax(1) == labels).double().mean() > 0.6  # chance is 0.1
    again = module.answers(x, final=True)
    assert all(torch.equal(answers[name], again[name]) for name in answers)  # draws of an evaluation are fixed
    with quiet():
        measured = trainer.validate(module, datamodule=data, verbose=False)[0]
    assert {"val_single_accuracy", "val_ensemble_ece", "val_ensemble_nll"} <= set(measured)
    counts = module.scores(x, final=True)["ensemble"]
    assert counts.shape[0] == 10
    assert torch.equal(counts, counts.round())  # spikes, counted
    assert counts.max() <= len(x)


@pytest.mark.slow
def test_interrupted_it_goes_on_bit_for_bit(tmp_path):
    whole, *_ = train(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="stopped"):
        train(tmp_path / "broken", Stop(13))
    resumed, *_ = train(tmp_path / "broken")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert any(name.startswith("rule.weight_squares") for name in whole.state_dict())


def test_bernoulli_weights_are_drawn_for_every_run_of_the_ensemble():
    module = module_for_digits(weight=sb.Bernoulli(init_scale=0.3), scale=0.2)
    assert isinstance(module.configure_optimizer(), sb.optim.BayesBiSNN)
    seen = []
    module.net.register_forward_hook(lambda net, *_: seen.append(net.outputs.linear.weight.clone()))
    module.eval().scores(torch.rand(10, 2, 64).round(), final=False)
    assert len(seen) == 4
    assert len({tuple(weight.flatten().tolist()) for weight in seen}) == 4


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: VOWEL(WTANetwork(4, 2, 3), 2), "`net` to be a WTANetwork with 2 outputs, but got 3 outputs."),
        (lambda: VOWEL(torch.nn.Linear(2, 2), 2), "`net` to be a WTANetwork with 2 outputs, but got Linear."),
        (lambda: VOWEL(WTANetwork(4, 2, 2, 3), 2), "1 symbol, or 2 where spikes have polarities, but got 3 symbols."),
        (
            lambda: VOWEL(WTANetwork(4, 2, 2), 2, hidden_lr=0.0),
            "`hidden_lr` to be a positive float or None, but got 0.0.",
        ),
        (lambda: VOWEL(WTANetwork(4, 2, 2), 2, optimizer="rms"), "`optimizer` to be 'sgd' or 'adam', but got 'rms'."),
        (lambda: VOWEL(WTANetwork(4, 2, 2), 2, num_test_samples=0), "`num_test_samples` to be an integer of at least"),
    ],
)
def test_bad_input_is_one_sentence(make, sentence):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).startswith("Expected argument ")
    assert sentence in str(caught.value)
