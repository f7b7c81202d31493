"""Interrupts that somebody else takes: Ray Tune saves its state at one and returns as if it had come to its end."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_raised() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end if an interrupt came inside, whoever took it, and put its handler back."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no signal comes here
        return
    handler = signal.getsignal(signal.SIGINT)
    heard, tells = socket.socketpair()
    with heard, tells:
        heard.setblocking(False)
        tells.setblocking(False)
        # Python notes all signals there, whatever their handlers do.
        before = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)
            signal.set_wakeup_fd(before)
            if signal.SIGINT in _received(heard):
                raise KeyboardInterrupt


def _received(heard: socket.socket) -> bytes:
    try:
        return heard.recv(2**16)
    except BlockingIOError:
        return b""
