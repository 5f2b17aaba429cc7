"""The claims of the article this project began from, each with an estimate and a verdict."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from backpain_analysis.answers.certainty import LEVELS
from backpain_analysis.answers.claim_parts import Context, Part
from backpain_analysis.answers.claim_tests import BACK_PAIN_ONLY, EVERYBODY
from backpain_analysis.answers.published import agreement, published_answers
from backpain_analysis.answers.verdicts import NOT_TESTED, ONE_SIDED, VERDICTS
from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.display import html_table
from backpain_analysis.errors import require
from backpain_analysis.evidence.evidence import BACK_PAIN, Evidence, load_evidence
from backpain_analysis.words import number, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class Claims:
    """Verdicts on claims.

    Attributes
    ----------
    table : DataFrame
        A row a claim: `claim_id, theme, claim, question, primary, notebook, data, estimate,
        noticed, certainty, verdict, reason, agreement`. Verdict, certainty and reason are those
        of the part that is named in advance (`primary`); `noticed` is the probability that its
        effect is larger than the smallest that matters (see `Part`).
    parts : DataFrame
        A row a testable part: `claim_id, what, primary, trials, participants, estimate, ci_low,
        ci_high, text, unit, noticed, target, certainty, judgements, downgrades, verdict, reason,
        names` (the trials it rests on).

    Examples
    --------
    >>> found = bp.claims(ids=["C10"])
    >>> found.table["verdict"].tolist()
    ['not tested in these trials']
    """

    table: pd.DataFrame
    parts: pd.DataFrame

    def __repr__(self) -> str:
        return f"<Claims: {plural(len(self.table), 'claim')}>"

    def counts(self) -> pd.Series:
        """How many claims have each verdict."""
        return self.table["verdict"].value_counts().reindex(VERDICTS, fill_value=0)

    def answer(self) -> str:
        """How the claims fare, in a sentence."""
        counts = self.counts()
        words = "; ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        certain = self.table["certainty"].isin(LEVELS[2:]).sum()
        tested = int((self.table["verdict"] != NOT_TESTED).sum())
        first = f"Of {len(self.table)} claims: {words}."
        if not tested:
            return first
        return (
            f"{first} For {certain} of them the evidence is of "
            f"moderate or high certainty. If none of the {tested} tested claims were true, about "
            f"{number(tested * ONE_SIDED)} would still be called supported by chance."
        )

    def summary(self) -> pd.DataFrame:
        """What a reader wants first: claim, estimate, certainty, verdict."""
        return self.table[["claim_id", "claim", "verdict", "certainty", "estimate", "agreement"]]

    def plot(self, **options: Any) -> Axes:
        """Verdicts at a glance: see `figures.claims`."""
        from backpain_analysis import figures

        return figures.claims(self, **options)

    def _repr_html_(self) -> str:
        return html_table(self.summary(), title="Claims and verdicts")


def claims_table() -> pd.DataFrame:
    """The claims as `data/claims.csv` has them.

    Returns
    -------
    DataFrame
        `claim_id, theme, claim, question, primary, notebook`.
    """
    return pd.read_csv(data_dir() / "claims.csv", dtype=str, keep_default_na=False)


def claims(evidence: Evidence | None = None, ids: Sequence[str] | None = None) -> Claims:
    """Answer the claims with an evidence.

    Every claim is taken apart into what trials can test (`answers/claim_tests.py`); each part is
    estimated, graded (`answers/certainty.py`) and judged (`answers/verdicts.py`). The part named in
    `data/claims.csv` decides; published answers stand beside it (`answers/published.py`).

    Parameters
    ----------
    evidence : Evidence, optional
        By default the bundled trials.
    ids : sequence of str, optional
        Only these claims, such as ["C01", "C16"].

    Returns
    -------
    Claims

    Raises
    ------
    ValueError
        For an unknown claim, or one whose answer or primary part is not there.

    Examples
    --------
    >>> bp.claims(ids=["C10"]).table["claim_id"].tolist()
    ['C10']
    """
    if evidence is not None:
        require(evidence, "Evidence")
    evidence = load_evidence() if evidence is None else evidence
    listed = claims_table()
    unknown = sorted(set(ids or ()) - set(listed["claim_id"]))
    if unknown:
        last = listed["claim_id"].iloc[-1]
        raise ValueError(f"no claim {', '.join(map(repr, unknown))}: they run from C01 to {last}.")
    if ids is not None:
        listed = listed[listed["claim_id"].isin(ids)]
    whole = Context(evidence)
    backs = Context(evidence.filter(population=BACK_PAIN))
    rows: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for claim in listed.to_dict("records"):
        name = claim["claim_id"]
        if name not in {**EVERYBODY, **BACK_PAIN_ONLY}:
            raise ValueError(f"claims.csv: nothing in answers/claim_tests.py answers {name}.")
        found = EVERYBODY[name](whole) if name in EVERYBODY else BACK_PAIN_ONLY[name](backs)
        primary = _primary(claim, found)
        rows.append(claim | _row(name, primary))
        parts.extend({"claim_id": name, "primary": part is primary} | _part(part) for part in found)
    return Claims(pd.DataFrame(rows), pd.DataFrame(parts))


def _primary(claim: dict[Hashable, Any], parts: Sequence[Part]) -> Part:
    for part in parts:
        if part.what == claim["primary"]:
            return part
    there = "; ".join(part.what for part in parts)
    raise ValueError(
        f"claims.csv, {claim['claim_id']}: primary {claim['primary']!r} is no part of its answer. "
        f"Parts are: {there}."
    )


def _row(name: str, primary: Part) -> dict[str, Any]:
    trials = primary.body.n_trials if primary.body else 0
    return {
        "data": plural(trials, "trial") if trials else "none",
        "estimate": primary.estimate_text,
        "noticed": primary.noticed,
        "certainty": primary.certainty.level,
        "verdict": primary.verdict,
        "reason": primary.reason,
        "agreement": agreement(primary, published_answers(name)),
    }


def _part(part: Part) -> dict[str, Any]:
    body = part.body
    numbers = {name: getattr(body, name, None) for name in ("estimate", "ci_low", "ci_high")}
    return {
        "what": part.what,
        "trials": body.n_trials if body else 0,
        "participants": body.n_participants if body else 0,
        **numbers,
        "text": part.estimate_text,
        "unit": part.unit,
        "noticed": part.noticed,
        "target": part.certainty.target,
        "certainty": part.certainty.level,
        "judgements": part.certainty.judgements,
        "downgrades": part.certainty.reasons,
        "verdict": part.verdict,
        "reason": part.reason,
        "names": part.trials,
    }
