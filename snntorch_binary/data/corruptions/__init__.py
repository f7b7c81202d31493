"""Degraded inputs: what a sensor makes of spikes or images when it fails, ages, or is moved.

Each function takes ``(x, strength, generator)`` and returns what becomes of ``x``: spikes [T, B, ...], or images
[N, H, W] or [N, C, H, W] with values in [0, 1] before spikes are made of them. At strength 0 that is ``x`` as it was. A
generator in the same state gives the same noise.

Example:
    >>> import torch
    >>> from snntorch_binary.data.corruptions import CORRUPTIONS, dead_pixels
    >>> dead_pixels(torch.ones(10, 8, 64), 0.25, torch.Generator().manual_seed(0)).mean()
    tensor(0.7500)
    >>> CORRUPTIONS["rotation"].unit, CORRUPTIONS["rotation"].strengths
    ('degrees', (5.0, 10.0, 15.0, 20.0, 30.0))
"""

from snntorch_binary.data.corruptions.corruption import CORRUPTIONS as CORRUPTIONS
from snntorch_binary.data.corruptions.corruption import Corruption as Corruption
from snntorch_binary.data.corruptions.events import dead_pixels as dead_pixels
from snntorch_binary.data.corruptions.events import frame_length as frame_length
from snntorch_binary.data.corruptions.events import hot_pixels as hot_pixels
from snntorch_binary.data.corruptions.events import noise_spikes as noise_spikes
from snntorch_binary.data.corruptions.events import refractory_loss as refractory_loss
from snntorch_binary.data.corruptions.events import spikes_lost as spikes_lost
from snntorch_binary.data.corruptions.events import time_jitter as time_jitter
from snntorch_binary.data.corruptions.images import blur as blur
from snntorch_binary.data.corruptions.images import contrast as contrast
from snntorch_binary.data.corruptions.images import gaussian_noise as gaussian_noise
from snntorch_binary.data.corruptions.images import occlusion as occlusion
from snntorch_binary.data.corruptions.images import pixelation as pixelation
from snntorch_binary.data.corruptions.images import rotation as rotation
from snntorch_binary.data.corruptions.images import translation as translation
