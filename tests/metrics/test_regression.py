import math

import pytest
import scipy.stats
import sklearn.metrics
import torch

from snntorch_binary.metrics import evaluate_regression, fit_noise, paired_bootstrap, regression_example_scores


def predictions(num_examples=2000, noise=0.3, seed=0):
    """Means and spreads that are right: the function is drawn from what the predictor believes of it."""
    generator = torch.Generator().manual_seed(seed)
    mean, function, error = torch.randn(3, num_examples, generator=generator, dtype=torch.float64)
    std = 0.05 + torch.rand(num_examples, generator=generator, dtype=torch.float64)
    return mean, std, mean + std * function + noise * error


def nll(mean, std, targets, noise):
    return -scipy.stats.norm.logpdf(targets, mean, (std**2 + noise**2) ** 0.5).mean()


def test_scores_are_those_of_scipy_and_sklearn():
    mean, std, targets = predictions()
    found = evaluate_regression(mean, std, targets, noise=0.2)
    total = (std**2 + 0.04).sqrt()
    assert found.rmse == pytest.approx(sklearn.metrics.root_mean_squared_error(targets, mean))
    assert found.nll == pytest.approx(nll(mean, std, targets, 0.2))
    low, high = (torch.as_tensor(end) for end in scipy.stats.norm.interval(0.95, mean, total))
    assert found.coverage == ((targets >= low) & (targets <= high)).double().mean().item()


def test_a_calibrated_predictor_covers_95_percent():
    assert evaluate_regression(*predictions(20_000), noise=0.3).coverage == pytest.approx(0.95, abs=0.005)


def test_noise_is_found_again():
    assert fit_noise(*predictions(20_000)) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("noise", [0.001, 0.3, 50.0])
def test_no_other_noise_is_more_likely(noise):
    mean, std, targets = predictions(300, noise)
    found = fit_noise(mean, std, targets)
    best = nll(mean, std, targets, found)
    for other in [0.0, *(found * factor for factor in (0.5, 0.99, 0.9999, 1.0001, 1.01, 2.0)), 1e-3, 0.1, 1.0, 100.0]:
        assert best <= nll(mean, std, targets, other) + 1e-12


@pytest.mark.parametrize(("num_unsure", "noise"), [(40, 0.001), (80, 1.03)])
def test_of_two_maxima_the_higher_is_taken(num_unsure, noise):
    # Two sure predictions want little noise, many unsure ones that are further off want much.
    std = torch.cat([torch.full((2,), 1e-6), torch.full((num_unsure,), 0.9)]).double()
    error = torch.cat([torch.full((2,), 0.001), torch.full((num_unsure,), 1.4)]).double()
    grid = torch.logspace(-5, 1, 601, dtype=torch.float64)
    values = [nll(0, std, error, each.item()) for each in grid]
    assert sum(values[i] < min(values[i - 1], values[i + 1]) for i in range(1, 600)) == 2
    found = fit_noise(torch.zeros_like(std), std, error)
    assert found == pytest.approx(noise, rel=0.02)
    assert nll(0, std, error, found) <= min(values)


def test_without_spread_the_noise_is_the_root_mean_squared_error():
    mean, _, targets = predictions()
    found = fit_noise(mean, torch.zeros_like(mean), targets)
    assert found == pytest.approx(evaluate_regression(mean, torch.ones_like(mean), targets).rmse, rel=1e-6)


def test_a_spread_as_wide_as_the_errors_leaves_no_noise():
    mean, std, _ = predictions()
    assert fit_noise(mean, std, mean + std) == 0.0
    assert fit_noise(mean, std, mean + 0.1 * std * torch.randn(len(mean))) == 0.0
    assert fit_noise(mean, 0 * std, mean) == 0.0
    # Some errors are wider than their spread, and still the likelihood is highest without noise.
    error = torch.where(torch.arange(len(mean)) % 50 == 0, 1.5, 0.5) * std
    assert fit_noise(mean, std, mean + error) == 0.0


def test_two_predictors_are_compared_by_example():
    mean, std, targets = predictions()
    a, b = (regression_example_scores(centre, std, targets, 0.3) for centre in (mean, mean + 0.5))
    assert evaluate_regression(mean, std, targets, 0.3).rmse == pytest.approx(math.sqrt(a.squared_error.mean()))
    for of_a, of_b in ((a.squared_error, b.squared_error), (a.nll, b.nll)):
        assert paired_bootstrap(of_a, of_b, num_resamples=200).high < 0


def test_bad_input():
    mean, std, targets = predictions(4)
    for function in (evaluate_regression, fit_noise):
        with pytest.raises(ValueError, match="`std` to be non-negative, but got the value -1"):
            function(mean, torch.tensor([1.0, -1.0, 1.0, 1.0]), targets)
        with pytest.raises(ValueError, match="`targets` to be finite"):
            function(mean, std, targets * float("nan"))
        with pytest.raises(ValueError, match=r"`targets` to be of shape \[4\], but got \[3\]"):
            function(mean, std, targets[1:])
        with pytest.raises(ValueError, match=r"`mean` to be of shape \[N\] with N >= 1, but got \[4, 1\]"):
            function(mean[:, None], std, targets)
    with pytest.raises(ValueError, match=r"`noise` to be a non-negative finite number, but got -0\.1"):
        evaluate_regression(mean, std, targets, -0.1)
    with pytest.raises(ValueError, match="`std` to be positive where there is no noise"):
        evaluate_regression(mean, 0 * std, targets)
