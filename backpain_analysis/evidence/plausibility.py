"""What may be wrong though it could be true: warnings about trial tables, one function a question.

Faults keep tables from being used (``evidence/schema.py``); warnings do not. Each says where it
looked, the arithmetic, and what to look at in the report of the trial. A question takes the tables
(typed, any index) and yields its warnings. All are linear in the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy

from backpain_analysis.evidence.conversions import with_sd
from backpain_analysis.evidence.scales import WIDEST_LIMITS, with_limits

Tables = Mapping[str, pd.DataFrame]

HIGHER_IS_WORSE = frozenset(
    "NRS0_6 VRS BPI CPGS_pain CPGS_disability MPQ SF_MPQ PPI ODI RMDQ RMDQ23 QBPDS PDI LBPRS NDI "
    "WHODAS PROMIS_pain TSK TSK11 FABQ PCS HADS PHQ BDI".split()
)
HIGHER_IS_BETTER = frozenset(
    "SF36_PCS SF36_MCS SF36_PF SF36_BP SF12_PCS SF12_MCS EQ5D EQ5D_VAS PROMIS_function PPT "
    "PSEQ".split()
)
"""Instruments with one direction; VAS and NRS have one where they measure pain."""

DIFFER = 1.0
"""Standard errors between a reported difference and its arms from which a warning is given."""

CONTRADICT = 2.0
"""Standard errors from which the reported difference is not used.

Between a reported difference and the arms' own lie the adjustment for baseline (which stays
between the difference of final values and that of changes), other covariates, and participants
who are missing from one of them; of the same participants, these move it by parts of a standard
error. In the bundled trials the largest distance is 0.84.
"""


@dataclass(frozen=True)
class Doubt:
    """One thing to look at.

    Attributes
    ----------
    trial_id, table : str
    rows : tuple
        Labels of the rows in the table's index.
    kind : str
        The question, in a few words.
    arithmetic : str
        What was compared with what.
    look : str
        What to look at.
    """

    trial_id: str
    table: str
    rows: tuple[int, ...]
    kind: str
    arithmetic: str
    look: str


def plausibility(tables: Tables, first_row: int = 0, *, checked: bool = False) -> pd.DataFrame:
    """Everything about tables that looks wrong and may be right.

    Parameters
    ----------
    tables
        `trials`, `arms`, `outcomes`, `contrasts`, as `checking.check_tables` gives them.
    first_row
        Added to the index labels: 2 where the index counts from 0 and rows are to be counted as
        in a spreadsheet.
    checked
        Also warnings whose kind stands in `checked` of their trial: looked at, and right.

    Returns
    -------
    DataFrame
        ``trial_id``, ``kind``, ``table``, ``rows`` (text), ``arithmetic``, ``look``; a row a
        warning, ordered by trial.
    """
    outcomes = tables["outcomes"]
    asked = {
        **tables,
        "values": with_limits(with_sd(outcomes)),
        "compared": against_arms(outcomes, tables["contrasts"]),
    }
    found = [doubt for question in QUESTIONS for doubt in question(asked)]
    if not checked:
        known = tables["trials"].set_index("trial_id")["checked"].dropna()
        kinds = {trial: re.split(r"\s*;\s*", text.strip()) for trial, text in known.items()}
        found = [doubt for doubt in found if doubt.kind not in kinds.get(doubt.trial_id, ())]
    if not found:
        return no_doubts()
    frame = pd.DataFrame([asdict(doubt) for doubt in found])
    frame["rows"] = [", ".join(str(row + first_row) for row in rows) for rows in frame["rows"]]
    order = {trial: place for place, trial in enumerate(tables["trials"]["trial_id"])}
    frame = frame.sort_values("trial_id", key=lambda ids: ids.map(order), kind="stable")
    return frame[list(no_doubts())].reset_index(drop=True)


def no_doubts() -> pd.DataFrame:
    """The table of `plausibility` without a row."""
    columns = ["trial_id", "kind", "table", "rows", "arithmetic", "look"]
    return pd.DataFrame(columns=columns, dtype="str")


def scale_of_instrument(tables: Tables) -> Iterator[Doubt]:
    """The scale of a row is not wider than any form of its instrument."""
    for name in ("outcomes", "contrasts"):
        frame, (low, high) = tables[name], _widest(tables[name])
        wider = (frame["scale_min"] < low) | (frame["scale_max"] > high)
        keys = ["trial_id", "instrument", "scale_min", "scale_max"]
        for (trial, instrument, least, most), rows in _groups(frame[wider], keys):
            low, high = WIDEST_LIMITS[instrument]
            yield Doubt(
                *(trial, name, rows, "scale wider than its instrument"),
                f"{instrument} from {least:g} to {most:g}; it goes from {low:g} to {high:g}",
                "Which instrument was used, and whether its values were rescaled.",
            )


def level_on_instrument(tables: Tables) -> Iterator[Doubt]:
    """A level is one that some form of its instrument can give, or lies on the scale stated."""
    frame, (low, high) = tables["outcomes"], _widest(tables["outcomes"])
    level = frame["value_type"].isin(["level", "median"])
    outside = level & ((frame["mean"] < low) | (frame["mean"] > high))
    stated = (frame["scale_min"] < low) | (frame["scale_max"] > high)
    for (trial, instrument), rows in _groups(frame[outside & ~stated], ["trial_id", "instrument"]):
        values = frame.loc[list(rows), "mean"].tolist()
        more = ", …" if len(values) > 3 else ""
        low, high = WIDEST_LIMITS[instrument]
        yield Doubt(
            *(trial, "outcomes", rows, "value outside its instrument"),
            f"{instrument} of {', '.join(f'{value:g}' for value in values[:3])}{more}; it goes "
            f"from {low:g} to {high:g}",
            "The instrument, its unit, and whether the value is a change.",
        )


def direction_of_instrument(tables: Tables) -> Iterator[Doubt]:
    """`higher_is_better` is that of the instrument."""
    for name in ("outcomes", "contrasts"):
        frame = tables[name]
        pain = frame["instrument"].isin(["VAS", "NRS"]) & (frame["outcome"] == "pain_intensity")
        worse = frame["instrument"].isin(HIGHER_IS_WORSE) | pain
        better = frame["instrument"].isin(HIGHER_IS_BETTER)
        wrong = (worse & (frame["higher_is_better"] == "yes")) | (
            better & (frame["higher_is_better"] == "no")
        )
        if name == "contrasts":
            wrong &= frame["effect_measure"].isin(["md", "smd"])
        for (trial, instrument, told), rows in _groups(
            frame[wrong], ["trial_id", "instrument", "higher_is_better"]
        ):
            usual = "worse" if told == "yes" else "better"
            yield Doubt(
                *(trial, name, rows, "direction of the scale"),
                f"higher_is_better is {told}; higher values of {instrument} are usually {usual}",
                "Whether the scale was reversed; if not, the column.",
            )


def change_beyond_scale(tables: Tables) -> Iterator[Doubt]:
    """No change and no difference is larger than the scale is wide."""
    changes = tables["outcomes"]["value_type"] == "change_from_baseline"
    md = tables["contrasts"]["effect_measure"] == "md"
    for name, value, which in (("outcomes", "mean", changes), ("contrasts", "estimate", md)):
        frame = with_limits(tables[name])
        width = frame["scale_max"] - frame["scale_min"]
        beyond = which & (frame[value].abs() > width)
        for row in _rows(frame.assign(width=width, value=frame[value]), beyond):
            yield Doubt(
                *(row.trial_id, name, (row.Index,), "change beyond the scale"),
                f"{_what(row)} differs by {row.value:g} on a scale {row.width:g} wide",
                "The unit (cm or mm, points or per cent) and the limits of the scale.",
            )


def sd_possible(tables: Tables) -> Iterator[Doubt]:
    """A standard deviation is one that values on the scale can have.

    Of `n` values between `a` and `b` with mean `m` the largest is
    `sqrt((m - a)(b - m) n/(n - 1))` (Bhatia & Davis 2000, doi 10.2307/2589180); a change lies
    between minus and plus the width of the scale.
    """
    frame = tables["values"]
    kind = frame["value_type"].astype(str)
    change = kind == "change_from_baseline"
    width = frame["scale_max"] - frame["scale_min"]
    low, high = frame["scale_min"].mask(change, -width), frame["scale_max"].mask(change, width)
    n = frame["n"].astype(float)
    square = (frame["mean"] - low) * (high - frame["mean"]) * n / (n - 1)
    largest = np.sqrt(square.where(square > 0))
    over = kind.isin(["level", "change_from_baseline"]) & (frame["sd"] > 1.02 * largest)
    for row in _rows(frame.assign(largest=largest, low=low, high=high), over):
        source = "" if row.sd_source == "reported SD" else f" (from the {row.sd_source})"
        yield Doubt(
            *(row.trial_id, "outcomes", (row.Index,), "standard deviation not possible"),
            f"SD {row.sd:.4g}{source} of {_what(row)}; values from {row.low:g} to {row.high:g} "
            f"with mean {row.mean:g} and n = {row.n} have at most {row.largest:.4g}",
            "What the spread is (SD, SE, interval), the unit, and the limits of the scale.",
        )


def sd_or_se(tables: Tables) -> Iterator[Doubt]:
    """A spread called SD is no standard error, and the reverse.

    Looks like an SE: an SD below 0.4 times the median of the trial's other SDs on the instrument
    that, times `sqrt(n)`, is near them; or, alone, an SD below 4.5% of the scale around a mean in
    its middle that, times `sqrt(n)`, is 10 to 35%. Looks like an SD: an SE whose SD would be
    above 45% of the scale.
    """
    frame = tables["values"]
    frame = frame[(frame["value_type"] == "level") & frame["sd"].notna() & frame["n"].notna()]
    if frame.empty:
        return
    n = frame["n"].astype(float)
    width = (frame["scale_max"] - frame["scale_min"]).where(lambda w: w > 0)
    share = frame["sd"] / width
    middle = ((frame["mean"] - frame["scale_min"]) / width).between(0.15, 0.85)
    keys = ["trial_id", "outcome", "instrument", "instrument_text", "site", "unit"]
    usual = frame.groupby(keys, dropna=False, observed=True)["sd"].transform("median")
    several = frame.groupby(keys, dropna=False, observed=True)["sd"].transform("size") >= 3
    as_se = frame["sd"] * np.sqrt(n)
    beside = several & (frame["sd"] < 0.4 * usual) & (as_se / usual).between(0.5, 2.0)
    alone = (share < 0.045) & (n >= 8) & middle & (as_se / width).between(0.10, 0.35)
    reported = frame["dispersion_type"] == "sd"
    frame = frame.assign(as_se=as_se, usual=usual, share=share, beside=beside)
    for row in _rows(frame, reported & (beside | alone)):
        near = f"; the trial's others are near {row.usual:.4g}" if row.beside else ""
        yield Doubt(
            *(row.trial_id, "outcomes", (row.Index,), "SD looks like a standard error"),
            f"SD {row.dispersion:g} of {_what(row)} with n = {row.n}: as a standard error it is "
            f"an SD of {row.as_se:.4g}{near}",
            "Whether the report gives SD or SE here.",
        )
    for row in _rows(frame, (frame["dispersion_type"] == "se") & (share > 0.45)):
        yield Doubt(
            *(row.trial_id, "outcomes", (row.Index,), "standard error looks like an SD"),
            f"SE {row.dispersion:g} of {_what(row)} with n = {row.n} means an SD of {row.sd:.4g}, "
            f"{100 * row.share:.0f}% of the scale",
            "Whether the report gives SD or SE here.",
        )


def unit_of_scale(tables: Tables) -> Iterator[Doubt]:
    """Pain on 0 to 100 is not in centimetres."""
    frame = tables["outcomes"]
    patients = tables["trials"].loc[tables["trials"]["population"] != "healthy", "trial_id"]
    pain = (
        (frame["outcome"] == "pain_intensity")
        & frame["instrument"].isin(["VAS", "NRS"])
        & (frame["scale_min"] == 0)
        & (frame["scale_max"] == 100)
        & (frame["value_type"] == "level")
        & frame["trial_id"].isin(patients)
    )
    means = frame["mean"].to_dict()
    baseline = set(frame.index[frame["timepoint_label"] == "baseline"])
    keys = ["trial_id", "instrument"]
    suspect = pain & (frame["mean"] <= 10)
    for (trial, instrument), rows in _groups(frame[pain & _of_same(frame, keys, suspect)], keys):
        start = [means[row] for row in rows if row in baseline]
        small = tuple(row for row in rows if means[row] <= 10)
        largest = max(means[row] for row in small)
        if len(small) == len(rows) > 1 and largest > 0 and (any(start) or not start):
            told = f"all {len(rows)} values are at most {largest:g} of 100"
        elif start and min(start) > 30:
            rows = small
            told = f"{largest:g} of 100 after {min(start):g} at baseline"
        else:
            continue
        yield Doubt(
            *(trial, "outcomes", rows, "centimetres on a scale of millimetres"),
            f"{instrument}: {told}",
            "Whether the values are on 0 to 10.",
        )


def interval_around_estimate(tables: Tables) -> Iterator[Doubt]:
    """The interval of a mean or difference is symmetric, that of a ratio on the log scale.

    More than the rounding of the three printed numbers allows, and more than a tenth of the
    width.
    """
    ratio = tables["contrasts"]["effect_measure"].isin(["rr", "or", "hr"])
    means = tables["outcomes"]["dispersion_type"] == "ci95"
    for name, value, low, high, logs in (
        ("outcomes", "mean", "lower", "upper", ~(means | True)),
        ("contrasts", "estimate", "ci_low", "ci_high", ratio),
    ):
        frame = tables[name]
        three = frame[[value, low, high]].astype(float)
        if name == "outcomes":
            three = three[means]
        three = three.dropna()
        logs = logs.reindex(three.index)
        step = _rounding(three)
        usable = ~logs | (three > 0).all(axis=1)
        three, logs, step = three[usable], logs[usable], step[usable]
        scaled = three.where(~logs, np.log(three.where(three > 0)), axis=0)
        error = (2 * step).where(~logs, 2 * step / three[low].abs().where(logs, 1.0))
        skew = (scaled[low] + scaled[high] - 2 * scaled[value]).abs()
        width = scaled[high] - scaled[low]
        odd = (skew > error) & (skew > 0.1 * width) & (width > 0)
        for row in _rows(frame.assign(value=frame[value]).loc[three.index], odd):
            lower, upper = getattr(row, low), getattr(row, high)
            scale = "on the log scale " if logs[row.Index] else ""
            below, above = abs(row.value - lower), abs(upper - row.value)
            if logs[row.Index]:
                below, above = np.log(row.value / lower), np.log(upper / row.value)
            yield Doubt(
                *(row.trial_id, name, (row.Index,), "interval not symmetric"),
                f"{row.value:g} ({lower:g} to {upper:g}) of {_what(row)}: {scale}{below:.3g} below "
                f"and {above:.3g} above",
                "The estimate and both limits; a sign or a digit may be wrong.",
            )


def p_of_interval(tables: Tables) -> Iterator[Doubt]:
    """The P value and the interval say the same of no difference.

    A warning where they fall on different sides of the interval's level, and the P value that
    the interval implies is another by a factor of more than 2.5.
    """
    frame = tables["contrasts"]
    ratio = frame["effect_measure"].isin(["rr", "or", "hr"])
    low, high = frame["ci_low"].astype(float), frame["ci_high"].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        low = low.where(~ratio, np.log(low.where(low > 0)))
        high = high.where(~ratio, np.log(high.where(high > 0)))
    alpha = (1 - frame["ci_level"].astype(float).fillna(95) / 100).round(9)
    quantile = pd.Series(-scipy.special.ndtri(alpha / 2), frame.index)
    z = quantile * ((low + high) / (high - low).where(lambda width: width > 0)).abs()
    implied = pd.Series(2 * scipy.special.ndtr(-z), frame.index).where(z.notna())
    sign = frame["p_value"].str.extract(r"^([<>]?)\s?(.+)$")
    p = pd.to_numeric(sign[1], errors="coerce")
    below = ((p < alpha) & (sign[0] != ">")) | ((p <= alpha) & (sign[0] == "<"))
    above = ((p > alpha) & (sign[0] != "<")) | ((p >= alpha) & (sign[0] == ">"))
    odd = (below & (implied > alpha) & (implied > 2.5 * p)) | (
        above & (implied < alpha) & (p > 2.5 * implied)
    )
    for row in _rows(frame.assign(implied=implied), odd.fillna(False)):
        yield Doubt(
            *(row.trial_id, "contrasts", (row.Index,), "P value against interval"),
            f"P {row.p_value} beside {row.ci_low:g} to {row.ci_high:g} of {_what(row)}, which "
            f"means P = {row.implied:.2g}",
            "Whether P and interval are of the same comparison and time.",
        )


def difference_of_arms(tables: Tables) -> Iterator[Doubt]:
    """A reported difference agrees with the values of its arms."""
    compared = tables["compared"]
    for row in _rows(compared, compared["distance"] > DIFFER):
        used = " It is not used." if row.distance > CONTRADICT else ""
        yield Doubt(
            *(row.trial_id, "contrasts", (row.Index,), "difference against its arms"),
            f"{row.estimate:g} reported of {_what(row)}; the arms differ by {row.arms}: "
            f"{row.distance:.1f} standard errors ({row.se:.3g}) away",
            f"Sign, unit, time, and which arm is the reference.{used}",
        )


def p_of_arms(tables: Tables) -> Iterator[Doubt]:
    """A P value without an interval says what the values of the arms say.

    A warning where one of the two is below 0.01 and the other above 0.2.
    """
    compared = tables["compared"]
    compared = compared[compared["ci_low"].isna() | compared["ci_high"].isna()]
    sign = compared["p_value"].str.extract(r"^([<>]?)\s?(.+)$")
    p = pd.to_numeric(sign[1], errors="coerce")
    zero = (compared["low"] < 0) & (compared["high"] > 0)
    sizes = compared[["low", "high"]].abs()
    implied = {
        end: pd.Series(2 * scipy.special.ndtr(-size / compared["se"]), compared.index)
        for end, size in (("most", sizes.max(axis=1)), ("least", sizes.min(axis=1).mask(zero, 0)))
    }
    small = (p <= 0.01) & (sign[0] != ">") & (implied["most"] > 0.2)
    large = (p > 0.2) & (sign[0] != "<") & (implied["least"] < 0.01)
    for row in _rows(
        compared.assign(implied=implied["most"].where(small, implied["least"])), small | large
    ):
        yield Doubt(
            *(row.trial_id, "contrasts", (row.Index,), "P value against arms"),
            f"P {row.p_value} of {_what(row)}; the arms differ by {row.arms}, with a standard "
            f"error of {row.se:.3g} that is P = {row.implied:.2g}",
            "Whether P is of this comparison and time, and whether spreads are SDs.",
        )


def against_arms(outcomes: pd.DataFrame, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Reported mean differences beside what the values of their arms say.

    Arms are compared at the same time on the same instrument, where each has one row: final
    values, reported changes, and final minus baseline values. A difference adjusted for baseline
    lies between the first and the last (it is final minus `b` times baseline, `b` from 0 to 1).

    Returns
    -------
    DataFrame
        The rows of `contrasts` whose arms have values, on its index, with ``arms`` (the
        differences of the arms in words), ``low`` and ``high`` (their range), ``se`` (of the
        reported difference, from its interval, else from the arms) and ``distance`` (of the
        reported difference from the range, in standard errors).
    """
    reported = contrasts[contrasts["effect_measure"] == "md"]
    values = outcomes[outcomes["trial_id"].isin(reported["trial_id"])]
    values = with_limits(with_sd(values))
    values = values[values["value_type"].isin(["level", "change_from_baseline"])]
    values = _keyed(values[values["mean"].notna()])
    level = values["value_type"] == "level"
    baseline = values["timepoint_label"] == "baseline"
    kinds = {
        "final": (values[level & ~baseline], [*_KEYS, "weeks", "timepoint_label"]),
        "change": (values[~level], [*_KEYS, "weeks", "timepoint_label"]),
        "start": (values[level & baseline], _KEYS),
    }
    table = _keyed(with_limits(reported)).reset_index(names="row")
    for kind, (rows, keys) in kinds.items():
        rows = rows[~rows.duplicated([*keys, "arm_id"], keep=False)]
        for end, arm in (("arm", "arm_id"), ("ref", "ref_arm_id")):
            own = rows[[*keys, "arm_id", "mean", "sd", "n", "width"]]
            own = own.rename(columns={"arm_id": arm})
            names = {name: f"{kind}_{name}_{end}" for name in ("mean", "sd", "n", "width")}
            table = table.merge(own.rename(columns=names), on=[*keys, arm], how="left")
    widths = [f"{kind}_width_{end}" for kind in kinds for end in ("arm", "ref")]
    scale = table[widths].bfill(axis=1).iloc[:, 0] / table["width"]
    estimate = table["estimate"] * scale.fillna(1.0)
    differences = pd.DataFrame(
        {
            "final values": table["final_mean_arm"] - table["final_mean_ref"],
            "changes": table["change_mean_arm"] - table["change_mean_ref"],
            "final minus baseline": (table["final_mean_arm"] - table["start_mean_arm"])
            - (table["final_mean_ref"] - table["start_mean_ref"]),
        }
    )
    level = table["ci_level"].fillna(95).astype(float) / 100
    half = (table["ci_high"] - table["ci_low"]) / 2
    se = half / scipy.special.ndtri((1 + level) / 2) * scale.fillna(1.0)
    for kind in ("final", "change"):
        square = sum(
            table[f"{kind}_sd_{end}"] ** 2 / table[f"{kind}_n_{end}"].astype(float)
            for end in ("arm", "ref")
        )
        se = se.fillna(np.sqrt(square))
    low, high = differences.min(axis=1), differences.max(axis=1)
    outside = np.maximum(low - estimate, estimate - high).clip(lower=0)
    words = [
        " and ".join(f"{value:.3g} ({name})" for name, value in row.items() if pd.notna(value))
        for row in differences.to_dict("records")
    ]
    distance = outside / se.where(se > 0)
    found = {"arms": words, "low": low, "high": high, "se": se, "distance": distance}
    found = pd.DataFrame(found).set_axis(table["row"])
    found = found[found["low"].notna()]
    return contrasts.loc[found.index].assign(**found.to_dict("series"))


def contradicted(outcomes: pd.DataFrame, contrasts: pd.DataFrame) -> pd.Series:
    """Why a reported difference must not be used: text, on the index of its row.

    Those further than `CONTRADICT` standard errors from what their arms say.
    """
    if not (contrasts["effect_measure"] == "md").any():
        return pd.Series([], contrasts.index[:0], dtype="str")
    compared = against_arms(outcomes, contrasts)
    bad = compared[compared["distance"] > CONTRADICT]
    told = [
        f"reported difference {row.estimate:g} contradicts its arms, which differ by {row.arms}"
        for row in bad.itertuples()
    ]
    return pd.Series(told, bad.index, dtype="str")


def baseline_alike(tables: Tables) -> Iterator[Doubt]:
    """Randomised arms start alike: no difference at baseline with P below 0.001.

    Each arm against the first of its trial with a baseline value of the instrument.
    """
    frame = tables["values"]
    at_start = (frame["timepoint_label"] == "baseline") & (frame["value_type"] == "level")
    frame = _keyed(frame[at_start & frame["sd"].notna() & frame["n"].notna()])
    frame = frame[~frame.duplicated([*_KEYS, "arm_id"], keep=False)]
    designs = tables["trials"].set_index("trial_id")["design"]
    frame = frame[~frame["trial_id"].map(designs).isin(["crossover", "pre_post"])]
    first = frame.groupby(_KEYS, sort=False)
    parts = {name: first[name].transform("first") for name in ("arm_id", "mean", "sd", "n")}
    difference = frame["mean"] - parts["mean"]
    square = frame["sd"] ** 2 / frame["n"].astype(float)
    square += parts["sd"] ** 2 / parts["n"].astype(float)
    z = (difference / np.sqrt(square)).abs()
    frame = frame.assign(first=parts["arm_id"], start=parts["mean"], z=z)
    for row in _rows(frame, z > -scipy.special.ndtri(0.0005)):
        yield Doubt(
            *(row.trial_id, "outcomes", (row.Index,), "arms differ at baseline"),
            f"{row.instrument}: {row.mean:g} in {row.arm_id}, {row.start:g} in {row.first}: "
            f"{row.z:.1f} standard errors",
            "Whether arms were randomised, and whether the spread is an SD; prefer results "
            "adjusted for baseline.",
        )


def same_trial_twice(tables: Tables) -> Iterator[Doubt]:
    """No two trials share their DOI, PubMed number or title, or four results or more."""
    trials = tables["trials"].reset_index(names="row")
    ours = trials[trials["flag"] != "exclude"]
    for column in ("doi", "pmid", "title"):
        words = ours[column].astype("str").str.casefold().str.strip()
        twice = words.notna() & words.duplicated(keep=False)
        for _, group in ours[twice].groupby(words[twice], sort=False):
            ids = list(group["trial_id"])
            yield Doubt(
                *(ids[-1], "trials", tuple(group["row"]), "the same trial twice"),
                f"{column} of {' and '.join(ids)}: {group[column].iloc[0]}",
                "Whether the two are one trial; keep one, or flag the other exclude.",
            )
    keys = ["outcome", "instrument", "timepoint_label", "n", "mean", "dispersion"]
    rows = tables["outcomes"].reset_index(names="row").dropna(subset=["mean", "dispersion", "n"])
    rows = rows[rows["trial_id"].isin(ours["trial_id"])]
    alike = rows[rows.duplicated(keys, keep=False)]
    alike = alike.drop_duplicates(["trial_id", *keys])
    alike = alike[alike.duplicated(keys, keep=False)]
    shared = alike.groupby(keys, observed=True)["trial_id"].agg(tuple)
    pairs = shared[shared.map(len) == 2].value_counts()
    for (first, second), count in pairs[pairs >= 4].items():
        own = alike[alike["trial_id"] == second]
        yield Doubt(
            *(second, "outcomes", tuple(own["row"]), "the same trial twice"),
            f"{count} results of {first} and {second} are the same in n, mean and spread",
            "Whether the two report the same participants; keep one, or flag the other exclude.",
        )


def differences_add_up(tables: Tables) -> Iterator[Doubt]:
    """Of three arms, the difference of two is that of each from the third.

    A warning where they miss by more than a standard error and more than rounding.
    """
    frame = tables["contrasts"]
    frame = _keyed(frame[(frame["effect_measure"] == "md") & frame["estimate"].notna()])
    keys = [*_KEYS, "weeks", "timepoint_label"]
    frame = frame[~frame.duplicated([*keys, "arm_id", "ref_arm_id"], keep=False)]
    sizes = frame.groupby(keys, sort=False)["estimate"].transform("size")
    level = frame["ci_level"].fillna(95).astype(float) / 100
    se = (frame["ci_high"] - frame["ci_low"]) / (2 * scipy.special.ndtri((1 + level) / 2))
    frame = frame.assign(se=se)[sizes >= 3]
    for _, group in frame.groupby(keys, sort=False):
        found = {}
        for row in group.itertuples():
            found[row.arm_id, row.ref_arm_id] = (row.estimate, row)
            found.setdefault((row.ref_arm_id, row.arm_id), (-row.estimate, row))
        arms = sorted({arm for pair in found for arm in pair})
        for place, a in enumerate(arms):
            for b, c in ((b, c) for b in arms[place + 1 :] for c in arms if c > b):
                if not {(a, b), (b, c), (a, c)} <= set(found):
                    continue
                parts = [found[a, b], found[b, c], found[a, c]]
                gap = abs(parts[0][0] + parts[1][0] - parts[2][0])
                errors = [part[1].se for part in parts if pd.notna(part[1].se)]
                step = 0.5 * sum(_step([part[0]]) for part in parts)
                if gap > max([step, *errors]):
                    yield Doubt(
                        *(group["trial_id"].iloc[0], "contrasts"),
                        tuple(sorted(part[1].Index for part in parts)),
                        "differences do not add up",
                        f"{a} less {b} is {parts[0][0]:g}, {b} less {c} is {parts[1][0]:g}, but "
                        f"{a} less {c} is {parts[2][0]:g}",
                        "The signs, and which arm is the reference of each.",
                    )


def unit_of_analysis(tables: Tables) -> Iterator[Doubt]:
    """A cluster trial says how large its clusters are and how alike their members."""
    trials = tables["trials"]
    bare = (trials["design"] == "cluster") & trials[["cluster_size", "icc"]].isna().any(axis=1)
    for row in _rows(trials, bare):
        missing = [
            words
            for name, words in (("cluster_size", "the size of clusters"), ("icc", "their ICC"))
            if pd.isna(getattr(row, name))
        ]
        yield Doubt(
            *(row.trial_id, "trials", (row.Index,), "clusters taken as if people were randomised"),
            f"a cluster trial without {' and '.join(missing)}",
            "The size of clusters and their ICC in the report; else choose one for the analysis.",
        )
    other = (~trials["design"].isin(["cluster", "crossover"])) & trials["icc"].notna()
    for row in _rows(trials, other):
        yield Doubt(
            *(row.trial_id, "trials", (row.Index,), "ICC without clusters"),
            f"icc is {row.icc:g}, and design is {row.design}",
            "The design.",
        )


def fraction_as_per_cent(tables: Tables) -> Iterator[Doubt]:
    """A percentage above 0 and not above 1 is a fraction, more often than not."""
    for name, column in (("trials", "pct_female"), ("arms", "adherence_pct")):
        frame = tables[name]
        small = (frame[column] > 0) & (frame[column] <= 1)
        for row in _rows(frame.assign(value=frame[column]), small):
            yield Doubt(
                *(row.trial_id, name, (row.Index,), "fraction where per cent belongs"),
                f"{column} is {row.value:g}",
                f"Whether {100 * row.value:g} is meant.",
            )


QUESTIONS: tuple[Callable[[Tables], Iterator[Doubt]], ...] = (
    scale_of_instrument,
    level_on_instrument,
    direction_of_instrument,
    change_beyond_scale,
    sd_possible,
    sd_or_se,
    unit_of_scale,
    interval_around_estimate,
    p_of_interval,
    p_of_arms,
    difference_of_arms,
    baseline_alike,
    same_trial_twice,
    differences_add_up,
    unit_of_analysis,
    fraction_as_per_cent,
)

_KEYS = ["trial_id", "outcome", "instrument", "words"]


def _keyed(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with what tells instruments, times and scales apart in plain columns without gaps."""
    text = frame["instrument_text"].where(frame["instrument"].astype(str).eq("other"), "")
    site = frame["site"].fillna("") if "site" in frame else ""
    return frame.assign(
        words=text.fillna("") + site,
        weeks=frame["timepoint_weeks"].fillna(-1.0),
        timepoint_label=frame["timepoint_label"].astype("str").fillna(""),
        width=(frame["scale_max"] - frame["scale_min"]).where(lambda width: width > 0),
    )


def _widest(frame: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    low, high = (
        frame["instrument"].map({name: limits[end] for name, limits in WIDEST_LIMITS.items()})
        for end in (0, 1)
    )
    return low.astype(float), high.astype(float)


def _rows(frame: pd.DataFrame, which: pd.Series) -> Iterator:
    return frame[which.fillna(False).astype(bool)].itertuples()


def _groups(frame: pd.DataFrame, keys: list[str]) -> Iterator[tuple[tuple, tuple[int, ...]]]:
    for key, rows in frame.groupby(keys, sort=False, observed=True).groups.items():
        yield key, tuple(rows)


def _of_same(frame: pd.DataFrame, keys: list[str], which: pd.Series) -> pd.Series:
    """Whether a row has the keys of one of `which`."""
    return pd.MultiIndex.from_frame(frame[keys]).isin(
        pd.MultiIndex.from_frame(frame.loc[which, keys])
    )


def _what(row: Any) -> str:
    """A result in a few words: instrument, arms, week."""
    arms = row.arm_id + (f" against {row.ref_arm_id}" if hasattr(row, "ref_arm_id") else "")
    time = f"week {row.timepoint_weeks:g}" if pd.notna(row.timepoint_weeks) else ""
    label = row.timepoint_label if isinstance(row.timepoint_label, str) else ""
    return ", ".join(part for part in (row.instrument, arms, time or label) if part)


def _rounding(frame: pd.DataFrame) -> pd.Series:
    """The last printed digit of each row's numbers: 0.1 of 12.5, 1 of 12."""
    return pd.Series([_step(row) for row in frame.to_numpy().tolist()], frame.index, dtype=float)


def _step(values: list[float]) -> float:
    digits = [len(match[1]) for v in values if (match := re.search(r"\.(\d*[1-9])0*$", f"{v:f}"))]
    return 10.0 ** -max(digits, default=0)
