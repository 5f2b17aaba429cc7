"""Meta-regression: effect sizes of independent trials against characteristics of the trials."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import overload

import numpy as np
import pandas as pd
from formulaic import Formula, ModelSpec, model_matrix
from scipy import special

from backpain_analysis.engine.heterogeneity import (
    ESTIMATORS,
    WeightedFit,
    estimate_tau2,
    q_profile,
    typical_variance,
)
from backpain_analysis.engine.mixed import fit
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.bayes.model import AnyPrior, pooling_model
from backpain_analysis.models.bayes.posterior import RegressionPosterior, regression
from backpain_analysis.models.pairwise.formulas import new_rows
from backpain_analysis.models.pairwise.pooling import check_options
from backpain_analysis.models.results import Coefficients, quantile, wald_test

INTERCEPT = "Intercept"


@dataclass(frozen=True)
class MetaRegressionResult(Coefficients):
    """A fitted meta-regression.

    Attributes
    ----------
    test : str
        "z" or "knapp-hartung".
    tau2, tau2_ci_low, tau2_ci_high : float
        Residual between-trial variance with its Q-profile interval.
    r2 : float
        Per cent of the between-trial variance explained, against the intercept-only model by the
        same method (Raudenbush 1994; Lopez-Lopez et al. 2014, doi 10.1111/bmsp.12002); zero
        where negative, missing where there is nothing to explain or no intercept.
    i2, h2 : float
        Of the residual heterogeneity, I2 in per cent.
    q, q_df, q_p : float
        Test of residual heterogeneity (QE).
    omnibus : Series
        Joint test of all coefficients but the intercept (QM; of the intercept where it is
        alone): `statistic, df_num, df_denom, p_value`, F for "knapp-hartung", else chi-square.
    n_trials : int
    dropped : tuple
        Index labels of rows left out because a variable of the model was missing.
    data : DataFrame
        The rows that entered.
    table : DataFrame
        Their `yi, vi, fitted, weight` (per cent).
    """

    test: str
    tau2: float
    tau2_ci_low: float
    tau2_ci_high: float
    r2: float
    i2: float
    h2: float
    q: float
    q_df: int
    q_p: float
    omnibus: pd.Series = field(repr=False)
    n_trials: int
    dropped: tuple
    formula: str
    data: pd.DataFrame = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    spec: ModelSpec = field(repr=False)

    @property
    def vif(self) -> pd.Series:
        """Variance inflation factor of each coefficient but the intercept.

        Its variance over that if the moderators were uncorrelated (Belsley, Kuh & Welsch 1980).
        """
        names = [name for name in self.params.index if name != INTERCEPT]
        cov = self.cov.loc[names, names].to_numpy()
        return pd.Series(np.diag(cov) * np.diag(np.linalg.inv(cov)), names)

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
        needed = sorted(map(str, self.spec.required_variables))
        _need_columns(needed, new_data)
        missing = new_data.index[new_data[needed].isna().any(axis=1)]
        if len(missing):
            rows = ", ".join(map(str, missing))
            raise ValueError(f"rows {rows} of the new data miss a moderator: give all values.")
        X = new_rows(self.spec, new_data)
        estimate = X @ self.params.to_numpy()
        variance = np.einsum("ij,jk,ik->i", X, self.cov.to_numpy(), X)
        critical = quantile(self.level, self.df)
        half, reach = critical * np.sqrt(variance), critical * np.sqrt(variance + self.tau2)
        columns = {"estimate": estimate, "se": np.sqrt(variance)}
        columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
        columns |= {"pi_low": estimate - reach, "pi_high": estimate + reach}
        return pd.DataFrame(columns, index=new_data.index)

    def _title(self) -> str:
        return f"Meta-regression of {self.n_trials} trials: {self.formula}"

    def _note(self) -> str:
        r2 = "" if np.isnan(self.r2) else f"R² {self.r2:.1f}%; "
        lost = ", ".join(map(str, self.dropped))
        return (
            f"{self.method}, {self.test}; tau² {self.tau2:.4g}; {r2}omnibus P = "
            f"{self.omnibus['p_value']:.3g}; residual heterogeneity P = {self.q_p:.3g}."
            + (f" Left out, with missing values: {lost}." if lost else "")
        )


@overload
def meta_regression(
    formula: str,
    data: pd.DataFrame,
    *,
    vi: str = "vi",
    method: str = "REML",
    test: str = "knapp-hartung",
    level: float = 0.95,
    prior: None = None,
) -> MetaRegressionResult: ...


@overload
def meta_regression(
    formula: str, data: pd.DataFrame, *, vi: str = "vi", level: float = 0.95, prior: AnyPrior
) -> RegressionPosterior: ...


def meta_regression(
    formula: str,
    data: pd.DataFrame,
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
    data : DataFrame
        A row a trial. Rows with a missing value in a variable of the model are left out and
        named in the result.
    vi : str
        Column of the sampling variances.
    method : {"REML", "ML", "CE", "DL", "HE", "HS", "SJ", "PM", "EB"}
        Estimator of tau2 (see `heterogeneity.estimate_tau2`); "CE" has none.
    test : {"knapp-hartung", "z"}
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
    """
    check_options(method, test, level)
    complete, dropped = _complete(formula, data, vi)
    parts = model_matrix(formula, complete, na_action="raise")
    if not hasattr(parts, "rhs") or parts.lhs.shape[1] != 1:
        raise ValueError(f"formula {formula!r} needs one number on the left, as 'yi ~ weeks'.")
    y, v = _effects(parts.lhs, complete, vi)
    X, names = parts.rhs.to_numpy(dtype=float), list(parts.rhs.columns)
    k, p = X.shape
    if prior is not None:
        labels = tuple(map(str, complete.index))
        model = replace(pooling_model(y, v, labels=labels), X=X, names=tuple(names))
        return regression(model, prior, level, partial(new_rows, parts.rhs.model_spec), dropped)
    if k <= p and (method != "CE" or test == "knapp-hartung" or k < p):
        raise CannotEstimate(
            f"{k} trials cannot estimate {p} coefficients ({', '.join(names)}) and what is left",
            "use fewer moderators",
        )
    common = fit(y, X, v, method="CE", names=names)
    tau2, llf = _heterogeneity(y, v, X, method)
    weighted = WeightedFit(y, v, X, tau2)
    if method != "REML":
        llf = -0.5 * (float(np.sum(np.log(2 * np.pi / weighted.weights))) + weighted.rss)
    llf = float(llf)
    cov, df = weighted.cov, np.inf
    if test == "knapp-hartung":
        cov, df = cov * weighted.rss / (k - p), float(k - p)
    n_parameters = p + (method != "CE")
    n_effective = k - p * (method == "REML")
    i2, h2 = _relative(tau2, common.rss, v, X, method)
    low, high = q_profile(y, v, X, level)
    return MetaRegressionResult(
        params=pd.Series(weighted.beta, names),
        cov=pd.DataFrame(cov, names, names),
        df=df,
        level=level,
        llf=llf,
        aic=-2 * llf + 2 * n_parameters,
        bic=-2 * llf + float(np.log(n_effective)) * n_parameters,
        method=method,
        test=test,
        tau2=tau2,
        tau2_ci_low=low,
        tau2_ci_high=high,
        r2=_explained(tau2, y, v, method) if INTERCEPT in names else np.nan,
        i2=i2,
        h2=h2,
        q=common.rss,
        q_df=k - p,
        q_p=float(special.chdtrc(k - p, common.rss)) if k > p else np.nan,
        omnibus=_omnibus(weighted.beta, cov, names, df),
        n_trials=k,
        dropped=dropped,
        formula=formula,
        data=complete,
        table=pd.DataFrame(
            {
                "yi": y,
                "vi": v,
                "fitted": X @ weighted.beta,
                "weight": 100 * weighted.weights / weighted.weights.sum(),
            },
            index=complete.index,
        ),
        spec=parts.rhs.model_spec,
    )


def _need_columns(needed: list[str], data: pd.DataFrame) -> None:
    missing = [name for name in needed if name not in data.columns]
    if missing:
        raise ValueError(
            f"no column {', '.join(map(repr, missing))}; the data have "
            f"{', '.join(map(str, data.columns))}."
        )


def _complete(formula: str, data: pd.DataFrame, vi: str) -> tuple[pd.DataFrame, tuple]:
    """Rows without missing values, and the index labels of the others."""
    used = sorted({*map(str, Formula(formula).required_variables), vi})
    _need_columns(used, data)
    kept = data[used].notna().all(axis=1)
    if not kept.any():
        raise CannotEstimate(f"no row of the data has all of {', '.join(used)}")
    return data[kept], tuple(data.index[~kept])


def _effects(left: pd.DataFrame, data: pd.DataFrame, vi: str) -> tuple[np.ndarray, np.ndarray]:
    columns = {left.columns[0]: left.iloc[:, 0], vi: data[vi]}
    numbers = {
        name: pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
        for name, column in columns.items()
    }
    y, v = numbers.values()
    wrong = ~np.isfinite(y) | ~np.isfinite(v) | ~(v > 0)
    if wrong.any():
        faults = [
            f"row {data.index[i]}: {', '.join(f'{n} = {c.iloc[i]}' for n, c in columns.items())}"
            for i in np.flatnonzero(wrong)
        ]
        raise ValueError(f"{'; '.join(faults)}; both must be numbers and {vi} above zero.")
    return y, v


def _heterogeneity(y: np.ndarray, v: np.ndarray, X: np.ndarray, method: str) -> tuple[float, float]:
    """Residual tau2 and, for ML and REML, the log-likelihood."""
    if method == "CE":
        return 0.0, np.nan
    if method in ESTIMATORS:
        return estimate_tau2(y, v, X, method), np.nan
    model = fit(y, X, v, terms=[RandomTerm(np.ones((len(y), 1)))], method=method)
    return float(model.psi[0][0, 0]), model.llf


def _explained(tau2: float, y: np.ndarray, v: np.ndarray, method: str) -> float:
    total, _ = _heterogeneity(y, v, np.ones((len(y), 1)), method)
    if total <= 1e-8 * v.min():
        return np.nan
    return max(0.0, 100 * (total - tau2) / total)


def _relative(
    tau2: float, q: float, v: np.ndarray, X: np.ndarray, method: str
) -> tuple[float, float]:
    """I2 (per cent) and H2 of the residual heterogeneity, as in `pool`."""
    df = len(v) - X.shape[1]
    if df == 0:
        return np.nan, np.nan
    if method == "CE":
        h2 = max(1.0, q / df)
        return 100 * (h2 - 1) / h2, h2
    ratio = tau2 / typical_variance(v, X)
    return 100 * ratio / (1 + ratio), 1 + ratio


def _omnibus(beta: np.ndarray, cov: np.ndarray, names: list[str], df: float) -> pd.Series:
    tested = [i for i, name in enumerate(names) if name != INTERCEPT] or [0]
    if not cov.any():
        empty = {"statistic": np.nan, "df_num": len(tested), "df_denom": df, "p_value": np.nan}
        return pd.Series(empty)
    return wald_test(beta[tested], cov[np.ix_(tested, tested)], df)
