"""What a fitted dose-response curve can tell: effects, doses that reach one, the best dose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects.table import Effects, count_reasons
from backpain_analysis.engine.mixed import Method, MixedFit
from backpain_analysis.engine.robust import RobustCovariance
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose import goodness
from backpain_analysis.models.dose.curves import ANY, Constant, Curve, has_step
from backpain_analysis.models.dose.search import (
    NEAR,
    DoseEstimate,
    dose_of_optimum,
    dose_reaching,
    round_doses,
)
from backpain_analysis.models.pairwise.formulas import Moderators
from backpain_analysis.models.results import Coefficients, quantile, wald_test
from backpain_analysis.words import DOSE_LABELS, back_transform, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class DoseResponseResult(Coefficients):
    """A fitted dose-response curve.

    Attributes
    ----------
    curve : Curve
        With its knots or shape.
    heterogeneity : {"curve", "contrasts"}
        How trials differ.
    psi : DataFrame
        Covariance of the trials' own coefficients around the mean ones; all zero for "CE" and
        for heterogeneity "contrasts".
    tau2_of : callable
        Gives `tau2`, which few results need.
    effects : Effects
        The contrasts that entered, with `dose` and `ref_dose`; `effects.excluded` lists the
        others.
    dose_name : str
    stages : {1, 2}
    moderators : Moderators
        What the coefficients may depend on.
    engine : MixedFit
    refit : callable
        Fits the same model to other `Effects`.
    robust : RobustCovariance or None
        Where the covariance is cluster-robust (test "CR2").

    Examples
    --------
    >>> effects = (
    ...     bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    ... )
    >>> curve = bp.dose_response(effects, dose="sessions_per_week", any_exercise=True)
    >>> curve.n_trials
    12
    >>> curve.predict([1, 2]).round(1)
       dose  estimate   se  ci_low  ci_high  pi_low  pi_high
    0   1.0     -10.8  2.2   -15.7     -5.8   -24.0      2.4
    1   2.0     -13.8  2.5   -19.3     -8.2   -27.2     -0.3
    """

    method: Method
    curve: Curve
    heterogeneity: str
    psi: pd.DataFrame = field(repr=False)
    tau2_of: Callable[[], float] = field(repr=False)
    effects: Effects = field(repr=False)
    dose_name: str
    stages: int
    moderators: Moderators = field(repr=False)
    engine: MixedFit = field(repr=False)
    refit: Callable[..., DoseResponseResult] = field(repr=False)
    robust: RobustCovariance | None = field(repr=False, default=None)

    @cached_property
    def tau2(self) -> float:
        """Variance between trials of a contrast at any dose, on which prediction intervals rest.

        Of heterogeneity "contrasts", and where Psi is singular; NaN elsewhere.
        """
        return self.tau2_of()

    @property
    def points(self) -> pd.DataFrame:
        """The table of the contrasts that entered."""
        return self.effects.table

    @property
    def excluded(self) -> pd.DataFrame:
        """`trial_id, arm_id, reason` of what did not enter."""
        return self.effects.excluded

    @property
    def outcome(self) -> str:
        return self.effects.outcome

    @property
    def measure(self) -> str:
        return self.effects.measure

    @property
    def n_trials(self) -> int:
        return self.effects.n_trials

    @property
    def n_participants(self) -> int:
        """Participants in arms of known size."""
        return self.effects.n_participants

    @property
    def unsized_arms(self) -> int:
        """Arms of unknown size."""
        return self.effects.unsized_arms

    @cached_property
    def studied(self) -> np.ndarray:
        """The distinct doses of the arms, rising (the first dose of a surface)."""
        ends = [self.points[name].to_numpy(dtype=float) for name in ("dose", "ref_dose")]
        return np.unique(np.concatenate(ends))

    @property
    def max_dose(self) -> float:
        """The largest dose any arm was given: the edge of the data."""
        return float(self.studied[-1])

    @property
    def min_dose(self) -> float:
        """From which dose on the curve says something: zero, if an arm had none.

        Of a curve with a step the smallest dose above zero: what lies between is not drawn
        through zero.
        """
        studied = self.studied
        return float(studied[studied > 0][0] if has_step(self.curve) else studied[0])

    @property
    def reference_dose(self) -> float:
        """Zero, if an arm had no dose, else the smallest dose studied."""
        return float(self.studied[0])

    @cached_property
    def typical_dose(self) -> float:
        """The median dose of the arms with a dose above zero, each arm once."""
        ends = (("arm_id", "dose"), ("ref_arm_id", "ref_dose"))
        trials = self.points["trial_id"].to_list()
        arms: set[tuple[Any, Any, Any]] = set()
        for arm, dose in ends:
            arms.update(zip(trials, self.points[arm], self.points[dose], strict=True))
        return float(np.median([dose for _, _, dose in arms if dose > 0]))

    def outside(self, doses: ArrayLike) -> np.ndarray:
        """Whether each dose lies outside those studied, shape (n,).

        Outside are doses beyond the largest, or below the smallest; of a curve with a step also
        those between zero and the smallest above it.
        """
        doses = np.asarray(doses, dtype=float)
        if doses.ndim == 2:
            pairs = self.points[["dose", "dose_2"]], self.points[["ref_dose", "ref_dose_2"]]
            both = np.vstack([pair.to_numpy(dtype=float) for pair in pairs])
            low, high = both.min(axis=0), both.max(axis=0)
            return ((doses < low * (1 - NEAR)) | (doses > high * (1 + NEAR))).any(axis=1)
        apart = (doses < self.min_dose * (1 - NEAR)) | (doses > self.max_dose * (1 + NEAR))
        return apart & ~((doses == 0) & (self.studied[0] == 0))

    def allowed(self, doses: ArrayLike, *, extrapolate: bool = False) -> np.ndarray:
        """Which doses lie outside those studied, shape (n,).

        Raises
        ------
        CannotEstimate
            If any does, unless `extrapolate` allows them.
        """
        outside = self.outside(np.atleast_1d(doses))
        if outside.any() and not extrapolate:
            first = np.atleast_1d(np.asarray(doses, dtype=float))[outside][0]
            dose = " and ".join(f"{value:g}" for value in np.atleast_1d(first))
            raise CannotEstimate(
                f"no arm was given {dose} {self.dose_name}: the doses studied run from "
                f"{self.min_dose:g} to {self.max_dose:g}",
                "extrapolate=True gives what the curve says there",
            )
        return outside

    def gradient(
        self, doses: np.ndarray, reference: float = 0.0, at: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Derivative of the mean effect by the coefficients, shape (n_doses, n_coefficients).

        Of curves that are linear in their coefficients this is the row of the model matrix.
        """
        linear = self._curve_coefficients(at)
        rows = self.curve.gradient(doses, linear) - self.curve.gradient(
            self._as_doses(reference), linear
        )
        shaped = rows.shape[1] - len(linear)
        curve = rows[:, : len(linear)]
        spread = [curve * weight for weight in self.moderators.row(at)]
        return np.hstack([*spread, rows[:, len(linear) :]] if shaped else spread)

    def mean(
        self, doses: np.ndarray, reference: float = 0.0, at: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Mean effect of each dose against the reference dose, shape (n_doses,)."""
        basis = self.curve.basis(doses) - self.curve.basis(self._as_doses(reference))
        return basis @ self._curve_coefficients(at)

    def se_of(self, rows: np.ndarray) -> np.ndarray:
        """Standard errors of combinations of the coefficients, shape (n,)."""
        variance = np.einsum("ij,jk,ik->i", rows, self.cov.to_numpy(), rows)
        return np.sqrt(np.maximum(variance, 0.0))

    def df_of(self, rows: np.ndarray) -> np.ndarray:
        """Degrees of freedom of combinations of the coefficients, shape (n,).

        With a robust covariance each combination has its own (at least one); the reference dose
        itself has none and needs none. Otherwise the least of any coefficient.
        """
        if self.robust is None:
            return np.full(len(rows), float(np.min(self.df)))
        df = self.robust.df(rows)
        return np.where(np.isfinite(df), np.maximum(df, 1.0), np.inf)

    def df_at(self, dose: float) -> float:
        """Degrees of freedom of the mean effect of one dose against `reference_dose`."""
        return float(self.df_of(self.gradient(np.array([dose]), self.reference_dose))[0])

    def critical(self, rows: np.ndarray) -> np.ndarray:
        """Critical values of combinations of the coefficients, shape (n,); see `df_of`."""
        if self.robust is None:
            return np.full(len(rows), quantile(self.level, self.df))
        return quantile(self.level, pd.Series(self.df_of(rows))).to_numpy()

    def _as_doses(self, reference: float) -> np.ndarray:
        return np.atleast_1d(np.asarray(reference, dtype=float))

    def _curve_coefficients(self, at: Mapping[str, Any] | None) -> np.ndarray:
        """Coefficients of the curve at given moderators, shape (number of linear terms,)."""
        weights = self.moderators.row(at)
        size = len(self.curve.terms)
        values = self.params.to_numpy()[: size * len(weights)].reshape(len(weights), size)
        return weights @ values

    def predict(
        self,
        doses: ArrayLike | None = None,
        reference: float | None = None,
        at: Mapping[str, Any] | None = None,
        *,
        extrapolate: bool = False,
        back: bool = False,
    ) -> pd.DataFrame:
        """Mean effect of each dose against the reference dose.

        Parameters
        ----------
        doses : array_like, shape (n,), optional
            By default some round doses among those studied. Pairs, shape (n, 2), for a surface.
        reference : float, optional
            By default `reference_dose`: zero, or the smallest dose where no arm had none.
        at : mapping, optional
            Values of the moderators; by default their reference levels (numbers: zero).
        extrapolate : bool
            Allow doses that were not studied (see `outside`), and mark which these are.
        back : bool
            Give ratios instead of their logarithms (see `words.back_transform`), without `se`.

        Returns
        -------
        DataFrame
            `dose, estimate, se, ci_low, ci_high, pi_low, pi_high`, and `extrapolated` where that
            is allowed. The prediction interval, for a new trial, adds `f Psi f'` to the variance
            (f: basis minus that of the reference), or `tau2` where there is one; it is missing
            for a common effect.

        Raises
        ------
        CannotEstimate
            For doses that were not studied.
        """
        doses = self._shown_doses() if doses is None else np.asarray(doses, dtype=float)
        doses = np.atleast_1d(doses)
        reference = self.reference_dose if reference is None else reference
        outside = self.allowed(doses, extrapolate=extrapolate)
        outside |= self.allowed(reference, extrapolate=extrapolate).any()
        estimate, rows = self.mean(doses, reference, at), self.gradient(doses, reference, at)
        se, between = self.se_of(rows), self.between(doses, reference)
        critical = self.critical(rows)
        half, reach = critical * se, critical * np.sqrt(se**2 + between)
        table = pd.DataFrame(
            {
                **({"dose": doses} if doses.ndim == 1 else dict(zip("xy", doses.T, strict=True))),
                "estimate": estimate,
                "se": se,
                "ci_low": estimate - half,
                "ci_high": estimate + half,
                "pi_low": estimate - reach,
                "pi_high": estimate + reach,
                **({"extrapolated": outside} if extrapolate else {}),
            }
        )
        if not back:
            return table
        numbers = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
        table[numbers] = back_transform(table[numbers].to_numpy(), self.measure)
        return table.drop(columns="se")

    def effect_at(self, dose: float) -> tuple[float, float, float]:
        """Mean effect of one dose against `reference_dose`, its error, and half its interval."""
        doses = np.array([dose])
        rows = self.gradient(doses, self.reference_dose)
        se = float(self.se_of(rows)[0])
        mean = float(self.mean(doses, self.reference_dose)[0])
        return mean, se, float(self.critical(rows)[0]) * se

    def between(self, doses: np.ndarray, reference: float = 0.0) -> np.ndarray:
        """Variance of the trials' own effects of each dose, shape (n,); NaN for a common effect."""
        basis = self.curve.basis(doses) - self.curve.basis(self._as_doses(reference))
        if self.method == "CE":
            return np.full(len(basis), np.nan)
        if np.isfinite(self.tau2):
            return np.where((basis == 0).all(axis=1), 0.0, self.tau2)
        return np.einsum("ij,jk,ik->i", basis, self.psi.to_numpy(), basis)

    def _shown_doses(self) -> np.ndarray:
        """Round doses among those studied."""
        doses = round_doses(self.max_dose)
        return doses[~self.outside(doses)]

    def trial_curves(self, doses: ArrayLike | None = None) -> pd.DataFrame:
        """Each trial's own curve: best linear unbiased predictions.

        With `G = I - Psi Z'V^-1 Z` the trial's coefficients are `b + Psi Z'V^-1 (y - Zb)` and
        their covariance `G Psi + G C G'`, C that of b (Gasparrini et al. 2012,
        doi 10.1002/sim.5471).

        Returns
        -------
        DataFrame
            `trial_id, dose, estimate, se, ci_low, ci_high`, a row a trial and dose.

        Raises
        ------
        ValueError
            Where trials differ by contrast, so that they have no curve of their own.
        CannotEstimate
            For doses that were not studied.
        """
        if self.heterogeneity != "curve":
            raise ValueError("trials have curves of their own with heterogeneity='curve' only.")
        doses = self._shown_doses() if doses is None else np.atleast_1d(doses)
        self.allowed(doses)
        basis = self.curve.basis(np.asarray(doses, float)) - self.curve.basis(self._as_doses(0.0))
        C, psi = self._curve_covariance(), self.psi.to_numpy()
        critical, frames = quantile(self.level, float(np.min(self.df))), []
        for trial, own, ZWZ in self._trial_coefficients():
            G = np.eye(len(psi)) - psi @ ZWZ
            cov = G @ psi + G @ C @ G.T
            estimate = basis @ own
            se = np.sqrt(np.einsum("ij,jk,ik->i", basis, cov, basis))
            columns = {"trial_id": trial, "dose": doses, "estimate": estimate, "se": se}
            columns |= {"ci_low": estimate - critical * se, "ci_high": estimate + critical * se}
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def _curve_covariance(self) -> np.ndarray:
        size = len(self.psi)
        return self.engine.cov_beta[:size, :size]

    def _trial_coefficients(self) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """(trial, its coefficients, Z'V^-1 Z) in the order of the engine's blocks."""
        model, size = self.engine, len(self.psi)
        design = model.terms[0].design if model.terms else model.X[:, :size]
        effects = model.blups() if model.terms else np.zeros((model.n_blocks, size))
        fixed = self._curve_coefficients(None)
        rows: list = [None] * model.n_blocks
        for batch, members, W in zip(
            model.blocks.batches, model.blocks.members, model.precision, strict=True
        ):
            ZWZ = np.einsum("bnp,bnm,bmq->bpq", design[batch], W, design[batch])
            for member, matrix in zip(members, ZWZ, strict=True):
                trial = model.blocks.labels[member]
                rows[member] = (trial, fixed + effects[member], matrix)
        return rows

    def excluded_counts(self) -> pd.DataFrame:
        """How many arms (and trials) were left out for which reason."""
        return count_reasons(self.excluded)

    def test_overall(self) -> pd.Series:
        """Wald test that no dose has an effect."""
        linear = self.moderators.coefficient_names(self.curve.terms)
        return self._wald(lambda name: name in linear)

    def test_nonlinearity(self) -> pd.Series:
        """Wald test that all terms of the curve beyond the first (linear) one are zero.

        Raises
        ------
        ValueError
            For a curve with a single term, or one whose first term is not the dose itself.
        """
        terms = [term for term in self.curve.terms if term != ANY]
        if len(terms) < 2:
            raise ValueError(f"the curve {self.curve.name} has no term beyond the first to test.")
        if terms[0] != "dose":
            raise ValueError(f"the curve {self.curve.name} has no linear part to test against.")
        return self._wald(lambda name: name.split(":")[0] not in ("dose", ANY))

    def test_dose(self) -> pd.Series:
        """Among those who exercise, does the dose matter?

        Wald test that all coefficients but that of exercising at all are zero. `test_overall`
        tests exercise of any dose against none; a curve through zero cannot tell the two apart.

        Returns
        -------
        Series
            `statistic, df_num, df_denom, p_value, trials`: trials that compared arms of different
            doses above zero, the direct evidence.

        Raises
        ------
        CannotEstimate
            If the curve has no step.
        ValueError
            For a constant effect, which has no dose in it.
        """
        if isinstance(self.curve, Constant):
            raise ValueError("a constant effect has no dose in it: nothing to test.")
        if not has_step(self.curve):
            raise CannotEstimate(
                "a curve through zero does not tell the dose from exercising at all",
                "fit it with any_exercise=True",
            )
        found = self._wald(lambda name: name.split(":")[0] != ANY)
        found["trials"] = len(self.direct_trials)
        return found

    @property
    def direct_trials(self) -> list[str]:
        """Trials that randomised people to different doses above zero."""
        return direct_trials(self.points)

    def test_moderators(self) -> pd.Series:
        """Wald test that the curve does not depend on the moderators.

        Raises
        ------
        ValueError
            If there are none.
        """
        if self.moderators.size == 1:
            raise ValueError("the model has no moderators.")
        return self._wald(lambda name: ":" in name)

    def _wald(self, wanted: Callable[[str], bool]) -> pd.Series:
        names = [name for name in self.params.index if wanted(name)]
        df = float(np.min(self.df))
        return wald_test(self.params[names].to_numpy(), self.cov.loc[names, names].to_numpy(), df)

    def dose_for(
        self,
        effect: float,
        low: float | None = None,
        high: float | None = None,
        reference: float | None = None,
        *,
        extrapolate: bool = False,
    ) -> DoseEstimate:
        """The lowest dose whose mean effect reaches `effect` (for example minus the MCID).

        See `dose_reaching`. By default among the doses studied, from `min_dose` to `max_dose`;
        others are refused unless `extrapolate` allows them.
        """
        low, high = self._range(low, high, extrapolate)
        reference = self.reference_dose if reference is None else reference
        self.allowed(reference, extrapolate=extrapolate)
        return dose_reaching(self, effect, low, high, reference)

    def optimum(
        self,
        low: float | None = None,
        high: float | None = None,
        *,
        best: str = "lowest",
        seed: int = 1,
        extrapolate: bool = False,
    ) -> DoseEstimate:
        """The dose with the best mean effect between `low` and `high`.

        See `dose_of_optimum`. By default among the doses studied, from `min_dose` to `max_dose`;
        others are refused unless `extrapolate` allows them.
        """
        low, high = self._range(low, high, extrapolate)
        return dose_of_optimum(self, low, high, best=best, seed=seed)

    def _range(
        self, low: float | None, high: float | None, extrapolate: bool
    ) -> tuple[float, float]:
        low = self.min_dose if low is None else low
        high = self.max_dose if high is None else high
        self.allowed([low, high], extrapolate=extrapolate)
        return low, high

    def goodness_of_fit(self) -> pd.Series:
        """Deviance test and decorrelated R2: see `goodness.goodness_of_fit`."""
        return goodness.goodness_of_fit(self)

    def variance_partition(self, doses: ArrayLike | None = None) -> pd.DataFrame:
        """Share of the variance that lies between trials: see `goodness.variance_partition`."""
        return goodness.variance_partition(self, doses)

    def leave_one_out(self, doses: ArrayLike | None = None) -> pd.DataFrame:
        """The curve without each trial: see `goodness.leave_one_out`."""
        return goodness.leave_one_out(self, doses)

    def bootstrap(self, replicates: int = 1000, *, seed: int = 1) -> pd.DataFrame:
        """Coefficients of simulated data sets: see `goodness.bootstrap`."""
        return goodness.bootstrap(self, replicates, seed=seed)

    def plot(self, **options: Any) -> Axes:
        """The curve with its trials: see `figures.dose_response`."""
        from backpain_analysis import figures

        return figures.dose_response(self, **options)

    def _title(self) -> str:
        return (
            f"Dose-response: {self.curve.name} in {DOSE_LABELS.get(self.dose_name, self.dose_name)}"
        )

    def _note(self) -> str:
        size = f"{plural(self.n_trials, 'trial')}, {plural(len(self.points), 'contrast')}"
        return f"{size}, {self.n_participants} participants. {super()._note()}"


def direct_trials(table: pd.DataFrame) -> list[str]:
    """Trials of a table of contrasts in which arms had different doses above zero."""
    given: dict[str, set[float]] = {}
    for trial, *ends in zip(table["trial_id"], table["dose"], table["ref_dose"], strict=True):
        given.setdefault(str(trial), set()).update(dose for dose in ends if dose > 0)
    return [trial for trial, doses in given.items() if len(doses) > 1]
