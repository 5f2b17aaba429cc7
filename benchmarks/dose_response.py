"""Speed of a one-stage dose-response meta-analysis, from a table of arms and of the engine alone.

    python benchmarks/dose_response.py
    python benchmarks/dose_response.py --profile

Times are the best of several runs, in milliseconds. All data are simulated here.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from timing import best_of

import backpain_analysis as bp
from backpain_analysis.engine.mixed import fit

DOSES = np.array([30.0, 60, 90, 120, 180, 240, 300])
MEAN, SPREAD = np.array([-0.16, 4e-4]), np.array([0.03, 6e-5])
SD = 20.0
REPLICATES = 2000


def arms(trials: int, size: int = 4) -> pd.DataFrame:
    """A control arm and three others a trial on a quadratic curve in minutes a week."""
    rng = np.random.default_rng(trials)
    chosen = rng.permuted(np.tile(DOSES, (trials, 1)), axis=1)[:, : size - 1]
    dose = np.column_stack([np.zeros(trials), np.sort(chosen, axis=1)])
    slope, bend = (MEAN + rng.normal(size=(trials, 2)) * SPREAD).T
    n = rng.integers(20, 81, dose.shape)
    mean = 50 + slope[:, None] * dose + bend[:, None] * dose**2
    mean = mean + rng.normal(size=dose.shape) * SD / np.sqrt(n)
    trial = np.repeat([f"trial {number}" for number in range(trials)], size)
    columns = {"trial_id": trial, "dose": dose.ravel(), "mean": mean.ravel(), "n": n.ravel()}
    return pd.DataFrame(columns).assign(sd=SD)


def speed(trials: int) -> dict[str, float]:
    """The whole call, the fit of effects that are there already, and the engine alone."""
    data = arms(trials)
    result = bp.dose_response(data, curve="quadratic")
    model, effects = result.engine, result.effects
    blocks = effects.table["trial_id"].to_numpy()

    def engine():
        return fit(model.y, model.X, effects.covariance, blocks=blocks, terms=model.terms)

    return {
        "trials": trials,
        "from a table of arms": best_of(lambda: bp.dose_response(data, curve="quadratic")),
        "from Effects": best_of(lambda: result.refit(effects)),
        "engine alone": best_of(engine),
        "iterations": model.n_iterations,
    }


def profile(trials: int, lines: int = 25) -> None:
    """Print the most expensive calls of one fit from a table of arms."""
    data = arms(trials)
    bp.dose_response(data, curve="quadratic")
    profiler = cProfile.Profile()
    profiler.runcall(bp.dose_response, data, curve="quadratic")
    pstats.Stats(profiler).strip_dirs().sort_stats("cumtime").print_stats(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    if parser.parse_args().profile:
        profile(1000)
        return
    print("One-stage quadratic REML, trials of four arms, milliseconds")
    print(pd.DataFrame([speed(100), speed(1000)]).round(1).to_string(index=False), "\n")
    result = bp.dose_response(arms(100), curve="quadratic")
    taken = best_of(lambda: result.bootstrap(REPLICATES), repeats=2)
    print(f"Parametric bootstrap, {REPLICATES} replicates of the 100-trial fit: {taken:.0f} ms")


if __name__ == "__main__":
    main()
