"""What goes wrong on the way to NIR and back."""

from __future__ import annotations


class NIRExportError(ValueError):
    """NIR cannot express a module; the message names it and says what to do."""

    page = "docs/guide/fast_and_small.md"

    @classmethod
    def of(cls, what: str, name: str, kind: str, way_out: str) -> NIRExportError:
        """Return the sentence that a module cannot be expressed, and the way out."""
        return cls(f"NIR cannot express {what} of module {name!r} ({kind}): {way_out}.")


class NIRFileError(ValueError):
    """A file or graph cannot be turned into a network; the message names the node and says what is wrong."""

    @classmethod
    def of(cls, name: str, what: str) -> NIRFileError:
        """Return the sentence that a node is not what it has to be."""
        return cls(f"The node {name!r} of the NIR graph {what}.")
