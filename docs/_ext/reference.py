"""The reference: what to see also, what constants hold, and that no page came out empty.

See also are the other names of a group of `api.md`, in its order: a group is what a reader chooses
from, so that nobody has to keep a second list.
"""

import ast
import re
from pathlib import Path

from sphinx.pycode import ModuleAnalyzer
from sphinx.util.logging import getLogger

import backpain_analysis

NEAREST = 8
"""Most names that are shown, those nearest in the group."""
GROUP = re.compile(r"^\.\. currentmodule:: (\S+)$(.*?)^```$", re.M | re.S)
NAME = re.compile(r"^   (\w+)$", re.M)


def groups(text: str) -> list[list[str]]:
    """Full names, a list a group."""
    found = GROUP.findall(text)
    return [[f"{module}.{name}" for name in NAME.findall(names)] for module, names in found]


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


def said_of(name: str) -> list[str]:
    """What the module that defines a constant says below it."""
    stub = ast.parse(Path(backpain_analysis.__file__).with_suffix(".pyi").read_text("utf-8"))
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            own = ModuleAnalyzer.for_module(f"backpain_analysis.{node.module}")
            return own.find_attr_docs().get(("", name), [])
    return []


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    found = groups((Path(app.srcdir) / "api.md").read_text(encoding="utf-8"))

    def add(app, what, name, obj, options, lines):
        if what == "data":
            lines[:] = said_of(name.rpartition(".")[2])
        if beside := nearest(name, found):
            lines += ["", "See Also", "--------", *beside]

    def check(app, exception):
        if exception or app.builder.name != "html":
            return
        for name in (name for group in found for name in group):
            page = Path(app.outdir) / "generated" / f"{name}.html"
            if not page.exists() or 'class="sig ' not in page.read_text(encoding="utf-8"):
                getLogger(__name__).warning("the page of %s shows no signature", name)

    app.connect("autodoc-process-docstring", add, priority=100)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
