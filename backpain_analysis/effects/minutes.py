"""Session minutes that trials do not print, imputed several times, for sensitivity analyses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from backpain_analysis.effects.derive import marked
from backpain_analysis.effects.table import HOME_INCLUDED, Effects
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.evidence.dose import DOSE_MEASURES, with_doses
from backpain_analysis.evidence.evidence import Evidence

FEWEST_DONORS = 3
"""Trials of one type below which minutes are drawn from trials of all types."""

IMPUTED = "session minutes imputed"


def imputed_minutes(
    effects: Effects,
    evidence: Evidence,
    *,
    draws: int = 20,
    seed: int = 1,
    met: Mapping[str, float] | None = None,
) -> list[Effects]:
    """Effects whose unknown session minutes are drawn from trials of the same type of exercise.

    For sensitivity analyses. Each draw resamples the trials of the type that print their minutes
    and gives every trial that does not the minutes of one of the resampled (approximate Bayesian
    bootstrap: Rubin & Schenker 1986, doi 10.1080/01621459.1986.10478280); arms of one type in a
    trial get the same. Fit each and pool the fits by Rubin's rules (`pool_imputations`).

    Parameters
    ----------
    effects : Effects
        As of `Evidence.effects`; its doses count home sessions if they did there.
    evidence : Evidence
        Where the effects come from.
    draws : int
        At least two.
    seed : int
        The same seed gives the same draws.
    met : mapping, optional
        As of `Evidence.effects`.

    Returns
    -------
    list of Effects
        One a draw; `obtained` marks contrasts with imputed minutes.

    Raises
    ------
    ValueError
        For fewer than two draws.
    CannotEstimate
        If no trial prints the minutes of a session.

    Examples
    --------
    >>> import backpain_analysis as bp
    >>> trials = bp.load_evidence()
    >>> pain = trials.effects("pain_intensity").against_inactive()
    >>> sets = imputed_minutes(pain, trials, draws=5)
    >>> fits = [bp.dose_response(drawn.with_dose("minutes_per_week")) for drawn in sets]
    >>> pooled = bp.pool_imputations([f.params for f in fits], [f.cov_params() for f in fits])
    >>> pooled.m
    5
    """
    if draws < 2:
        raise ValueError(f"draws {draws}: Rubin's rules need two at least.")
    arms = evidence.arms
    minutes = arms["minutes_per_session"].astype(float)
    exercises = arms["exercise_type"] != "none"
    keys = ["trial_id", "exercise_type"]
    donors = arms.assign(minutes=minutes)[exercises & minutes.notna()]
    donors = donors.groupby(keys, sort=True)["minutes"].mean().reset_index()
    if donors.empty:
        raise CannotEstimate("no trial prints the minutes of a session")
    wanted = arms.loc[exercises & minutes.isna(), keys].drop_duplicates()
    pools = {
        word: own if len(own) >= FEWEST_DONORS else donors["minutes"].to_numpy()
        for word in wanted["exercise_type"].unique()
        for own in [donors.loc[donors["exercise_type"] == word, "minutes"].to_numpy()]
    }
    missing = pd.MultiIndex.from_frame(arms[["trial_id", "arm_id"]])[exercises & minutes.isna()]
    touched = pd.Series(False, effects.table.index)
    for name in ("arm_id", "ref_arm_id"):
        touched |= pd.MultiIndex.from_frame(effects.table[["trial_id", name]]).isin(missing)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        resampled = {word: rng.choice(own, len(own)) for word, own in pools.items()}
        drawn = wanted.assign(
            drawn=[rng.choice(resampled[word]) for word in wanted["exercise_type"]]
        )
        given = arms[keys].merge(drawn, on=keys, how="left")["drawn"].set_axis(arms.index)
        filled = arms.assign(minutes_per_session=minutes.fillna(given))
        dosed = with_doses(filled, met=met, include_home=effects.dose_basis == HOME_INCLUDED)
        own = effects.with_arms(dosed, DOSE_MEASURES)
        own_minutes = own.table["minutes_per_session"].notna() | touched
        table = own.table.assign(obtained=marked(own.table, touched & own_minutes, IMPUTED))
        found.append(replace(own, table=table))
    return found
