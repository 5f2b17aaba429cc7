"""Dose networks with priors against JAGS (reference2.json, `mbnma`) and against themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import block_diag

from backpain_analysis.engine import priors
from backpain_analysis.engine.likelihood import group, stack_covariance
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.bayes.model import BayesModel, Shape, each
from backpain_analysis.models.bayes.posterior import posterior
from backpain_analysis.models.dose.curves import Emax, Linear, Quadratic
from backpain_analysis.models.network.dose_network import dose_network

WIDE = 1000**0.5


@pytest.fixture(scope="module")
def table(reference_table):
    return reference_table("dose_network").assign(hours=lambda t: t["dose"] / 60)


def prior_of(kind: str, agents: list[str]) -> priors.Prior:
    """The priors that MBNMAdose was given: dnorm(mean, precision), sd ~ dunif(0, 15)."""
    if kind == "emax":
        effects = {f"{agent}: Emax": priors.normal(0, WIDE) for agent in agents}
        return priors.Prior(priors.uniform(15), effects, shape=priors.half_normal(2))
    effects = {f"{agent}: dose": priors.normal(0, WIDE) for agent in agents}
    effects |= {f"{agent}: dose^2": priors.normal(0, 10) for agent in agents}
    return priors.Prior(priors.uniform(15), effects)


def by_arms(table, kind: str, agents: list[str]):
    """The model of MBNMAdose: a baseline N(0, 100^2) a trial, and rows that are arms."""
    trials = list(dict.fromkeys(table["trial_id"]))
    baseline = (table["trial_id"].to_numpy()[:, None] == np.array(trials)).astype(float)
    blocks = group(table["trial_id"])
    first = ~table["trial_id"].duplicated().to_numpy()
    K = []
    for batch in blocks.batches:
        other = (~first[batch]).astype(float)
        both = other[:, :, None] * other[:, None, :]
        K.append((0.5 * both * (1 + np.eye(batch.shape[1])))[None])

    def design(curve):
        columns = [
            curve.basis(np.where(table["agent"] == agent, table["hours"], 0.0)) for agent in agents
        ]
        arms = np.hstack(columns)
        origin = np.flatnonzero(first)[
            np.searchsorted(np.flatnonzero(first), np.arange(len(arms)), side="right") - 1
        ]
        return np.hstack([arms - arms[origin], baseline])

    def at(values):
        return design(Emax((values[0],))), tuple(K)

    terms = ("Emax",) if kind == "emax" else ("dose", "dose^2")
    names = tuple(f"{agent}: {term}" for agent in agents for term in terms)
    model = BayesModel(
        y=table["mean"].to_numpy(),
        X=design(Emax((1.0,)) if kind == "emax" else Quadratic()),
        names=(*names, *trials),
        S=tuple(stack_covariance((table["sd"] ** 2 / table["n"]).to_numpy(), blocks)),
        K=tuple(K),
        blocks=blocks,
        shape=Shape(("ED50",), (priors.half_normal(2),), each(at)) if kind == "emax" else None,
    )
    own = prior_of(kind, agents)
    baselines = {trial: priors.normal(0, 100) for trial in trials}
    return posterior(model, priors.Prior(own.tau, {**own.effects, **baselines}, shape=own.shape))


@pytest.mark.parametrize("kind", ["quadratic", "emax"])
def test_jags(table, reference2, kind):
    """Means within four Monte-Carlo errors, quantiles within five (theirs are larger)."""
    known = reference2["mbnma"]
    expected = known[kind]
    result = by_arms(table, kind, known["agents"])
    found = {name: own for name, own in expected["effect_against_zero_dose"].items()}
    for label, numbers in found.items():
        agent, dose = label.split()
        row = np.zeros((len(result.parts[""].t), len(result.names)))
        if kind == "emax":
            ed50 = result.parts[""].values[:, -1]
            row[:, result.names.index(f"{agent}: Emax")] = float(dose) / (float(dose) + ed50)
        else:
            row[:, result.names.index(f"{agent}: dose")] = float(dose)
            row[:, result.names.index(f"{agent}: dose^2")] = float(dose) ** 2
        _agrees(result.combination(row), numbers, label)
    _agrees(result.marginal("tau"), expected["parameters"]["sd"], "sd")
    if kind == "emax":
        _agrees(result.marginal("ED50"), expected["parameters"]["ed50"], "ED50")


def _agrees(found, numbers: dict, label: str) -> None:
    error = numbers["mc_error_of_mean"]
    assert abs(found.mean - numbers["mean"]) < 4 * error, label
    assert_allclose(found.sd, numbers["sd"], rtol=0.02, err_msg=label)
    assert abs(found.median() - numbers["median"]) < 5 * error, label
    ends = found.ppf(np.array([0.025, 0.975]))
    assert_allclose(ends, [numbers["q025"], numbers["q975"]], atol=15 * error, err_msg=label)


@pytest.mark.parametrize(("kind", "shared"), [("quadratic", None), ("emax", "common")])
def test_contrasts_say_the_same(table, reference2, kind, shared):
    """Without the priors of the baselines, which pull by a few hundredths of an SD."""
    known = reference2["mbnma"]
    prior = prior_of(kind, known["agents"])
    result = dose_network(table, dose="hours", curve=kind, shared=shared, prior=prior)
    for label, numbers in known[kind]["effect_against_zero_dose"].items():
        agent, dose = label.split()
        if float(dose) > result.data.studied[agent].max():
            continue
        row = result.predict(agent, [float(dose)]).iloc[0]
        assert abs(row["estimate"] - numbers["median"]) < 0.06 * numbers["sd"], label
        below = result.probability_at(f"< {numbers['median']}", agent, float(dose))
        assert below == pytest.approx(0.5, abs=0.03)
        wider = result.probability_at(f"> {row['ci_high']}", agent, float(dose), new=True)
        assert wider > 0.025


def test_flat_priors_are_close_to_restricted_likelihood(table):
    result = dose_network(table, curve="linear", prior=priors.half_normal(10))
    classical = dose_network(table, curve="linear")
    for agent in result.agents:
        mine, other = (r.predict(agent, [60.0]).iloc[0] for r in (result, classical))
        assert abs(mine["estimate"] - other["estimate"]) < 0.1 * other["se"]
        assert mine["ci_high"] - mine["ci_low"] > 0.9 * (other["ci_high"] - other["ci_low"])
    against = result.predict("yoga", [60.0], 60.0, "pilates").iloc[0]["estimate"]
    yoga, pilates = (result.predict(a, [60.0]).iloc[0]["estimate"] for a in ("yoga", "pilates"))
    assert against == pytest.approx(yoga - pilates, abs=0.02)


def by_grid(data, Z, own_prior, tau_prior, A_of):
    """Posterior of coefficients N(0, A(sd)) of Z, over a grid of tau and of the agents' sd.

    Returns
    -------
    mass (tau, sd), sds, mean and standard deviation of each coefficient
    """
    y, trial = data.network.y, data.network.trial
    S = block_diag(*data.network.covariance)
    T = 0.5 * (np.eye(len(y)) + 1) * (trial[:, None] == trial)
    taus, sds = (np.arange(35) + 0.5) * 0.5, (np.arange(40) + 0.5) * 0.7
    logs, means, variances = [], [], []
    for tau in taus:
        W = np.linalg.inv(S + tau**2 * T)
        fixed = -0.5 * (-np.linalg.slogdet(W)[1] + y @ W @ y) + tau_prior.log_density(tau)
        for sd in sds:
            A = A_of(sd)
            precision = np.linalg.inv(A) + Z.T @ W @ Z
            cov = np.linalg.inv(precision)
            b = cov @ Z.T @ W @ y
            log = fixed + 0.5 * b @ precision @ b + own_prior.log_density(sd)
            log -= 0.5 * (np.linalg.slogdet(A)[1] + np.linalg.slogdet(precision)[1])
            logs.append(log)
            means.append(b)
            variances.append(np.diag(cov))
    mass = np.exp(np.array(logs) - np.max(logs))
    mass /= mass.sum()
    middle = mass @ np.array(means)
    spread = np.sqrt(mass @ (np.array(variances) + (np.array(means) - middle) ** 2))
    return mass.reshape(len(taus), len(sds)), sds, middle, spread


def few_trials(table):
    return table[table["trial_id"].isin(table["trial_id"].unique()[:14])]


def test_exchangeable_lines_by_hand(table):
    """Agents' slopes N(mu, sd^2), mu N(0, 30^2): one dense covariance, over a grid of two sds."""
    tau_prior, own = priors.half_normal(6), priors.half_normal(8)
    prior = priors.Prior(
        {"tau": tau_prior, "agents: dose": own}, {"mean: dose": priors.normal(0, 30)}
    )
    result = dose_network(few_trials(table), dose="hours", shared="exchangeable", prior=prior)
    data = result.data
    Z = data.design([Linear()] * len(data.agents))
    studied = np.concatenate(list(data.studied.values()))
    unit = 1 / np.sqrt(np.mean(studied**2))
    mass, sds, middle, spread = by_grid(
        data, Z, own, tau_prior, lambda sd: (sd * unit) ** 2 * np.eye(Z.shape[1]) + 900.0
    )
    for place, agent in enumerate(data.agents):
        found = result.marginal(f"{agent}: dose")
        assert_allclose([found.mean, found.sd], [middle[place], spread[place]], rtol=2e-3)
        twice = result.predict(agent, [data.studied[agent].max()]).iloc[0]["estimate"]
        assert twice == pytest.approx(data.studied[agent].max() * found.median())
    assert_allclose(result.marginal("agents: dose").mean, mass.sum(axis=0) @ sds, rtol=5e-3)
    with pytest.raises(CannotEstimate, match="not told of exchangeable agents"):
        result.shrinkage()


def test_exchangeable_steps_with_one_line_by_hand(table):
    """Steps N(mu, sd^2), mu N(0, 30^2), and one slope N(0, 5^2) for all agents."""
    tau_prior, own = priors.half_normal(6), priors.half_normal(8)
    prior = priors.Prior(
        {"tau": tau_prior, "agents: any exercise": own},
        {"mean: any exercise": priors.normal(0, 30), "mean: dose": priors.normal(0, 5)},
    )
    result = dose_network(
        few_trials(table), dose="hours", any_exercise=True, shared="step", prior=prior
    )
    data = result.data
    count = len(data.agents)
    columns = data.design(list(result.curves.values())).reshape(-1, count, 2)
    Z = np.column_stack([columns[:, :, 0], columns[:, :, 1].sum(axis=1)])

    def A_of(sd):
        return block_diag(sd**2 * np.eye(count) + 900.0, [[25.0]])

    mass, sds, middle, spread = by_grid(data, Z, own, tau_prior, A_of)
    for place, agent in enumerate(data.agents):
        for term, at in (("any exercise", place), ("dose", count)):
            found = result.marginal(f"{agent}: {term}")
            assert_allclose([found.mean, found.sd], [middle[at], spread[at]], rtol=2e-3)
    assert_allclose(result.marginal("agents: any exercise").mean, mass.sum(axis=0) @ sds, rtol=5e-3)


def test_shapes_of_their_own_by_conditioning(table):
    """With each ED50 all but known, the posterior is that of the line in what it makes of dose."""
    known = {"aerobic": 0.5, "pilates": 1.0, "resistance": 2.0, "yoga": 3.0}
    shape = {
        f"{agent}: ED50": priors.log_normal(2 * np.log(value), 1e-3)
        for agent, value in known.items()
    }
    prior = priors.Prior(priors.half_normal(5), priors.normal(0, 30), shape=shape)
    result = dose_network(table, dose="hours", curve="emax", prior=prior)
    assert len(result.between_trials()) == 5 and result.error < 0.01
    curve = {agent: Emax((value,)) for agent, value in known.items()}
    fixed = replace(prior, shape=None)
    beside = dose_network(table, dose="hours", curve=curve, prior=fixed)
    for agent in known:
        one, other = (r.predict(agent, [1.5]).iloc[0] for r in (result, beside))
        size = other["ci_high"] - other["ci_low"]
        assert_allclose(one["estimate":], other["estimate":], atol=0.01 * size)
    assert result.marginal("tau").median() == pytest.approx(beside.tau, rel=0.02)
    shrunk, other = result.shrinkage(), beside.shrinkage()
    assert_allclose(shrunk["estimate"], other["estimate"], atol=0.05)
    assert_allclose(shrunk["sd"], other["sd"], rtol=0.02)


@pytest.mark.parametrize(("shared", "parameters"), [("common", 3), ("exchangeable", 4)])
def test_hill_curves_of_one_shape(table, shared, parameters):
    few = table[table["trial_id"].isin(table["trial_id"].unique()[:14])]
    prior = priors.Prior(priors.half_normal(5), priors.normal(0, 30))
    result = dose_network(few, dose="hours", curve="hill", shared=shared, prior=prior)
    assert len(result.between_trials()) == parameters and result.error < 0.01
    agent = result.agents[0]
    none, half = result.predict(agent, [0.0, 1.0])["estimate"]
    assert none == 0 and half < 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"curve": "quadratic", "shared": "common"}, "shared='common' is for 'emax' and 'hill'"),
        ({"curve": {"yoga": "emax", "*": "linear"}}, "is not for such networks"),
        ({"curve": "emax", "shared": "common"}, "flat prior leave ED50 open"),
        ({"curve": "emax"}, "flat prior leave aerobic: ED50 and pilates: ED50"),
    ],
)
def test_what_is_not_to_be_had(table, options, text):
    with pytest.raises(ValueError, match=text):
        dose_network(table, prior=priors.half_normal(5), **options)


def test_doses_and_agents_of_the_posterior(table):
    result = dose_network(table, curve="linear", prior=priors.half_normal(10))
    most = float(result.data.studied["yoga"].max())
    assert len(result.predict("yoga", [most])) == 1
    for doses, reference in (([1.01 * most], 0.0), ([most], 1.01 * most)):
        with pytest.raises(CannotEstimate, match="yoga was studied up to"):
            result.predict("yoga", doses, reference)
    with pytest.raises(ValueError, match="no agent 'chess'"):
        result.predict("chess", [10])
