"""The settings of the shipped experiments, one recipe a data set, chosen on validation data only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from snntorch_binary.lightning.spiking_module import Credit

RULES: tuple[str, ...] = ("full-precision", "st", "bayes")
"""The rules that `compare` takes unless told otherwise."""
VOWEL_RULES: tuple[str, ...] = ("vowel-wta", "vowel-binary")
"""Winner-take-all networks: with the signs of events as symbols, and without signs."""
SOFT_LIF_RULES: tuple[str, ...] = ("softlif", "softlif-st", "softlif-bayes")
"""Rate networks of soft LIF neurons, also run in spikes: in full precision, and with binary weights."""
ALL_RULES = RULES + VOWEL_RULES + SOFT_LIF_RULES


@dataclass(frozen=True)
class VowelRecipe:
    """What VOWEL needs beside what every rule needs.

    Attributes:
        lr: Adam's learning rate of the outputs.
        hidden_lr: that of hidden circuits.
        init: real weights start uniform in ±init.
        num_basis: raised cosines a synapse.
        window: time steps they reach back.
        kappa: see :class:`snntorch_binary.learning.VOWEL`; so are beta, gamma and silence.
        beta: decay of the baseline's averages.
        gamma: weight of the regulariser.
        silence: prior probability of silence.
    """

    lr: float = 0.02
    hidden_lr: float = 5e-4
    init: float = 0.02
    num_basis: int = 2
    window: int = 10
    kappa: float = 0.2
    beta: float = 0.95
    gamma: float = 0.05
    silence: float = 0.5


@dataclass(frozen=True)
class SoftLIFRecipe:
    """The network of soft LIF neurons, and how it runs in spikes.

    Attributes:
        image_shape: channels, height and width.
        channels: output channels of the convolutions.
        noise: σ of the noise in training, in Hz; the other constants are the defaults of
            :class:`snntorch_binary.nn.SoftLIF`.
        tau_syn: time constant of the synapses, in seconds.
        scoring: when outputs begin to count, in seconds.
        presentation: how long an image is shown, in seconds.
    """

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    noise: float = 10.0
    tau_syn: float = 0.002
    scoring: float = 0.04
    presentation: float = 0.1


@dataclass(frozen=True)
class Recipe:
    """How one data set is learned; network, signs it starts from, batches and epochs are every rule's.

    Attributes:
        hidden_sizes: neurons of the hidden layers.
        epochs: passes over the training part.
        batch_size: examples per step.
        drive: start of the weights in full precision, see :class:`snntorch_binary.models.SpikingMLP`.
        binary_drive: the same under both binary rules, where it sets the first gain (half of it).
        readout_scale: class scores are that many times the last layer's mean input current.
        lr: Adam's learning rate of all parameters in full precision.
        st_lr: Adam's learning rate of ST-BiSNN's latents.
        st_base_lr: that of its real parameters.
        bayes_lr: step of the Adam-normalised natural gradient.
        bayes_base_lr: Adam's learning rate of Bayes-BiSNN's real parameters.
        init_scale: ``|w_r|`` at the start.
        limit: bound on ``|w_r|``.
        rho: weight of the KL term; ``None`` is 1 / (number of training examples).
        num_folds: folds of the cross-validation, or ``None`` for the set's own split.
        num_members: members of the Bayesian ensemble whose test results are reported.
        burn_in: time steps without learning and readout; this and what follows are of local credit.
        tau_mem: time constant of the membrane, in time steps.
        tau_syn: time constant of the synapse, in time steps.
        vowel: what VOWEL's rules need; there where one of them is compared.
        soft_lif: what networks of soft LIF neurons need; there where they are compared.
    """

    hidden_sizes: tuple[int, ...]
    epochs: int
    batch_size: int
    drive: float = 3.0
    binary_drive: float = 6.0
    readout_scale: float = 5.0
    lr: float = 1e-3
    st_lr: float = 3e-3
    st_base_lr: float = 1e-3
    bayes_lr: float = 0.15
    bayes_base_lr: float = 1e-3
    init_scale: float = 3.0
    limit: float = 30.0
    rho: float | None = 0.0
    num_folds: int | None = None
    num_members: int = 10
    burn_in: int = 0
    tau_mem: float = 10.0
    tau_syn: float = 6.0
    vowel: VowelRecipe | None = None
    soft_lif: SoftLIFRecipe | None = None

    def start(self, rule: str) -> float:
        """Return the drive of the float network that a rule starts from."""
        return self.drive if rule == "full-precision" else self.binary_drive


RECIPES: dict[str, Recipe] = {
    "digits": Recipe((256,), epochs=60, batch_size=50, binary_drive=3.0, st_lr=1e-2, bayes_lr=0.3),
    "two-moons": Recipe((256, 256), epochs=60, batch_size=40),
    "regression-1d": Recipe((128, 128), epochs=400, batch_size=20, readout_scale=1.0, bayes_lr=0.02, init_scale=6.0),
    "mnist": Recipe((512, 512), epochs=25, batch_size=100, rho=1e-6, num_members=20),
    "fashion-mnist": Recipe((512, 512), epochs=15, batch_size=100, rho=5e-7),
    "nmnist": Recipe((512,), epochs=20, batch_size=50, bayes_lr=0.6, rho=1e-6),
    "poker-dvs": Recipe((512,), epochs=40, batch_size=10, bayes_lr=0.6, rho=1e-6, num_folds=5),
    "mnist-dvs": Recipe((256, 256), epochs=20, batch_size=64),
}


_MOONS = Recipe(
    (256, 256),
    epochs=20,
    batch_size=40,
    drive=4.0,
    binary_drive=8.0,
    readout_scale=1.0,
    bayes_lr=0.05,
    bayes_base_lr=1e-2,
    init_scale=6.0,
    num_members=20,
    burn_in=10,
)
_SHORT = {"drive": 4.0, "binary_drive": 8.0, "readout_scale": 1.0, "tau_mem": 4.0, "tau_syn": 2.0}

LOCAL_RECIPES: dict[str, Recipe] = {
    "digits": Recipe((256, 256), epochs=30, batch_size=50, **_SHORT),  # type: ignore[arg-type]
    "two-moons": _MOONS,
    "regression-1d": replace(
        _MOONS, hidden_sizes=(128, 128), epochs=100, batch_size=20, bayes_lr=0.02, bayes_base_lr=1e-3, num_members=10
    ),
    "mnist": Recipe((512, 512), epochs=10, batch_size=100, rho=1e-6, **_SHORT),  # type: ignore[arg-type]
    "fashion-mnist": Recipe((512, 512), epochs=10, batch_size=100, rho=1e-6, **_SHORT),  # type: ignore[arg-type]
    "nmnist": Recipe(
        (256, 256),
        epochs=12,
        batch_size=50,
        st_base_lr=1e-2,
        bayes_lr=0.2,
        bayes_base_lr=1e-2,
        init_scale=2.0,
        limit=5.0,
        num_members=20,
        **_SHORT,  # type: ignore[arg-type]
    ),
    "poker-dvs": Recipe((512, 512), epochs=20, batch_size=10, num_folds=5, **_SHORT),  # type: ignore[arg-type]
    "mnist-dvs": Recipe((256, 256), 50, 64, drive=4.0, binary_drive=8.0, readout_scale=1.0, burn_in=100),
}
"""The recipes of local and online credit."""


_SMALL = {"hidden_sizes": (16,), "batch_size": 16, "vowel": VowelRecipe()}

VOWEL_RECIPES: dict[str, Recipe] = {
    "digits": replace(RECIPES["digits"], **_SMALL, epochs=20),  # type: ignore[arg-type]
    "two-moons": replace(RECIPES["two-moons"], **_SMALL, epochs=20),  # type: ignore[arg-type]
    "mnist": replace(RECIPES["mnist"], **_SMALL, epochs=5),  # type: ignore[arg-type]
    "fashion-mnist": replace(RECIPES["fashion-mnist"], **_SMALL, epochs=5),  # type: ignore[arg-type]
    "nmnist": replace(RECIPES["nmnist"], **_SMALL, epochs=12),  # type: ignore[arg-type]
    "poker-dvs": replace(RECIPES["poker-dvs"], **_SMALL, epochs=20),  # type: ignore[arg-type]
    "mnist-dvs": replace(RECIPES["mnist-dvs"], **_SMALL, epochs=5),  # type: ignore[arg-type]
}
"""The recipes of comparisons with VOWEL, all rules at the size of its networks; but for N-MNIST's not tuned."""


_IMAGES = Recipe(
    (2000,),
    epochs=4,
    batch_size=100,
    readout_scale=1.0,
    lr=2e-3,
    st_lr=1e-3,
    st_base_lr=3e-3,
    bayes_base_lr=3e-3,
    num_members=5,
    soft_lif=SoftLIFRecipe((1, 28, 28), (16, 64), tau_syn=0.005, scoring=0.12, presentation=0.2),
)

SOFT_LIF_RECIPES: dict[str, Recipe] = {
    "digits": replace(
        _IMAGES,
        hidden_sizes=(128,),
        epochs=60,
        batch_size=50,
        lr=3e-3,
        st_lr=3e-3,
        bayes_lr=0.3,
        soft_lif=SoftLIFRecipe((1, 8, 8), (8, 16)),
    ),
    "mnist": _IMAGES,
    "fashion-mnist": _IMAGES,
}
"""The recipes of soft LIF networks; Fashion-MNIST's is MNIST's, not tuned."""


def recipe(
    dataset: str,
    classes: tuple[int, ...] | str,
    credit: Credit = "through-time",
    vowel: bool = False,
    soft_lif: bool = False,
) -> Recipe:
    """Return the recipe of a data set; all digits of N-MNIST, of which few are at hand, are cross-validated."""
    if soft_lif:
        return SOFT_LIF_RECIPES[dataset]
    found = (VOWEL_RECIPES if vowel else RECIPES if credit == "through-time" else LOCAL_RECIPES)[dataset]
    return replace(found, num_folds=5) if dataset == "nmnist" and classes == "all" else found
