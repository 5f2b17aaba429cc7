"""Give the models small, awkward data and count what comes of it.

    python benchmarks/fuzz.py
    python benchmarks/fuzz.py --problems 10000 --first 0

Each problem is made from its number: few trials; equal, huge, tiny or missing numbers; collinear
or constant moderators; groups of one; any option. A model may answer, refuse with a message of
ours, or refuse a wrong argument. Anything else is told: a warning, an error of numpy, pandas or
scipy, and an answer whose words or tables cannot be shown.
"""

from __future__ import annotations

import argparse
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import backpain_analysis as bp

PACKAGE = str(Path(bp.__file__).parent)
METHODS = ["REML", "ML", "CE", "DL", "HE", "HS", "HSk", "SJ", "PM", "PMM", "EB"]
TESTS = ["knapp-hartung", "adhoc", "t", "z"]


def effects(rng: np.random.Generator, k: int) -> pd.DataFrame:
    """Effect sizes and variances, more awkward than any journal prints."""
    size = rng.choice([1.0, 1.0, 1e-6, 1e6, 0.0])
    kind = rng.integers(6)
    if kind == 0:
        yi = np.full(k, rng.choice([0.0, -5.0, 3.3]))
    elif kind == 1:
        yi = rng.choice([-1.0, 0.0, 1.0], k) * size
    elif kind == 2:
        yi = rng.normal(0, 1, k) + rng.choice([0, 0, 1e8], k)
    else:
        yi = rng.normal(rng.normal(), 1, k) * size
    vi = rng.choice([np.full(k, 0.3), rng.uniform(0.1, 2, k), 10 ** rng.uniform(-4, 4, k)])
    table = pd.DataFrame({"yi": yi, "vi": vi})
    table["x"] = rng.choice(
        np.array(
            [
                rng.integers(0, 3, k).astype(float),
                np.zeros(k),
                rng.normal(2000, 10, k),
                rng.normal(0, 1, k),
            ]
        )
    )
    table["z"] = table["x"] * 2 + rng.choice([0, 1]) * rng.normal(0, 1, k)
    table["kind"] = rng.choice(["a", "b", "c"], k)
    table["trial"] = rng.integers(0, max(1, k // rng.integers(1, 4)), k).astype(str)
    if rng.random() < 0.15:
        column = rng.choice(["yi", "vi", "x", "kind", "trial"])
        table.loc[rng.integers(k), column] = None if column in ("kind", "trial") else np.nan
    return table


def arms(rng: np.random.Generator) -> pd.DataFrame:
    """Trials of two to four arms with doses, treatments, means."""
    rows = []
    doses = rng.choice([0.0, 30.0, 60.0, 120.0, 1e4], 4, replace=rng.random() < 0.2)
    for trial in range(rng.integers(1, 7)):
        names = rng.permutation(["usual_care", "yoga", "walking", "pilates"])
        for arm in range(rng.integers(1, 5) if rng.random() < 0.1 else rng.integers(2, 4)):
            rows.append(
                {
                    "trial_id": f"t{trial}",
                    "treatment": names[arm],
                    "dose": doses[arm],
                    "mean": rng.choice([50.0, rng.normal(50, 10), rng.normal(50, 10)]),
                    "sd": rng.choice([20.0, rng.uniform(5, 30), 1e-3]),
                    "n": int(rng.choice([2, 10, 40, 4000])),
                    "kind": "ab"[trial % 2],
                }
            )
    return pd.DataFrame(rows)


def shown(result: object, *, refits: bool = True) -> None:
    """All that a page may ask of a result."""
    str(result), repr(result)
    methods = ["_repr_html_", "summary", "conf_int", "to_frame"] + ["influence"] * refits
    for name in methods:
        if hasattr(result, name):
            getattr(result, name)()
    for name in ("notes", "omnibus", "table", "i2", "r2", "tau2_se", "tau2_ci_low", "pvalues"):
        getattr(result, name, None)


def told(call: Callable[[], object]) -> object:
    """What comes of a question that the data may not carry."""
    try:
        return call()
    except bp.CannotEstimate:
        return None


def pooling(rng: np.random.Generator) -> None:
    data = effects(rng, int(rng.integers(1, 7)))
    options = {"method": rng.choice(METHODS), "test": rng.choice(TESTS)}
    result = bp.pool(data["yi"], data["vi"], **options)
    shown(result)
    result.predict()
    told(result.heterogeneity)
    told(lambda: result.heterogeneity("profile-likelihood"))
    for diagnostic in (bp.leave_one_out, bp.influence, bp.cumulative, bp.trim_and_fill):
        told(lambda diagnostic=diagnostic: diagnostic(result))
    for diagnostic in (bp.egger_test, bp.rank_test, bp.pet_peese, bp.selection_model):
        shown(told(lambda diagnostic=diagnostic: diagnostic(result)))
    told(lambda: bp.permutation_test(result, arrangements=20))


def regression(rng: np.random.Generator) -> None:
    data = effects(rng, int(rng.integers(2, 8)))
    formula = rng.choice(["yi ~ x", "yi ~ kind", "yi ~ x + z", "yi ~ x * kind", "yi ~ x - 1"])
    options = {"method": rng.choice(METHODS), "test": rng.choice(TESTS)}
    result = bp.meta_regression(str(formula), data, **options)
    shown(result)
    result.predict(data.dropna())
    told(result.heterogeneity)
    if result.design.X.shape[1] > 1:
        told(lambda: bp.permutation_test(result, arrangements=10))


RANDOM = ["trial", "trial/row", "CS(kind) | trial", "HCS(kind) | trial", "x | trial"]


def several_levels(rng: np.random.Generator) -> None:
    data = effects(rng, int(rng.integers(2, 9)))
    data["row"] = np.arange(len(data))
    formula = rng.choice(["yi ~ 1", "yi ~ x", "yi ~ kind"])
    known: object = "vi"
    if rng.random() < 0.5:
        known = bp.sampling_covariance("vi", "trial", rho=float(rng.choice([0.5, 0.99])), data=data)
    result = bp.multilevel(
        str(formula),
        data,
        V=known,
        random=str(rng.choice(RANDOM)),
        method=str(rng.choice(["REML", "ML", "CE"])),
        test=str(rng.choice(["z", "t", "contain"])),
    )
    shown(result)
    result.residuals()
    result.predict(result.data)
    if len(result.sigma2):
        told(result.blups)
        told(result.variance_intervals)
    robust = told(lambda: result.robust("trial", str(rng.choice(["CR0", "CR1", "CR1S", "CR2"]))))
    if robust is not None:
        shown(robust, refits=False)
        robust.predict(result.data)


def doses(rng: np.random.Generator) -> None:
    stages = int(rng.choice([1, 1, 2]))
    result = bp.dose_response(
        arms(rng),
        curve=str(rng.choice(["linear", "quadratic", "log", "constant", "rcs"])),
        stages=stages,
        method=str(rng.choice(["REML", "ML", "CE"])),
        heterogeneity=str(rng.choice(["curve", "contrasts"])) if stages == 1 else "curve",
        test=str(rng.choice(["t", "z", "CR2", "knapp-hartung"])),
        measure=str(rng.choice(["MD", "SMD"])),
        moderators=None if rng.random() < 0.8 else "kind",
    )
    shown(result, refits=False)
    told(lambda: result.predict([0.0, 60.0, 120.0]))
    told(lambda: result.predict([0.0, 60.0, 120.0], extrapolate=True))


def networks(rng: np.random.Generator) -> None:
    result = bp.network(
        arms(rng),
        method=str(rng.choice(["REML", "ML", "DL", "CE"])),
        measure=str(rng.choice(["MD", "SMD"])),
        lower_is_better=True,
    )
    str(result), repr(result), result._repr_html_()
    result.league()
    for question in (result.ranking, result.node_split, result.heterogeneity):
        told(question)


MODELS = [pooling, regression, several_levels, doses, networks]


def outcome(number: int) -> str:
    """What comes of a problem: "answered", "refused", or what is wrong."""
    rng = np.random.default_rng(number)
    model = MODELS[number % len(MODELS)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            model(rng)
        except bp.CannotEstimate:
            return "refused"
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)
            plain = type(error) is ValueError and where[-1].filename.startswith(PACKAGE)
            if plain:
                return "refused"
            ours = [frame for frame in where if frame.filename.startswith(PACKAGE)]
            place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "fuzz"
            return f"{model.__name__}: {type(error).__name__} at {place}: {str(error)[:90]}"
    return "answered"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    chosen = parser.parse_args()
    counts: Counter[str] = Counter()
    example: dict[str, int] = {}
    start = time.perf_counter()
    for step in range(chosen.problems):
        number = chosen.first + step
        found = outcome(number)
        counts[found] += 1
        example.setdefault(found, number)
        if found not in ("answered", "refused") and counts[found] == 1:
            print(f"{number}: {found}", flush=True)
        if (step + 1) % 500 == 0:
            print(f"{step + 1} problems, {time.perf_counter() - start:.0f} s", flush=True)
    for found, count in counts.most_common():
        print(f"{count:6d}  {found}  (first: {example[found]})")


if __name__ == "__main__":
    main()
