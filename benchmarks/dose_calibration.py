"""Does the answer on dose say what is true, as often as it should?

Made-up trials (`bp.simulate_trials`), read as reports, go through the whole path: effect sizes,
`bp.dose_answer`, its verdict. For each truth and number of trials, in per cent of the sets: how
often "more does more" is said, how often the 95% interval of the typical dose's effect holds the
true one, and how often the interval of the dose that first reaches the MCID does, over all sets
and over those whose answer names that dose.

    python benchmarks/dose_calibration.py --sets 200
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import backpain_analysis as bp
from backpain_analysis.answers.dose import MORE
from backpain_analysis.models.dose.search import DoseEstimate

MCID = 10.0
DOSE = "minutes_per_week"
COLUMNS = ("answered", "more", "less", "effect", "mcid", "named", "mcid_named")


def holds(dose: DoseEstimate, true: float) -> bool:
    """Whether the interval holds the true dose; one below the doses searched stands at their edge.

    An interval without a lower end says that the effect is reached nowhere.
    """
    if np.isnan(dose.ci_low):
        return not true <= dose.high
    upper = np.inf if np.isnan(dose.ci_high) else dose.ci_high
    return dose.ci_low <= max(true if np.isfinite(true) else np.inf, dose.low) <= upper


def one_set(truth: bp.TrialTruth, seed: int) -> dict[str, float]:
    """What the answer says of one set of trials, beside the truth."""
    row = dict.fromkeys(COLUMNS, np.nan)
    row["answered"] = 0.0
    effects = bp.simulate_trials(truth, seed).effects("pain_intensity")
    try:
        answer = bp.dose_answer(effects, DOSE, mcid=MCID)
    except bp.CannotEstimate:
        return row
    row |= {"answered": 1.0, "more": answer.verdict == MORE}
    row["less"] = answer.supported and answer.verdict != MORE
    true = truth.effect(answer.typical)
    row["effect"] = answer.effect.ci_low <= true <= answer.effect.ci_high
    reaching = truth.dose_reaching(-MCID)
    if answer.curves is not None:
        row["mcid"] = holds(answer.curves.dose_for(-MCID), reaching)
    row["named"] = answer.mcid_dose is not None
    if answer.mcid_dose is not None:
        row["mcid_named"] = holds(answer.mcid_dose, reaching)
    return row


def main() -> None:
    """Simulate and print a row a truth and number of trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--trials", type=int, nargs="+", default=[8, 16, 40])
    parser.add_argument("--truths", nargs="+", default=list(bp.datasets.TRIAL_TRUTHS))
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    header = " | ".join(COLUMNS)
    print(f"| truth | trials | {header} |", flush=True)
    with ProcessPoolExecutor(options.workers) as pool:
        for name in options.truths:
            for trials in options.trials:
                truth = replace(bp.datasets.TRIAL_TRUTHS[name], trials=trials)
                rows = pool.map(partial(one_set, truth), range(options.sets), chunksize=5)
                shares = 100 * pd.DataFrame(rows, columns=COLUMNS, dtype=float).mean()
                cells = " | ".join("" if np.isnan(share) else f"{share:.1f}" for share in shares)
                print(f"| {name} | {trials} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
