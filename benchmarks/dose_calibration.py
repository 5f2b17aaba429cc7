"""Does the answer on dose say what is true, as often as it should?

Made-up trials (`bp.simulate_trials`), read as reports, go through the whole path: effect sizes,
`bp.dose_answer`, its verdict. For each truth and number of trials (a cell), in per cent of the
sets: how often "more does more" and "more does less" are said, how often the 95% interval of the
typical dose's effect holds the true one, and how often the interval of the dose that first reaches
the MCID does, over all sets and over those whose answer names that dose.

Sets are made in rounds over the cells; the reports of a round are read together and then divided
into its sets. A round is kept as a file of the folder `--kept`, a row a set: a run that was ended
goes on where it stopped, and several may share the folder (each from another cell, `--from`).
`--table` sums up what is there.

    python benchmarks/dose_calibration.py --sets 1000 --kept sets
    python benchmarks/dose_calibration.py --kept sets --table data/dose_calibration.csv
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import backpain_analysis as bp
from backpain_analysis.answers.dose import LESS, MORE
from backpain_analysis.effects.table import Effects
from backpain_analysis.models.dose.search import DoseEstimate

MCID = 10.0
DOSE = "minutes_per_week"
CELL = ["truth", "trials"]


def reports(truth: bp.TrialTruth, sets: int, seed: int) -> list[Effects]:
    """Effect sizes of so many sets of trials."""
    n = truth.trials
    drawn = bp.simulate_trials(replace(truth, trials=n * sets), seed)
    effects = drawn.effects("pain_intensity")
    order = {trial: place for place, trial in enumerate(sorted(drawn.trials["trial_id"]))}
    own = effects.table["trial_id"].map(order).to_numpy() // n
    return [effects.select(own == number, "in another set") for number in range(sets)]


def answer_of(effects: Effects, truth: bp.TrialTruth) -> dict[str, object]:
    """What the answer says of one set of trials, beside the truth."""
    try:
        answer = bp.dose_answer(effects, DOSE, mcid=MCID)
    except bp.CannotEstimate as fault:
        return {"verdict": f"no answer: {fault.reason}"}
    row = {
        "verdict": answer.verdict,
        "typical": answer.typical,
        "effect_true": truth.effect(answer.typical),
        "effect": answer.effect.estimate,
        "effect_low": answer.effect.ci_low,
        "effect_high": answer.effect.ci_high,
        "weight": answer.weight,
        "mcid_true": truth.dose_reaching(-MCID),
        "named": answer.mcid_dose is not None and answer.mcid_dose.reached,
    }
    if answer.slope is not None:
        row |= {"slope": answer.slope.estimate, "slope_p": answer.slope.p_value}
    if answer.curves is not None:
        dose = answer.curves.dose_for(-MCID)
        row |= {"mcid": dose.estimate, "mcid_low": dose.ci_low, "mcid_high": dose.ci_high}
        row |= {"lowest": dose.low, "highest": dose.high, "mcid_held": holds(dose, truth)}
    return row


def holds(dose: DoseEstimate, truth: bp.TrialTruth) -> bool:
    """Whether the interval holds the true dose; one below the doses searched stands at their edge.

    An interval without a lower end says that the effect is reached nowhere.
    """
    true = truth.dose_reaching(-MCID)
    if np.isnan(dose.ci_low):
        return not true <= dose.high
    upper = np.inf if np.isnan(dose.ci_high) else dose.ci_high
    return dose.ci_low <= max(true if np.isfinite(true) else np.inf, dose.low) <= upper


def table(sets: pd.DataFrame) -> pd.DataFrame:
    """A row a cell: per cent of its sets, see the head of this file."""
    told = sets.assign(
        answered=~sets["verdict"].str.startswith("no answer"),
        more=sets["verdict"] == MORE,
        less=sets["verdict"] == LESS,
        effect_held=sets["effect_true"].between(sets["effect_low"], sets["effect_high"]),
        mcid_held=sets["mcid_held"].astype(float),
        named=sets["named"].fillna(False).astype(bool),
    )
    told["mcid_held_where_named"] = told["mcid_held"].where(told["named"])
    told["effect_held"] = told["effect_held"].where(told["answered"]).astype(float)
    shares = ["answered", "more", "less", "effect_held", "mcid_held", "named"]
    cells = told.groupby(CELL, sort=False)
    found = (100 * cells[[*shares, "mcid_held_where_named"]].mean()).round(1)
    found.insert(0, "sets", cells.size())
    order = {name: place for place, name in enumerate(bp.datasets.TRIAL_TRUTHS)}
    return found.reset_index().sort_values(CELL, key=lambda at: at.map(order).fillna(at))


def markdown(found: pd.DataFrame) -> str:
    """The rows as they stand in README.md."""
    lines = []
    for row in found.drop(columns="answered").itertuples(index=False):
        shares = ("" if np.isnan(share) else f"{share:.0f}" for share in row[3:])
        lines.append(f"| {row.truth} | {row.trials} | {row.sets} | {' | '.join(shares)} |")
    return "\n".join(lines)


def run(cells: list[tuple[str, int]], sets: int, size: int, kept: Path) -> None:
    """Make the rounds that are not kept yet."""
    kept.mkdir(parents=True, exist_ok=True)
    for number, (name, trials) in product(range(1, sets // size + 1), cells):
        path = kept / f"{name.replace(', ', ' ')}, {trials} trials, {number}.csv"
        if path.exists():
            continue
        began = time.process_time()
        truth = replace(bp.datasets.TRIAL_TRUTHS[name], trials=trials)
        rows = [answer_of(effects, truth) for effects in reports(truth, size, number)]
        found = pd.DataFrame(rows).assign(truth=name, trials=trials, round=number)
        unfinished = path.with_suffix(f".{os.getpid()}")
        found.to_csv(unfinished, index=False)
        unfinished.replace(path)
        print(f"{path.stem}: {(time.process_time() - began) / size:.2f} s a set", flush=True)


def main() -> None:
    """Make sets, keep them, and print a row a cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=0, help="a cell")
    parser.add_argument("--size", type=int, default=50, help="sets of a round")
    parser.add_argument("--trials", type=int, nargs="+", default=[8, 16, 40])
    parser.add_argument("--truths", nargs="+", default=list(bp.datasets.TRIAL_TRUTHS))
    parser.add_argument("--from", type=int, default=0, dest="first", help="cell to begin with")
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    cells = list(product(options.truths, options.trials))
    run(cells[options.first :] + cells[: options.first], options.sets, options.size, options.kept)
    found = table(pd.concat(map(pd.read_csv, sorted(options.kept.glob("*.csv")))))
    print(markdown(found))
    if options.table:
        found.to_csv(options.table, index=False)


if __name__ == "__main__":
    main()
