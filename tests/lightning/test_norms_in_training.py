"""The LightningModules let batch norms go by the weights that answer."""

import copy

import pytest
import torch
from test_over_time import Residual, batches, fit
from torch.utils.data import DataLoader
from training import RULES, make_trainer

import snntorch_binary as sb
from snntorch_binary.lightning import BayesBiSNN, STBiSNN
from snntorch_binary.lightning.marks import Marks
from snntorch_binary.lightning.quiet import quiet


def trained(rule, validate):
    torch.manual_seed(0)
    data = batches((2, 12, 12), 10)
    module = RULES[rule](Residual())
    with quiet():
        make_trainer(2).fit(module, data, data if validate else None)
    return module.eval(), data


def inputs_of(data: DataLoader):
    return [x for x, _ in data]


@pytest.mark.slow
def test_weights_that_are_not_drawn_have_them_in_place():
    module, data = trained("st", validate=True)
    before = copy.deepcopy(module.net.state_dict())
    sb.refit_norms_(module.net, inputs_of(data))
    for name, value in module.net.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, before[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("validate", [True, False])
def test_mode_and_members_have_their_own(validate):
    module, data = trained("bayes", validate)
    x = next(iter(data))[0]
    running = module.net.norm1.running_mean.clone()
    if not validate:  # nothing has asked for answers yet
        assert module.norms is None
        module.refit_norms(data)
    found = module.scores(x, final=True)
    assert torch.equal(module.net.norm1.running_mean, running)
    generator = torch.Generator().manual_seed(0)
    expected = sb.predict(module.net, x, module.num_test_samples, generator=generator, data=inputs_of(data))
    torch.testing.assert_close(found["ensemble"].softmax(-1), expected.samples, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found["mode"][0].softmax(-1), expected.mode_probs, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_networks_that_a_training_passed_have_their_own():
    module, data = trained("trajectory", validate=True)
    x = next(iter(data))[0]
    with torch.no_grad():
        found = module.scores(x, final=True)
    assert list(found) == ["single", "ensemble"]
    fresh = copy.deepcopy(module.net)
    sb.refit_norms_(fresh, inputs_of(data))
    torch.testing.assert_close(found["single"][0], module(x))
    torch.testing.assert_close(module.net.norm1.running_mean, fresh.norm1.running_mean, rtol=1e-3, atol=1e-4)
    expected = module.trajectory.ensemble(len(found["ensemble"]), data=inputs_of(data))
    torch.testing.assert_close(found["ensemble"], expected(x), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(sb.predict(module, x).samples, found["ensemble"].softmax(-1), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_functions_answer_as_the_module_does():
    module, data = trained("bayes", validate=True)
    x = next(iter(data))[0]
    expected = module.scores(x, final=True)["ensemble"].softmax(-1)
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(sb.predict(module, x, generator=generator).samples, expected)
    torch.testing.assert_close(sb.Ensemble(module, seed=0).predict(x).samples, expected)
    module.norms = None
    plain = sb.predict(module, x, generator=torch.Generator().manual_seed(0)).samples
    assert not torch.allclose(plain, expected, atol=1e-3)


def test_no_data_are_refused():
    module, _ = trained("st", validate=False)
    with pytest.raises(ValueError, match=r"^Expected argument `data` to be at least one input, but got none\.$"):
        module.refit_norms([])


@pytest.mark.slow
def test_a_step_makes_them_stale():
    module, data = trained("bayes", validate=True)
    assert module.norms is not None
    with quiet():
        make_trainer(1).fit(module, data)
    assert module.norms is None


def test_a_float_network_keeps_what_it_had():
    torch.manual_seed(0)
    net, data = Residual(), batches((2, 12, 12), 5)
    module, _ = fit(net, "full-precision", data)
    before = copy.deepcopy(module.state_dict())
    module.refit_norms(data)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


def answers_of_new_norms(module, data):
    x = next(iter(data))[0]
    generator = torch.Generator().manual_seed(0)
    return sb.predict(module.net, x, module.num_test_samples, generator=generator, data=inputs_of(data)).samples


@pytest.mark.slow
def test_weights_of_a_checkpoint_get_norms_of_their_own(tmp_path):
    """As ``trainer.test(ckpt_path="best")`` behind ``fit`` does, and ``load_state_dict`` by hand."""
    module, data = trained("bayes", validate=True)
    earlier = copy.deepcopy(module.state_dict())
    with quiet():
        make_trainer(2).fit(module, data, data)
    x = next(iter(data))[0]
    assert module.norms is not None
    module.load_state_dict(earlier)
    assert module.norms is None
    module.eval().on_test_start()
    found = module.scores(x, final=True)["ensemble"].softmax(-1)
    torch.testing.assert_close(found, answers_of_new_norms(module, data), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_training_step_of_a_users_own():
    class Own(BayesBiSNN):
        def training_step(self, batch, batch_idx):
            x, y = batch
            return torch.nn.functional.cross_entropy(self(x), y, torch.arange(1.0, 11.0))

    torch.manual_seed(0)
    data = batches((2, 12, 12), 10)
    module = Own(Residual(), 10, rho=0.0)
    with quiet():
        make_trainer(2).fit(module, data, data)
    module.eval()
    x = next(iter(data))[0]
    assert module.norms is not None
    found = module.scores(x, final=True)["ensemble"].softmax(-1)
    torch.testing.assert_close(found, answers_of_new_norms(module, data), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [BayesBiSNN, STBiSNN])
def test_norms_go_by_what_a_users_own_step_makes_of_a_batch(rule):
    class Own(rule):
        def training_step(self, batch, batch_idx):
            return super().training_step(((batch[1] - 128) / 64, batch[2]), batch_idx)

        def validation_step(self, batch, batch_idx):
            super().validation_step(((batch[1] - 128) / 64, batch[2]), batch_idx)

    torch.manual_seed(0)
    rows = [(torch.arange(len(y)), 128 + 64 * x, y) for x, y in batches((2, 12, 12), 10)]
    loader = DataLoader(rows, batch_size=None)
    module = Own(Residual(), 10, fuse=False)
    with quiet():
        make_trainer(2).fit(module, loader, loader)
    module.eval()
    data = [(pixels - 128) / 64 for _, pixels, _ in rows]
    found = module.scores(data[0], final=True)
    answer = found["ensemble"].softmax(-1) if rule is BayesBiSNN else found["single"].softmax(-1)
    count = module.num_test_samples if rule is BayesBiSNN else 1
    generator = torch.Generator().manual_seed(0)
    expected = sb.predict(module.net, data[0], count, generator=generator, data=data).samples
    torch.testing.assert_close(answer, expected, rtol=1e-3, atol=1e-4)


def test_a_network_that_a_users_step_calls_itself_keeps_its_norms():
    class Own(STBiSNN):
        def training_step(self, batch, batch_idx):
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    torch.manual_seed(0)
    data = batches((2, 12, 12), 4)
    module = Own(Residual(), 10)
    with quiet():
        make_trainer(1).fit(module, data, data)
    before = copy.deepcopy(module.net.state_dict())
    module.on_test_start()
    assert all(torch.equal(value, before[name]) for name, value in module.net.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.copy_(weight.flip(0)),
        lambda weight: weight.view(-1)[:2].copy_(weight.view(-1)[:2].flip(0).clone()),
        lambda weight: weight.view(-1)[3:4].neg_(),
        lambda weight: weight.data.view(-1)[3:4].add_(1e-6),
    ],
)
def test_marks_of_weights(change):
    net = Residual()
    sb.binarize_(net, sb.BalancedSign())
    marks = Marks.of(net)
    assert marks.are_of(net)
    assert Marks(list(marks.writes), list(marks.sums)).are_of(copy.deepcopy(net))
    with torch.no_grad():
        change(net.conv1.latent)
    assert not Marks([], list(marks.sums)).are_of(net)


def test_marks_see_a_step_that_torch_does_not_count():
    net = Residual()
    sb.binarize_(net, sb.Bernoulli())
    marks, optimizer = Marks.of(net), sb.optim.BayesBiSNN(net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert not marks.are_of(net)


@pytest.mark.slow
def test_copies_keep_theirs():
    module, data = trained("bayes", validate=True)
    x = next(iter(data))[0]
    twin = copy.deepcopy(module)
    assert twin.norms is not None
    for name, scores in module.scores(x, final=True).items():
        assert torch.equal(twin.scores(x, final=True)[name], scores)
