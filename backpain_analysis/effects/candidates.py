"""Every result of the evidence that could give an effect size, on one scale and in one shape."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.evidence.scales import orientation, to_percent_of_scale, with_limits
from backpain_analysis.evidence.spread import with_sd

KEY = ["instrument", "instrument_text", "site"]


def arm_results(evidence: Evidence, outcome: str, measure: str) -> pd.DataFrame:
    """Arm-level results of an outcome in the direction, and for "MD" on the scale, of the analysis.

    Returns
    -------
    DataFrame
        `trial_id, arm_id, instrument, instrument_text, site, timepoint_weeks, timepoint_label,
        kind` ("final" | "change"), `n, mean, sd, sd_source, problem`; `problem` says what keeps
        a row from being used (missing where nothing does).
    """
    rows = evidence.outcomes[evidence.outcomes["outcome"].astype(str) == outcome]
    table = with_limits(with_sd(_with_n(rows, evidence)))
    kinds = {"level": "final", "change_from_baseline": "change"}
    table["kind"] = table["value_type"].astype(str).map(kinds)
    table = table.assign(**_rescale(table, measure, "mean", "sd", table["kind"] == "change"))
    problem = pd.Series(pd.NA, table.index, dtype="string")
    problem = problem.mask(table["sd"].isna(), "no SD, standard error or interval reported")
    problem = problem.mask(table["n"].isna(), "arm size unknown")
    problem = problem.mask(table["mean"].isna(), _scale_problem(measure))
    problem = problem.mask(
        table["kind"].isna(), table["value_type"].astype(str) + " cannot be pooled with means"
    )
    table["problem"] = problem
    columns = ["trial_id", "arm_id", *KEY, "timepoint_weeks", "timepoint_label", "kind", "n"]
    return _plain(table[[*columns, "mean", "sd", "sd_source", "problem"]])


def contrast_results(evidence: Evidence, outcome: str, measure: str) -> pd.DataFrame:
    """Reported between-arm differences of an outcome, with standard errors from their intervals.

    Standard errors are half the interval's width over the t quantile on `n_arm + n_ref - 2`
    degrees of freedom for MDs of known size, else the normal one (Cochrane Handbook 6.3.1).

    Returns
    -------
    DataFrame
        `trial_id, arm_id, ref_arm_id, instrument, instrument_text, site, timepoint_weeks,
        timepoint_label, effect_measure` ("md" | "smd"), `estimate, se, n_arm, n_ref, problem`.
    """
    rows = evidence.contrasts[evidence.contrasts["outcome"].astype(str) == outcome]
    table = with_limits(rows.assign(site=pd.Series(pd.NA, rows.index, dtype="string")))
    sizes = _arm_sizes(evidence)
    for column, arm in (("n_arm", "arm_id"), ("n_ref", "ref_arm_id")):
        table[column] = _look_up(sizes, table, arm)
    level = table["ci_level"].astype(float).fillna(95) / 100
    width = table["ci_high"].astype(float) - table["ci_low"].astype(float)
    is_md = table["effect_measure"].astype(str) == "md"
    df = (table["n_arm"] + table["n_ref"] - 2).where(is_md)
    quantile = np.where(
        df.notna(), stats.t.ppf((1 + level) / 2, df.fillna(1)), stats.norm.ppf((1 + level) / 2)
    )
    table["se"] = width / (2 * quantile)
    scaled = _rescale(table, measure, "estimate", "se", pd.Series(True, table.index))
    oriented = table["estimate"].astype(float) * orientation(table)
    table["estimate"] = scaled["estimate"].where(is_md, oriented)
    table["se"] = scaled["se"].where(is_md, table["se"])
    usable = table["effect_measure"].astype(str).isin(["md", "smd"])
    problem = pd.Series(pd.NA, table.index, dtype="string")
    problem = problem.mask(table["se"].isna(), "difference reported without an interval")
    problem = problem.mask(table["estimate"].isna(), _scale_problem(measure))
    problem = problem.mask(rows["estimate"].isna(), "no estimate reported")
    problem = problem.mask(~usable, "neither a mean difference nor an SMD")
    table["problem"] = problem
    columns = ["trial_id", "arm_id", "ref_arm_id", *KEY, "timepoint_weeks", "timepoint_label"]
    return _plain(
        table[[*columns, "effect_measure", "estimate", "se", "n_arm", "n_ref", "problem"]]
    )


def _with_n(rows: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    """Outcome rows with the number randomised where the number analysed is not printed."""
    randomised = evidence.arms.set_index(["trial_id", "arm_id"])["n_randomised"].astype(float)
    return rows.assign(n=rows["n"].astype(float).fillna(_look_up(randomised, rows, "arm_id")))


def _arm_sizes(evidence: Evidence) -> pd.Series:
    """Randomised arm sizes, else the largest number analysed in any outcome."""
    keys = ["trial_id", "arm_id"]
    randomised = evidence.arms.set_index(keys)["n_randomised"].astype(float)
    analysed = evidence.outcomes.groupby(keys)["n"].max().astype(float)
    return randomised.fillna(analysed)


def _look_up(values: pd.Series, table: pd.DataFrame, arm: str) -> pd.Series:
    """`values` by (trial, arm) for each row of `table`."""
    keys = pd.MultiIndex.from_frame(table[["trial_id", arm]])
    return pd.Series(values.reindex(keys).to_numpy(dtype=float), table.index)


def _rescale(
    table: pd.DataFrame, measure: str, value: str, spread: str, is_difference: pd.Series
) -> dict[str, pd.Series]:
    """`value` and `spread` on 0-100 ("MD"), or in their units but the outcome's direction."""
    if measure == "SMD":
        return {value: table[value].astype(float) * orientation(table), spread: table[spread]}
    width = (table["scale_max"] - table["scale_min"]).astype(float)
    return {
        value: to_percent_of_scale(table, value, is_difference=is_difference),
        spread: 100 * table[spread].astype(float) / width,
    }


def _scale_problem(measure: str) -> str:
    return "scale limits unknown" if measure == "MD" else "direction of the scale unknown"


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Categories as text, missing keys as empty text and no problem as None: rows compare."""
    table = table.assign(problem=table["problem"].astype(object).where(table["problem"].notna()))
    table["problem"] = table["problem"].replace({np.nan: None})
    for column in [*KEY, "timepoint_label"]:
        table[column] = table[column].astype(object).where(table[column].notna(), "")
    return table
