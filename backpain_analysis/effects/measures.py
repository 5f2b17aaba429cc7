"""Effect sizes of plain tables: of arms against one reference, and of independent trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from backpain_analysis.effects.formulas import (
    CHANGES,
    CORRECTED,
    FORMULAS,
    Columns,
    Formula,
    hedges_factor,
    with_added,
)
from backpain_analysis.words import did_you_mean


def pooled_sd(sd: ArrayLike, n: ArrayLike) -> float:
    """Within-arm SD pooled over the arms of a trial, on `sum(n) - arms` degrees of freedom."""
    sd, n = np.asarray(sd, dtype=float), np.asarray(n, dtype=float)
    return float(np.sqrt(np.sum((n - 1) * sd**2) / (np.sum(n) - len(n))))


def mean_differences(
    mean: ArrayLike, sd: ArrayLike, n: ArrayLike, reference: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Differences in means against a shared reference arm.

    Variances `sd_i^2/n_i + sd_0^2/n_0`, covariances `sd_0^2/n_0`; positive definite for positive
    SDs. Source: Cochrane Handbook 10.5.1; for the covariance Franchini et al. 2012
    (doi 10.1002/jrsm.1049).

    Parameters
    ----------
    mean, sd, n : array_like, shape (n_arms,)
    reference : int
        Position of the reference arm.

    Returns
    -------
    yi : ndarray, shape (n_arms - 1,)
    V : ndarray, shape (n_arms - 1, n_arms - 1)
    """
    mean, sd, n = (np.asarray(values, dtype=float) for values in (mean, sd, n))
    variance = sd**2 / n
    others = np.arange(len(mean)) != reference
    return mean[others] - mean[reference], np.diag(variance[others]) + variance[reference]


def standardised_mean_differences(
    mean: ArrayLike,
    sd: ArrayLike,
    n: ArrayLike,
    reference: int = 0,
    *,
    hedges: bool = True,
    standardiser: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Standardised mean differences against a shared reference arm.

    The standardiser is the SD pooled over all arms given. Variances
    `1/n_i + 1/n_0 + d_i^2/(2N)`, covariances `1/n_0 + d_i d_j/(2N)`, N the total of all arms.
    Source: Gleser & Olkin 2009 (in The Handbook of Research Synthesis, ch. 19) as in Crippa &
    Orsini 2016 (doi 10.1186/s12874-016-0189-0).

    Parameters
    ----------
    mean, sd, n : array_like, shape (n_arms,)
    reference : int
    hedges : bool
        Multiply by the exact small-sample factor (Hedges' g), else leave Cohen's d.
    standardiser : float, optional
        Another SD to standardise by, such as that of levels where `mean` and `sd` are of changes;
        the first part of the covariance is then times `(pooled SD / standardiser)^2`.

    Returns
    -------
    yi : ndarray, shape (n_arms - 1,)
    V : ndarray, shape (n_arms - 1, n_arms - 1)
    """
    n = np.asarray(n, dtype=float)
    yi, _ = mean_differences(mean, sd, n, reference)
    common = pooled_sd(sd, n)
    level = common if standardiser is None else standardiser
    yi = yi / level
    if hedges:
        yi = yi * hedges_factor(np.sum(n) - len(n))
    others = np.arange(len(n)) != reference
    V = (common / level) ** 2 * (np.diag(1 / n[others]) + 1 / n[reference])
    return yi, V + np.outer(yi, yi) / (2 * np.sum(n))


WHERE_TO_ADD = ("only0", "all", "if0all", "none")


def effect_size(
    measure: str,
    *,
    add: float = 0.5,
    to: str = "only0",
    drop00: bool = False,
    vtype: str = "LS",
    **columns: ArrayLike,
) -> pd.DataFrame:
    """Effect sizes and sampling variances of independent trials.

    Two groups, from `m1, sd1, n1, m2, sd2, n2`:

    - "MD" mean difference `m1 - m2`, variance `sd1^2/n1 + sd2^2/n2` (Cochrane Handbook 6.5.1).
    - "SMD" Hedges' g with the exact factor J on n1 + n2 - 2 degrees of freedom, variance
      `1/n1 + 1/n2 + g^2/(2(n1 + n2))` (Hedges 1981, doi 10.3102/10769986006002107).
    - "SMDH" the same for unequal SDs, standardised by `sqrt((sd1^2 + sd2^2)/2)`; variance of
      Bonett 2009 (doi 10.1037/a0016619; 2008, doi 10.1037/1082-989X.13.2.99) at g.
    - "ROM" log ratio of means `ln(m1/m2)`, corrected for its bias by `(c1 - c2)/2`, with variance
      `c1 + c2` where `c = sd^2/(n m^2)` (Hedges, Gurevitch & Curtis 1999,
      doi 10.1890/0012-9658(1999)080[1150:TMAORR]2.0.CO;2; Lajeunesse 2015,
      doi 10.1890/14-2402.1).
    - "VR" log ratio of SDs `ln(sd1/sd2) + 1/(2(n1 - 1)) - 1/(2(n2 - 1))` (Nakagawa et al. 2015,
      doi 10.1111/2041-210X.12309); "CVR" log ratio of coefficients of variation, VR less ROM
      (Senior, Viechtbauer & Nakagawa 2020, doi 10.1002/jrsm.1423).

    Before and after in one group, from `m1` (after), `m2` (before), `sd1`, `sd2`, `n` and their
    correlation `r` (for two groups see `prepost_effect_size`):

    - "MC" mean change `m1 - m2`.
    - "SMCC" mean change over the SD of the change, with J on n - 1 degrees of freedom, variance
      `1/n + g^2/(2n)` (Gibbons, Hedeker & Davis 1993, doi 10.3102/10769986018003271).
    - "SMCR" mean change over `sd1`, with J on n - 1 degrees of freedom, variance
      `2(1 - r)/n + g^2/(2n)` (Becker 1988, doi 10.1111/j.2044-8317.1988.tb00901.x); "SMCRH" the
      same with a variance for unequal SDs (Bonett 2008). As in metafor the standardiser is
      `sd1`, whichever time it is of: the SD before is usual.
    - "SMCRP" mean change over `sqrt((sd1^2 + sd2^2)/2)`, with J on `2(n - 1)/(1 + r^2)` degrees of
      freedom (Cousineau 2020, doi 10.20982/tqmp.16.4.p418); "SMCRPH" with a variance for unequal
      SDs (Bonett 2008).
    - "ROMC", "VRC", "CVRC" as ROM, VR and CVR, for paired values (Senior et al. 2020).

    Events in two groups, from `events1, n1, events2, n2`:

    - "RR" log risk ratio, "OR" log odds ratio, "RD" risk difference (Cochrane Handbook 6.4.1).
    - "PETO" log odds ratio of Peto, `(O - E)/V` with variance `1/V` (Yusuf et al. 1985,
      doi 10.1016/S0033-0620(85)80003-7).
    - "AS" difference of `arcsin(sqrt(p))`, variance `1/(4 n1) + 1/(4 n2)` (Rücker et al. 2009,
      doi 10.1002/sim.3511).

    Counts over person-time, from `events1, time1, events2, time2`: "IRR" log rate ratio, "IRD"
    rate difference, "IRSD" difference of square roots of rates.

    As printed or of one group: "HR" log hazard ratio from `hr, ci_low, ci_high` (and `level`, by
    default 0.95; Parmar, Torri & Stewart 1998, Stat Med 17:2815-2834); "ZCOR"
    Fisher's z of a correlation, from `r, n`, variance `1/(n - 3)`; "PLO" log odds and "PFT"
    Freeman-Tukey double arcsine of a share, from `events, n` (Miller 1978,
    doi 10.1080/00031305.1978.10479283).

    **Zero cells.** As metafor's default, `add` = 1/2 goes to every cell (for rates: to both
    counts) of a trial with a zero in any cell, for RR, OR, RD, PETO, IRR, IRD and PLO; AS, IRSD
    and PFT need none. Trials without an event in either group are kept so, unless `drop00`; they
    say little of ratios (Cochrane Handbook 10.4.4.1), and `mantel_haenszel` and `peto` take events
    as they are.

    Ratios are on the log scale, where they are pooled; `back_transform` turns them.

    Parameters
    ----------
    measure : str
        One of the above.
    add : float
        What zero cells are mended with.
    to : {"only0", "all", "if0all", "none"}
        To the trials with a zero, to all, to all if any has a zero, to none.
    drop00 : bool
        Leave effects missing of trials with no events, or only events, in both groups.
    vtype : {"LS", "LS2"}
        "LS2" for "SMD", "SMCC" and "SMCR": the first part of the variance times J^2 (Borenstein
        2009, in The Handbook of Research Synthesis and Meta-Analysis, ch. 12).
    **columns : float, array_like or Series
        The columns of the measure; "VR" uses no means and "SMCR" no `sd2`, which may be left out.
        Scalars are repeated. Series must share one index.

    Returns
    -------
    DataFrame
        `yi` and `vi`, a row a trial, on the index of the Series (else numbered from 0). A trial
        with a missing value in a column that is used has missing `yi` and `vi`.

    Raises
    ------
    ValueError
        For an unknown measure or option; for missing or unexpected columns, unequal lengths or
        indexes; for used values that are no numbers or break a rule (SDs above zero, groups large
        enough, ratios only of values above zero, correlations strictly between -1 and 1, no more
        events than people). All faults are named at once.

    Examples
    --------
    >>> effect_size("RR", events1=5, n1=28, events2=23, n2=124).round(3)
          yi   vi
    0 -0.038  0.2
    """
    if measure not in FORMULAS:
        raise ValueError(f"unknown measure {measure!r}. {did_you_mean(measure, FORMULAS)}")
    formula = FORMULAS[measure]
    faults = _names(measure, columns)
    if to not in WHERE_TO_ADD:
        faults.append(f"to {to!r}: use one of {', '.join(WHERE_TO_ADD)}")
    if not add >= 0:
        faults.append(f"add {add}: give a number not below zero")
    if vtype not in ("LS", "LS2") or (vtype == "LS2" and measure not in CORRECTED):
        faults.append(f"vtype {vtype!r}: use 'LS', or 'LS2' for {', '.join(CORRECTED)}")
    index = _index(columns, faults)
    if faults:
        raise ValueError("; ".join(faults) + ".")
    given = {**formula.defaults, **columns}
    values = {name: _numbers(name, given[name], index, faults) for name in formula.used}
    for name, number in values.items():
        rule, holds = _rule(formula, name, values)
        faults += [
            f"{name}, row {index[i]}: {number[i]:g}; {rule}"
            for i in np.flatnonzero(~np.isnan(number) & ~holds)
        ]
    if faults:
        raise ValueError("; ".join(faults) + ".")
    if formula.adds:
        values = with_added(values, add, to, drop00)
    with np.errstate(divide="ignore", invalid="ignore"):
        yi, vi = (CORRECTED[measure] if vtype == "LS2" else formula.compute)(values)
    missing = ~(np.isfinite(yi) & np.isfinite(vi))
    return pd.DataFrame(
        {"yi": np.where(missing, np.nan, yi), "vi": np.where(missing, np.nan, vi)}, index=index
    )


OF_A_GROUP = ("pre", "post", "sd_pre", "sd_post", "n", "r")

FIRST_IS_AFTER = ("ROMC", "VRC", "CVRC")


def prepost_effect_size(measure: str, **columns: ArrayLike) -> pd.DataFrame:
    """Changes in one group, or the difference of the changes of two.

    The difference of two independent groups: the effects subtracted, their variances added
    (Becker 1988, doi 10.1111/j.2044-8317.1988.tb00901.x; Morris 2008,
    doi 10.1177/1094428106291059).

    Parameters
    ----------
    measure : {"MC", "SMCC", "SMCR", "SMCRH", "SMCRP", "SMCRPH", "ROMC", "VRC", "CVRC"}
        As of `effect_size`, after less before, or the log of after over before; SMCR and SMCRH
        are standardised by the SD before.
    **columns : float, array_like or Series
        `pre1, post1, sd_pre1, sd_post1, n1, r1`, and for a difference the same with 2.

    Returns
    -------
    DataFrame
        `yi, vi`, as of `effect_size`.

    Raises
    ------
    ValueError
        As `effect_size`.

    Examples
    --------
    >>> group = {"pre1": 50, "post1": 40, "sd_pre1": 20, "sd_post1": 20, "n1": 25, "r1": 0.5}
    >>> prepost_effect_size("MC", **group)
         yi    vi
    0 -10.0  16.0
    """
    known = [name for name in FORMULAS if FORMULAS[name].family == CHANGES]
    if measure not in known:
        raise ValueError(f"unknown measure {measure!r}. {did_you_mean(measure, known)}")
    allowed = [f"{name}{group}" for group in "12" for name in OF_A_GROUP]
    strange = [name for name in columns if name not in allowed]
    groups = "12" if any(name.endswith("2") for name in columns) else "1"
    unused = FORMULAS[measure].unused
    optional = {"pre", "post"} if "m1" in unused else {"sd_post"} if "sd2" in unused else set()
    absent = [
        f"{name}{group}"
        for group in groups
        for name in OF_A_GROUP
        if name not in optional and f"{name}{group}" not in columns
    ]
    if strange or absent:
        raise ValueError(
            f"{measure} of two times: "
            + "; ".join([*(f"no column {n!r}" for n in strange), *(f"needs {n!r}" for n in absent)])
            + f". Columns: {', '.join(allowed)}."
        )
    spread = ("sd_post", "sd_pre") if measure in FIRST_IS_AFTER else ("sd_pre", "sd_post")
    parts = []
    for group in groups:
        own = {
            "m1": columns.get(f"post{group}"),
            "m2": columns.get(f"pre{group}"),
            "sd1": columns.get(f"{spread[0]}{group}"),
            "sd2": columns.get(f"{spread[1]}{group}"),
            "n": columns.get(f"n{group}"),
            "r": columns.get(f"r{group}"),
        }
        given: dict[str, Any] = {name: values for name, values in own.items() if values is not None}
        parts.append(effect_size(measure, **given))
    if len(parts) == 1:
        return parts[0]
    first, second = parts
    return pd.DataFrame({"yi": first["yi"] - second["yi"], "vi": first["vi"] + second["vi"]})


def _names(measure: str, columns: dict[str, ArrayLike]) -> list[str]:
    formula = FORMULAS[measure]
    needed = [name for name in formula.used if name not in formula.defaults]
    absent = [name for name in needed if name not in columns]
    unexpected = [name for name in columns if name not in formula.family]
    return [f"{measure} needs column {name!r}" for name in absent] + [
        f"{measure} has no column {name!r}: it uses {', '.join(formula.used)}"
        for name in unexpected
    ]


def _index(columns: dict[str, ArrayLike], faults: list[str]) -> pd.Index:
    """The index of the rows; adds to `faults` the columns that do not fit it."""
    series = {name: c for name, c in columns.items() if isinstance(c, pd.Series)}
    sizes = {name: len(np.atleast_1d(c)) for name, c in columns.items() if np.ndim(c)}
    faults += [f"{name}: give one dimension" for name, c in columns.items() if np.ndim(c) > 1]
    rows = next(iter(sizes.values()), 1)
    index = next((c.index for c in series.values()), pd.RangeIndex(rows))
    if len(set(sizes.values())) > 1:
        lengths = ", ".join(f"{name} {size}" for name, size in sizes.items())
        faults.append(f"columns of unequal length: {lengths}")
    else:
        different = [name for name, c in series.items() if not c.index.equals(index)]
        if different:
            first = next(iter(series))
            faults.append(f"the index of {', '.join(different)} differs from that of {first}")
    return index


def _numbers(name: str, column: ArrayLike, index: pd.Index, faults: list[str]) -> np.ndarray:
    values = pd.Series(np.ravel(np.asarray(column, dtype=object)), dtype=object)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    for i in np.flatnonzero(np.isnan(numbers) & values.notna().to_numpy()):
        row = f"row {index[i]}" if np.ndim(column) else "every row"
        faults.append(f"{name}, {row}: {values[i]!r}; give a number")
    return np.broadcast_to(numbers, len(index))


def _rule(formula: Formula, name: str, columns: Columns) -> tuple[str, np.ndarray]:
    values = columns[name]
    known = np.isfinite(values)
    if name.startswith("sd"):
        return "give a finite SD above zero", (values > 0) & known
    if name.startswith("events"):
        most = columns.get(name.replace("events", "n"), np.full_like(values, np.inf))
        within = (values <= most) | np.isnan(most)
        return "give events from 0 to the number of people", (values >= 0) & within & known
    if name.startswith("n"):
        people = "participant" if formula.least == 1 else "participants"
        return f"give at least {formula.least} {people}", (values >= formula.least) & known
    if name == "r":
        return "give a correlation strictly between -1 and 1", np.abs(values) < 1
    if name == "level":
        return "give a level between 0 and 1, such as 0.95", (values > 0) & (values < 1)
    if name == "ci_high":
        inside = (columns["ci_low"] <= columns["hr"]) & (columns["hr"] <= values)
        ordered = inside & (columns["ci_low"] < values)
        unknown = np.isnan(columns["ci_low"] + columns["hr"])
        return "give an interval around the hazard ratio", ((ordered | unknown) & known)
    if name in ("hr", "ci_low") or name.startswith("time"):
        return "give a number above zero", (values > 0) & known
    if formula.positive:
        return "a ratio needs finite means above zero", (values > 0) & known
    return "give a finite mean", known
