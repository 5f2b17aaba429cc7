"""Hand-made effects, and what the tests ask of axes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from backpain_analysis.effects.table import Effects
from backpain_analysis.evidence.dose import DOSE_MEASURES


def make_effects(rows: list[dict], outcome: str = "pain_intensity") -> Effects:
    """Independent contrasts; every row needs yi and vi, the rest has plain defaults."""
    full = []
    for number, row in enumerate(rows, start=1):
        plain = {
            "trial_id": f"t{number}",
            "arm_id": "a1",
            "ref_arm_id": "a2",
            "label": f"Author {number}",
            "exercise_type": "yoga",
            "n_arm": 20.0,
            "n_ref": 22.0,
        }
        doses = {name: np.nan for name in DOSE_MEASURES}
        references = {f"ref_{name}": 0.0 for name in DOSE_MEASURES}
        full.append({**plain, **doses, **references, **row})
    table = pd.DataFrame(full)
    covariance = tuple(np.array([[value]]) for value in table["vi"])
    excluded = pd.DataFrame(columns=["trial_id", "arm_id", "reason"])
    return Effects(table, covariance, excluded, outcome, "MD")


def artists(axes, gid: str) -> list:
    """Everything drawn under a name, in drawing order."""
    return [artist for artist in axes.get_children() if artist.get_gid() == gid]


def texts(axes) -> list[str]:
    """Every text written inside or beside the axes."""
    return [text.get_text() for text in axes.texts]


def overlaps(axes) -> list[tuple[str, str]]:
    """Pairs of texts of the axes whose boxes overlap once the figure is laid out."""
    boxes = [(text, box.shrunk(0.98, 0.9)) for text, box in _boxes(axes)]
    return [
        (one, other)
        for position, (one, box) in enumerate(boxes)
        for other, its_box in boxes[position + 1 :]
        if box.overlaps(its_box)
    ]


def outside(axes) -> list[str]:
    """Texts that reach beyond the figure."""
    boxes = _boxes(axes)
    page = axes.get_figure(root=True).bbox.padded(1)
    return [
        text for text, box in boxes if not (page.contains(*box.min) and page.contains(*box.max))
    ]


def _boxes(axes) -> list[tuple]:
    """Horizontal and upright texts that are drawn, with their boxes."""
    axes.get_figure(root=True).draw_without_rendering()
    (left, right), heights = axes.get_xlim(), sorted(axes.get_ylim())
    labels = [label for label in axes.get_xticklabels() if left <= label.get_position()[0] <= right]
    labels += [
        label
        for label in axes.get_yticklabels()
        if heights[0] <= label.get_position()[1] <= heights[1]
    ]
    return [
        (text.get_text(), text.get_window_extent())
        for text in [*axes.texts, *labels, axes.xaxis.label, axes.yaxis.label]
        if text.get_text() and text.get_rotation() in (0, 90)
    ]
