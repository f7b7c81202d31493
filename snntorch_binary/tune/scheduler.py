"""Ray Tune's population based training, clipped to its ranges and repeatable."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining

from snntorch_binary.tune.plan import Plan
from snntorch_binary.tune.space import Range

SCORE = "score"
"""What members are ranked by in Ray's results."""
VALUES = "values"
"""The key of the hyper-parameters in a trial's configuration."""
_TIME = "training_iteration"


def clipped(space: dict[str, Range], config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration whose hyper-parameters are in their ranges; Ray's perturbed ones need not be."""
    values = {name: space[name].clip(value) for name, value in config[VALUES].items()}
    return {**config, VALUES: values}


class SeededPopulationBasedTraining(PopulationBasedTraining):
    """Truncation selection whose random choices are a function of the seed and of how far the population is.

    Ray takes them from Python's global random numbers. A trial reports once in each interval, so its iterations are
    intervals.

    Args:
        plan: what the population does.
        space: the ranges of the hyper-parameters.
    """

    def __init__(self, plan: Plan, space: dict[str, Range]) -> None:
        super().__init__(
            time_attr=_TIME,
            perturbation_interval=1,
            hyperparam_mutations={VALUES: {name: of_name.draw for name, of_name in space.items()}},
            quantile_fraction=plan.quantile,
            resample_probability=plan.resample,
            perturbation_factors=plan.factors,
            custom_explore_fn=partial(clipped, space),
            log_config=False,  # every checkpoint knows where it came from
            synch=plan.synchronous,
        )
        self._plan = plan

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Rank, copy and perturb, with random numbers of this moment's own."""
        moment = f"{self._plan.seed} {result[_TIME]}" + ("" if self._plan.synchronous else f" {trial.trial_id}")
        before, ranking = random.getstate(), self._next_perturbation_sync
        random.seed(moment)
        try:
            decision = super().on_trial_result(tune_controller, trial, result)
        finally:
            random.setstate(before)
        if self._next_perturbation_sync > ranking and trial.status == Trial.RUNNING:
            # It has ranked all, the last to come, and keeps what it has. Ray would pause it, too, and with nobody
            # running end the process, which costs a start of seconds every time.
            return str(self.CONTINUE)
        return str(decision)
