"""Tables of curves by type: words for names, intervals in one cell."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from backpain_analysis.answers.dose_network import TOGETHER
from backpain_analysis.answers.tables.effects import MISSING, interval_text, rounded
from backpain_analysis.display import Table, Told, table
from backpain_analysis.models.dose.search import DoseEstimate
from backpain_analysis.models.network.dose_consistency import DoseConsistency
from backpain_analysis.models.network.dose_network import DoseNetworkResult
from backpain_analysis.models.network.ranking import EqualDose
from backpain_analysis.words import (
    as_benefit,
    dose_measure_label,
    dose_text,
    effect_digits,
    exercise_label,
    p_text,
    plural,
    readable,
)

LUMPING_WORDS = {
    "types": "Every type",
    "families": "Families (aerobic; core with motor control; stretching)",
    "broad": "Broad groups",
    "exercise": "All exercise together",
}


def agents(result: DoseNetworkResult, *, title: str) -> Table:
    """What the curve of each agent rests on."""
    label = dose_measure_label(result.dose_name)
    largest = max(result.max_dose(agent) for agent in result.agents)
    rows = [
        {
            "Type": exercise_label(row.agent),
            "Trials": row.trials,
            "Arms": row.arms,
            "Participants": rounded(row.participants, 0) if row.participants else MISSING,
            f"{label}, lowest": _bound(row.lowest, largest),
            "highest": _bound(row.highest, largest),
        }
        for row in result.counts().itertuples()
    ]
    return table(rows, title=title)


def equal_dose(equal: EqualDose, *, measure: str = "MD", title: str) -> Table:
    """Agents at one dose, the best first."""
    rows = [
        {
            "Type": exercise_label(agent),
            f"{measure} [{equal.level:.0%} CI]": _interval(row, measure),
            "P-score": rounded(row["p_score"], 2),
            "Ranks first": Told(f"{row['best']:.0%}", value=row["best"]),
        }
        for agent, row in equal.summary().drop(index=equal.reference).iterrows()
    ]
    return table(rows, title=title)


def comparators(result: DoseNetworkResult, *, measure: str = "MD", title: str) -> Table:
    """Treatments without a dose against the reference."""
    trials = result.counts().set_index("agent")["trials"]
    rows = [
        {
            "Treatment": exercise_label(str(name)),
            "Trials": int(trials[name]),
            f"{measure} [{result.level:.0%} CI]": _interval(row, measure),
        }
        for name, row in result.comparators_table().iterrows()
    ]
    return table(rows, title=title)


def doses(result: DoseNetworkResult, mcid: float | None, *, title: str) -> Table:
    """Each agent at its largest dose, its best dose, and the one that reaches the MCID."""
    target = as_benefit(mcid, result.lower_is_better) if mcid else None
    rows = []
    for agent in result.agents:
        largest = result.max_dose(agent)
        effect = result.predict(agent, [largest]).iloc[0]
        best = result.optimum(agent)
        cells = {
            "Type": exercise_label(agent),
            "Largest dose": _bound(largest, largest),
            f"{result.measure} there [{result.level:.0%} CI]": _interval(effect, result.measure),
            "Best dose": "none between the doses studied" if best.at_edge else _dose(best),
        }
        if target is not None:
            cells["MCID reached at"] = _dose(result.dose_for(agent, target))
        rows.append(cells)
    return table(rows, title=title)


def lack_of_fit(found: DoseConsistency, *, measure: str = "MD", title: str) -> Table:
    """Each dose of each agent: its curve against its own estimate."""
    digits = effect_digits(measure)
    largest = found.table["dose"].max()
    rows = [
        {
            "Type": exercise_label(row.agent),
            "Dose": _bound(row.dose, largest),
            "Trials": row.trials,
            "Curve": rounded(row.curve, digits),
            "On its own [95% CI]": interval_text(row.split, row.ci_low, row.ci_high, digits),
            "P": Told(p_text(row.p_value).removeprefix("P ").removeprefix("= "), value=row.p_value)
            if math.isfinite(row.p_value)
            else MISSING,
        }
        for row in found.table.itertuples()
    ]
    return table(rows, title=title)


def sharing(found: pd.DataFrame, *, measure: str = "MD", title: str) -> Table:
    """What `dose_answers.by_sharing` found: a row a type, a column a sharing."""
    trials = found.groupby("sharing")["trials"].first()
    names = {
        agent: "All types together" if agent == TOGETHER else exercise_label(agent)
        for agent in found["agent"]
    }
    cells: dict[str, dict[str, str]] = {}
    for _, row in found.iterrows():
        size = plural(trials[row["sharing"]], "trial")
        head = f"{readable(row['sharing'])} ({size}): {measure} [95% CI]"
        cells.setdefault(head, {})[names[row["agent"]]] = _interval(row, measure)
    index = pd.Index(names.values(), name="Type")
    return table(pd.DataFrame(cells, index, dtype=object).fillna(MISSING), title=title)


def lumpings(found: pd.DataFrame, *, measure: str = "MD", title: str) -> Table:
    """What `dose_answers.by_lumping` found, a row a lumping."""
    rows = []
    for _, row in found.iterrows():
        fitted = isinstance(row["best"], str)
        rows.append(
            {
                "Lumping": LUMPING_WORDS.get(row["lumping"], readable(row["lumping"])),
                "Types": int(row["agents"]) if fitted else MISSING,
                "Trials": int(row["trials"]) if fitted else MISSING,
                "τ": rounded(row["tau"], effect_digits(measure)) if fitted else MISSING,
                "Best estimate at this dose": exercise_label(row["best"])
                if fitted
                else "not studied",
                "among": plural(int(row["studied"]), "type") if fitted else MISSING,
                f"{measure} [95% CI]": _interval(row, measure) if fitted else MISSING,
            }
        )
    return table(rows, title=title)


def beside_published(found: pd.DataFrame, *, title: str) -> Table:
    """What `dose_answers.beside_published` found, a row a published comparison."""
    rows = [
        {
            "Owen 2020": row["comparison"].removesuffix(" vs true control (no treatment)"),
            "SMD [95% CI]": interval_text(
                row["published"], row["published_low"], row["published_high"], 2
            ),
            "Ours": exercise_label(row["agent"]) if isinstance(row["agent"], str) else MISSING,
            "Trials": int(row["trials"]) if isinstance(row["agent"], str) else MISSING,
            "Our SMD [95% CI]": _interval(row, "SMD"),
        }
        for _, row in found.iterrows()
    ]
    return table(rows, title=title)


def _interval(row: pd.Series, measure: str) -> str:
    digits = effect_digits(measure)
    return interval_text(row["estimate"], row["ci_low"], row["ci_high"], digits)


def _dose(dose: DoseEstimate) -> str:
    """A dose with its interval, or that it is not reached."""
    if not dose.reached:
        return "not reached"
    low = "0" if dose.ci_low == 0 else dose_text(dose.ci_low, dose.high)
    high = dose_text(dose.ci_high, dose.high) if np.isfinite(dose.ci_high) else "no limit"
    text = f"{dose_text(dose.estimate, dose.high)} [{low} to {high}]"
    return Told(text, estimate=dose.estimate, low=dose.ci_low, high=dose.ci_high)


def _bound(dose: float, largest: float) -> str:
    return Told(dose_text(dose, largest), value=dose) if math.isfinite(dose) else "none"
