"""Which designs of a network disagree with which others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backpain_analysis.models.network.estimation import at_tau2
from backpain_analysis.models.network.inconsistency import design_columns, design_inconsistency
from backpain_analysis.models.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backpain_analysis.models.network.result import NetworkResult


@dataclass(frozen=True, repr=False)
class NetHeat(Report):
    """The net heat matrix.

    Attributes
    ----------
    heat : DataFrame
        Row `d`, column `c`: by how much the inconsistency of design `d` falls (positive) or rises
        when design `c` is detached.
    share : DataFrame
        How much the estimate of design `d` rests on design `c`: the largest absolute entry of
        the hat matrix, between 0 and about 1.
    q : Series
        Inconsistency of each design, its part of Q between designs.
    tau2 : float
        Heterogeneity within designs at which all was computed.
    """

    heat: pd.DataFrame
    share: pd.DataFrame
    q: pd.Series
    tau2: float

    def summary(self) -> pd.DataFrame:
        """The heat matrix."""
        return self.heat.rename_axis("design").reset_index()

    def _title(self) -> str:
        return "Net heat: fall in inconsistency of the row when the column is detached"

    def plot(self, **options: Any) -> Axes:
        """Heat map: see `figures.net_heat`."""
        from backpain_analysis import figures

        return figures.net_heat(self, **options)


def net_heat(result: NetworkResult) -> NetHeat:
    """Compute the net heat matrix by design.

    Designs are summarised by their own effects; the consistent network is fitted to these, and
    again with each design detached (given effects of its own). Source: Krahn, Binder & König
    2013 (doi 10.1186/1471-2288-13-35), here with one row a design, not one a comparison.
    """
    tau2 = design_inconsistency(result).tau2_inconsistency
    X, of = design_columns(result)
    within = at_tau2(result.data, X, tau2)
    effects, precision = within.beta, np.linalg.inv(within.cov_beta)
    consistent, *_ = np.linalg.lstsq(X, result.engine.X, rcond=None)
    designs = list(dict.fromkeys(of))
    parts = [np.flatnonzero([own == design for own in of]) for design in designs]
    hat, q = _fit(effects, precision, consistent, parts)
    heat = np.zeros((len(designs), len(designs)))
    for number, part in enumerate(parts):
        detached = consistent.copy()
        detached[part] = 0.0
        own = np.eye(len(effects))[:, part]
        heat[:, number] = q - _fit(effects, precision, np.hstack([detached, own]), parts)[1]
    share = np.array([[np.abs(hat[np.ix_(d, c)]).max() for c in parts] for d in parts])
    names = [":".join(result.treatments[code] for code in design) for design in designs]
    return NetHeat(
        pd.DataFrame(heat, names, names),
        pd.DataFrame(share, names, names),
        pd.Series(q, names),
        tau2,
    )


def _fit(
    y: np.ndarray, W: np.ndarray, X: np.ndarray, parts: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Hat matrix and each design's part of `(y - Xb)'W(y - Xb)`; X of any rank."""
    hat = X @ np.linalg.pinv(X.T @ W @ X, hermitian=True) @ X.T @ W
    residual = y - hat @ y
    q = [residual[part] @ W[np.ix_(part, part)] @ residual[part] for part in parts]
    return hat, np.array(q)
