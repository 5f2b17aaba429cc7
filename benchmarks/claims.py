"""How often the table of claims is wrong, on made-up trials whose truth is known.

    python benchmarks/claims.py --replicates 100

Two truths, both with effects that differ between trials: exercise does nothing, and exercise takes
25 points of pain and of disability away, whatever its type and dose. A claim of a benefit is false
under the first and true, and large, under the second; a claim that one exercise is better than
another, or that running does harm, is false under both.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from collections import Counter, defaultdict

import backpain_analysis as bp
from backpain_analysis.answers.verdicts import (
    AGAINST,
    INCONCLUSIVE,
    NOT_TESTED,
    NOT_WORTHWHILE,
    SIZE_UNCERTAIN,
    SUPPORTED,
)
from backpain_analysis.datasets.trials import TrialTruth

BENEFITS = ("C01", "C02", "C04", "C05")
FALSE_ANYHOW = ("C14", "C19")

TYPES = {
    "aerobic_walking": 1.0,
    "aerobic_running": 1.0,
    "core_stabilisation": 1.0,
    "pilates": 1.0,
    "resistance": 1.0,
    "yoga": 1.0,
}

TRUTHS = {
    "no effect": 0.0,
    "25 points": -25.0,
}


def truth(effect: float, trials: int) -> TrialTruth:
    return TrialTruth(
        trials=trials,
        types=TYPES,
        any_exercise=effect,
        dose_coefficients=(0.0,),
        trial_effect_sd=5.0,
        arm_effect_sd=2.0,
        outcomes={"pain_intensity": 1.0, "disability": 1.0},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    options = parser.parse_args()
    start = time.perf_counter()
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for seed in range(1, options.replicates + 1):
        for name, effect in TRUTHS.items():
            evidence = bp.simulate_trials(truth(effect, options.trials), seed)
            found = bp.claims(evidence, ids=[*BENEFITS, *FALSE_ANYHOW])
            for row in found.table.itertuples():
                counts[name, row.claim_id][row.verdict] += 1
        if time.perf_counter() - start > options.seconds:
            break
    print(f"{seed} replicates of {options.trials} trials, {time.perf_counter() - start:.0f} s\n")
    heads = ("supported", "size uncertain", "inconclusive", "not worthwhile", "against")
    print("| truth | claim | tested | " + " | ".join(heads) + " |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for (name, claim), own in sorted(counts.items()):
        false = name == "no effect" or claim in FALSE_ANYHOW
        kind = "false claims" if false else "true claims of a large effect"
        totals[kind].update(own)
        print(f"| {name} | {claim} {_row(own)}")
    for kind, own in totals.items():
        print(f"| together | {kind} {_row(own)}")


def _row(own: Counter[str]) -> str:
    tested = sum(own.values()) - own[NOT_TESTED]
    columns = (SUPPORTED, SIZE_UNCERTAIN, INCONCLUSIVE, NOT_WORTHWHILE, AGAINST)
    shares = [f"{100 * own[verdict] / max(tested, 1):.1f}%" for verdict in columns]
    return f"| {tested} | " + " | ".join(shares) + " |"


if __name__ == "__main__":
    main()
