"""Speed and memory of the engine, beside pimeta and PyMARE on the same problems in the same run.

    pip install -r benchmarks/requirements.txt
    python benchmarks/engine.py

Times are the best of several runs, in milliseconds. All data are simulated here.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tracemalloc
import warnings

import numpy as np
import pandas as pd
from timing import best_of

import backpain_analysis as bp
from backpain_analysis.engine.mixed import fit
from backpain_analysis.engine.terms import RandomTerm

RNG = np.random.default_rng(1)


def studies(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Effect sizes and variances of k independent studies with tau2 = 0.5."""
    v = RNG.uniform(0.5, 2, k)
    return RNG.normal(size=k) * np.sqrt(v + 0.5), v


def three_level(trials: int, effects: int = 4) -> pd.DataFrame:
    """Trials of several effects, variances between 0.04 and 0.09 at both levels."""
    n = trials * effects
    data = pd.DataFrame(
        {
            "trial_id": np.repeat(np.arange(trials), effects),
            "effect_id": np.arange(n),
            "vi": RNG.uniform(0.05, 0.2, n),
            "x": RNG.normal(size=n),
        }
    )
    between = np.repeat(RNG.normal(0, 0.3, trials), effects) + RNG.normal(0, 0.2, n)
    return data.assign(yi=0.3 + 0.1 * data["x"] + between + RNG.normal(0, np.sqrt(data["vi"])))


def against_peers() -> pd.DataFrame:
    """REML, data to result: ours and pimeta with Knapp-Hartung, PyMARE with its Q-profile interval.

    `times pimeta`, `times PyMARE`: how often ours fits into theirs. `apart`: the largest difference
    of estimates, standard errors and tau2 from theirs, relative.
    """
    import pimeta
    from pymare import Dataset
    from pymare.estimators import VarianceBasedLikelihoodEstimator

    rows = []
    for k in (50, 2000, 20_000):
        y, v = studies(k)

        def pymare(y=y, v=v, k=k):
            data = Dataset(y[:, None], v[:, None], X=np.ones((k, 1)), add_intercept=False)
            result = VarianceBasedLikelihoodEstimator(method="REML").fit_dataset(data).summary()
            return result.get_fe_stats(), result.get_re_stats(method="QP")

        def ours(y=y, v=v):
            return bp.pool(y, v)

        def peer(y=y, v=v):
            return pimeta.rma(yi=y, vi=v, method="REML", test="knha")

        mine, other = ours(), pymare()
        found = [np.ravel(other[0]["est"])[0], np.ravel(other[1]["tau^2"])[0]]
        row = {"problem": f"pool, {k} studies", "ours": best_of(ours, 30)}
        row |= {"PyMARE": best_of(pymare), "apart": apart([mine.estimate, mine.tau2], found)}
        # pimeta takes minutes from 2,000 studies on
        if k == 50:
            theirs = peer()
            row["pimeta"] = best_of(peer, 30)
            own = [mine.estimate, mine.se, mine.tau2]
            row["apart"] = max(
                row["apart"],
                apart(own, [np.ravel(theirs.b)[0], np.ravel(theirs.se)[0], theirs.tau2]),
            )
        rows.append(row)
    y, v = studies(50)
    x = RNG.normal(size=50)
    table = pd.DataFrame({"yi": y, "vi": v, "x": x})

    def by_formula():
        return bp.meta_regression("yi ~ x", table)

    def by_matrix():
        return pimeta.rma(yi=y, vi=v, mods=x[:, None], method="REML", test="knha")

    mine, theirs = by_formula(), by_matrix()
    own = [*mine.params, *np.sqrt(np.diag(mine.cov)), mine.tau2]
    regression = {
        "problem": "meta-regression, 50 studies (ours by formula)",
        "ours": best_of(by_formula, 30),
        "pimeta": best_of(by_matrix, 30),
        "apart": apart(own, [*np.ravel(theirs.b), *np.ravel(theirs.se), theirs.tau2]),
    }
    found = pd.DataFrame([*rows, regression])
    for peer_name in ("pimeta", "PyMARE"):
        found[f"times {peer_name}"] = found[peer_name] / found["ours"]
    return found.assign(apart=found["apart"].map("{:.0e}".format))


def apart(own: list[float], theirs: list[float]) -> float:
    """The largest relative difference."""
    return float(np.max(np.abs(np.array(own, dtype=float) / np.array(theirs, dtype=float) - 1)))


def larger_models() -> pd.DataFrame:
    """Models that PyMARE does not have."""
    rows = []
    for trials in (300, 3000):
        data = three_level(trials)
        options = {"V": "vi", "random": ["trial_id/effect_id"]}
        result = bp.multilevel("yi ~ x", data, **options)
        name = f"{trials} trials of four effects"
        run = best_of(lambda d=data, o=options: bp.multilevel("yi ~ x", d, **o))
        rows.append({"problem": f"three-level, {name}", "ours": run})
        run = best_of(lambda r=result: r.robust("trial_id"))
        rows.append({"problem": f"CR2 with Satterthwaite, {name}", "ours": run})
    for trials in (100, 1000):
        y, X, S, labels = dose_trials(trials)
        term = RandomTerm(X)
        run = best_of(lambda y=y, X=X, S=S, b=labels, t=term: fit(y, X, S, blocks=b, terms=[t]))
        rows.append({"problem": f"one-stage quadratic, {trials} trials of four arms", "ours": run})
    return pd.DataFrame(rows)


def dose_trials(trials: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """Three contrasts a trial against a shared arm, on a quadratic curve in minutes."""
    labels = np.repeat(np.arange(trials), 3)
    dose = RNG.choice([30.0, 60, 90, 120, 180, 240], len(labels))
    X = np.column_stack([dose, dose**2])
    shared = RNG.uniform(5, 20, trials)
    S = [np.diag(RNG.uniform(5, 20, 3)) + s for s in shared]
    slope = np.repeat(RNG.normal(-0.1, 0.03, trials), 3)
    noise = np.concatenate([RNG.multivariate_normal(np.zeros(3), s) for s in S])
    return slope * dose + 2e-4 * dose**2 + noise, X, S, labels


def memory() -> pd.DataFrame:
    """Peak memory of a three-level fit: doubling the trials should double it."""
    rows = []
    for trials in (2000, 4000, 8000):
        data = three_level(trials)
        tracemalloc.start()
        bp.multilevel("yi ~ x", data, V="vi", random=["trial_id/effect_id"])
        rows.append({"trials": trials, "MiB": tracemalloc.get_traced_memory()[1] / 2**20})
        tracemalloc.stop()
    return pd.DataFrame(rows)


def without_each() -> pd.DataFrame:
    """Leave-one-out and its kin by REML, seconds: time should grow as the studies."""
    rows = []
    for k in (1000, 10_000, 100_000):
        y, v = studies(k)
        table = pd.DataFrame({"yi": y, "vi": v, "x": RNG.normal(size=k)})
        fitted = bp.meta_regression("yi ~ x", table)
        runs = {
            "leave-one-out": lambda y=y, v=v: bp.leave_one_out(y, v),
            "cumulative": lambda y=y, v=v: bp.cumulative(y, v),
            "influence": lambda y=y, v=v: bp.influence(y, v),
            "influence, one moderator": fitted.influence,
        }
        times = {name: best_of(run, 1) / 1000 for name, run in runs.items()}
        rows.append({"studies": k} | times)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for part in (against_peers, larger_models, without_each, memory):
        print(part.__doc__)
        print(part().round(2).to_string(index=False), "\n")
