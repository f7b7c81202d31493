import pytest
import torch

from snntorch_binary.kernels import use_engine
from snntorch_binary.kernels.vowel import Averages, Eligibility, baseline_of


@pytest.mark.slow
@pytest.mark.parametrize("columns", [1, 63, 64, 200])
@pytest.mark.parametrize("kappa", [0.0, 0.4])
def test_the_compiled_step_is_the_plain_one(columns, kappa):
    rows, batch_size = 5, 7
    kept = {}
    for engine in ("torch", "numba"):
        torch.manual_seed(1)
        averages = Averages(*torch.zeros(4, rows * columns).unbind(0))
        averages.baseline.normal_()
        eligibility = Eligibility(rows, batch_size, columns, torch.zeros(()))
        with use_engine(engine):
            for t in range(6):
                traces = torch.rand(batch_size, columns) * (torch.rand(columns) < 0.5)
                traces[:, 0] = torch.rand(batch_size)
                traces[:, 64:128] = 0  # a block that stays silent
                traces[[6, 0, 3, 1, 5, 4, 2][t + 1 :]] = 0  # examples that begin later, in another order
                score, reward = torch.randn(batch_size, rows), torch.randn(batch_size)
                eligibility.step(score, traces, reward, averages, kappa, 0.9)
        kept[engine] = (averages.reward_squares, averages.squares, averages.direction)
    for ours, plain in zip(kept["numba"], kept["torch"], strict=True):
        torch.testing.assert_close(ours, plain, rtol=2e-5, atol=1e-6)
        assert plain.abs().max() > 0


def test_memory_used_again_starts_at_zero():
    averages = Averages(*torch.zeros(4, 6).unbind(0))
    first = Eligibility(2, 4, 3, torch.zeros(()))
    first.step(torch.ones(4, 2), torch.ones(4, 3), torch.ones(4), averages, 0.5, 0.9)
    assert first.values.abs().max() > 0
    second = Eligibility(2, 4, 3, torch.zeros(()), first)
    assert second.values.data_ptr() == first.values.data_ptr()
    assert not second.values.any()
    assert Eligibility(2, 5, 3, torch.zeros(()), second).values.shape == (2, 1, 5, 64)


def test_a_baseline_is_the_weighted_mean_reward_whatever_the_scale_of_eligibility():
    averages = Averages(
        torch.tensor([-6.0, 0.0, -6e-12]), torch.tensor([2.0, 0.0, 2e-12]), torch.zeros(3), torch.zeros(3)
    )
    torch.testing.assert_close(baseline_of(averages), torch.tensor([-3.0, 0.0, -3.0]))
