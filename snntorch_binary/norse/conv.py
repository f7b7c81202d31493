"""Norse's convolution over time with binary weights."""

from __future__ import annotations

from norse.torch.module.conv import LConv2d

from snntorch_binary.nn.binary import BINARY_TWINS, BinaryLayer


class BinaryLConv2d(BinaryLayer, LConv2d):
    """``norse.torch.LConv2d`` with weights in {-1, +1}: what :func:`snntorch_binary.binarize_` makes of one.

    Shape:
        [T, B, C, H, W] to the same with output channels.

    Example:
        >>> import norse.torch as norse, torch, snntorch_binary as sb
        >>> net = norse.LConv2d(2, 4, 3)
        >>> _ = sb.binarize_(net, sb.Sign())
        >>> type(net).__name__, net(torch.ones(5, 1, 2, 8, 8)).shape
        ('BinaryLConv2d', torch.Size([5, 1, 4, 6, 6]))
    """


BINARY_TWINS[LConv2d] = BinaryLConv2d
