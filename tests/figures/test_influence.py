from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.evidence.evidence import BACK_PAIN, load_evidence
from backpain_analysis.models.pairwise.pooling import pool
from tests.figures.drawn import artists, outside

PANELS = "rstudent dffits cook_d cov_r tau2_del q_del hat weight".split()


@pytest.fixture(scope="module")
def axes_of(reference):
    """Axes of the panel of metafor's reference trials, by diagnostic."""
    md = reference["effect_sizes"]["MD"]
    labels = [f"Author {number}" for number in range(28)]
    figure = figures.influence(pool(md["yi"], md["vi"], test="z", labels=labels))
    assert isinstance(figure, Figure)
    return dict(zip(PANELS, figure.axes, strict=True))


def drawn(axes):
    """Values by row, of studies and of influential ones together."""
    parts = [artists(axes, gid)[0].get_offsets() for gid in ("study", "influential")]
    values = np.vstack(parts)
    assert sorted(values[:, 1]) == list(range(len(values)))
    return values[np.argsort(values[:, 1]), 0]


def lines(axes, gid):
    return [line.get_xdata()[0] for line in artists(axes, gid)]


def test_values_as_metafor(axes_of, reference):
    expected = reference["influence"]
    keys = {"rstudent": "rstudent", "dffits": "dffits", "cook_d": "cook", "cov_r": "cov_r"}
    for panel, key in {**keys, "hat": "hat"}.items():
        assert_allclose(drawn(axes_of[panel]), expected[key], rtol=1e-6)
    assert_allclose(drawn(axes_of["tau2_del"]), reference["leave_one_out"]["tau2"], rtol=1e-6)
    assert_allclose(drawn(axes_of["weight"]), 100 * np.array(expected["hat"]), rtol=1e-6)


def test_q_without_each_study_is_that_of_the_others(axes_of, reference):
    yi, vi = (np.array(reference["effect_sizes"]["MD"][name]) for name in ("yi", "vi"))
    expected = []
    for row in range(28):
        y, w = np.delete(yi, row), 1 / np.delete(vi, row)
        expected.append((w * (y - (w * y).sum() / w.sum()) ** 2).sum())
    assert_allclose(drawn(axes_of["q_del"]), expected, rtol=1e-9)


def test_centres_are_the_whole_or_a_study_like_the_others(axes_of, reference):
    whole = reference["pool"]["REML z"]
    expected = [0, 0, 0, 1, whole["tau2"], whole["QE"], 1 / 28, 100 / 28]
    centres = [lines(axes_of[panel], "centre")[0] for panel in PANELS]
    assert_allclose(centres, expected, rtol=1e-6)


def test_limits_of_the_unusual(axes_of):
    """28 studies: 3 sqrt(1/27); the median of chi-square on 1 df is 0.454936."""
    assert_allclose(lines(axes_of["rstudent"], "limit"), [-1.959964, 1.959964], rtol=1e-6)
    assert_allclose(lines(axes_of["dffits"], "limit"), [-0.577350, 0.577350], rtol=1e-5)
    assert_allclose(lines(axes_of["cook_d"], "limit"), [0.454936], rtol=1e-5)
    assert lines(axes_of["hat"], "limit") == [], "3/28 is more than twice the largest hat value"


def test_influential_studies_are_marked_in_every_panel_and_named(axes_of, reference):
    """Only study 1 has |DFFITS| above 3 sqrt(1/27); none has another reason."""
    measures = reference["influence"]
    beyond = np.abs(measures["dffits"]) > 3 / np.sqrt(27)
    assert np.flatnonzero(beyond).tolist() == [1]
    assert max(measures["cook"]) < 0.4549
    assert max(measures["hat"]) < 3 / 28
    for axes in axes_of.values():
        assert artists(axes, "influential")[0].get_offsets()[:, 1].tolist() == [1]
        assert len(artists(axes, "row")) == 1
    names = axes_of["rstudent"].get_yticklabels()
    assert [name.get_text() for name in names if name.get_fontweight() == "bold"] == ["Author 1"]


def test_a_heavy_study_shows_the_limit_of_hat_values():
    figure = figures.influence(pool([0.0, 1.0, 2.0, 1.0], [0.01, 4.0, 4.0, 4.0], method="CE"))
    assert_allclose(lines(figure.axes[6], "limit"), [3 / 4])


def test_height_grows_with_the_studies():
    heights = [
        figures.influence(pool(np.arange(k), np.ones(k))).get_figheight() for k in (5, 10, 15)
    ]
    assert_allclose(heights[2] - heights[1], heights[1] - heights[0])
    assert heights[1] > heights[0]


def crowded(figure):
    """Pairs of overlapping texts anywhere in the figure."""
    figure.draw_without_rendering()
    found = []
    for axes in figure.axes:
        left, right = axes.get_xlim()
        found += [
            tick for tick in axes.get_xticklabels() if left <= tick.get_position()[0] <= right
        ]
        found.append(axes.title)
    found += figure.axes[0].get_yticklabels()
    boxes = [(text.get_text(), text.get_window_extent()) for text in found if text.get_text()]
    return [
        (one, other)
        for position, (one, box) in enumerate(boxes)
        for other, its_box in boxes[position + 1 :]
        if box.shrunk(0.98, 0.9).overlaps(its_box.shrunk(0.98, 0.9))
    ]


@pytest.mark.parametrize("k", [3, 60])
def test_texts_of_any_number_of_studies_do_not_overlap(k):
    rng = np.random.default_rng(2)
    labels = [f"A first author of a long name {number}" for number in range(k)]
    figure = figures.influence(pool(rng.normal(-9, 30, k), rng.uniform(9, 900, k), labels=labels))
    assert crowded(figure) == []
    assert outside(figure.axes[0]) == []


def test_texts_of_the_bundled_trials_do_not_overlap():
    effects = load_evidence().filter(population=BACK_PAIN).effects("pain_intensity")
    effects = effects.against_inactive()
    with pytest.raises(ValueError, match="contrasts of one trial are correlated"):
        figures.influence(effects)
    one_arm = effects.select(~effects.table.duplicated("trial_id"), "second arm")
    figure = figures.influence(one_arm)
    assert crowded(figure) == []
    assert all(outside(axes) == [] for axes in figure.axes)


def test_two_studies_are_refused():
    with pytest.raises(ValueError, match="needs at least 3"):
        figures.influence(pool([0.0, 1.0], [1.0, 1.0]))
