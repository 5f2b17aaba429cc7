"""The numbers behind a figure: the effects it was drawn from, to be taken along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backpain_analysis.effects.table import Effects
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.figures.style import figure_of
from backpain_analysis.models.network.contrasts import NetworkData
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.results import CoefficientTable, TableResult

P = ParamSpec("P")
Drawn = TypeVar("Drawn", Axes, Figure)

POOLED = ("n_trials", "n_participants", "estimate", "ci_low", "ci_high", "pi_low", "pi_high")
OF_ARMS = ("trial_id", "arm_id", "exercise_type", "n_randomised")

_sources: WeakKeyDictionary[Figure, Any] = WeakKeyDictionary()


def remembers(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Let a figure remember what it was drawn from: the first argument of its function."""

    @wraps(draw)
    def drawing(*args: P.args, **options: P.kwargs) -> Drawn:
        drawn = draw(*args, **options)
        _sources[drawn if isinstance(drawn, Figure) else figure_of(drawn)] = args[0]
        return drawn

    return drawing


def numbers_behind(figure: Figure) -> pd.DataFrame | None:
    """The table that a figure was drawn from, in full precision; None where none is known.

    A row a contrast of a trial, with its effect, variance, people and dose, where the figure shows
    trials; else a row a thing that is drawn.
    """
    return _table(_sources.get(figure))


def _table(source: Any) -> pd.DataFrame | None:
    effects, data = getattr(source, "effects", source), getattr(source, "data", source)
    if isinstance(effects, Effects):
        return effects.to_frame()
    if isinstance(data, DoseNetworkData):
        doses = data.nodes["dose"].to_numpy()
        frame = data.network.to_frame()
        return frame.assign(
            dose=doses[data.network.treatment], versus_dose=doses[data.network.versus]
        )
    if isinstance(data, NetworkData):
        return data.to_frame()
    if isinstance(source, Evidence):
        columns = [name for name in source.arms if name in OF_ARMS or "per_" in name]
        return source.arms[columns].astype(object)
    if isinstance(source, Mapping):
        rows = {name: [getattr(one, name, None) for one in source.values()] for name in POOLED}
        return pd.DataFrame({"name": list(source), **rows}, dtype=object)
    table = source if isinstance(source, pd.DataFrame) else getattr(source, "table", None)
    if isinstance(table, pd.DataFrame):
        return table
    if isinstance(source, TableResult | CoefficientTable):
        return source.summary()
    return None
