"""How often the table of claims is wrong, on made-up trials whose truth is known.

    python benchmarks/claims.py --sets 400 --save claims.csv

Three truths, all with effects that differ between trials: exercise does nothing; it takes away just
the smallest difference that matters, of pain and of disability; it takes 25 points away. Type, dose
and number of sessions never matter. What is saved is kept: a second run goes on after it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from pathlib import Path

import pandas as pd

import backpain_analysis as bp
from backpain_analysis.answers.verdicts import NOT_TESTED, VERDICTS
from backpain_analysis.datasets.trials import TrialTruth

BENEFITS = ("C01", "C02", "C04", "C05", "C15")
NEVER = ("C14", "C19")
ALWAYS = ("C17",)

TYPES = {
    "aerobic_walking": 1.0,
    "aerobic_running": 1.0,
    "core_stabilisation": 1.0,
    "pilates": 1.0,
    "resistance": 1.0,
    "yoga": 1.0,
}

NONE, BORDER, LARGE = TRUTHS = ("no effect", "just the MCID", "25 points")


def truth(world: str, trials: int) -> TrialTruth:
    pain, disability = bp.mcid("pain_intensity"), bp.mcid("disability")
    effect = {NONE: 0.0, BORDER: -pain, LARGE: -25.0}[world]
    return TrialTruth(
        trials=trials,
        types=TYPES,
        any_exercise=effect,
        dose_coefficients=(0.0,),
        trial_effect_sd=5.0,
        arm_effect_sd=2.0,
        outcomes={
            "pain_intensity": 1.0,
            "disability": disability / pain if world == BORDER else 1.0,
        },
    )


def kind(world: str, claim: str) -> str:
    if claim in NEVER:
        return "false: one exercise is better, running harms"
    if claim in ALWAYS:
        return "true: sessions do not matter"
    return {
        NONE: "false: a benefit",
        BORDER: "a benefit of just the MCID",
        LARGE: "true: a large benefit",
    }[world]


def verdicts(seed: int, trials: int) -> pd.DataFrame:
    found = []
    for world in TRUTHS:
        evidence = bp.simulate_trials(truth(world, trials), seed)
        table = bp.claims(evidence, ids=[*BENEFITS, *NEVER, *ALWAYS]).table
        found.append(table[["claim_id", "verdict"]].assign(world=world, seed=seed))
    return pd.concat(found)


def shares(table: pd.DataFrame) -> str:
    tested = table[table["verdict"] != NOT_TESTED]
    kinds = [kind(*names) for names in zip(tested["world"], tested["claim_id"], strict=True)]
    counts = pd.crosstab(pd.Series(kinds, tested.index, name="claims"), tested["verdict"])
    counts = counts.reindex(columns=[name for name in VERDICTS if name != NOT_TESTED], fill_value=0)
    lines = ["| claims | verdicts | " + " | ".join(counts.columns) + " |"]
    lines.append("|---|" + "---:|" * (1 + len(counts.columns)))
    for name, row in counts.iterrows():
        parts = " | ".join(f"{100 * count / row.sum():.1f}%" for count in row)
        lines.append(f"| {name} | {row.sum()} | {parts} |")
    worst = pd.crosstab([tested["world"], tested["claim_id"]], tested["verdict"], normalize="index")
    return "\n".join(lines) + "\n\n" + (100 * worst).round(1).to_string()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--first", type=int, default=1, help="seed of the first set")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--save", type=Path, required=True)
    options = parser.parse_args()
    done = pd.read_csv(options.save) if options.save.exists() else pd.DataFrame({"seed": []})
    start = time.perf_counter()
    for seed in range(options.first, options.first + options.sets):
        if seed in set(done["seed"]):
            continue
        done = pd.concat([done, verdicts(seed, options.trials)])
        done.to_csv(options.save, index=False)
        print(f"seed {seed}, {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{done['seed'].nunique()} sets of {options.trials} trials\n\n{shares(done)}")


if __name__ == "__main__":
    main()
