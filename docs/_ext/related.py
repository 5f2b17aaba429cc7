"""See also: the other names of a group of the reference, in its order.

A group of `api.md` is what a reader chooses from, so that nobody has to keep a second list.
"""

import re
from pathlib import Path

NEAREST = 8
"""Most names that are shown, those nearest in the group."""
GROUP = re.compile(r"^\.\. currentmodule:: (\S+)$(.*?)^```$", re.M | re.S)
NAME = re.compile(r"^   (\w+)$", re.M)


def groups(text: str) -> list[list[str]]:
    """Full names, a list a group."""
    return [
        [f"{module}.{name}" for name in NAME.findall(names)] for module, names in GROUP.findall(text)
    ]


def nearest(name: str, found: list[list[str]]) -> list[str]:
    """The names beside it, in the order of the group; none for a name of no group."""
    for group in found:
        if name in group:
            place = group.index(name)
            others = sorted(
                (each for each in group if each != name),
                key=lambda each: (abs(group.index(each) - place), group.index(each)),
            )
            return sorted(others[:NEAREST], key=group.index)
    return []


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    found = groups((Path(app.srcdir) / "api.md").read_text(encoding="utf-8"))

    def add(app, what, name, obj, options, lines):
        if beside := nearest(name, found):
            lines += ["", "See Also", "--------", *beside]

    app.connect("autodoc-process-docstring", add, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
