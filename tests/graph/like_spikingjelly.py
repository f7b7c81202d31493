"""Classes with the names, attributes and published equations of SpikingJelly's, for where it is not installed."""

from __future__ import annotations

import math

import torch
from torch import nn


def _named(kind):
    """Let a class look as if SpikingJelly had it."""
    kind.__module__ = "spikingjelly.activation_based.like"
    if "forward" in vars(kind):
        kind.forward.__module__ = kind.__module__
    return kind


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, slope):
        ctx.save_for_backward(u)
        ctx.slope = slope
        return (u >= 0).to(u)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.slope(ctx.saved_tensors[0]), None


class _Surrogate(nn.Module):
    def __init__(self, alpha, spiking=True):
        super().__init__()
        self.alpha, self.spiking = alpha, spiking

    def forward(self, u):
        return _Step.apply(u, self.slope)


@_named
class Sigmoid(_Surrogate):
    def __init__(self, alpha=4.0, spiking=True):
        super().__init__(alpha, spiking)

    def slope(self, u):
        s = torch.sigmoid(self.alpha * u)
        return self.alpha * s * (1 - s)


@_named
class ATan(_Surrogate):
    def __init__(self, alpha=2.0, spiking=True):
        super().__init__(alpha, spiking)

    def slope(self, u):
        return self.alpha / 2 / (1 + (math.pi / 2 * self.alpha * u) ** 2)


@_named
class PiecewiseQuadratic(_Surrogate):
    def __init__(self, alpha=1.0):
        super().__init__(alpha)

    def slope(self, u):
        return (self.alpha - self.alpha**2 * u.abs()).clamp(min=0)


_named(_Surrogate)


@_named
class _Node(nn.Module):
    def __init__(
        self, v_threshold=1.0, v_reset=0.0, surrogate_function=None, detach_reset=False, step_mode="s", **constants
    ):
        super().__init__()
        self.v_threshold, self.v_reset, self.detach_reset = v_threshold, v_reset, detach_reset
        self.surrogate_function = Sigmoid() if surrogate_function is None else surrogate_function
        self.step_mode = step_mode
        for name, value in constants.items():
            setattr(self, name, value)
        self.reset()

    def reset(self):
        self.v = 0.0 if self.v_reset is None else self.v_reset

    def charge(self, x, rest):
        return self.v + x

    def one(self, x):
        h = self.charge(x, 0.0 if self.v_reset is None else self.v_reset)
        spike = self.surrogate_function(h - self.v_threshold)
        fired = spike.detach() if self.detach_reset else spike
        self.v = h - fired * self.v_threshold if self.v_reset is None else fired * self.v_reset + (1 - fired) * h
        return spike

    def forward(self, x):
        return self.one(x) if self.step_mode == "s" else torch.stack([self.one(x_t) for x_t in x])


@_named
class IFNode(_Node):
    pass


@_named
class LIFNode(_Node):
    def __init__(self, tau=2.0, decay_input=True, **others):
        super().__init__(tau=tau, decay_input=decay_input, **others)

    def charge(self, x, rest):
        if self.decay_input:
            return self.v + (x - (self.v - rest)) / self.tau
        return self.v - (self.v - rest) / self.tau + x


@_named
class ParametricLIFNode(_Node):
    def __init__(self, init_tau=2.0, decay_input=True, **others):
        super().__init__(decay_input=decay_input, **others)
        self.w = nn.Parameter(torch.tensor(-math.log(init_tau - 1.0)))

    def charge(self, x, rest):
        if self.decay_input:
            return self.v + (x - (self.v - rest)) * self.w.sigmoid()
        return self.v - (self.v - rest) * self.w.sigmoid() + x


class _Layer:
    step_mode = "s"

    def forward(self, x):
        if self.step_mode == "s":
            return super().forward(x)
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


_named(_Layer)


@_named
class Linear(nn.Linear):
    step_mode = "s"


@_named
class Conv2d(_Layer, nn.Conv2d):
    pass


@_named
class MaxPool2d(_Layer, nn.MaxPool2d):
    pass


@_named
class BatchNorm2d(_Layer, nn.BatchNorm2d):
    pass


@_named
class Flatten(_Layer, nn.Flatten):
    pass


def set_step_mode(net, step_mode):
    for module in net.modules():
        if hasattr(module, "step_mode"):
            module.step_mode = step_mode


def reset_net(net):
    for module in net.modules():
        if hasattr(module, "reset"):
            module.reset()
