"""Dose networks with priors against JAGS (reference2.json, `mbnma`) and against themselves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backpain_analysis.engine import priors
from backpain_analysis.engine.likelihood import group, stack_covariance
from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.bayes.model import BayesModel, Shape
from backpain_analysis.models.bayes.posterior import posterior
from backpain_analysis.models.dose.curves import Emax, Quadratic
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

    def at(value):
        return design(Emax((value,))), tuple(K)

    terms = ("Emax",) if kind == "emax" else ("dose", "dose^2")
    names = tuple(f"{agent}: {term}" for agent in agents for term in terms)
    model = BayesModel(
        y=table["mean"].to_numpy(),
        X=design(Emax((1.0,)) if kind == "emax" else Quadratic()),
        names=(*names, *trials),
        S=tuple(stack_covariance((table["sd"] ** 2 / table["n"]).to_numpy(), blocks)),
        K=tuple(K),
        blocks=blocks,
        shape=Shape("ED50", priors.half_normal(2), at) if kind == "emax" else None,
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


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"curve": "emax"}, "'emax' with shared='common'"),
        ({"curve": "hill", "shared": "common"}, "shared='common' is not to be had"),
        ({"curve": "linear", "shared": "exchangeable"}, "shared='exchangeable' is not to be had"),
        ({"curve": "emax", "shared": "common"}, "flat prior leave ED50 open"),
    ],
)
def test_what_is_not_to_be_had(table, options, text):
    with pytest.raises(ValueError, match=text):
        dose_network(table, prior=priors.half_normal(5), **options)


def test_doses_and_agents_of_the_posterior(table):
    result = dose_network(table, curve="linear", prior=priors.half_normal(10))
    with pytest.raises(CannotEstimate, match="yoga was studied up to"):
        result.predict("yoga", [1e4])
    with pytest.raises(ValueError, match="no agent 'chess'"):
        result.predict("chess", [10])
