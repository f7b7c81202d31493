"""What goes wrong with the files of a data set, in one sentence each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from snntorch_binary._errors import MissingPackageError


class DataNotFoundError(FileNotFoundError):
    """The files of a data set are not where they were looked for; the message says what and where."""

    page = "docs/guide/data_sets.md"


class CorruptDataError(ValueError):
    """A file is truncated, not what its name says or refused; the message names it."""


@contextmanager
def damage_named(what: str, is_so: str = "is truncated or damaged") -> Iterator[None]:
    """Turn whatever a reader of foreign bytes raises into a CorruptDataError that names the file.

    Args:
        what: begins the sentence, for example ``"The archive a.zip"``.
        is_so: goes on with it.

    Raises:
        CorruptDataError: the reader stopped.
        OSError: the file cannot be opened, or the disk fails.
    """
    try:
        yield
    except (CorruptDataError, MissingPackageError):
        raise
    except Exception as error:  # any: on damaged bytes, readers raise what nobody has listed
        # Readers raise OSError without a number of the system's for damage, and EINVAL follows from a damaged offset.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CorruptDataError(f"{what} {is_so} ({reason}).") from None
