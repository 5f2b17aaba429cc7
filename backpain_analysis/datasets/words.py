"""Help with a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: object, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word most like `word`, or None where none is like it."""
    by_lower = {str(name).lower(): str(name) for name in known}
    match = get_close_matches(str(word).strip().lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[match[0]] if match else None


def did_you_mean(word: object, known: Iterable[str], *, limit: int = 20) -> str:
    """A sentence that names the nearest known word, or else the known words (at most `limit`)."""
    known = [str(name) for name in known]
    if match := nearest(word, known):
        return f"Did you mean {match!r}?"
    more = f", … ({len(known)} in all)" if len(known) > limit else ""
    return f"Known: {', '.join(known[:limit])}{more}."
