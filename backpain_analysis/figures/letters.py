"""The letters of figures: a text is measured and laid out once, however often it is drawn.

matplotlib measures a text at each pass of a layout and again when it is written. What it finds
depends on the text and its font alone, so it is kept.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, cast

from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.textpath import TextToPath

TEXTS = 4096
"""How many texts are kept."""

SUBPIXELS = 64
"""Of what FreeType measures, in a pixel."""

Size = tuple[float, float, float]
Letter = tuple[str, float, float, float]


class Letters(TextToPath):
    """Texts as shapes of letters, as matplotlib makes them."""

    def __init__(self) -> None:
        super().__init__()
        self._shapes: dict[str, Any] = {}
        self._measured = lru_cache(TEXTS)(_measure)
        self._placed = lru_cache(TEXTS)(self._place)

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool | Literal["TeX"]
    ) -> Size:
        """Width, height and descent of a text in points."""
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        font = self._get_font(prop)  # type: ignore[attr-defined]
        width, height, descent = self._measured(font, s)
        scale = prop.get_size_in_points() / self.FONT_SCALE
        return width * scale, height * scale, descent * scale

    def get_glyphs_with_font(
        self,
        font: FT2Font,
        s: str,
        glyph_map: Mapping[str, Any] | None = None,
        return_new_glyphs_only: bool = False,
        **options: Any,
    ) -> tuple[list[Letter], dict[str, Any], list]:
        """Names and places of the letters of a text, and the shapes that are not yet known."""
        letters = self._placed(font, s, **options)
        known = glyph_map or {}
        shapes = {name: self._shapes[name] for name, *_ in letters if name not in known}
        return letters, shapes if return_new_glyphs_only else {**known, **shapes}, []

    def _place(self, font: FT2Font, s: str, **options: Any) -> list[Letter]:
        return super().get_glyphs_with_font(font, s, self._shapes, **options)[0]


def _measure(font: FT2Font, text: str) -> Size:
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    width, height = font.get_width_height()
    return width / SUBPIXELS, height / SUBPIXELS, font.get_descent() / SUBPIXELS


LETTERS = Letters()


class Renderer(RendererSVG):
    """Writes SVG with letters that are laid out once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._text2path = LETTERS


class Canvas(FigureCanvasSVG):
    """Where figures are laid out and written as SVG."""

    def print_svg(self, filename: Any, *, metadata: Any = None, **_: Any) -> None:
        """Write the figure to an open binary file."""
        figure, file = self.figure, codecs.getwriter("utf-8")(filename)
        dpi, (width, height) = figure.dpi, figure.get_size_inches()
        figure.dpi = self.fixed_dpi
        size = width * self.fixed_dpi, height * self.fixed_dpi
        renderer = Renderer(*size, file, image_dpi=dpi, metadata=metadata)
        mixed = MixedModeRenderer(figure, width, height, dpi, renderer)
        figure.draw(cast("RendererBase", mixed))
        mixed.finalize()


@contextmanager
def on_canvas(figure: Figure) -> Iterator[None]:
    """Lay a figure out, or write it, with these letters inside a `with` block."""
    canvas, dpi = figure.canvas, figure.dpi
    Canvas(figure)
    try:
        yield
    finally:
        figure.dpi = dpi
        figure.set_canvas(canvas)
