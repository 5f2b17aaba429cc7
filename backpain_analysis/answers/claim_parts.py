"""One testable part of a claim, judged; effects and networks that parts share, made once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from backpain_analysis.answers.appraisals import risk_counts, risk_of
from backpain_analysis.answers.bayes import beyond, network_with_prior, pooled_beyond
from backpain_analysis.answers.certainty import NO_EVIDENCE, Body, Certainty, certainty
from backpain_analysis.answers.dose import DoseAnswer, dose_answer
from backpain_analysis.answers.moderation import Moderation, moderation
from backpain_analysis.answers.verdicts import (
    NOT_TESTED,
    verdict_on_benefit,
    verdict_on_difference,
    verdict_on_equivalence,
)
from backpain_analysis.effects.assemble import effects_if_measured
from backpain_analysis.effects.table import Effects
from backpain_analysis.effects.treatments import lumping
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.evidence import Evidence, once_per_evidence
from backpain_analysis.evidence.scales import mcid
from backpain_analysis.models.network.data import connected_part
from backpain_analysis.models.network.inconsistency import pairwise
from backpain_analysis.models.network.network import NetworkResult, network
from backpain_analysis.models.network.posterior import NetworkPosterior
from backpain_analysis.models.pairwise.asymmetry import egger_test
from backpain_analysis.models.pairwise.pooling import PoolResult, fitting_test, pool
from backpain_analysis.words import author_year, benefit_sign, number, outcome_words

HAZARD_RATIO, RISK_RATIO = RATIOS = ("hazard ratio", "risk ratio")
"""Units of estimates that are logarithms of ratios; the text shows the ratio."""

HALF_SD = 0.5
"""The smallest difference that matters where only standard deviations are known (Norman et al.
2003, doi 10.1097/01.MLR.0000062554.74615.4C)."""

QUARTER = -math.log(0.75)
"""The same for ratios: a quarter less (Guyatt et al. 2011, doi 10.1016/j.jclinepi.2011.01.012)."""

Rule = Literal["benefit", "difference", "equivalence"]


def smallest_that_matters(outcome: str, measure: str) -> float | None:
    """The MCID in the units of a measure; None where none is known."""
    if measure == "MD":
        return mcid(outcome)
    return {"SMD": HALF_SD, "HR": QUARTER, "RR": QUARTER}.get(measure)


@dataclass(frozen=True)
class Part:
    """One testable part of a claim.

    Attributes
    ----------
    what : str
        What was estimated, in words: "aerobic exercise against no exercise, pain".
    body : Body or None
        Estimate and evidence; None where there is none.
    unit : str
        Of the estimate.
    certainty : Certainty
    verdict, reason : str
        See `verdicts`.
    trials : tuple of str
        That it rests on.
    noticed : float
        Probability that the effect is larger than the smallest that matters, on the side that
        speaks for the claim, with an empirical prior; missing where none is known.
    """

    what: str
    body: Body | None
    unit: str
    certainty: Certainty
    verdict: str
    reason: str
    trials: tuple[str, ...] = ()
    noticed: float = math.nan

    @property
    def estimate_text(self) -> str:
        """The estimate with its interval; empty where there is none."""
        if self.body is None or not math.isfinite(self.body.estimate):
            return ""
        digits = 1 if self.unit.startswith(("points", "weeks", "kPa")) else 2
        values = [self.body.estimate, self.body.ci_low, self.body.ci_high]
        if self.unit in RATIOS:
            values = [math.exp(value) for value in values]
        centre, low, high = (_text(value, digits) for value in values)
        unit = "" if self.unit in RATIOS else f" {self.unit}"
        before = f"{self.unit} " if self.unit in RATIOS else ""
        return f"{before}{centre} [{low} to {high}]{unit}"


def _text(value: float, digits: int) -> str:
    return number(value, digits).replace("inf", "∞")


def untestable(what: str, why: str) -> Part:
    """A part that these data cannot test."""
    return Part(what, None, "", Certainty(NO_EVIDENCE), NOT_TESTED, why)


def judged(
    what: str,
    body: Body,
    unit: str,
    benefit: int,
    *,
    rule: Rule = "benefit",
    trials: Iterable[object] = (),
) -> Part:
    """Grade and judge an estimate.

    Parameters
    ----------
    what : str
    body : Body
        Its `mcid` is the margin of equivalence.
    unit : str
    benefit : {-1, 1}
        Sign of an effect that speaks for the claim.
    rule : {"benefit", "difference", "equivalence"}
        See `verdicts`.
    trials : iterable, optional
        That it rests on.
    """
    interval = (body.ci_low, body.ci_high, body.estimate)
    if rule == "benefit":
        verdict, reason = verdict_on_benefit(*interval, body.mcid, benefit)
    elif rule == "difference":
        verdict, reason = verdict_on_difference(*interval, body.mcid, benefit)
    else:
        verdict, reason = verdict_on_equivalence(body.ci_low, body.ci_high, body.mcid)
    names = tuple(sorted(str(trial) for trial in set(trials)))
    return Part(what, body, unit, certainty(body), verdict, reason, names)


UNITS = {"MD": "points of 100", "SMD": "SD", "HR": HAZARD_RATIO, "RR": RISK_RATIO}


@dataclass(frozen=True, eq=False)
class Context:
    """The evidence with its effects and networks; each is computed when first asked for."""

    evidence: Evidence
    _made: dict[tuple[Any, ...], Any] = field(default_factory=dict, repr=False)

    @cached_property
    def risk(self) -> dict[str, str]:
        """Risk of bias of the appraised trials."""
        return risk_of(self.evidence)

    def size(self, trials: Iterable[object], participants: int) -> dict[str, Any]:
        """What a body of evidence rests on: trials, participants, risk of bias."""
        names = set(trials)
        return {
            "n_trials": len(names),
            "n_participants": participants,
            **risk_counts(self.risk, names),
        }

    def name(self, trial: object) -> str:
        """A trial as readers cite it."""
        row = self.evidence.trials.set_index("trial_id").loc[trial]
        return author_year(row["first_author"], row["year"])

    def moderation(self, outcome: str) -> Moderation:
        """The moderators of an outcome, as their page asks them."""
        key = ("moderation", outcome)
        if key not in self._made:
            self._made[key] = moderation(self.evidence, outcome)
        return self._made[key]

    def dose(self, outcome: str) -> DoseAnswer | str:
        """What weekly minutes do, as the dose page tells it, or why that cannot be told."""
        key = ("dose", outcome)
        if key not in self._made:
            self._made[key] = self._dose(outcome)
        return self._made[key]

    def _dose(self, outcome: str) -> DoseAnswer | str:
        effects = self.effects(outcome)
        if effects is None:
            return "no usable result"
        try:
            return dose_answer(effects, "minutes_per_week", mcid=mcid(outcome))
        except CannotEstimate as fault:
            return fault.reason

    def effects(self, outcome: str, measure: str = "MD", every: bool = False) -> Effects | None:
        """Effects of an outcome, or None where the evidence has none."""
        key = ("effects", outcome, measure, every)
        if key not in self._made:
            self._made[key] = self._effects(outcome, measure, every)
        return self._made[key]

    def _effects(self, outcome: str, measure: str, every: bool) -> Effects | None:
        found = effects_if_measured(self.evidence, outcome, measure=measure, head_to_head=every)
        return found if len(found) else None

    def network(self, outcome: str, lump: str) -> NetworkResult | str:
        """The network of an outcome around inactive controls, or why there is none."""
        key = ("network", outcome, lump)
        if key not in self._made:
            effects = self.effects(outcome, every=True)
            self._made[key] = (
                "no usable result" if effects is None else network_of(effects, lumping(lump))
            )
        return self._made[key]

    def _of(self, found: NetworkResult, name: str, make: Callable[[], Any]) -> Any:
        """What follows from a network, made once; the network is kept, so that its id stays its."""
        key = (name, id(found))
        if key not in self._made:
            self._made[key] = (found, make())
        return self._made[key][1]

    def _split(self, found: NetworkResult) -> pd.DataFrame:
        return self._of(found, "split", lambda: found.node_split().table)

    def _with_prior(self, found: NetworkResult, outcome: str) -> NetworkPosterior | None:
        effects = self.effects(outcome, found.data.measure, every=True)
        if effects is None:
            return None
        return self._of(found, "posterior", lambda: network_with_prior(effects, found))

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
        arms = found.data.arms
        code = found.treatments.index(first)
        trials = set(arms.loc[arms["treatment"] == code, "trial_id"])
        sizes = found.data.arm_sizes
        people = sizes.loc[sizes["trial_id"].isin(trials), "participants"].sum()
        split = self._split(found)
        pair = split[split[["treatment", "versus"]].isin([first, second]).all(axis=1)].iloc[0]
        body = Body(
            **row[["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]],
            **self.size(trials, int(people)),
            i2=_direct_i2(found, first, second),
            mcid=smallest_that_matters(outcome, found.data.measure),
            incoherence_p=float(pair["p_value"]),
            indirect=() if row["trials"] else ("no trial compares the two directly",),
        )
        sign = benefit_sign(outcome)
        part = judged(what, body, UNITS[found.data.measure], sign, rule=rule, trials=trials)
        if rule == "equivalence" or not body.mcid:
            return part
        known = self._with_prior(found, outcome)
        if known is None:
            return part
        noticed = known.probability_of(beyond(body.mcid, sign), first, second)
        return replace(part, noticed=noticed)

    def key(self, outcome: str, measure: str) -> Part:
        """All exercise against no exercise: the number that pages and claims share."""
        return _key(self.evidence, outcome, measure)

    def pooled(
        self,
        effects: Effects | None,
        outcome: str,
        what: str,
        *,
        benefit: int | None = None,
    ) -> Part:
        """Pooled effects against inactive controls, each trial once."""
        kept = None if effects is None else effects.against_inactive()
        if kept is None or not len(kept):
            return untestable(what, "no trial with a usable result against an inactive control")
        single = kept.one_per_trial()
        result = each_trial_once(kept)
        body = self.body(result, single.table["trial_id"], kept.n_participants)
        body = replace(
            body,
            asymmetry_p=_asymmetry(single),
            mcid=smallest_that_matters(outcome, kept.measure),
        )
        sign = benefit_sign(outcome) if benefit is None else benefit
        part = judged(what, body, UNITS[kept.measure], sign, trials=single.table["trial_id"])
        return replace(part, noticed=pooled_beyond(single, body.mcid, sign))

    def body(self, result: PoolResult, trials: Iterable[object], participants: int) -> Body:
        """A pooled result as a body of evidence."""
        size = self.size(trials, participants)
        return Body(
            estimate=result.estimate,
            ci_low=result.ci_low,
            ci_high=result.ci_high,
            **size,
            i2=result.i2 if size["n_trials"] > 1 else math.nan,
            pi_low=result.pi_low,
            pi_high=result.pi_high,
        )


@once_per_evidence
def _key(evidence: Evidence, outcome: str, measure: str) -> Part:
    context = Context(evidence)
    what = f"exercise against no exercise, {outcome_words(outcome)}"
    return context.pooled(context.effects(outcome, measure), outcome, what)


def each_trial_once(effects: Effects, method: str = "REML") -> PoolResult:
    """Pooled effects, the arms of a trial combined; intervals by Knapp & Hartung from three trials.

    Parameters
    ----------
    effects : Effects
        Against one kind of comparator.
    method : str
        As of `pool`.
    """
    single = effects.one_per_trial()
    return pool(single, method=method, test=fitting_test(single.n_trials))


def network_of(
    effects: Effects, lump: dict[str, str], treatment: str = "treatment"
) -> NetworkResult | str:
    """A network of effects around inactive controls, or why there is none."""
    try:
        part = connected_part(effects, "inactive", treatment=treatment, lump=lump)
    except CannotEstimate as fault:
        return fault.reason
    why = ""
    for method in ("REML", "CE"):
        try:
            return network(
                part, reference="inactive", method=method, treatment=treatment, lump=lump
            )
        except CannotEstimate as fault:
            why = fault.reason
    return why


def _direct_i2(found: NetworkResult, first: str, second: str) -> float:
    """I² of the trials that compare the two directly; missing for fewer than two."""
    pairs = pairwise(found.data)
    own = pairs[pairs[["treatment", "versus"]].isin([first, second]).all(axis=1)]
    return pool(own["yi"], own["vi"], test="z").i2 if len(own) > 1 else math.nan


def _asymmetry(effects: Effects) -> float:
    if effects.n_trials < 10:
        return math.nan
    try:
        return float(egger_test(effects).p_value)
    except CannotEstimate:
        return math.nan
