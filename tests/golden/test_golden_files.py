"""Files that released versions wrote still load, and the networks in them answer as they did then."""

from pathlib import Path

import pytest
import torch
import write
from safetensors.torch import load_file

import snntorch_binary as sb

VERSIONS = sorted(path for path in Path(__file__).parent.iterdir() if (path / "answers.safetensors").exists())


def test_there_are_some():
    assert [path.name for path in VERSIONS][:1] == ["0.1.0"]


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def folder(request):
    return request.param


@pytest.fixture
def answers(folder):
    return load_file(folder / "answers.safetensors")


@pytest.mark.parametrize("name", ["sign", "bernoulli"])
def test_weights(name, folder, answers):
    net = sb.load_weights_(write.conv_net(), folder / f"{name}.safetensors").eval()
    with torch.no_grad():
        assert torch.equal(net(write.spikes(6, 5, 2, 4, 4)), answers[name])
        assert torch.equal(net.train()[3].in_force(), answers[f"{name}_draw"])


@pytest.mark.parametrize("name", ["sign", "bernoulli"])
def test_packed(name, folder, answers):
    packed = sb.load_packed(folder / f"{name}_packed.safetensors")
    assert torch.equal(packed(write.spikes(6, 5, 2, 4, 4)), answers[name])


def test_packed_ensemble(folder, answers):
    ensemble = sb.load_packed(folder / "ensemble_packed.safetensors")
    torch.testing.assert_close(ensemble.predict(write.spikes(6, 5, 2, 4, 4)).probs, answers["ensemble"])


@pytest.mark.parametrize("name", ["st", "bayes"])
def test_checkpoints(name, folder, answers):
    module = write.modules()[name]
    checkpoint = torch.load(folder / f"{name}.ckpt", weights_only=True)
    module.load_state_dict(checkpoint["state_dict"])
    optimizer = module.configure_optimizer()
    optimizer.load_state_dict(checkpoint["optimizer_states"][0])
    with torch.no_grad():
        found = module.eval().answers(write.spikes(5, 8, 12), final=True)
    kept = {prediction: value for prediction, value in found.items() if f"{name}_{prediction}" in answers}
    assert set(found) - set(kept) <= {"draw"}  # which that version did not say
    for prediction, value in kept.items():
        torch.testing.assert_close(value, answers[f"{name}_{prediction}"])
