"""What a fitted longitudinal mixed model can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.display import html_table
from backpain_analysis.models.dose_result import round_doses
from backpain_analysis.models.participants.longitudinal_mean import CurveMean, Mean
from backpain_analysis.models.results import Coefficients, quantile, wald_test

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class LongitudinalResult(Coefficients):
    """A fitted longitudinal mixed model.

    Attributes
    ----------
    mean : CurveMean or FormulaMean
        The fixed part.
    random_cov : DataFrame
        Covariance of the participants' intercepts (at week 0) and slopes (a week).
    trial_effect : {"fixed", "random", None}
    trial_variance : float or None
        Variance of the trials' intercepts, where they are random.
    sigma2 : float
        Residual variance.
    outcome_name, dose_name : str
    max_dose, max_week : float
        The edge of the data.
    n_trials, n_participants, n_visits : int
        What entered.
    left_out : DataFrame
        `reason, visits, participants`: visits that did not enter, and of how many participants.
    excluded : DataFrame
        `trial_id, participant_id, reason` of participants without a single visit that did.
    n_iterations : int
    """

    mean: Mean = field(repr=False)
    random_cov: pd.DataFrame = field(repr=False)
    trial_effect: str | None
    trial_variance: float | None
    sigma2: float
    outcome_name: str
    dose_name: str
    max_dose: float
    max_week: float
    n_trials: int
    n_participants: int
    n_visits: int
    left_out: pd.DataFrame = field(repr=False)
    excluded: pd.DataFrame = field(repr=False)
    n_iterations: int

    @property
    def n_excluded(self) -> int:
        """Visits that did not enter; `left_out` says why."""
        return int(self.left_out["visits"].sum())

    @property
    def variance_components(self) -> pd.DataFrame:
        """`component, variance, sd, correlation` (of slope and intercept)."""
        names = [f"participant: {name}" for name in self.random_cov.index]
        variances = np.diag(self.random_cov).tolist()
        correlations = [np.nan] * (len(names) + 1)
        if len(names) == 2 and min(variances) > 0:
            covariance = self.random_cov.iloc[0, 1]
            correlations[1] = covariance / np.sqrt(variances[0] * variances[1])
        if self.trial_variance is not None:
            names.append("trial: intercept")
            variances.append(self.trial_variance)
            correlations.append(np.nan)
        table = pd.DataFrame({"component": [*names, "residual"]})
        table["variance"] = [*variances, self.sigma2]
        return table.assign(sd=np.sqrt(table["variance"]), correlation=correlations)

    def predict(
        self,
        doses: ArrayLike | None = None,
        weeks: ArrayLike | None = None,
        reference: float = 0.0,
        at: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Mean difference of each dose from the reference dose at each week.

        Parameters
        ----------
        doses : array_like, shape (n,), optional
            By default some round doses from zero to the largest.
        weeks : array_like, shape (m,), optional
            By default the last week of the data.
        reference : float
        at : mapping, optional
            Moderators that a formula multiplies dose by; by default their means (categories: the
            first of the data).

        Returns
        -------
        DataFrame
            `week, dose, estimate, se, ci_low, ci_high`, a row a week and dose.
        """
        doses = round_doses(self.max_dose) if doses is None else np.atleast_1d(doses)
        weeks = np.atleast_1d(self.max_week if weeks is None else weeks).astype(float)
        week, dose = (grid.ravel() for grid in np.meshgrid(weeks, doses, indexing="ij"))
        rows = self.mean.contrast(dose.astype(float), week, reference, at or {})
        estimate = rows @ self.params.to_numpy()
        se = np.sqrt(np.einsum("ij,jk,ik->i", rows, self.cov.to_numpy(), rows))
        half = quantile(self.level, self.df) * se
        return pd.DataFrame(
            {
                "week": week,
                "dose": dose,
                "estimate": estimate,
                "se": se,
                "ci_low": estimate - half,
                "ci_high": estimate + half,
            }
        )

    def effect(
        self,
        dose: float,
        week: float,
        reference: float = 0.0,
        at: Mapping[str, Any] | None = None,
    ) -> pd.Series:
        """The difference of one dose at one week: a row of `predict`."""
        return self.predict([dose], [week], reference, at).iloc[0]

    def test_dose(self) -> pd.Series:
        """Wald test that dose makes no difference at any week.

        Raises
        ------
        ValueError
            If dose is not in the model.
        """
        return self._wald(self.mean.of_dose, "dose is not in the model")

    def test_nonlinearity(self) -> pd.Series:
        """Wald test that the terms of the curve beyond the first are zero at all weeks.

        Raises
        ------
        ValueError
            For a formula, or a curve with a single term.
        """
        names = self.mean.nonlinear if isinstance(self.mean, CurveMean) else []
        return self._wald(names, "the dose has no curve of several terms")

    def _wald(self, names: list[str], otherwise: str) -> pd.Series:
        if not names:
            raise ValueError(f"{otherwise}: nothing to test.")
        cov = self.cov.loc[names, names].to_numpy()
        return wald_test(self.params[names].to_numpy(), cov, float(np.min(self.df)))

    def plot(self, **options: Any) -> Axes:
        """Dose-response at chosen weeks: see `figures.longitudinal`."""
        from backpain_analysis.figures.longitudinal import longitudinal

        return longitudinal(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        names = (
            "llf aic bic method level trial_effect trial_variance sigma2 outcome_name dose_name "
            "max_dose max_week n_trials n_participants n_visits n_excluded n_iterations"
        )
        return {
            "mean": self.mean.title,
            "params": self.params.to_dict(),
            "cov_params": self.cov.to_numpy().tolist(),
            "df": float(self.df),
            "random_cov": self.random_cov.to_numpy().tolist(),
            **{name: getattr(self, name) for name in names.split()},
            "left_out": self.left_out.to_dict(orient="records"),
            "excluded": self.excluded.to_dict(orient="records"),
        }

    def _title(self) -> str:
        return f"Longitudinal mixed model of {self.outcome_name}: {self.mean.title}"

    def _note(self) -> str:
        trials = "trial" if self.n_trials == 1 else "trials"
        left = f"; {self.n_excluded} visits left out (see .left_out)" if self.n_excluded else ""
        return (
            f"{self.n_visits} visits of {self.n_participants} participants in {self.n_trials} "
            f"{trials}{left}. {super()._note()}"
        )

    def _repr_html_(self) -> str:
        variances = html_table(self.variance_components, title="Variance components")
        return super()._repr_html_() + variances
