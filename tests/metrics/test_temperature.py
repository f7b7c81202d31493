import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snntorch_binary.metrics import apply_temperature, fit_temperature, negative_log_likelihood


def validation_data(num_examples, num_classes, temperature, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(num_examples, num_classes, generator=generator)
    labels = torch.multinomial(apply_temperature(logits, temperature), 1, generator=generator).squeeze(1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_recovers_the_temperature_that_drew_the_labels(temperature):
    logits, labels = validation_data(20_000, 10, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


@given(seed=st.integers(0, 10_000), num_classes=st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_agrees_with_a_numerical_minimiser(seed, num_classes):
    logits, labels = validation_data(60, num_classes, 2.0, seed)
    found = scipy.optimize.minimize_scalar(
        lambda log_t: negative_log_likelihood(apply_temperature(logits, 2.718281828**log_t), labels),
        bounds=(-5, 5),
        method="bounded",
        options={"xatol": 1e-9},
    )
    nll = negative_log_likelihood(apply_temperature(logits, fit_temperature(logits, labels)), labels)
    assert nll <= found.fun + 1e-9


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_temperature_scales_with_the_logits(factor):
    logits, labels = validation_data(200, 3, 2.0)
    once = fit_temperature(logits.double(), labels)
    assert fit_temperature(logits.double() * factor, labels) == pytest.approx(once * factor, rel=1e-6)


def test_one_value_per_row_may_be_added_to_the_logits():
    logits, labels = validation_data(200, 3, 2.0)
    shift = 50 * torch.randn(200, 1, generator=torch.Generator().manual_seed(1))
    once = fit_temperature(logits.double(), labels)
    assert fit_temperature(logits.double() + shift, labels) == pytest.approx(once, rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        pytest.param([[2.0, 0.0], [0.0, 5.0]], [0, 1], id="all right: the NLL falls as T goes to 0"),
        pytest.param([[2.0, 0.0], [0.0, 5.0]], [1, 0], id="all wrong: the NLL falls as T grows"),
        pytest.param([[3.0, 3.0], [1.0, 1.0]], [0, 1], id="constant logits: no temperature matters"),
        pytest.param([[8.0, 0.0], [8.0, 0.0]], [0, 1], id="no better than chance"),
    ],
)
def test_without_a_minimum_the_logits_are_left_as_they_are(logits, labels):
    assert fit_temperature(torch.tensor(logits), torch.tensor(labels)) == 1.0


def test_one_close_call_among_sure_answers_still_has_its_minimum():
    logits = torch.tensor([[1000.0, 0.0]] * 99 + [[0.001, 0.0]])
    labels = torch.tensor([0] * 99 + [1])
    temperature = fit_temperature(logits, labels)
    nll = {t: negative_log_likelihood(apply_temperature(logits, t), labels) for t in (temperature, 1.0)}
    assert 0 < temperature < 1000
    assert nll[temperature] <= nll[1.0]


def test_apply_keeps_the_shape_and_the_order_of_classes():
    logits = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    cold, hot = apply_temperature(logits, 0.5), apply_temperature(logits, 5.0)
    assert cold.shape == logits.shape
    assert torch.equal(cold.argsort(-1), hot.argsort(-1))
    assert (cold.amax(-1) > hot.amax(-1)).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_temperature(temperature):
    with pytest.raises(ValueError, match="`temperature` to be a positive finite number"):
        apply_temperature(torch.zeros(1, 2), temperature)


def test_bad_logits():
    with pytest.raises(ValueError, match="`logits` to be finite"):
        fit_temperature(torch.tensor([[float("inf"), 0.0]]), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"`logits` to be of shape \[N, C\]"):
        fit_temperature(torch.zeros(2, 3, 4), torch.tensor([0, 1]))
