"""Are posteriors calibrated, and how fast are they?

Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788): parameters are drawn from the
prior, data from the parameters, and the posterior's probability below the true value is found
exactly. Over many draws these probabilities are uniform on (0, 1), whatever the prior, if and only
if the posterior is right. For pooling, a dose-response curve and a network; each parameter's
probabilities are put to a Kolmogorov-Smirnov test, and the share inside central 50% and 95%
intervals is told.

    python benchmarks/bayes.py --sets 2000
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Callable, Iterator

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy import stats
from timing import best_of

import backpain_analysis as bp
from backpain_analysis.errors import CannotEstimate

priors = bp.priors
SD = 20.0
"""Of pain within arms, in points of 0-100."""

Found = dict[str, float]


def tau_of(prior: priors.TauPrior, rng: np.random.Generator) -> float:
    """A draw of tau."""
    if prior.is_log:
        noise = rng.standard_normal() if np.isinf(prior.df) else rng.standard_t(prior.df)
        return float(np.exp((prior.location + prior.scale * noise) / 2))
    noise = rng.standard_normal() if np.isinf(prior.df) else rng.standard_t(prior.df)
    return float(abs(noise) * prior.scale)


def pooling(rng: np.random.Generator, tau_prior: priors.TauPrior) -> Found:
    """Two to nine trials, tau and the mean from their priors."""
    prior = priors.Prior(tau_prior, priors.normal(0, 15))
    tau, mean = tau_of(tau_prior, rng), rng.normal(0, 15)
    count = int(rng.integers(2, 10))
    v = 2 * SD**2 / rng.integers(15, 80, count)
    theta = rng.normal(mean, tau, count)
    result = bp.pool(rng.normal(theta, np.sqrt(v)), v, prior=prior)
    new = rng.normal(mean, tau)
    return {
        "estimate": below(result.marginal(), mean),
        "tau": below(result.marginal("tau"), tau),
        "new trial": below(result.marginal(new=True), new),
    }


def below(distribution: object, value: float) -> float:
    return float(distribution.cdf(np.array([value]))[0])


def arms(rng: np.random.Generator, doses: np.ndarray, effects: np.ndarray, trial: str) -> list:
    """Arms of a trial with these mean effects: what a paper would print."""
    n = rng.integers(20, 80, len(doses))
    means = rng.normal(50 + effects, SD / np.sqrt(n))
    return [
        {"trial_id": trial, "dose": dose, "mean": mean, "sd": SD, "n": size}
        for dose, mean, size in zip(doses, means, n, strict=True)
    ]


def curve(rng: np.random.Generator) -> Found:
    """A quadratic curve of hours a week over eight trials, one tau between contrasts."""
    belief = {"dose": priors.normal(0, 6), "dose^2": priors.normal(0, 1)}
    prior = priors.Prior(priors.half_normal(4), belief)
    tau = tau_of(prior.tau, rng)
    slope, bend = rng.normal(0, 6), rng.normal(0, 1)
    rows = []
    for number in range(8):
        doses = np.concatenate([[0.0], np.sort(rng.choice([1.0, 2.0, 3.0, 4.0], 2, replace=False))])
        own = rng.normal(0, tau / np.sqrt(2), 3)
        effects = slope * doses + bend * doses**2 + own
        rows += arms(rng, doses, effects, f"t{number}")
    options = {"curve": "quadratic", "heterogeneity": "contrasts", "prior": prior}
    result = bp.dose_response(pd.DataFrame(rows), **options)
    true = 2 * slope + 4 * bend
    row = np.array([2.0, 4.0])
    return {
        "slope": below(result.marginal("dose"), slope),
        "bend": below(result.marginal("dose^2"), bend),
        "effect of 2 hours": below(result.combination(row), true),
        "tau": below(result.marginal("tau"), tau),
    }


def curves_of_trials(rng: np.random.Generator) -> Found:
    """A quadratic curve, of which each trial has its own: two sds and a correlation."""
    belief = {"dose": priors.normal(0, 6), "dose^2": priors.normal(0, 1)}
    prior = priors.Prior(priors.half_normal(4), belief)
    first, second = tau_of(prior.tau, rng), tau_of(prior.tau, rng)
    rho = rng.uniform(-1, 1)
    slope, bend = rng.normal(0, 6), rng.normal(0, 1)
    picks = [np.sort(rng.choice([1.0, 2.0, 3.0, 4.0], 2, replace=False)) for _ in range(8)]
    contrasts = np.concatenate(picks)
    triangle = np.linalg.qr(np.column_stack([contrasts, contrasts**2]), mode="r")
    triangle = triangle * np.sign(np.diag(triangle))[:, None] / np.sqrt(len(contrasts))
    apart = np.linalg.inv(triangle)
    psi = np.array([[first**2, rho * first * second], [rho * first * second, second**2]])
    psi = apart @ psi @ apart.T
    rows = []
    for number, pick in enumerate(picks):
        doses = np.concatenate([[0.0], pick])
        b = rng.multivariate_normal([slope, bend], psi, method="cholesky")
        rows += arms(rng, doses, b[0] * doses + b[1] * doses**2, f"t{number}")
    result = bp.dose_response(pd.DataFrame(rows), curve="quadratic", prior=prior)
    return {
        "slope": below(result.marginal("dose"), slope),
        "effect of 2 hours": below(result.combination([2.0, 4.0]), 2 * slope + 4 * bend),
        "sd of the slope": below(result.marginal("tau: dose"), first),
        "sd of the bend": below(result.marginal("tau: dose^2"), second),
        "correlation": below(result.marginal("correlation of tau: dose and tau: dose^2"), rho),
    }


def splines_of_trials(rng: np.random.Generator) -> Found:
    """A cubic spline of three terms, each trial with its own: six parameters, sampled."""
    shape = bp.rcs((0.5, 1.5, 2.5, 3.5))
    scales = dict(zip(shape.terms, (6.0, 3.0, 3.0), strict=True))
    belief = {term: priors.normal(0, scale) for term, scale in scales.items()}
    prior = priors.Prior(priors.half_normal(4), belief)
    sds = np.array([tau_of(prior.tau, rng) for _ in scales])
    own = np.array([rng.normal(0, scale) for scale in scales.values()])
    R = correlations(rng, 3)
    picks = [np.sort(rng.choice([1.0, 2.0, 3.0, 4.0], 2, replace=False)) for _ in range(10)]
    basis = shape.basis(np.concatenate(picks))
    triangle = np.linalg.qr(basis, mode="r")
    triangle = triangle * np.sign(np.diag(triangle))[:, None] / np.sqrt(len(basis))
    spread = np.linalg.inv(triangle) @ (sds[:, None] * np.linalg.cholesky(R))
    rows = []
    for number, pick in enumerate(picks):
        doses = np.concatenate([[0.0], pick])
        b = own + spread @ rng.standard_normal(3)
        rows += arms(rng, doses, shape.basis(doses) @ b, f"t{number}")
    result = bp.dose_response(pd.DataFrame(rows), curve=shape, prior=prior)
    at = shape.basis(np.array([2.0]))[0]
    first, second, third = shape.terms
    return {
        "slope": below(result.marginal("dose"), own[0]),
        "effect of 2 hours": below(result.combination(at), at @ own),
        f"sd, {first}": below(result.marginal(f"tau: {first}"), sds[0]),
        f"sd, {third}": below(result.marginal(f"tau: {third}"), sds[2]),
        "correlation of the first two": below(
            result.marginal(f"correlation of tau: {first} and tau: {second}"), R[0, 1]
        ),
    }


def correlations(rng: np.random.Generator, size: int) -> np.ndarray:
    """A correlation matrix, all as likely: entries at random until they make one."""
    while True:
        R = np.eye(size)
        above = np.triu_indices(size, 1)
        R[above] = rng.uniform(-1, 1, len(above[0]))
        R.T[above] = R[above]
        if np.linalg.eigvalsh(R)[0] > 0:
            return R


def levels(rng: np.random.Generator) -> Found:
    """Regions, trials, groups within trials, effects within groups: four variances, sampled."""
    random = "region/trial/group/effect"
    names = [random.rsplit("/", k)[0] for k in (3, 2, 1)] + [random]
    prior = priors.Prior(
        {name: priors.half_normal(3 + k) for k, name in enumerate(names)},
        {"Intercept": priors.normal(0, 10)},
    )
    sds = {name: tau_of(prior.tau_of(name), rng) for name in names}
    mean = rng.normal(0, 10)
    table = pd.DataFrame(
        np.array(np.meshgrid(*(range(k) for k in (4, 2, 2, 2)), indexing="ij")).reshape(4, -1).T,
        columns=random.split("/"),
    )
    vi = rng.uniform(2, 20, len(table))
    yi = mean + rng.normal(0, np.sqrt(vi))
    for depth, name in enumerate(names, 1):
        cluster = table.groupby(list(table.columns[:depth])).ngroup()
        yi = yi + rng.normal(0, sds[name], cluster.max() + 1)[cluster]
    data = table.assign(yi=yi, vi=vi)
    result = bp.multilevel("yi ~ 1", data, V="vi", random=[random], prior=prior)
    return {
        "mean": below(result.marginal("Intercept"), mean),
        **{f"sd, {name}": below(result.marginal(name), sds[name]) for name in names},
    }


def emax_network(rng: np.random.Generator) -> Found:
    """Emax curves of three agents, each with its ED50, and one tau: sampled."""
    agents = ("pilates", "walking", "yoga")
    shape, largest = priors.half_normal(3), 4.0
    belief = {f"{agent}: Emax": priors.normal(0, 15) for agent in agents}
    prior = priors.Prior(priors.half_normal(4), belief, shape=shape)
    tau = tau_of(prior.tau, rng)
    top = {agent: rng.normal(0, 15) for agent in agents}
    ed50 = {agent: tau_of(shape, rng) for agent in agents}
    rows = []
    for number in range(12):
        agent = agents[number % 3]
        here = [(agent, dose) for dose in rng.choice([0.5, 1.0, 2.0, largest], 2, replace=False)]
        here.insert(0, ("usual_care", 0.0))
        if number % 2:
            here[1] = (agents[(number + 1) % 3], here[1][1])
        own = rng.normal(0, tau / np.sqrt(2), 3)
        effects = [top[a] * d / (d + ed50[a]) if d else 0.0 for a, d in here]
        made = arms(rng, np.array([d for _, d in here]), np.array(effects) + own, f"t{number}")
        rows += [row | {"agent": a} for row, (a, _) in zip(made, here, strict=True)]
    result = bp.dose_network(pd.DataFrame(rows), curve="emax", prior=prior)
    row = result._rows("yoga", np.array([1.0]))[0]
    return {
        "Emax of yoga": below(result.marginal("yoga: Emax"), top["yoga"]),
        "ED50 of yoga": below(result.marginal("yoga: ED50"), ed50["yoga"]),
        "an hour of yoga": below(result.combination(row), top["yoga"] / (1 + ed50["yoga"])),
        "tau": below(result.marginal("tau"), tau),
    }


def network(rng: np.random.Generator) -> Found:
    """Four treatments and usual care in twelve trials of two or three arms."""
    names = ["pilates", "resistance", "usual_care", "walking", "yoga"]
    belief = {name: priors.normal(0, 10) for name in names if name != "usual_care"}
    prior = priors.Prior(priors.half_normal(4), belief)
    tau = tau_of(prior.tau, rng)
    effects = {name: rng.normal(0, 10) for name in belief} | {"usual_care": 0.0}
    rows = []
    for number in range(12):
        here = [names[number % 5], names[(number + 1 + number // 5) % 5]]
        if number % 4 == 0:
            here.append(next(name for name in names if name not in here))
        own = rng.normal(0, tau / np.sqrt(2), len(here))
        n = rng.integers(20, 80, len(here))
        means = rng.normal([50 + effects[name] for name in here] + own, SD / np.sqrt(n))
        for name, mean, size in zip(here, means, n, strict=True):
            row = {"trial_id": f"t{number}", "treatment": name, "mean": mean, "n": size}
            rows.append(row | {"sd": SD})
    result = bp.network(pd.DataFrame(rows), prior=prior)
    return {
        "yoga": below(result.marginal("yoga"), effects["yoga"]),
        "yoga against pilates": below(
            result.comparison("yoga", "pilates"), effects["yoga"] - effects["pilates"]
        ),
        "tau": below(result.marginal("tau"), tau),
    }


MODELS: dict[str, Callable[[np.random.Generator], Found]] = {
    "pooling, half-normal(6)": lambda rng: pooling(rng, priors.half_normal(6)),
    "pooling, half-Cauchy(3)": lambda rng: pooling(rng, priors.half_cauchy(3)),
    "pooling, log-t (Rhodes, pain)": lambda rng: pooling(
        rng, priors.empirical("pain", "MD", sd=SD)
    ),
    "curve, one tau": curve,
    "curve, trials' own": curves_of_trials,
    "curve of three terms, trials' own": splines_of_trials,
    "four variances": levels,
    "network": network,
    "network of Emax curves": emax_network,
}


def calibration(name: str, sets: int, seed: int) -> pd.DataFrame:
    """A row a parameter of a model, and how many sets were refused.

    What is refused depends on the data alone, so that what is left is uniform all the same.
    """
    rng = np.random.default_rng(seed)
    answers = []
    for _ in range(sets):
        try:
            answers.append(MODELS[name](rng))
        except CannotEstimate:
            continue
    found = pd.DataFrame(answers)
    rows = {
        parameter: {
            "in 50%": 100 * np.mean(np.abs(ranks - 0.5) < 0.25),
            "in 95%": 100 * np.mean(np.abs(ranks - 0.5) < 0.475),
            "P (uniform)": stats.kstest(ranks, "uniform").pvalue,
        }
        for parameter, ranks in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").assign(refused=sets - len(found))


def ten_trials() -> tuple[np.ndarray, np.ndarray]:
    """Effects and variances that are pooled."""
    rng = np.random.default_rng(1)
    return rng.normal(-8, 5, 10), rng.uniform(5, 30, 10)


BAYESMETA = """
library(bayesmeta)
y <- c({y}); sigma <- sqrt(c({v}))
run <- function() bayesmeta(y, sigma, tau.prior = function(t) dhalfnormal(t, scale = 5))
found <- run()
times <- replicate(7, sum(system.time(run())[c("user.self", "sys.self")]))
cat(1000 * min(times), found$summary["median", "mu"])
"""


def beside_bayesmeta(y: np.ndarray, v: np.ndarray) -> str:
    """What bayesmeta (R) needs for the same pooling, where it is installed; else that it is not."""
    script = BAYESMETA.format(y=", ".join(map(str, y)), v=", ".join(map(str, v)))
    try:
        found = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True)
    except FileNotFoundError:
        return "bayesmeta was not timed: R is not installed"
    if found.returncode:
        return "bayesmeta was not timed: R is installed, but not this package (CRAN has it)"
    ms, middle = map(float, found.stdout.split())
    ours = bp.pool(y, v, prior=priors.half_normal(5)).estimate
    return f"bayesmeta for the same: {ms:.0f} ms, median {middle:.5f}, ours {ours:.5f}"


def speed() -> Iterator[dict]:
    """A row a task."""
    rng = np.random.default_rng(1)
    y, v = ten_trials()
    prior = priors.half_normal(5)
    yield {"task": "pool of 10 trials", "ms": best_of(lambda: bp.pool(y, v, prior=prior))}

    def told() -> object:
        result = bp.pool(y, v, prior=prior)
        return result.summary(), result.probability("< -10")

    yield {"task": "the same, with summary and a probability", "ms": best_of(told)}
    names = [f"t{number}" for number in range(8)] + ["usual_care"]
    rows = []
    for number in range(60):
        for name in rng.choice(names, 2 + (number % 3 == 0), replace=False):
            rows.append({"trial_id": number, "treatment": name, "mean": rng.normal(40, 8)})
    table = pd.DataFrame(rows).assign(sd=SD, n=50)
    yield {"task": "network of 60 trials", "ms": best_of(lambda: bp.network(table, prior=prior))}
    rows = []
    for number in range(20):
        doses = np.array([0.0, 60.0, 120.0, 200.0])
        rows += arms(rng, doses, -0.1 * doses + rng.normal(0, 3, 4), f"t{number}")
    doses_table = pd.DataFrame(rows)
    for heterogeneity in ("contrasts", "curve"):
        options = {"curve": "quadratic", "heterogeneity": heterogeneity, "prior": prior}
        yield {
            "task": f"quadratic curve of 20 trials, heterogeneity '{heterogeneity}'",
            "ms": best_of(lambda o=options: bp.dose_response(doses_table, **o)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000, help="draws from each prior")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--model", choices=MODELS, action="append", help="only this one")
    options = parser.parse_args()
    if options.model is None:
        print(pd.DataFrame(speed()).round(1).to_string(index=False))
        print(beside_bayesmeta(*ten_trials()))
    for name in options.model or MODELS:
        print(f"\n{name}: {options.sets} sets, seed {options.seed}")
        table = calibration(name, options.sets, options.seed)
        print(table.round({"in 50%": 1, "in 95%": 1, "P (uniform)": 4}).to_string(), flush=True)


if __name__ == "__main__":
    main()
