from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis import figures
from backpain_analysis.evidence.evidence import BACK_PAIN, load_evidence
from backpain_analysis.figures.diagnostic_plots import n_subsets, pool_masks, subset_masks
from backpain_analysis.models.pairwise.diagnostics import as_studies
from backpain_analysis.models.pairwise.pooling import pool
from tests.figures.drawn import artists, make_effects, outside, overlaps


@pytest.fixture
def three():
    """Effects 0, 0, 6 with variances 1."""
    return pool([0.0, 0.0, 6.0], np.ones(3), method="CE", test="z", labels=list("abc"))


def drawn(axes):
    (cells,) = artists(axes, "cells")
    return cells


def test_all_subsets_of_three_by_hand(three):
    """{a, b}: 0 without heterogeneity. {a, c}, {b, c}: 3, Q = 18 on 1. All: 2, Q = 24 on 2."""
    masks = subset_masks(3, 100, seed=1)
    found = pool_masks(as_studies(three, None, None), masks)
    rows = sorted(zip(found["estimate"], found["i2"], strict=True))
    i2 = 100 * 17 / 18, 100 * 11 / 12
    assert_allclose(rows, [(0, 0), (2, i2[1]), (3, i2[0]), (3, i2[0])], atol=1e-9)


def test_cells_hold_every_subset_where_it_lies(three):
    axes = figures.gosh(three)
    cells = drawn(axes)
    places, counts = np.asarray(cells.get_offsets()), np.asarray(cells.get_array())
    order = np.argsort(places[:, 0])
    assert_allclose(counts[order], [1, 1, 2])
    width = np.ptp(axes.get_xlim()) / 45
    assert_allclose(places[order, 0], [0, 2, 3], atol=width)
    assert_allclose(places[order, 1], [0, 100 * 11 / 12, 100 * 17 / 18], atol=100 / 17)


def test_the_diamond_is_the_effect_of_all_studies(three):
    (mark,) = artists(figures.gosh(three), "all")
    assert_allclose((mark.get_xdata()[0], mark.get_ydata()[0]), (2, 100 * 11 / 12))


def test_colours_show_the_share_that_contains_a_study(three):
    cells = drawn(figures.gosh(three, contains="a"))
    share = dict(zip(np.round(cells.get_offsets()[:, 0]), cells.get_array(), strict=True))
    assert share == {0: 100, 2: 100, 3: 50}


def test_histograms_count_the_subsets_and_are_split_by_a_study(three):
    for options, sizes in (({}, [4]), ({"contains": "c"}, [1, 3])):
        for inset in figures.gosh(three, **options).child_axes[:2]:
            bars = [container.datavalues.sum() for container in inset.containers]
            assert bars == sizes


def test_subsets_without_one_study_as_metafor(reference):
    md, without = reference["effect_sizes"]["MD"], reference["leave_one_out"]
    studies = as_studies(pool(md["yi"], md["vi"], test="z"), None, None)
    found = pool_masks(studies, ~np.eye(28, dtype=bool))
    assert_allclose(found["estimate"], without["estimate"], rtol=1e-6)
    assert_allclose(found["i2"], without["I2"], rtol=1e-6)


@pytest.mark.parametrize(("k", "expected"), [(2, 1), (3, 4), (5, 26), (10, 1013)])
def test_all_subsets_are_different_and_have_two_studies(k, expected):
    masks = subset_masks(k, expected, seed=1)
    assert len(masks) == len(np.unique(masks, axis=0)) == expected == n_subsets(k)
    assert masks.sum(axis=1).min() == 2


def test_random_subsets_are_equally_likely():
    """Of 11 subsets of four studies 10,000 draws: a cheaper size than all is sampled."""
    masks = subset_masks(4, 10, seed=3)
    assert masks.shape == (10, 4)
    masks = np.vstack([subset_masks(4, 10, seed) for seed in range(1000)])
    counts = np.unique(masks, axis=0, return_counts=True)[1]
    assert len(counts) == 11
    # chi-square on 10 degrees of freedom: 29.6 is its 99.9% quantile
    assert ((counts - 10_000 / 11) ** 2 / (10_000 / 11)).sum() < 29.6


def test_a_seed_gives_the_same_subsets():
    one, same, other = (subset_masks(30, 500, seed) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_batches_leave_every_subset_what_pool_gives():
    rng = np.random.default_rng(5)
    yi, vi = rng.normal(0, 2, 12), rng.uniform(0.5, 2, 12)
    masks = subset_masks(12, 2500, seed=1)
    found = pool_masks(as_studies(pool(yi, vi), None, None), masks)
    assert len(found) == 2500
    for row in (0, 999, 1000, 2499):
        alone = pool(yi[masks[row]], vi[masks[row]])
        assert_allclose(found.loc[row, ["estimate", "i2"]], [alone.estimate, alone.i2], rtol=1e-6)


def test_it_says_how_many_subsets(three):
    assert figures.gosh(three).get_title("left") == "All 4 subsets of 3 studies"
    few = figures.gosh(three, subsets=3)
    assert few.get_title("left") == "Random sample: 3 subsets of 3 studies"


def test_texts_of_the_bundled_trials_do_not_overlap():
    effects = load_evidence().filter(population=BACK_PAIN).effects("pain_intensity")
    effects = effects.against_inactive()
    with pytest.raises(ValueError, match="contrasts of one trial are correlated"):
        figures.gosh(effects)
    one_arm = effects.select(~effects.table.duplicated("trial_id"), "second arm")
    axes = figures.gosh(one_arm, contains=one_arm.table["label"].iloc[0])
    assert overlaps(axes) == []
    assert outside(axes) == []
    assert axes.get_xlabel().startswith("Pooled difference in pain")


def test_own_axes_are_drawn_on(three):
    own = figures.gosh(three)
    own.clear()
    assert figures.gosh(three, ax=own) is own


def test_what_cannot_be_drawn_is_refused(three):
    with pytest.raises(ValueError, match="no study 'd'; they are a, b, c"):
        figures.gosh(three, contains="d")
    with pytest.raises(ValueError, match="0 subsets: give at least one"):
        figures.gosh(three, subsets=0)
    with pytest.raises(ValueError, match="needs at least 3"):
        figures.gosh(make_effects([{"yi": 0.0, "vi": 1.0}, {"yi": 1.0, "vi": 1.0}]))
