"""Tables of effects, doses, networks, mechanisms and pain sensitivity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from backpain_analysis.answers.bayes import FewTrials, share_text
from backpain_analysis.answers.dose_questions import Answer
from backpain_analysis.datasets.bundled import load_reference
from backpain_analysis.display import Table, Told, table
from backpain_analysis.models.dose.comparison import CurveComparison
from backpain_analysis.models.dose.result import DoseResponseResult
from backpain_analysis.models.network.network import NetworkResult
from backpain_analysis.models.pairwise.bivariate import Bivariate
from backpain_analysis.models.pairwise.pooling import PoolResult
from backpain_analysis.words import (
    DOSE_LABELS,
    EXERCISE_LABELS,
    dose_text,
    effect_digits,
    effect_text,
    exercise_label,
    measure_heading,
    measure_words,
    natural,
    number,
    outcome_label,
    p_text,
    plural,
    readable,
)

MISSING = "–"

STANDARDISED = "SMD: standardised mean difference (Hedges' g). CI: confidence interval."


def interval_text(estimate: float, low: float, high: float, digits: int = 1) -> str:
    """`estimate [low, high]` in one cell; a dash where it is missing."""
    if not math.isfinite(estimate):
        return MISSING
    text = unbroken(f"{number(estimate, digits)} {_range(low, high, digits)}")
    return Told(text, estimate=estimate, low=low, high=high)


def effect_interval(row: Mapping[str, Any], measure: str) -> str:
    """`estimate, ci_low, ci_high` of a row in one cell, as readers read the measure."""
    if not math.isfinite(row["estimate"]):
        return MISSING
    middle, low, high = (
        effect_text(row[name], measure) for name in ("estimate", "ci_low", "ci_high")
    )
    exact = {
        name: natural(row[column], measure)
        for name, column in (("estimate", "estimate"), ("low", "ci_low"), ("high", "ci_high"))
    }
    return Told(unbroken(f"{middle} [{low}, {high}]"), **exact)


def effect_range(low: float, high: float, measure: str) -> str:
    """`[low, high]` in one cell, as readers read the measure; a dash where it is missing."""
    if not math.isfinite(low):
        return MISSING
    text = unbroken(f"[{effect_text(low, measure)}, {effect_text(high, measure)}]")
    return Told(text, low=natural(low, measure), high=natural(high, measure))


def pooled(results: Mapping[str, PoolResult], *, measure: str = "MD", title: str) -> Table:
    """Pooled effects, a row a result.

    Parameters
    ----------
    results : mapping of PoolResult
        Exercise types are shown by their labels, other names as they are.
    measure : str
        "MD" or "SMD": heads the column of effects and sets the digits.
    title : str
    """
    digits = effect_digits(measure)
    rows = [
        {
            "": EXERCISE_LABELS.get(name, name),
            "Trials": result.n_trials,
            "Participants": result.n_participants,
            f"{measure} [{result.level:.0%} CI]": effect_interval(
                {name: getattr(result, name) for name in ("estimate", "ci_low", "ci_high")}, measure
            ),
            "Prediction interval": effect_range(result.pi_low, result.pi_high, measure),
            "I² (τ²)": Told(
                f"{result.i2:.0f}% ({number(result.tau2, digits)})",
                **{"I², %": result.i2, "τ²": result.tau2},
            )
            if math.isfinite(result.i2)
            else MISSING,
            "P": Told(
                unbroken(p_text(result.p_value).removeprefix("P ").removeprefix("= ")),
                value=result.p_value,
            ),
        }
        for name, result in results.items()
    ]
    note = (
        f"{measure}: {measure_words(measure)}. CI: confidence interval. I²: share of the "
        "differences between trials that is more than chance; τ²: their variance."
    )
    return table(rows, title=title, note=note)


def predictions(result: DoseResponseResult, *, title: str) -> Table:
    """The curve at round doses from the smallest that was studied on, with its intervals."""
    lowest = result.studied[result.studied > 0][0]
    digits = effect_digits(result.measure)
    label = DOSE_LABELS.get(result.dose_name, result.dose_name).capitalize()
    rows = [
        {
            label: Told(dose_text(row.dose, result.max_dose), value=row.dose),
            f"{result.measure} [{result.level:.0%} CI]": interval_text(
                row.estimate, row.ci_low, row.ci_high, digits
            ),
            **(
                {"Prediction interval": _range(row.pi_low, row.pi_high, digits)}
                if result.method != "CE"
                else {}
            ),
        }
        for row in result.predict(back=True).itertuples()
        if row.dose >= lowest
    ]
    return table(rows, title=title)


def coefficients(result: DoseResponseResult, *, title: str) -> Table:
    """The coefficients of a curve, with its size and heterogeneity below."""
    limits = result.conf_int()
    rows = [
        {
            "": name,
            f"Estimate [{result.level:.0%} CI]": interval_text(
                result.params[name], limits.at[name, "ci_low"], limits.at[name, "ci_high"], 3
            ),
            "P": p_value(result.pvalues[name]),
        }
        for name in result.params.index
    ]
    size = f"{plural(result.n_trials, 'trial')}, {plural(len(result.points), 'contrast')}"
    return table(rows, title=title, note=f"{size}. CI: confidence interval.")


def curves(comparison: CurveComparison, *, measure: str = "MD", title: str) -> Table:
    """What `compare_curves` found, a row a curve."""
    digits, found = effect_digits(measure), comparison.table
    rows = []
    for name, row in found.iterrows():
        cells = {
            "Curve": name,
            "AIC": rounded(row["aic"]),
            "Weight": Told(f"{row['weight']:.0%}", value=row["weight"])
            if math.isfinite(row["weight"])
            else MISSING,
            f"{measure} at the typical dose [95% CI]": interval_text(
                row["effect"], row["ci_low"], row["ci_high"], digits
            ),
        }
        if "mcid_dose" in found:
            reached = math.isfinite(row["mcid_dose"])
            missing = "no dose in it" if name == "constant" else "not reached"
            text = dose_text(row["mcid_dose"], row["mcid_dose"]) if reached else missing
            cells["MCID reached at"] = Told(text, value=row["mcid_dose"]) if reached else text
        if "note" in found:
            cells["Why not fitted"] = row["note"]
        rows.append(cells)
    return table(rows, title=title)


def corrections(adjusted: pd.DataFrame, *, measure: str = "MD", title: str) -> Table:
    """What `robustness.adjusted_estimates` found, a row a correction."""
    digits = effect_digits(measure)
    rows = [
        {
            "": row.method,
            f"{measure} [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high, digits),
            "Note": row.note,
        }
        for row in adjusted.itertuples()
    ]
    return table(rows, title=title)


def derivations(found: pd.DataFrame, *, measure: str = "MD", title: str) -> Table:
    """What `robustness.derivations` found, a row a step."""
    rows = [
        {
            "Derived": readable(row.derived),
            "Trials": row.trials,
            "More": f"+{row.more}" if row.more else MISSING,
            "Participants": row.participants,
            f"{measure_heading(measure)} [95% CI]": effect_interval(row._asdict(), measure),
        }
        for row in found.itertuples()
    ]
    return table(rows, title=title)


def answer(found: Answer, *, measure: str = "MD", title: str) -> Table | None:
    """The numbers of a `dose_questions.Answer`; nothing where there are none."""
    if found.table.empty:
        return None
    rows = []
    for row in found.table.to_dict("records"):
        interval = effect_interval(row, measure)
        shown = {name: row[name] for name in row if name not in ("estimate", "ci_low", "ci_high")}
        cells = {name.replace("_", " ").capitalize(): value for name, value in shown.items()}
        if "Group" in cells:
            cells["Group"] = exercise_label(cells["Group"])
        rows.append({**cells, f"{measure_heading(measure)} [95% CI]": interval})
    return table(rows, title=title)


def inconsistency(result: NetworkResult, *, title: str) -> Table:
    """Cochran's Q of a network and its parts."""
    rows = [
        {
            "": kind.capitalize(),
            "Q": rounded(row["q"]),
            "df": int(row["df"]),
            "P": p_value(row["p_value"]),
        }
        for kind, row in result.heterogeneity().iterrows()
    ]
    return table(rows, title=title)


def p_value(p: float) -> str:
    """A P value in a column of them."""
    if not math.isfinite(p):
        return MISSING
    return Told("< 0.001" if p < 0.001 else f"{p:.3f}", value=p)


def rounded(value: float, digits: int = 1) -> str:
    """A number in a column of them; a dash where it is missing."""
    return Told(number(value, digits), value=value) if math.isfinite(value) else MISSING


def published_doses(outcome: str, ours: Mapping[str, str], *, title: str) -> Table:
    """Doses that published meta-analyses name as best or as reaching the MCID, beside ours.

    Parameters
    ----------
    outcome : str
    ours : mapping
        Heading of the column -> text, for the row of this report.
    title : str
    """
    word = {"pain_intensity": "pain"}.get(outcome, outcome)
    known = load_reference("published_meta_analyses")
    rows = known[(known["outcome"] == word) & (known["optimum_dose"].notna())]
    lines = [
        {
            "Review": row.review,
            "Exercise": row.exercise_type_or_comparison,
            "Trials": row.k_trials,
            "Dose": row.dose_unit,
            "Best": row.optimum_dose,
            "MCID reached at": MISSING if pd.isna(row.mcid_dose) else f"{row.mcid_dose:g}",
        }
        for row in rows.itertuples()
    ]
    return table([*lines, {"Review": "This report", **ours}], title=title)


def reasons(counts: pd.DataFrame, *, title: str) -> Table:
    """Why arms were left out, or how results were obtained, with how many."""
    first = counts.columns[0]
    read = counts.assign(**{first: counts[first].astype(str).str.replace("_", " ")})
    return table(read.rename(columns=readable), title=title)


def _range(low: float, high: float, digits: int) -> str:
    if not math.isfinite(low):
        return MISSING
    text = unbroken(f"[{number(low, digits)}, {number(high, digits)}]")
    return Told(text, low=low, high=high)


def unbroken(text: str) -> str:
    """Text that stays on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def sensitivity(found: pd.DataFrame, *, title: str) -> Table:
    """What `mechanisms.sensitivity_pooled` found, a row a setting and comparison."""
    rows = [
        {
            "": f"{readable(row.setting)}, {row.comparison}",
            "Trials": row.trials,
            "SMD [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high, 2),
            "I²": Told(f"{row.i2:.0f}%", **{"I², %": row.i2}) if math.isfinite(row.i2) else MISSING,
        }
        for row in found.itertuples()
    ]
    return table(rows, title=title, note=STANDARDISED)


def hypoalgesia(reviews: pd.DataFrame, *, title: str) -> Table:
    """Published reviews of single bouts, signs as printed."""
    rows = []
    for row in reviews.itertuples():
        if pd.isna(row.estimate):
            continue
        year = "" if pd.isna(row.year) else f" {int(row.year)}"
        year = "" if year.strip() in str(row.review) else year
        known = pd.notna(row.ci_low)
        text = interval_text(row.estimate, row.ci_low, row.ci_high, 2)
        rows.append(
            {
                "Review": f"{row.review}{year}",
                "People": row.population,
                "Exercise": row.exercise_type,
                "Outcome": row.outcome,
                "Studies": MISSING if pd.isna(row.k) else str(int(row.k)),
                "Effect [95% CI]": f"{text if known else number(row.estimate, 2)} {row.measure}",
                "Note": MISSING if pd.isna(row.note) else row.note,
            }
        )
    return table(rows, title=title)


def reported(counts: pd.DataFrame, *, title: str) -> Table:
    """What `mechanisms.pooled` says was measured and used."""
    rows = [
        {
            "Outcome": outcome_label(row.outcome),
            "Trials that report it": row.trials,
            "Usable against no exercise": row.usable,
            "Most frequent reason against the others": row.why or MISSING,
        }
        for row in counts.itertuples()
    ]
    return table(rows, title=title)


def by_type(found: pd.DataFrame, *, title: str) -> Table:
    """What `mechanisms.by_type` found, a row an outcome and type."""
    rows = [
        {
            "Outcome": outcome_label(row.outcome),
            "Type": exercise_label(row.exercise_type),
            "Trials": row.trials,
            "SMD [95% CI]": interval_text(row.estimate, row.ci_low, row.ci_high, 2),
        }
        for row in found.itertuples()
    ]
    return table(rows, title=title, note=STANDARDISED)


def together(found: dict[str, Bivariate | str], *, title: str) -> Table:
    """What `mechanisms.go_together` found; why nothing is known where nothing is."""
    rows = []
    heading = "Pain effect per SD of gain [95% CI]"
    for outcome, result in found.items():
        row = {"Gain": outcome_label(outcome), "Trials": MISSING, heading: MISSING}
        if isinstance(result, Bivariate):
            slope = interval_text(result.slope, result.slope_low, result.slope_high, 2)
            row |= {"Trials": str(result.n_trials), heading: slope}
            row |= {"Note": "association between trials"}
        else:
            row |= {"Note": result}
        rows.append(row)
    return table(rows, title=title)


def probability(value: float) -> str:
    """A probability in whole per cent; a dash where it is missing."""
    return MISSING if pd.isna(value) else Told(share_text(value), value=value)


def few_trials(result: FewTrials, *, title: str) -> Table:
    """Few trials with a prior beside the classical result, with probabilities."""
    digits = effect_digits(result.measure)
    rows = []
    for row in result.table.to_dict("records"):
        told = {
            "": row["group"],
            "Trials": row["trials"],
            f"{result.measure} [95% CI]": interval_text(
                row["estimate"], row["ci_low"], row["ci_high"], digits
            ),
        }
        if row["note"]:
            rows.append({**told, "With a prior [95% CrI]": row["note"]})
            continue
        told["With a prior [95% CrI]"] = interval_text(
            row["bayes"], row["bayes_low"], row["bayes_high"], digits
        )
        told["Benefit"] = probability(row["benefit"])
        if result.mcid:
            told[f"More than {number(result.mcid, 0)} points"] = probability(row["noticed"])
        rows.append(told)
    note = "The last columns are probabilities of the mean effect."
    return table(pd.DataFrame(rows, dtype=object).fillna(MISSING), title=title, note=note)
