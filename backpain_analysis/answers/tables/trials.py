"""Tables of trials: their flow into an analysis, who entered, harms."""

from __future__ import annotations

import pandas as pd

from backpain_analysis.answers.flow import ENTERED, Flow
from backpain_analysis.answers.harms import Harms
from backpain_analysis.display import Link, Table, table
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.words import author_year, exercise_label, plural, population_label

DOI, PUBMED = "https://doi.org/", "https://pubmed.ncbi.nlm.nih.gov/"


def flow(found: Flow, *, title: str) -> Table:
    """From all trials to those that enter, reason by reason."""
    rows = [
        {"": row.step.capitalize(), "Trials removed": row.removed, "Trials left": row.left}
        for row in found.summary().itertuples()
    ]
    return table(pd.DataFrame(rows), title=title, note=found.sentence())


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
    return table(pd.DataFrame(rows), title=title, note=found.sentence())


def named(name: str, doi: object, pmid: object) -> Link | str:
    """A trial's name that leads to its report, where an address is known."""
    if pd.notna(doi):
        return Link(name, f"{DOI}{doi}")
    return Link(name, f"{PUBMED}{pmid}/") if pd.notna(pmid) else name


def harms(found: Harms, *, title: str) -> Table:
    """Harms, adherence and dropout, as far as reports print them."""
    words = {"what": "", "trials": "Trials", "arms": "Arms", "said": "What is known"}
    return table(found.table.rename(columns=words), title=title)


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
    return table(pd.DataFrame(rows, columns=columns), title=title, note=note)
