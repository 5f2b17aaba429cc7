"""Multilevel and multivariate meta-analysis: several effect sizes a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, overload

import numpy as np
import pandas as pd
from formulaic import Formula, model_matrix
from scipy import stats
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from backpain_analysis.engine.likelihood import Blocks, group, stack_covariance
from backpain_analysis.engine.mixed import MixedFit, fit
from backpain_analysis.engine.robust import Kind, robust_covariance
from backpain_analysis.engine.sampling import BlockCovariance, merge
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.models.bayes.model import AnyPrior, BayesModel, spread_of
from backpain_analysis.models.bayes.posterior import RegressionPosterior, regression
from backpain_analysis.models.pairwise.formulas import new_rows
from backpain_analysis.models.results import Coefficients, quantile


@dataclass(frozen=True)
class MultilevelResult(Coefficients):
    """A fitted multilevel model.

    Attributes
    ----------
    psi : dict
        Covariance matrix (DataFrame) of the random effects of each term.
    q, q_df, q_p : float
        Test of residual heterogeneity, from the common-effect model.
    n_rows, n_clusters : int
        Effect sizes and trials (independent blocks).
    dropped : tuple
        Index labels of rows left out because a variable of the model was missing.
    covariance_kind : str
        "model" or the kind of robust covariance.
    """

    psi: dict[str, pd.DataFrame] = field(repr=False)
    q: float
    q_df: int
    q_p: float
    n_rows: int
    n_clusters: int
    dropped: tuple
    covariance_kind: str
    engine: MixedFit = field(repr=False)
    spec: Any = field(repr=False)
    data: pd.DataFrame = field(repr=False)

    @property
    def sigma2(self) -> pd.Series:
        """Variance of each term with a single random effect."""
        return pd.Series(
            {name: psi.iloc[0, 0] for name, psi in self.psi.items() if psi.shape == (1, 1)}
        )

    def robust(self, cluster: str | Sequence, kind: Kind = "CR2") -> MultilevelResult:
        """The same model with cluster-robust standard errors, tests and intervals.

        See `robust.robust_covariance`.

        Parameters
        ----------
        cluster : str or sequence
            Column of the data, or labels of the rows that entered.
        kind : {"CR0", "CR1", "CR1S", "CR2"}
        """
        labels = self.data[cluster] if isinstance(cluster, str) else cluster
        found = robust_covariance(self.engine, labels, kind)
        names = self.params.index
        return replace(
            self,
            cov=pd.DataFrame(found.cov, names, names),
            df=pd.Series(found.df(np.eye(len(names))), names),
            covariance_kind=kind,
        )

    def predict(self, new_data: pd.DataFrame) -> pd.DataFrame:
        """Mean effects at new values of the moderators.

        Returns
        -------
        DataFrame
            `estimate, se, ci_low, ci_high` on the index of `new_data`. With robust covariance the
            smallest of the coefficients' degrees of freedom is used.
        """
        X = new_rows(self.spec, new_data)
        estimate = X @ self.params.to_numpy()
        se = np.sqrt(np.einsum("ij,jk,ik->i", X, self.cov.to_numpy(), X))
        half = quantile(self.level, float(np.min(self.df))) * se
        columns = {"estimate": estimate, "se": se}
        columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
        return pd.DataFrame(columns, index=new_data.index)

    def _title(self) -> str:
        return "Multilevel meta-analysis"

    def _note(self) -> str:
        size = f"{self.n_rows} effect sizes of {self.n_clusters} trials"
        lost = f"; {len(self.dropped)} rows with missing values left out" if self.dropped else ""
        return f"{size}{lost}. {super()._note()} Covariance: {self.covariance_kind}."


@overload
def multilevel(
    formula: str,
    data: pd.DataFrame,
    *,
    V: str | BlockCovariance,
    random: Sequence[str],
    method: str = "REML",
    test: str = "z",
    level: float = 0.95,
    prior: None = None,
) -> MultilevelResult: ...


@overload
def multilevel(
    formula: str,
    data: pd.DataFrame,
    *,
    V: str | BlockCovariance,
    random: Sequence[str],
    level: float = 0.95,
    prior: AnyPrior,
) -> RegressionPosterior: ...


def multilevel(
    formula: str,
    data: pd.DataFrame,
    *,
    V: str | BlockCovariance,
    random: Sequence[str],
    method: str = "REML",
    test: str = "z",
    level: float = 0.95,
    prior: AnyPrior | None = None,
) -> MultilevelResult | RegressionPosterior:
    """Fit a meta-analytic model with random effects at several levels.

    Sources: Konstantopoulos 2011 (doi 10.1002/jrsm.35) and Van den Noortgate et al. 2013
    (doi 10.3758/s13428-012-0261-6) for three levels; Gasparrini et al. 2012
    (doi 10.1002/sim.5471) for random slopes.

    Parameters
    ----------
    formula : str
        Such as "yi ~ weeks + C(outcome)".
    data : DataFrame
    V : str or BlockCovariance
        Column of sampling variances, or a covariance from `sampling_covariance`.
    random : sequence of str
        "trial_id" (random intercept), "trial_id/effect_id" (intercepts at both levels), or
        "dose | trial_id" (intercept and slope, free covariance; "0 + dose | trial_id" without
        the intercept).
    method : {"REML", "ML", "CE"}
    test : {"z", "t"}
        "t": as many degrees of freedom as effect sizes less coefficients.
    level : float
    prior : Prior, TauPrior or Mixture, optional
        What is believed before the data (see `priors`), of random intercepts; a mapping of tau
        names them as `random` does ("trial_id", "trial_id/effect_id"). Then the result is a
        posterior, and `method` and `test` do not count.

    Returns
    -------
    MultilevelResult, or RegressionPosterior with a prior

    Raises
    ------
    ValueError
        For unknown columns, unusable variances or terms, collinear moderators.
    ConvergenceError
        If the likelihood has no maximum.
    """
    if test not in ("z", "t"):
        raise ValueError(f"unknown test {test!r}: use 'z' or 't'.")
    used = _used_columns(formula, V, random)
    _check_columns(data, used, V)
    complete, dropped = _complete(data, used, V)
    parts = model_matrix(formula, complete, na_action="raise")
    y = parts.lhs.to_numpy(dtype=float)[:, 0]
    X = parts.rhs.to_numpy(dtype=float)
    names = list(parts.rhs.columns)
    groupings, terms = _terms(random, complete)
    covariance = complete[V].to_numpy(dtype=float) if isinstance(V, str) else V
    if isinstance(covariance, BlockCovariance):
        groupings = [*groupings, covariance.labels]
    blocks = _connected(groupings, len(y))
    known = merge(covariance, blocks)
    options = {"blocks": blocks, "names": names}
    if prior is not None:
        grouped = group(blocks)
        waiting = _waiting(y, X, names, known, grouped, terms, complete.index)
        return regression(waiting, prior, level, partial(new_rows, parts.rhs.model_spec), dropped)
    model = fit(y, X, known, terms=terms, method=method, **options)
    common = fit(y, X, known, method="CE", **options)
    q_df = len(y) - len(names)
    psi = {}
    for term, matrix in zip(model.terms, model.psi, strict=True):
        psi[term.name] = pd.DataFrame(matrix, term.labels, term.labels)
    return MultilevelResult(
        params=pd.Series(model.beta, names),
        cov=pd.DataFrame(model.cov_beta, names, names),
        df=np.inf if test == "z" else float(q_df),
        level=level,
        llf=model.llf,
        aic=model.aic,
        bic=model.bic,
        method=method,
        psi=psi,
        q=common.rss,
        q_df=q_df,
        q_p=float(stats.chi2.sf(common.rss, q_df)) if q_df else np.nan,
        n_rows=len(y),
        n_clusters=model.n_blocks,
        dropped=dropped,
        covariance_kind="model",
        engine=model,
        spec=parts.rhs.model_spec,
        data=complete,
    )


def _waiting(
    y: np.ndarray,
    X: np.ndarray,
    names: list[str],
    known: Sequence[np.ndarray],
    blocks: Blocks,
    terms: list[RandomTerm],
    labels: pd.Index,
) -> BayesModel:
    """The model as one that waits for a prior.

    Raises
    ------
    ValueError
        For random effects other than intercepts.
    """
    slopes = [term.name for term in terms if term.design.shape[1] > 1 or np.ptp(term.design) > 0]
    if slopes:
        raise ValueError(f"with a prior, random effects are intercepts: not {', '.join(slopes)}.")
    sds, K, correlated = spread_of(terms, blocks)
    return BayesModel(
        y=y,
        X=X,
        names=tuple(names),
        S=tuple(stack_covariance(known, blocks)),
        K=K,
        blocks=blocks,
        sds=sds,
        correlated=correlated,
        labels=tuple(map(str, labels)),
    )


def _grouping_names(term: str) -> list[str]:
    return [name.strip() for name in term.split("|")[-1].split("/")]


def _used_columns(formula: str, V: str | BlockCovariance, random: Sequence[str]) -> set[str]:
    formulas = [formula, *(term.split("|")[0] for term in random if "|" in term)]
    used = {str(name) for text in formulas for name in Formula(text).required_variables}
    used |= {name for term in random for name in _grouping_names(term)}
    return used | ({V} if isinstance(V, str) else set())


def _check_columns(data: pd.DataFrame, used: set[str], V: str | BlockCovariance) -> None:
    missing = sorted(used - set(data.columns))
    if missing:
        raise ValueError(
            f"no column {', '.join(map(repr, missing))}; the data have {', '.join(data.columns)}."
        )
    if not isinstance(V, str) and len(V.labels) != len(data):
        raise ValueError(f"V has {len(V.labels)} rows, the data {len(data)}.")


def _complete(
    data: pd.DataFrame, used: set[str], V: str | BlockCovariance
) -> tuple[pd.DataFrame, tuple]:
    """Rows without missing values, and the index labels of the others."""
    kept = data[sorted(used)].notna().all(axis=1).to_numpy()
    if not isinstance(V, str) and not kept.all():
        rows = ", ".join(map(str, data.index[~kept]))
        raise ValueError(
            f"rows {rows} have missing values: drop them before making the covariance V."
        )
    return data[kept], tuple(data.index[~kept])


def _terms(random: Sequence[str], data: pd.DataFrame) -> tuple[list[np.ndarray], list[RandomTerm]]:
    """Groupings of the rows, outermost of each term first, and the engine's terms."""
    groupings, terms = [], []
    for text in random:
        names = _grouping_names(text)
        design = model_matrix(text.split("|")[0].strip() if "|" in text else "1", data)
        labels = tuple(design.columns)
        for depth in range(1, len(names) + 1):
            levels = data.groupby(names[:depth], sort=False, observed=True).ngroup().to_numpy()
            if depth == 1:
                groupings.append(levels)
            name = "/".join(names[:depth]) if "|" not in text else text
            values = design.to_numpy(dtype=float)
            terms.append(RandomTerm(values, levels, name=name, labels=labels))
    return groupings, terms


def _connected(groupings: Sequence[Sequence], n_rows: int) -> np.ndarray:
    """Independent blocks: rows that share a level of any grouping belong together."""
    if not groupings:
        return np.arange(n_rows)
    rows, columns, offset = [], [], n_rows
    for grouping in groupings:
        codes = pd.factorize(np.asarray(grouping))[0]
        rows.append(np.arange(n_rows))
        columns.append(codes + offset)
        offset += int(codes.max()) + 1
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(offset, offset))
    return connected_components(graph, directed=False)[1][:n_rows]
