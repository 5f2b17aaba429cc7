"""What the evidence is: which trials, when, how large, with which doses, outcomes and bias."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from backpain_analysis.answers.appraisals import (
    DOMAIN_WORDS,
    HIGH,
    LOW,
    RISKS,
    UNCLEAR,
    UNKNOWN,
    by_domain,
    traffic_light,
)
from backpain_analysis.errors import require
from backpain_analysis.evidence.dose import DOSE_MEASURES, with_doses
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.figures.show import remembers
from backpain_analysis.figures.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    WIDTH,
    exercise_colour,
    figure_style,
    legend_below,
    new_axes,
)
from backpain_analysis.words import (
    DOSE_LABELS,
    author_year,
    exercise_label,
    outcome_label,
    readable,
    tick_text,
)

ROW_HEIGHT = 0.27
"""Inches."""
SHADES = LinearSegmentedColormap.from_list("share", ["#f4f7fa", "#08519c"])
PARTICIPANT_AREA = 0.35
"""Square points a participant."""
NOT_REPORTED = "Not reported"


@remembers
def trials_by_type_and_year(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """A circle a trial, by exercise type and year, its area proportional to those randomised.

    A trial of several types stands in the row of each; the number at the right counts the trials
    of the type, dated or not. Trials of unknown size are hollow.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional
        By default on a new figure, as in every function here.

    Returns
    -------
    Axes

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(exercise_type="yoga")
    >>> ax = bp.figures.trials_by_type_and_year(yoga)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Yoga']
    """
    require(evidence, "Evidence")
    trials = _exercise_arms(evidence)[["trial_id", "exercise_type"]].drop_duplicates()
    trials = trials.merge(evidence.trials[["trial_id", "year", "n_randomised"]], on="trial_id")
    types = list(trials["exercise_type"].value_counts().index)
    with figure_style():
        ax = _table_axes(ax, [exercise_label(word) for word in types], extra=1.7)
        for y, word in enumerate(types):
            ax.axhline(y, color=FAINT, lw=0.6, zorder=0)
            of_type = trials[trials["exercise_type"] == word]
            _draw_trials(ax, y, of_type[of_type["year"].notna()], exercise_colour(word))
            _beside(ax, str(len(of_type)), y)
        _beside(ax, "Trials", -0.95, bold=True)
        undated = int(evidence.trials["year"].isna().sum())
        ax.set_xlabel("Year of publication" + _unknown(undated, "trial", "year"))
        ax.locator_params(axis="x", integer=True)
        _area_legend(ax, [50, 200, 600], PARTICIPANT_AREA, "Participants:")
    return ax


@remembers
def trial_sizes(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """Histogram of the number randomised, on a logarithmic scale, with the median.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(exercise_type="yoga")
    >>> ax = bp.figures.trial_sizes(yoga)
    >>> ax.get_ylabel(), ax.get_xscale()
    ('Trials', 'log')
    """
    require(evidence, "Evidence")
    sizes = evidence.trials["n_randomised"]
    known = sizes.dropna().astype(float)
    with figure_style():
        ax = new_axes(WIDTH, 3.0) if ax is None else ax
        ticks = 10 * 2.0 ** np.arange(-1, 10)
        edges = 10 * 2.0 ** np.arange(-1, 9.5, 0.5)
        ax.hist(known, bins=list(edges), color=ACCENT, edgecolor="white", lw=0.8)
        ax.set_xscale("log")
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set_xticks([], minor=True)
        if len(known):
            ax.set_xlim(known.min() / 1.5, known.max() * 1.5)
            _mark_median(ax, float(known.median()))
        unknown = int(sizes.isna().sum())
        ax.set_xlabel("Participants randomised" + _unknown(unknown, "trial", "size"))
        ax.set_ylabel("Trials")
        ax.locator_params(axis="y", integer=True)
    return ax


@remembers
def frequency_against_minutes(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """Sessions per week against minutes per session; a bubble's area is its number of trials.

    Sessions are on a logarithmic scale. Thin curves join doses of the same minutes per week. A
    trial counts once for each combination that one of its exercise arms was given.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(exercise_type="yoga")
    >>> ax = bp.figures.frequency_against_minutes(yoga)
    >>> ax.get_ylabel()
    'Sessions per week'
    """
    require(evidence, "Evidence")
    arms = with_doses(_exercise_arms(evidence))
    fields = ["minutes_per_session", "sessions_per_week"]
    known = arms.dropna(subset=fields)
    bubbles = known.groupby(fields)["trial_id"].nunique().rename("trials").reset_index()
    with figure_style():
        ax = new_axes(WIDTH, 4.6) if ax is None else ax
        longest = float(bubbles["minutes_per_session"].max()) if len(bubbles) else 60.0
        most = float(bubbles["sessions_per_week"].max()) if len(bubbles) else 5.0
        least = float(bubbles["sessions_per_week"].min()) if len(bubbles) else 1.0
        ax.set(xlim=(0, 1.08 * longest), yscale="log", ylim=(least / 1.4, most * 1.4))
        ticks = [tick for tick in (0.5, 1, 2, 3, 5, 7, 14) if least / 1.4 <= tick <= most * 1.4]
        ax.set_yticks(ticks, [tick_text(tick) for tick in ticks])
        ax.set_yticks([], minor=True)
        _draw_weekly_minutes(ax, (30, 60, 120, 240, 480))
        ax.scatter(
            bubbles["minutes_per_session"],
            bubbles["sessions_per_week"],
            s=36 * bubbles["trials"],
            color=ACCENT,
            alpha=0.6,
            edgecolors="white",
            linewidths=0.7,
            zorder=3,
            gid="bubbles",
        )
        for row in bubbles[bubbles["trials"] >= 4].itertuples():
            place = (row.minutes_per_session, row.sessions_per_week)
            ax.text(*place, str(row.trials), ha="center", va="center", fontsize=7.5, zorder=4)
        unknown = len(arms) - len(known)
        ax.set_xlabel("Minutes per session" + _unknown(unknown, "exercise arm", "dose"))
        ax.set_ylabel("Sessions per week")
        _area_legend(ax, [1, 5, 10], 36, "Trials:")
    return ax


@remembers
def dose_fields_known(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """How many exercise arms of each type have each dose measure known, reported or derived.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional

    Returns
    -------
    Axes
        Cells read "known/arms"; the darker, the larger the share.

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(exercise_type="yoga")
    >>> ax = bp.figures.dose_fields_known(yoga)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Yoga']
    """
    require(evidence, "Evidence")
    arms = with_doses(_exercise_arms(evidence))
    measures = [name for name in DOSE_MEASURES if name != "met_minutes_per_week"]
    sizes = arms["exercise_type"].value_counts()
    counts = arms.groupby("exercise_type")[measures].count().reindex(sizes.index)
    shares = counts.div(sizes, axis="index")
    texts = [[f"{n}/{sizes[word]}" for n in row] for word, row in counts.iterrows()]
    columns = [readable(DOSE_LABELS[name]) for name in measures]
    rows = [exercise_label(word) for word in sizes.index]
    return _heat_map(ax, shares, texts, rows, columns, "Exercise arms: measure known / all")


@remembers
def outcomes_by_type(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """Number of trials by exercise type and outcome, from values per arm or from differences.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional

    Returns
    -------
    Axes
        Types and outcomes run from the most to the least frequent.

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(exercise_type="yoga")
    >>> ax = bp.figures.outcomes_by_type(yoga)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Yoga']
    """
    require(evidence, "Evidence")
    keys = ["trial_id", "arm_id", "outcome"]
    differences = evidence.contrasts
    turned = differences.drop(columns="arm_id").rename(columns={"ref_arm_id": "arm_id"})
    results = pd.concat([evidence.outcomes[keys], differences[keys], turned[keys]])
    arms = _exercise_arms(evidence)[["trial_id", "arm_id", "exercise_type"]]
    found = results.merge(arms, on=["trial_id", "arm_id"])
    found = found.drop_duplicates(["trial_id", "exercise_type", "outcome"])
    counts = pd.crosstab(found["exercise_type"].astype(str), found["outcome"].astype(str))
    counts = counts.loc[
        found["exercise_type"].astype(str).value_counts().index,
        found["outcome"].astype(str).value_counts().index,
    ]
    shares = np.sqrt(counts / max(counts.to_numpy().max(initial=1), 1))
    texts = [[str(n) if n else "" for n in row] for row in counts.to_numpy()]
    rows = [exercise_label(word) for word in counts.index]
    columns = [outcome_label(word) for word in counts.columns]
    return _heat_map(ax, shares, texts, rows, columns, "Trials that report the outcome")


@remembers
def risk_of_bias(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """Trials by the PEDro score or the appraisal that is known of them; most have none.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional

    Returns
    -------
    Axes
        A bar a score, best PEDro score first, other scales next, trials without any last.

    Examples
    --------
    >>> three = bp.load_evidence().filter(trial_id=["saper2013", "teut2016", "sherman2011"])
    >>> ax = bp.figures.risk_of_bias(three)
    >>> ax.get_xlabel()
    'Trials (of 3)'
    """
    require(evidence, "Evidence")
    words = evidence.trials["rob_or_pedro"].astype(object)
    words = words.replace(r"^(?=.{40})([^:;]*)[:;].*", r"\1", regex=True)
    counts = words.where(words.notna(), NOT_REPORTED).value_counts(sort=False)
    score = pd.Series(counts.index, counts.index).str.extract(r"^PEDro (\d+)")[0].astype(float)
    order = score.mask(counts.index == NOT_REPORTED, -2.0).fillna(-1.0)
    counts = counts.loc[order.sort_values(ascending=False, kind="stable").index]
    with figure_style():
        ax = _table_axes(ax, list(counts.index), extra=0.6)
        colours = [FAINT if word == NOT_REPORTED else ACCENT for word in counts.index]
        bars = ax.barh(range(len(counts)), counts.to_numpy(), height=0.65, color=colours)
        ax.bar_label(bars, padding=3, fontsize=8)
        ax.set_xlabel(f"Trials (of {len(words)})")
        ax.locator_params(axis="x", integer=True)
        ax.margins(x=0.06)
    return ax


def _exercise_arms(evidence: Evidence) -> pd.DataFrame:
    arms = evidence.arms.assign(exercise_type=lambda table: table["exercise_type"].astype(str))
    return arms[arms["exercise_type"] != "none"]


def _draw_trials(ax: Axes, y: int, trials: pd.DataFrame, colour: str) -> None:
    """Circles of one row; trials of one year are spread over the height of the row."""
    large_first = trials.sort_values("n_randomised", ascending=False)
    dated = large_first.sort_values("year", kind="stable")
    years = dated.groupby("year")["trial_id"]
    count, place = years.transform("size"), years.cumcount()
    spread = np.where(count > 1, -0.33 + 0.66 * place / (count - 1).clip(lower=1), 0.0)
    known = dated["n_randomised"].notna().to_numpy()
    sizes = dated["n_randomised"].astype(float).fillna(0).to_numpy()
    ax.scatter(
        dated["year"].astype(int),
        y + spread,
        s=np.where(known, np.maximum(PARTICIPANT_AREA * sizes, 5), 12),
        facecolors=[colour if is_known else "white" for is_known in known],
        edgecolors=["white" if is_known else colour for is_known in known],
        linewidths=[0.5 if is_known else 1.0 for is_known in known],
        alpha=0.85,
        zorder=2,
        clip_on=False,
        gid="trials",
    )


def _draw_weekly_minutes(ax: Axes, totals: Sequence[float]) -> None:
    least, most = ax.get_ylim()
    minutes = np.linspace(*ax.get_xlim(), 200)[1:]
    for total in totals:
        sessions = total / minutes
        inside = sessions <= most
        if sessions[-1] < least:
            continue
        ax.plot(minutes[inside], sessions[inside], color=FAINT, lw=0.8, zorder=1)
        ax.annotate(
            f"{total} min/week",
            xy=(minutes[-1], sessions[-1]),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=MUTED,
            annotation_clip=False,
        )


def _mark_median(ax: Axes, median: float) -> None:
    ax.axvline(median, color=INK, lw=1, ls=(0, (4, 3)), gid="median")
    ax.annotate(
        f"median {median:g}",
        xy=(median, 1),
        xycoords=ax.get_xaxis_transform(),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
    )


def _table_axes(ax: Axes | None, labels: list[str], extra: float) -> Axes:
    """Axes with a labelled row at y = 0, 1, ... from the top."""
    ax = new_axes(WIDTH, extra + ROW_HEIGHT * max(len(labels), 1)) if ax is None else ax
    ax.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return ax


def _heat_map(
    ax: Axes | None,
    shares: pd.DataFrame,
    texts: list[list[str]],
    rows: list[str],
    columns: list[str],
    what: str,
) -> Axes:
    """Shaded cells (0 to 1) with text, row labels at the left, column labels above."""
    upright = len(columns) <= 7
    names = [textwrap.fill(name, 11) if upright else name for name in columns]
    with figure_style():
        ax = _table_axes(ax, rows, extra=1.3)
        if shares.empty:
            ax.set(xlabel=f"{what}: none", xticks=[])
            return ax
        values = shares.to_numpy(dtype=float)
        ax.pcolormesh(values, cmap=SHADES, vmin=0, vmax=1, edgecolors="white", linewidth=1.5)
        ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
        turn: dict[str, Any] = (
            {} if upright else {"rotation": 40, "ha": "left", "rotation_mode": "anchor"}
        )
        ax.set_xticks(np.arange(len(columns)) + 0.5, names, **turn)
        ax.tick_params(axis="x", bottom=False, labeltop=True, labelbottom=False, pad=0)
        ax.set_xlabel(what)
        ax.spines[:].set_visible(False)
        for (y, x), share in np.ndenumerate(values):
            colour = "white" if share > 0.55 else INK
            _in_cell(ax, x + 0.5, y + 0.5, texts[y][x], fontsize=7.5, color=colour)
    return ax


def _in_cell(ax: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Write in the middle of a cell; the cell makes the room."""
    ax.text(x, y, text, ha="center", va="center", in_layout=False, **style)


def _beside(ax: Axes, text: str, y: float, *, bold: bool = False) -> None:
    ax.annotate(
        text,
        xy=(1, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=(26, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=8,
        fontweight="bold" if bold else "normal",
        annotation_clip=False,
    )


def _area_legend(ax: Axes, values: Sequence[int], area: float, title: str) -> None:
    handles = [
        ax.scatter([], [], s=area * value, color=MUTED, alpha=0.6, lw=0, label=str(value))
        for value in values
    ]
    legend_below(ax, handles, title=title, ncols=len(values), columnspacing=2.0)


def _unknown(count: int, of: str, what: str) -> str:
    """What an axis says of those it cannot show."""
    return f"  ({what} unknown for {count} {of}{'s' * (count > 1)}, not shown)" if count else ""


COLOURS = {LOW: "#009e73", UNCLEAR: "#e6b832", HIGH: "#d55e00", UNKNOWN: "#d9d9d9"}

SIGNS = {LOW: "+", UNCLEAR: "?", HIGH: "−", UNKNOWN: ""}
"""Colour and sign both say the risk."""

TRIAL_HEIGHT = 0.2

COLUMNS = {**DOMAIN_WORDS, "overall": "Overall"}


@remembers
def risk_of_bias_lights(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """Every appraised trial by domain; grey where no appraisal says anything.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional
        With room for names on the left; by default on a new figure.

    Returns
    -------
    Axes
        A row a trial, a column a domain.

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(exercise_type="yoga")
    >>> ax = bp.figures.risk_of_bias_lights(yoga)
    >>> [label.get_text() for label in ax.get_xticklabels()][:3]
    ['Random sequence', 'Concealed allocation', 'Blind participants']
    """
    require(evidence, "Evidence")
    table = traffic_light(evidence).set_index("trial_id")
    table = table[table["overall"] != UNKNOWN]
    named = evidence.trials.set_index("trial_id")
    names = [author_year(*named.loc[trial, ["first_author", "year"]]) for trial in table.index]
    with figure_style():
        ax = new_axes(WIDTH, 1.6 + TRIAL_HEIGHT * len(table)) if ax is None else ax
        for place, column in enumerate(COLUMNS):
            _lights(ax, place, table[column])
        ax.set_xlim(-0.6, len(COLUMNS) - 0.4)
        ax.set_ylim(len(table) - 0.4, -0.6)
        ax.set_yticks(range(len(table)), names)
        ax.xaxis.tick_top()
        ax.set_xticks(range(len(COLUMNS)), list(COLUMNS.values()), rotation=40, ha="left")
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
    return ax


def _lights(ax: Axes, place: int, judged: pd.Series) -> None:
    for risk in RISKS:
        rows = np.flatnonzero(judged.to_numpy() == risk)
        if not len(rows):
            continue
        ax.plot(
            *(np.full(len(rows), place), rows),
            *("o",),
            color=COLOURS[risk],
            ms=9,
            ls="",
            gid=f"light {risk}",
        )
        for row in rows:
            _in_cell(ax, place, float(row), SIGNS[risk], fontsize=8, color=INK)


@remembers
def risk_of_bias_summary(evidence: Evidence, *, ax: Axes | None = None) -> Axes:
    """Share of trials at each risk, by domain, with those that nobody appraised in grey.

    Parameters
    ----------
    evidence : Evidence
    ax : Axes, optional

    Returns
    -------
    Axes
        A bar a domain, in per cent of the trials.

    Examples
    --------
    >>> yoga = bp.load_evidence().filter(exercise_type="yoga")
    >>> ax = bp.figures.risk_of_bias_summary(yoga)
    >>> ax.get_xlabel(), len(ax.get_yticks())
    ('Trials, per cent', 9)
    """
    require(evidence, "Evidence")
    table = by_domain(evidence).set_index("domain").loc[list(COLUMNS)]
    shares = 100 * table / table.sum(axis=1).iloc[0]
    with figure_style():
        ax = new_axes(WIDTH, 0.9 + 0.3 * len(shares)) if ax is None else ax
        start = np.zeros(len(shares))
        for risk in RISKS:
            ax.barh(range(len(shares)), shares[risk], left=start, color=COLOURS[risk], label=risk)
            start += shares[risk].to_numpy()
        ax.set_yticks(range(len(shares)), list(COLUMNS.values()))
        ax.set_ylim(len(shares) - 0.4, -0.6)
        ax.set_xlim(0, 100)
        ax.set_xlabel("Trials, per cent")
        ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(RISKS))
    return ax
