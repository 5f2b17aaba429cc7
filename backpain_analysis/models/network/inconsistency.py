"""Heterogeneity within designs and inconsistency between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.models.mixed import MixedFit
from backpain_analysis.models.network.estimation import at_tau2, estimate
from backpain_analysis.models.report import Report

if TYPE_CHECKING:
    from backpain_analysis.models.network.result import NetworkResult


def heterogeneity(result: NetworkResult) -> pd.DataFrame:
    """Cochran's Q of the network and its parts within and between designs.

    `I2 = (Q - df) / Q`; the design of a trial is the set of treatments it compares; within
    designs Q is what remains when every design has effects of its own (Krahn, Binder & König
    2013, doi 10.1186/1471-2288-13-35; Higgins et al. 2012, doi 10.1002/jrsm.1044).

    Returns
    -------
    DataFrame
        Rows "total", "within designs", "between designs": `q, df, p_value`, with `tau2, tau, i2`
        (per cent) in the first.
    """
    q, q_within, df, df_within = _q_parts(result)
    total = {"q": q, "df": df, "tau2": result.tau2, "tau": result.tau}
    total["i2"] = 100 * max(0.0, (q - df) / q) if q > 0 else 0.0
    rows = [
        total,
        {"q": q_within, "df": df_within},
        {"q": q - q_within, "df": df - df_within},
    ]
    table = pd.DataFrame(rows, index=["total", "within designs", "between designs"])
    p = [
        float(special.chdtrc(n, max(x, 0.0))) if n else np.nan for x, n in table[["q", "df"]].values
    ]
    table.insert(2, "p_value", p)
    return table.astype({"df": int})


def _q_parts(result: NetworkResult) -> tuple[float, float, int, int]:
    X, _ = design_columns(result)
    within = at_tau2(result.data, X, 0.0)
    df = len(result.data.y) - len(result.params)
    return result.common.rss, within.rss, df, len(result.data.y) - X.shape[1]


def design_columns(result: NetworkResult) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Model matrix in which every design has effects of its own.

    Returns
    -------
    X : ndarray, shape (n_rows, sum over designs of treatments - 1)
    designs : list of tuple of int
        The design of each column, as codes of its treatments.
    """
    data = result.data
    designs = data.designs()
    rows = designs.reindex(data.trial).to_numpy()
    columns = [(design, code) for design in dict.fromkeys(designs) for code in design[1:]]
    place = {key: number for number, key in enumerate(columns)}
    X = np.zeros((len(data.y), len(place)))
    for row, design in enumerate(rows):
        for code, sign in ((data.treatment[row], 1.0), (data.versus[row], -1.0)):
            if code != design[0]:
                X[row, place[(design, code)]] = sign
    return X, [design for design, _ in columns]


@dataclass(frozen=True, repr=False)
class DesignInconsistency(Report):
    """Design-by-treatment interaction.

    Attributes
    ----------
    statistic, df, p_value : float
        Wald test that the effects of all designs agree, chi-square.
    tau2_consistency, tau2_inconsistency : float
        Heterogeneity with and without the assumption that they agree.
    designs : DataFrame
        `design, trials, df, q_within, q_between_without_it`: the last is Q between designs when
        the design is left to have effects of its own.
    """

    statistic: float
    df: int
    p_value: float
    tau2_consistency: float
    tau2_inconsistency: float
    designs: pd.DataFrame

    def _title(self) -> str:
        return "Design-by-treatment interaction"


def design_inconsistency(result: NetworkResult) -> DesignInconsistency:
    """Test whether designs agree, with heterogeneity estimated within designs.

    Effects that differ by design are fitted with the method of the network (REML for "DL", as the
    moments of a saturated model may be negative); the Wald test compares them with consistent
    ones at that heterogeneity. Source: Higgins et al. 2012 (doi 10.1002/jrsm.1044); White et al.
    2012 (doi 10.1002/jrsm.1045).

    Returns
    -------
    DesignInconsistency
        With a missing statistic where no two designs overlap.
    """
    data = result.data
    X, of = design_columns(result)
    spare = X.shape[1] - len(result.params)
    method = {"CE": "CE", "ML": "ML"}.get(result.method, "REML")
    full = estimate(data, X, method if len(data.y) > X.shape[1] else "CE")
    statistic = np.nan
    if spare:
        consistent = at_tau2(data, result.engine.X, full.tau2)
        statistic = max(0.0, consistent.rss - full.model.rss)
    return DesignInconsistency(
        statistic=statistic,
        df=spare,
        p_value=float(special.chdtrc(spare, statistic)) if spare else np.nan,
        tau2_consistency=result.tau2,
        tau2_inconsistency=full.tau2,
        designs=_by_design(result, X, of),
    )


def _by_design(result: NetworkResult, X: np.ndarray, of: list[tuple[int, ...]]) -> pd.DataFrame:
    """Q within each design, and Q between designs with each detached in turn."""
    data = result.data
    designs = data.designs()
    rows = designs.reindex(data.trial).to_numpy()
    within = at_tau2(data, X, 0.0)
    residual = data.y - X @ within.beta
    table = []
    for design in dict.fromkeys(designs):
        inside = np.array([own == design for own in rows])
        own = X[:, [column == design for column in of]]
        detached = np.hstack([result.common.X * ~inside[:, None], own])
        table.append(
            {
                "design": ":".join(data.treatments[code] for code in design),
                "trials": int((designs == design).sum()),
                "df": int(inside.sum()) - (len(design) - 1),
                "q_within": _quadratic(residual * inside, within),
                "q_between_without_it": max(0.0, _q(result, detached) - within.rss),
            }
        )
    return pd.DataFrame(table)


def _quadratic(x: np.ndarray, model: MixedFit) -> float:
    """`x' V^-1 x`."""
    return sum(
        float(np.einsum("bi,bij,bj->", x[rows], W, x[rows]))
        for rows, W in zip(model.blocks.batches, model.precision, strict=True)
    )


def _q(result: NetworkResult, X: np.ndarray) -> float:
    """Q of the common-effect model on the span of X, whatever its rank."""
    basis, size, _ = np.linalg.svd(X, full_matrices=False)
    return at_tau2(result.data, basis[:, size > 1e-10 * size.max()], 0.0).rss
