"""What several reports ask of the bundled trials, looked up before they run.

A process that reports are forked from goes through it, so that each finds what is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator

from backpain_analysis.answers.key_results import key_results
from backpain_analysis.answers.robustness import derivation_steps
from backpain_analysis.evidence import BACK_PAIN, Evidence, load_evidence
from backpain_analysis.models.dose.comparison import readings

OUTCOMES = ("pain_intensity", "disability")

_kept: list[Evidence] = []
"""Its answers are remembered as long as it lives."""


def look_up() -> Iterator[None]:
    """Do a piece at a time."""
    _kept.append(trials := load_evidence().filter(population=BACK_PAIN))
    for outcome in OUTCOMES:
        for measure in ("MD", "SMD"):
            load_evidence().effects(outcome, measure=measure)
            yield
            for head_to_head in (False, True):
                trials.effects(outcome, measure=measure, head_to_head=head_to_head)
                yield
        asked = [{"derive": derive} for derive in derivation_steps("MD").values()]
        for options in [*asked, *(reading for _, reading in readings())]:
            trials.effects(outcome, **options)
            yield
    key_results(trials)
    yield
