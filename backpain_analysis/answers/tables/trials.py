"""Tables of trials: their flow into an analysis, who entered, harms."""

from __future__ import annotations

import pandas as pd

from backpain_analysis.answers.flow import ENTERED, Flow
from backpain_analysis.answers.harms import Harms
from backpain_analysis.answers.telling import address
from backpain_analysis.display import Link, Table, table
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.words import (
    DOSE_LABELS,
    author_year,
    exercise_label,
    outcome_label,
    outcome_words,
    plural,
    population_label,
    readable,
)


def flow(found: Flow, *, title: str) -> Table:
    """From all trials to those that enter, reason by reason."""
    rows = [
        {"": row.step.capitalize(), "Trials removed": row.removed, "Trials left": row.left}
        for row in found.summary().itertuples()
    ]
    return table(rows, title=title, note=found.sentence())


def trials(found: Flow, *, title: str) -> Table:
    """Every trial with its address: those that enter first, then the others with the reason."""
    order = found.table["step"].ne(ENTERED)
    ordered = found.table.assign(out=order).sort_values(["out", "trial"], kind="stable")
    rows = [
        {
            "Trial": named(row.trial, row.doi, row.pmid),
            "Population": population_label(str(row.population)),
            "Enters": "no" if row.out else "yes",
            "Why not": "" if row.step == ENTERED else row.reason,
        }
        for row in ordered.itertuples()
    ]
    return table(rows, title=title, note=found.sentence())


def named(name: str, doi: object, pmid: object) -> Link | str:
    """A trial's name that leads to its report, where an address is known."""
    url = address(doi, pmid)
    return Link(name, url) if url else name


def harms(found: Harms, *, title: str) -> Table:
    """Harms, adherence and dropout, as far as reports print them."""
    words = {"what": "", "trials": "Trials", "arms": "Arms", "said": "What is known"}
    return table(found.table.rename(columns=words), title=title)


def warnings(evidence: Evidence, *, title: str) -> Table:
    """What looks odd in the numbers of each trial, and what to look at."""
    about = evidence.trials.set_index("trial_id")
    rows = []
    for row in evidence.plausibility().to_dict("records"):
        own = about.loc[row["trial_id"]]
        name = author_year(own["first_author"], own["year"])
        rows.append(
            {
                "Trial": named(name, own["doi"], own["pmid"]),
                "Warning": row["kind"],
                "The numbers": row["arithmetic"],
                "What to look at": row["look"],
            }
        )
    columns = ["Trial", "Warning", "The numbers", "What to look at"]
    return table(pd.DataFrame(rows, columns=columns, dtype=object), title=title)


def adverse_events(evidence: Evidence, *, title: str) -> Table:
    """What reports printed on adverse events, word for word."""
    about = evidence.trials.set_index("trial_id")
    known = evidence.arms[evidence.arms["adverse_events_text"].notna()]
    rows = []
    for (trial, text), part in known.groupby(["trial_id", "adverse_events_text"], sort=False):
        kinds = dict.fromkeys(exercise_label(str(kind)) for kind in part["exercise_type"])
        name = author_year(*about.loc[trial, ["first_author", "year"]])
        rows.append({"Trial": name, "Arms": ", ".join(kinds), "Printed": text})
    told = known["trial_id"].nunique()
    note = f"{told} of {plural(len(about), 'trial')} say{'s' * (told == 1)} anything."
    columns = ["Trial", "Arms", "Printed"]
    return table(pd.DataFrame(rows, columns=columns, dtype=object), title=title, note=note)


LABELS = {
    "population": population_label,
    "exercise type": exercise_label,
    "comparator": exercise_label,
    "outcome": outcome_label,
}

MISSING_WORDS = {"n_randomised": "people randomised", "n": "people measured", **DOSE_LABELS}


def counts(evidence: Evidence, *, title: str) -> Table:
    """The counts a reader wants first, in words."""
    found = evidence.describe()
    rows = [
        {
            "": readable(row.topic) if new else "",
            "What": LABELS.get(row.topic, _item)(row.item),
            "How many": row.count_,
            "Of what": row.unit.removesuffix("s") if row.count_ == 1 else row.unit,
        }
        for new, row in zip(
            ~found["topic"].duplicated(),
            found.rename(columns={"count": "count_"}).itertuples(),
            strict=True,
        )
    ]
    note = f"{evidence.name} {evidence.version or ''}".strip()
    return table(rows, title=title, note=f"{note}, {evidence.content_hash[:12]}.")


def _item(word: str) -> str:
    return readable(MISSING_WORDS.get(word, word))


def coverage(evidence: Evidence, *, title: str) -> Table:
    """What each trial reports: its exercise, dose, outcomes and kind of results."""
    found = evidence.coverage()
    about = evidence.trials.set_index("trial_id")
    outcomes = [name for name in found if (found[name].isin(RESULTS)).any() and name != "results"]
    rows = []
    for row in found.to_dict("records"):
        own = about.loc[row["trial_id"]]
        doses = [label for name, label in DOSE_LABELS.items() if row.get(name, 0)]
        measured = [outcome_words(name) for name in outcomes if row[name] in RESULTS]
        kinds = str(row["exercise_types"]).split(", ") if row["exercise_arms"] else []
        rows.append(
            {
                "Trial": named(
                    author_year(own["first_author"], own["year"]), own["doi"], own["pmid"]
                ),
                "Population": population_label(str(row["population"])),
                "Exercise": ", ".join(exercise_label(kind) for kind in kinds),
                "Dose reported as": ", ".join(doses),
                "Outcomes": ", ".join(measured),
                "Results": RESULTS.get(row["results"], ""),
            }
        )
    return table(rows, title=title)


RESULTS = {"arms": "of each arm", "contrasts": "between arms", "both": "of both kinds"}
