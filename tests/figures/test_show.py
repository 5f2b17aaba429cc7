from __future__ import annotations

import csv
import io
import re

import matplotlib as mpl
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure

from backpain_analysis import figures
from backpain_analysis.models.network.network import network
from backpain_analysis.models.pairwise.pooling import pool
from backpain_analysis.words import plain_number as number
from backpain_analysis.words import shortened
from tests.figures.drawn import make_effects


def shown(shift=0.0, **options):
    effects = make_effects([{"yi": -5.0 + shift, "vi": 2.0}, {"yi": -3.0, "vi": 2.0}])
    return figures.show(figures.forest(effects, pool(effects)), **{"alt": "Two trials.", **options})


def test_what_a_figure_says_is_kept_as_its_description():
    figure = Figure()
    figure.subplots().set(xlabel="Minutes & <weeks>", title="Saper 2013", xticks=[10, 20])
    svg = figures.show(figure, alt="a").svg()
    said = re.search("<desc>(.*?)</desc>", svg)[1]
    assert said == "Minutes &amp; &lt;weeks&gt;; Saper 2013"


def test_html_is_one_accessible_figure():
    html = shown(alt='Less pain & "more" function <b>', caption="Trials < 3")._repr_html_()
    page = BeautifulSoup(html, "html.parser")
    assert page.figure["class"] == ["bp-figure"]
    assert page.select_one("figure > .bp-scroll")["role"] == "img"
    assert page.select_one(".bp-scroll")["aria-label"] == 'Less pain & "more" function <b>'
    assert page.figcaption.get_text() == "Trials < 3"
    assert page.b is None
    assert page.select_one(".bp-scroll > svg")["viewbox"]
    assert "figcaption" not in shown()._repr_html_()


def test_svg_holds_no_prolog_date_comment_or_outside_address():
    svg = shown().svg()
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    for absent in ("<?xml", "<!DOCTYPE", "<!--", "metadata", "dc:date", "<text"):
        assert absent not in svg
    addresses = set(re.findall(r"https?://[^\"' )]+", svg))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_same_figure_gives_the_same_bytes_and_others_share_no_id():
    once, again, other = shown(), shown(), shown(shift=1.0)
    assert once._repr_html_() == again._repr_html_() == once._repr_html_()
    ids = [re.findall(r' id="([^"]+)"', one.svg()) for one in (once, other)]
    assert all(len(set(names)) == len(names) > 10 for names in ids)
    assert not set(ids[0]) & set(ids[1])


def test_every_reference_inside_the_svg_has_its_target():
    svg = shown().svg()
    ids = set(re.findall(r' id="([^"]+)"', svg))
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))
    assert used and used <= ids


def test_its_style_reaches_no_other_element_of_the_page():
    svg = shown().svg()
    name = re.match(r'<svg id="([^"]+)"', svg)[1]
    (style,) = re.findall(r"<style[^>]*>(.*?)</style>", svg)
    assert all(rule.strip().startswith(f"#{name} ") for rule in style.split("}") if rule.strip())


def test_labels_are_text_and_never_markup(tmp_path):
    effects = make_effects([{"yi": 1.0, "vi": 1.0, "label": "<script>alert('$x$')</script>"}])
    drawing = figures.show(figures.forest(effects), alt="<script>alert(1)</script>")
    assert "<script" not in drawing._repr_html_()
    drawing.save(tmp_path / "figure.pdf")


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_alternative_text_is_required(alt):
    with pytest.raises(ValueError, match="alt is empty"):
        shown(alt=alt)


def test_axes_without_a_figure_are_refused():
    axes = Figure().subplots()
    axes.remove()
    with pytest.raises(ValueError, match="these axes stand in no figure"):
        figures.show(axes, alt="Nothing.")


def test_save_is_reproducible_and_knows_its_formats(tmp_path):
    for kind, head in ((".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG")):
        one, two = (shown().save(tmp_path / f"{name}{kind}") for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        assert one.read_bytes().startswith(head)
    with pytest.raises(ValueError, match=r"figure\.docx: a figure is saved as"):
        shown().save(tmp_path / "figure.docx")


def test_nothing_global_is_touched():
    import matplotlib.pyplot as plt

    plt.get_backend()
    before = mpl.rcParams.copy()
    kept = [figures.forest(make_effects([{"yi": 0.0, "vi": 1.0}])) for _ in range(21)]
    shown().svg()
    assert mpl.rcParams == before
    assert plt.get_fignums() == []
    assert len({id(axes.figure) for axes in kept}) == 21


def test_every_exercise_type_has_its_own_label_and_colour():
    from backpain_analysis.evidence.schema import vocabulary

    types = set(vocabulary("arms", "exercise_type"))
    assert set(figures.EXERCISE_LABELS) == set(figures.EXERCISE_COLOURS) == types
    assert len(set(figures.EXERCISE_LABELS.values())) == len(types)
    assert len(set(figures.EXERCISE_COLOURS.values())) == len(types)


def test_text_helpers():
    assert figures.exercise_label("new_kind") == "New kind"
    assert figures.outcome_label("quality_of_life") == "Quality of life"
    assert number(-0.04) == "0.0"
    assert number(-4.25, 2) == "−4.25"
    assert shortened("short", 10) == "short"
    assert shortened("Saper 2017, physical therapy exercise", 30) == "Saper 2017, physical therapy…"
    assert len(shortened("x" * 99, 30)) == 30


def numbers_of(drawn):
    return figures.show(drawn, alt="a").numbers


def test_a_figure_brings_the_effects_it_was_drawn_from():
    effects = make_effects(
        [{"yi": -5.123456789, "vi": 2.0, "minutes_per_week": 60.0}, {"yi": -3.0, "vi": 2.5}]
    )
    shown = figures.show(figures.forest(effects, pool(effects)), alt="Two trials.")
    rows = list(csv.DictReader(io.StringIO(shown._repr_mimebundle_()["text/csv"])))
    assert [row["yi"] for row in rows] == ["-5.123456789", "-3.0"]
    assert [row["vi"] for row in rows] == ["2.0", "2.5"]
    assert [row["minutes_per_week"] for row in rows] == ["60.0", ""]
    assert {"trial", "trial_id", "arm_id", "n_arm", "n_ref"} <= set(rows[0])


def test_what_is_behind_other_figures():
    effects = make_effects([{"yi": yi, "vi": 2.0} for yi in (-5.0, -3.0, -4.0)])
    results = {"Yoga": pool(effects)}
    pooled = numbers_of(figures.summary_forest(results))
    assert pooled["name"].tolist() == ["Yoga"]
    assert pooled["estimate"].tolist() == [results["Yoga"].estimate]
    assert numbers_of(figures.funnel(effects)).equals(effects.to_frame())
    assert numbers_of(figures.influence(effects)).equals(effects.to_frame())
    assert numbers_of(Figure()) is None


def test_behind_a_network_stand_its_contrasts_with_people():
    rows = [("t1", "yoga", -5.0), ("t1", "none", 0.0), ("t2", "pilates", -7.0), ("t2", "none", 1.0)]
    arms = pd.DataFrame(rows, columns=["trial_id", "treatment", "mean"]).assign(sd=10.0, n=25)
    frame = network(arms, reference="none", method="CE").data.to_frame()
    first = frame.iloc[0]
    sign = 1 if first["treatment"] == "yoga" else -1
    assert {first["treatment"], first["versus"]} == {"yoga", "none"}
    assert (sign * first["yi"], first["vi"]) == (-5.0, 2 * 10.0**2 / 25)
    assert (first["n_treatment"], first["n_versus"]) == (25, 25)
