"""Dose, curve and type chosen by hand in JupyterLab: the figure and the statement change along."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from backpain_analysis.answers import sentences
from backpain_analysis.answers.dose import dose_answer
from backpain_analysis.effects.table import Effects, refuse_evidence
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.dose import DOSE_MEASURES
from backpain_analysis.figures.show import show
from backpain_analysis.models.dose.fit import dose_response
from backpain_analysis.words import DOSE_LABELS, exercise_label

if TYPE_CHECKING:
    from ipywidgets import VBox

ANSWER = "the answer: a step, and a line"
CURVES = (
    *("constant", "step + rcs"),
    *("linear", "log", "quadratic", "rcs", "emax", "fp1"),
)
EVERY = "all types"


def explore(effects: Effects, *, mcid: float | None = None) -> VBox:
    """Choose dose, curve and type of exercise, and see what is found at once.

    Needs ipywidgets: ``pip install "backpain-analysis[explore]"``. A page that works without
    Python is made from `dose_explorer`.

    Parameters
    ----------
    effects : Effects
        Of exercise against no exercise.
    mcid : float, optional
        Size of the minimal clinically important difference, in the units of the effects.

    Returns
    -------
    ipywidgets.VBox
        Three lists to choose from, and below them figure and statement.

    Raises
    ------
    ImportError
        Without ipywidgets.
    CannotEstimate
        If no dose of any arm is known.

    Examples
    --------
    >>> effects = bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
    >>> box = bp.explore(effects, mcid=bp.mcid("pain_intensity"))
    >>> [chosen.description for chosen in box.children[0].children]
    ['Dose', 'Curve', 'Type']
    """
    require(effects, "Effects")
    refuse_evidence(effects)
    try:
        import ipywidgets
    except ImportError as missing:
        raise ImportError(
            'bp.explore needs ipywidgets: pip install "backpain-analysis[explore]"'
        ) from missing
    doses = [name for name in DOSE_MEASURES if effects.table[name].notna().any()]
    if not doses:
        raise CannotEstimate("no dose of these arms is known")
    types = sorted(effects.table["exercise_type"].dropna().astype(str).unique())
    options = {
        "Dose": [(DOSE_LABELS[name], name) for name in doses],
        "Curve": [(ANSWER, ANSWER), *((sentences.curve_words(name), name) for name in CURVES)],
        "Type": [(EVERY, EVERY), *((exercise_label(name), name) for name in types)],
    }
    lists = [
        ipywidgets.Dropdown(options=choices, description=name) for name, choices in options.items()
    ]
    found = ipywidgets.HTML()

    def change(_: object = None) -> None:
        found.value = explored(effects, *(own.value for own in lists), mcid=mcid)

    for own in lists:
        own.observe(change, names="value")
    change()
    return ipywidgets.VBox([ipywidgets.HBox(lists), found])


def explored(effects: Effects, dose: str, curve: str, kind: str, *, mcid: float | None) -> str:
    """Figure and statement of one choice as HTML, or why there is none."""
    if kind != EVERY:
        own = effects.table["exercise_type"].astype(str) == kind
        effects = effects.select(own, "another type of exercise")
    try:
        text, axes = _found(effects, dose, curve, mcid)
    except CannotEstimate as fault:
        return f"<p>{escape(str(fault))}</p>"
    return f"<p>{escape(text)}</p>{show(axes, alt=text)._repr_html_()}"


def _found(effects: Effects, dose: str, curve: str, mcid: float | None) -> tuple[str, Any]:
    if curve == ANSWER:
        answer = dose_answer(effects, dose, mcid=mcid)
        return answer.text, answer.plot()
    result = dose_response(effects, dose=dose, curve=curve)
    return sentences.dose_response(result, mcid), result.plot(mcid=mcid)
