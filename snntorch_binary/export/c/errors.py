"""What goes wrong on the way to C."""

from __future__ import annotations


class CExportError(ValueError):
    """A network has no form in C, or not the one that was asked for; the message says in one sentence what is wrong."""


def no_form(what: str, way_out: str) -> CExportError:
    """Return the error that something of a network has no form in C, and the way out."""
    return CExportError(f"C cannot express {what}: {way_out}.")
