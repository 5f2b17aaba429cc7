"""What every participant-level result has in common: a curve of dose and who it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.models.curve_names import named
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.dose_result import round_doses
from backpain_analysis.models.results import Coefficients, quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class CurveEffects(Coefficients):
    """Effects of dose from participants' data.

    Attributes
    ----------
    curve : Curve
        With its knots.
    dose_name : str
    max_dose : float
        The largest dose anyone had: the edge of the data.
    n_trials, n_participants : int
        What entered.
    excluded : DataFrame
        `trial_id, participant_id, reason` of who did not.
    """

    curve: Curve
    dose_name: str
    max_dose: float
    n_trials: int
    n_participants: int
    excluded: pd.DataFrame = field(repr=False)

    def excluded_counts(self) -> pd.DataFrame:
        """How many participants (and of how many trials) were left out for which reason."""
        counts = self.excluded.groupby("reason", sort=False).agg(
            trials=("trial_id", "nunique"), participants=("participant_id", "size")
        )
        return counts.sort_values("participants", ascending=False, kind="stable").reset_index()

    def plot(self, **options: Any) -> Axes:
        """The curve with its intervals: see `figures.dose_effects`."""
        from backpain_analysis.figures.dose_effects import dose_effects

        return dose_effects(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        names = "method level dose_name max_dose n_trials n_participants"
        return {
            "curve": self.curve.name,
            "params": self.params.to_dict(),
            "cov_params": self.cov.to_numpy().tolist(),
            "df": np.broadcast_to(np.asarray(self.df, dtype=float), len(self.params)).tolist(),
            **{name: getattr(self, name) for name in names.split()},
            "excluded": self.excluded.to_dict(orient="records"),
        }

    def _size(self) -> str:
        left = f", {len(self.excluded)} left out (see .excluded)" if len(self.excluded) else ""
        trials = "trial" if self.n_trials == 1 else "trials"
        return f"{self.n_participants} participants of {self.n_trials} {trials}{left}."


def dose_name_of(data: Any, columns: dict[str, str]) -> str:
    """What the dose of a table, of `Participants` or of `Imputations` is called."""
    default = "dose" if isinstance(data, pd.DataFrame) else "minutes_per_week"
    return getattr(data, "dose_name", None) or columns.get("dose", default)


def prepared(curve: str | Curve, doses: np.ndarray) -> Curve:
    """A curve with its knots; refused where its shape would have to be estimated.

    Raises
    ------
    ValueError
        For a curve that is not linear in its parameters, or whose powers or break are unknown.
    """
    curve = named(curve).prepare(np.asarray(doses, dtype=float))
    settled = curve.settle(lambda _: 0.0, doses) if not curve.shape_terms else curve
    if curve.shape_terms or settled.n_estimated:
        raise ValueError(
            f"the shape of a {curve.name} curve cannot be estimated here: use linear, quadratic, "
            "log, rcs, piecewise(at=...) or powers of your own."
        )
    return curve


def difference(curve: Curve, doses: np.ndarray, reference: float = 0.0) -> np.ndarray:
    """Basis of doses less that of the reference dose, shape (n_doses, n_terms)."""
    return curve.basis(np.asarray(doses, dtype=float)) - curve.basis(np.array([reference]))


def effects_of(
    result: CurveEffects,
    doses: ArrayLike | None,
    reference: float,
    names: list[str],
    between: np.ndarray | None = None,
) -> pd.DataFrame:
    """Effects of doses against the reference from the coefficients `names` of the curve's terms.

    Parameters
    ----------
    result : CurveEffects
    doses : array_like, shape (n,), optional
        By default some round doses from zero to the largest.
    reference : float
    names : list of str
    between : ndarray, shape (n_terms, n_terms), optional
        Covariance of the trials' own coefficients, for prediction intervals.

    Returns
    -------
    DataFrame
        `dose, estimate, se, ci_low, ci_high` and, with `between`, `pi_low, pi_high`.
    """
    doses = round_doses(result.max_dose) if doses is None else np.atleast_1d(doses).astype(float)
    rows = difference(result.curve, doses, reference)
    cov = result.cov.loc[names, names].to_numpy()
    df = result.df[names].min() if isinstance(result.df, pd.Series) else result.df
    critical = quantile(result.level, df)
    estimate = rows @ result.params[names].to_numpy()
    variance = np.einsum("ij,jk,ik->i", rows, cov, rows)
    half = critical * np.sqrt(variance)
    columns = {"dose": doses, "estimate": estimate, "se": np.sqrt(variance)}
    columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
    if between is not None:
        reach = critical * np.sqrt(variance + np.einsum("ij,jk,ik->i", rows, between, rows))
        columns |= {"pi_low": estimate - reach, "pi_high": estimate + reach}
    return pd.DataFrame(columns)
