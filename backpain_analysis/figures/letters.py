"""The letters of figures: a text is measured and laid out once, however often it is drawn.

matplotlib measures a text at each pass of a layout and again when it is written. What it finds
depends on the text and its font alone, so it is kept.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
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

FONTS = 64
"""How many fonts are known by their heights."""

SUBPIXELS = 64
"""Of what FreeType measures, in a pixel."""

Size = tuple[float, float, float]
Letter = tuple[str, float, float, float]


class Letters(TextToPath):
    """Texts as shapes of letters, as matplotlib makes them."""

    def __init__(self) -> None:
        super().__init__()
        self._shapes: dict[str, Any] = {}
        self._measured = lru_cache(TEXTS)(self._measure)
        self._placed = lru_cache(TEXTS)(self._place)
        self._found: dict[int, FT2Font] | None = None

    def for_one_drawing(self) -> Letters:
        """The same letters, whose fonts are found once: settings stay while a figure is drawn."""
        letters = copy(self)
        letters._found = {}
        return letters

    def _get_font(self, prop: FontProperties) -> FT2Font:
        if self._found is None:
            return super()._get_font(prop)  # type: ignore[misc]
        key = hash(prop)
        if key not in self._found:
            self._found[key] = super()._get_font(prop)  # type: ignore[misc]
        return self._found[key]

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool | Literal["TeX"]
    ) -> Size:
        """Width, height and descent of a text in points."""
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        width, height, descent = self._measured(self._get_font(prop), s)
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

    def _measure(self, font: FT2Font, text: str) -> Size:
        font.set_size(self.FONT_SCALE, self.DPI)
        font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
        width, height = font.get_width_height()
        return width / SUBPIXELS, height / SUBPIXELS, font.get_descent() / SUBPIXELS

    def _place(self, font: FT2Font, s: str, **options: Any) -> list[Letter]:
        font.set_size(self.FONT_SCALE, self.DPI)
        return super().get_glyphs_with_font(font, s, self._shapes, **options)[0]


@lru_cache(FONTS)
def _heights(font: FT2Font) -> Size | None:
    """Ascent, descent and gap between lines, of the size of the font; None if it does not tell."""
    table, head = font.get_sfnt_table("OS/2"), font.get_sfnt_table("head")
    if table is None or head is None:
        return None
    em = head["unitsPerEm"]
    return table["sTypoAscender"] / em, -table["sTypoDescender"] / em, table["sTypoLineGap"] / em


LETTERS = Letters()


class Renderer(RendererSVG):
    """Writes SVG with letters that are laid out once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._text2path = self._letters = LETTERS.for_one_drawing()

    def _get_font_height_metrics(self, prop: FontProperties) -> Size | tuple[None, None, None]:
        """Ascent, descent and gap between lines in points; matplotlib would read them each time."""
        if (heights := _heights(self._letters._get_font(prop))) is None:
            return None, None, None
        size = prop.get_size_in_points()
        return heights[0] * size, heights[1] * size, heights[2] * size


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
