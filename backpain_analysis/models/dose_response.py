"""One-stage dose-response meta-analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects import Effects
from backpain_analysis.effects.table import count_reasons
from backpain_analysis.models.curves import Curve, named
from backpain_analysis.models.dose_search import DoseEstimate, dose_of_optimum, dose_reaching
from backpain_analysis.models.mixed import MixedFit, RandomTerm, fit
from backpain_analysis.models.results import Coefficients, quantile, wald_test

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class DoseResponseResult(Coefficients):
    """A fitted dose-response curve.

    Attributes
    ----------
    curve : Curve
        With its knots.
    psi : DataFrame
        Covariance of the trials' own coefficients around the mean ones; all zero for "CE".
    points : DataFrame
        `trial_id, label, exercise_type, dose, ref_dose, yi, vi` of the contrasts that entered.
    excluded : DataFrame
        `trial_id, arm_id, reason` of what did not.
    dose_name, outcome, measure : str
    n_trials, n_participants : int
        Participants in arms of known size.
    unsized_arms : int
        Arms of unknown size.
    """

    curve: Curve
    psi: pd.DataFrame = field(repr=False)
    points: pd.DataFrame = field(repr=False)
    excluded: pd.DataFrame = field(repr=False)
    dose_name: str
    outcome: str
    measure: str
    n_trials: int
    n_participants: int
    unsized_arms: int
    engine: MixedFit = field(repr=False)

    @property
    def max_dose(self) -> float:
        """The largest dose any arm was given: the edge of the data."""
        return float(self.points["dose"].max())

    def predict(self, doses: ArrayLike | None = None, reference: float = 0.0) -> pd.DataFrame:
        """Mean effect of each dose against the reference dose.

        Parameters
        ----------
        doses : array_like, shape (n,), optional
            By default some round doses from zero to the largest.
        reference : float

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high, pi_low, pi_high`. The prediction interval, for
            a new trial, adds `f Psi f'` to the variance (f: basis minus that of the reference).
        """
        if doses is None:
            doses = round_doses(self.max_dose)
        doses = np.atleast_1d(np.asarray(doses, dtype=float))
        contrast = self.contrast(doses, reference)
        estimate = contrast @ self.params.to_numpy()
        variance = np.einsum("ij,jk,ik->i", contrast, self.cov.to_numpy(), contrast)
        between = np.einsum("ij,jk,ik->i", contrast, self.psi.to_numpy(), contrast)
        critical = quantile(self.level, self.df)
        half, reach = critical * np.sqrt(variance), critical * np.sqrt(variance + between)
        return pd.DataFrame(
            {
                "dose": doses,
                "estimate": estimate,
                "se": np.sqrt(variance),
                "ci_low": estimate - half,
                "ci_high": estimate + half,
                "pi_low": estimate - reach,
                "pi_high": estimate + reach,
            }
        )

    def contrast(self, doses: np.ndarray, reference: float = 0.0) -> np.ndarray:
        """Rows of the model matrix for doses against the reference dose, shape (n, p)."""
        return self.curve.basis(doses) - self.curve.basis(np.array([reference]))

    def excluded_counts(self) -> pd.DataFrame:
        """How many arms (and trials) were left out for which reason."""
        return count_reasons(self.excluded)

    def test_overall(self) -> pd.Series:
        """Wald test that no dose has an effect."""
        return wald_test(self.params.to_numpy(), self.cov.to_numpy(), self.df)

    def test_nonlinearity(self) -> pd.Series:
        """Wald test that all terms beyond the first (linear) one are zero.

        Raises
        ------
        ValueError
            For a curve with a single term.
        """
        if len(self.params) == 1:
            raise ValueError(f"a {self.curve.name} curve has one term: nothing to test.")
        return wald_test(self.params.to_numpy()[1:], self.cov.to_numpy()[1:, 1:], self.df)

    def dose_for(
        self, effect: float, low: float = 0.0, high: float | None = None, reference: float = 0.0
    ) -> DoseEstimate:
        """The lowest dose whose mean effect reaches `effect` (for example minus the MCID).

        See `dose_search.dose_reaching`.
        """
        return dose_reaching(self, effect, low, self.max_dose if high is None else high, reference)

    def optimum(
        self, low: float = 0.0, high: float | None = None, *, best: str = "lowest", seed: int = 1
    ) -> DoseEstimate:
        """The dose with the best mean effect between `low` and `high`.

        See `dose_search.dose_of_optimum`.
        """
        return dose_of_optimum(
            self, low, self.max_dose if high is None else high, best=best, seed=seed
        )

    def plot(self, **options: Any) -> Axes:
        """The curve with its trials: see `figures.dose_response`."""
        from backpain_analysis import figures

        return figures.dose_response(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return {
            "curve": self.curve.name,
            "dose": self.dose_name,
            "params": self.params.to_dict(),
            "cov_params": self.cov.to_numpy().tolist(),
            "psi": self.psi.to_numpy().tolist(),
            "llf": self.llf,
            "aic": self.aic,
            "bic": self.bic,
            "method": self.method,
            "df": self.df,
            "n_trials": self.n_trials,
            "n_participants": self.n_participants,
            "excluded": self.excluded.to_dict(orient="records"),
        }

    def _title(self) -> str:
        return f"Dose-response: {self.curve.name} in {self.dose_name}"

    def _note(self) -> str:
        size = f"{self.n_trials} trials, {len(self.points)} contrasts"
        return f"{size}, {self.n_participants} participants. {super()._note()}"


def round_doses(largest: float) -> np.ndarray:
    """Five to ten round doses from zero to at most `largest`."""
    rough = largest / 8
    power = 10 ** np.floor(np.log10(rough))
    step = next(power * size for size in (1, 2, 2.5, 5, 10) if power * size >= rough)
    return np.arange(0, largest + step / 1e6, step)


def dose_response(
    data: Effects,
    *,
    curve: str | Curve = "linear",
    dose: str = "minutes_per_week",
    method: Literal["REML", "ML", "CE"] = "REML",
    level: float = 0.95,
) -> DoseResponseResult:
    """Fit a dose-response curve to all trials in one stage.

    `y = (f(d) - f(d0)) (b + u_trial) + e` with the known covariance of a trial's contrasts and
    `u_trial ~ N(0, Psi)`. Source: Crippa et al. 2019 (doi 10.1177/0962280218773122) for the
    one-stage model; Crippa & Orsini 2016 (doi 10.1186/s12874-016-0189-0) for differences in
    means.

    Intervals use t quantiles on (trials - coefficients) degrees of freedom for "REML" and "ML",
    normal ones for "CE".

    Parameters
    ----------
    data : Effects
    curve : str or Curve
        "linear", "quadratic", "log", "rcs", or a curve of `models.curves`.
    dose : str
        One of `evidence.dose.DOSE_MEASURES`.
    method : {"REML", "ML", "CE"}
    level : float

    Returns
    -------
    DoseResponseResult

    Raises
    ------
    ValueError
        If too few trials or distinct doses are left for the curve; says what to do.
    ConvergenceError
        If the likelihood has no maximum.
    """
    effects = data.with_dose(dose)
    table = effects.table
    trials = table["trial_id"].to_numpy()
    return _fit(
        table["yi"].to_numpy(dtype=float),
        effects.covariance,
        trials,
        table["dose"].to_numpy(dtype=float),
        table["ref_dose"].to_numpy(dtype=float),
        named(curve),
        method=method,
        level=level,
        labels={
            "points": table,
            "excluded": effects.excluded,
            "dose_name": dose,
            "outcome": effects.outcome,
            "measure": effects.measure,
            "n_participants": effects.n_participants,
            "unsized_arms": effects.unsized_arms,
        },
    )


def _fit(
    y: np.ndarray,
    covariance: Sequence[np.ndarray],
    trials: np.ndarray,
    dose: np.ndarray,
    ref_dose: np.ndarray,
    curve: Curve,
    *,
    method: str,
    level: float,
    labels: dict[str, Any],
) -> DoseResponseResult:
    n_trials, n_terms = len(set(trials)), len(curve.terms)
    distinct = len(np.unique(np.concatenate([dose, ref_dose])))
    if n_trials <= n_terms or distinct <= n_terms:
        raise ValueError(
            f"{n_trials} trials with {distinct} distinct doses of {labels['dose_name']} cannot "
            f"carry a {curve.name} curve of {n_terms} term(s): use a simpler curve, another dose "
            "measure, or fewer filters."
        )
    curve = curve.prepare(np.concatenate([dose, ref_dose]))
    X = curve.basis(dose) - curve.basis(ref_dose)
    names = list(curve.terms)
    model = fit(y, X, covariance, blocks=trials, terms=[RandomTerm(X)], method=method, names=names)
    psi = model.psi[0] if model.psi else np.zeros((n_terms, n_terms))
    return DoseResponseResult(
        params=pd.Series(model.beta, names),
        cov=pd.DataFrame(model.cov_beta, names, names),
        df=np.inf if method == "CE" else float(n_trials - n_terms),
        level=level,
        llf=model.llf,
        aic=model.aic,
        bic=model.bic,
        method=method,
        curve=curve,
        psi=pd.DataFrame(psi, names, names),
        n_trials=n_trials,
        engine=model,
        **labels,
    )
