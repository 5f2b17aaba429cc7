"""Multiple imputation of missed visits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.imputation.bayes_mi import BayesGaussMI

from backpain_analysis.display import html_table
from backpain_analysis.models.participants.curve_effects import dose_name_of
from backpain_analysis.models.participants.visits import PERSON, as_visits

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
        imputed = self.visits["imputed"].to_numpy()
        without = self.visits["baseline"].isna().to_numpy()
        for values, baselines in zip(self.values, self.baselines, strict=True):
            value = self.visits["value"].to_numpy(dtype=float, copy=True)
            baseline = self.visits["baseline"].to_numpy(dtype=float, copy=True)
            value[imputed], baseline[without] = values, baselines
            yield self.visits.assign(value=value, baseline=baseline)

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        counts = self.summary().to_dict(orient="records")
        return {"m": self.m, "seed": self.seed, "n_imputed": self.n_imputed, "counts": counts}

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
        both = np.hstack([self.scores, self.fixed])
        mean, sd = np.nanmean(both, axis=0), np.nanstd(both, axis=0)
        varies = sd > 0
        chain = _Sampler(((both - mean) / np.where(varies, sd, 1))[:, varies], rng)
        completed = np.where(np.isnan(both), mean, both)[None].repeat(m, axis=0)
        try:
            for number in range(m):
                for _ in range(THINNING if number else BURN_IN):
                    chain.update()
                completed[number][:, varies] = chain.data * sd[varies] + mean[varies]
        except np.linalg.LinAlgError:
            raise ValueError(
                f"trial {self.people['trial_id'].iloc[0]!r}: its variables repeat each other or "
                "are too many for its participants: use fewer auxiliary variables."
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
        raise ValueError("; ".join(faults) + ".")
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


class _Sampler(BayesGaussMI):
    """The sampler of statsmodels, flat prior for the means and Jeffreys' for the covariance.

    Who lacks which variables is worked out once. (statsmodels 0.15 does so every round, and tells
    patterns apart by a hash under which columns {1, 5} and {2, 3} collide.)
    """

    def __init__(self, data: np.ndarray, rng: np.random.Generator) -> None:
        size = data.shape[1]
        priors = {"mean_prior": 1e6 * np.eye(size), "cov_prior": np.zeros((size, size))}
        super().__init__(data.copy(), **priors, cov_prior_df=0, rng=rng)
        patterns, members = np.unique(self.mask, axis=0, return_inverse=True)
        self.patterns = [
            (
                np.flatnonzero(members.ravel() == number),
                np.argsort(lacking, kind="stable"),
                int(lacking.sum()),
            )
            for number, lacking in enumerate(patterns)
            if lacking.any()
        ]

    def update_data(self) -> None:
        """Draw the missing values given the observed ones, pattern by pattern."""
        for rows, seen_first, count in self.patterns:
            cov, mean = self.cov[seen_first][:, seen_first], self.mean[seen_first]
            own = self.data[rows][:, seen_first]
            between = cov[:-count, -count:]
            slopes = np.linalg.solve(cov[:-count, :-count], between)
            spread = np.linalg.cholesky(cov[-count:, -count:] - between.T @ slopes)
            expected = mean[-count:] + (own[:, :-count] - mean[:-count]) @ slopes
            noise = self.rng.normal(size=expected.shape)
            self.data[rows[:, None], seen_first[-count:]] = expected + noise @ spread.T
