"""Models with several variance parameters: the highest of the maxima that many starts reach.

The likelihood of several variances may have maxima in the interior and on the boundary, where a
variance is zero or a correlation one, and no bound tells which is highest. What makes it likely
that the highest is found:

- Heights are taken on a lattice: standard deviations, zero among them, evenly in their logarithm,
  from well below what the most precise rows can show to beyond what the residuals of all rows
  need; and with each of them correlations of none, 0.6 and 0.95, in every pattern of signs. Inside
  it a hill is wider than the lattice's steps, whatever the units: each part of the likelihood bends
  within about one unit of log variance (see `one_variance`).
- Trials whose variances are far apart make hills narrower than any lattice, where effects vary in
  one direction only and some precise rows not at all: of few trials these directions are computed
  from the rows, and tried at many sizes (`_hidden`).
- Effects that vary in fewer directions than they are have hills of their own, one for each set of
  directions that suits some trials: of few trials, climbs start from the best of many such sets
  that lie far apart, half of them drawn as effects at rows (`_flat`).
- Where all that is near no variance is higher than all that is far, a narrow hill between them is
  missed from near; of few trials a climb comes from the largest variances, too.
- The size of each direction comes from its own model, with all other variances zero, whose highest
  maximum is known (`one_variance`); from that, too, a climb starts.
- Newton's method climbs from the highest peaks of the lattice, taking the highest of many lengths
  of each step; the highest end is the answer, or a boundary beside it that is as high. All climbs
  go on together, as many places take little more time than one (`few_rows`): the first to its end,
  the others roughly, and then those to their ends that may be the highest.
- A size that one trial alone could show makes a ridge: straight, nearly level and up to 1e5 times
  as long as what other rows show. Where a climb ends on level ground, heights are taken far along
  the lines that lead on, less what rounding may have added to them (`BLUR`).

Few trials, whose likelihoods have many hills, get a fine lattice and many climbs; many trials,
whose likelihood has one, a coarse one and few. benchmarks/maxima.py says how often a dense search
that shares no code finds a higher point.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, islice, product
from typing import Any

import numpy as np

from backpain_analysis.engine.few_rows import MOST_ROWS, ROUNDING, FewRows, profiled
from backpain_analysis.engine.likelihood import (
    Batch,
    NotDefinite,
    evaluate,
    padded,
    too_singular,
)
from backpain_analysis.engine.one_variance import whitened
from backpain_analysis.engine.search import (
    TOLERANCE,
    AllDerivatives,
    Maximum,
    ascend_together,
    maximise,
)
from backpain_analysis.engine.terms import ScaledTerm, components_at, components_of, split
from backpain_analysis.errors import ConvergenceError

Sizes = list[tuple[float, float, float]]
Found = tuple[np.ndarray, int, bool]
"""Parameters at the highest maximum, the steps of the climb that found it, and whether no other
place that is as high has other effects or standard errors."""

WORK, FINEST, MOST_HEIGHTS = 4e5, 9, 700
"""Multiplications that the grid may take, its points along a direction, and in all."""
CHUNK = 2e6
CLIMBS, FEW_CLIMBS, NEAR = 8, 3, 12.0
"""Climbs of problems of few and of many trials, from peaks no further below the highest."""
ROUGH = 1e-3
"""A climb whose promised rise is this small goes on only if its hill may be the highest."""
SAME = 0.05
SEEN = 1e-7
"""Of ends whose heights differ by less the first is taken: far away that may be rounding."""
TIED, ALIKE = 1e-9, 0.05
"""Ends whose heights differ by less are as high; effects and standard errors that differ by less,
over the smallest standard error, are alike."""
MOST_LEANS, MOST_TOPS = 81, 24
"""Combinations of leans that are searched, and peaks of all that are climbed from at most."""
MOST_HIDDEN, HIDDEN_LENGTHS = 48, 16
"""Directions that some rows do not see, from so many places in the data at most, and sizes."""
TOGETHER, SEVERAL = WORK / 50, 64
"""Multiplications for a height of all problems that are climbed together, and points of each of
them whose heights are taken together: more take as little time one problem after the other."""
MORE = 1000
"""Steps that the highest climb may take beyond those of all, if it has not ended."""
WAYS, CHANGES, APART = 10, (0.6, 0.36), 0.9
"""In how many ways effects vary in a set of directions, by how much these are changed, and the
largest squared cosine between two sets that climbs start from."""
FLAT_WORK = 2500
"""Up to so many multiplications a height these are looked for."""
ROUNDED = 1e-4
"""An end that is higher by more than this may be so by rounding, where variances are huge."""


@dataclass(frozen=True)
class Problem:
    """A likelihood whose highest maximum is looked for.

    With `near`, parameters on the only hill there is, by one climb from there.
    """

    batches: list[Batch]
    terms: list[ScaledTerm]
    reml: bool
    near: np.ndarray | None = None

    @cached_property
    def work(self) -> float:
        """Multiplications for a height, about."""
        return sum(batch.S.size * batch.S.shape[-1] * batch.times for batch in self.batches)

    @property
    def few(self) -> bool:
        return self.work < TOGETHER and all(batch.times == 1 for batch in self.batches)

    @cached_property
    def few_rows(self) -> FewRows | None:
        if self.few and len(self.batches) == 1 and self.batches[0].S.shape[-1] <= MOST_ROWS:
            return FewRows.of(self.batches[0])
        return None

    @property
    def form(self) -> Hashable:
        """What problems share that can be climbed together; none for those that cannot."""
        if self.few_rows is None:
            return None
        terms = [(own.term.structure, own.q, own.term.positions) for own in self.terms]
        return self.reml, self.batches[0].X.shape[-1], *terms

    def heights(self, components: np.ndarray) -> np.ndarray:
        """The log-likelihood, up to a constant, at many values of the components.

        Parameters
        ----------
        components : ndarray, shape (n, m)

        Returns
        -------
        ndarray, shape (n,)
            Minus infinity outside the domain, and where numbers overflow.
        """
        size = sum(batch.S.size for batch in self.batches) * 2
        step = max(1, int(CHUNK // size))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            parts = [
                self._heights(components[first : first + step])
                for first in range(0, len(components), step)
            ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _heights(self, components: np.ndarray) -> np.ndarray:
        if self.few_rows is not None:
            return self.few_rows.heights(components, reml=self.reml)
        return _heights(self.batches, components, self.reml)

    def level(self, thetas: np.ndarray) -> np.ndarray:
        """The heights at parameters of shape (n, k)."""
        return self.heights(components_at(self.terms, thetas)[0])

    def slopes(self, components: np.ndarray) -> AllDerivatives:
        """The log-likelihood, up to a constant, and its derivatives by the components, (c, m).

        Values outside the domain are NaN.
        """
        if self.few_rows is not None:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                return self.few_rows.derivatives(components, reml=self.reml)
        found = [self._at(own) for own in components]
        height, slope, bend = (np.array(part) for part in zip(*found, strict=True))
        return height, slope, bend

    def at(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The same by the parameters, at those of shape (k,)."""
        height, gradient, hessian = _by_parameters(self.terms, theta[None], self.slopes)
        return float(height[0]), gradient[0], hessian[0]

    def _at(self, components: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        try:
            point = evaluate(self.batches, components, reml=self.reml, derivatives=True)
        except NotDefinite:
            m = len(components)
            return np.nan, np.zeros(m), np.zeros((m, m))
        assert point.gradient is not None and point.hessian is not None
        return point.llf, point.gradient, point.hessian


def _heights(batches: list[Batch], components: np.ndarray, reml: bool) -> np.ndarray:
    """By elimination in blocks `[V | X y]`, all points and blocks of a size at once."""
    p = batches[0].X.shape[-1]
    gram = np.zeros((len(components), p + 1, p + 1))
    logdet = np.zeros(len(components))
    blur = np.zeros(len(components))
    outside = np.zeros(len(components), dtype=bool)
    for batch in batches:
        size = batch.S.shape[-1]
        V = np.tensordot(batch.K.transpose(2, 3, 1, 0), components.T, axes=1)
        V += batch.S.transpose(1, 2, 0)[..., None]
        own = np.concatenate([batch.X, batch.y[..., None]], axis=2).transpose(1, 2, 0)
        Z = np.repeat(own[..., None], len(components), axis=3)
        whole = np.einsum("iibg->ibg", V).copy()
        for j in range(size):
            pivot = V[j, j]
            sound = pivot > ROUNDING * whole[j]
            outside |= ~sound.all(axis=0)
            pivot = np.where(sound, pivot, 1.0)
            blur += batch.times * (whole[j] / pivot).sum(axis=0)
            logdet += batch.times * np.log(pivot).sum(axis=0)
            share = V[j] / pivot
            row = Z[j] / np.sqrt(pivot)
            flat = row.transpose(2, 0, 1)
            gram += flat @ flat.transpose(0, 2, 1)
            for i in range(j + 1, size):
                V[i, i:] -= share[i] * V[j, i:]
                Z[i] -= share[i] * Z[j]
    return profiled(gram.transpose(1, 2, 0), logdet, blur, outside, reml)


@dataclass(frozen=True)
class Alike:
    """Problems that are climbed together: one, or several of few rows and of the same form."""

    problems: list[Problem]

    @property
    def terms(self) -> list[ScaledTerm]:
        return self.problems[0].terms

    @cached_property
    def few_rows(self) -> FewRows:
        return FewRows.stacked([problem.batches[0] for problem in self.problems])

    def level(self, thetas: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Heights at parameters of shape (n, k), of the problems with the numbers (n,)."""
        components, level = components_at(self.terms, thetas)[0], np.empty(len(of))
        alone = np.bincount(of) > (SEVERAL if len(self.problems) > 1 else 0)
        for number in np.flatnonzero(alone):
            own = of == number
            level[own] = self.problems[number].heights(components[own])
        if not (left := ~alone[of]).any():
            return level
        level[left] = self._stacked(FewRows.heights, components[left], of[left])
        return level

    def derivatives(self, thetas: np.ndarray, of: np.ndarray) -> AllDerivatives:
        """The log-likelihood, up to a constant, and its derivatives by the parameters, (c, k).

        Of the problems with the numbers (c,). Values outside the domain are NaN.
        """
        if len(self.problems) == 1:
            return _by_parameters(self.terms, thetas, self.problems[0].slopes)
        slopes = partial(self._stacked, FewRows.derivatives, of=of)
        return _by_parameters(self.terms, thetas, slopes)

    def _stacked(self, function: Callable, components: np.ndarray, of: np.ndarray) -> Any:
        """A function of components (n, m) of the problems with these numbers, which rise."""
        asked, first, row = np.unique(of, return_index=True, return_inverse=True)
        column = np.arange(len(of)) - first[row]
        padded = np.zeros((len(asked), column.max() + 1, components.shape[1]))
        padded[row, column] = components
        few = self.few_rows if len(asked) == len(self.problems) else self.few_rows.only(asked)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = function(few, padded, reml=self.problems[0].reml)
        if isinstance(found, tuple):
            return tuple(part[row, column] for part in found)
        return found[row, column]


def _by_parameters(
    terms: list[ScaledTerm], thetas: np.ndarray, slopes: Callable[[np.ndarray], AllDerivatives]
) -> AllDerivatives:
    """Derivatives by the parameters, of those by the components."""
    values, jacobian, curvature = components_at(terms, thetas)
    height, slope, bend = slopes(values)
    gradient = (slope[:, None] @ jacobian)[:, 0]
    hessian = jacobian.transpose(0, 2, 1) @ bend @ jacobian
    flat = curvature.reshape(*curvature.shape[:-2], -1)
    return height, gradient, hessian + (slope[:, None] @ flat).reshape(hessian.shape)


def highest(problems: Sequence[Problem]) -> list[Found | ConvergenceError]:
    """Where the likelihood of each problem is highest; the fault of one where no climb ended."""
    found: dict[int, Found | ConvergenceError] = {}
    ready = [_in_one_batch(problem) for problem in problems]
    starts = {}
    for number, problem in enumerate(ready):
        try:
            starts[number] = _starts(problem) if problem.near is None else [problem.near]
        except ConvergenceError as fault:
            found[number] = fault
    for numbers in _groups(ready, starts):
        alike = Alike([ready[number] for number in numbers])
        ends = _ends(alike, [starts[number] for number in numbers])
        for number, own in zip(numbers, ends, strict=True):
            try:
                found[number] = _best(ready[number], own)
            except ConvergenceError as fault:
                found[number] = fault
    return [found[number] for number in range(len(problems))]


def _in_one_batch(problem: Problem) -> Problem:
    if problem.few and len(problem.batches) > 1:
        one = replace(problem, batches=padded(problem.batches))
        return one if one.few else problem
    return problem


def _groups(problems: list[Problem], numbers: Iterable[int]) -> Iterator[list[int]]:
    """The numbers of those problems that are climbed together."""
    forms: dict[Hashable, list[int]] = {}
    for number in numbers:
        forms.setdefault(problems[number].form or number, []).append(number)
    for alike in forms.values():
        most = max(1, int(TOGETHER / max(problems[number].work for number in alike)))
        for first in range(0, len(alike), most):
            yield alike[first : first + most]


def _best(problem: Problem, ends: list[Maximum]) -> Found:
    """The highest of the ends, or a boundary beside it that is as high.

    Raises
    ------
    ConvergenceError
        If no climb ended.
    """
    if not ends:
        raise too_singular()
    terms, best = problem.terms, ends[_top(problem, ends)]
    if best.fault is not None:
        best = maximise(problem.at, best.theta, heights=problem.level, max_iterations=MORE)
    told = _told(problem, best, ends)
    theta, value = best.theta, best.value
    for number, term in enumerate(terms):
        parts = split(terms, theta)
        allowed = 1e-10 if term.size(parts[number]) < 1e-5 else 0.0
        parts[number] = term.start(0.0)
        without = np.concatenate(parts)
        lower = problem.at(without)[0]
        if lower >= value - allowed:
            theta, value = without, max(lower, value)
    return theta, best.n_iterations, told


Places = list[np.ndarray]


def _ends(alike: Alike, starts: list[Places]) -> list[list[Maximum]]:
    """Where climbs of each problem end: the first and those that may be the highest exactly."""
    roughly = [[TOLERANCE] + [ROUGH] * (len(own) - 1) for own in starts]
    climbed = [
        _promising(problem, *own)
        for problem, own in zip(alike.problems, _climbed(alike, starts, roughly), strict=True)
    ]
    again = [places for _, places in climbed]
    exactly = [[TOLERANCE] * len(places) for places in again]
    found = _climbed(alike, again, exactly)
    return [
        done + [end for end in own if end is not None]
        for (done, _), own in zip(climbed, found, strict=True)
    ]


def _climbed(
    alike: Alike, starts: list[Places], tolerances: list[list[float]]
) -> list[list[Maximum | None]]:
    of = np.repeat(np.arange(len(starts)), [len(own) for own in starts])
    ends = ascend_together(
        lambda thetas, climbs: alike.derivatives(thetas, of[climbs]),
        list(chain(*starts)),
        list(chain(*tolerances)),
        heights=lambda thetas, climbs: alike.level(thetas, of[climbs]),
    )
    each = iter(ends)
    return [list(islice(each, len(own))) for own in starts]


def _promising(
    problem: Problem, first: Maximum | None, *others: Maximum | None
) -> tuple[list[Maximum], Places]:
    """The end that is exact, and the rough ones whose hills may be the highest."""
    done = [] if first is None else [first]
    ends = done + [end for end in others if end is not None]
    if len(ends) == len(done):
        return done, []
    top, same = _top(problem, ends), _same(problem.terms, ends)
    kept = list(range(len(done)))
    for number in [top, *sorted(range(len(done), len(ends)), key=lambda row: -ends[row].value)]:
        value = ends[number].value
        hills = [other for other in kept if same[number, other] and ends[other].value >= value]
        if value > ends[top].value - 2 * ROUGH and not hills:
            kept.append(number)
    return done, [ends[number].theta for number in kept[len(done) :]]


def _top(problem: Problem, ends: list[Maximum]) -> int:
    """The highest end, but for what rounding may have added to much of its height."""
    levels = problem.level(np.stack([end.theta for end in ends]))
    best = 0
    for number, end in enumerate(ends):
        rise = end.value - ends[best].value
        if rise > SEEN and (rise <= ROUNDED or levels[number] > levels[best]):
            best = number
    return best


def _told(problem: Problem, best: Maximum, ends: list[Maximum]) -> bool:
    """Whether all ends as high as the best have its effects and standard errors.

    The likelihood is level along a ridge where, say, one trial alone has a dose: its own effect
    sets the curve there, and nothing shows how far others would lie from it.
    """
    tied = [end for end in ends if abs(end.value - best.value) < TIED]
    same = _same(problem.terms, [best, *tied])[1:, 0]
    if same.all():
        return True
    tied = [end for end, alike in zip(tied, same, strict=True) if not alike]
    psis = components_at(problem.terms, np.stack([end.theta for end in (best, *tied)]))[0]
    points = [evaluate(problem.batches, psi, reml=problem.reml) for psi in psis]
    beta = np.array([point.beta for point in points])
    se = np.sqrt([np.diag(point.cov_beta) for point in points])
    apart = np.maximum(np.ptp(beta, axis=0), np.ptp(se, axis=0))
    return bool((apart <= ALIKE * se.min(axis=0)).all())


def _same(terms: list[ScaledTerm], ends: list[Maximum]) -> np.ndarray:
    """Whether each end (row) has about the components of each other (column)."""
    own = components_at(terms, np.stack([end.theta for end in ends]))[0]
    size = np.abs(own)
    apart = np.abs(own[:, None] - own)
    return (apart <= SAME * (size.max(axis=1, keepdims=True) + size)).all(axis=2)


def _starts(problem: Problem) -> list[np.ndarray]:
    """Where to climb from, the most promising first."""
    terms, few = problem.terms, problem.few
    axes = [(number, own) for number, term in enumerate(terms) for own in range(term.n_sizes)]
    sizes = [_size(problem, number, own) for number, own in axes]
    counts = [len(term.leans) for term in terms]
    leans = list(product(*map(range, counts)))
    if len(leans) > MOST_LEANS:
        leans, counts = leans[:1], [1] * len(terms)
    least = 3.0 ** min(len(axes), 3)
    budget = min(MOST_HEIGHTS, max(least, WORK / problem.work / len(leans)))
    points = int(np.clip(budget ** (1 / len(axes)), 2, FINEST))
    grids = [
        np.array([0.0, *np.geomspace(low, high, points - 1)] if points > 2 else [low / 10, middle])
        for low, middle, high in sizes
    ]
    if len(axes) > 6:
        grids = [np.array([0.0, middle]) for _, middle, _ in sizes]
    shape = [len(grid) for grid in grids]
    corners = np.array(list(product(*grids)))[:4096]
    bounds = np.cumsum([0, *(term.n_sizes for term in terms)])
    cells = [
        term.cells_at_sizes(corners[:, a:b])
        for term, a, b in zip(terms, bounds, bounds[1:], strict=False)
    ]
    nudge = [min(low, middle) / 10 for low, middle, _ in sizes]
    points_of = [
        np.concatenate([cell[number] for cell, number in zip(cells, lean, strict=True)], axis=1)
        for lean in leans
    ]
    level = problem.heights(np.concatenate(points_of)).reshape(len(leans), -1)
    found: dict[bytes, np.ndarray] = {}
    for row in _peaks(level, counts, shape):
        lean, corner = divmod(int(row), len(corners))
        if level[lean, corner] < level.max() - NEAR or len(found) == MOST_TOPS:
            break
        theta = _theta(terms, np.maximum(corners[corner], nudge), leans[lean])
        found.setdefault(points_of[lean][corner].tobytes(), theta)
    candidates = list(found.values())
    free = len(terms) == 1 and terms[0].term.structure == "unstructured"
    if free and 1 < terms[0].q <= len(terms[0].design) and few:
        candidates += _hidden(problem, sizes, nudge)
    for own, (_, middle, _) in enumerate(sizes):
        alone = np.where(np.arange(len(axes)) == own, middle, nudge)
        candidates.append(_theta(terms, alone))
    height = problem.level(np.stack(candidates))
    order = np.argsort(-height, kind="stable")[: CLIMBS if few else FEW_CLIMBS]
    several = [candidates[row] for row in order]
    if not (free and terms[0].q > 1 and problem.work < FLAT_WORK):
        return several
    starts = [
        start
        for rank in sorted({1, terms[0].q - 1})
        for start in _flat(problem, sizes, nudge, rank)
    ]
    largest = np.array([high for *_, high in sizes])
    return [*several, *starts, _theta(terms, largest, leans[int(np.argmax(level[:, -1]))])]


def _size(problem: Problem, number: int, own: int) -> tuple[float, float, float]:
    """Standard deviations of a direction: well below, at, and beyond its own maximum."""
    terms, batches = problem.terms, problem.batches
    sizes = np.zeros(sum(term.n_sizes for term in terms))
    sizes[sum(term.n_sizes for term in terms[:number]) + own] = 1.0
    unit = components_of(terms, _theta(terms, sizes))[0]
    alone = [
        replace(batch, K=(unit @ batch.K.reshape(len(unit), -1)).reshape(1, *batch.S.shape))
        for batch in batches
    ]
    rows = whitened(alone, reml=problem.reml)
    d = np.sort(rows.d[rows.d > 1e-12 * rows.d.max()])
    median = (d[(len(d) - 1) // 2] + d[len(d) // 2]) / 2
    low, typical = 0.1 / np.sqrt(d[-1]), 1 / np.sqrt(median)
    own_maximum = np.sqrt(rows.highest().psi)
    middle = max(own_maximum, low) if own_maximum > 0 else 0.3 * typical
    return float(low), float(middle), float(3 * max(own_maximum, typical))


def _hidden(problem: Problem, sizes: Sizes, nudge: list[float]) -> list[np.ndarray]:
    """Starts where effects vary in one direction only, in which some rows do not vary at all.

    Of trials whose variances are far apart such a direction may have a hill of its own, narrower
    than any lattice: so of each few neighbouring rows the direction is taken that they do not see.
    """
    (term,) = problem.terms
    first = np.arange(len(term.design) - term.q + 2)
    room = int(np.clip(WORK / problem.work / HIDDEN_LENGTHS, 4, MOST_HIDDEN))
    step = max(1, -(-len(first) // room))
    windows = term.design[first[::step, None] + np.arange(term.q - 1)]
    unseen = np.linalg.svd(windows.swapaxes(1, 2))[0][:, :, -1]
    lengths = np.geomspace(
        min(low for low, _, _ in sizes), 30 * max(high for *_, high in sizes), HIDDEN_LENGTHS
    )
    left, right = np.array(term.cells).T
    squares = unseen[:, left] * unseen[:, right]
    components = (lengths[:, None, None] ** 2 * squares).reshape(-1, len(left))
    level = problem.heights(components).reshape(len(lengths), -1)
    starts = []
    for direction in np.argsort(-level.max(axis=0))[:FEW_CLIMBS]:
        lower = np.diag(nudge)
        lower[:, 0] = lengths[int(np.argmax(level[:, direction]))] * unseen[direction]
        starts.append(np.array([lower[cell] for cell in term.cells]))
    return starts


def _flat(problem: Problem, sizes: Sizes, nudge: list[float], rank: int) -> list[np.ndarray]:
    """Starts where effects vary in few directions, far apart from each other.

    Each of many sets of directions keeps the highest of some ways to vary, then of changes to it.
    Half of the sets are drawn as effects at rows: where these are of moderate size and those at
    other rows are huge, a hill is narrow in all coordinates but these.
    """
    (term,) = problem.terms
    random, q = np.random.default_rng(0), term.q
    low, middle, high = np.array(sizes).T
    left, right = np.array(term.cells).T
    reach = np.log([low.min(), high.max()])
    room = 2 * WORK / problem.work / WAYS / (1 + len(CHANGES))
    n = int(np.clip(room, 8, 12 * 2**q))
    lean = np.where(np.arange(n)[:, None] % 2, middle / middle.max(), 1.0)[:, None]
    seen = np.tile(np.eye(q), (n, 1, 1))
    at_rows = np.arange(n) % 4 >= 2
    drawn = random.permuted(np.tile(np.arange(len(term.design)), (n, 1)), axis=1)[:, :q]
    seen[at_rows] = term.design[drawn[at_rows]].swapaxes(1, 2)
    back = seen.copy()
    back[at_rows] = np.linalg.pinv(seen[at_rows], rcond=1e-10)
    directions = _orthonormal(random.normal(size=(n, rank, q))) * lean
    level = np.full(n, -np.inf)
    for change in (0.0, *CHANGES):
        shape = (n, WAYS, rank)
        if change:
            lengths = np.exp(change * random.normal(size=(*shape, 1)))
            tilts = np.eye(q) + change * random.normal(size=(n, WAYS, q, q)) / 2
            tried = lengths * (directions @ seen)[:, None] @ tilts @ back[:, None]
        else:
            lengths = np.exp(random.uniform(reach[0], reach[1], (*shape, 1)))
            turns = random.normal(size=(*shape, rank))
            turns = np.linalg.qr(turns)[0] if rank > 1 else np.sign(turns)
            tried = lengths * turns @ directions[:, None]
            effects = np.exp(random.uniform(reach[0], reach[1], (*shape, q)))
            effects *= random.choice([-1.0, 1.0], effects.shape)
            tried[at_rows] = effects[at_rows] @ back[at_rows, None]
        components = (tried[..., left] * tried[..., right]).sum(axis=2).reshape(-1, len(left))
        reached = problem.heights(components).reshape(n, WAYS)
        rose = reached.max(axis=1) > level
        directions[rose] = tried[rose, reached[rose].argmax(axis=1)]
        level = np.maximum(level, reached.max(axis=1))
    spans = _orthonormal(directions / lean).reshape(n * rank, q)
    shared = np.square(spans @ spans.T).reshape(n, rank, n, rank).sum(axis=(1, 3))
    apart = shared - max(2 * rank - q, 0) <= APART
    chosen: list[int] = []
    for row in np.argsort(-level, kind="stable").tolist():
        if apart[row, chosen].all():
            chosen.append(row)
        if len(chosen) == min(2**q, CLIMBS):
            break
    psi = directions[chosen].swapaxes(1, 2) @ directions[chosen]
    more = np.square(nudge) + 1e-12 * np.trace(psi, axis1=1, axis2=2)[:, None]
    return list(np.linalg.cholesky(psi + more[:, None] * np.eye(q))[:, left, right])


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """Orthonormal rows that span the same, of stacked matrices."""
    if rows.shape[-2] == 1:
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.linalg.svd(rows, full_matrices=False)[2]


def _theta(
    terms: list[ScaledTerm], sizes: np.ndarray, leans: tuple[int, ...] | None = None
) -> np.ndarray:
    parts, first = [], 0
    for term, lean in zip(terms, leans or [0] * len(terms), strict=True):
        parts.append(term.at_sizes(sizes[first : first + term.n_sizes], lean))
        first += term.n_sizes
    return np.concatenate(parts)


def _peaks(level: np.ndarray, counts: list[int], shape: list[int]) -> np.ndarray:
    """Points with no higher neighbour, the highest first; grids cut short are all peaks.

    Parameters
    ----------
    level : ndarray, shape (n_leans, n_corners)
    counts : list of int
        Leans of each term: none, and pairs of a weak and a strong one.
    shape : list of int
        Points along each standard deviation.
    """
    peak = np.ones(level.shape, dtype=bool)
    if level.shape[1] == np.prod(shape):
        grid, free = level.reshape(*counts, *shape), peak.reshape(*counts, *shape)
        for axis in range(grid.ndim):
            along, own = np.moveaxis(grid, axis, 0), np.moveaxis(free, axis, 0)
            if axis >= len(counts):
                own[:-1] &= along[:-1] >= along[1:]
                own[1:] &= along[1:] >= along[:-1]
                continue
            for row in range(1, len(along)):
                other = 0 if row % 2 else row - 1
                own[other] &= along[other] >= along[row]
                own[row] &= along[row] >= along[other]
    rows = np.flatnonzero(peak)
    return rows[np.argsort(-level.ravel()[rows], kind="stable")]
