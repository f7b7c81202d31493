"""Whether anything listens at the address of a Ray cluster, which Ray itself asks for a quarter of an hour."""

from __future__ import annotations

import socket

from ray._private.services import canonicalize_bootstrap_address

from snntorch_binary._errors import expected

_SECONDS = 5.0


def check_address(address: str) -> None:
    """Make sure that something listens at HOST:PORT; ``"auto"`` and ``"ray://..."`` Ray soon finds out.

    Raises:
        ValueError: nothing does, or it is no address.
    """
    if address == "auto" or "://" in address:
        return
    if not address.rpartition(":")[0]:
        raise ValueError(expected("address", "HOST:PORT of a Ray cluster or 'auto'", repr(address)))
    try:
        # Where Ray will look: it takes a host that means this machine for the machine's address in its network.
        host, _, port = str(canonicalize_bootstrap_address(address)).rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        raise ValueError(expected("address", f"the address of a Ray cluster ({error})", repr(address))) from None
