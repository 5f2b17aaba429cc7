"""Import paths of version 0.1 that its README and notebooks used: they warn, and hand on.

Gone in version 0.4 (see the deprecation policy in CONTRIBUTING.md).
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED: dict[str, tuple[str, ...]] = {
    "figures.dose_network": ("figures.dose_network_plot",),
    "figures.tables": ("answers.tables", "answers.tables.networks"),
    "figures.tables.dose_network": ("answers.tables.dose_network",),
    "figures.tables.people": ("answers.tables.people",),
    "figures.tables.time": ("answers.tables.people",),
    "models.findings": ("answers.findings",),
    "models.mechanisms": ("answers.mechanisms",),
    "models.moderation": ("answers.moderation",),
    "models.network.dose_answers": ("answers.dose_network",),
    "models.network.dose_sentences": ("answers.dose_network",),
    "models.network.questions": ("answers.network",),
    "models.network.sentences": ("answers.network",),
    "models.participants": (),
    "models.participants.report": ("answers.participants",),
    "models.responders": (),
    "models.responders.sentences": ("answers.sentences",),
    "models.responders.trials": ("models.pairwise.responders",),
    "models.sentences": ("answers.sentences", "words"),
    "models.time.compare": ("models.time.course",),
    "models.time.sentences": ("answers.sentences",),
}
"""Old module to where its names are now, below `backpain_analysis`."""

RENAMED = {
    ("models.network.sentences", "network"): "answer",
    ("models.network.sentences", "inconsistency"): "agreement",
    ("models.network.dose_sentences", "beside_published"): "published_in_words",
    ("models.network.dose_sentences", "beside_published_doses"): "published_doses_in_words",
}
GONE = {
    ("models.responders.sentences", "from_pooled_smd"): "bp.key_results says how many people gain"
}
"""What has no successor of its own, and what to use instead."""

PACKAGE = "backpain_analysis."


class MovedModules(MetaPathFinder, Loader):
    """Finds the modules of `MOVED`, first: an old folder may still hold compiled files."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname.removeprefix(PACKAGE) not in MOVED or not fullname.startswith(PACKAGE):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Moved(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: names are looked up when they are asked for."""


class _Moved(ModuleType):
    def __getattr__(self, name: str) -> Any:
        old = self.__name__.removeprefix(PACKAGE)
        if (old, name) in GONE:
            raise AttributeError(f"{PACKAGE}{old}.{name} is gone: {GONE[old, name]}")
        if not name.startswith("__"):
            wanted = RENAMED.get((old, name), name)
            for home in MOVED[old]:
                module = import_module(PACKAGE + home)
                if hasattr(module, wanted):
                    message = f"{PACKAGE}{old}.{name} is now {PACKAGE}{home}.{wanted}"
                    warnings.warn(message, DeprecationWarning, stacklevel=2)
                    return getattr(module, wanted)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def install() -> None:
    """Let the old paths be imported."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())
