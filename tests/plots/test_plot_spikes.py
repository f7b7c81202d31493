import pytest
import torch

from snntorch_binary.plots import raster

SPIKES = (torch.rand(20, 30, generator=torch.Generator().manual_seed(0)) < 0.2).float()


def test_raster_has_one_mark_for_each_spike(figures, tmp_path):
    raster(SPIKES, tmp_path / "unused.png")
    top, bottom = figures[0].axes
    marks = {(int(path.vertices[0, 0]), round(path.vertices[:, 1].mean())) for path in top.collections[0].get_paths()}
    assert marks == {tuple(index) for index in SPIKES.nonzero().tolist()}
    assert [bar.get_height() for bar in bottom.patches] == pytest.approx((100 * SPIKES.mean(1)).tolist())


def test_bad_input_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="`spikes` to be only 0 and 1"):
        raster(torch.full((2, 2), 0.5), tmp_path / "plot.png")
    with pytest.raises(ValueError, match=r"`spikes` to be of shape \[T, N\]"):
        raster(torch.zeros(2, 2, 2), tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []
