"""An answer as a page shows it: trials by their names, abbreviations spelled out, warnings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import pandas as pd

from backpain_analysis.errors import require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.words import author_year, spelled_out

DOI, PUBMED = "https://doi.org/", "https://pubmed.ncbi.nlm.nih.gov/"


class Answered(str):
    """A text that a page shows as its answer, with links to the trials it names."""

    shown: str

    def __new__(cls, text: str, shown: str) -> Answered:
        made = super().__new__(cls, text)
        made.shown = shown
        return made

    def _repr_markdown_(self) -> str:
        return self.shown


def told(text: str, evidence: Evidence | None = None) -> Answered:
    """The answer of a page.

    Trials are named as readers cite them, "saper2013" as "Saper 2013", with a link where their
    address is known; abbreviations are spelled out at first use.

    Parameters
    ----------
    text : str
    evidence : Evidence, optional
        That holds the trials, if any are named.

    Examples
    --------
    >>> trials = bp.load_evidence()
    >>> print(bp.told("Not estimable without saper2013.", trials))
    Not estimable without Saper 2013.
    """
    text = spelled_out(text)
    plain, linked = (text, text) if evidence is None else named(text, evidence)
    return Answered(plain, f"> {linked}")


def warned(evidence: Evidence, trials: Iterable[str]) -> Answered:
    """Which of the trials that enter an analysis carry a warning that is not resolved.

    Parameters
    ----------
    evidence : Evidence
        That holds the trials.
    trials : iterable of str
        Their ids.

    Examples
    --------
    >>> evidence = bp.load_evidence()
    >>> print(bp.warned(evidence, ["kim2017", "saper2013"]))
    Of the 2 trials, 1 carries a warning that is not resolved: Kim 2017 (SD looks like a standard
    error). What was compared, and what to look at, stands on the page of trials.
    """
    require(evidence, "Evidence")
    names = sorted(set(map(str, trials)))
    if not names:
        return Answered("No trial enters.", "No trial enters.")
    found = _warnings(evidence, names)
    kinds = found.groupby("trial_id", sort=False)["kind"].unique()
    if len(names) == 1:
        text = f"The one trial carries {'a' if len(kinds) else 'no'} warning"
    elif kinds.empty:
        text = f"None of the {len(names)} trials carries a warning"
    else:
        verb = "carries" if len(kinds) == 1 else "carry"
        text = f"Of the {len(names)} trials, {len(kinds)} {verb} a warning"
    text += " that is not resolved"
    listed = "; ".join(f"{trial} ({', '.join(own)})" for trial, own in kinds.items())
    if listed:
        text += f": {listed}. What was compared, and what to look at, stands on the page of trials"
    return Answered(*named(f"{text}.", evidence))


def _warnings(evidence: Evidence, names: list[str]) -> pd.DataFrame:
    """The warnings of trials: looked up among those of all, unless a filter took rows of these."""
    whole = evidence.whole
    known = evidence.trials["trial_id"].isin(names).sum() == len(names)
    pairs = zip(_with_rows(evidence), _with_rows(whole), strict=True)
    if not known or any(_rows_of(names, own) < _rows_of(names, every) for own, every in pairs):
        return evidence.filter(trial_id=names).plausibility()
    found = whole.plausibility()
    return found[found["trial_id"].isin(names)]


def _with_rows(evidence: Evidence) -> tuple[pd.DataFrame, ...]:
    return evidence.arms, evidence.outcomes, evidence.contrasts


def _rows_of(names: list[str], table: pd.DataFrame) -> int:
    return int(table["trial_id"].isin(names).sum())


def address(doi: object, pmid: object) -> str:
    """Where a report can be read; empty where that is not known."""
    if pd.notna(doi):
        return f"{DOI}{doi}"
    return f"{PUBMED}{pmid}/" if pd.notna(pmid) else ""


def named(text: str, evidence: Evidence) -> tuple[str, str]:
    """The text with trials by name, plain and with links in Markdown."""
    columns = ("trial_id", "first_author", "year", "doi", "pmid")
    rows = zip(*(evidence.trials[name] for name in columns), strict=True)
    about = {
        str(trial): (author_year(author, year), address(doi, pmid))
        for trial, author, year, doi, pmid in rows
    }
    own = Counter(name for name, _ in about.values())
    known = {name: (name, url) for name, url in about.values() if own[name] == 1} | about
    there = sorted((name for name in known if name in text), key=len, reverse=True)
    if not there:
        return text, text
    whole = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, there))})(?![\w-])")

    def link(found: re.Match[str]) -> str:
        name, url = known[found[0]]
        return f"[{name}](<{url}>)" if url else name

    return whole.sub(lambda found: known[found[0]][0], text), whole.sub(link, text)
