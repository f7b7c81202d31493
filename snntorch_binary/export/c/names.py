"""Names that a network can have in C and C++."""

from __future__ import annotations

import re

from snntorch_binary._errors import expected

_KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class
    co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype
    default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline
    int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
    register reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast
    struct switch template this thread_local throw true try typedef typeid typename typeof typeof_unqual union
    unsigned using virtual void volatile wchar_t while xor xor_eq
"""
_LONGEST = 31  # letters of a name that every compiler looks at
_TAKEN = ("snnb", "main")


def check_name(name: object) -> str:
    """Return a name that what is written can begin with.

    Raises:
        ValueError: it is no identifier of C, a keyword of C or C++, or taken.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or len(name) > _LONGEST:
        what = f"an identifier of C: up to {_LONGEST} of a-z, A-Z, 0-9 and _, the first a letter"
        raise ValueError(expected("name", what, repr(name)))
    if name in _KEYWORDS.split() or name in _TAKEN:
        raise ValueError(expected("name", "one that C, C++ and the runtime have not taken", repr(name)))
    return name
