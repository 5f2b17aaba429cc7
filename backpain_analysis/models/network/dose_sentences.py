"""Curves by type in words: computed, with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from backpain_analysis.evidence.dose import DOSE_LABELS
from backpain_analysis.evidence.scales import as_benefit
from backpain_analysis.models.network.dose_answers import ByType
from backpain_analysis.models.network.dose_consistency import DoseConsistency
from backpain_analysis.models.network.dose_network_result import DoseNetworkResult
from backpain_analysis.models.sentences import (
    CURVE_WORDS,
    dose_text,
    number,
    outcome_words,
    p_text,
    plural,
    unit_words,
)

Names = Mapping[str, str] | None
NOTHING = "The trials carry no curve for any type of exercise"


def by_type(found: ByType, at: float | None = None, names: Names = None) -> str:
    """The answer: how far types differ at an equal dose, and how sure that is.

    Parameters
    ----------
    found : ByType
    at : float, optional
        The dose; by default the median of those studied.
    names : mapping, optional
        Agents as a reader calls them.
    """
    result = found.result
    if result is None:
        return f"{NOTHING}: {found.note}"
    at = found.middle if at is None else at
    text = [_what_was_fitted(result)]
    if _spread(result, at) < 0.5 * 10 ** -_digits(result):
        text.append(_all_alike(result, at))
    else:
        text += [_at_equal_dose(result, at, names), _between(result, at)]
    text.append(_thin(result))
    if found.note:
        text.append(f"Simplified, because the model asked for does not fit: {found.note}")
    return " ".join(part for part in text if part)


def _what_was_fitted(result: DoseNetworkResult) -> str:
    curve = next(iter(result.curves.values())).name
    shape = CURVE_WORDS.get(curve, f"{curve} curve")
    types = len(result.agents)
    return (
        f"{plural(result.n_trials, 'trial')} ({number(result.n_participants, 0)} participants in "
        f"arms of known size) connect {plural(types, 'type')} of exercise of known "
        f"{_label(result)} with no exercise ({shape})."
    )


def _at_equal_dose(result: DoseNetworkResult, at: float, names: Names) -> str:
    equal = result.rank_at(at)
    table = equal.summary()
    best = table.index.drop(result.reference)[0]
    row = table.loc[best]
    single = len(result.agents) == 1
    text = (
        f"At {dose_text(at, at)} {_label(result)}, the {'effect' if single else 'best effect'} on "
        f"{outcome_words(result.outcome)} is that of {_name(best, names)}, {_effect(result, row)}"
    )
    if row["extrapolated"]:
        text += ", beyond the doses it was studied at"
    if single:
        return f"{text}."
    others = [agent for agent in result.agents if agent != best]
    versus = equal.differences().set_index(["agent", "versus"])
    gaps = versus.loc[[(best, other) for other in others]]
    clear = int((gaps["ci_low"] * gaps["ci_high"] > 0).sum())
    verdict = f"is clearly better than {clear} of the other {len(others)}"
    if clear == 0:
        verdict = f"is not clearly better than any of the other {len(others)}"
    return (
        f"{text}; it {verdict}, and its rank among {len(table)} may be anything from "
        f"{int(row['rank_low'])} to {int(row['rank_high'])} (P-score {number(row['p_score'], 2)})."
    )


def _spread(result: DoseNetworkResult, at: float) -> float:
    """Standard deviation between exchangeable types of the effect at a dose; else infinite."""
    if result.between is None:
        return np.inf
    curve = result.curves[result.agents[0]]
    basis = (curve.basis(np.array([at])) - curve.basis(np.zeros(1)))[0]
    return float(np.sqrt(max(basis @ result.between.omega @ basis, 0.0)))


def _between(result: DoseNetworkResult, at: float) -> str:
    if result.between is None:
        return ""
    spread = number(_spread(result, at), _digits(result))
    return (
        f"Between types the effect at this dose is estimated to vary with a standard deviation "
        f"of {spread} {unit_words(result.measure)}."
    )


def _all_alike(result: DoseNetworkResult, at: float) -> str:
    row = result.predict(result.agents[0], [at]).iloc[0]
    return (
        "The types vary no more than chance would have it, so that one curve is estimated for all "
        f"and their ranking says nothing: at {dose_text(at, at)} {_label(result)} the effect on "
        f"{outcome_words(result.outcome)} is {_effect(result, row)}."
    )


def _effect(result: DoseNetworkResult, row: pd.Series) -> str:
    low, high = (number(row[name], _digits(result)) for name in ("ci_low", "ci_high"))
    size = f"{number(row['estimate'], _digits(result))} {unit_words(result.measure)}"
    return f"{size} ({result.level:.0%} CI {low} to {high})"


def _thin(result: DoseNetworkResult) -> str:
    counts = result.counts().set_index("agent")["trials"].drop(result.reference, errors="ignore")
    single = int((counts == 1).sum())
    if not single:
        return ""
    verb = "rests" if single == 1 else "rest"
    return f"{single} of {plural(len(counts), 'type')} {verb} on a single trial."


def consistency(result: DoseNetworkResult | None) -> str:
    """Whether the curves agree with a network in which every dose stands alone."""
    if result is None:
        return f"{NOTHING}: nothing to check."
    found: DoseConsistency = result.consistency()
    if not found.df > 0:
        return (
            "The curves have as many parameters as there are doses: the trials cannot show "
            "whether they fit."
        )
    agree = "do not clearly disagree" if found.p_value >= 1 - result.level else "disagree"
    return (
        f"The curves {agree} with a network in which every dose of every type stands alone "
        f"(Wald test on {plural(found.df, 'degree')} of freedom, {p_text(found.p_value)}; "
        f"likelihood ratio {p_text(found.likelihood_ratio_p)}). With few trials a dose, such a "
        "test can miss much."
    )


def doses(result: DoseNetworkResult | None, mcid: float | None, names: Names = None) -> str:
    """Which types reach the MCID at a dose they were studied at."""
    if result is None:
        return f"{NOTHING}: there is no dose to look for."
    if not mcid:
        return "No minimal important difference is set in these units, so none is looked for."
    target = as_benefit(mcid, result.lower_is_better)
    found = {agent: result.dose_for(agent, target) for agent in result.agents}
    reached = [agent for agent, dose in found.items() if dose.reached]
    size = f"{number(abs(mcid), 1)} {unit_words(result.measure)}"
    if not reached:
        return (
            f"No type is shown to reach a difference of {size} at a dose it was studied at: no "
            "mean curve gets there."
        )
    listed = "; ".join(
        f"{_name(agent, names)} at {dose_text(found[agent].estimate, found[agent].high)}"
        for agent in reached
    )
    sure = sum(bool(np.isfinite(found[agent].ci_high)) for agent in reached) or "none"
    return (
        f"The mean curves of {len(reached)} of {plural(len(found), 'type')} reach {size} within "
        f"the doses studied ({listed} {_label(result)}); for {sure} of them the interval of that "
        "dose has an upper limit."
    )


def beside_published(table: pd.DataFrame) -> str:
    """How our figures compare with Owen 2020."""
    both = table.dropna(subset=["estimate", "published"])
    if both.empty:
        return "No type of the published network can be set beside ours."
    apart = (both["ci_low"] > both["published_high"]) | (both["ci_high"] < both["published_low"])
    smaller = int((both["estimate"].abs() < both["published"].abs()).sum())
    return (
        f"{len(both)} of the {len(table)} types in Owen 2020 can be set beside ours: the intervals "
        f"overlap for {len(both) - int(apart.sum())}, and our estimate is the smaller one for "
        f"{smaller}. Its trials were pooled whatever their dose; ours stand at one dose."
    )


def beside_published_doses(table: pd.DataFrame) -> str:
    """How our figures compare with the doses of Liang 2024."""
    if table.empty:
        return "Liang 2024 gives no dose for this outcome."
    if table["estimate"].isna().all():
        return "Our trials carry no curve in MET-minutes to set beside Liang 2024."
    parts = []
    for row in table.dropna(subset=["estimate"]).itertuples():
        beyond = ", beyond the doses studied" if row.extrapolated else ""
        parts.append(
            f"{number(row.estimate, 2)} (95% CI {number(row.ci_low, 2)} to "
            f"{number(row.ci_high, 2)}{beyond}) at its {row.what}, {number(row.dose, 0)}"
        )
    first, curve = table.iloc[0], table["curve"].dropna().iloc[0]
    return (
        f"Liang 2024 estimates {number(first['published'], 2)} standard deviations (95% CI "
        f"{number(first['published_low'], 2)} to {number(first['published_high'], 2)}) for all "
        f"exercise. All types together, on a {CURVE_WORDS.get(curve, f'{curve} curve')} in "
        f"MET-minutes per week, our trials give {' and '.join(parts)} MET-minutes per week."
    )


def _label(result: DoseNetworkResult) -> str:
    return DOSE_LABELS.get(result.dose_name, result.dose_name)


def _digits(result: DoseNetworkResult) -> int:
    return 1 if result.measure == "MD" else 2


def _name(agent: str, names: Names) -> str:
    """An agent inside a sentence: "Yoga" is "yoga", "McKenzie" stays."""
    text = (names or {}).get(agent, agent.replace("_", " "))
    return text if any(letter.isupper() for letter in text[1:]) else text.lower()
