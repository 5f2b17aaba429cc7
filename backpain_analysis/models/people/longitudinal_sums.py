"""From visits to the sums that the longitudinal likelihood needs, chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self

import numpy as np
import pandas as pd
import scipy.linalg
from formulaic import Formula, model_matrix

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve
from backpain_analysis.models.pairwise.formulas import new_rows
from backpain_analysis.models.people.longitudinal_likelihood import CELLS, Sums, TrialEffect
from backpain_analysis.models.people.visits import PERSON, difference, prepared


class Mean(Protocol):
    """What the longitudinal model asks of its fixed part.

    Attributes
    ----------
    names : list of str
        Of the coefficients; an intercept stands first.
    of_dose : list of str
        Those that dose has a part in.
    title : str
    """

    @property
    def names(self) -> list[str]: ...
    @property
    def of_dose(self) -> list[str]: ...
    @property
    def title(self) -> str: ...

    def fitted_to(self, rows: pd.DataFrame, *, whole: bool, intercept: bool) -> Self:
        """With all it takes from the data, of which `rows` are the first or the `whole`."""

    def columns(self, rows: pd.DataFrame) -> np.ndarray:
        """The model matrix of complete visits, shape (n_rows, p)."""

    def contrast(
        self, doses: np.ndarray, weeks: np.ndarray, reference: float, at: Mapping[str, Any]
    ) -> np.ndarray:
        """Rows of doses less those of the reference dose at the same weeks, shape (n, p)."""


@dataclass(frozen=True)
class CurveMean:
    """`g(week) + f(dose) g(week) + covariates`, and `f(dose)` with `main_effect`.

    f and g are zero at dose 0 and week 0.
    """

    curve: Curve
    time: Curve
    covariates: tuple[str, ...] = ()
    main_effect: bool = False
    intercept: bool = True
    covariate_names: tuple[str, ...] = ()
    spec: Any = field(default=None, repr=False)

    @property
    def times(self) -> list[str]:
        return [term.replace("dose", "week") for term in self.time.terms]

    @property
    def of_dose(self) -> list[str]:
        alone = list(self.curve.terms) if self.main_effect else []
        return [*alone, *(f"{dose}:{week}" for dose in self.curve.terms for week in self.times)]

    @property
    def nonlinear(self) -> list[str]:
        """Coefficients of the curve's terms beyond the first."""
        later = self.curve.terms[1:]
        return [name for name in self.of_dose if name.split(":")[0] in later]

    @property
    def names(self) -> list[str]:
        first = ["Intercept"] if self.intercept else []
        products = self.of_dose
        alone = [products.pop(0) for _ in self.curve.terms] if self.main_effect else []
        return [*first, *self.times, *alone, *self.covariate_names, *products]

    @property
    def title(self) -> str:
        return f"{self.curve.name} in dose, {self.time.name} in time"

    def fitted_to(self, rows: pd.DataFrame, *, whole: bool, intercept: bool) -> CurveMean:
        """With knots, and the categories of the covariates.

        Raises
        ------
        ValueError
            For curves whose shape would have to be estimated, or, from a part of the data, those
            that take their knots from all.
        """
        ready = prepared if whole else _without_data
        mean = replace(
            self,
            curve=ready(self.curve, rows["dose"].to_numpy()),
            time=ready(self.time, rows["week"].to_numpy()),
            intercept=intercept,
        )
        if not self.covariates:
            return mean
        matrix = model_matrix(" + ".join(["1", *(f"`{name}`" for name in self.covariates)]), rows)
        return replace(mean, covariate_names=tuple(matrix.columns[1:]), spec=matrix.model_spec)

    def columns(self, rows: pd.DataFrame) -> np.ndarray:
        dose, week = rows["dose"].to_numpy(), rows["week"].to_numpy()
        first = [np.ones((len(rows), 1))] if self.intercept else []
        adjust = [] if self.spec is None else [new_rows(self.spec, rows)[:, 1:]]
        alone, products = self._parts(difference(self.curve, dose), week)
        return np.hstack([*first, difference(self.time, week), *alone, *adjust, *products])

    def contrast(
        self, doses: np.ndarray, weeks: np.ndarray, reference: float, at: Mapping[str, Any]
    ) -> np.ndarray:
        if at:
            raise ValueError(
                f"the effect of dose does not depend on {', '.join(at)}: give formula= with a "
                "product of dose and moderator."
            )
        alone, products = self._parts(difference(self.curve, doses, reference), weeks)
        rows = pd.DataFrame(0.0, index=range(len(doses)), columns=self.names)
        rows[self.of_dose] = np.hstack([*alone, *products])
        return rows.to_numpy()

    def _parts(self, basis: np.ndarray, week: np.ndarray) -> tuple[list, list]:
        time = difference(self.time, week)
        products = [basis[:, [term]] * time for term in range(basis.shape[1])]
        return [basis] * self.main_effect, products


def _without_data(curve: Curve, doses: np.ndarray) -> Curve:
    """A curve that takes nothing from the data, for data that come in chunks."""
    takes = curve.name.startswith("fp") or getattr(curve, "knots", ()) is None
    if takes or curve.shape_terms:
        raise ValueError(
            f"a {curve.name} curve takes its shape from all data, which chunks do not show: use "
            "linear, quadratic, log, rcs(knots=[...]) or piecewise(at=...)."
        )
    return curve


@dataclass(frozen=True)
class FormulaMean:
    """The right side of a formula.

    Attributes
    ----------
    formula : str
    columns_of : dict
        Names of the columns of visits in the formula.
    example : DataFrame
        One row of all variables: means of numbers, first categories.
    """

    formula: str
    columns_of: dict[str, str]
    spec: Any = field(default=None, repr=False)
    example: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    kept: tuple[int, ...] = ()

    @property
    def variables(self) -> list[str]:
        return sorted(str(name) for name in Formula(self.formula).required_variables)

    @property
    def names(self) -> list[str]:
        return [str(self.spec.column_names[place]) for place in self.kept]

    @property
    def of_dose(self) -> list[str]:
        places = self.spec.variable_indices.get(self.columns_of["dose"], [])
        return [str(self.spec.column_names[place]) for place in places]

    @property
    def title(self) -> str:
        return f"~ {self.formula}"

    def fitted_to(self, rows: pd.DataFrame, *, whole: bool, intercept: bool) -> FormulaMean:
        """With categories, knots and centres as of `rows`."""
        frame = rows.rename(columns=self.columns_of)[self.variables]
        spec = model_matrix(self.formula, frame).model_spec
        typical = {
            name: [column.mean() if pd.api.types.is_numeric_dtype(column) else column.iloc[0]]
            for name, column in frame.items()
        }
        kept = [
            place
            for place, name in enumerate(spec.column_names)
            if intercept or str(name) != "Intercept"
        ]
        return replace(self, spec=spec, example=pd.DataFrame(typical), kept=tuple(kept))

    def columns(self, rows: pd.DataFrame) -> np.ndarray:
        frame = rows.rename(columns=self.columns_of)
        return new_rows(self.spec, frame)[:, list(self.kept)]

    def contrast(
        self, doses: np.ndarray, weeks: np.ndarray, reference: float, at: Mapping[str, Any]
    ) -> np.ndarray:
        dose, week = self.columns_of["dose"], self.columns_of["week"]
        if dose not in self.example:
            raise ValueError(f"the formula has no {dose!r}: there is no effect of it to predict.")
        unknown: Sequence[str] = sorted(set(at) - set(self.example) | set(at) & {dose, week})
        if unknown:
            known = ", ".join(sorted(set(self.example) - {dose, week})) or "none"
            raise ValueError(f"no moderator {', '.join(unknown)}; the formula has: {known}.")
        frame = self.example.loc[[0] * len(doses)].reset_index(drop=True)
        frame = frame.assign(**{name: [value] * len(doses) for name, value in at.items()})
        if week in frame:
            frame[week] = weeks
        rows = [
            new_rows(self.spec, frame.assign(**{dose: np.broadcast_to(value, len(doses))}))
            for value in (doses, reference)
        ]
        return (rows[0] - rows[1])[:, list(self.kept)]


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

    Attributes
    ----------
    scale : Scale
        Of the first visits.
    cross : ndarray, shape (p + 1, p + 1)
        Products of the columns of `[X y]`, standardised.
    """

    random: RandomEffects
    trial_effect: TrialEffect
    names: list[str]
    scale: Scale = field(init=False, repr=False)
    cross: np.ndarray = field(init=False, repr=False)
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
        if not self.n_visits:
            has_intercept = self.names[:1] == ["Intercept"]
            trials = self.trial_effect == "fixed"
            self.scale = Scale.of(X, y, week, has_intercept=has_intercept, trials=trials)
            self.cross = np.zeros((X.shape[1] + 1, X.shape[1] + 1))
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
            raise CannotEstimate(
                "no participant has two complete visits",
                "a longitudinal model needs repeated scores. For a single visit use ancova",
            )
        if self.random == "slope" and len(self.weeks) < 3:
            weeks = " and ".join(f"{week:g}" for week in sorted(self.weeks))
            raise CannotEstimate(
                f"complete visits at week {weeks} only cannot tell the slopes of participants "
                "from the residual",
                "use random='intercept'",
            )
        if self.trial_effect == "random" and len(self.trials) < 2:
            raise CannotEstimate(
                "one trial has no variance between trials", "use trial_effect=None"
            )
        if sums.residual_df(reml=True) < 1:
            raise CannotEstimate(
                f"{self.n_visits} complete visits are too few for {len(self.names)} coefficients",
                "use a simpler model",
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
            raise CannotEstimate(
                f"column {name!r} of the model {why}{within}",
                "drop it, or use data in which it varies",
            )
        unit = np.sqrt(size)
        _, triangle, order = scipy.linalg.qr(gram / np.outer(unit, unit), pivoting=True)
        diagonal = np.abs(np.diag(triangle))
        if diagonal[-1] <= 1e-10 * diagonal[0]:
            raise CannotEstimate(
                f"column {self.names[order[-1]]!r} of the model is a combination of the others "
                "(or too close to one)",
                "drop it, or use data in which they differ",
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
        triangle = np.asarray(np.linalg.qr(rows[:, own].T, mode="r")).T
        parts.append(
            _People(
                np.repeat(people.design[..., own[:1]], len(rows), axis=-1),
                triangle[1:].reshape(q, k, -1),
                triangle[0],
                np.repeat(people.trial[own[:1]], len(rows)),
            )
        )
    return _People.joined(parts)
