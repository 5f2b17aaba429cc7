"""The posterior of a dose-response curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects.table import Effects
from backpain_analysis.engine.likelihood import Blocks, group, stack_covariance
from backpain_analysis.engine.priors import TauPrior, half_normal, log_normal
from backpain_analysis.engine.terms import RandomTerm
from backpain_analysis.models.bayes.model import (
    AnyPrior,
    BayesModel,
    Shape,
    chosen_prior,
    each,
    half_correlated,
    implied_sd,
    spread_of,
)
from backpain_analysis.models.bayes.posterior import Posterior, parsed
from backpain_analysis.models.dose.curves import Curve, FractionalPolynomial
from backpain_analysis.models.dose.search import round_doses
from backpain_analysis.models.dose.shaped import Emax, Hill
from backpain_analysis.models.pairwise.formulas import Moderators, moderators
from backpain_analysis.models.results import checked_level


@dataclass(frozen=True, repr=False)
class CurvePosterior(Posterior):
    """The posterior of a dose-response curve.

    Attributes
    ----------
    effects : Effects
        The contrasts that entered, with `dose` and `ref_dose`.
    curve : Curve
        An Emax or Hill curve has no shape of its own: that is a parameter of the posterior.
    dose_name : str
    moderators : Moderators
    heterogeneity : {"curve", "contrasts"}
    """

    effects: Effects = field(repr=False, kw_only=True)
    curve: Curve = field(kw_only=True)
    dose_name: str = field(kw_only=True)
    moderators: Moderators = field(repr=False, kw_only=True)
    heterogeneity: str = field(kw_only=True)

    @property
    def max_dose(self) -> float:
        """The largest dose any arm was given: the edge of the data."""
        return float(self.effects.table["dose"].max())

    def _basis(self, dose: float, reference: float) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the curve at a dose less those at the reference, and the same made apart.

        Shapes (q,) and (q,), or (G, q) both where they depend on an ED50.
        """
        ends = np.array([dose, reference])
        if self.model.shape is None:
            own = self.curve.basis(ends)
            row = own[0] - own[1]
            return row, row @ _apart(self.curve, *_contrasts(self.effects))
        values = self._nodes[1][:, -len(self.curve.shape_terms) :]
        shapes, place = np.unique(values, axis=0, return_inverse=True)
        rows, apart = [], []
        for value in shapes:
            curve = shaped_as(self.curve, value)
            own = curve.basis(ends)
            rows.append(own[0] - own[1])
            apart.append(rows[-1] @ _apart(curve, *_contrasts(self.effects)))
        return np.array(rows)[place], np.array(apart)[place]

    def _row(
        self, dose: float, reference: float, at: Mapping[str, Any] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Row of the coefficients, and how much of each variance component a new trial adds."""
        basis, z = self._basis(dose, reference)
        weights = self.moderators.row(at)
        row = np.concatenate([basis * weight for weight in weights], axis=-1)
        if self.heterogeneity == "contrasts":
            return row, np.array([float(dose != reference)])
        pairs = [2 * z[..., i] * z[..., j] for i, j in self.model.correlated]
        return row, np.concatenate([z**2, *(pair[..., None] for pair in pairs)], axis=-1)

    def predict(
        self,
        doses: ArrayLike | None = None,
        reference: float = 0.0,
        at: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Effect of each dose against the reference dose, and in a new trial.

        Parameters
        ----------
        doses : array_like, shape (n,), optional
            By default some round doses from zero to the largest.
        reference : float
        at : mapping, optional
            Values of the moderators; by default their reference levels (numbers: zero).

        Returns
        -------
        DataFrame
            `dose, estimate` (median), `ci_low, ci_high, pi_low, pi_high`.
        """
        wanted = round_doses(self.max_dose) if doses is None else doses
        values = np.atleast_1d(np.asarray(wanted, dtype=float))
        found = [self._row(float(dose), reference, at) for dose in values]
        table = self.at([row for row, _ in found], [spread for _, spread in found])
        table.insert(0, "dose", values)
        return table

    def probability_at(
        self,
        than: str,
        dose: float,
        reference: float = 0.0,
        at: Mapping[str, Any] | None = None,
        *,
        new: bool = False,
    ) -> float:
        """Probability that the effect of a dose lies on one side of a value, such as "< -10"."""
        side, value = parsed(than)
        row, spread = self._row(float(dose), reference, at)
        own = self.combination(row, spread if new else None)
        below = float(own.cdf(np.array([value]))[0])
        return below if side == "<" else 1 - below


def shaped_as(curve: Curve, values: ArrayLike) -> Emax | Hill:
    """An Emax or Hill curve with its shape; of values more than it has, the first."""
    assert isinstance(curve, Emax | Hill)
    own = tuple(float(value) for value in np.asarray(values)[: len(curve.shape_terms)])
    return replace(curve, values=own)


def shape_priors(curve: Curve, largest: float) -> tuple[TauPrior, ...]:
    """Priors of an ED50 (half-normal, the largest dose) and of Hill's exponent (median one)."""
    return (half_normal(largest), log_normal(0.0, 1.0))[: len(curve.shape_terms)]


def _contrasts(effects: Effects) -> tuple[np.ndarray, np.ndarray]:
    columns = effects.table[["dose", "ref_dose"]].to_numpy(dtype=float)
    return columns[:, 0], columns[:, 1]


def _apart(curve: Curve, dose: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What makes the columns orthogonal over the contrasts, each of root mean square one.

    In their order (Gram & Schmidt): the first column keeps its direction, the second is what it
    has beyond the first. Heterogeneity of a typical contrast is then the sd itself, and sds do not
    cancel by their correlation. Shape (q, q), upper triangular; zero for a column of zeros, to
    which an extreme shape may flatten a curve.
    """
    columns = curve.basis(dose) - curve.basis(reference)
    triangle = np.linalg.qr(columns, mode="r")
    triangle = triangle * np.sign(np.diag(triangle))[:, None] / np.sqrt(len(columns))
    return np.linalg.pinv(triangle)


def curve_posterior(
    effects: Effects,
    curve: Curve,
    formula: str | None,
    heterogeneity: str,
    dose_name: str,
    prior: AnyPrior | str,
    level: float,
) -> CurvePosterior:
    """The posterior of a curve, in one stage.

    With heterogeneity "curve" the coefficients vary between trials. Their terms are first made
    orthogonal over the contrasts, with root mean square one: the standard deviations, "tau" (of
    several terms "tau: term", each beyond those before it), are those of the effect of a typical
    contrast, so that priors of tau are in the units of the effects whatever the curve.

    Raises
    ------
    ValueError
        For curves with a shape to be found that is not Emax or Hill, and for two doses.
    """
    shaped = bool(curve.shape_terms) and not curve.shape
    if shaped and not isinstance(curve, Emax | Hill):
        raise ValueError(
            f"with a prior, a {curve.name} curve is not to be had: use 'emax' or 'hill'."
        )
    if isinstance(curve, FractionalPolynomial) and curve.powers is None:
        raise ValueError("with a prior, a fractional polynomial needs its powers.")
    if "dose_2" in effects.table:
        raise ValueError("with a prior, a curve has one dose.")
    design = moderators(formula, effects.table)
    dose, reference = _contrasts(effects)
    blocks = group(effects.table["trial_id"])

    def at(own: Curve) -> tuple[np.ndarray, np.ndarray]:
        basis = own.basis(dose) - own.basis(reference)
        apart = _apart(own, dose, reference) if heterogeneity == "curve" else np.eye(basis.shape[1])
        return design.products(basis), basis @ apart

    largest = float(dose.max())
    X, columns = at(shaped_as(curve, (largest / 2, 1.0)) if shaped else curve)
    sds, K, correlated = _spread(columns, curve, blocks, heterogeneity)
    varies = heterogeneity == "curve"

    def at_shape(value: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        rows, own = at(shaped_as(curve, value))
        return rows, _spread(own, curve, blocks, heterogeneity)[1] if varies else K

    model = BayesModel(
        y=effects.table["yi"].to_numpy(dtype=float),
        X=X,
        names=tuple(design.coefficient_names(curve.terms)),
        S=tuple(stack_covariance(effects.covariance, blocks)),
        K=K,
        blocks=blocks,
        sds=sds,
        correlated=correlated,
        labels=tuple(map(str, effects.table["label"])),
        outcome=effects.outcome,
        measure=effects.measure,
        shape=Shape(curve.shape_terms, shape_priors(curve, largest), each(at_shape))
        if shaped
        else None,
    )
    sd = implied_sd(effects.table) if effects.measure == "MD" else None
    chosen = chosen_prior(prior, effects.outcome, effects.measure, sd)
    parts, weights = model.integrals(chosen)
    return CurvePosterior(
        model,
        parts,
        weights,
        chosen,
        checked_level(level),
        effects=effects,
        curve=curve,
        dose_name=dose_name,
        moderators=design,
        heterogeneity=heterogeneity,
    )


def _spread(
    columns: np.ndarray, curve: Curve, blocks: Blocks, heterogeneity: str
) -> tuple[tuple[str, ...], tuple[np.ndarray, ...], tuple[tuple[int, int], ...]]:
    if heterogeneity == "contrasts":
        return ("tau",), tuple(half_correlated(blocks)), ()
    term = RandomTerm(columns, name="tau", labels=tuple(curve.terms))
    return spread_of([term], blocks)
