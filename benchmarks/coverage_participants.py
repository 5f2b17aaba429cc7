"""How often the intervals of participant-level models hold the true dose effect.

    python benchmarks/coverage_participants.py --replicates 1000

Six trials of four doses, 600 participants, are drawn from known truths, and the effect of the
largest dose at week 12 is estimated by each model. The same seed gives the same table on any
number of processes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from backpain_analysis.datasets.participants import Truth, draw_people, draw_scores
from backpain_analysis.engine.search import ConvergenceError
from backpain_analysis.models.dose.curves import rcs
from backpain_analysis.models.people.ancova import ancova
from backpain_analysis.models.people.clda import clda
from backpain_analysis.models.people.longitudinal import longitudinal
from backpain_analysis.models.people.power import PLAIN, visit_tables

DOSE, WEEK = 240.0, 12.0
KNOTS = (0.0, 4.0, 12.0, 26.0)
FIRST = 200
"""Replicates of the first column of coverage: the number the project set itself."""
SLOW = ("cLDA, unstructured",)
"""Models fitted to the first replicates only."""

STRAIGHT = replace(
    PLAIN,
    dose_coefficients=(-0.05,),
    time_curve="linear",
    half_time_weeks=6.0,
    dropout_per_visit=0.0,
)
"""Straight lines in dose and in time: 12 points at 240 minutes a week by week 12."""
DROPOUT = {"dropout_per_visit": 0.08, "dropout_odds_ratio": 1.5}
TRUTHS = {
    "straight lines, nobody drops out": STRAIGHT,
    "straight lines, dropout by last score": replace(STRAIGHT, **DROPOUT),
    "straight lines, trials' effects differ": replace(STRAIGHT, effect_trial_sd=0.3),
    "the bundled synthetic set": Truth(),
}

Model = Callable[[pd.DataFrame, str], pd.DataFrame]
MODELS: dict[str, Model] = {
    "longitudinal, straight in time": lambda v, curve: longitudinal(v, curve=curve).predict(
        [DOSE], WEEK
    ),
    "longitudinal, spline in time": lambda v, curve: longitudinal(
        v, curve=curve, time=rcs(KNOTS)
    ).predict([DOSE], WEEK),
    "cLDA, unstructured": lambda v, curve: clda(v, curve=curve).predict([DOSE], week=WEEK),
    "ancova, one effect (CE)": lambda v, curve: ancova(
        v, week=WEEK, curve=curve, method="CE"
    ).predict([DOSE]),
    "ancova, trials differ (REML, t)": lambda v, curve: ancova(v, week=WEEK, curve=curve).predict(
        [DOSE]
    ),
}


def visits_of(truth: Truth, rng: np.random.Generator) -> pd.DataFrame:
    """The table of visits of one set of trials, arms of equal size."""
    trial = np.repeat(np.arange(len(truth.trial_sizes)), truth.trial_sizes)
    arm = np.concatenate([np.arange(n) % len(truth.doses) for n in truth.trial_sizes])
    dose = truth.doses[arm]
    people = draw_people(truth, rng, (1, len(dose)))
    return next(
        visit_tables(truth, dose, trial, people, draw_scores(truth, dose, trial, people, rng))
    )


def replicate(number: int, *, name: str, seed: int) -> list[dict]:
    """What every model says of one set."""
    truth = TRUTHS[name]
    rng = np.random.default_rng([seed, list(TRUTHS).index(name), number])
    visits, true, rows = visits_of(truth, rng), truth.effect(DOSE, WEEK), []
    for model, analyse in MODELS.items():
        if model in SLOW and number >= FIRST:
            continue
        row = {"model": model, "replicate": number}
        try:
            found = analyse(visits, truth.dose_curve).iloc[0]
        except ConvergenceError:
            rows.append(row)
            continue
        row["covers"] = float(found["ci_low"] <= true <= found["ci_high"])
        row["error"] = found["estimate"] - true
        row |= {"se": found["se"], "width": found["ci_high"] - found["ci_low"]}
        rows.append(row)
    return rows


def coverage_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a model, per cent and points; replicates that failed are counted apart."""
    groups = rows.groupby("model", sort=False)
    first = rows[rows["replicate"] < FIRST].groupby("model", sort=False)
    return pd.DataFrame(
        {
            f"first {FIRST}, %": 100 * first["covers"].mean(),
            "all, %": 100 * groups["covers"].mean(),
            "sets": groups.size(),
            "bias": groups["error"].mean(),
            "its error": groups["error"].sem(),
            "SD": groups["error"].std(),
            "mean SE": groups["se"].mean(),
            "width": groups["width"].mean(),
            "failed": groups["covers"].apply(lambda column: column.isna().sum()),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1000, help="for each truth")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    error = 100 * np.sqrt(0.95 * 0.05 / np.array([FIRST, options.replicates]))
    print(
        f"Coverage of 95% intervals for {DOSE:g} minutes per week at week {WEEK:g}; "
        f"simulation error {error[0]:.1f} (first {FIRST}) and {error[1]:.1f} (all)"
    )
    with ProcessPoolExecutor(options.processes) as pool:
        for name in TRUTHS:
            start = time.perf_counter()
            run = partial(replicate, name=name, seed=options.seed)
            rows = [row for one in pool.map(run, range(options.replicates)) for row in one]
            print(f"\n{name} ({time.perf_counter() - start:.0f} s)")
            print(coverage_table(pd.DataFrame(rows)).round(2).to_string(), flush=True)


if __name__ == "__main__":
    main()
