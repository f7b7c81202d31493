"""Lightning without the notes that its user cannot act on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.warnings import PossibleUserWarning

from snntorch_binary._logging import says_at_least

_NOT_FOR_USERS = (
    ".*Checkpoint directory .* exists and is not empty.*",  # that is what continuing is
    ".*The dirpath has changed from .*",  # testing a checkpoint logs to a folder of its own
    ".*LightningCLI's args parameter is intended.*",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep tips, device lists, advice on workers and deprecations inside Lightning off the terminal."""
    with says_at_least(logging.ERROR, "lightning.pytorch", "lightning.fabric"), warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)
        for deprecation in (DeprecationWarning, FutureWarning):  # of what Lightning's own code calls
            warnings.filterwarnings("ignore", category=deprecation, module=r"lightning\.")
        for message in _NOT_FOR_USERS:
            warnings.filterwarnings("ignore", message)
        yield
