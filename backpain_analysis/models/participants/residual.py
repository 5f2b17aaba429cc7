"""Correlated scores of one participant, by the one engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from backpain_analysis.models.mixed import ConvergenceError, MixedFit, RandomTerm, fit

Structure = Literal["unstructured", "random_slope"]
STRUCTURES = ("unstructured", "random_slope")
KNOWN_SHARES = (0.1, 0.01, 0.001)


@dataclass(frozen=True)
class ResidualFit:
    """A fit and the covariance of one participant's scores at all visits, (n_weeks, n_weeks)."""

    model: MixedFit
    cov: np.ndarray


def fit_residual(
    y: np.ndarray,
    X: np.ndarray,
    people: np.ndarray,
    week: np.ndarray,
    structure: Structure,
    *,
    method: str,
    names: list[str],
) -> ResidualFit:
    """Fit a mean with scores correlated within people, each person a block of the engine.

    The engine asks for a known sampling covariance S. A residual covariance R that has nothing
    known is split as `R = (R - s I) + s I` with a small s: the first part is the engine's random
    term, the second its S. As long as s is below the smallest eigenvalue of R this changes
    nothing, neither estimates nor likelihood; where it is not, s is made smaller.

    Parameters
    ----------
    y, people, week : ndarray, shape (n_rows,)
    X : ndarray, shape (n_rows, p)
    structure : {"unstructured", "random_slope"}
        R free between any two weeks; or random intercept and slope over weeks, and independent
        errors.
    method : {"REML", "ML"}
    names : list of str
        Of the columns of X.

    Returns
    -------
    ResidualFit

    Raises
    ------
    ValueError
        If too few people have scores at two of the weeks for a free covariance.
    ConvergenceError
    """
    weeks = np.unique(week)
    free = structure == "unstructured"
    terms = _free(week, weeks, people) if free else _random_slope(week)
    for share in KNOWN_SHARES:
        known = share * float(np.var(y))
        variances = np.full(len(y), known)
        model = fit(y, X, variances, blocks=people, terms=terms, method=method, names=names)
        if np.linalg.eigvalsh(model.psi[-1])[0] > 1e-6 * known:
            break
    else:
        raise ConvergenceError(
            "scores of some visits are (nearly) a combination of those of others: leave one of "
            "these visits out."
        )
    if free:
        return ResidualFit(model, model.psi[0] + known * np.eye(len(weeks)))
    line = np.column_stack([np.ones(len(weeks)), weeks])
    error = (model.psi[1].item() + known) * np.eye(len(weeks))
    return ResidualFit(model, line @ model.psi[0] @ line.T + error)


def _free(week: np.ndarray, weeks: np.ndarray, people: np.ndarray) -> list[RandomTerm]:
    place = np.searchsorted(weeks, week)
    seen = np.zeros((people.max() + 1, len(weeks)))
    seen[people, place] = 1.0
    few = np.argwhere(np.triu(seen.T @ seen <= len(weeks), 1))
    if len(few):
        pairs = ", ".join(f"{weeks[a]:g} and {weeks[b]:g}" for a, b in few[:5])
        raise ValueError(
            f"too few participants have scores at both weeks {pairs} for a free covariance "
            "between visits: use residual='random_slope', or fewer visits."
        )
    return [RandomTerm(np.eye(len(weeks))[place], name="visit")]


def _random_slope(week: np.ndarray) -> list[RandomTerm]:
    rows = np.arange(len(week))
    line = np.column_stack([np.ones(len(week)), week])
    error = RandomTerm(np.ones((len(week), 1)), rows, structure="identity", name="error")
    return [RandomTerm(line, name="participant"), error]
