"""A network in words: computed, with its uncertainty."""

from __future__ import annotations

from backpain_analysis.models.network.result import NetworkResult
from backpain_analysis.models.sentences import number, outcome_words, p_text, plural, unit_words


def network(result: NetworkResult | str, outcome: str, names: dict[str, str] | None = None) -> str:
    """The answer of a network: who is best, by how much, and how sure the order is.

    Parameters
    ----------
    result : NetworkResult or str
        Or why there is none, of `questions.fitted`.
    outcome : str
    names : dict, optional
        Treatments as a reader calls them.
    """
    if isinstance(result, str):
        return f"These trials make no network for {outcome_words(outcome)}: {result}."
    called = {name: (names or {}).get(name, name.replace("_", " ")) for name in result.treatments}
    effects = result.effects()
    benefit = -1 if result.lower_is_better else 1
    clear = effects[(effects[["ci_low", "ci_high"]] * benefit > 0).all(axis=1)]
    best = result.p_scores().index[0]
    ranks = result.ranking()
    verb = "compares" if result.n_trials == 1 else "compare"
    text = (
        f"{plural(result.n_trials, 'trial')} ({number(result.n_participants, 0)} participants in "
        f"arms of known size) {verb} {len(result.treatments)} treatments. Of the {len(effects)} "
        f"set against {called[result.reference].lower()}, {len(clear)} improve "
        f"{outcome_words(outcome)} with an interval that leaves out zero."
    )
    if best == result.reference:
        return f"{text} None ranks above {called[best].lower()}."
    row, rank = effects.loc[best], ranks.loc[best]
    digits = 1 if result.data.measure == "MD" else 2
    text += (
        f" {called[best]} ranks first (P-score {number(rank['p_score'], 2)}; "
        f"{number(row['estimate'], digits)} {unit_words(result.data.measure)}, "
        f"{result.level:.0%} CI {number(row['ci_low'], digits)} to "
        f"{number(row['ci_high'], digits)}), but its rank may be anything from "
        f"{int(rank['rank_low'])} to {int(rank['rank_high'])}"
    )
    return f"{text}{_not_beaten(result, best)}"


def _not_beaten(result: NetworkResult, best: str) -> str:
    others = result.effects(best).drop(index=result.reference, errors="ignore")
    unclear = ((others["ci_low"] <= 0) & (others["ci_high"] >= 0)).sum()
    if not len(others):
        return "."
    return f": it is not clearly better than {unclear} of the other {len(others)}."


def inconsistency(result: NetworkResult) -> str:
    """Whether direct and indirect evidence agree, and how much trials differ."""
    found = result.design_inconsistency()
    spread = result.heterogeneity().loc["total"]
    unit = unit_words(result.data.measure)
    digits = 1 if result.data.measure == "MD" else 2
    text = (
        f"Between trials of the same comparison effects vary with a standard deviation of "
        f"{number(result.tau, digits)} {unit} (I² {number(spread['i2'], 0)}%). "
    )
    if not found.df:
        return text + "No comparison has both direct and indirect evidence: not testable."
    agree = "do not clearly disagree" if found.p_value >= 0.05 else "disagree"
    split = result.node_split().summary()
    doubtful = int((split["p_value"] < 0.05).sum())
    return (
        f"{text}Designs {agree} (design-by-treatment interaction, {found.df} degrees of freedom, "
        f"{p_text(found.p_value)}); of {len(split)} comparisons with both kinds of evidence, "
        f"{doubtful} differ with P < 0.05. Such tests have little power in a network as thin as "
        "this one."
    )
