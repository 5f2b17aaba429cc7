"""What a multilevel model says of its levels and single clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.engine.mixed import MixedFit, fit, times_precision
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.results import SINGULAR, quantile

if TYPE_CHECKING:
    from backpain_analysis.models.pairwise.multilevel import MultilevelResult


def check_groups(terms: Sequence[RandomTerm]) -> None:
    """Refuse random effects of a single group: they are one draw, or the intercept again.

    Raises
    ------
    CannotEstimate
    """
    for term in terms:
        if term.structure == "unstructured" and len(np.unique(np.asarray(term.levels))) < 2:
            raise CannotEstimate(
                f"all effects are of one group of {term.name!r}, so how groups differ cannot be "
                "told",
                "leave the term out, or use method='CE'",
            )


def covariances(result: MultilevelResult) -> list[np.ndarray]:
    """The known sampling covariance, a matrix a block."""
    known = result.covariance
    if not isinstance(known, np.ndarray):
        return list(known)
    return [np.diag(known[rows]) for rows in _rows(result.engine)]


def _rows(model: MixedFit) -> list[np.ndarray]:
    """Rows of each block, in the order of its labels."""
    found: dict[int, np.ndarray] = {}
    for rows, members in zip(model.blocks.batches, model.blocks.members, strict=True):
        found |= dict(zip(members.tolist(), rows, strict=True))
    return [found[member] for member in range(len(found))]


def _labels(model: MixedFit) -> np.ndarray:
    labels = np.zeros(model.n_rows, dtype=int)
    for number, rows in enumerate(_rows(model)):
        labels[rows] = number
    return labels


def _levels(model: MixedFit, term: RandomTerm) -> np.ndarray:
    return _labels(model) if term.levels is None else np.asarray(term.levels)


def _term(result: MultilevelResult, name: str | None) -> tuple[str, RandomTerm]:
    intercepts = {term.name: term for term in result.engine.terms if term.design.shape[1] == 1}
    name = next(iter(intercepts), "") if name is None else name
    if name not in intercepts:
        raise ValueError(f"no random intercept {name!r}; there are {', '.join(intercepts)}.")
    return name, intercepts[name]


def predicted_effects(result: MultilevelResult, name: str | None, level: float) -> pd.DataFrame:
    """Best linear unbiased predictions of a term's random intercepts; see `blups`.

    `u = s2 Z'P y` with error variance `s2 - s2^2 Z'PZ` (Harville 1977; Robinson 1991,
    doi 10.1214/ss/1177011926).
    """
    name, term = _term(result, name)
    model, s2 = result.engine, float(result.sigma2[name])
    levels = _levels(model, term)
    residual = model.y - model.X @ model.beta
    estimate, variance = np.zeros(model.n_rows), np.zeros(model.n_rows)
    for rows, W in zip(model.blocks.batches, model.precision, strict=True):
        Z = levels[rows][:, :, None] == levels[rows][:, None, :]
        Z = Z * term.design[rows, 0][:, None, :]
        ZW = Z @ W
        ZWX = ZW @ model.X[rows]
        within = np.einsum("bij,bij->bi", ZW, Z)
        within -= np.einsum("bip,pq,biq->bi", ZWX, model.cov_beta, ZWX)
        estimate[rows] = s2 * np.einsum("bij,bj->bi", ZW, residual[rows])
        variance[rows] = s2 - s2**2 * within
    first = np.sort(np.unique(levels, return_index=True)[1])
    columns = [column.strip() for column in name.split("|")[-1].split("/")]
    index = result.data[columns].astype(str).agg("/".join, axis=1).iloc[first]
    se = np.sqrt(np.maximum(variance[first], 0.0))
    df = result.df if isinstance(result.df, float) else np.inf
    half = quantile(level, df) * se
    values = {"estimate": estimate[first], "se": se}
    values |= {"pi_low": estimate[first] - half, "pi_high": estimate[first] + half}
    return pd.DataFrame(values, index=pd.Index(index, name=name))


FAR = 2.0**30
"""A variance this many times the typical one, and not rejected, has no upper limit."""


def profile_intervals(result: MultilevelResult, level: float) -> pd.DataFrame:
    """Profile-likelihood intervals of the variances of random intercepts; see `MultilevelResult`.

    Each variance is held at a value, the others are estimated anew, and what a likelihood-ratio
    test on one degree of freedom does not reject is inside (Hardy & Thompson 1996). Where data
    set no upper limit it is infinite.
    """
    drop = float(scipy.special.chdtri(1, 1 - level))
    rows = {}
    for name, s2 in result.sigma2.items():
        gap = _gap(result, str(name), drop)
        low = 0.0
        if gap(0.0) < 0:
            low = float(scipy.optimize.brentq(gap, 0.0, s2, xtol=1e-9 * s2, rtol=1e-9))
        typical = max(float(s2), result.typical_variance)
        high = 2 * typical
        while gap(high) > 0 and high < FAR * typical:
            high *= 2
        if high < FAR * typical:
            high = float(scipy.optimize.brentq(gap, float(s2), high, xtol=1e-9 * high, rtol=1e-9))
        else:
            high = np.inf
        rows[name] = {"estimate": s2, "ci_low": low, "ci_high": high}
    return pd.DataFrame.from_dict(rows, orient="index")


def _gap(result: MultilevelResult, name: str, drop: float) -> Callable[[float], float]:
    """How far twice the log-likelihood at a value of one variance lies above the limit."""
    model = result.engine
    number = next(i for i, term in enumerate(model.terms) if term.name == name)
    own, others = model.terms[number], [t for i, t in enumerate(model.terms) if i != number]
    levels, known, labels = _levels(model, own), covariances(result), _labels(model)
    blocks = _rows(model)
    z = own.design[:, 0]
    added = [
        (levels[rows][:, None] == levels[rows]) * np.outer(z[rows], z[rows]) for rows in blocks
    ]

    def gap(value: float) -> float:
        held = [S + value * K for S, K in zip(known, added, strict=True)]
        if others:
            llf = _free(model, held, labels, others)
        else:
            llf = _fixed(model, held, labels)
        return 2 * (llf - result.llf) + drop

    return gap


def _free(
    model: MixedFit, held: list[np.ndarray], labels: np.ndarray, others: list[RandomTerm]
) -> float:
    return fit(model.y, model.X, held, blocks=labels, terms=others, method=model.method).llf


def _fixed(model: MixedFit, held: list[np.ndarray], labels: np.ndarray) -> float:
    """Log-likelihood with every variance held."""
    found = fit(model.y, model.X, held, blocks=labels, method="CE")
    if model.method != "REML":
        return found.llf
    X, p = model.X, model.X.shape[1]
    logdet = np.linalg.slogdet(X.T @ X)[1] + np.linalg.slogdet(found.cov_beta)[1]
    return found.llf + 0.5 * float(logdet + p * np.log(2 * np.pi))


def influence_by(
    result: MultilevelResult, cluster: np.ndarray, *, reestimate: bool
) -> pd.DataFrame:
    """How the model changes without each cluster in turn; see `MultilevelResult.influence`."""
    model = result.engine
    names = list(result.params.index)
    blocks, known = _rows(model), covariances(result)
    precision = model.X.T @ times_precision(model, model.X)
    leverage = residuals(result)["hat"].to_numpy()
    table = []
    for out, rest in _without_each(result, cluster, reestimate=reestimate):
        n, told = int(out.sum()), {"n_rows": int(out.sum()), "hat": float(leverage[out].sum())}
        if rest is None:
            empty = ["cook_d", "chi_square", "p", *(f"dfbetas {name}" for name in names)]
            table.append(told | dict.fromkeys(empty, np.nan))
            continue
        shift = model.beta - rest.beta
        error, V = _deleted(result, rest, out)
        statistic = float(error @ _solved(V, error))
        told["cook_d"] = float(shift @ precision @ shift)
        told |= {"chi_square": statistic, "p": float(scipy.special.chdtrc(n, statistic))}
        spread = np.diag(_covariance_of_all(model, rest, known, blocks))
        dfbetas = shift / np.sqrt(np.where(spread > 0, spread, np.nan))
        table.append(told | {f"dfbetas {n}": d for n, d in zip(names, dfbetas, strict=True)})
    return pd.DataFrame(table, index=pd.Index(pd.unique(cluster), name="cluster"))


def residuals(result: MultilevelResult) -> pd.DataFrame:
    """Marginal residuals of each row; see `MultilevelResult.residuals`."""
    model = result.engine
    error = model.y - model.X @ model.beta
    hat, variance = np.zeros(model.n_rows), np.zeros(model.n_rows)
    for rows, W in zip(model.blocks.batches, model.precision, strict=True):
        X = model.X[rows]
        spread = np.einsum("bip,pq,bjq->bij", X, model.cov_beta, X)
        hat[rows] = np.einsum("bij,bji->bi", spread, W)
        variance[rows] = np.einsum("bii->bi", np.linalg.inv(W) - spread)
    se = np.sqrt(np.where(variance > 1e-10 * model.y.var(), variance, np.nan))
    table = {"fitted": model.y - error, "residual": error, "se": se, "rstandard": error / se}
    return pd.DataFrame(table | {"hat": hat}, result.data.index)


def deleted_residuals(result: MultilevelResult, cluster: np.ndarray) -> pd.DataFrame:
    """Residuals from fits without the row's cluster; see `MultilevelResult.deleted_residuals`."""
    table = np.full((len(cluster), 2), np.nan)
    for out, rest in _without_each(result, cluster, reestimate=True):
        if rest is not None:
            error, V = _deleted(result, rest, out)
            table[out] = np.column_stack([error, np.sqrt(np.diag(V))])
    found = pd.DataFrame(table, result.data.index, ["residual", "se"])
    return found.assign(rstudent=found["residual"] / found["se"])


def _without_each(
    result: MultilevelResult, cluster: np.ndarray, *, reestimate: bool
) -> Iterator[tuple[np.ndarray, MixedFit | None]]:
    """Which rows each cluster has, and the fit of the others (None where they cannot carry it)."""
    model = result.engine
    blocks, labels = _rows(model), _labels(model)
    known = covariances(result)
    if not reestimate:
        pairs = zip(known, blocks, strict=True)
        known = [_block(model, model, S, rows) for S, rows in pairs]
    for label in pd.unique(cluster):
        out = cluster == label
        keep = ~out
        kept = [
            S[np.ix_(keep[rows], keep[rows])]
            for rows, S in zip(blocks, known, strict=True)
            if keep[rows].any()
        ]
        terms = [
            replace(term, design=term.design[keep], levels=_levels(model, term)[keep])
            for term in model.terms
        ]
        try:
            if reestimate and model.method != "CE":
                check_groups(terms)
            rest = fit(
                model.y[keep],
                model.X[keep],
                kept,
                blocks=labels[keep],
                terms=terms if reestimate else (),
                method=model.method if reestimate else "CE",
                names=list(result.params.index),
            )
        except CannotEstimate:
            yield out, None
            continue
        yield out, rest if reestimate else replace(rest, psi=model.psi)


def _deleted(
    result: MultilevelResult, rest: MixedFit, out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Errors of predicting the rows left out, and their covariance."""
    model = result.engine
    X = model.X[out]
    V = _marginal(model, rest, covariances(result), _rows(model), out)
    return model.y[out] - X @ rest.beta, V + X @ rest.cov_beta @ X.T


def _marginal(
    model: MixedFit,
    rest: MixedFit,
    known: list[np.ndarray],
    blocks: list[np.ndarray],
    out: np.ndarray,
) -> np.ndarray:
    """Covariance of some rows by the variances of another fit, shape (n_out, n_out)."""
    place = np.cumsum(out) - 1
    V = np.zeros((int(out.sum()),) * 2)
    for rows, S in zip(blocks, known, strict=True):
        inside = out[rows]
        own = place[rows[inside]]
        V[np.ix_(own, own)] = _block(model, rest, S, rows)[np.ix_(inside, inside)]
    return V


def _block(model: MixedFit, rest: MixedFit, S: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Covariance of a block by the variances of another fit."""
    for term, psi in zip(model.terms, rest.psi, strict=True):
        level = _levels(model, term)[rows]
        Z = term.design[rows]
        S = S + (level[:, None] == level) * (Z @ psi @ Z.T)
    return S


def _solved(V: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """`V^-1` times columns; missing where V is beyond what a computer's numbers can turn around."""
    if np.linalg.cond(V) > SINGULAR:
        return np.full(columns.shape, np.nan)
    return np.linalg.solve(V, columns)


def _covariance_of_all(
    model: MixedFit, rest: MixedFit, known: list[np.ndarray], blocks: list[np.ndarray]
) -> np.ndarray:
    """Covariance of the coefficients from all rows, by the variances of another fit."""
    orthonormal, triangle = np.linalg.qr(model.X)
    information = np.zeros_like(model.cov_beta)
    for rows, S in zip(blocks, known, strict=True):
        X = orthonormal[rows]
        information += X.T @ _solved(_block(model, rest, S, rows), X)
    if not np.isfinite(information).all():
        return np.full_like(information, np.nan)
    back = np.linalg.inv(triangle)
    return back @ np.linalg.inv(information) @ back.T
