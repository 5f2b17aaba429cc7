"""What may be derived from what trials report, step by step; each row says what was.

Each function takes and gives rows of results, with what was derived in `obtained`. Session
minutes that trials do not print are imputed several times, for sensitivity analyses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from backpain_analysis.effects.table import HOME_INCLUDED, Effects
from backpain_analysis.errors import CannotEstimate, require
from backpain_analysis.evidence.conversions import conv_wald
from backpain_analysis.evidence.dose import DOSE_MEASURES, with_doses
from backpain_analysis.evidence.evidence import Evidence, once_per_evidence
from backpain_analysis.words import did_you_mean

DERIVATIONS = {
    "p_value": "standard error from an exact P value",
    "limit": "standard error from one limit, or from an upper bound of P",
    "percentage": "events from a percentage",
    "equal_split": "arm sizes by an equal split of the total",
    "followup": "a follow-up, for want of a value at the end of the programme",
    "scale": "length of a VAS or NRS from the values",
    "pooled_sd": "standard deviation of the instrument in other trials",
}
"""What may be derived, by the names that `evidence.effects(derive=...)` takes."""

USUAL = ("p_value", "percentage")
"""What is derived unless asked otherwise: what restates what was printed, and assumes nothing."""

SENSITIVITY_ONLY = ("pooled_sd",)
"""What no main analysis should rest on (Cochrane Handbook 6.5.2.7)."""

LENGTHS = {"VAS": (10.0, 100.0), "NRS": (10.0, 100.0)}

NO_PAIN = 2.0
"""Of 100: people with back pain average more at baseline, so that a mean above it is of 10."""


def checked_derivations(derive: Iterable[str]) -> tuple[str, ...]:
    """The names in the order of `DERIVATIONS`.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    names = [derive] if isinstance(derive, str) else list(derive)
    for name in names:
        if name not in DERIVATIONS:
            raise ValueError(f"derive: no {name!r}. {did_you_mean(name, DERIVATIONS)}")
    return tuple(name for name in DERIVATIONS if name in names)


def marked(table: pd.DataFrame, rows: pd.Series, what: str | pd.Series) -> pd.Series:
    """`obtained` with a further remark on some rows."""
    before = table["obtained"]
    places = np.flatnonzero(rows)
    if not len(places):
        return before
    told = before.to_numpy(dtype=object, copy=True)
    remarks = [what] * len(places) if isinstance(what, str) else what.iloc[places]
    told[places] = [
        f"{old}; {new}" if old else new for old, new in zip(told[places], remarks, strict=True)
    ]
    return pd.Series(told, table.index, dtype=before.dtype)


def texts(values: pd.Series, template: str) -> pd.Series:
    """Numbers as text."""
    return pd.Series([template.format(v) for v in values], values.index, dtype="object")


OF_INSTRUMENT = "SD {:.1f} of the instrument in other trials"


def printed_p(text: pd.Series) -> tuple[pd.Series, pd.Series]:
    """P values as numbers: those printed exactly, and upper bounds ("<0.05").

    >>> printed_p(pd.Series(["0.031", "P = .2", "< 0.01", "n.s."]))[0].tolist()
    [0.031, 0.2, nan, nan]
    """
    cleaned = text.astype("string").fillna("").str.lower().str.replace(r"[p\s]", "", regex=True)
    exact = cleaned.str.extract(r"^=?(0?\.\d+|1\.0*)$")[0].astype(float)
    bound = cleaned.str.extract(r"^(?:<|<=|≤)(0?\.\d+)$")[0].astype(float)
    return exact.where(exact > 0), bound.where(bound > 0)


def with_errors(
    table: pd.DataFrame, df: pd.Series, derive: tuple[str, ...], log: pd.Series
) -> pd.DataFrame:
    """Reported differences with `se`: from the interval, else as far as `derive` allows.

    Parameters
    ----------
    table : DataFrame
        Rows of `contrasts`, with `obtained`.
    df : Series
        Degrees of freedom of the t quantile, missing for the normal one.
    derive : tuple of str
    log : Series of bool
        Rows that are ratios: `estimate` becomes their log.
    """
    table = table.copy()
    estimate, low, high = (table[c].astype(float) for c in ("estimate", "ci_low", "ci_high"))
    level = table["ci_level"].astype(float).fillna(95) / 100
    no = pd.Series(False, table.index)
    exact = bound = pd.Series(np.nan, table.index)
    if {"p_value", "limit"} & set(derive):
        exact, bound = printed_p(table["p_value"])
    impossible = log & ((estimate <= 0) | (low <= 0) | (high <= 0))
    estimate, low, high = (
        values.where(~log, np.log(values.where(values > 0))).where(~impossible)
        for values in (estimate, low, high)
    )
    whole = low.notna() & high.notna()
    one = low.notna() ^ high.notna()
    wanted = {
        "": whole,
        "limit of the interval": one if "limit" in derive else no,
        "P value": exact.notna() if "p_value" in derive else no,
        "bound of P": bound.notna() if "limit" in derive else no,
    }
    se = pd.Series(np.nan, table.index)
    for name, rows in wanted.items():
        rows = rows & se.isna() & estimate.notna()
        if not rows.any():
            continue
        if name == "":
            # An interval of a ratio or of an adjusted analysis need not be symmetric.
            found = conv_wald(
                (low + high)[rows] / 2,
                ci_low=low[rows],
                ci_high=high[rows],
                level=level[rows],
                df=df[rows],
            )
        elif name == "limit of the interval":
            sided = 2 * level[rows] - 1
            apart = low.where(low <= estimate)[rows], high.where(high >= estimate)[rows]
            found = conv_wald(
                estimate[rows], ci_low=apart[0], ci_high=apart[1], level=sided, df=df[rows]
            )
        else:
            p = exact if name == "P value" else bound
            found = conv_wald(estimate[rows], p_value=p[rows], df=df[rows])
        error = np.sqrt(found["vi"]).reindex(table.index)
        usable = rows & error.notna()
        se = se.where(~usable, error)
        if name:
            remark: str | pd.Series = f"standard error from the {name}"
            if "P" in name:
                printed = table["p_value"].astype("string").fillna("").str.strip()
                remark += " " + printed.str.replace(r"^[Pp]\s*=?\s*", "", regex=True)
            table["obtained"] = marked(table, usable, remark)
    return table.assign(estimate=estimate, se=se)


@once_per_evidence
def split_equally(evidence: Evidence) -> pd.Series:
    """Arm sizes, where a trial prints its total only: the total over its number of arms.

    Returns
    -------
    Series
        By (trial_id, arm_id), missing where the total is.
    """
    arms = evidence.arms[["trial_id", "arm_id"]]
    total = evidence.trials.set_index("trial_id")["n_randomised"].astype(float)
    per_trial = arms.groupby("trial_id")["arm_id"].transform("size")
    sizes = np.floor(arms["trial_id"].map(total).to_numpy(dtype=float) / per_trial.to_numpy())
    return pd.Series(sizes, pd.MultiIndex.from_frame(arms))


@once_per_evidence
def lengths_from_values(evidence: Evidence) -> dict[tuple[str, str], tuple[float, float]]:
    """Limits of a VAS or NRS of unstated length whose values can only be of one.

    0-100 where any value a trial prints of it lies above 10; 0-10 where all lie within 10 and a
    mean at baseline is above `NO_PAIN` (of 100 it would be next to no pain). Anything else stays
    unknown.

    Returns
    -------
    dict
        Limits by (trial_id, instrument).
    """
    rows = evidence.outcomes
    rows = rows[rows["instrument"].isin(LENGTHS) & rows["scale_max"].isna()]
    rows = rows[rows["value_type"].astype(str).isin(["level", "median", "change_from_baseline"])]
    contrasts = evidence.contrasts
    contrasts = contrasts[contrasts["instrument"].isin(LENGTHS) & contrasts["scale_max"].isna()]
    contrasts = contrasts[contrasts["effect_measure"].astype(str) == "md"]
    at_start = (rows["timepoint_label"].astype(str) == "baseline") & (
        rows["value_type"].astype(str) == "level"
    )
    parts = [
        pd.DataFrame(
            {
                "trial_id": table["trial_id"],
                "instrument": table["instrument"].astype(str),
                "value": table[name].astype(float).abs(),
                "start": at_start if name == "mean" else False,
            }
        )
        for table, names in (
            (rows, ("mean", "lower", "upper")),
            (contrasts, ("estimate", "ci_low", "ci_high")),
        )
        for name in names
    ]
    values = pd.concat(parts)
    found = {}
    for (trial, instrument), own in values.groupby(["trial_id", "instrument"], sort=False):
        start = own.loc[own["start"], "value"]
        if own["value"].max() > 10:
            found[trial, instrument] = (0.0, 100.0)
        elif len(start.dropna()) and start.min() > NO_PAIN:
            found[trial, instrument] = (0.0, 10.0)
    return found


def with_lengths(table: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    """Rows with the limits of `lengths_from_values` where none are printed."""
    known = lengths_from_values(evidence)
    names = (table[name].astype(object).tolist() for name in ("trial_id", "instrument"))
    pairs = zip(*names, strict=True)
    limits = [known.get(pair, (np.nan, np.nan)) for pair in pairs]
    low, high = np.array(limits, dtype=float).reshape(-1, 2).T
    rows = table["scale_max"].isna() & table["scale_min"].isna() & np.isfinite(high)
    table = table.copy()
    table["scale_min"] = table["scale_min"].astype(float).where(~rows, low)
    table["scale_max"] = table["scale_max"].astype(float).where(~rows, high)
    ends = texts(pd.Series(high, table.index), "scale 0–{:g} taken from its values")
    table["obtained"] = marked(table, rows, ends)
    return table


def pooled_sds(table: pd.DataFrame) -> pd.Series:
    """SD of each instrument over all rows of an outcome and kind that have one, by their df.

    Returns
    -------
    Series
        By (outcome, instrument, kind); of instruments with rows of at least two trials.
    """
    known = table[table["sd"].gt(0) & table["n"].gt(1) & table["kind"].notna()]
    df = known["n"] - 1
    sums = (
        pd.DataFrame(
            {
                "outcome": known["outcome"].astype(str),
                "instrument": known["instrument"].astype(str),
                "kind": known["kind"],
                "squares": df * known["sd"] ** 2,
                "df": df,
                "trial_id": known["trial_id"],
            }
        )
        .groupby(["outcome", "instrument", "kind"])
        .agg(squares=("squares", "sum"), df=("df", "sum"), trials=("trial_id", "nunique"))
    )
    enough = sums["trials"] > 1
    return np.sqrt(sums["squares"] / sums["df"])[enough]


def of_instruments(pooled: pd.Series, table: pd.DataFrame) -> pd.Series:
    """The SD of `pooled_sds` for each row of a table with outcome, instrument and kind."""
    names = (table[name].astype(str) for name in ("outcome", "instrument"))
    keys = pd.MultiIndex.from_arrays([*names, table["kind"]])
    return pd.Series(pooled.reindex(keys).to_numpy(dtype=float), table.index)


def with_pooled_sds(table: pd.DataFrame) -> pd.DataFrame:
    """Rows without an SD with that of their instrument in the other rows (Handbook 6.5.2.7)."""
    sds = of_instruments(pooled_sds(table), table)
    rows = table["sd"].isna() & sds.notna() & table["mean"].notna()
    table = table.assign(obtained=marked(table, rows, texts(sds, OF_INSTRUMENT)))
    return table.assign(sd=table["sd"].where(~rows, sds))


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
    require(effects, "Effects")
    require(evidence, "Evidence")
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
    entered = arms["trial_id"].isin(effects.table["trial_id"])
    arms, minutes, exercises = arms[entered], minutes[entered], exercises[entered]
    unknown = arms[exercises & minutes.isna()]
    missing = set(zip(unknown["trial_id"], unknown["arm_id"], strict=True))
    contrasts = effects.table[["trial_id", "arm_id", "ref_arm_id"]].to_numpy()
    rows = pd.Series([(t, a) in missing or (t, r) in missing for t, a, r in contrasts], dtype=bool)
    obtained = marked(effects.table, rows.set_axis(effects.table.index), IMPUTED)
    told = effects.table.drop(columns=list(DOSE_MEASURES), errors="ignore")
    told = told.assign(obtained=obtained)
    numbered = arms[["trial_id", "arm_id"]].assign(place=np.arange(float(len(arms))))
    placed = effects.with_arms(numbered, "place").table
    places = {side: placed[f"{side}place"].fillna(-1).to_numpy(dtype=int) for side in ("", "ref_")}
    pairs = list(zip(*(arms[key] for key in keys), strict=True))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        resampled = {word: rng.choice(own, len(own)) for word, own in pools.items()}
        drawn = {
            (trial, word): rng.choice(resampled[word])
            for trial, word in zip(*(wanted[key] for key in keys), strict=True)
        }
        given = np.array([drawn.get(pair, np.nan) for pair in pairs])
        filled = arms.assign(minutes_per_session=minutes.fillna(pd.Series(given, arms.index)))
        dosed = with_doses(filled, met=met, include_home=effects.dose_basis == HOME_INCLUDED)
        doses = {
            f"{side}{name}": np.append(dosed[name].to_numpy(), np.nan)[own]
            for side, own in places.items()
            for name in DOSE_MEASURES
        }
        found.append(replace(effects, table=told.assign(**doses)))
    return found
