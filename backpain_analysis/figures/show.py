"""Figures as inline SVG with alternative text, and as files; the numbers they were drawn from."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backpain_analysis.display import with_numbers
from backpain_analysis.effects.table import Effects
from backpain_analysis.errors import require
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.figures.letters import on_canvas
from backpain_analysis.figures.style import CSS_PIXELS_PER_INCH, figure_of, figure_style
from backpain_analysis.models.network.contrasts import NetworkData
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.results import CoefficientTable, TableResult

P = ParamSpec("P")
Drawn = TypeVar("Drawn", Axes, Figure)

POOLED = ("n_trials", "n_participants", "estimate", "ci_low", "ci_high", "pi_low", "pi_high")
OF_ARMS = ("trial_id", "arm_id", "exercise_type", "n_randomised")

_sources: WeakKeyDictionary[Figure, Any] = WeakKeyDictionary()


def remembers(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Let a figure remember what it was drawn from: the first argument of its function."""

    @wraps(draw)
    def drawing(*args: P.args, **options: P.kwargs) -> Drawn:
        drawn = draw(*args, **options)
        _sources[drawn if isinstance(drawn, Figure) else figure_of(drawn)] = args[0]
        return drawn

    return drawing


def numbers_behind(figure: Figure) -> pd.DataFrame | None:
    """The table that a figure was drawn from, in full precision; None where none is known.

    A row a contrast of a trial, with its effect, variance, people and dose, where the figure shows
    trials; else a row a thing that is drawn.
    """
    return _table(_sources.get(figure))


def _table(source: Any) -> pd.DataFrame | None:
    effects, data = getattr(source, "effects", source), getattr(source, "data", source)
    if isinstance(effects, Effects):
        return effects.to_frame()
    if isinstance(data, DoseNetworkData):
        doses = data.nodes["dose"].to_numpy()
        frame = data.network.to_frame()
        return frame.assign(
            dose=doses[data.network.treatment], versus_dose=doses[data.network.versus]
        )
    if isinstance(data, NetworkData):
        return data.to_frame()
    if isinstance(source, Evidence):
        columns = [name for name in source.arms if name in OF_ARMS or "per_" in name]
        return source.arms[columns].astype(object)
    if isinstance(source, Mapping):
        rows = {name: [getattr(one, name, None) for one in source.values()] for name in POOLED}
        return pd.DataFrame({"name": list(source), **rows}, dtype=object)
    table = source if isinstance(source, pd.DataFrame) else getattr(source, "table", None)
    if isinstance(table, pd.DataFrame):
        return table
    if isinstance(source, TableResult | CoefficientTable):
        return source.summary()
    return None


LEGIBLE = 0.85
"""How far a figure may shrink on a narrow screen before it scrolls sideways instead."""

_UNDATED = {
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


@dataclass(frozen=True)
class Shown:
    """A figure ready for a page; JupyterLab and the report show it as inline SVG.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What the figure says, for readers who cannot see it.
    caption : str
        Printed below it; may be empty.

    Examples
    --------
    >>> ax = bp.figures.funnel(bp.pool([-9.0, -4.0, -6.0], [4.0, 6.0, 5.0]))
    >>> shown = bp.figures.show(ax, alt="Funnel plot of three trials.")
    >>> shown.alt, shown.save("funnel.svg").name
    ('Funnel plot of three trials.', 'funnel.svg')
    """

    figure: Figure
    alt: str
    caption: str = ""

    @property
    def numbers(self) -> pd.DataFrame | None:
        """What it was drawn from, in full precision; None where that is not known."""
        return numbers_behind(self.figure)

    def svg(self) -> str:
        """One `<svg>` element; the same figure gives the same text, its ids are its own."""
        text = _saved(self.figure, "svg").decode()
        return _inline(text, self.figure.get_figwidth() * CSS_PIXELS_PER_INCH)

    def save(self, path: str | Path) -> Path:
        """Write the figure as `.svg`, `.pdf` or `.png` (300 dots an inch), without a date.

        Raises
        ------
        ValueError
            For another file name extension.
        """
        path = Path(path)
        kind = path.suffix.lstrip(".").lower()
        if kind not in _UNDATED:
            raise ValueError(f"{path.name}: a figure is saved as .svg, .pdf or .png.")
        path.write_bytes(_saved(self.figure, kind))
        return path

    def _repr_html_(self) -> str:
        caption = f"<figcaption>{escape(self.caption)}</figcaption>" if self.caption else ""
        return (
            '<figure class="bp-figure">'
            f'<div class="bp-scroll" style="overflow-x:auto" role="img" tabindex="0" '
            f'aria-label="{escape(self.alt)}">{self.svg()}</div>{caption}</figure>'
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        html, numbers = self._repr_html_(), self.numbers
        return {"text/html": html} if numbers is None else with_numbers(html, numbers)


def show(drawn: Axes | Figure, *, alt: str, caption: str = "") -> Shown:
    """Show a figure on a page.

    The figure's layout is fixed as it is now.

    Parameters
    ----------
    drawn : Axes or Figure
    alt : str
        Alternative text: what the figure says, for readers who cannot see it.
    caption : str

    Returns
    -------
    Shown

    Raises
    ------
    ValueError
        If `alt` is empty.

    Examples
    --------
    >>> ax = bp.figures.funnel(bp.pool([-9.0, -4.0, -6.0], [4.0, 6.0, 5.0]))
    >>> shown = bp.figures.show(ax, alt="Funnel plot of three trials.")
    >>> shown.numbers[["yi", "vi"]]
        yi   vi
    0 -9.0  4.0
    1 -4.0  6.0
    2 -6.0  5.0
    """
    if not alt.strip():
        raise ValueError("alt is empty: say in a sentence what the figure shows.")
    require(drawn, "Axes", "Figure")
    figure = drawn if isinstance(drawn, Figure) else figure_of(drawn)
    _settle(figure)
    return Shown(figure, " ".join(alt.split()), " ".join(caption.split()))


def _settle(figure: Figure) -> None:
    """Lay the figure out for good: a layout done again at every drawing would creep."""
    if engine := figure.get_layout_engine():
        with figure_style(), on_canvas(figure):
            engine.execute(figure)
    with rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)


def _saved(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"dpi": 300} if kind == "png" else {}
    with figure_style(), on_canvas(figure):
        figure.savefig(buffer, format=kind, metadata=_UNDATED[kind], **options)
    return buffer.getvalue()


WRITTEN = re.compile(r"<!--(.*?)-->|<metadata>.*?</metadata>", re.DOTALL)
NAME = re.compile(r' id="([^"]+)"')
USE = re.compile(r'(?:url\(|href=")#([^")]+)')
SPOKEN = re.compile(r"[^\W\d_]{3}")


def _inline(svg: str, width: float) -> str:
    """The `<svg>` element of a file, fit to stand among others on a page.

    Its letters are drawn; what they say is kept as its description, to be found and read.
    """
    pieces = WRITTEN.split(svg[svg.index("<svg") :])
    said = dict.fromkeys(text.strip() for text in pieces[1::2] if text and SPOKEN.search(text))
    body = "".join(pieces[::2])
    name = "f" + hashlib.sha256(body.encode()).hexdigest()[:10]
    used = set(USE.findall(body))
    body = NAME.sub(lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = body.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    body = body.replace('<style type="text/css">*{', f'<style type="text/css">#{name} *{{')
    box = re.findall(r'viewBox="[^"]+"', body)[0]
    opening = (
        f'<svg id="{name}" {box} width="100%" '
        f'style="display:block;min-width:{LEGIBLE * width:.0f}px;max-width:{width:.0f}px;'
        'height:auto" aria-hidden="true" focusable="false" version="1.1" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    told = f"<desc>{'; '.join(said)}</desc>" if said else ""
    body = opening + told + body[body.index(">") + 1 :]
    return " ".join(filter(None, map(str.strip, body.split("\n"))))
