"""Cluster-robust covariance of fixed effects, with small-sample corrections.

Sources: Liang & Zeger 1986 (doi 10.1093/biomet/73.1.13) for CR0; Bell & McCaffrey 2002 and
Pustejovsky & Tipton 2018 (doi 10.1080/07350015.2016.1247004) for CR2 and the Satterthwaite
degrees of freedom; Tipton 2015 (doi 10.1037/met0000011) for their use in meta-analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.engine.likelihood import Blocks, NotDefinite, cholesky, group
from backpain_analysis.engine.mixed import MixedFit
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.words import plural

Kind = Literal["CR0", "CR1", "CR1S", "CR2"]

KINDS = ("CR0", "CR1", "CR1S", "CR2")


@dataclass(frozen=True)
class RobustCovariance:
    """A cluster-robust covariance and the degrees of freedom of any combination of coefficients.

    Attributes
    ----------
    cov : ndarray, shape (p, p)
    fallback_df : float
        Clusters - coefficients, used by all kinds but CR2.
    """

    cov: np.ndarray
    fallback_df: float
    _own: np.ndarray | None
    _shared: np.ndarray | None
    _bread: np.ndarray

    def df(self, combinations: np.ndarray) -> np.ndarray:
        """Degrees of freedom of each row of `combinations`.

        Parameters
        ----------
        combinations : ndarray, shape (k, p)

        Returns
        -------
        ndarray, shape (k,)
        """
        if self._own is None or self._shared is None:
            return np.full(len(combinations), self.fallback_df)
        h = np.einsum("gpr,kr->gkp", self._shared, combinations)
        a = np.einsum("kr,grs,ks->gk", combinations, self._own, combinations)
        hCh = np.einsum("gkp,pq,gkq->gk", h, self._bread, h)
        CH = self._bread @ np.einsum("gkp,gkq->kpq", h, h)
        total = np.sum((a - hCh) ** 2 - hCh**2, axis=0) + np.einsum("kpq,kqp->k", CH, CH)
        return np.sum(a - hCh, axis=0) ** 2 / np.where(total > 0, total, np.nan)

    def hotelling(self, L: np.ndarray, wald: float) -> pd.Series:
        """Joint test that `L beta` is zero: Hotelling's T2 with the degrees of freedom of Zhang.

        HTZ of Pustejovsky & Tipton 2018 (doi 10.1080/07350015.2016.1247004), section 3: with
        `A_gh` the covariance of the scores of clusters g and h, in units of the expected
        covariance, `eta = q (q + 1) / sum_gh [tr(A_gh)^2 + tr(A_gh A_gh)]`, and
        `(eta - q + 1) / (eta q)` times the Wald statistic is F on q and eta - q + 1 degrees.

        Parameters
        ----------
        L : ndarray, shape (q, p)
        wald : float
            The Wald statistic of these.

        Returns
        -------
        Series
            `statistic, df_num, df_denom, p_value`.
        """
        if self._own is None or self._shared is None:
            raise ValueError("Hotelling's test needs the covariance CR2.")
        q = len(L)
        expected = L @ self._bread @ L.T
        half = np.linalg.inv(np.linalg.cholesky(expected)) @ L
        own = half @ self._own @ half.T
        h = half @ self._shared.transpose(0, 2, 1)
        carried = h @ np.linalg.cholesky(self._bread)
        total = 0.0
        for g in range(len(own)):
            A = -carried[g] @ carried.transpose(0, 2, 1)
            A[g] += own[g]
            total += float(np.sum(np.einsum("hii->h", A) ** 2) + np.einsum("hij,hji->", A, A))
        eta = q * (q + 1) / total
        df = eta - q + 1
        statistic = df / (eta * q) * wald
        p = float(special.fdtrc(q, df, statistic)) if df > 0 else np.nan
        return pd.Series({"statistic": statistic, "df_num": q, "df_denom": df, "p_value": p})


def robust_covariance(model: MixedFit, cluster: Sequence, kind: Kind = "CR2") -> RobustCovariance:
    """Sandwich covariance of the fixed effects and degrees of freedom of each.

    `C [sum_g X_g' W_g A_g e_g e_g' A_g' W_g X_g] C` with `C = (X'WX)^-1` and W the inverse of the
    model's marginal covariance V. A_g is the identity (CR0), times `sqrt(m/(m-p))` (CR1, as in
    metafor; clubSandwich calls it CR1p) or `sqrt(m (N-1)/((m-1)(N-p)))` (CR1S, as in Stata) for m
    clusters, N rows, p coefficients, or `D'(D (V_g - X_g C X_g') D')^(-1/2) D` with `V_g = D'D`
    (CR2), which is unbiased where the model is right.

    Degrees of freedom of a combination c: for CR2 Satterthwaite's,
    `(sum_g s_gg)^2 / sum_gh s_gh^2` with `s_gh = q_g' (V_gh - X_g C X_h') q_h`,
    `q_g = A_g W_g X_g C c`, summed in time linear in the number of clusters; for the others m - p.

    Parameters
    ----------
    model : MixedFit
    cluster : sequence, shape (n_rows,)
        Each block of the model must lie inside one cluster.
    kind : {"CR0", "CR1", "CR1S", "CR2"}

    Returns
    -------
    RobustCovariance

    Raises
    ------
    ValueError
        For an unknown kind, clusters that cut through a block, or too few clusters.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: use one of {', '.join(KINDS)}.")
    clusters = group(cluster)
    m, (n, p) = len(clusters.labels), model.X.shape
    carrying = sum(int(np.any(model.X[rows], axis=(1, 2)).sum()) for rows in clusters.batches)
    if carrying <= p:
        raise CannotEstimate(
            f"{plural(carrying, 'cluster')} with information on them cannot give a robust "
            f"covariance of {plural(p, 'coefficient')}"
        )
    C = model.cov_beta
    residual = model.y - model.X @ model.beta
    cov, scale = np.zeros((p, p)), _scale(kind, m, n, p)
    own, shared = [], []
    for rows, V in zip(clusters.batches, _marginal(model, clusters), strict=True):
        X, e = model.X[rows], residual[rows]
        W = np.linalg.inv(V)
        WX = W @ X
        if kind == "CR2":
            adjusted = np.matmul(_adjustment(V, X, C), WX)
            q = adjusted @ C
            own.append(np.einsum("gnr,gnm,gms->grs", q, V, q))
            shared.append(np.einsum("gnp,gnr->gpr", X, q))
        else:
            adjusted = WX
        score = np.einsum("gnp,gn->gp", adjusted, e) @ C
        cov += score.T @ score
    return RobustCovariance(
        scale * cov,
        float(m - p),
        np.concatenate(own) if own else None,
        np.concatenate(shared) if shared else None,
        C,
    )


def _scale(kind: str, m: int, n: int, p: int) -> float:
    factors = {"CR1": m / (m - p), "CR1S": m * (n - 1) / ((m - 1) * (n - p))}
    return factors.get(kind, 1.0)


def _adjustment(V: np.ndarray, X: np.ndarray, C: np.ndarray) -> np.ndarray:
    """`D' (D (V - X C X') D')^(-1/2) D` for stacks of clusters; Moore-Penrose where singular."""
    try:
        D = cholesky(V).transpose(0, 2, 1)
    except NotDefinite:
        raise CannotEstimate(
            "the effects of a cluster vary so much more than their sampling errors that their "
            "covariance is singular",
            "check the variances",
        ) from None
    inner = D @ (V - X @ C @ X.transpose(0, 2, 1)) @ D.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh(inner)
    small = values <= 1e-10 * values.max(axis=1, keepdims=True)
    roots = np.where(small, 0.0, 1 / np.sqrt(np.where(small, 1.0, values)))
    root = (vectors * roots[:, None, :]) @ vectors.transpose(0, 2, 1)
    return D.transpose(0, 2, 1) @ root @ D


def _marginal(model: MixedFit, clusters: Blocks) -> list[np.ndarray]:
    """Marginal covariance of the rows of each cluster, stacked a batch."""
    n_rows = len(model.y)
    cluster_of, place = np.zeros(n_rows, dtype=int), np.zeros(n_rows, dtype=int)
    stacks = [np.zeros((*rows.shape, rows.shape[1])) for rows in clusters.batches]
    for number, rows in enumerate(clusters.batches):
        cluster_of[rows] = clusters.members[number][:, None]
        place[rows] = np.arange(rows.shape[1])
    where = np.zeros((len(clusters.labels), 2), dtype=int)
    for number, members in enumerate(clusters.members):
        where[members] = np.column_stack([np.full(len(members), number), np.arange(len(members))])
    for rows, W in zip(model.blocks.batches, model.precision, strict=True):
        if np.any(cluster_of[rows] != cluster_of[rows[:, :1]]):
            raise ValueError(
                "a cluster cuts through a trial whose effects are correlated: "
                "cluster by trial or by a grouping of whole trials."
            )
        V = np.linalg.inv(W)
        target = where[cluster_of[rows[:, 0]]]
        inside = place[rows]
        for number, stack in enumerate(stacks):
            chosen = np.flatnonzero(target[:, 0] == number)
            index = target[chosen, 1][:, None, None]
            own = inside[chosen]
            stack[index, own[:, :, None], own[:, None, :]] = V[chosen]
    return stacks
