"""From visits to the sums that the longitudinal likelihood needs, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
import scipy.linalg

from backpain_analysis.models.participants.longitudinal_likelihood import CELLS, Sums, TrialEffect
from backpain_analysis.models.participants.visits import PERSON

RandomEffects = Literal["slope", "intercept"]
HELD = 50_000
"""Participants kept one by one before those seen in the same weeks are condensed."""
ENOUGH = 20_000
"""Rows of the regression that y is taken as a residual from."""


@dataclass(frozen=True)
class Scale:
    """Origin and unit of everything, taken from the first chunk.

    Columns of X are centred (where the model has intercepts) and divided by their standard
    deviation, y is the residual of a regression on them over its own, weeks are standardised.
    Neither likelihood nor estimates depend on this but for rounding.

    Attributes
    ----------
    centre, unit : ndarray, shape (p,)
        Of the columns of X; an intercept stands first.
    start : ndarray, shape (1 + p,)
        Intercept and coefficients that y is taken as a residual from.
    residual : float
        Unit of y.
    week, weeks : float
        Origin and unit of time.
    has_intercept : bool
        Whether X has an intercept of its own.
    """

    centre: np.ndarray
    unit: np.ndarray
    start: np.ndarray
    residual: float
    week: float
    weeks: float
    has_intercept: bool

    @classmethod
    def of(
        cls, X: np.ndarray, y: np.ndarray, week: np.ndarray, *, has_intercept: bool, trials: bool
    ) -> Scale:
        """The scale of a chunk; `trials` tells whether trials have intercepts (fixed)."""
        spread, size = X.std(axis=0), np.abs(X).max(axis=0)
        flat = spread <= 1e-12 * size
        unit = np.where(flat, np.where(size > 0, size, 1.0), spread)
        centre = np.where(flat, 0.0, X.mean(axis=0)) * (has_intercept or trials)
        if has_intercept:
            centre[0], unit[0] = 0.0, 1.0
        columns = (X - centre) / unit
        anchored = np.column_stack([np.full(len(y), float(trials)), columns])
        some = slice(None, None, 1 + len(y) // ENOUGH)
        start = np.linalg.lstsq(anchored[some], y[some])[0]
        residual = float(np.std(y - anchored @ start))
        weeks = float(week.std())
        return cls(
            centre,
            unit,
            start,
            residual if residual > 1e-12 * np.abs(y).max() else 1.0,
            float(week.mean()),
            weeks if weeks > 0 else max(abs(float(week.mean())), 1.0),
            has_intercept,
        )

    def apply(
        self, X: np.ndarray, y: np.ndarray, week: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """`[X y]` and weeks, standardised."""
        columns = (X - self.centre) / self.unit
        rest = (y - self.start[0] - columns @ self.start[1:]) / self.residual
        return np.column_stack([columns, rest]), (week - self.week) / self.weeks

    def coefficients(self, beta: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients and covariance in the units of the data."""
        back = np.diag(1 / self.unit)
        if self.has_intercept:
            back[0] -= self.centre / self.unit
        return back @ (self.residual * beta + self.start[1:]), self.residual**2 * (
            back @ cov @ back.T
        )

    def random_covariance(self, psi: np.ndarray) -> np.ndarray:
        """Covariance of intercept at week 0 and slope a week, from that of standardised weeks."""
        back = np.array([[1.0, -self.week / self.weeks], [0.0, 1 / self.weeks]])
        back = back[: len(psi), : len(psi)]
        return self.residual**2 * back @ psi @ back.T

    def llf(self, llf: float, df: int, reml: bool) -> float:
        """Log-likelihood in the units of the data."""
        units = float(np.log(self.unit).sum()) if reml else 0.0
        return llf - df * float(np.log(self.residual)) - units


@dataclass
class Tally:
    """Sums of the visits seen so far.

    Parameters
    ----------
    random : {"slope", "intercept"}
    trial_effect : {"fixed", "random", None}
    names : list of str
        Of the columns of X, for messages.
    """

    random: RandomEffects
    trial_effect: TrialEffect
    names: list[str]
    scale: Scale | None = None
    cross: np.ndarray | float = 0.0
    n_visits: int = 0
    n_participants: int = 0
    most_visits: int = 0
    weeks: set[float] = field(default_factory=set)
    trials: dict[object, int] = field(default_factory=dict)
    _parts: list[_People] = field(default_factory=list)
    _keys: list[np.ndarray] = field(default_factory=list)
    _limit: int = HELD

    def add(self, rows: pd.DataFrame, X: np.ndarray, people: np.ndarray) -> None:
        """Take in complete visits of whole participants.

        Parameters
        ----------
        rows : DataFrame
            `trial_id, participant_id, week, value`.
        X : ndarray, shape (n_rows, p)
        people : ndarray, shape (n_rows,)
            A number a participant.
        """
        order = np.argsort(people, kind="stable")
        people, y = people[order], rows["value"].to_numpy()[order]
        week = rows["week"].to_numpy()[order]
        if self.scale is None:
            has_intercept = self.names[:1] == ["Intercept"]
            trials = self.trial_effect == "fixed"
            self.scale = Scale.of(X, y, week, has_intercept=has_intercept, trials=trials)
        columns, time = self.scale.apply(X[order], y, week)
        starts = np.flatnonzero(np.diff(people, prepend=-1))
        self.cross = self.cross + columns.T @ columns
        self._note(rows.iloc[order[starts]], week, np.diff(starts, append=len(y)))
        found = _People.of(columns, time, starts, self._trial_codes(rows, order[starts]))
        self._parts.append(found if self.random == "slope" else found.without_slope())
        if sum(len(part.weight) for part in self._parts) > self._limit:
            self._parts = [condensed(_People.joined(self._parts))]
            self._limit = max(HELD, 2 * len(self._parts[0].weight))

    def _note(self, people: pd.DataFrame, week: np.ndarray, visits: np.ndarray) -> None:
        self.n_visits += len(week)
        self.n_participants += len(visits)
        self.most_visits = max(self.most_visits, int(visits.max()))
        if len(self.weeks) < 3:
            self.weeks |= set(np.unique(week)[:3].tolist())
        self._keys.append(pd.util.hash_pandas_object(people[PERSON], index=False).to_numpy())

    def _trial_codes(self, rows: pd.DataFrame, first: np.ndarray) -> np.ndarray:
        codes, trials = pd.factorize(rows["trial_id"].iloc[first])
        numbers = [self.trials.setdefault(trial, len(self.trials)) for trial in trials]
        return np.array(numbers)[codes] if self.trial_effect else np.zeros_like(codes)

    def finish(self) -> Sums:
        """The sums, checked.

        Raises
        ------
        ValueError
            For participants split over chunks, collinear columns, or too few visits.
        """
        keys = np.concatenate(self._keys)
        if split := len(keys) - len(np.unique(keys)):
            raise ValueError(
                f"{split} participants have visits in more than one chunk: sort the visits by "
                "participant and keep each participant's in one chunk."
            )
        people = condensed(_People.joined(self._parts))
        order = np.argsort(people.trial, kind="stable")
        first = np.flatnonzero(np.diff(people.trial[order], prepend=-1))
        sums = Sums(
            design=np.ascontiguousarray(people.design[..., order]),
            scores=np.ascontiguousarray(people.scores[..., order]),
            weight=people.weight[order],
            cross=self.cross,
            first=first,
            n_visits=self.n_visits,
            trial_effect=self.trial_effect,
        )
        self._refuse_unidentified(sums)
        self._refuse_collinear(sums)
        return sums

    def _refuse_unidentified(self, sums: Sums) -> None:
        if self.most_visits < 2:
            raise ValueError(
                "no participant has two complete visits: a longitudinal model needs repeated "
                "scores. For a single visit use ancova."
            )
        if self.random == "slope" and len(self.weeks) < 3:
            weeks = " and ".join(f"{week:g}" for week in sorted(self.weeks))
            raise ValueError(
                f"complete visits at week {weeks} only cannot tell the slopes of participants "
                "from the residual: use random='intercept'."
            )
        if self.trial_effect == "random" and len(self.trials) < 2:
            raise ValueError("one trial has no variance between trials: use trial_effect=None.")
        if sums.residual_df(reml=True) < 1:
            raise ValueError(
                f"{self.n_visits} complete visits are too few for {len(self.names)} coefficients: "
                "use a simpler model."
            )

    def _refuse_collinear(self, sums: Sums) -> None:
        p = len(self.names)
        gram = self.cross[:p, :p]
        before = np.diag(gram)
        if self.trial_effect == "fixed":
            totals = np.add.reduceat(sums.weight * sums.scores[0, :p], sums.first, axis=1)
            visits = np.add.reduceat(sums.weight**2 * sums.design[0, 0], sums.first)
            gram = gram - (totals / visits) @ totals.T
        size = np.diag(gram)
        if np.any(lost := size <= 1e-10 * before):
            name = self.names[int(np.argmax(lost))]
            why = "does not vary" if before[int(np.argmax(lost))] > 0 else "is zero throughout"
            within = " within any trial" * (self.trial_effect == "fixed")
            raise ValueError(
                f"column {name!r} of the model {why}{within}: drop it, or use data in which it "
                "varies."
            )
        unit = np.sqrt(size)
        _, triangle, order = scipy.linalg.qr(gram / np.outer(unit, unit), pivoting=True)
        diagonal = np.abs(np.diag(triangle))
        if diagonal[-1] <= 1e-10 * diagonal[0]:
            raise ValueError(
                f"column {self.names[order[-1]]!r} of the model is a combination of the others "
                "(or too close to one): drop it, or use data in which they differ."
            )


@dataclass(frozen=True)
class _People:
    """`Sums` of single participants (or of several, weighted), in any order."""

    design: np.ndarray
    scores: np.ndarray
    weight: np.ndarray
    trial: np.ndarray

    @classmethod
    def of(
        cls, columns: np.ndarray, time: np.ndarray, starts: np.ndarray, trial: np.ndarray
    ) -> _People:
        """From rows in the order of participants, who begin at `starts`."""

        def summed(parts: np.ndarray) -> np.ndarray:
            return np.add.reduceat(parts, starts, axis=0).T

        visits = np.diff(starts, append=len(time)).astype(float)
        once, twice = summed(time), summed(time**2)
        scores = np.stack([summed(columns), summed(columns * time[:, None])])
        design = np.array([[visits, once], [once, twice]])
        return cls(design, scores, np.ones(len(starts)), trial)

    @classmethod
    def joined(cls, parts: list[_People]) -> _People:
        """All participants of several parts."""
        if len(parts) == 1:
            return parts[0]
        names = ("design", "scores", "weight", "trial")
        return cls(*(np.concatenate([getattr(p, name) for p in parts], axis=-1) for name in names))

    def without_slope(self) -> _People:
        """With a random intercept only."""
        return _People(self.design[:1, :1], self.scores[:1], self.weight, self.trial)

    def subset(self, chosen: np.ndarray) -> _People:
        """Some of the participants."""
        parts = (self.design, self.scores, self.weight, self.trial)
        return _People(*(part[..., chosen] for part in parts))


def condensed(people: _People) -> _People:
    """The same sums from fewer weighted participants.

    Participants of one trial who were seen in the same weeks share A, so the likelihood knows
    only sums over them of `w^2`, `w c` and `c c'`, c their C as a vector. The rows of R in the QR
    decomposition of their rows `(w, c)` have the same sums, and are no more than there are
    columns.
    """
    q, k, n = people.scores.shape
    cells = [people.design[cell] for cell in CELLS[q]]
    keys = pd.DataFrame(dict(enumerate([people.trial, *cells])))
    group = keys.groupby(list(keys), sort=False).ngroup().to_numpy()
    rows = np.vstack([people.weight, people.scores.reshape(q * k, n)])
    large = (np.bincount(group) > len(rows))[group]
    if not large.any():
        return people
    members = np.flatnonzero(large)
    members = members[np.argsort(group[members], kind="stable")]
    parts = [people.subset(np.flatnonzero(~large))]
    for own in np.split(members, np.flatnonzero(np.diff(group[members])) + 1):
        triangle = np.linalg.qr(rows[:, own].T, mode="r").T
        parts.append(
            _People(
                np.repeat(people.design[..., own[:1]], len(rows), axis=-1),
                triangle[1:].reshape(q, k, -1),
                triangle[0],
                np.repeat(people.trial[own[:1]], len(rows)),
            )
        )
    return _People.joined(parts)
