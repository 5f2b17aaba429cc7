"""Heterogeneity within designs and inconsistency between them; direct against indirect evidence."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from backpain_analysis.engine.likelihood import group, stack_covariance
from backpain_analysis.engine.mixed import MixedFit, Sampling, fit, sampling
from backpain_analysis.models.network.contrasts import NetworkData
from backpain_analysis.models.network.estimation import Method, at_tau2, estimate
from backpain_analysis.models.results import TableResult, quantile, two_sided_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backpain_analysis.models.network.network import NetworkResult


def heterogeneity(result: NetworkResult) -> pd.DataFrame:
    """Cochran's Q of the network and its parts within and between designs.

    `I2 = (Q - df) / Q`, missing without degrees of freedom; the design of a trial is the set of
    treatments it compares; within designs Q is what remains when every design has effects of its
    own (Krahn, Binder & König 2013, doi 10.1186/1471-2288-13-35; Higgins et al. 2012,
    doi 10.1002/jrsm.1044). In an additive model "non-additivity" is Q of the sums over that of
    the ordinary network (Rücker, Petropoulou & Schwarzer 2020, doi 10.1002/bimj.201800167).

    Returns
    -------
    DataFrame
        Rows "total", "within designs", "between designs" and, for an additive model,
        "non-additivity": `q, df, p_value`, with `tau2, tau, i2` (per cent) in the first.
    """
    data, rows = result.data, len(result.data.y)
    X, _ = design_columns(data)
    within = at_tau2(data, X, 0.0).rss
    df, df_within = rows - len(result.params), rows - X.shape[1]
    q, q_network, df_network = result.common.rss, result.common.rss, df
    parts = [{"q": within, "df": df_within}]
    names = ["total", "within designs", "between designs"]
    if result.is_additive:
        consistent = data.consistent()
        q_network, df_network = at_tau2(data, consistent, 0.0).rss, rows - consistent.shape[1]
        names.append("non-additivity")
    parts.append({"q": max(q_network - within, 0.0), "df": df_network - df_within})
    if result.is_additive:
        parts.append({"q": max(q - q_network, 0.0), "df": df - df_network})
    i2 = 100 * max(0.0, (q - df) / q) if q > 0 and df else np.nan
    total = {"q": q, "df": df, "tau2": result.tau2, "tau": result.tau, "i2": i2}
    table = pd.DataFrame([total, *parts], index=names)
    p = [
        float(special.chdtrc(n, max(x, 0.0))) if n else np.nan for x, n in table[["q", "df"]].values
    ]
    table.insert(2, "p_value", p)
    return table.astype({"df": int})


def design_columns(data: NetworkData) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """Model matrix in which every design has effects of its own.

    Returns
    -------
    X : ndarray, shape (n_rows, sum over designs of treatments - 1)
    designs : list of tuple of int
        The design of each column, as codes of its treatments.
    """
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
class DesignInconsistency(TableResult):
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
    2012 (doi 10.1002/jrsm.1045). Also of an additive model the designs are compared with the
    ordinary network; what the sums take away besides is "non-additivity" in `heterogeneity`.

    Returns
    -------
    DesignInconsistency
        With a missing statistic where no two designs overlap.
    """
    data = result.data
    X, of = design_columns(data)
    consistent_X = _consistent(result)
    spare = X.shape[1] - consistent_X.shape[1]
    methods: dict[str, Method] = {"CE": "CE", "MH": "CE", "ML": "ML"}
    method = methods.get(result.method, "REML")
    full = estimate(data, X, method if len(data.y) > X.shape[1] else "CE")
    statistic = np.nan
    if spare:
        consistent = at_tau2(data, consistent_X, full.tau2)
        statistic = max(0.0, consistent.rss - full.model.rss)
    return DesignInconsistency(
        statistic=statistic,
        df=spare,
        p_value=float(special.chdtrc(spare, statistic)) if spare else np.nan,
        tau2_consistency=result.tau2,
        tau2_inconsistency=full.tau2,
        designs=_by_design(result, X, of),
    )


def _consistent(result: NetworkResult) -> np.ndarray:
    """Model matrix in which all designs agree, whatever the components."""
    return result.data.consistent() if result.is_additive else result.engine.X


def _by_design(result: NetworkResult, X: np.ndarray, of: list[tuple[int, ...]]) -> pd.DataFrame:
    """Q within each design, and Q between designs with each detached in turn."""
    data = result.data
    designs = data.designs()
    consistent = _consistent(result)
    rows = designs.reindex(data.trial).to_numpy()
    known = sampling(data.covariance, group(data.trial))
    within = fit(data.y, X, known, method="CE")
    residual = data.y - X @ within.beta
    table = []
    for design in dict.fromkeys(designs):
        inside = np.array([own == design for own in rows])
        own = X[:, [column == design for column in of]]
        detached = np.hstack([consistent * ~inside[:, None], own])
        table.append(
            {
                "design": data.joined(design),
                "trials": int((designs == design).sum()),
                "df": int(inside.sum()) - (len(design) - 1),
                "q_within": _quadratic(residual * inside, within),
                "q_between_without_it": max(0.0, _q(data.y, detached, known) - within.rss),
            }
        )
    return pd.DataFrame(table)


def _quadratic(x: np.ndarray, model: MixedFit) -> float:
    """`x' V^-1 x`."""
    return sum(
        float(np.einsum("bi,bij,bj->", x[rows], W, x[rows]))
        for rows, W in zip(model.blocks.batches, model.precision, strict=True)
    )


def _q(y: np.ndarray, X: np.ndarray, known: Sampling) -> float:
    """Q of the common-effect model on the span of X, whatever its rank."""
    basis, size, _ = np.linalg.svd(X, full_matrices=False)
    return fit(y, basis[:, size > 1e-10 * size.max()], known, method="CE").rss


@dataclass(frozen=True, repr=False)
class NetHeat(TableResult):
    """The net heat matrix.

    Attributes
    ----------
    heat : DataFrame
        Row `d`, column `c`: by how much the inconsistency of design `d` falls (positive) or rises
        when design `c` is detached.
    share : DataFrame
        How much the estimate of design `d` rests on design `c`: the largest absolute entry of
        the hat matrix, between 0 and about 1.
    designs : tuple of tuple of str
        The treatments of each row.
    q : Series
        Inconsistency of each design, its part of Q between designs.
    tau2 : float
        Heterogeneity within designs at which all was computed.
    """

    heat: pd.DataFrame
    share: pd.DataFrame
    q: pd.Series
    tau2: float
    designs: tuple[tuple[str, ...], ...]

    def summary(self) -> pd.DataFrame:
        """The heat matrix."""
        return self.heat.rename_axis("design").reset_index()

    def _title(self) -> str:
        return "Net heat: fall in inconsistency of the row when the column is detached"

    def plot(self, **options: Any) -> Axes:
        """Heat map: see `figures.net_heat`."""
        from backpain_analysis import figures

        return figures.net_heat(self, **options)


def net_heat(result: NetworkResult) -> NetHeat:
    """Compute the net heat matrix by design.

    Designs are summarised by their own effects; the consistent network is fitted to these, and
    again with each design detached (given effects of its own). Source: Krahn, Binder & König
    2013 (doi 10.1186/1471-2288-13-35), here with one row a design, not one a comparison.
    """
    tau2 = result.design_inconsistency().tau2_inconsistency
    X, of = design_columns(result.data)
    within = at_tau2(result.data, X, tau2)
    effects, precision = within.beta, np.linalg.inv(within.cov_beta)
    consistent, *_ = np.linalg.lstsq(X, _consistent(result), rcond=None)
    designs = list(dict.fromkeys(of))
    parts = [np.flatnonzero([own == design for own in of]) for design in designs]
    hat, q = _fit(effects, precision, consistent, parts)
    heat = np.zeros((len(designs), len(designs)))
    for number, part in enumerate(parts):
        detached = consistent.copy()
        detached[part] = 0.0
        own = np.eye(len(effects))[:, part]
        heat[:, number] = q - _fit(effects, precision, np.hstack([detached, own]), parts)[1]
    share = np.array([[np.abs(hat[np.ix_(d, c)]).max() for c in parts] for d in parts])
    names = [result.data.joined(design) for design in designs]
    return NetHeat(
        pd.DataFrame(heat, names, names),
        pd.DataFrame(share, names, names),
        pd.Series(q, names),
        tau2,
        tuple(tuple(result.treatments[code] for code in design) for design in designs),
    )


def _fit(
    y: np.ndarray, W: np.ndarray, X: np.ndarray, parts: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Hat matrix and each design's part of `(y - Xb)'W(y - Xb)`; X of any rank."""
    hat = X @ np.linalg.pinv(X.T @ W @ X, hermitian=True) @ X.T @ W
    residual = y - hat @ y
    q = [residual[part] @ W[np.ix_(part, part)] @ residual[part] for part in parts]
    return hat, np.array(q)


ALL_DIRECT = 1 - 1e-8
"""Share of direct evidence from which there is no indirect evidence to speak of."""


def pairwise(data: NetworkData) -> pd.DataFrame:
    """Every comparison of two arms of a trial.

    Returns
    -------
    DataFrame
        `trial_id, treatment, versus` (names, in alphabetical order), `yi, vi`.
    """
    blocks = group(data.trial)
    found = []
    for rows, V in zip(blocks.batches, stack_covariance(data.covariance, blocks), strict=True):
        size = rows.shape[1]
        for i in range(size):
            own = rows[:, i]
            found.append((own, data.treatment[own], data.versus[own], data.y[own], V[:, i, i]))
            for j in range(i + 1, size):
                together = data.versus[rows[:, i]] == data.versus[rows[:, j]]
                a, b = rows[together, i], rows[together, j]
                v = (V[:, i, i] + V[:, j, j] - 2 * V[:, i, j])[together]
                found.append((a, data.treatment[a], data.treatment[b], data.y[a] - data.y[b], v))
    row, first, second, y, v = (np.concatenate(part) for part in zip(*found, strict=True))
    turned = first > second
    names = np.array(data.treatments, dtype=object)
    table = pd.DataFrame(
        {
            "trial_id": data.trial[row],
            "treatment": names[np.where(turned, second, first)],
            "versus": names[np.where(turned, first, second)],
            "yi": np.where(turned, -y, y),
            "vi": v,
        }
    )
    return table.iloc[np.argsort(row, kind="stable")].reset_index(drop=True)


def direct(result: NetworkResult) -> pd.DataFrame:
    """The direct evidence on every compared pair, both ways round.

    Inverse-variance mean of the trials' comparisons at the heterogeneity of the network.

    Returns
    -------
    DataFrame
        `treatment, versus, trials, estimate, se, ci_low, ci_high`.
    """
    table = pairwise(result.data)
    pairs = zip(table["treatment"], table["versus"], strict=True)
    sums: dict[tuple[str, str], tuple[int, float, float]] = {}
    for pair, y, w in zip(pairs, table["yi"], 1 / (table["vi"] + result.tau2), strict=True):
        trials, weight, weighted = sums.get(pair, (0, 0.0, 0.0))
        sums[pair] = (trials + 1, weight + w, weighted + w * y)
    one_way = pd.DataFrame(
        [
            (*pair, trials, weighted / weight, 1 / np.sqrt(weight))
            for pair, (trials, weight, weighted) in sorted(sums.items())
        ],
        columns=["treatment", "versus", "trials", "estimate", "se"],
    )
    other = one_way.rename(columns={"treatment": "versus", "versus": "treatment"})
    both = pd.concat([one_way, other.assign(estimate=-other["estimate"])], ignore_index=True)
    half = quantile(result.level, np.inf) * both["se"]
    both = both.assign(ci_low=both["estimate"] - half, ci_high=both["estimate"] + half)
    return both[["treatment", "versus", "trials", "estimate", "se", "ci_low", "ci_high"]]


@dataclass(frozen=True, repr=False)
class NodeSplit(TableResult):
    """Direct and indirect evidence on every pair of treatments.

    Attributes
    ----------
    table : DataFrame
        `treatment, versus, trials, direct_share, direct, direct_se, indirect, indirect_se,
        network, network_se, difference, difference_se, p_value`; of ratios, logarithms.
    level : float
    measure : str
    """

    table: pd.DataFrame
    level: float
    measure: str

    def summary(self) -> pd.DataFrame:
        """The pairs with both kinds of evidence."""
        return self.table.dropna(subset=["difference"]).reset_index(drop=True)

    def _title(self) -> str:
        return "Direct and indirect evidence"

    def plot(self, **options: Any) -> Axes:
        """Forest plot of the three estimates of each pair: see `figures.node_split`."""
        from backpain_analysis import figures

        return figures.node_split(self, **options)


def node_split(result: NetworkResult) -> NodeSplit:
    """Separate indirect from direct evidence by back-calculation.

    With `h = var(network) / var(direct)`, the share of the direct evidence,
    `indirect = (network - h direct) / (1 - h)` with variance `var(network) / (1 - h)`. Source:
    Dias et al. 2010 (doi 10.1002/sim.3767); König, Krahn & Binder 2013 (doi 10.1002/sim.6001).
    """
    estimate, se = result._pairs()
    known = direct(result).set_index(["treatment", "versus"]).to_dict("index")
    rows = []
    for i, j in combinations(range(len(result.treatments)), 2):
        pair = (result.treatments[i], result.treatments[j])
        whole, variance = estimate[i, j], se[i, j] ** 2
        row = {"treatment": pair[0], "versus": pair[1], "trials": 0, "direct_share": 0.0}
        row |= {"indirect": whole, "indirect_se": se[i, j]}
        if (own := known.get(pair)) is not None:
            share = min(variance / own["se"] ** 2, 1.0)
            row |= {"trials": int(own["trials"]), "direct_share": share}
            row |= {"direct": own["estimate"], "direct_se": own["se"]}
            rest = 1 - share if share < ALL_DIRECT else np.nan
            row["indirect"] = (whole - share * own["estimate"]) / rest
            row["indirect_se"] = float(np.sqrt(variance / rest))
        rows.append(row | {"network": whole, "network_se": se[i, j]})
    columns = "treatment versus trials direct_share direct direct_se indirect indirect_se".split()
    table = pd.DataFrame(rows, columns=[*columns, "network", "network_se"])
    difference = table["direct"] - table["indirect"]
    spread = np.sqrt(table["direct_se"] ** 2 + table["indirect_se"] ** 2)
    p = two_sided_p((difference / spread).to_numpy(dtype=float), np.inf)
    table = table.assign(difference=difference, difference_se=spread, p_value=p)
    return NodeSplit(table, result.level, result.measure)
