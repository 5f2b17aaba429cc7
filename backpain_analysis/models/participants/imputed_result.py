"""Any model over completed data sets, pooled by Rubin's rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from backpain_analysis.models.participants.imputation import Imputations
from backpain_analysis.models.participants.rubin import pool_imputations
from backpain_analysis.models.results import Coefficients, quantile


@dataclass(frozen=True)
class ImputedResult(Coefficients):
    """A model fitted to every completed data set, pooled by Rubin's rules.

    Attributes
    ----------
    riv, fmi : Series
        Relative increase in variance, and fraction of missing information, a coefficient.
    m : int
    results : tuple
        The results of the single data sets.
    """

    riv: pd.Series = field(repr=False)
    fmi: pd.Series = field(repr=False)
    m: int
    results: tuple = field(repr=False)

    def predict(self, *arguments: Any, **options: Any) -> pd.DataFrame:
        """The models' own `predict`, each row pooled by Rubin's rules.

        Returns
        -------
        DataFrame
            As from the model, without its prediction interval.
        """
        frames = [result.predict(*arguments, **options) for result in self.results]
        first = frames[0]
        rows = []
        for row in range(len(first)):
            estimate = [[frame["estimate"].iloc[row]] for frame in frames]
            variance = [[[frame["se"].iloc[row] ** 2]] for frame in frames]
            if np.sum(variance) == 0:
                rows.append((estimate[0][0], 0.0, np.inf))
                continue
            found = pool_imputations(estimate, variance, float(np.min(self.results[0].df)))
            rows.append((found.params[0], np.sqrt(found.cov[0, 0]), found.df[0]))
        estimate, se, df = (np.array(column) for column in zip(*rows, strict=True))
        half = quantile(self.level, pd.Series(df)).to_numpy() * se
        kept = first.drop(columns=["pi_low", "pi_high"], errors="ignore")
        return kept.assign(
            estimate=estimate, se=se, ci_low=estimate - half, ci_high=estimate + half
        )

    def summary(self) -> pd.DataFrame:
        """As of any result, with `df` and the fraction of missing information `fmi`."""
        return super().summary().assign(df=self.df, fmi=self.fmi)

    def plot(self, **options: Any):
        """The curve with its intervals: see `figures.dose_effects`."""
        from backpain_analysis.figures.dose_effects import dose_effects

        return dose_effects(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return {
            "m": self.m,
            "level": self.level,
            "params": self.params.to_dict(),
            "cov_params": self.cov.to_numpy().tolist(),
            **{name: getattr(self, name).to_dict() for name in ("df", "riv", "fmi")},
        }

    def _title(self) -> str:
        return f"{self.results[0]._title()}, {self.m} imputations"

    def _note(self) -> str:
        return f"Rubin's rules, degrees of freedom of Barnard and Rubin. {self.results[0]._note()}"


def with_imputations(
    imputations: Imputations, model: Callable[[pd.DataFrame], Coefficients]
) -> ImputedResult:
    """Fit a model to every completed data set and pool it by Rubin's rules.

    Parameters
    ----------
    imputations : Imputations
    model : callable
        From a table of visits to a result, such as `lambda table: clda(table, curve="linear")`.

    Returns
    -------
    ImputedResult

    Raises
    ------
    ValueError
        If the coefficients differ between data sets.
    """
    results = tuple(model(table) for table in imputations)
    first = results[0]
    if any(list(result.params.index) != list(first.params.index) for result in results):
        raise ValueError("the model has other coefficients in some of the completed data sets.")
    names = first.params.index
    complete = np.broadcast_to(np.asarray(first.df, dtype=float), len(names))
    found = pool_imputations(
        [result.params.to_numpy() for result in results],
        [result.cov_params().to_numpy() for result in results],
        complete,
    )
    return ImputedResult(
        params=pd.Series(found.params, names),
        cov=pd.DataFrame(found.cov, names, names),
        df=pd.Series(found.df, names),
        level=first.level,
        llf=np.nan,
        aic=np.nan,
        bic=np.nan,
        method=f"{first.method}, multiple imputation",
        riv=pd.Series(found.riv, names),
        fmi=pd.Series(found.fmi, names),
        m=imputations.m,
        results=results,
    )
