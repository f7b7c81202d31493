"""The shipped networks of soft LIF neurons."""

import pytest
import torch

import snntorch_binary as sb
from snntorch_binary.models import SoftLIFConvNet, SoftLIFLocalNet


def test_networks_have_the_papers_sizes():
    neurons = []
    for net, x in ((SoftLIFConvNet(), torch.rand(1, 1, 784)), (SoftLIFLocalNet(), torch.rand(1, 1, 3, 32, 32))):
        count = 0
        for module in net.modules():
            if isinstance(module, sb.nn.SoftLIF):

                def hook(module, inputs, y):
                    nonlocal count
                    count += y.numel()

                module.register_forward_hook(hook)
        assert net(x).shape == (1, 1, 10)
        neurons.append(count)
    assert neurons == [27_088, 49_536]
    constants = [module.constants for module in SoftLIFLocalNet().modules() if isinstance(module, sb.nn.SoftLIF)]
    assert all(of[:5] == (0.063, 0.001, 0.05, 0.825, 0.02) for of in constants)
    report = sb.binarize_(SoftLIFLocalNet(channels=(4, 4, 4, 2), crop=8), sb.Sign())
    assert len(report.converted) == 3
    assert len(report.skipped) == 2
    with pytest.raises(ValueError, match="halved 2 times"):
        SoftLIFConvNet((1, 30, 30))
    with pytest.raises(ValueError, match="`crop`"):
        SoftLIFLocalNet(crop=30)
    with pytest.raises(ValueError, match="`channels`"):
        SoftLIFLocalNet(channels=(4, 4))
    with pytest.raises(ValueError, match="sides of at least 24"):
        SoftLIFLocalNet()(torch.rand(1, 1, 3, 16, 16))
