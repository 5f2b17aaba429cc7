"""Meta-regression: effect sizes of independent trials against characteristics of the trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.engine.heterogeneity import (
    ESTIMATORS,
    WeightedFit,
    estimate_tau2,
    q_profile,
    tau2_se,
)
from backpain_analysis.engine.mixed import check_design
from backpain_analysis.engine.one_variance import independent
from backpain_analysis.engine.subsets import WithoutOne, fit_subsets
from backpain_analysis.engine.tails import chi_square_tail
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.faults import as_frame
from backpain_analysis.models.pairwise.formulas import Design, design
from backpain_analysis.models.pairwise.inputs import named_options, value_faults
from backpain_analysis.models.pairwise.pooling import (
    heterogeneity_table,
    scaled_covariance,
    scales,
)
from backpain_analysis.models.results import Coefficients, checked_level, quantile, wald_test
from backpain_analysis.words import plural

if TYPE_CHECKING:
    from backpain_analysis.models.bayes.model import AnyPrior
    from backpain_analysis.models.bayes.posterior import RegressionPosterior

INTERCEPT = "Intercept"

ALONE = 1e-6
"""A trial with less than this between its leverage and one may be all that a coefficient has."""


@dataclass(frozen=True, repr=False)
class MetaRegressionResult(Coefficients):
    """A fitted meta-regression.

    Attributes
    ----------
    test : str
        "z" or "knapp-hartung".
    tau2, tau2_ci_low, tau2_ci_high : float
        Residual between-trial variance with its Q-profile interval.
    tau2_se : float
        Its standard error; see `heterogeneity.tau2_se`.
    factor : float
        What Knapp-Hartung's method multiplies the covariance by (before "adhoc" lifts it to one).
    i2, h2 : float
        Of the residual heterogeneity, I2 in per cent.
    q, q_df, q_p : float
        Test of residual heterogeneity (QE).
    n_trials : int
    dropped : tuple
        Index labels of rows left out because a variable of the model was missing.
    data : DataFrame
        The rows that entered.
    vi, weights : ndarray
        Sampling variances of these rows, and `1 / (vi + tau2)`.

    Examples
    --------
    >>> import pandas as pd
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> table = pd.DataFrame({"yi": yi, "vi": vi, "weeks": [12, 6, 8, 4, 12]})
    >>> fit = bp.meta_regression("yi ~ weeks", table)
    >>> fit.conf_int().round(2)
               ci_low  ci_high
    Intercept   -3.86     6.97
    weeks       -1.85    -0.62
    """

    test: str
    tau2: float
    factor: float
    i2: float
    h2: float
    q: float
    q_df: int
    q_p: float
    n_trials: int
    dropped: tuple
    formula: str
    data: pd.DataFrame = field(repr=False)
    vi: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    design: Design = field(repr=False)

    @property
    def spec(self) -> Any:
        """Formulaic's specification of the model matrix."""
        return self.design.spec

    @cached_property
    def omnibus(self) -> pd.Series:
        """Joint test of all coefficients but the intercept (QM; of the intercept where alone).

        `statistic, df_num, df_denom, p_value`: F where the test has degrees of freedom, else
        chi-square.
        """
        names, df = list(self.params.index), self.df
        assert isinstance(df, float)
        return _omnibus(self.params.to_numpy(), self.cov.to_numpy(), names, df)

    @cached_property
    def table(self) -> pd.DataFrame:
        """`yi, vi, fitted, weight` (per cent), a row a trial."""
        columns = {"yi": self.design.y, "vi": self.vi}
        columns["fitted"] = self.design.X @ self.params.to_numpy()
        columns["weight"] = 100 * self.weights / self.weights.sum()
        return pd.DataFrame(columns, index=self.data.index)

    @cached_property
    def _q_profile(self) -> tuple[float, float]:
        return q_profile(self.design.y, self.vi, self.design.X, self.level)

    @property
    def tau2_ci_low(self) -> float:
        return self._q_profile[0]

    @property
    def tau2_ci_high(self) -> float:
        return self._q_profile[1]

    @cached_property
    def tau2_se(self) -> float:
        return tau2_se(self.design.y, self.vi, self.design.X, self.tau2, self.method)

    @cached_property
    def r2(self) -> float:
        """Per cent of the between-trial variance explained, against the intercept-only model.

        By the same method (Raudenbush 1994; Lopez-Lopez et al. 2014, doi 10.1111/bmsp.12002);
        zero where negative, missing where there is nothing to explain or no intercept.
        """
        if INTERCEPT not in self.params.index:
            return np.nan
        y, v = self.design.y, self.vi
        return _explained(self.tau2, y, v, self.method)

    def heterogeneity(self, kind: str = "q-profile", level: float | None = None) -> pd.DataFrame:
        """Residual tau2, tau, I2 (per cent) and H2 with intervals; see `heterogeneity_table`."""
        y, v = self.design.y, self.vi
        level = self.level if level is None else checked_level(level)
        return heterogeneity_table(y, v, self.design.X, self.tau2, self.method, kind, level)

    @property
    def vif(self) -> pd.Series:
        """Variance inflation factor of each coefficient but the intercept.

        Its variance over that if the moderators were uncorrelated (Belsley, Kuh & Welsch 1980).
        """
        names = [name for name in self.params.index if name != INTERCEPT]
        cov = self.cov.loc[names, names].to_numpy()
        return pd.Series(np.diag(cov) * np.diag(np.linalg.inv(cov)), names)

    def influence(self) -> pd.DataFrame:
        """How the model changes without each trial; `bp.influence(fit)` gives the same.

        Source: Viechtbauer & Cheung 2010 (doi 10.1002/jrsm.11). With `(i)` for "without trial i",
        x its row of the model matrix, C the covariance of the coefficients b, and s2 what
        Knapp-Hartung's method multiplies it by (1 for "z"):

        - `rstudent`: `(y - x b(i)) / sqrt(s2(i) (v + tau2(i)) + x C(i) x')`
        - `dffits`: `(x b - x b(i)) / sqrt(s2(i) h (v + tau2(i)))`
        - `cook_d`: `(b - b(i))' C^-1 (b - b(i))`; `cov_r`: `|C(i)| / |C|`
        - `tau2_del`, `q_del`: tau2 and the residual Q without the trial
        - `hat`: h, the leverage; `weight`: its share of the weights, in per cent
        - `rstandard`: `(y - x b) / sqrt((1 - h) (v + tau2))`
        - `dfbetas NAME`: the change of a coefficient over
          `sqrt(s2(i) [(sum_j x_j' x_j / (v_j + tau2(i)))^-1])`
        - `influential`: any of |dffits| > 3 sqrt(p/(k - p)), cook_d beyond the median of
          chi-square on p degrees of freedom, hat > 3 p/k, |dfbetas| > 1, as metafor marks them.

        Returns
        -------
        DataFrame
            A row a trial, on the index of `data`. Missing where the other trials cannot carry the
            model.
        """
        table = influence_table(
            self.design.y,
            self.vi,
            self.design.X,
            list(self.params.index),
            self.tau2,
            self.method,
            self.test,
        )
        return table.set_index(self.data.index)

    def predict(self, new_data: pd.DataFrame) -> pd.DataFrame:
        """Mean effects, and where those of new trials are expected, at moderator values.

        Parameters
        ----------
        new_data : DataFrame
            With the columns of the moderators.

        Returns
        -------
        DataFrame
            `estimate, se, ci_low, ci_high, pi_low, pi_high` on the index of `new_data`. The
            prediction interval is `estimate +- q sqrt(se^2 + tau2)`, as in `pool`.

        Raises
        ------
        ValueError
            For missing columns or values, or categories that the model has not seen.
        """
        X, index = self.design.rows(new_data), as_frame(new_data).index
        estimate = X @ self.params.to_numpy()
        variance = np.maximum(np.einsum("ij,jk,ik->i", X, self.cov.to_numpy(), X), 0.0)
        critical = quantile(self.level, self.df)
        half, reach = critical * np.sqrt(variance), critical * np.sqrt(variance + self.tau2)
        columns = {"estimate": estimate, "se": np.sqrt(variance)}
        columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
        columns |= {"pi_low": estimate - reach, "pi_high": estimate + reach}
        return pd.DataFrame(columns, index=index)

    def _title(self) -> str:
        return f"Meta-regression of {plural(self.n_trials, 'trial')}: {self.formula}"

    def _note(self) -> str:
        r2 = "" if np.isnan(self.r2) else f"R² {self.r2:.1f}%; "
        lost = ", ".join(map(str, self.dropped))
        left = "" if np.isnan(self.q_p) else f"; residual heterogeneity P = {self.q_p:.3g}"
        return (
            f"{self.method}, {self.test}; tau² {self.tau2:.4g}; {r2}omnibus P = "
            f"{self.omnibus['p_value']:.3g}{left}."
            + (f" Left out, with missing values: {lost}." if lost else "")
        )


@overload
def meta_regression(
    formula: str,
    data: pd.DataFrame | Effects,
    *,
    vi: str = "vi",
    method: str = "REML",
    test: str = "knapp-hartung",
    level: float = 0.95,
    prior: None = None,
) -> MetaRegressionResult: ...


@overload
def meta_regression(
    formula: str,
    data: pd.DataFrame | Effects,
    *,
    vi: str = "vi",
    level: float = 0.95,
    prior: AnyPrior,
) -> RegressionPosterior: ...


def meta_regression(
    formula: str,
    data: pd.DataFrame | Effects,
    *,
    vi: str = "vi",
    method: str = "REML",
    test: str = "knapp-hartung",
    level: float = 0.95,
    prior: AnyPrior | None = None,
) -> MetaRegressionResult | RegressionPosterior:
    """Regress effect sizes of independent trials on moderators.

    Sources: Thompson & Higgins 2002 (doi 10.1002/sim.1187); Knapp & Hartung 2003
    (doi 10.1002/sim.1482), who scale the covariance by the weighted residual mean square and use
    k - p degrees of freedom.

    Parameters
    ----------
    formula : str
        Such as "yi ~ weeks + C(type)", effect size on the left (formulaic's grammar).
    data : DataFrame or Effects
        A row a trial (`Effects` with one contrast a trial). Rows with a missing value in a
        variable of the model are left out and named in the result.
    vi : str
        Column of the sampling variances.
    method : {"REML", "ML", "CE", "DL", "HE", "HS", "HSk", "SJ", "PM", "PMM", "EB", "SJIT", "DLIT"}
        Estimator of tau2 (see `heterogeneity.estimate_tau2`); "CE" has none.
    test : {"knapp-hartung", "adhoc", "t", "z"}
        As of `pool`.
    level : float
    prior : Prior, TauPrior or Mixture, optional
        What is believed before the data (see `priors`); then the result is a posterior, and
        `method` and `test` do not count.

    Returns
    -------
    MetaRegressionResult, or RegressionPosterior with a prior

    Raises
    ------
    ValueError
        For unknown options and columns, values that are no numbers, variances not above zero,
        too few trials for the coefficients, collinear moderators; the message names them.

    Examples
    --------
    >>> import pandas as pd
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> table = pd.DataFrame({"yi": yi, "vi": vi, "weeks": [12, 6, 8, 4, 12]})
    >>> bp.meta_regression("yi ~ weeks", table).params.round(2)
    Intercept    1.55
    weeks       -1.24
    dtype: float64
    """
    method, test, level = named_options(method, test, level)
    model = design(formula, trials_of(data), [vi])
    y, X, names = model.y, model.X, list(model.names)
    v = _variances(y, model.data, vi)
    k, p = X.shape
    if prior is not None:
        from backpain_analysis.models.bayes.model import pooling_model
        from backpain_analysis.models.bayes.posterior import regression

        labels = tuple(map(str, model.data.index))
        waiting = replace(pooling_model(y, v, labels=labels), X=X, names=model.names)
        return regression(waiting, prior, level, model.rows, model.dropped)
    if k <= p and (method != "CE" or test == "knapp-hartung" or k < p):
        raise CannotEstimate(
            f"{plural(k, 'trial')} cannot estimate {plural(p, 'coefficient')} "
            f"({', '.join(names)}) and what is left",
            "use fewer moderators",
        )
    check_design(X, names)
    common = WeightedFit(y, v, X)
    tau2, llf = residual_tau2(y, v, X, method)
    weighted = WeightedFit(y, v, X, tau2)
    if method != "REML":
        llf = -0.5 * (float(np.sum(np.log(2 * np.pi / weighted.weights))) + weighted.rss)
    llf = float(llf)
    cov, df, factor = scaled_covariance(weighted.cov, weighted.rss, k - p, test, float(k - p))
    index = pd.Index(names)
    n_parameters = p + (method != "CE")
    n_effective = k - p * (method == "REML")
    i2, h2 = _relative(tau2, common, method)
    return MetaRegressionResult(
        params=pd.Series(weighted.beta, index),
        cov=pd.DataFrame(cov, index, index),
        df=df,
        level=level,
        llf=llf,
        aic=-2 * llf + 2 * n_parameters,
        bic=-2 * llf + float(np.log(max(n_effective, 1))) * n_parameters,
        method=method,
        test=test,
        tau2=tau2,
        factor=factor,
        i2=i2,
        h2=h2,
        q=common.rss,
        q_df=k - p,
        q_p=chi_square_tail(common.rss, k - p) if k > p else np.nan,
        n_trials=k,
        dropped=model.dropped,
        formula=formula,
        data=model.data,
        weights=weighted.weights,
        vi=v,
        design=model,
    )


def trials_of(data: object) -> pd.DataFrame:
    """The table of independent trials that a model takes.

    Raises
    ------
    ValueError
        For `Effects` of which some trials have several contrasts: those are correlated.
    """
    refuse_evidence(data)
    if not isinstance(data, Effects):
        return as_frame(data)
    if data.n_trials < len(data.table):
        raise ValueError(
            f"{len(data.table)} contrasts of {plural(data.n_trials, 'trial')}: contrasts of one "
            "trial share its reference arm, and a meta-regression takes them as independent. Give "
            "effects.one_per_trial(), or use pool(effects) or dose_response(effects)."
        )
    return data.table


def _variances(y: np.ndarray, data: pd.DataFrame, vi: str) -> np.ndarray:
    v = pd.to_numeric(data[vi], errors="coerce").to_numpy(dtype=float)
    faults = value_faults(y, v, (f"row {label}" for label in data.index), vi)
    if faults:
        raise ValueError("; ".join(faults) + ".")
    return v


def residual_tau2(y: np.ndarray, v: np.ndarray, X: np.ndarray, method: str) -> tuple[float, float]:
    """Residual tau2 and, for ML and REML, the log-likelihood."""
    if method == "CE":
        return 0.0, np.nan
    if method in ESTIMATORS:
        return estimate_tau2(y, v, X, method), np.nan
    return independent(y, v, X, reml=method == "REML")


def _explained(tau2: float, y: np.ndarray, v: np.ndarray, method: str) -> float:
    total, _ = residual_tau2(y, v, np.ones((len(y), 1)), method)
    if total <= 1e-8 * v.min():
        return np.nan
    return max(0.0, 100 * (total - tau2) / total)


def _relative(tau2: float, common: WeightedFit, method: str) -> tuple[float, float]:
    """I2 (per cent) and H2 of the residual heterogeneity, as in `pool`."""
    df = len(common.weights) - len(common.beta)
    if df == 0:
        return np.nan, np.nan
    if method == "CE":
        h2 = max(1.0, common.rss / df)
        return 100 * (h2 - 1) / h2, h2
    ratio = tau2 / common.typical_variance
    return 100 * ratio / (1 + ratio), 1 + ratio


def _omnibus(beta: np.ndarray, cov: np.ndarray, names: list[str], df: float) -> pd.Series:
    tested = [i for i, name in enumerate(names) if name != INTERCEPT] or [0]
    if not cov.any():
        empty = {"statistic": np.nan, "df_num": len(tested), "df_denom": df, "p_value": np.nan}
        return pd.Series(empty)
    return wald_test(beta[tested], cov[np.ix_(tested, tested)], df)


def influence_table(
    y: np.ndarray,
    v: np.ndarray,
    X: np.ndarray,
    names: Sequence[str],
    tau2: float,
    method: str,
    test: str,
) -> pd.DataFrame:
    """The columns of `MetaRegressionResult.influence`, a row a trial.

    Computed in columns made orthonormal.

    Parameters
    ----------
    y, v : ndarray, shape (k,)
    X : ndarray, shape (k, p)
    names : sequence of str
        Of the coefficients.
    tau2 : float
        Of the whole model.
    method, test : str
    """
    k, p = X.shape
    Q, R = np.linalg.qr(X)
    full = WeightedFit(y, v, Q, tau2)
    spare = k - 1 - p
    rows = _removable(X, Q, names) if spare > 0 else np.arange(0)
    changes = [f"dfbetas {name}" for name in names]
    told = np.full((6 + p, k), np.nan)
    if len(rows):
        fits = fit_subsets(y, v, Q, WithoutOne(k, rows), method)
        x, change, inner = Q[rows], fits.beta - full.beta, (Q * full.weights[:, None]).T @ Q
        inner = inner / scales(np.array([full.rss]), spare + 1, test)
        scale, w = scales(fits.rss, spare, test), 1 / (v[rows] + fits.tau2)
        fitted = (x * change).sum(axis=1)
        reach = (x * np.linalg.solve(fits.information, x[:, :, None])[:, :, 0]).sum(axis=1)
        whole = np.linalg.inv(fits.information + (w * x.T).T[:, :, None] * x[:, None, :])
        back = np.linalg.inv(R)
        spread = np.sqrt(scale[:, None] * np.einsum("ij,mjk,ik->mi", back, whole, back))
        size = p * np.log(scale) - np.linalg.slogdet(fits.information)[1]
        with np.errstate(divide="ignore", invalid="ignore"):
            told[:, rows] = [
                (full.residual[rows] - fitted) / np.sqrt(scale * (1 / w + reach)),
                -fitted / np.sqrt(scale / w * full.leverage[rows]),
                np.einsum("mi,ij,mj->m", change, inner, change),
                np.exp(np.linalg.slogdet(inner)[1] + size),
                fits.tau2,
                fits.q,
                *(-(change @ back.T) / spread).T,
            ]
    weight = full.weights / full.weights.sum()
    left = np.where(full.leverage > 1 - 1e-10, np.nan, 1 - full.leverage)
    rstandard = full.residual / np.sqrt(left / full.weights)
    columns = {"rstudent": told[0], "rstandard": rstandard}
    columns |= dict(zip(["dffits", "cook_d", "cov_r", "tau2_del", "q_del"], told[1:6], strict=True))
    columns |= {"hat": full.leverage, "weight": 100 * weight}
    columns |= dict(zip(changes, told[6:], strict=True))
    columns["influential"] = (
        (np.abs(told[1]) > 3 * np.sqrt(p / max(k - p, 1)))
        | (told[2] > scipy.special.chdtri(p, 0.5))
        | (full.leverage > 3 * p / k)
        | (np.abs(told[6:]) > 1).any(axis=0)
    )
    return pd.DataFrame(columns)


def _removable(X: np.ndarray, Q: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The trials without which the others still tell every coefficient."""
    may = np.ones(len(X), dtype=bool)
    for row in np.flatnonzero((Q * Q).sum(axis=1) > 1 - ALONE):
        try:
            check_design(np.delete(X, row, axis=0), names)
        except CannotEstimate:
            may[row] = False
    return np.flatnonzero(may)
