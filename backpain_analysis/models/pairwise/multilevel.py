"""Multilevel and multivariate meta-analysis: several effect sizes a trial."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.engine.likelihood import Blocks, group, stack_covariance
from backpain_analysis.engine.mixed import MixedFit, fit
from backpain_analysis.engine.robust import Kind, RobustCovariance, robust_covariance
from backpain_analysis.engine.sampling import BlockCovariance, blocks_of, merge
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.faults import as_frame, need_columns
from backpain_analysis.models.pairwise import levels
from backpain_analysis.models.pairwise.formulas import Design, design, variables
from backpain_analysis.models.pairwise.inputs import value_faults
from backpain_analysis.models.results import (
    Coefficients,
    Df,
    check_choices,
    checked_level,
    quantile,
    wald_statistic,
    wald_test,
)
from backpain_analysis.words import plural

if TYPE_CHECKING:
    from backpain_analysis.models.bayes.model import AnyPrior, BayesModel
    from backpain_analysis.models.bayes.posterior import RegressionPosterior

INTERCEPT, TESTS = "Intercept", ("z", "t", "contain")


@dataclass(frozen=True, repr=False)
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

    Examples
    --------
    >>> import pandas as pd
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> table = pd.DataFrame({"yi": yi, "vi": vi, "trial": ["a", "a", "b", "c", "d"]})
    >>> fit = bp.multilevel("yi ~ 1", table, V="vi", random=["1 | trial"])
    >>> fit.conf_int().round(1)
               ci_low  ci_high
    Intercept   -13.4     -4.5
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
    common: MixedFit = field(repr=False)
    design: Design = field(repr=False)
    covariance: Sequence[np.ndarray] | np.ndarray = field(repr=False)
    sandwich: RobustCovariance | None = field(default=None, repr=False)

    @property
    def spec(self) -> Any:
        """Formulaic's specification of the model matrix."""
        return self.design.spec

    @property
    def data(self) -> pd.DataFrame:
        """The rows that entered."""
        return self.design.data

    @property
    def sigma2(self) -> pd.Series:
        """Variance of each term with a single random effect."""
        return pd.Series(
            {name: psi.iloc[0, 0] for name, psi in self.psi.items() if psi.shape == (1, 1)},
            dtype=float,
        )

    @property
    def omnibus(self) -> pd.Series:
        """Joint test of all coefficients but the intercept (of the intercept where it is alone)."""
        return self.wald([name for name in self.params.index if name != INTERCEPT] or [INTERCEPT])

    @property
    def i2(self) -> pd.Series:
        """Per cent of the variance that is between effects, in all and by term.

        Each term's variance over the sum of all and the typical sampling variance
        `(n - p) / tr(P)`, P of the common-effect model (Nakagawa & Santos 2012,
        doi 10.1007/s10682-012-9555-5; Viechtbauer's form for several levels). Missing for models
        with other terms than random intercepts.
        """
        sigma2 = self.sigma2
        if len(sigma2) < len(self.psi):
            return pd.Series({"total": np.nan})
        total = float(sigma2.sum()) + self.typical_variance
        parts = 100 * sigma2 / total
        if np.isnan(total):
            return pd.Series(np.nan, ["total", *parts.index])
        return pd.concat([pd.Series({"total": float(parts.sum())}), parts])

    @property
    def typical_variance(self) -> float:
        """Typical sampling variance, `(n - p) / tr(P)` of the common-effect model.

        Missing where as many coefficients as effects leave nothing over.
        """
        if not self.q_df:
            return np.nan
        model, trace = self.common, 0.0
        for rows, W in zip(model.blocks.batches, model.precision, strict=True):
            WX = W @ model.X[rows]
            trace += float(np.einsum("bii->", W))
            trace -= float(np.einsum("bnp,pq,bnq->", WX, model.cov_beta, WX))
        return self.q_df / trace

    def robust(self, cluster: str | Sequence, kind: Kind = "CR2") -> MultilevelResult:
        """The same model with cluster-robust standard errors, tests and intervals.

        See `robust.robust_covariance`.

        Parameters
        ----------
        cluster : str or sequence
            Column of the data, or labels of the rows that entered.
        kind : {"CR0", "CR1", "CR1S", "CR2"}

        Raises
        ------
        ValueError
            For an unknown column, or labels that are missing or too few.
        """
        found = robust_covariance(self.engine, list(self._clusters(cluster)), kind)
        names = self.params.index
        return replace(
            self,
            cov=pd.DataFrame(found.cov, names, names),
            df=pd.Series(found.df(np.eye(len(names))), names),
            covariance_kind=kind,
            sandwich=found,
        )

    def wald(self, tested: Sequence[str] | np.ndarray) -> pd.Series:
        """Joint Wald test that coefficients, or linear contrasts of them, are zero.

        With the robust covariance "CR2" Hotelling's T2 with the degrees of freedom of Zhang
        (HTZ; Pustejovsky & Tipton 2018, doi 10.1080/07350015.2016.1247004); with other robust
        kinds F on clusters - coefficients degrees; else F on the smallest degrees of freedom of
        the coefficients concerned, or chi-square.

        Parameters
        ----------
        tested : sequence of str, or ndarray of shape (q, p)
            Names of coefficients, or contrasts, a row each.

        Returns
        -------
        Series
            `statistic, df_num, df_denom, p_value`.
        """
        names = list(self.params.index)
        if isinstance(tested, np.ndarray):
            L = np.atleast_2d(np.asarray(tested, dtype=float))
            if L.shape[1] != len(names):
                raise ValueError(
                    f"contrasts have {L.shape[1]} columns for {len(names)} coefficients."
                )
        else:
            unknown = [name for name in tested if name not in names]
            if unknown or not len(tested):
                raise ValueError(f"no coefficient {unknown}: the model has {', '.join(names)}.")
            L = np.eye(len(names))[[names.index(name) for name in tested]]
        estimate = L @ self.params.to_numpy()
        cov = L @ self.cov.to_numpy() @ L.T
        if self.sandwich is not None and self.covariance_kind == "CR2":
            return self.sandwich.hotelling(L, wald_statistic(estimate, cov))
        df = self.df[np.any(L != 0, axis=0)].min() if isinstance(self.df, pd.Series) else self.df
        return wald_test(estimate, cov, float(df))

    def likelihood_ratio(self, smaller: MultilevelResult) -> pd.Series:
        """Likelihood-ratio test against a smaller model of the same rows.

        Returns
        -------
        Series
            `statistic, df, p_value`. Where a variance is tested, its true value lies on the
            boundary and P is too large.

        Raises
        ------
        ValueError
            For models of other rows or methods, REML fits with other fixed effects (their
            likelihoods do not compare), and models that are not smaller.
        """
        if self.method != smaller.method or not np.array_equal(self.design.y, smaller.design.y):
            raise ValueError("both models must be of the same rows and method.")
        if self.method == "REML" and not np.array_equal(self.design.X, smaller.design.X):
            raise ValueError("REML fits with other fixed effects do not compare: use method='ML'.")
        df = self.engine.n_parameters - smaller.engine.n_parameters
        if df < 1:
            raise ValueError("the other model is not smaller.")
        statistic = max(0.0, 2 * (self.llf - smaller.llf))
        p = float(special.chdtrc(df, statistic))
        return pd.Series({"statistic": statistic, "df": df, "p_value": p})

    def predict(self, new_data: pd.DataFrame, level: float | None = None) -> pd.DataFrame:
        """Mean effects at new values of the moderators, and where new effects are expected.

        Returns
        -------
        DataFrame
            `estimate, se, ci_low, ci_high, pi_low, pi_high` on the index of `new_data`, each row
            with its own degrees of freedom: with CR2 Satterthwaite's of that prediction, else
            the smallest of the coefficients that enter. The prediction interval adds the
            variances of all terms (for structured terms that of the row's own level).
        """
        level = self.level if level is None else checked_level(level)
        X, index = self.design.rows(new_data), as_frame(new_data).index
        estimate = X @ self.params.to_numpy()
        variance = np.maximum(np.einsum("ij,jk,ik->i", X, self.cov.to_numpy(), X), 0.0)
        if self.sandwich is not None:
            df = self.sandwich.df(X)
        elif isinstance(self.df, pd.Series):
            df = np.where(X != 0, self.df.to_numpy(), np.inf).min(axis=1)
        else:
            df = np.full(len(X), self.df)
        critical = quantile(level, pd.Series(df)).to_numpy()
        between = self._between(as_frame(new_data))
        half, reach = critical * np.sqrt(variance), critical * np.sqrt(variance + between)
        columns = {"estimate": estimate, "se": np.sqrt(variance)}
        columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
        columns |= {"pi_low": estimate - reach, "pi_high": estimate + reach}
        return pd.DataFrame(columns, index=index)

    def blups(self, term: str | None = None, level: float | None = None) -> pd.DataFrame:
        """Best linear unbiased predictions of the random intercepts of a term.

        Parameters
        ----------
        term : str, optional
            By default the first.

        Returns
        -------
        DataFrame
            `estimate, se, pi_low, pi_high`, a row a group.
        """
        level = self.level if level is None else checked_level(level)
        return levels.predicted_effects(self, term, level)

    def variance_intervals(self, level: float | None = None) -> pd.DataFrame:
        """Profile-likelihood intervals of the variances of the random intercepts.

        Returns
        -------
        DataFrame
            `estimate, ci_low, ci_high`, a row a term.
        """
        return levels.profile_intervals(self, self.level if level is None else checked_level(level))

    def influence(
        self, cluster: str | Sequence | None = None, *, reestimate: bool = True
    ) -> pd.DataFrame:
        """How the model changes without each cluster.

        Parameters
        ----------
        cluster : str or sequence, optional
            Column of the data, or labels of the rows; by default every row is its own.
        reestimate : bool
            Whether all variances are estimated anew each time; without, it is much faster.

        Returns
        -------
        DataFrame
            A row a cluster: `n_rows`; `hat`, the leverage of its rows together; `cook_d`, the
            squared distance of the coefficients; `chi_square, p` of the cluster's deleted
            residuals; `dfbetas NAME`, the change of a coefficient over the standard error it has
            by the variances estimated without the cluster. Missing where the others cannot carry
            the model.
        """
        return levels.influence_by(self, self._clusters(cluster), reestimate=reestimate)

    def residuals(self) -> pd.DataFrame:
        """How far each effect lies from what the fixed effects expect of it.

        Returns
        -------
        DataFrame
            `fitted, residual, se, rstandard` (residual over `se`), `hat` (leverage, the diagonal
            of `X (X'WX)^-1 X'W`), a row an effect.
        """
        return levels.residuals(self)

    def deleted_residuals(self, cluster: str | Sequence | None = None) -> pd.DataFrame:
        """How far each effect lies from what the model without its cluster expects of it.

        Parameters
        ----------
        cluster : str or sequence, optional
            As of `influence`.

        Returns
        -------
        DataFrame
            `residual, se, rstudent` (residual over `se`), a row an effect; missing where the
            others cannot carry the model.
        """
        return levels.deleted_residuals(self, self._clusters(cluster))

    def _clusters(self, cluster: str | Sequence | None) -> np.ndarray:
        """The cluster of each row that entered; every row its own by default."""
        if isinstance(cluster, str):
            need_columns([cluster], self.data)
            cluster = self.data[cluster].to_numpy()
        labels = np.arange(self.n_rows) if cluster is None else np.asarray(cluster)
        if len(labels) != self.n_rows:
            raise ValueError(f"{len(labels)} cluster labels for {self.n_rows} rows.")
        missing = pd.isna(labels)
        if missing.any():
            rows = ", ".join(map(str, self.data.index[missing]))
            raise ValueError(f"the cluster is missing in rows {rows}: give it, or drop them.")
        return labels

    def _between(self, new_data: pd.DataFrame) -> np.ndarray:
        """Variance of the random effects of each new row."""
        total = np.zeros(len(new_data))
        for name, psi in self.psi.items():
            inner = STRUCTURED.fullmatch(name)
            if inner:
                need_columns([inner[2]], new_data)
                own = pd.Series(np.diag(psi), psi.index.astype(str))
                total += new_data[inner[2]].astype(str).map(own).to_numpy(dtype=float)
            elif psi.shape == (1, 1) and psi.index[0] == INTERCEPT:
                total += psi.iloc[0, 0]
            else:
                Z = _slopes(name.split("|")[0].strip(), new_data)[0]
                total += np.einsum("ij,jk,ik->i", Z, psi.to_numpy(), Z)
        return total

    def _title(self) -> str:
        return "Multilevel meta-analysis"

    def _note(self) -> str:
        size = f"{plural(self.n_rows, 'effect size')} of {plural(self.n_clusters, 'trial')}"
        lost = f"; {len(self.dropped)} rows with missing values left out" if self.dropped else ""
        return f"{size}{lost}. {super()._note()} Covariance: {self.covariance_kind}."


@overload
def multilevel(
    formula: str,
    data: pd.DataFrame,
    *,
    V: str | BlockCovariance | ArrayLike,
    random: str | Sequence[str],
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
    V: str | BlockCovariance | ArrayLike,
    random: str | Sequence[str],
    level: float = 0.95,
    prior: AnyPrior,
) -> RegressionPosterior: ...


def multilevel(
    formula: str,
    data: pd.DataFrame,
    *,
    V: str | BlockCovariance | ArrayLike,
    random: str | Sequence[str],
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
    V : str, BlockCovariance or array_like
        Column of sampling variances, a covariance from `sampling_covariance`, variances, shape
        (n_rows,), or a matrix, shape (n_rows, n_rows).
    random : sequence of str
        "trial_id" (random intercept), "trial_id/effect_id" (intercepts at both levels), or
        "dose | trial_id" (intercept and slope, free covariance; "0 + dose | trial_id" without
        the intercept); or "HCS(outcome) | trial_id": an effect of each level of a column, with a
        structure CS, HCS (a variance a level), ID, DIAG, UN, or for visits in time AR, HAR
        (correlation to the power of the steps apart) or CAR (of the time apart).
    method : {"REML", "ML", "CE"}
    test : {"z", "t", "contain"}
        "t": as many degrees of freedom as effect sizes less coefficients. "contain": of the
        groups (trials, say) within which a coefficient's column is constant.
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

    Examples
    --------
    >>> import pandas as pd
    >>> yi, vi = [-12.0, -5.5, -9.1, -3.0, -15.2], [4.0, 6.2, 3.1, 5.0, 9.0]
    >>> table = pd.DataFrame({"yi": yi, "vi": vi, "trial": ["a", "a", "b", "c", "d"]})
    >>> bp.multilevel("yi ~ 1", table, V="vi", random=["1 | trial"]).params.round(1)
    Intercept   -9.0
    dtype: float64
    """
    check_choices(level, test=(test, TESTS))
    method = {"FE": "CE", "EE": "CE"}.get(str(method).upper(), str(method).upper())
    random = [random] if isinstance(random, str) else list(random)
    data = _table(data, random)
    used = sorted(_used_columns(V, random))
    need_columns(sorted({*used, *variables(formula)}), data)
    n_before = len(data)
    found = design(formula, data, used)
    if not isinstance(V, str) and len(found.y) < n_before:
        rows = ", ".join(map(str, found.dropped))
        raise ValueError(
            f"rows {rows} have missing values: drop them before making the covariance V."
        )
    y, X, names, complete = found.y, found.X, list(found.names), found.data
    groupings, terms = _terms(random, complete)
    covariance = _known(V, complete, y)
    if isinstance(covariance, BlockCovariance):
        groupings = [*groupings, covariance.labels]
    blocks = _connected(groupings, len(y))
    known = merge(covariance, blocks)
    if prior is not None:
        from backpain_analysis.models.bayes.posterior import regression

        grouped = group(blocks)
        waiting = _waiting(y, X, names, known, grouped, terms, complete.index)
        return regression(waiting, prior, level, found.rows, found.dropped)
    if method != "CE":
        levels.check_groups(terms)
    model = fit(y, X, known, blocks=blocks, terms=terms, method=method, names=names)
    common = fit(y, X, known, blocks=blocks, method="CE", names=names)
    q_df = len(y) - len(names)
    psi = {
        term.name: pd.DataFrame(matrix, list(term.labels), list(term.labels))
        for term, matrix in zip(model.terms, model.psi, strict=True)
    }
    return MultilevelResult(
        params=pd.Series(model.beta, names),
        cov=pd.DataFrame(model.cov_beta, names, names),
        df=_degrees(test, X, terms, names),
        level=level,
        llf=model.llf,
        aic=model.aic,
        bic=model.bic,
        method=method,
        psi=psi,
        q=common.rss,
        q_df=q_df,
        q_p=float(special.chdtrc(q_df, common.rss)) if q_df else np.nan,
        n_rows=len(y),
        n_clusters=model.n_blocks,
        dropped=found.dropped,
        covariance_kind="model",
        engine=model,
        common=common,
        design=found,
        covariance=known,
    )


def _table(data: Any, random: list[str]) -> pd.DataFrame:
    """The data as a table, and the random terms checked: each grouping once."""
    refuse_evidence(data)
    if isinstance(data, Effects):
        raise ValueError(
            "Effects carry a covariance of their own: give effects.table, and its covariance as V."
        )
    named = [
        f"{text.split('|')[0].strip() if '|' in text else '1'}|{'/'.join(names[:depth])}"
        for text in random
        for names in [_grouping_names(text)]
        for depth in range(1, len(names) + 1)
    ]
    twice = sorted({name.split("|")[1] for name in named if named.count(name) > 1})
    if twice:
        raise ValueError(f"the grouping {', '.join(twice)} is in `random` twice: give it once.")
    return as_frame(data)


def _known(
    V: str | BlockCovariance | ArrayLike, data: pd.DataFrame, y: np.ndarray
) -> BlockCovariance | np.ndarray:
    """Sampling variances or covariance of the rows."""
    if isinstance(V, BlockCovariance):
        if len(V.labels) != len(y):
            raise ValueError(f"V has {len(V.labels)} rows, the data {len(y)}.")
        return V
    values = pd.to_numeric(data[V], errors="coerce") if isinstance(V, str) else V
    values = np.asarray(values, dtype=float)
    if values.shape == (len(y), len(y)):
        return blocks_of(values)
    if values.shape != (len(y),):
        raise ValueError(
            f"V has shape {values.shape} for {len(y)} rows: give a column, a variance a row, a "
            "square matrix or what sampling_covariance makes."
        )
    named = V if isinstance(V, str) else "V"
    faults = value_faults(y, values, [f"row {label}" for label in data.index], named)
    if faults:
        raise ValueError("; ".join(faults) + ".")
    return values


def _degrees(test: str, X: np.ndarray, terms: list[RandomTerm], names: list[str]) -> Df:
    """Degrees of freedom: all rows, or for "contain" of the groups that a column is constant in."""
    n, p = X.shape
    if test == "z":
        return np.inf
    if test == "t" or n <= p:
        return float(n - p) if n > p else np.inf
    own = np.full(p, float(n - p))
    for term in terms:
        if term.levels is None:
            continue
        first = np.unique(term.levels, return_index=True)[1]
        codes = np.unique(term.levels, return_inverse=True)[1]
        constant = np.all(X == X[first][codes], axis=0)
        own = np.where(constant, np.minimum(own, len(first) - p), own)
    return pd.Series(np.maximum(own, 1.0), names)


def _waiting(
    y: np.ndarray,
    X: np.ndarray,
    names: list[str],
    known: Sequence[np.ndarray] | np.ndarray,
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
    from backpain_analysis.models.bayes.model import BayesModel, spread_of

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


STRUCTURED = re.compile(r"\s*(CS|HCS|UN|DIAG|ID|AR|HAR|CAR)\((\w+)\)\s*\|\s*(\w+)\s*")
"""A term such as "HCS(outcome) | trial_id": correlated effects of the levels of a column."""


def _grouping_names(term: str) -> list[str]:
    return [name.strip() for name in term.split("|")[-1].split("/")]


def _used_columns(V: Any, random: Sequence[str]) -> set[str]:
    used = {V} if isinstance(V, str) else set()
    for term in random:
        used |= set(_grouping_names(term))
        inner = STRUCTURED.fullmatch(term)
        if inner:
            used.add(inner[2])
        elif "|" in term:
            used |= set(variables(term.split("|")[0].strip()))
    return used


def _terms(random: Sequence[str], data: pd.DataFrame) -> tuple[list[np.ndarray], list[RandomTerm]]:
    """Groupings of the rows, outermost of each term first, and the engine's terms."""
    groupings, terms = [], []
    for text in random:
        names = _grouping_names(text)
        inner = STRUCTURED.fullmatch(text)
        left = "1" if inner or "|" not in text else text.split("|")[0].strip()
        (values, labels), options = _slopes(left, data), {}
        if inner:
            places = np.array(sorted(data[inner[2]].unique()))
            values = (data[inner[2]].to_numpy()[:, None] == places).astype(float)
            labels, options = tuple(places), _structure(inner[1], places, text)
        for depth in range(1, len(names) + 1):
            rows = data.groupby(names[:depth], sort=False, observed=True).ngroup().to_numpy()
            if depth == 1:
                groupings.append(rows)
            path = "/".join(names[:depth])
            name = text if inner else path if left == "1" else f"{left} | {path}"
            terms.append(RandomTerm(values, rows, name=name, labels=labels, **options))
    return groupings, terms


def _slopes(left: str, data: pd.DataFrame) -> tuple[np.ndarray, tuple]:
    """The columns that random effects multiply, and their names."""
    if left == "1":
        return np.ones((len(data), 1)), (INTERCEPT,)
    from formulaic import model_matrix

    columns = model_matrix(left, data)
    return columns.to_numpy(dtype=float), tuple(columns.columns)


def _structure(name: str, levels: np.ndarray, text: str) -> dict[str, Any]:
    """Options of a term whose random effects of the levels are correlated in a given way."""
    if len(levels) < 2:
        raise CannotEstimate(f"{text!r} has one level only", "use a random intercept")
    plain = {"UN": "unstructured", "DIAG": "diagonal", "ID": "identity"}
    if name not in ("AR", "HAR", "CAR"):
        return {"structure": plain.get(name, name)}
    if not np.issubdtype(levels.dtype, np.number):
        raise ValueError(f"{text!r} needs numbers for the places in time.")
    return {"structure": name, "positions": tuple(map(float, levels))}


def _connected(groupings: Sequence[np.ndarray], n_rows: int) -> np.ndarray:
    """Independent blocks: rows that share a level of any grouping belong together."""
    if not groupings:
        return np.arange(n_rows)
    rows, columns, offset = [], [], n_rows
    for grouping in groupings:
        codes = pd.factorize(np.asarray(grouping))[0]
        rows.append(np.arange(n_rows))
        columns.append(codes + offset)
        offset += int(codes.max()) + 1
    places = (np.concatenate(rows), np.concatenate(columns))
    graph = coo_array((np.ones(len(places[0])), places), shape=(offset, offset))
    return connected_components(graph, directed=False)[1][:n_rows]
