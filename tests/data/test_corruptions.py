"""Corruptions: the right rates within exact bounds, and one sentence for what makes no sense."""

import math

import pytest
import torch
from torch.nn import functional as F

from snntorch_binary.data import corruptions
from snntorch_binary.data.corruptions import CORRUPTIONS

SPIKES = [one for one in CORRUPTIONS.values() if one.kind == "spikes"]
IMAGES = [one for one in CORRUPTIONS.values() if one.kind == "images"]
EACH = pytest.mark.parametrize("one", CORRUPTIONS.values(), ids=CORRUPTIONS)


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def spikes(rate=0.3, shape=(10, 6, 2, 9, 7)):
    return (torch.rand(shape, generator=noise(1)) < rate).float()


def input_of(one):
    return spikes() if one.kind == "spikes" else torch.rand(5, 3, 8, 12, generator=noise(1))


def close_to_share(count, total, probability):
    """Say whether a binomial count is within five standard deviations of its mean."""
    return abs(count - total * probability) <= 5 * math.sqrt(total * probability * (1 - probability))


@EACH
class TestEach:
    def test_strength_0_is_the_identity(self, one):
        x = input_of(one)
        assert torch.equal(one.apply(x, 0, noise()), x)

    def test_each_of_its_strengths_changes_something_and_keeps_shape_type_and_range(self, one):
        x = input_of(one)
        before = x.clone()
        for strength in one.strengths:
            found = one.apply(x, strength, noise())
            assert found.shape == x.shape
            assert found.dtype == x.dtype
            assert not torch.equal(found, x)
            assert found.min() >= 0
            assert found.max() <= 1
            assert one.kind == "images" or bool(((found == 0) | (found == 1)).all())
        assert torch.equal(x, before)

    def test_the_same_generator_gives_the_same(self, one):
        x, strength = input_of(one), one.strengths[2]
        assert torch.equal(one.apply(x, strength, noise(3)), one.apply(x, strength, noise(3)))

    def test_five_strengths_that_grow_within_the_range(self, one):
        assert len(one.strengths) == 5
        assert list(one.strengths) == sorted(set(one.strengths))
        for strength in one.strengths:
            one.check(strength)

    @pytest.mark.parametrize("strength", [1e9, -1e9, float("nan"), "much", True, None])
    def test_a_strength_out_of_range(self, one, strength):
        with pytest.raises(ValueError, match=f"`strength` to be a .*{one.high:g}.* for {one.name}, but got {strength}"):
            one.apply(input_of(one), strength, noise())

    def test_a_seed_is_no_generator(self, one):
        with pytest.raises(TypeError, match=r"`generator` to be a torch\.Generator, but got int"):
            one.apply(input_of(one), one.strengths[0], 0)


@pytest.mark.parametrize("one", SPIKES, ids=lambda one: one.name)
class TestSpikes:
    @pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float64])
    def test_any_type(self, one, dtype):
        x = spikes()
        found = one.apply(x.to(dtype), one.strengths[1], noise())
        assert found.dtype == dtype
        assert torch.equal(found.float(), one.apply(x, one.strengths[1], noise()))

    @pytest.mark.parametrize(
        "x", [torch.full((2, 2, 2), 0.5), torch.full((2, 2, 2), -1.0), torch.full((1, 1, 1), torch.nan)]
    )
    def test_other_values(self, one, x):
        with pytest.raises(ValueError, match="`spikes` to be 0 or 1, but got other values"):
            one.apply(x, one.strengths[0], noise())

    def test_another_shape(self, one):
        with pytest.raises(ValueError, match=r"`spikes` to be a tensor of shape \[T, B, ...\], but got \[4, 3\]"):
            one.apply(torch.zeros(4, 3), one.strengths[0], noise())


@pytest.mark.parametrize("one", IMAGES, ids=lambda one: one.name)
class TestImages:
    def test_grey_images_are_images_of_one_colour(self, one):
        x = torch.rand(4, 8, 8, generator=noise(1))
        for strength in one.strengths:
            grey = one.apply(x, strength, noise())
            assert torch.equal(grey, one.apply(x[:, None], strength, noise())[:, 0])

    def test_values_out_of_range(self, one):
        with pytest.raises(ValueError, match=r"finite and in \[0, 1\], but got values from 0 to 255"):
            one.apply(torch.tensor([[[0.0, 255.0]]]), one.strengths[0], noise())

    @pytest.mark.parametrize("shape", [(4, 64), (4, 0, 3), (2, 2, 1, 8, 8)])
    def test_another_shape(self, one, shape):
        with pytest.raises(ValueError, match=r"`images` to be a tensor of shape \[N, H, W\] or \[N, C, H, W\]"):
            one.apply(torch.zeros(shape), one.strengths[0], noise())


def test_spikes_are_lost_at_the_rate_and_none_is_made():
    x = spikes(0.5, (20, 10, 100))
    found = corruptions.spikes_lost(x, 0.3, noise())
    assert close_to_share(int(found.sum()), int(x.sum()), 0.7)
    assert bool((found <= x).all())
    assert corruptions.spikes_lost(x, 1, noise()).sum() == 0


def test_noise_comes_where_there_is_no_spike_at_the_rate():
    x = spikes(0.5, (20, 10, 100))
    found = corruptions.noise_spikes(x, 0.1, noise())
    silent = x == 0
    assert close_to_share(int(found[silent].sum()), int(silent.sum()), 0.1)
    assert bool((found >= x).all())
    assert bool((corruptions.noise_spikes(x, 1, noise()) == 1).all())


@pytest.mark.parametrize(("name", "value"), [("dead_pixels", 0.0), ("hot_pixels", 1.0)])
@pytest.mark.parametrize(("shape", "pixels"), [((5, 4, 2, 8, 5), 40), ((5, 4, 30), 30), ((5, 4, 6, 7), 42)])
def test_pixels_are_those_of_the_sensor(name, value, shape, pixels):
    damage, x = CORRUPTIONS[name].apply, torch.full(shape, 1.0 - value)
    found = damage(x, 0.3, noise())
    hit = found == value
    assert torch.equal(hit, hit[:1, :1].expand(shape))  # in all time steps, and of all examples
    of_sensor = hit[0, 0]
    if len(shape) == 5:
        assert torch.equal(of_sensor[0], of_sensor[1])
        of_sensor = of_sensor[0]
    assert int(of_sensor.sum()) == round(0.3 * pixels)
    assert torch.equal(damage(x[:, :1], 0.3, noise()), found[:, :1])  # however many examples there are
    assert not torch.equal(damage(x, 0.3, noise(1)), found)
    assert bool((damage(x, 1.0, noise()) == value).all())


class TestTimeJitter:
    def test_a_spike_alone_is_kept_and_moves_by_the_right_distance(self):
        x = torch.zeros(201, 1, 4000)
        x[100] = 1
        found = corruptions.time_jitter(x, 3.0, noise())
        assert torch.equal(found.sum(0), torch.ones(1, 4000))
        moved = found.argmax(0).double() - 100
        spread = math.sqrt(3.0**2 + 1 / 12)  # of a rounded normal number
        assert abs(moved.mean()) < 5 * spread / math.sqrt(4000)
        assert abs(moved.std() / spread - 1) < 5 / math.sqrt(2 * 4000)

    def test_no_cell_gains_spikes_and_a_full_one_loses_none(self):
        x = spikes(0.5, (20, 3, 50))
        x[:, :, 0] = 1
        found = corruptions.time_jitter(x, 2.0, noise())
        assert bool((found.sum(0) <= x.sum(0)).all())
        assert found.sum() > 0.8 * x.sum()
        assert corruptions.time_jitter(torch.ones(1, 2, 3), 5.0, noise()).sum() == 6

    def test_two_that_meet(self, monkeypatch):
        """Both spikes go to step 1: the first has it, the second stays at step 2."""
        steps = torch.tensor([1.0, -1.0])
        monkeypatch.setattr(corruptions.events, "normal", lambda *_: steps)
        found = corruptions.time_jitter(torch.tensor([1.0, 0.0, 1.0, 0.0]).view(4, 1, 1), 1.0, noise())
        assert found.flatten().tolist() == [0, 1, 1, 0]

    @pytest.mark.parametrize(("by", "to"), [(-1, 0), (-2, 1), (2, 3), (3, 2), (-9, 0), (100, 1)])
    def test_time_is_reflected_at_the_ends(self, monkeypatch, by, to):
        monkeypatch.setattr(corruptions.events, "normal", lambda *_: torch.tensor([float(by)]))
        x = torch.zeros(4, 1, 1)
        x[0 if by < 0 else 2] = 1
        assert int(corruptions.time_jitter(x, 1.0, noise()).argmax()) == to


def test_refractory_cells_are_silent_after_a_spike():
    x = torch.tensor([1.0, 1, 0, 1, 1, 0, 1, 0, 1]).view(-1, 1, 1)
    assert corruptions.refractory_loss(x, 1, noise()).flatten().tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 1]
    assert corruptions.refractory_loss(x, 2, noise()).flatten().tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0]
    assert corruptions.refractory_loss(x, 1000, noise()).sum() == 1
    with pytest.raises(ValueError, match="a whole number from 0 to 1000"):
        corruptions.refractory_loss(x, 1.5, noise())


class TestFrameLength:
    def test_frames_twice_as_long_join_two(self):
        x = torch.tensor([[1, 0, 0, 0, 0, 1], [0, 0, 1, 1, 0, 0]]).T.reshape(6, 1, 2).float()
        found = corruptions.frame_length(x, 1.0, noise())
        assert found.reshape(6, 2).T.tolist() == [[1, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]

    def test_frames_of_half_the_length_see_the_beginning(self):
        x = spikes(0.3, (10, 20, 50))
        found = corruptions.frame_length(x, -0.5, noise())
        pairs = found.view(5, 2, 20, 50)
        assert torch.equal(pairs.sum(1), x[:5])  # each spike is in one of the two halves
        assert close_to_share(int(pairs[:, 0].sum()), int(x[:5].sum()), 0.5)

    def test_of_the_rate_of_spikes_at_each_step(self):
        """Frames 1.5 times as long: the second has half of step 1 and all of step 2."""
        x = torch.zeros(6, 1, 4000)
        x[1] = 1
        found = corruptions.frame_length(x, 0.5, noise()).mean(2).flatten()
        assert found[2:].sum() == 0
        assert close_to_share(int(4000 * found[0]), 4000, 0.5)
        assert found[0] + found[1] == 1


class TestRightImages:
    def test_noise_has_the_deviation(self):
        x = torch.full((1, 100, 100), 0.5)
        found = corruptions.gaussian_noise(x, 0.1, noise())
        assert abs(found.std() / 0.1 - 1) < 5 / math.sqrt(2 * 10_000)
        assert abs(found.mean() - 0.5) < 5 * 0.1 / 100

    def test_a_blurred_point_is_a_normal_kernel(self):
        x = F.pad(torch.ones(1, 1, 1), [10, 10, 10, 10])
        found = corruptions.blur(x, 1.5, noise())[0]
        place = torch.arange(21) - 10.0
        assert found.sum() == pytest.approx(1)
        assert (found.sum(0) * place**2).sum() == pytest.approx(1.5**2, rel=1e-2)
        assert torch.allclose(found, found.T)
        flat = torch.full((1, 5, 6), 0.7)
        assert torch.allclose(corruptions.blur(flat, 3.0, noise()), flat)  # up to the border

    def test_colours_are_blurred_apart(self):
        x = torch.zeros(1, 3, 9, 9)
        x[0, 1, 4, 4] = 1
        assert corruptions.blur(x, 1.0, noise()).sum(dim=(0, 2, 3)).tolist() == pytest.approx([0, 1, 0])

    def test_contrast_shrinks_and_the_mean_stays(self):
        x = torch.rand(3, 2, 8, 8, generator=noise())
        found = corruptions.contrast(x, 0.75, noise())
        assert torch.allclose(found.mean(dim=(2, 3)), x.mean(dim=(2, 3)))
        assert torch.allclose(found.std(dim=(2, 3)), 0.25 * x.std(dim=(2, 3)))

    @pytest.mark.parametrize("size", [(8, 8), (7, 7)])
    def test_turned_by_right_angles(self, size):
        x = torch.rand(2, 3, *size, generator=noise())
        for quarters in (1, 2, -1):
            turned = corruptions.rotation(x, 90.0 * quarters, noise())
            assert torch.allclose(turned, torch.rot90(x, quarters, (2, 3)), atol=1e-5)

    def test_a_turned_image_that_is_no_square_keeps_its_proportions(self):
        x = torch.zeros(1, 11, 21)
        x[0, 5, 13] = 1  # three pixels right of the middle
        turned = corruptions.rotation(x, 90.0, noise())
        assert turned[0, 2, 10] == pytest.approx(1, abs=1e-5)  # three pixels above it

    def test_each_image_is_moved_by_the_distance(self):
        x = F.pad(torch.ones(200, 1, 1), [6, 6, 8, 8])
        found = corruptions.translation(x, 2.5, noise())
        right = (found.sum(1) * (torch.arange(13) - 6.0)).sum(1)
        down = (found.sum(2) * (torch.arange(17) - 8.0)).sum(1)
        assert torch.allclose(found.sum(dim=(1, 2)), torch.ones(200), atol=1e-4)
        assert torch.allclose(right.square() + down.square(), torch.tensor(6.25), atol=1e-3)
        assert abs(right.mean()) < 5 * 2.5 / math.sqrt(2 * 200)
        assert abs(down.mean()) < 5 * 2.5 / math.sqrt(2 * 200)

    def test_a_square_is_covered_somewhere(self):
        x = torch.ones(300, 2, 8, 8)
        covered = corruptions.occlusion(x, 0.14, noise()) == 0  # 8.96 pixels: a side of 3
        assert torch.equal(covered[:, 0], covered[:, 1])
        rows, columns = covered[:, 0].any(2), covered[:, 0].any(1)
        assert bool((rows.sum(1) == 3).all())
        assert bool((columns.sum(1) == 3).all())
        assert torch.equal(covered[:, 0], rows[:, :, None] & columns[:, None])
        assert set(rows.int().argmax(1).tolist()) == set(range(6))
        assert corruptions.occlusion(x, 1.0, noise()).sum() == 0
        assert corruptions.occlusion(torch.ones(1, 4, 9), 1.0, noise()).sum() == 36 - 16

    def test_pixels_are_averaged(self):
        x = torch.rand(2, 8, 8, generator=noise())
        found = corruptions.pixelation(x, 0.75, noise())
        blocks = x.view(2, 2, 4, 2, 4).mean(dim=(2, 4))
        assert torch.allclose(found, blocks.repeat_interleave(4, 1).repeat_interleave(4, 2))
        assert torch.allclose(
            corruptions.pixelation(x, 1.0, noise()), x.mean(dim=(1, 2))[:, None, None].expand(2, 8, 8)
        )
        thirds = corruptions.pixelation(torch.tensor([[[0.0, 1.0, 1.0]]]), 0.34, noise())  # 1.5 pixels in each of two
        assert torch.allclose(thirds, torch.tensor([[[1 / 3, 2 / 3, 1.0]]]))
