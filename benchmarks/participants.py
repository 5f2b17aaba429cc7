"""Speed and memory of the longitudinal mixed model, beside statsmodels' MixedLM in the same run.

    python benchmarks/participants.py

Five visits a participant (a tenth of them missed), six trials, random intercept and slope, REML:
score ~ trial + week + dose:week + age. lme4 (R) takes 1.5 s for 20,000 participants (measured
elsewhere). All data are simulated here.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from timing import best_of

from backpain_analysis.models.people.longitudinal import longitudinal

WEEKS = np.array([0.0, 4.0, 8.0, 12.0, 26.0])
CHUNK = 20_000


def visits(n: int, *, scheduled: bool = True, first: int = 0, seed: int = 1) -> pd.DataFrame:
    """Visits of n participants; where not scheduled, up to two weeks late."""
    rng = np.random.default_rng([seed, first])
    person = rng.multivariate_normal([0, 0], [[120, -0.3], [-0.3, 0.3]], n)
    late = 0 if scheduled else np.round(rng.uniform(0, 2, (n, 5)), 2) * (WEEKS > 0)
    week = np.tile(WEEKS, (n, 1)) + late
    trial = rng.integers(0, 6, n)
    dose, age = rng.choice([0.0, 60.0, 120.0, 180.0], n), rng.normal(45, 10, n)
    mean = 60 + trial - 0.1 * age
    value = mean[:, None] - (0.2 + 0.002 * dose[:, None]) * week + person[:, :1]
    value += person[:, 1:] * week + rng.normal(0, 8, (n, 5))
    kept = ((rng.random((n, 5)) > 0.1) | (WEEKS == 0)).ravel()
    who = np.repeat(np.arange(n), 5)[kept]
    return pd.DataFrame(
        {
            "trial_id": np.array([f"t{i}" for i in range(6)])[trial[who]],
            "participant_id": np.array([f"p{first + i}" for i in range(n)])[who],
            "week": week.ravel()[kept],
            "dose": dose[who],
            "age": age[who],
            "value": value.ravel()[kept],
        }
    )


def chunks(n: int) -> Iterator[pd.DataFrame]:
    """The same, some participants at a time."""
    for first in range(0, n, CHUNK):
        yield visits(min(CHUNK, n - first), first=first)


def ours(data: pd.DataFrame) -> float:
    """Log-likelihood of `longitudinal`."""
    return longitudinal(data, covariates=["age"]).llf


def peer(data: pd.DataFrame) -> float:
    """Log-likelihood of MixedLM, weeks in units of ten or it does not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        formula = "value ~ trial_id + week + dose:week + age"
        scaled = data.assign(week=data["week"] / 10, dose=data["dose"] / 100)
        model = smf.mixedlm(formula, scaled, groups="participant_id", re_formula="~week")
        return model.fit(reml=True).llf - np.log(10) - np.log(10 * 100)


def _report(job: Callable[[], object], results: multiprocessing.Queue) -> None:
    start = time.perf_counter()
    job()
    results.put((time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


def apart(job: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and the most memory (MB) of a process of its own, Python itself included."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    process = context.Process(target=_report, args=(job, results))
    process.start()
    took, kilobytes = results.get()
    process.join()
    return took, kilobytes / 1024


def main() -> None:
    """Print the tables."""
    idle = apart(lambda: None)[1]
    print(f"peak memory of a process that has imported everything: {idle:.0f} MB\n")
    print("held in memory (data included)")
    print(f"{'participants':>12} {'weeks':>10} {'seconds':>8} {'peak MB':>8}")
    for n in (2_000, 20_000, 200_000):
        for scheduled in (True, False):
            peak = apart(lambda n=n, s=scheduled: ours(visits(n, scheduled=s)))[1]
            data = visits(n, scheduled=scheduled)
            took = best_of(lambda data=data: ours(data), 3) / 1000
            kind = "scheduled" if scheduled else "irregular"
            print(f"{n:>12,} {kind:>10} {took:>8.2f} {peak:>8.0f}", flush=True)
    print("\nin chunks of 20,000, simulation included")
    for n in (200_000, 1_000_000):
        took, peak = apart(lambda n=n: longitudinal(chunks(n), covariates=["age"]))
        print(f"{n:>12,} {'scheduled':>10} {took:>8.2f} {peak:>8.0f}", flush=True)
    print("\nbeside MixedLM, milliseconds")
    print(f"{'participants':>12} {'ours':>8} {'MixedLM':>8} {'ratio':>7} {'llf less theirs':>16}")
    for n in (250, 1_000):
        data = visits(n)
        mine = best_of(lambda data=data: ours(data), 3)
        theirs = best_of(lambda data=data: peer(data), 1)
        gain = ours(data) - peer(data)
        print(f"{n:>12,} {mine:>8.0f} {theirs:>8.0f} {theirs / mine:>6.0f}x {gain:>16.1e}")


if __name__ == "__main__":
    main()
