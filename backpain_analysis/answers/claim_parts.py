"""One testable part of a claim, judged; effects and networks that parts share, made once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from backpain_analysis.answers.certainty import (
    NO_EVIDENCE,
    Body,
    Certainty,
    certainty,
    good_quality,
)
from backpain_analysis.answers.verdicts import (
    NOT_TESTABLE,
    verdict_on_benefit,
    verdict_on_difference,
    verdict_on_equivalence,
)
from backpain_analysis.effects.assemble import effects_if_measured
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import lumping
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.evidence.scales import mcid
from backpain_analysis.models.network.data import connected_part
from backpain_analysis.models.network.network import NetworkResult, network
from backpain_analysis.models.pairwise.asymmetry import egger_test
from backpain_analysis.models.pairwise.pooling import PoolResult, fitting_test, pool
from backpain_analysis.words import benefit_sign, number, outcome_words

HAZARD_RATIO = "hazard ratio"
"""Unit of estimates that are logarithms of hazard ratios; the text shows the ratio."""

Rule = Literal["benefit", "difference", "equivalence"]


@dataclass(frozen=True)
class Part:
    """One testable part of a claim.

    Attributes
    ----------
    what : str
        What was estimated, in words: "aerobic against no exercise, pain".
    body : Body or None
        Estimate and evidence; None where there is none.
    unit : str
        Of the estimate.
    certainty : Certainty
    verdict, reason : str
        See `verdicts`.
    """

    what: str
    body: Body | None
    unit: str
    certainty: Certainty
    verdict: str
    reason: str

    @property
    def estimate_text(self) -> str:
        """The estimate with its interval; empty where there is none."""
        if self.body is None or not math.isfinite(self.body.estimate):
            return ""
        digits = 1 if self.unit.startswith(("points", "weeks", "kPa")) else 2
        values = (self.body.estimate, self.body.ci_low, self.body.ci_high)
        if self.unit == HAZARD_RATIO:
            values = tuple(math.exp(value) for value in values)
        centre, low, high = (_text(value, digits) for value in values)
        return f"{centre} [{low} to {high}] {self.unit}".strip()


def _text(value: float, digits: int) -> str:
    return number(value, digits).replace("inf", "∞")


def untestable(what: str, why: str) -> Part:
    """A part that these data cannot test."""
    return Part(what, None, "", Certainty(NO_EVIDENCE), NOT_TESTABLE, why)


def judged(
    what: str,
    body: Body,
    unit: str,
    outcome: str,
    *,
    rule: Rule = "benefit",
    margin: float | None = None,
    benefit: int | None = None,
) -> Part:
    """Grade and judge an estimate.

    Parameters
    ----------
    what : str
    body : Body
    unit : str
    outcome : str
        Says which direction is a benefit, unless `benefit` does.
    rule : {"benefit", "difference", "equivalence"}
        See `verdicts`.
    margin : float, optional
        Of equivalence.
    benefit : {-1, 1}, optional
    """
    graded = certainty(body)
    sign = benefit or (benefit_sign(outcome))
    interval = (body.ci_low, body.ci_high, body.estimate)
    if rule == "benefit":
        verdict, reason = verdict_on_benefit(*interval, body.mcid, graded.level, sign)
    elif rule == "difference":
        verdict, reason = verdict_on_difference(*interval, graded.level, sign)
    else:
        verdict, reason = verdict_on_equivalence(*interval, margin or math.nan, graded.level)
    return Part(what, body, unit, graded, verdict, reason)


UNITS = {"MD": "points of 100", "SMD": "SD"}


@dataclass(frozen=True, eq=False)
class Context:
    """The evidence with its effects and networks; each is computed when first asked for."""

    evidence: Evidence
    _made: dict[tuple, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def appraised(self) -> frozenset[str]:
        """Trials whose published appraisal says good quality."""
        trials = self.evidence.trials
        good = trials["rob_or_pedro"].map(good_quality)
        return frozenset(trials.loc[good.astype(bool), "trial_id"])

    def effects(self, outcome: str, measure: str = "MD", every: bool = False) -> Effects | None:
        """Effects of an outcome, or None where the evidence has none."""
        key = ("effects", outcome, measure, every)
        if key not in self._made:
            self._made[key] = self._effects(outcome, measure, every)
        return self._made[key]

    def _effects(self, outcome: str, measure: str, every: bool) -> Effects | None:
        options = {"measure": measure, "head_to_head": every}
        found = effects_if_measured(self.evidence, outcome, **options)
        return found if len(found) else None

    def network(self, outcome: str, lump: str) -> NetworkResult | str:
        """The network of an outcome around inactive controls, or why there is none."""
        key = ("network", outcome, lump)
        if key not in self._made:
            effects = self.effects(outcome, every=True)
            none = effects is None
            self._made[key] = "no usable result" if none else self.network_of(effects, lump)
        return self._made[key]

    def network_of(
        self, effects: Effects, lump: str, treatment: str = "treatment"
    ) -> NetworkResult | str:
        """A network of effects, or why there is none."""
        options = {"treatment": treatment, "lump": lumping(lump)}
        try:
            part = connected_part(effects, "inactive", **options)
        except CannotEstimate as fault:
            return fault.reason
        for method in ("REML", "CE"):
            try:
                return network(part, reference="inactive", method=method, **options)
            except CannotEstimate as fault:
                why = fault.reason
        return why

    def compared(
        self,
        outcome: str,
        first: str,
        second: str = "inactive",
        *,
        lump: str,
        rule: Rule = "benefit",
        words: tuple[str, str],
    ) -> Part:
        """Two treatments of a network."""
        what = f"{words[0]} against {words[1]}, {outcome_words(outcome)}"
        return self.of_network(self.network(outcome, lump), outcome, first, second, rule, what)

    def of_network(
        self,
        found: NetworkResult | str,
        outcome: str,
        first: str,
        second: str,
        rule: Rule,
        what: str,
    ) -> Part:
        """Two treatments of a network that may be missing."""
        if isinstance(found, str):
            return untestable(what, found)
        absent = [name for name in (first, second) if name not in found.treatments]
        if absent:
            names = " and ".join(name.replace("_", " ") for name in absent)
            return untestable(what, f"no usable trial with an arm of {names}")
        row = found.predict(first, second)
        codes = [found.treatments.index(name) for name in (first, second)]
        arms = found.data.arms
        trials = set(arms.loc[arms["treatment"].isin(codes[:1]), "trial_id"])
        sizes = found.data.arm_sizes
        people = sizes.loc[sizes["trial_id"].isin(trials), "participants"].sum()
        indirect = () if row["trials"] else ("no trial compares the two directly",)
        body = Body(
            **row[["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]],
            n_trials=len(trials),
            n_participants=int(people),
            appraised_good=len(trials & self.appraised),
            i2=_i2(found) if len(trials) > 1 else math.nan,
            mcid=mcid(outcome) if rule == "benefit" else None,
            indirect=indirect,
        )
        return judged(what, body, UNITS[found.data.measure], outcome, rule=rule)

    def pooled(
        self,
        effects: Effects | None,
        outcome: str,
        what: str,
        *,
        rule: Rule = "benefit",
        indirect: tuple[str, ...] = (),
    ) -> Part:
        """Pooled effects against inactive controls."""
        kept = None if effects is None else effects.against_inactive()
        if kept is None or not len(kept):
            return untestable(what, "no trial with a usable result against an inactive control")
        single = kept.one_per_trial()
        result = pool(single, test=fitting_test(single.n_trials))
        body = self.body(result, single.table["trial_id"], kept.n_participants, outcome)
        body = Body(**{**vars(body), "indirect": indirect, "asymmetry_p": _asymmetry(single)})
        return judged(what, body, UNITS[kept.measure], outcome, rule=rule)

    def body(self, result: PoolResult, trials: pd.Series, participants: int, outcome: str) -> Body:
        """A pooled result as a body of evidence."""
        names = set(trials)
        return Body(
            estimate=result.estimate,
            ci_low=result.ci_low,
            ci_high=result.ci_high,
            n_trials=len(names),
            n_participants=participants,
            appraised_good=len(names & self.appraised),
            i2=result.i2 if len(names) > 1 else math.nan,
            pi_low=result.pi_low,
            pi_high=result.pi_high,
            mcid=mcid(outcome),
        )


def _i2(found: NetworkResult) -> float:
    table = found.heterogeneity()
    return float(table["i2"].iloc[0]) if table["df"].iloc[0] else math.nan


def _asymmetry(effects: Effects) -> float:
    if effects.n_trials < 10:
        return math.nan
    try:
        return float(egger_test(effects).p_value)
    except CannotEstimate:
        return math.nan
