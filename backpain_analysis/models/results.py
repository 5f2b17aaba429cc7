"""What every result has in common: coefficients, intervals and tests, as in statsmodels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.display import html_table, with_numbers
from backpain_analysis.engine.tails import t_quantile, t_tail
from backpain_analysis.words import benefit_sign, plural


class Summary(pd.DataFrame):
    """A table that prints at full width, whatever the terminal's."""

    @property
    def _constructor(self) -> type[Summary]:
        return Summary

    def __repr__(self) -> str:
        return self.to_string(float_format=lambda value: f"{value:.5g}")


def checked_level(level: float) -> float:
    """A confidence level as a share; 95 is refused with what would be right.

    Raises
    ------
    ValueError
    """
    if fault := level_fault(level):
        raise ValueError(f"{fault}.")
    return float(level)


def level_fault(level: float) -> str:
    """What is wrong with a confidence level; empty where nothing is."""
    if not isinstance(level, int | float | np.number):
        return f"level {level!r} is no number: give a share such as 0.95"
    if 0 < level < 1:
        return ""
    cure = f"; for {level:g}% give {level / 100:g}" if 1 < level < 100 else ""
    return f"level {level:g} must lie between 0 and 1{cure}"


def check_choices(level: float, **chosen: tuple[object, Sequence[object]]) -> None:
    """Refuse a confidence level or a word that cannot be.

    Parameters
    ----------
    level : float
    **chosen
        By the argument's name: its value, and those it may have.

    Raises
    ------
    ValueError
        Every fault is named.
    """
    faults = [
        f"unknown {name} {value!r}: use one of {', '.join(map(str, allowed))}"
        for name, (value, allowed) in chosen.items()
        if value not in allowed
    ]
    if fault := level_fault(level):
        faults.append(fault)
    if faults:
        raise ValueError(f"{'; '.join(faults)}.")


WALD = ("t", "z")
"""The words of `test` where intervals are of Wald's kind."""

SINGULAR = 1e14
"""Condition of a correlation matrix that counts as having no inverse."""

Df: TypeAlias = "float | pd.Series"
"""Degrees of freedom: one for all coefficients, or one each; infinite for normal tests."""


def quantile(level: float, df: Df) -> Any:
    """Two-sided critical value: t on `df` degrees of freedom, normal for infinite ones."""
    if not isinstance(df, pd.Series):
        return t_quantile((1 - level) / 2, float(df))
    values = df.to_numpy(dtype=float)
    finite = np.isfinite(values)
    t = scipy.special.stdtrit(np.where(finite, values, 1.0), (1 + level) / 2)
    return pd.Series(np.where(finite, t, scipy.special.ndtri((1 + level) / 2)), df.index)


def two_sided_p(statistic: np.ndarray, df: Df) -> np.ndarray:
    """P value of a t statistic, or of a z statistic for infinite degrees of freedom."""
    if np.ndim(statistic) == np.ndim(df) == 0:
        return np.array(2 * t_tail(abs(float(statistic)), float(np.asarray(df))))
    values, size = np.asarray(df, dtype=float), np.abs(statistic)
    finite = np.isfinite(values)
    t = scipy.special.stdtr(np.where(finite, values, 1.0), -size)
    return 2 * np.where(finite, t, scipy.special.ndtr(-size))


def wald_test(estimate: np.ndarray, cov: np.ndarray, df: float) -> pd.Series:
    """Joint test that `estimate` is zero: F on `df` denominator degrees, chi-square if infinite.

    Returns
    -------
    Series
        `statistic, df_num, df_denom, p_value`; the statistic is F or chi-square. Missing where the
        covariance has no inverse, as a robust one of few clusters.
    """
    size, wald = len(estimate), wald_statistic(estimate, cov)
    if np.isfinite(df):
        statistic, p = wald / size, float(scipy.special.fdtrc(size, df, wald / size))
    else:
        statistic, p = wald, float(scipy.special.chdtrc(size, wald))
    return pd.Series({"statistic": statistic, "df_num": size, "df_denom": df, "p_value": p})


def wald_statistic(estimate: np.ndarray, cov: np.ndarray) -> float:
    """`b' C^-1 b`; missing where the covariance C has no inverse."""
    scale = np.sqrt(np.maximum(np.diag(cov), 0.0))
    if not scale.min() > 0:
        return np.nan
    correlation, scaled = cov / np.outer(scale, scale), estimate / scale
    if np.linalg.cond(correlation) > SINGULAR:
        return np.nan
    return float(scaled @ np.linalg.solve(correlation, scaled))


class CoefficientTable:
    """What can be said of any `params` with their covariance `cov` and degrees of freedom `df`."""

    if TYPE_CHECKING:
        params: pd.Series
        cov: pd.DataFrame
        df: Df
        level: float
        llf: float
        aic: float
        bic: float
        method: str

    @property
    def benefit(self) -> int | None:
        """The sign of a benefit, -1 or 1; None where the outcome is not known."""
        outcome = getattr(self, "outcome", "")
        return benefit_sign(outcome) if outcome else None

    @property
    def bse(self) -> pd.Series:
        """Standard errors."""
        return pd.Series(np.sqrt(np.diag(self.cov)), self.params.index)

    @property
    def tvalues(self) -> pd.Series:
        return self.params / self.bse

    @property
    def pvalues(self) -> pd.Series:
        """Two-sided P values of the single coefficients."""
        return pd.Series(two_sided_p(self.tvalues.to_numpy(), self.df), self.params.index)

    def cov_params(self) -> pd.DataFrame:
        """Covariance of the coefficients."""
        return self.cov.copy()

    def conf_int(self, level: float | None = None) -> pd.DataFrame:
        """Confidence intervals, columns `ci_low` and `ci_high`."""
        level = self.level if level is None else checked_level(level)
        half = quantile(level, self.df) * self.bse
        return pd.DataFrame({"ci_low": self.params - half, "ci_high": self.params + half})

    def summary(self) -> Summary:
        """A row a coefficient: `estimate, se, ci_low, ci_high, p_value`."""
        return Summary(
            {"estimate": self.params, "se": self.bse, **self.conf_int(), "p_value": self.pvalues}
        )

    def to_frame(self) -> pd.DataFrame:
        """The coefficients as a plain table, as in `summary`."""
        return pd.DataFrame(self.summary())

    def __repr__(self) -> str:
        shown = f"{len(self.params)} coefficients"
        if len(self.params) == 1:
            low, high = self.conf_int().iloc[0]
            shown = f"{self.params.iloc[0]:.4g} ({100 * self.level:g}% CI {low:.4g} to {high:.4g})"
        trials = getattr(self, "n_trials", None)
        of = "" if trials is None else f", {plural(trials, 'trial')}"
        return f"<{type(self).__name__}: {shown}{of}>"

    def __str__(self) -> str:
        return f"{self._title()}\n{self.summary()}\n{self._note()}"

    def _title(self) -> str:
        return type(self).__name__

    def _note(self) -> str:
        return f"{self.method}; log-likelihood {self.llf:.3f}; AIC {self.aic:.2f}."

    def _repr_html_(self) -> str:
        table = self.summary().rename_axis("coefficient").reset_index()
        return html_table(table, title=self._title(), note=self._note())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return with_numbers(self._repr_html_(), self.summary())


@dataclass(frozen=True, repr=False)
class Coefficients(CoefficientTable):
    """Estimated coefficients with their covariance.

    Attributes
    ----------
    params : Series
        Estimates by name.
    cov : DataFrame
        Their covariance.
    df : float or Series
        Degrees of freedom of the t reference distribution; infinite for the normal one.
    level : float
        Confidence level of intervals.
    llf, aic, bic : float
    method : str
        Estimator of the variance parameters.
    """

    params: pd.Series = field(repr=False)
    cov: pd.DataFrame = field(repr=False)
    df: Df
    level: float
    llf: float
    aic: float
    bic: float
    method: str


class TableResult:
    """Base of frozen dataclasses; `summary` is one row of the plain fields unless overridden."""

    def summary(self) -> pd.DataFrame:
        """The result as a table."""
        named = fields(self)  # type: ignore[arg-type]
        values = {field.name: getattr(self, field.name) for field in named}
        plain = {name: value for name, value in values.items() if np.isscalar(value)}
        return pd.DataFrame([plain])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._title()}>"

    def __str__(self) -> str:
        return f"{self._title()}\n{Summary(self.summary())}"

    def _title(self) -> str:
        return type(self).__name__

    def _note(self) -> str | None:
        return None

    def _repr_html_(self) -> str:
        return html_table(self.summary(), title=self._title(), note=self._note())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return with_numbers(self._repr_html_(), self.summary())
