from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.evidence.evidence import BACK_PAIN, load_evidence
from backpain_analysis.models.pairwise.pooling import pool
from tests.figures.drawn import artists, make_effects, outside, overlaps, texts


def points(axes):
    (found,) = artists(axes, "study")
    return np.asarray(found.get_offsets())


def test_places_of_three_effects_by_hand():
    """Effects 0, 0, 6, variances 1: mean 2, Q = 4 + 4 + 16. Without the third the mean is 0,
    without another 3, both with variance 1/2: (2 - 0)^2 / 0.5 = 8 and (2 - 3)^2 / 0.5 = 2.
    """
    pooled = pool([0.0, 0.0, 6.0], [1.0, 1.0, 1.0], method="CE", test="z", labels=list("abc"))
    axes = figures.baujat(pooled, labels=1)
    assert_allclose(points(axes), [(4, 2), (4, 2), (16, 8)])
    assert_allclose(points(axes)[:, 0].sum(), pooled.q)
    assert texts(axes) == ["c"]
    assert "Cochran's Q" in axes.get_xlabel()


def test_places_of_random_effects_as_metafor(reference):
    """From metafor's estimates with and without each study: its formula of the Baujat plot."""
    md, whole = reference["effect_sizes"]["MD"], reference["pool"]["REML z"]
    yi, vi = np.array(md["yi"]), np.array(md["vi"])
    without = {name: np.array(values) for name, values in reference["leave_one_out"].items()}
    axes = figures.baujat(pool(yi, vi, test="z"))
    x = (yi - whole["b"]) ** 2 / (vi + whole["tau2"])
    y = (without["estimate"] - whole["b"]) ** 2 / without["se"] ** 2
    assert_allclose(points(axes), np.column_stack([x, y]), rtol=1e-5, atol=1e-9)
    assert "Pearson" in axes.get_xlabel()


def test_the_farthest_are_named():
    yi = [0.0, 0.1, -0.1, 0.2, 5.0, -9.0]
    labels = [f"Author {number}" for number in range(6)]
    axes = figures.baujat(pool(yi, np.ones(6), method="CE", labels=labels), labels=2)
    assert set(texts(axes)) == {"Author 4", "Author 5"}


def test_names_of_crowded_studies_neither_overlap_nor_cover_points():
    rng = np.random.default_rng(7)
    yi = np.concatenate([[6.0, 6.01, 6.02, 6.03, 6.04, 6.05], rng.normal(0, 0.2, 20)])
    labels = [f"Author of a long name {number}" for number in range(26)]
    axes = figures.baujat(pool(yi, np.full(26, 0.2), labels=labels), labels=6)
    assert len(texts(axes)) == 6
    assert outside(axes) == []
    places = axes.transData.transform(points(axes))
    boxes = [Text.get_window_extent(name) for name in axes.texts]  # without the leader lines
    for name, box in zip(axes.texts, boxes, strict=True):
        assert not any(box.contains(*place) for place in places), name.get_text()
        assert box.count_overlaps(boxes) == 1, name.get_text()


def test_equal_effects_have_no_influence():
    axes = figures.baujat(pool([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], method="CE", test="z"))
    assert_allclose(points(axes), 0, atol=1e-12)
    assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()


def test_texts_of_the_bundled_trials_do_not_overlap():
    effects = load_evidence().filter(population=BACK_PAIN).effects("pain_intensity")
    effects = effects.against_inactive()
    with pytest.raises(ValueError, match="contrasts of one trial are correlated"):
        figures.baujat(effects)
    axes = figures.baujat(effects.select(~effects.table.duplicated("trial_id"), "second arm"))
    assert overlaps(axes) == []
    assert outside(axes) == []


def test_own_axes_are_drawn_on():
    effects = make_effects([{"yi": -1.0, "vi": 1.0}, {"yi": 3.0, "vi": 1.0}])
    own = figures.baujat(effects)
    own.clear()
    assert figures.baujat(effects, ax=own) is own


def test_one_study_is_refused():
    with pytest.raises(ValueError, match="needs at least 2"):
        figures.baujat(pool([1.0], [1.0]))
