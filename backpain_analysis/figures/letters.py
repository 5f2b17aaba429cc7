"""The letters of figures: a text is measured and laid out once, however often it is drawn.

matplotlib measures a text at each pass of a layout and again when it is written. What it finds
depends on the text and its font alone, so it is kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from functools import lru_cache
from typing import IO, Any, Literal, NamedTuple, cast
from unicodedata import category

from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG
from matplotlib.colors import rgb2hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.text import Text
from matplotlib.textpath import TextToPath

TEXTS = 4096
"""How many texts, and letters, are kept."""

FONTS = 64
"""How many fonts are known by their heights."""

COMBINED = "MC"
"""Categories of characters that may take less room than their letters: marks, and unseen ones."""

BLACK = "#000000"
"""What SVG fills with unless told."""

UNHINTED = LoadFlags.NO_HINTING

SUBPIXELS = 64
"""Of what FreeType measures, in a pixel."""

INSIDE = {
    FT2Font: ["_layout"],
    TextToPath: ["_get_font", "_get_glyph_repr"],
    RendererSVG: ["_draw_text_as_path", "_update_glyph_map_defs"],
}
KNOWN = all(hasattr(kind, name) for kind, names in INSIDE.items() for name in names)
"""Whether this matplotlib (3.11) has the parts of its inside that this file uses; in another one
figures are drawn as it draws them."""

Size = tuple[float, float, float]
Place = tuple[str, float, float, float]


class Letter(NamedTuple):
    """A letter of a font: its name and shape, and in pieces of a pixel how far it reaches."""

    name: str
    shape: Any
    bottom: float
    top: float
    advance: float


class Letters(TextToPath):
    """Texts as shapes of letters, as matplotlib makes them."""

    def __init__(self) -> None:
        super().__init__()
        self._letter = lru_cache(TEXTS)(self._load)
        self._laid_out = lru_cache(TEXTS)(self._lay_out)
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
        if ismath or not KNOWN:
            return super().get_text_width_height_descent(s, prop, ismath)
        (width, height, descent), *_ = self._laid_out(self._get_font(prop), s, None, None)
        scale = prop.get_size_in_points() / self.FONT_SCALE
        return width * scale, height * scale, descent * scale

    def get_glyphs_with_font(
        self,
        font: FT2Font,
        s: str,
        glyph_map: Mapping[str, Any] | None = None,
        return_new_glyphs_only: bool = False,
        *,
        features: tuple[str, ...] | None = None,
        language: Any = None,
    ) -> tuple[list[Place], dict[str, Any], list]:
        """Names and places of the letters of a text, and the shapes that are not yet known."""
        _, places, shapes = self._laid_out(font, s, features, language)
        known = glyph_map or {}
        shapes = {name: shape for name, shape in shapes.items() if name not in known}
        return places, shapes if return_new_glyphs_only else {**known, **shapes}, []

    def _lay_out(
        self, font: FT2Font, text: str, features: tuple[str, ...] | None, language: Any
    ) -> tuple[Size, list[Place], dict[str, Any]]:
        """Size of a text, places of its letters, and their shapes."""
        font.set_size(self.FONT_SCALE, self.DPI)
        items = font._layout(text, UNHINTED, features=features, language=language)
        letters = [self._letter(item.ft_object, item.glyph_index) for item in items]
        places = [(one.name, item.x, item.y, 1.0) for one, item in zip(letters, items, strict=True)]
        shapes = {letter.name: letter.shape for letter in letters}
        plain = all(item.ft_object is font and item.glyph_index and not item.y for item in items)
        if not (items and plain) or any(category(char)[0] in COMBINED for char in text):
            return _measure(font, text), places, shapes
        bottom = min(letter.bottom for letter in letters)
        top = max(letter.top for letter in letters)
        width = items[-1].x + letters[-1].advance / SUBPIXELS
        return (width, (top - bottom) / SUBPIXELS, -bottom / SUBPIXELS), places, shapes

    def _load(self, font: FT2Font, index: Any) -> Letter:
        glyph = font.load_glyph(index, flags=UNHINTED)
        name = self._get_glyph_repr(font, index)  # type: ignore[attr-defined]
        return Letter(name, font.get_path(), glyph.bbox[1], glyph.bbox[3], glyph.horiAdvance)


def _measure(font: FT2Font, text: str) -> Size:
    """What matplotlib measures; it warns of letters that no font has."""
    font.set_text(text, 0.0, flags=UNHINTED)
    width, height = font.get_width_height()
    return width / SUBPIXELS, height / SUBPIXELS, font.get_descent() / SUBPIXELS


@lru_cache(FONTS)
def _heights(font: FT2Font) -> Size | None:
    """Ascent, descent and gap between lines, of the size of the font; None if it does not tell."""
    table, head = font.get_sfnt_table("OS/2"), font.get_sfnt_table("head")
    if table is None or head is None:
        return None
    em = head["unitsPerEm"]
    return table["sTypoAscender"] / em, -table["sTypoDescender"] / em, table["sTypoLineGap"] / em


def _number(value: float) -> str:
    return f"{value:f}".rstrip("0").rstrip(".")


def _moved(x: float, y: float) -> str:
    return f"translate({_number(x)} {_number(y)})" if x or y else ""


def _use(name: str, x: float, y: float) -> str:
    moved = _moved(x, y)
    place = f' transform="{moved}"' if moved else ""
    return f'<use xlink:href="#{name}"{place}/>'


LETTERS = Letters()


class Renderer(RendererSVG):
    """Writes SVG with letters that are laid out once."""

    def __init__(self, width: float, height: float, file: IO[str], **options: Any) -> None:
        super().__init__(width, height, file, **options)
        self._file = file
        self._text2path = self._letters = LETTERS.for_one_drawing()

    def _draw_text_as_path(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: bool | Literal["TeX"],
        mtext: Text | None = None,
    ) -> None:
        """Write what matplotlib does: a group, and in it a line a letter, all of them at once."""
        if ismath or not s:
            super()._draw_text_as_path(gc, x, y, s, prop, angle, ismath, mtext)
            return
        features = mtext.get_fontfeatures() if mtext else None
        language = mtext.get_language() if mtext else None
        places, shapes, _ = self._letters.get_glyphs_with_font(
            *(self._letters._get_font(prop), s, self._glyph_map, True),
            features=features,
            language=language,
        )
        colour, size = rgb2hex(gc.get_rgb()), prop.get_size_in_points() / Letters.FONT_SCALE
        alpha = gc.get_alpha() if gc.get_forced_alpha() else gc.get_rgb()[3]
        styles = (
            f"fill: {colour}" if colour != BLACK else "",
            f"opacity: {_number(alpha)}" if alpha != 1 else "",
        )
        steps = (
            _moved(x, y),
            f"rotate({_number(-angle)})" if angle else "",
            f"scale({_number(size)} {_number(-size)})",
        )
        self.writer.comment(s)
        style, transform = "; ".join(filter(None, styles)), " ".join(filter(None, steps))
        group = self.writer.start("g", style=style, transform=transform)
        self._update_glyph_map_defs(shapes)
        for name, x, y, _ in places[:1]:  # by the writer, which so ends the tag of the group
            self.writer.element("use", attrib={"xlink:href": f"#{name}"}, transform=_moved(x, y))
        space = " " * (group + 1)
        self._file.writelines(f"{space}{_use(name, x, y)}\n" for name, x, y, _ in places[1:])
        self.writer.end("g")

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
        figure, text = self.figure, io.StringIO()
        dpi, (width, height) = figure.dpi, figure.get_size_inches()
        figure.dpi = self.fixed_dpi
        size = width * self.fixed_dpi, height * self.fixed_dpi
        renderer = Renderer(*size, text, image_dpi=dpi, metadata=metadata)
        mixed = MixedModeRenderer(figure, width, height, dpi, renderer)
        figure.draw(cast("RendererBase", mixed))
        mixed.finalize()
        filename.write(text.getvalue().encode())


@contextmanager
def on_canvas(figure: Figure) -> Iterator[None]:
    """Lay a figure out, or write it, with these letters inside a `with` block."""
    canvas, dpi = figure.canvas, figure.dpi
    (Canvas if KNOWN else FigureCanvasSVG)(figure)
    try:
        yield
    finally:
        figure.dpi = dpi
        figure.set_canvas(canvas)
