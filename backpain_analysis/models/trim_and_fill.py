"""Trim and fill: a funnel made symmetric by mirroring its outermost studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects import Effects
from backpain_analysis.models.groups import pooled_table
from backpain_analysis.models.meta_regression import meta_regression
from backpain_analysis.models.mixed import ConvergenceError
from backpain_analysis.models.pooling import PoolResult, pool
from backpain_analysis.models.report import Report
from backpain_analysis.models.small_study import check_spread, frame_of
from backpain_analysis.models.studies import Studies, as_studies


@dataclass(frozen=True)
class TrimAndFill(Report):
    """The pooled effect before and after filling in mirror images of the outermost studies.

    Attributes
    ----------
    estimator : str
    side : {"left", "right"}
        Where studies are taken to be missing.
    k0 : int
        How many.
    observed, filled : PoolResult
        Without and with the filled studies.
    table : DataFrame
        `label, yi, vi, filled`: the observed studies as given, then the filled ones.
    """

    estimator: str
    side: Literal["left", "right"]
    k0: int
    observed: PoolResult
    filled: PoolResult
    table: pd.DataFrame = field(repr=False)

    def summary(self) -> pd.DataFrame:
        """Both pooled effects, as of `pooled_table`."""
        return pooled_table({"observed": self.observed, "filled": self.filled}).drop(
            columns="participants"
        )

    def _title(self) -> str:
        return "Trim and fill"

    def _note(self) -> str:
        return f"{self.estimator}: {self.k0} studies filled on the {self.side}."


def trim_and_fill(
    yi: ArrayLike | PoolResult | Effects,
    vi: ArrayLike | None = None,
    *,
    estimator: Literal["L0", "R0", "Q0"] = "L0",
    side: Literal["left", "right"] | None = None,
    labels: Sequence[str] | None = None,
    method: str | None = None,
    test: str | None = None,
    level: float | None = None,
) -> TrimAndFill:
    """Estimate how many studies are missing on one side of the funnel, and fill them in.

    Source: Duval & Tweedie 2000 (doi 10.1111/j.0006-341X.2000.00455.x;
    doi 10.1080/01621459.2000.10473905). A sensitivity analysis: it takes all asymmetry to be due
    to missing studies.

    Parameters
    ----------
    yi, vi, labels, method, test, level
        As of `egger_test`.
    estimator : {"L0", "R0", "Q0"}
        Of the number of missing studies.
    side : {"left", "right"}, optional
        Where they are missing; None: on the right if effects fall as standard errors grow (in
        the meta-regression on the standard error), else on the left.

    Raises
    ------
    ValueError
        As `egger_test`; equal standard errors only where `side` is None.
    ConvergenceError
        If the number of missing studies does not settle.
    """
    if estimator not in ("L0", "R0", "Q0"):
        raise ValueError(f"unknown estimator {estimator!r}: use 'L0', 'R0' or 'Q0'.")
    if side not in ("left", "right", None):
        raise ValueError(f"unknown side {side!r}: use 'left', 'right' or None.")
    studies = as_studies(yi, vi, labels, method=method, test=test, level=level, least=3)
    if side is None:
        check_spread(studies)
        slope = meta_regression("yi ~ sei", frame_of(studies), **studies.options).params.iloc[1]
        side = "right" if slope < 0 else "left"
    sign = -1.0 if side == "right" else 1.0
    order = np.argsort(sign * studies.y, kind="stable")
    y, v = sign * studies.y[order], studies.v[order]
    k0, centre = _trim(y, v, estimator, studies)
    outermost = order[len(y) - k0 :]
    mirrored = 2 * sign * centre - studies.y[outermost]
    table = pd.DataFrame(
        {
            "label": studies.labels + [f"filled {studies.labels[i]}" for i in outermost],
            "yi": np.concatenate([studies.y, mirrored]),
            "vi": np.concatenate([studies.v, studies.v[outermost]]),
            "filled": np.arange(len(y) + k0) >= len(y),
        }
    )
    observed = pool(studies.y, studies.v, labels=studies.labels, **studies.options)
    filled = pool(table["yi"], table["vi"], labels=list(table["label"]), **studies.options)
    return TrimAndFill(estimator, side, k0, observed, filled, table)


def _trim(y: np.ndarray, v: np.ndarray, estimator: str, studies: Studies) -> tuple[int, float]:
    """Number of missing studies on the left of ascending `y`, and the centre without excess."""
    k0 = 0
    for _ in range(100):
        kept = slice(0, len(y) - k0)
        centre = pool(y[kept], v[kept], **studies.options).estimate
        found = _missing(y - centre, estimator)
        if found == k0:
            return k0, centre
        k0 = found
    raise ConvergenceError(
        "trim and fill does not settle on a number of missing studies: use another estimator."
    )


def _missing(centred: np.ndarray, estimator: str) -> int:
    """Estimated number of missing studies, from the ranks of the centred effects.

    Effects that differ from the centre, or from each other, by rounding only count as equal.
    """
    k = len(centred)
    centred = np.round(centred / (np.abs(centred).max() or 1.0), 12)
    ranks = 1 + np.argsort(np.argsort(np.abs(centred), kind="stable"))
    if estimator == "R0":
        found = k - ranks[centred < 0].max(initial=0) - 1
    else:
        positive = ranks[centred > 0].sum()
        if estimator == "L0":
            found = (4 * positive - k * (k + 1)) / (2 * k - 1)
        else:
            found = k - 0.5 - np.sqrt(max(2 * k**2 - 4 * positive + 0.25, 0.0))
    return int(np.clip(np.round(found), 0, k - 1))
