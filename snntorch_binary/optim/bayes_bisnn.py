"""Bayes-BiSNN's optimizer: natural gradient of the free energy for latents, Adam for all other parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim.adam import adam

from snntorch_binary._errors import expected
from snntorch_binary.kernels.engine import compiled, flat
from snntorch_binary.kernels.noise import keys_of
from snntorch_binary.optim.pull import Pull
from snntorch_binary.weights.bernoulli import LATENT_LIMIT, drawn_by_kernel, squared_sech
from snntorch_binary.weights.registry import Owner, owners

_EPSILON = 1e-8
DEFAULT_LR = 0.3
"""Step of the Adam-normalised natural gradient: a latent of the default size, 3, can change its sign in ten steps."""
DEFAULT_BETAS = (0.9, 0.999)
"""Decay rates of Adam's moments, of the natural gradient and of the other parameters'."""
Betas = tuple[float, float] | Literal["auto"] | None


class BayesBiSNN(torch.optim.Optimizer):
    r"""The Bayesian learning rule of BiSNN as an ordinary torch optimizer.

    It takes ``net.parameters()`` and needs no closure. Latents of Bernoulli layers follow the natural gradient of the
    free energy F = E_q[L] + ρ KL(q || p_0), which for a ±1 Bernoulli is the gradient for its mean:

    .. math::
        G = \frac{1}{1 - \tanh^2 w_r} \frac{\partial L}{\partial w_r} + \rho\,(w_r - w_{r0}),
        \qquad w_r \leftarrow w_r - \eta\, G

    where ∂L/∂w_r is the latent's ``.grad`` and w_r0 the layer's prior. The prior's term does not pass through the loss:
    it is exact at every ``|w_r|``. ``betas`` replace G by its Adam-normalised form, which is the default: a step is
    then about lr whatever the size of the loss, where the plain step has to be tuned over decades. ``momentum``
    replaces it by its running sum.
    All other parameters (biases, gains, decays, thresholds, latents of :class:`Sign`) follow Adam at ``base_lr``, in
    parameter groups of their own, so that a learning-rate scheduler moves both. One that gives all groups the same rate
    (``OneCycleLR(optimizer, max_lr=0.3)``, ``CyclicLR``, a search for a rate) speaks of the latents': the others then
    learn at that times ``base_lr / lr``, and a warning says so once.

    Args:
        params: parameters or parameter groups of a network; layers must have become binary before.
        lr: learning rate η of the latents, positive; with the plain step it has to be tuned.
        rho: weight of the KL term, at least 0, the default. It multiplies the KL divergence of a *per-example mean*
            loss, so that ``rho = 1 / N`` is Bayes' rule for N training examples; larger is a broader posterior. Where
            a prior of ½ pulls too hard beside the loss in the first steps, a warning says by how much.
        momentum: in [0, 1), of the plain step.
        betas: decay rates of Adam's two moments of G; ``None`` is the paper's plain step, w_r - η G. ``"auto"`` is
            (0.9, 0.999), or ``None`` with ``momentum`` or ``paper_exact``, which exclude them.
        base_lr: learning rate of all other parameters, at least 0.
        clip: bound on each element of the loss's natural gradient, or ``None``; ``clip_grad_norm_`` looks at the
            Euclidean gradient instead.
        limit: bound on each ``|w_r|``, in (0, 30]: no weight becomes surer of its sign than σ(2 limit). A posterior
            that is updated at every time step, with gradients that hardly change from one to the next, would else
            become certain of almost all weights.
        paper_exact: the published float32 arithmetic with its 1e-10 terms, plain step, no bound on ``|w_r|``; for
            parity with the reference only: it is wrong by orders of magnitude at ``|w_r| >= 9``.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import torch, snntorch_binary as sb
        >>> net = sb.nn.BinaryLinear(8, 2, weight=sb.Bernoulli())
        >>> optimizer = sb.optim.BayesBiSNN(net.parameters(), lr=0.1, rho=1 / 100)
        >>> net(torch.ones(4, 8)).square().mean().backward()
        >>> optimizer.step(); optimizer.zero_grad()

    References:
        Jang, Skatchkovsky, Simeone, *BiSNN*, arXiv 2012.08300.
    """

    learns_posteriors = True
    _said_proportion = False

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = DEFAULT_LR,
        rho: float = 0.0,
        momentum: float = 0.0,
        betas: Betas = "auto",
        base_lr: float = 1e-3,
        paper_exact: bool = False,
        *,
        clip: float | None = None,
        limit: float = LATENT_LIMIT,
    ) -> None:
        if not lr > 0:
            raise ValueError(expected("lr", "a positive float", lr))
        if not rho >= 0:
            raise ValueError(expected("rho", "a float of at least 0", rho))
        if not 0 <= momentum < 1:
            raise ValueError(expected("momentum", "a float in [0, 1)", momentum))
        if betas == "auto":
            betas = None if momentum or paper_exact else DEFAULT_BETAS
        pair = isinstance(betas, (tuple, list)) and len(betas) == 2
        if betas is not None and not (pair and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(expected("betas", "two floats in [0, 1), None or 'auto'", betas))
        if betas is not None and momentum:
            raise ValueError(expected("momentum", "0 where `betas` are given", momentum))
        if not base_lr >= 0:
            raise ValueError(expected("base_lr", "a float of at least 0", base_lr))
        if clip is not None and not clip > 0:
            raise ValueError(expected("clip", "a positive float or None", clip))
        if not 0 < limit <= LATENT_LIMIT:
            raise ValueError(expected("limit", f"a float in (0, {LATENT_LIMIT:g}]", limit))
        if paper_exact and (momentum or betas is not None or clip is not None or limit != LATENT_LIMIT):
            raise ValueError(expected("paper_exact", "False with `momentum`, `betas`, `clip` or `limit`", True))
        defaults = {
            "lr": lr,
            "rho": rho,
            # Only what is in use: torch's cycling schedules look here for what they can move.
            **({"momentum": momentum} if betas is None else {"betas": betas}),
            "base_lr": base_lr,
            "clip": clip,
            "limit": limit,
            "paper_exact": paper_exact,
        }
        super().__init__(params, defaults)
        self._pull = Pull()
        if not any(group["bayesian"] for group in self.param_groups) and not self._learns_draws():
            warnings.warn(
                "There is no latent of a Bernoulli layer among the parameters: Adam trains all of them at base_lr. "
                "Call binarize_(net, Bernoulli()) before the optimizer is made.",
                stacklevel=2,
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._pull = Pull(is_over=bool(self.state))  # in a training that goes on both may pull alike

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters; latents with a Bernoulli posterior and all others become groups of their own."""
        parameters = param_group["params"]
        parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        tensors = [value[1] if isinstance(value, tuple) else value for value in parameters]
        known = owners()
        bayesian = [_has_posterior(known.get(id(value))) for value in tensors]
        for is_bayesian in (True, False):
            chosen = [value for value, flag in zip(parameters, bayesian, strict=True) if flag == is_bayesian]
            if not chosen:
                continue
            plain = {"momentum": 0.0, "betas": None}
            says_how = plain.keys() & param_group.keys()  # one of the two, and means that one alone
            defaults = {**self.defaults, **(plain if says_how else {})}
            group = {**plain, **defaults, **param_group, "params": chosen, "bayesian": is_bayesian}
            if not is_bayesian:
                group["betas"] = DEFAULT_BETAS  # Adam's, which a schedule of betas moves as well
            if not is_bayesian and (any(bayesian) or "lr" not in param_group or "base_lr" in param_group):
                group["latent_lr"] = group["lr"]
                group["lr"] = group["base_lr"]  # a group of such parameters alone says its own lr, as in torch
            elif group["paper_exact"]:
                for value, flag in zip(tensors, bayesian, strict=True):
                    if flag:
                        owner = known[id(value)]
                        owner.draw.paper_exact = True
                        owner.draw.forget()
                        owner.refresh()
            super().add_param_group(group)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one update.

        Args:
            closure: re-evaluates the loss, as torch's optimizers allow; not needed.

        Returns:
            The closure's loss, if there is one.

        Raises:
            RuntimeError: a latent belongs to no living binary layer any more, so that its prior is unknown, or the
                network has become binary since the optimizer was made.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        known = owners()
        self._look_at_the_pull(known)
        for group in self.param_groups:
            if group["bayesian"]:
                for latent in group["params"]:
                    if latent.grad is not None:
                        self._bayesian_step(latent, latent.grad, known.get(id(latent)), group)
            else:
                if any(_has_posterior(known.get(id(value))) for value in group["params"]):
                    raise RuntimeError(
                        "A parameter has become a latent with a posterior since this optimizer was made; "
                        "make the optimizer after binarize_."
                    )
                self._base_step(group)
        return loss

    def _learns_draws(self) -> bool:
        """Say whether it learns latents of weights that are drawn, such as :class:`BalancedBernoulli`'s, by Adam."""
        known = owners()
        of_layers = (known.get(id(value)) for group in self.param_groups for value in group["params"])
        return any(owner is not None and owner.rule.is_drawn for owner in of_layers)

    def _look_at_the_pull(self, known: Mapping[int, Owner]) -> None:
        if self._pull.is_over:
            return
        for group in self.param_groups:
            for latent in group["params"] if group["bayesian"] and group["rho"] and not group["paper_exact"] else ():
                owner = known.get(id(latent))
                if owner is None or latent.grad is None or latent.grad.is_sparse:
                    continue
                if not bool(owner.prior_latent.any()):  # one that says something, as a task before, is meant to pull
                    self._pull.add(latent, latent.grad, group["rho"])
        self._pull.stepped(max((group["rho"] for group in self.param_groups if group["bayesian"]), default=0.0))

    def _bayesian_step(self, latent: Tensor, grad: Tensor, owner: Owner | None, group: dict[str, Any]) -> None:
        if owner is None:
            raise RuntimeError(
                "A latent of this optimizer belongs to no binary layer any more; "
                "make the optimizer after converting, loading with assign=True, or unbinarizing the network."
            )
        if grad.is_sparse:
            raise RuntimeError("BayesBiSNN takes dense gradients only, but a latent has a sparse one.")
        if self._fused_step(latent, grad, owner, group):
            return
        prior = owner.prior_latent
        if group["paper_exact"]:
            gradient = grad / (1 - torch.tanh(latent).square() + 1e-10)
            latent.mul_(1 - group["lr"] * group["rho"]).sub_(gradient - group["rho"] * prior, alpha=group["lr"])
            return
        variance = owner.draw.held_variance(latent) if owner.rule.has_kernel else None
        gradient = grad / (squared_sech(latent) if variance is None else variance)
        if group["clip"] is not None:
            gradient.clamp_(-group["clip"], group["clip"])
        if group["rho"]:
            gradient.add_(latent - prior, alpha=group["rho"])
        latent.sub_(self._direction(latent, gradient, group), alpha=group["lr"])
        latent.clamp_(-group["limit"], group["limit"])

    def _direction(self, latent: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """Return the step direction: the natural gradient itself, its running sum, or its Adam-normalised form."""
        state = self._moments(latent, group)
        if group["betas"] is not None:
            state["step"] += 1
            step, (beta1, beta2) = float(state["step"]), group["betas"]
            state["exp_avg"].lerp_(gradient, 1 - beta1)
            state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            scale = (state["exp_avg_sq"] / (1 - beta2**step)).sqrt_().add_(_EPSILON)
            return state["exp_avg"].div(scale).div_(1 - beta1**step)
        if group["momentum"]:
            return state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        return gradient

    def _moments(self, latent: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        state = self.state[latent]
        if not state and group["betas"] is not None:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(latent), torch.zeros_like(latent)
        elif not state and group["momentum"]:
            state["momentum_buffer"] = torch.zeros_like(latent)
        return state

    def _fused_step(self, latent: Tensor, grad: Tensor, owner: Owner, group: dict[str, Any]) -> bool:
        """Make the step and the draw after it in one pass, where a compiled kernel can; say whether it was made."""
        draw, prior = owner.draw, owner.prior_latent
        if prior.numel() != 1 and prior.shape != latent.shape:
            prior = prior.expand_as(latent).contiguous()
        kernels = compiled("bernoulli", latent, grad, prior)
        seed = None if kernels is None else draw.next_seed(latent)
        rule: Any = draw.rule
        if kernels is None or seed is None or not rule.has_kernel:
            return False
        state = self._moments(latent, group)
        none = flat(latent.new_empty(0))
        first, second, how, decays, count = none, none, kernels.PLAIN, (0.0, 0.0), 1.0
        if group["paper_exact"]:
            how = kernels.PAPER
        elif group["betas"] is not None:
            state["step"] += 1
            first, second, how = flat(state["exp_avg"]), flat(state["exp_avg_sq"]), kernels.ADAM
            decays, count = group["betas"], float(state["step"])
        elif group["momentum"]:
            first, how, decays = flat(state["momentum_buffer"]), kernels.MOMENTUM, (group["momentum"], 0.0)
        variance = draw.held_variance(latent, known=True)
        in_force = draw.held
        assert in_force is not None
        kernels.step_and_draw(
            flat(latent),
            flat(grad),
            none if variance is None else flat(variance),
            flat(prior),
            first,
            second,
            *in_force.arrays(),  # overwritten: memory that is not new costs no page faults
            how,
            float(group["lr"]),
            float(group["rho"]),
            float(group["clip"] or 0.0),
            (float(decays[0]), float(decays[1])),
            count,
            float(group["limit"]),
            drawn_by_kernel(kernels, rule.training_kind, draw.paper_exact),
            rule.tau,
            *keys_of(seed),
        )
        draw.renewed(latent)
        return True

    def _base_rate(self, group: dict[str, Any]) -> float:
        """Return the rate of parameters that are no latents: in proportion, where one was given to all groups alike."""
        rate, latent_rate = float(group["lr"]), group.get("latent_lr")
        if latent_rate is None or latent_rate == group["base_lr"] or rate <= group["base_lr"]:
            return rate  # such as what falling schedules end at
        if not any(other["bayesian"] and float(other["lr"]) == rate for other in self.param_groups):
            return rate
        if not self._said_proportion:
            self._said_proportion = True
            warnings.warn(
                f"All parameter groups were given one learning rate, {rate:g}: it is taken for that of the latents, "
                f"and {group['base_lr']:g} / {latent_rate:g} times it for biases and other real parameters. Where a "
                f"schedule takes a list, give it both: max_lr=[{latent_rate:g}, {group['base_lr']:g}].",
                stacklevel=6,
            )
        return rate * group["base_lr"] / latent_rate

    def _base_step(self, group: dict[str, Any]) -> None:
        parameters = [value for value in group["params"] if value.grad is not None]
        for value in parameters:
            if not self.state[value]:
                self.state[value].update(
                    step=torch.zeros(()), exp_avg=torch.zeros_like(value), exp_avg_sq=torch.zeros_like(value)
                )
        states = [self.state[value] for value in parameters]
        beta1, beta2 = group["betas"] or DEFAULT_BETAS  # none in the states of earlier versions
        adam(
            parameters,
            [value.grad for value in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=float(beta1),
            beta2=float(beta2),
            lr=self._base_rate(group),
            weight_decay=0.0,
            eps=_EPSILON,
            maximize=False,
        )


def _has_posterior(owner: Owner | None) -> bool:
    return owner is not None and owner.rule.has_posterior
