"""Letters that are laid out once are those of matplotlib."""

import io
from itertools import product

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

import backpain_analysis as bp
from backpain_analysis.figures import letters
from backpain_analysis.figures.forest_marks import text_width
from backpain_analysis.figures.letters import Letters, on_canvas

TEXTS = (
    "−4.2 [−7.0, −1.4]",
    "Tai chi / qigong",
    "office fluff ◂",
    "",
    " ",
    "τ² = 3",
    "x\u0304 = 2, x\u0304",
    "E\u0301\u0308\u0323 e",
    "T\u0301",
    "95\u00a0%\u00a0",
    "soft\u00ad",
    "\u00adand\u200djoined\u200d",
    "\u0634\u0643\u0631\u0627 A",
    "A \u05e9\u05b8",
)
FONTS = [
    FontProperties(size=size, weight=weight) for size, weight in product((7.5, 9), ("normal", 700))
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("font", FONTS)
def test_they_are_those_of_matplotlib(text: str, font: FontProperties) -> None:
    """Sizes, places and shapes are the same, the first time and when they are known."""
    ours, theirs = Letters(), TextToPath()
    for _ in range(2):
        size = ours.get_text_width_height_descent(text, font, ismath=False)
        assert size == theirs.get_text_width_height_descent(text, font, ismath=False)
        letters, shapes, _ = ours.get_glyphs_with_font(ours._get_font(font), text)
        expected, known, _ = theirs.get_glyphs_with_font(theirs._get_font(font), text)
        assert letters == expected
        assert list(shapes) == list(known)
        for name in shapes:
            assert (shapes[name][0] == known[name][0]).all()
            assert (shapes[name][1] == known[name][1]).all()


def test_letters_that_a_font_has_not_are_told() -> None:
    """As matplotlib does, and they are as wide as there."""
    font = FontProperties(size=8)
    with pytest.warns(UserWarning, match="missing from font"):
        size = Letters().get_text_width_height_descent("1 \u65e5 2", font, ismath=False)
    with pytest.warns(UserWarning, match="missing from font"):
        theirs = TextToPath().get_text_width_height_descent("1 \u65e5 2", font, ismath=False)
    assert size == theirs


def test_what_is_kept_belongs_to_the_font_that_was_found() -> None:
    """A family of the settings may be another font the next time."""
    letters, font = Letters(), FontProperties(family=["serif"], size=8)
    for name in ("DejaVu Serif", "DejaVu Sans"):
        with plt.rc_context({"font.serif": [name]}):
            size = letters.get_text_width_height_descent("Yoga", font, ismath=False)
            assert size == TextToPath().get_text_width_height_descent("Yoga", font, ismath=False)


@pytest.mark.parametrize("make", [Figure, plt.figure])
@pytest.mark.parametrize("heights_known", [True, False])
def test_a_figure_is_written_as_matplotlib_writes_it(make, heights_known, monkeypatch) -> None:
    """The same bytes, with formulae, turned, clipped and missing texts; its canvas stays."""
    if not heights_known:
        monkeypatch.setattr("backpain_analysis.figures.letters._heights", lambda font: None)
    figure = make(figsize=(4, 3))
    ax = figure.subplots()
    ax.scatter([1, 2], [3, 4])
    ax.set_title("Two $x^2$ lines\nof text")
    ax.set_ylabel("turned", rotation=60)
    ax.text(1.5, 3.5, "clipped", clip_on=True, rotation=20, color="red", alpha=0.5)
    ax.text(1.2, 3.2, "")
    ax.plot([1, 2], [3, 3.5], rasterized=True)
    ax.text(1.1, 3.6, "dots", rasterized=True, rotation=30, zorder=8)
    ax.text(1.4, 3.3, "Zwölf, with letters of its own: QXJ%", zorder=9)
    canvas, dpi = figure.canvas, figure.dpi
    metadata = {"Date": None}
    with plt.rc_context({"svg.hashsalt": "one"}):
        figure.savefig(theirs := io.BytesIO(), format="svg", metadata=metadata)
        for _ in range(2):
            with on_canvas(figure):
                figure.savefig(ours := io.BytesIO(), format="svg", metadata=metadata)
            assert ours.getvalue() == theirs.getvalue()
    assert (figure.canvas, figure.dpi) == (canvas, dpi)
    plt.close("all")


def test_letters_stand_as_matplotlib_writes_them() -> None:
    """The same bytes for all kinds of texts: black, pale, turned, in a group, with features."""
    figure = Figure(figsize=(4, 3))
    colours = ("black", "#00000080", "white", (0.2, 0.4, 0.6, 0.3))
    for place, (text, colour) in enumerate(product(TEXTS, colours)):
        figure.text(0, place / 60, text, color=colour, rotation=place % 3 * 45, gid=f"g{place}")
    figure.text(0, 0, "fine fluff", fontfeatures=("-liga",), language="en", url="#there")
    with plt.rc_context({"svg.hashsalt": "one"}):
        figure.savefig(theirs := io.BytesIO(), format="svg", metadata={"Date": None})
        with on_canvas(figure):
            figure.savefig(ours := io.BytesIO(), format="svg", metadata={"Date": None})
    assert ours.getvalue() == theirs.getvalue()


def test_each_drawing_finds_its_fonts_anew() -> None:
    """Settings may have changed since the one before."""
    figure = Figure(figsize=(4, 3))
    figure.text(0.2, 0.5, "Tai chi\nor yoga", family="serif")
    for name in ("DejaVu Serif", "DejaVu Sans"):
        with plt.rc_context({"font.serif": [name], "svg.hashsalt": "one"}):
            figure.savefig(theirs := io.BytesIO(), format="svg", metadata={"Date": None})
            with on_canvas(figure):
                figure.savefig(ours := io.BytesIO(), format="svg", metadata={"Date": None})
            assert ours.getvalue() == theirs.getvalue()


def test_show_leaves_a_figure_its_canvas() -> None:
    """Its owner draws it on as before."""
    figure, ax = plt.subplots(layout="constrained")
    canvas, dpi = figure.canvas, figure.dpi
    ax.set_xlabel("Weeks")
    bp.figures.show(ax, alt="Axes.").svg()
    assert (figure.canvas, figure.dpi) == (canvas, dpi)
    plt.close(figure)


def test_another_matplotlib_draws_as_it_does(monkeypatch) -> None:
    """Figures and the widths of their columns are the same, and none of the inside is touched."""
    effects = bp.load_evidence().filter(population=bp.BACK_PAIN).effects("disability")

    def drawn() -> str:
        text_width.cache_clear()
        return bp.figures.show(bp.figures.forest(effects), alt="Trials.").svg()

    assert letters.KNOWN, "the pinned matplotlib is known"
    known = drawn()
    monkeypatch.setattr(letters, "KNOWN", False)
    monkeypatch.setattr(letters.LETTERS, "_laid_out", None)
    monkeypatch.setattr(letters, "Canvas", None)
    assert drawn() == known
