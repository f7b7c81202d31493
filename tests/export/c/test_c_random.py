"""Random networks of every kind answer in C as packed, spikes and scores bit for bit at every time step."""

import os
import shutil
import tempfile
from pathlib import Path

import boards
import host
import networks
import pytest
import torch
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from snntorch_binary.inference import logits
from snntorch_binary.packed import PackedEnsemble

# `SNNTORCH_BINARY_C_NETWORKS=500 pytest tests/export/c/test_c_random.py` for more of them.
NETWORKS = int(os.environ.get("SNNTORCH_BINARY_C_NETWORKS", "40"))


@pytest.mark.slow
@settings(
    max_examples=NETWORKS, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(case=networks.cases())
def test_equal_on_this_machine(case):
    host.compiler()
    note(f"{case.kind}: {case.packed}")
    folder = Path(tempfile.mkdtemp())
    try:
        device = host.Device(case.packed, folder, sample=case.x, **_readout(case))
        _compare(case, device)
    finally:
        shutil.rmtree(folder)


_EMULATED = {**boards.BOARDS, "cortex-m0": boards.LARGE_M0}


@pytest.mark.slow
@settings(
    max_examples=max(8, NETWORKS // 12),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(case=networks.cases(), board=st.sampled_from(["cortex-m0", "cortex-m3", "cortex-m4", "riscv", "s390x"]))
def test_equal_under_qemu(case, board):
    boards.check(_EMULATED[board])
    note(f"{case.kind}: {case.packed}")
    folder = Path(tempfile.mkdtemp())
    try:
        run = boards.run(_EMULATED[board], case.packed, case.x, folder, sample=case.x, **_readout(case))
        assert torch.equal(run.scores.permute(1, 2, 0, 3), networks.scores_by_step(case))
    finally:
        shutil.rmtree(folder)


def _readout(case):
    return {} if isinstance(case.packed, PackedEnsemble) else {"readout": case.readout}


def _compare(case, device):
    expected = networks.scores_by_step(case)
    for example in range(case.x.shape[1]):
        device.call("reset")
        for step, x_t in enumerate(case.x[:, example]):
            device.step(x_t.flatten(), events=example % 2 == 1)
            assert torch.equal(device.scores(), expected[step, :, example]), (step, example)
        # The package's readout adds potentials in an order of torch's own, and takes for spikes what is 0 or 1.
        outputs = networks.outputs_of(case)[:, :, example : example + 1]
        scores = torch.stack([logits(each, "auto" if case.readout == "membrane" else case.readout) for each in outputs])
        if case.counts:
            assert torch.equal(device.scores(), scores[:, 0])
        elif bool(((outputs != 0) & (outputs != 1)).any((1, 2, 3)).all()):
            torch.testing.assert_close(device.scores(), scores[:, 0], rtol=1e-5, atol=1e-5)
        _compare_answer(device, device.scores())


def _compare_answer(device, scores):
    answer = device.answer()
    each = scores.softmax(-1)
    mean = each.mean(0)
    entropy = torch.special.entr(mean).sum()
    torch.testing.assert_close(answer.probabilities, mean, rtol=1e-5, atol=1e-6)
    assert answer.label == int(answer.probabilities.argmax())
    assert answer.entropy == pytest.approx(float(entropy), abs=1e-5)
    information = float((entropy - torch.special.entr(each).sum(-1).mean()).clamp_min(0))
    assert answer.mutual_information == pytest.approx(information, abs=1e-5)
