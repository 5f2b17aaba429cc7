"""How certain each comparison of a network is: CINeMA's six questions as rules written down.

CINeMA (Nikolakopoulou et al. 2020, doi 10.1371/journal.pmed.1003082) asks of every comparison for
concerns about within-study bias, reporting bias, indirectness, imprecision, heterogeneity and
incoherence: none, some or major. Shares of trials in a comparison come from the contributions of
direct comparisons (Papakonstantinou et al. 2018, doi 10.12688/f1000research.14770.3), within a
direct comparison by weight. The rules make the same judgement every time; they are a start for a
reader's own, not its replacement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from backpain_analysis.answers.certainty import INFORMATION_SIZE, LEVELS
from backpain_analysis.answers.network import called
from backpain_analysis.effects.table import Effects
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.models.network.inconsistency import pairwise
from backpain_analysis.models.network.network import NetworkResult
from backpain_analysis.models.results import TableResult
from backpain_analysis.words import p_text

NONE, SOME, MAJOR = CONCERNS = ("none", "some", "major")

DOMAINS = (
    "within-study bias",
    "reporting bias",
    "indirectness",
    "imprecision",
    "heterogeneity",
    "incoherence",
)

MOST = 0.5
"""Share of a comparison's evidence from which it counts as mostly of one kind."""

ASYMMETRY_P, SPLIT_P, SPLIT_MAJOR_P = 0.10, 0.10, 0.01
"""P values of the funnel, of direct against indirect evidence, and of a clear disagreement."""


@dataclass(frozen=True, repr=False)
class NetworkCertainty(TableResult):
    """Concerns and certainty of every comparison with the reference.

    Attributes
    ----------
    table : DataFrame
        A row a comparison: `treatment, versus, estimate, ci_low, ci_high`, a column a domain
        ("none", "some", "major"), `level` ("high" to "very low"), `reasons`.
    """

    table: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """The table."""
        return self.table

    def _title(self) -> str:
        return "Certainty of the network's comparisons"


def network_certainty(
    result: NetworkResult,
    *,
    mcid: float | None = None,
    good: Mapping[object, bool | None] | None = None,
    indirect: Mapping[object, bool] | None = None,
    reference: str | None = None,
) -> NetworkCertainty:
    """Judge every treatment against the reference.

    Parameters
    ----------
    result : NetworkResult
    mcid : float, optional
        Size of the smallest difference that matters; without it zero is the only border.
    good : mapping of trial to bool or None, optional
        Whether a trial is appraised as of good quality; None or absent where that is not known.
    indirect : mapping of trial to bool, optional
        Trials whose people, treatments or outcome are not those asked about.
    reference : str, optional

    Returns
    -------
    NetworkCertainty
    """
    against = result.reference if reference is None else reference
    shares = trial_shares(result)
    split = result.node_split().table
    designs = result.design_inconsistency()
    funnel_p = result.comparison_adjusted_funnel().p_value
    arms = result.data.arms["treatment"].value_counts()
    trials = {name: arms.get(code, 0) for code, name in enumerate(result.treatments)}
    rows = []
    for name, row in result.effects(against).iterrows():
        own = shares[frozenset((str(name), against))]
        pair = split[split[["treatment", "versus"]].isin([name, against]).all(axis=1)].iloc[0]
        found = {
            "within-study bias": within_study_bias(own, good or {}),
            "reporting bias": reporting_bias(funnel_p),
            "indirectness": indirectness(own, indirect or {}),
            "imprecision": imprecision(
                row["ci_low"], row["ci_high"], row["estimate"], mcid, row["participants"]
            ),
            "heterogeneity": heterogeneity(row, mcid, int(trials[name])),
            "incoherence": incoherence(
                pair["p_value"], designs.p_value, bool(pair["trials"]), pair["direct_share"]
            ),
        }
        line = {"treatment": name, "versus": against}
        line |= row[["estimate", "ci_low", "ci_high"]].to_dict()
        line |= {domain: concern for domain, (concern, _) in found.items()}
        line["level"] = level({domain: concern for domain, (concern, _) in found.items()})
        line["reasons"] = "; ".join(
            f"{domain}: {why}" for domain, (concern, why) in found.items() if concern != NONE
        )
        rows.append(line)
    return NetworkCertainty(pd.DataFrame(rows))


def level(concerns: Mapping[str, str]) -> str:
    """High, less a step for some and two for major concerns.

    Imprecision, heterogeneity and incoherence are three sides of one thing (how far the estimate
    may be off), so together they take away no more than two steps.
    """
    steps = {domain: CONCERNS.index(concern) for domain, concern in concerns.items()}
    together = ("imprecision", "heterogeneity", "incoherence")
    spread = min(2, sum(steps.get(domain, 0) for domain in together))
    others = sum(size for domain, size in steps.items() if domain not in together)
    return LEVELS[max(0, len(LEVELS) - 1 - spread - others)]


def within_study_bias(
    shares: Mapping[object, float], good: Mapping[object, bool | None]
) -> tuple[str, str]:
    """None where most of the evidence is of good quality; major where most is known not to be."""
    sound = sum(share for trial, share in shares.items() if good.get(trial) is True)
    poor = sum(share for trial, share in shares.items() if good.get(trial) is False)
    if sound > MOST:
        return NONE, ""
    if poor > MOST:
        return MAJOR, f"{poor:.0%} of the evidence from trials appraised as poor"
    return SOME, f"{sound:.0%} of the evidence from trials appraised as good"


def reporting_bias(p: float) -> tuple[str, str]:
    """Some where small trials differ; not testable in fewer than ten comparisons."""
    if math.isfinite(p) and p < ASYMMETRY_P:
        return SOME, f"small trials show other effects ({p_text(p)})"
    return NONE, ""


def indirectness(
    shares: Mapping[object, float], indirect: Mapping[object, bool]
) -> tuple[str, str]:
    """Some where more than a quarter, major where more than half comes from other questions."""
    other = sum(share for trial, share in shares.items() if indirect.get(trial))
    if other > MOST:
        return MAJOR, f"{other:.0%} of the evidence answers another question"
    if other > MOST / 2:
        return SOME, f"{other:.0%} of the evidence answers another question"
    return NONE, ""


def imprecision(
    low: float, high: float, estimate: float, mcid: float | None, people: float = math.inf
) -> tuple[str, str]:
    """Does the interval hold effects that lead to other decisions?

    Some where it crosses zero, major where it also holds a difference that matters on the side
    opposite to the estimate; some, too, where fewer than 400 people had the treatment (the
    optimal information size of `certainty`).
    """
    if low > 0 or high < 0:
        if people < INFORMATION_SIZE:
            return SOME, f"{people:.0f} people had the treatment"
        return NONE, ""
    if mcid is None:
        return SOME, "the interval includes no difference"
    opposite = high if estimate < 0 else -low
    if opposite >= abs(mcid):
        return MAJOR, "the interval includes differences that matter both ways"
    return SOME, "the interval includes no difference"


def heterogeneity(row: pd.Series, mcid: float | None, trials: int = 2) -> tuple[str, str]:
    """Does the prediction interval lead to other conclusions than the confidence interval?

    Of a treatment that one trial has, it is not known whether trials agree: some concerns.
    """
    if trials < 2:
        return SOME, "one trial has the treatment: agreement between trials is unknown"
    if not math.isfinite(row["pi_low"]):
        return NONE, ""
    order = {NONE: 0, SOME: 1, MAJOR: 2}
    inner = order[imprecision(row["ci_low"], row["ci_high"], row["estimate"], mcid)[0]]
    outer = order[imprecision(row["pi_low"], row["pi_high"], row["estimate"], mcid)[0]]
    if outer <= inner:
        return NONE, ""
    if outer == order[MAJOR] and inner == order[NONE]:
        return MAJOR, "effects in a new trial may matter either way"
    return SOME, "the prediction interval leads to another conclusion"


def incoherence(
    split_p: float, designs_p: float, has_direct: bool, direct_share: float
) -> tuple[str, str]:
    """Direct against indirect evidence; where there is one kind only, the designs as a whole."""
    if math.isfinite(split_p):
        if split_p < SPLIT_MAJOR_P:
            return MAJOR, f"direct and indirect evidence disagree ({p_text(split_p)})"
        if split_p < SPLIT_P:
            return SOME, f"direct and indirect evidence may disagree ({p_text(split_p)})"
        return NONE, ""
    if has_direct and direct_share > 1 - 1e-6:
        return NONE, ""
    if not math.isfinite(designs_p):
        return SOME, "indirect evidence alone, and nothing to test it by"
    if designs_p < SPLIT_P:
        return (
            MAJOR if designs_p < SPLIT_MAJOR_P else SOME,
            f"indirect evidence alone, in a network whose designs disagree ({p_text(designs_p)})",
        )
    return NONE, ""


def trial_shares(result: NetworkResult) -> dict[frozenset[str], dict[object, float]]:
    """The share of every trial in every comparison; shares sum to one.

    Returns
    -------
    dict of frozenset of two treatments to dict of trial to float
    """
    table = pairwise(result.data)
    table["weight"] = 1 / (table["vi"] + result.tau2)
    table["edge"] = [
        frozenset(pair) for pair in zip(table["treatment"], table["versus"], strict=True)
    ]
    table["weight"] /= table.groupby("edge")["weight"].transform("sum")
    within = {
        edge: own.groupby("trial_id")["weight"].sum().to_dict()
        for edge, own in table.groupby("edge")
    }
    contributions = result.contribution() / 100
    places = {
        result.data.joined((i, j)): frozenset((a, b))
        for i, a in enumerate(result.treatments)
        for j, b in enumerate(result.treatments)
        if i < j
    }
    found = {}
    for comparison, row in contributions.iterrows():
        shares: dict[object, float] = {}
        for edge, share in row[row > 0].items():
            for trial, part in within.get(places[edge], {}).items():
                shares[trial] = shares.get(trial, 0.0) + share * part
        total = sum(shares.values())
        found[places[comparison]] = {trial: part / total for trial, part in shares.items()}
    return found


def certainty_words(found: NetworkCertainty, names: Mapping[str, str] | None = None) -> str:
    """How many comparisons stand at which level, and what lowers most of them."""
    table = found.table
    counts = table["level"].value_counts().reindex(LEVELS[::-1], fill_value=0)
    listed = ", ".join(f"{size} {name}" for name, size in counts.items() if size)
    worst = (table[list(DOMAINS)] != NONE).sum().sort_values(ascending=False, kind="stable")
    first = worst.index[0]
    if not worst.iloc[0]:
        return f"Certainty of the {len(table)} comparisons: {listed}."
    sure = table[table["level"].isin(("high", "moderate"))]["treatment"]
    which = ", ".join(called(name, names) for name in sure)
    text = (
        f"Certainty of the {len(table)} comparisons with {called(table['versus'].iloc[0], names)}"
    )
    text += f": {listed}"
    text += f" (high or moderate: {which})" if which else ""
    return f"{text}. The most frequent concern is {first}, in {worst.iloc[0]} of them."


CHARACTERISTICS = {
    "mean_age": "Mean age, years",
    "pct_female": "Women, %",
    "baseline": "Baseline of the outcome, 0–100",
    "timepoint_weeks": "Weeks to measurement",
    "minutes_per_week": "Minutes a week",
    "duration_weeks": "Weeks of programme",
}
"""What may modify effects, and so should be alike between comparisons."""


def transitivity(
    effects: Effects, evidence: Evidence, *, lump: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """What may modify effects, trial by trial of each comparison.

    Indirect evidence takes trials of different comparisons to be alike in these (Salanti 2012,
    doi 10.1002/jrsm.1037).

    Returns
    -------
    DataFrame
        `comparison, trial_id` and the columns of `CHARACTERISTICS`; missing where not reported.
    """
    table = effects.table
    renamed = dict(lump or {})
    of, against = (
        table[name].astype(str).replace(renamed) for name in ("treatment", "ref_treatment")
    )
    pairs = [" : ".join(sorted(pair)) for pair in zip(of, against, strict=True)]
    trials = evidence.trials.set_index("trial_id")
    known = pd.DataFrame({"comparison": pairs, "trial_id": table["trial_id"]})
    for name in ("timepoint_weeks", "minutes_per_week", "duration_weeks"):
        known[name] = table[name].astype(float).where(table[name].astype(float) > 0)
    for name in ("mean_age", "pct_female"):
        known[name] = trials[name].reindex(known["trial_id"]).astype(float).to_numpy()
    known["baseline"] = baselines(evidence, effects.outcome).reindex(known["trial_id"]).to_numpy()
    known = known[of.to_numpy() != against.to_numpy()]
    columns = ["comparison", "trial_id", *CHARACTERISTICS]
    return known.groupby(["comparison", "trial_id"], as_index=False).mean()[columns]


def baselines(evidence: Evidence, outcome: str) -> pd.Series:
    """Mean at baseline of each trial, on 0-100 by its own scale; missing where not reported."""
    rows = evidence.outcomes
    rows = rows[(rows["outcome"] == outcome) & (rows["timepoint_label"] == "baseline")]
    span = rows["scale_max"].astype(float) - rows["scale_min"].astype(float)
    value = 100 * (rows["mean"].astype(float) - rows["scale_min"].astype(float)) / span
    upward = rows["higher_is_better"].astype(str).str.lower().isin(("yes", "true", "1"))
    return value.where(~upward, 100 - value).groupby(rows["trial_id"]).mean()


def transitivity_summary(found: pd.DataFrame) -> pd.DataFrame:
    """A row a comparison: trials, and median with range of each characteristic known of any."""
    groups = found.groupby("comparison")
    table = groups["trial_id"].nunique().to_frame("trials")
    for name in CHARACTERISTICS:
        values = groups[name]
        table[name] = values.median()
        table[f"{name}_low"] = values.min()
        table[f"{name}_high"] = values.max()
    return table.reset_index().sort_values("trials", ascending=False, ignore_index=True)
