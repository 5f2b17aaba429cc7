"""Multiple imputation of missed visits, and any model over the completed sets by Rubin's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.display import html_table
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.models.people.visits import PERSON, as_visits, dose_name_of
from backpain_analysis.models.results import Coefficients, quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Pooled:
    """Estimates over imputations.

    Attributes
    ----------
    params : ndarray, shape (p,)
        Mean over the imputations.
    cov : ndarray, shape (p, p)
        Total covariance, `within + (1 + 1/m) between`.
    within, between : ndarray, shape (p, p)
    df : ndarray, shape (p,)
        Degrees of freedom of Barnard & Rubin.
    riv : ndarray, shape (p,)
        Relative increase in variance due to missing values.
    fmi : ndarray, shape (p,)
        Fraction of missing information.
    m : int
    """

    params: np.ndarray
    cov: np.ndarray
    within: np.ndarray
    between: np.ndarray
    df: np.ndarray
    riv: np.ndarray
    fmi: np.ndarray
    m: int


def pool_imputations(
    estimates: Sequence[ArrayLike] | np.ndarray,
    covariances: Sequence[ArrayLike] | np.ndarray,
    df_complete: float | ArrayLike = np.inf,
) -> Pooled:
    """Pool the estimates of m completed data sets.

    With `U` the mean covariance and `B` the covariance of the estimates, the total covariance is
    `T = U + (1 + 1/m) B` (Rubin 1987, Multiple Imputation for Nonresponse in Surveys, ch. 3). With
    `lambda = (1 + 1/m) B / T` and `r = (1 + 1/m) B / U`, coefficient by coefficient, the degrees
    of freedom are `1 / (1/v_old + 1/v_obs)`, `v_old = (m - 1) / lambda^2`,
    `v_obs = (v_com + 1) / (v_com + 3) v_com (1 - lambda)` (Barnard & Rubin 1999,
    doi 10.1093/biomet/86.4.948), and the fraction of missing information is
    `(r + 2 / (v + 3)) / (1 + r)` (van Buuren 2018, Flexible Imputation of Missing Data, 2.3.5).
    A coefficient that all imputations agree on keeps the degrees of freedom of complete data.

    Parameters
    ----------
    estimates : array_like, shape (m, p)
    covariances : array_like, shape (m, p, p)
    df_complete : float or array_like, shape (p,)
        Degrees of freedom had nothing been missing; infinite for normal tests.

    Returns
    -------
    Pooled

    Raises
    ------
    ValueError
        For fewer than two imputations, or shapes that do not fit.

    Examples
    --------
    >>> bp.pool_imputations(
    ...     [[1.0], [1.2], [0.9]], [[[0.04]], [[0.05]], [[0.04]]]
    ... ).params.round(3)
    array([1.033])
    """
    Q, U = np.asarray(estimates, dtype=float), np.asarray(covariances, dtype=float)
    if Q.ndim != 2 or U.shape != (*Q.shape, Q.shape[1]):
        raise ValueError(
            f"estimates of shape {Q.shape} and covariances of shape {U.shape} do not fit: give "
            "(m, p) and (m, p, p)."
        )
    m, p = Q.shape
    if m < 2:
        raise ValueError("Rubin's rules need two imputations at least.")
    within = U.mean(axis=0)
    between = np.atleast_2d(np.cov(Q, rowvar=False))
    extra = (1 + 1 / m) * between
    cov = within + extra
    share, riv = np.diag(extra) / np.diag(cov), np.diag(extra) / np.diag(within)
    complete = np.broadcast_to(np.asarray(df_complete, dtype=float), (p,))
    df = np.array([_df(m, part, of) for part, of in zip(share, complete, strict=True)])
    fmi = np.where(riv > 0, (riv + 2 / (df + 3)) / (1 + riv), 0.0)
    return Pooled(Q.mean(axis=0), cov, within, between, df, riv, fmi, m)


def _df(m: int, share: float, complete: float) -> float:
    """Degrees of freedom where `share` of the total variance lies between imputations."""
    if share < 1e-12:
        return float(complete)
    old = (m - 1) / share**2
    if np.isinf(complete):
        return old
    observed = (complete + 1) / (complete + 3) * complete * (1 - share)
    return 1 / (1 / old + 1 / observed)


BURN_IN, THINNING = 100, 20
"""Rounds of the sampler before the first completed data set, and between two of them."""

MOST_ARMS = 8
"""Up to so many doses in a trial are its arms; more are a number."""


@dataclass(frozen=True)
class Imputations:
    """Completed copies of a table of visits; iterating over it gives them one by one.

    Attributes
    ----------
    visits : DataFrame
        Every participant at every visit of the trial; `value` is empty where `imputed`.
        `dropout` marks visits after the participant's last observed score.
    values : ndarray, shape (m, number of imputed visits)
    baselines : ndarray, shape (m, number of visits of participants without a baseline)
    seed : int
    dose_name : str
    """

    visits: pd.DataFrame = field(repr=False)
    values: np.ndarray = field(repr=False)
    baselines: np.ndarray = field(repr=False)
    seed: int
    dose_name: str

    @property
    def m(self) -> int:
        """Number of completed data sets."""
        return len(self.values)

    @property
    def n_imputed(self) -> int:
        """Visits whose score was imputed."""
        return int(self.visits["imputed"].sum())

    def __len__(self) -> int:
        return self.m

    def __iter__(self) -> Iterator[pd.DataFrame]:
        yield from self.rows(np.arange(len(self.visits)))

    def rows(self, places: np.ndarray) -> Iterator[pd.DataFrame]:
        """The rows at these places of every completed data set.

        Parameters
        ----------
        places : ndarray of int, shape (n,)
        """
        table = self.visits.iloc[places].reset_index(drop=True)
        filled = {}
        drawn = {"value": self.values, "baseline": self.baselines}
        lacking = {"value": self.visits["imputed"], "baseline": self.visits["baseline"].isna()}
        for name, own in drawn.items():
            lacks = lacking[name].to_numpy()
            wanted = np.flatnonzero(lacks[places])
            every = np.tile(table[name].to_numpy(dtype=float), (self.m, 1))
            every[:, wanted] = own[:, np.cumsum(lacks)[places[wanted]] - 1]
            filled[name] = every
        for value, baseline in zip(*filled.values(), strict=True):
            yield table.assign(value=value, baseline=baseline)

    def with_delta(self, delta: float, where: Callable[[pd.DataFrame], pd.Series]) -> Imputations:
        """The same completed data with `delta` added to imputed scores.

        Parameters
        ----------
        delta : float
            In points of the outcome.
        where : callable
            From the table of visits to a mask of rows; only imputed rows after baseline change.
        """
        imputed = self.visits["imputed"]
        chosen = where(self.visits)[imputed] & (self.visits.loc[imputed, "week"] > 0)
        return replace(self, values=self.values + delta * chosen.to_numpy(dtype=float))

    def summary(self) -> pd.DataFrame:
        """`trial_id, week, dose, participants, imputed, after_dropout`: what was missing where."""
        grouped = self.visits.groupby(["trial_id", "week", "dose"], sort=True)
        counts = grouped.agg(
            participants=("imputed", "size"), imputed=("imputed", "sum"), after=("dropout", "sum")
        )
        return counts.rename(columns={"after": "after_dropout"}).reset_index()

    def _repr_html_(self) -> str:
        note = f"{self.n_imputed} scores imputed {self.m} times; seed {self.seed}."
        return html_table(self.summary(), title="Multiple imputation", note=note)


def impute(
    data: Any, *, m: int = 20, seed: int = 1, auxiliary: tuple[str, ...] = (), **columns: str
) -> Imputations:
    """Fill in missed visits m times, trial by trial, assuming that they are missing at random.

    Within each trial baseline, scores at all visits, arms (doses) and auxiliary variables are
    taken as jointly normal; means, covariance and missing values are drawn in turn from their
    conditional distributions (data augmentation, Schafer 1997, Analysis of Incomplete
    Multivariate Data, ch. 5; `statsmodels.imputation.bayes_mi.BayesGaussMI`, flat prior for the
    means, Jeffreys' for the covariance). Trials are imputed apart, so that what differs between
    them stays different (Burgess et al. 2013, doi 10.1002/sim.5844). Imputed scores are neither
    rounded nor cut off at the ends of the scale, which would bias their mean (von Hippel 2013,
    doi 10.1177/0049124112464866).

    Parameters
    ----------
    data : DataFrame or Participants
        See `visits.as_visits`. A visit is missed where the score is missing, or where there is
        no row though others of the trial have one at that week.
    m : int
        Completed data sets; at least two.
    seed : int
    auxiliary : tuple of str
        Complete numeric columns that help to predict scores, such as "age".
    **columns : str
        Names of the columns, as of `visits.as_visits`.

    Returns
    -------
    Imputations

    Raises
    ------
    ValueError
        For a dose that changes from visit to visit, or trials with too few participants; all are
        named.

    Examples
    --------
    >>> people = bp.load_participants()
    >>> bp.impute(people, m=2).m
    2
    """
    if m < 2:
        raise ValueError(f"m = {m}: give at least two imputations.")
    visits = as_visits(data, covariates=auxiliary, **columns)
    trials = _scheduled(visits, list(auxiliary))
    generators = np.random.default_rng(seed).spawn(len(trials))
    draws = [trial.draws(m, rng) for trial, rng in zip(trials, generators, strict=True)]
    frame = pd.concat([trial.rows() for trial in trials], ignore_index=True)
    imputed = frame["imputed"].to_numpy()
    without = frame["baseline"].isna().to_numpy()
    values = np.hstack([trial.at_rows(drawn) for trial, drawn in zip(trials, draws, strict=True)])
    baselines = np.hstack(
        [trial.baseline_at_rows(drawn) for trial, drawn in zip(trials, draws, strict=True)]
    )
    name = dose_name_of(data, columns)
    return Imputations(frame, values[:, imputed], baselines[:, without], seed, name)


@dataclass(frozen=True)
class _Trial:
    """One trial: `people` a row each; `scores` (n_people, 1 + visits), baseline first."""

    people: pd.DataFrame
    scores: np.ndarray
    weeks: np.ndarray
    fixed: np.ndarray
    has_week_0: bool

    def draws(self, m: int, rng: np.random.Generator) -> np.ndarray:
        """Completed scores, shape (m, n_people, 1 + visits)."""
        if not np.isnan(self.scores).any():
            return np.broadcast_to(self.scores, (m, *self.scores.shape))
        from backpain_analysis.models.people.sampler import Sampler

        both = np.hstack([self.scores, self.fixed])
        mean, sd = np.nanmean(both, axis=0), np.nanstd(both, axis=0)
        varies = sd > 0
        chain = Sampler(((both - mean) / np.where(varies, sd, 1))[:, varies], rng)
        completed = np.where(np.isnan(both), mean, both)[None].repeat(m, axis=0)
        try:
            for number in range(m):
                for _ in range(THINNING if number else BURN_IN):
                    chain.update()
                completed[number][:, varies] = chain.data * sd[varies] + mean[varies]
        except np.linalg.LinAlgError:
            raise CannotEstimate(
                f"trial {self.people['trial_id'].iloc[0]!r}: its variables repeat each other or "
                "are too many for its participants",
                "use fewer auxiliary variables",
            ) from None
        drawn = completed[:, :, : self.scores.shape[1]]
        return np.where(np.isnan(self.scores), drawn, self.scores)

    @property
    def first(self) -> int:
        """The first column of `scores` that is a row of the table."""
        return 0 if self.has_week_0 else 1

    def at_rows(self, scores: np.ndarray) -> np.ndarray:
        return scores[..., self.first :].reshape(*scores.shape[:-2], -1)

    def baseline_at_rows(self, scores: np.ndarray) -> np.ndarray:
        return np.repeat(scores[..., 0], self.scores.shape[1] - self.first, axis=-1)

    def rows(self) -> pd.DataFrame:
        """The long table, a row a participant and visit."""
        weeks = np.concatenate([[0.0], self.weeks])[self.first :]
        frame = self.people.loc[self.people.index.repeat(len(weeks))].reset_index(drop=True)
        seen = ~np.isnan(self.scores)
        last = seen.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
        after = np.arange(seen.shape[1]) > np.where(seen.any(axis=1), last, 0)[:, None]
        value = self.at_rows(self.scores)
        return frame.assign(
            week=np.tile(weeks, len(self.people)),
            value=value,
            imputed=np.isnan(value),
            dropout=self.at_rows(after),
        )


def _scheduled(visits: pd.DataFrame, auxiliary: list[str]) -> list[_Trial]:
    faults, trials = [], []
    for trial, rows in visits.groupby("trial_id", sort=False):
        people = rows.groupby(PERSON, sort=False)[["dose", "baseline", *auxiliary]].first()
        if (rows.groupby(PERSON)["dose"].nunique() > 1).any():
            faults.append(f"trial {trial!r}: the dose changes from visit to visit; use prescribed")
            continue
        after = rows[(rows["week"] > 0) & rows["value"].notna()]
        wide = after.set_index([*PERSON, "week"])["value"].unstack().reindex(people.index)
        people = people.reset_index()
        scores = np.column_stack([people["baseline"], wide])
        fixed = _columns(people, auxiliary)
        size = scores.shape[1] + fixed.shape[1]
        if np.isnan(scores).any() and len(people) < size + 3:
            faults.append(
                f"trial {trial!r}: {len(people)} participants cannot carry the imputation of "
                f"{size} variables (baseline, visits, arms, auxiliary)"
            )
        if np.isnan(scores[:, 0]).all():
            faults.append(f"trial {trial!r}: nobody has a baseline score")
        weeks = wide.columns.to_numpy(dtype=float)
        trials.append(_Trial(people, scores, weeks, fixed, bool((rows["week"] <= 0).any())))
    if faults:
        raise CannotEstimate("; ".join(faults))
    return trials


def _columns(people: pd.DataFrame, auxiliary: list[str]) -> np.ndarray:
    """Arms as indicators (or the dose as a number) beside the auxiliary variables."""
    doses = people["dose"]
    few = doses.nunique() <= MOST_ARMS
    arms = pd.get_dummies(doses, drop_first=True, dtype=float) if few else doses.to_frame()
    values = np.column_stack([arms, people[auxiliary]]).astype(float)
    if np.isnan(values).any():
        raise ValueError("doses and auxiliary variables must be complete.")
    return values


@dataclass(frozen=True, repr=False)
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
            told = [[frame["estimate"].iloc[row]] for frame in frames]
            variance = [[[frame["se"].iloc[row] ** 2]] for frame in frames]
            if np.sum(variance) == 0:
                rows.append((told[0][0], 0.0, np.inf))
                continue
            found = pool_imputations(told, variance, float(np.min(self.results[0].df)))
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

    def plot(self, **options: Any) -> Axes:
        """The curve with its intervals: see `figures.dose_effects`."""
        from backpain_analysis.figures.people_plots import dose_effects

        return dose_effects(self, **options)

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

    Examples
    --------
    >>> people = bp.load_participants()
    >>> imputed = bp.impute(people, m=2)
    >>> bp.with_imputations(
    ...     imputed, lambda visits: bp.ancova(visits, week=12)
    ... ).params.round(2)
    dose   -0.06
    dtype: float64
    """
    require(imputations, "Imputations")
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
