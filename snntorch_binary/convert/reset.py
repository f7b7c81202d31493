"""`reset`: the neurons of a model at rest, whoever made them."""

from __future__ import annotations

from torch import nn

from snntorch_binary.nn.neurons.known import to_rest


def reset(model: nn.Module) -> None:
    """Start a new sequence: reset the state of every stateful neuron of this model, and of no other.

    ``snntorch.utils.reset`` looks at direct children only, misses copies and subclasses, and resets all networks of the
    process; this walks the model's own modules and calls their ``reset_mem()``, ``reset_states()``, ``reset_state()``
    or, of SpikingJelly's neurons, ``reset()``.

    Args:
        model: any module with neurons of snnTorch, of this package or of another library, at any depth.

    Example:
        >>> import snntorch as snn, torch, snntorch_binary as sb
        >>> net = torch.nn.Sequential(torch.nn.Sequential(snn.Leaky(beta=0.9, init_hidden=True)))
        >>> _ = net(torch.full((1, 2), 0.4)); sb.reset(net)
        >>> net[0][0].mem.tolist()
        [[0.0, 0.0]]
    """
    for module in model.modules():
        reset_state = to_rest(module)
        if reset_state is not None:
            reset_state()
