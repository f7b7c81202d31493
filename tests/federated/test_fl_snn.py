"""FL-SNN's devices: what they learn, what they share, and that nothing is lost between rounds."""

import copy

import pytest
import torch
from online_devices import NUM_BASIS, STEPS, assert_same_state, make_data, make_device, make_net, two_devices

from snntorch_binary.data.splits import permutation
from snntorch_binary.federated import (
    OnlineCoordinator,
    OnlineParticipant,
    Task,
    Update,
    exchange_,
    weighted_mean,
)
from snntorch_binary.federated.fl_snn.device import OnlineDevice
from snntorch_binary.federated.fl_snn.synapses import set_synapses_, synapses
from snntorch_binary.learning import OnlineGLM
from snntorch_binary.nn import WTANetwork, layered_mask


def test_without_hidden_circuits_it_is_online_logistic_regression():
    """Filtered spikes by hand, the gradient of the cross-entropy by autograd, SGD: the same weights after 2 passes."""
    net = make_net(feedback="none", mask=layered_mask(5, 0, 2, output_lateral=False))
    device = OnlineDevice(net := net.double(), *make_data(1), OnlineGLM(net, kappa=0.0), lr=0.1, seed=3)
    weight = net.outputs.linear.weight.detach().unflatten(1, (5, NUM_BASIS)).clone().requires_grad_()
    bias = net.outputs.linear.bias.detach().clone().requires_grad_()
    kernel = net.basis.coefficients()
    device.advance(2 * 3 * STEPS)
    spikes, labels = make_data(1)
    for epoch in range(2):
        for index in permutation(3, f"stream 3 {epoch}"):
            target = torch.nn.functional.one_hot(labels[index], 2).double()
            for t in range(STEPS):
                filtered = torch.zeros(5, NUM_BASIS).double()
                for lag in range(1, min(t, 5) + 1):
                    filtered += spikes[index, t - lag].double()[:, None] * kernel[:, lag - 1]
                u = torch.einsum("ijk,jk->i", weight, filtered) + bias
                loss = torch.nn.functional.binary_cross_entropy_with_logits(u, target, reduction="sum")
                gradients = torch.autograd.grad(loss, (weight, bias))
                with torch.no_grad():
                    weight -= 0.1 * gradients[0]
                    bias -= 0.1 * gradients[1]
    torch.testing.assert_close(net.outputs.linear.weight.unflatten(1, (5, NUM_BASIS)), weight)
    torch.testing.assert_close(net.outputs.linear.bias, bias)


@pytest.mark.parametrize("num_hidden", [0, 3])
def test_devices_with_the_same_data_stay_identical(num_hidden):
    net = make_net(num_hidden)
    devices = [make_device(net, 0, seed=5) for _ in range(2)]
    before = synapses(devices[0].net)
    for _ in range(20):
        for device in devices:
            device.advance(1)
        exchange_(devices, NUM_BASIS)
        assert_same_state(*devices)
    alone = make_device(net, 0, seed=5)
    alone.advance(20)
    torch.testing.assert_close(synapses(alone.net), synapses(devices[0].net))
    assert not torch.equal(before, synapses(alone.net))


@pytest.mark.parametrize("num_hidden", [0, 3])
def test_sending_all_basis_functions_is_averaging_networks(num_hidden):
    devices = two_devices(make_net(num_hidden))
    for device in devices:
        device.advance(7)
    plain = weighted_mean([dict(device.net.named_parameters()) for device in devices])
    exchange_(devices, NUM_BASIS)
    for device in devices:
        for name, parameter in device.net.named_parameters():
            assert torch.equal(parameter, plain[name]), name


@pytest.mark.parametrize("counted_since", ["sent", "exchange"])
def test_what_nobody_sent_stays_the_devices_own(counted_since):
    devices = two_devices(make_net(3), counted_since=counted_since)
    for _ in range(4):
        for device in devices:
            device.advance(5)
        before = [synapses(device.net) for device in devices]
        largest = [int(device.rule.magnitudes.argmax()) for device in devices]
        sent = {index for share in exchange_(devices, 1) for index in share.indices.tolist()}
        assert sent == set(largest)
        kept = [index for index in range(NUM_BASIS) if index not in sent]
        for device, own in zip(devices, before, strict=True):
            assert torch.equal(synapses(device.net)[:, kept], own[:, kept])
        first, second = (synapses(device.net) for device in devices)
        assert torch.equal(first[:, sorted(sent)], second[:, sorted(sent)])
        assert not torch.equal(first[:, kept], second[:, kept])


@pytest.mark.slow
def test_since_it_was_sent_every_basis_function_has_its_turn():
    sent = {}
    for counted_since in ("sent", "exchange"):
        device = make_device(make_net(), 0, counted_since=counted_since)
        sent[counted_since] = set()
        for _ in range(40):
            device.advance(STEPS)
            sent[counted_since] |= set(device.share(1).indices.tolist())
    assert sent["sent"] == set(range(NUM_BASIS))
    assert len(sent["exchange"]) < NUM_BASIS


@pytest.mark.slow
@pytest.mark.parametrize("num_hidden", [0, 3])
@pytest.mark.parametrize("window", [1, 4])
def test_it_goes_on_bit_for_bit_from_the_middle_of_an_example_and_of_a_window(num_hidden, window, tmp_path):
    net = make_net(num_hidden)
    devices = two_devices(net, window=window)
    for device in devices:
        device.advance(5)
    exchange_(devices, 2)
    assert devices[0].position % STEPS  # in the middle of an example
    torch.save([device.state_dict() for device in devices], tmp_path / "devices.pt")
    again = two_devices(make_net(num_hidden, seed=9), window=window)
    for device, state in zip(again, torch.load(tmp_path / "devices.pt", weights_only=True), strict=True):
        device.load_state_dict(state)
    for group in (devices, again):
        for _ in range(3):
            for device in group:
                device.advance(7)
            exchange_(group, 2)
    for one, other in zip(devices, again, strict=True):
        assert_same_state(one, other)
    assert devices[0].position == 26 * window


@pytest.mark.slow
def test_separate_devices_never_meet_and_learn_one_class():
    """Alone each always answers its own class; together they tell both apart."""
    torch.manual_seed(0)
    labels = torch.arange(40) % 2
    spikes = (torch.rand(40, 10, 8) < 0.1 + 0.6 * (labels[:, None, None] == (torch.arange(8) < 4))).byte()
    accuracy = {}
    for together in (False, True):
        net = WTANetwork(8, 0, 2, feedback="none", mask=layered_mask(8, 0, 2, output_lateral=False))
        devices = [
            OnlineDevice(copy.deepcopy(net), spikes[labels == label], labels[labels == label], seed=label)
            for label in (0, 1)
        ]
        for device in devices:
            device.rule = OnlineGLM(device.net)
        for _ in range(100):
            for device in devices:
                device.advance(4)
            if together:
                exchange_(devices, 4)
        counts = [device.net(spikes.transpose(0, 1).float().unsqueeze(-1), seed=1).sum(0) for device in devices]
        accuracy[together] = [float((count.argmax(-1) == labels).double().mean()) for count in counts]
    assert all(abs(value - 0.5) < 0.05 for value in accuracy[False])
    assert min(accuracy[True]) > 0.9


def test_only_connections_are_exchanged():
    net = WTANetwork(676, 0, 2)
    weight = torch.rand(2 * 677, 8)
    assert synapses(net).shape == weight.shape
    set_synapses_(net, weight)
    assert torch.equal(synapses(net), weight)
    # The outputs see each other, not themselves.
    rows = net.outputs.linear.weight.detach().unflatten(1, (678, 8))
    assert rows[0, 676].abs().sum() == rows[1, 677].abs().sum() == 0
    spikes, labels = torch.zeros(1, 3, 676, dtype=torch.uint8), torch.tensor([0])
    device = OnlineDevice(net, spikes, labels)
    device.advance(1)
    assert device.share(8).num_scalars == 10_832 + 2 + 2  # the fact that FL-SNN's load formula gives


def plain_rounds(net, rounds, tau, num):
    devices = two_devices(net)
    for _ in range(rounds):
        for device in devices:
            device.advance(tau)
        exchange_(devices, num)
    return devices


@pytest.mark.slow
@pytest.mark.parametrize("num", [2, NUM_BASIS])
def test_through_flower_it_is_the_same_bit_for_bit(num):
    pytest.importorskip("flwr")
    from snntorch_binary.federated.flower import InProcessGrid, client_app, run_in_process, server_app

    net, rounds, tau = make_net(3), 5, 4
    made = {}

    def device_of(client):
        made[client] = make_device(net, client, seed=client)
        return made[client]

    coordinator = OnlineCoordinator(copy.deepcopy(net))
    reports = []
    app = client_app(OnlineParticipant(device_of, tau, num / tau))
    grid = InProcessGrid(app, num_clients=2)
    run_in_process(server_app(coordinator, rounds, 2, on_round=reports.append), grid)
    assert [sorted(report.used) for report in reports] == [[0, 1]] * rounds
    for client, device in enumerate(plain_rounds(net, rounds, tau, num)):
        made[client].receive(coordinator._mean)  # as the next round would begin
        assert_same_state(device, made[client])
    # All that clients need is in Flower's context: new processes go on from there.
    first, second = copy.deepcopy(grid.contexts), plain_rounds(net, rounds + 2, tau, num)
    made.clear()
    again = InProcessGrid(client_app(OnlineParticipant(device_of, tau, num / tau)), num_clients=2)
    again.contexts = first
    restarted = OnlineCoordinator(make_net(3, seed=4))
    restarted.load_state_dict(coordinator.state_dict())
    run_in_process(server_app(restarted, rounds + 2, 2, rounds_done=rounds), again)
    for client, device in enumerate(second):
        made[client].receive(restarted._mean)
        assert_same_state(device, made[client])


def test_what_the_base_station_refuses():
    net = make_net()
    side = OnlineCoordinator(net)
    update = OnlineParticipant(lambda client: make_device(net, client), 3, 1.0).train(
        side.arrays(), Task(1, 0, 1, 2, 0), {}
    )
    assert side.why_refused(update) is None
    changes = [
        ({"weights": torch.full_like(update.arrays["weights"], torch.nan)}, "weights has NaN or infinite values"),
        ({"indices": torch.tensor([0, 9, 1])}, "its basis functions [0, 9, 1] are not different ones of 4"),
        ({"indices": torch.tensor([0, 0, 1])}, "its basis functions [0, 0, 1] are not different ones of 4"),
        ({"indices": torch.tensor([0.5])}, "it does not say which of 4 basis functions it sent"),
        ({"indices": torch.tensor([0, 1])}, "weights has shape (12, 3) and not (12, 2)"),
        ({"other": torch.zeros(1)}, "its network is another one (it differs in other)"),
    ]
    for change, reason in changes:
        assert side.why_refused(Update({**update.arrays, **change}, 1)) == reason


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spikes": torch.zeros(0, 4, 5)}, "`spikes` to be of shape [N, T, 5] with at least one example and time step, "
         "but got (0, 4, 5)."),
        ({"spikes": torch.zeros(3, 4, 6)}, "`spikes` to be of shape [N, T, 5] with at least one example and time step, "
         "but got (3, 4, 6)."),
        ({"labels": torch.tensor([0, 1, 2])}, "`labels` to be 3 integers from 0 to 1, one an example, "
         "but got [0, 1, 2]."),
        ({"lr": -1.0}, "`lr` to be a float of at least 0, but got -1.0."),
        ({"counted_since": "never"}, "`counted_since` to be 'sent' or 'exchange', but got 'never'."),
        ({"net": WTANetwork(5, 0, 2, 2)}, "`net` to be a WTANetwork of 1 symbol, but got 2 symbols."),
    ],
)  # fmt: skip
def test_bad_devices_are_one_sentence(options, sentence):
    spikes, labels = make_data(0)
    with pytest.raises(ValueError) as caught:
        OnlineDevice(**{"net": make_net(), "spikes": spikes, "labels": labels, **options})
    assert str(caught.value) == f"Expected argument {sentence}"


def test_bad_steps():
    with pytest.raises(ValueError, match="`num_local_steps` to be an integer of at least 1, but got 0"):
        make_device(make_net(), 0).advance(0)
    with pytest.raises(ValueError, match="`tau` to be an integer of at least 1, but got 0"):
        OnlineParticipant(lambda client: make_device(make_net(), client), 0, 1.0)
