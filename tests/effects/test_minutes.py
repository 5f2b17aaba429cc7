"""Session minutes imputed from trials of the same type, several times."""

from __future__ import annotations

import numpy as np
import pytest

from backpain_analysis.effects.derive import IMPUTED, imputed_minutes
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.people.imputation import pool_imputations
from tests.effects.conftest import arm, result, trial

PAIN = "pain_intensity"


@pytest.fixture
def evidence(build):
    """Three yoga trials of 60, 75 and 90 minutes; one without, of two arms; one of Pilates."""
    arms, rows = [], []
    programmes = [("yoga", 60), ("yoga", 75), ("yoga", 90), ("yoga", None), ("pilates", None)]
    for number, (kind, minutes) in enumerate(programmes):
        name = f"t{number}"
        own = {"sessions_per_week": 2, "duration_weeks": 8, "minutes_per_session": minutes}
        arms.append(arm("a1", kind, trial_id=name, n_randomised=25, **own))
        arms.append(arm("a0", comparator_type="waitlist", trial_id=name, n_randomised=25))
        rows += [result(a, m, 2.0, 25, trial_id=name) for a, m in (("a1", 3.0), ("a0", 4.0))]
        if number == 3:
            more = {**own, "sessions_per_week": 4}
            arms.append(arm("a2", kind, trial_id=name, n_randomised=25, **more))
            rows.append(result("a2", 2.5, 2.0, 25, trial_id=name))
    return build(arms, rows, trials=[trial(f"t{number}") for number in range(5)])


def drawn(evidence, **options):
    effects = evidence.effects(PAIN)
    assert effects.table["minutes_per_session"].isna().sum() == 3
    return imputed_minutes(effects, evidence, **options)


def test_minutes_come_from_trials_of_the_type(evidence):
    sets = drawn(evidence, draws=40)
    tables = [own.table.set_index(["trial_id", "arm_id"]) for own in sets]
    yoga = [table.loc[("t3", "a1"), "minutes_per_session"] for table in tables]
    assert set(yoga) == {60, 75, 90}
    other = [table.loc[("t4", "a1"), "minutes_per_session"] for table in tables]
    assert set(other) <= {60, 75, 90}
    for table in tables:
        assert (
            table.loc[("t3", "a2"), "minutes_per_session"]
            == table.loc[("t3", "a1"), "minutes_per_session"]
        )
        assert (
            table.loc[("t3", "a2"), "minutes_per_week"]
            == 4 * table.loc[("t3", "a2"), "minutes_per_session"]
        )
        assert table.loc[("t1", "a1"), "minutes_per_session"] == 75
        assert (table["ref_minutes_per_week"] == 0).all()


def test_what_was_imputed_is_marked(evidence):
    table = drawn(evidence, draws=2)[0].table
    assert (table["obtained"] == IMPUTED).tolist() == [False, False, False, True, True, True]


def test_a_seed_gives_its_draws(evidence):
    first, again, other = (
        [own.table["minutes_per_week"].tolist() for own in drawn(evidence, draws=5, seed=seed)]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_draws_vary_and_are_pooled(evidence):
    means = [own.table["minutes_per_week"].mean() for own in drawn(evidence, draws=10)]
    pooled = pool_imputations([[mean] for mean in means], [[[1.0]]] * 10)
    assert np.var(means) > 0
    assert pooled.cov[0, 0] == pytest.approx(1 + 1.1 * np.var(means, ddof=1))


def test_what_cannot_be_drawn(evidence, build):
    with pytest.raises(ValueError, match="draws 1: Rubin's rules need two"):
        drawn(evidence, draws=1)
    arms = [arm("a1", "yoga", n_randomised=25), arm("a0", comparator_type="waitlist")]
    rows = [result("a1", 3.0, 2.0, 25), result("a0", 4.0, 2.0, 25)]
    unknown = build(arms, rows)
    with pytest.raises(CannotEstimate, match="no trial prints the minutes"):
        imputed_minutes(unknown.effects(PAIN), unknown)
