"""Dose-response network meta-analysis: a curve for every agent, from all trials together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from backpain_analysis.effects import Effects
from backpain_analysis.models.curve_names import named
from backpain_analysis.models.curves import Curve
from backpain_analysis.models.network.agent_curves import AgentCurves, Between, separate
from backpain_analysis.models.network.dose_data import (
    DoseNetworkData,
    check_connected,
    dose_network_data,
)
from backpain_analysis.models.network.dose_network_result import DoseNetworkResult
from backpain_analysis.models.network.estimation import Method, at_tau2
from backpain_analysis.models.network.exchangeable import ExchangeableFit, fit_exchangeable
from backpain_analysis.models.network.shared_shape import (
    EmaxShape,
    ProportionalShape,
    with_shape,
)
from backpain_analysis.models.shaped_curves import Emax

Shared = Literal["common", "exchangeable"] | None
METHODS = ("REML", "ML", "CE")


def dose_network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    agent: str = "agent",
    dose: str = "dose",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: Literal["MD", "SMD"] | None = None,
    curve: str | Curve = "linear",
    reference: str = "usual_care",
    shared: Shared = None,
    method: Literal["REML", "ML", "CE"] = "REML",
    lower_is_better: bool = True,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> DoseNetworkResult:
    """Estimate the dose-response curves of several agents jointly, by direct and indirect evidence.

    `y = f_a(d) - f_b(e) + u + e`: contrasts of a trial between agent a at dose d and agent b at
    dose e, curves that are zero at dose zero (where all agents are the reference), the exact
    sampling covariance of a trial's contrasts, and heterogeneity tau2 with correlation one half
    between contrasts that share an arm. Sources: Mawdsley et al. 2016 (doi 10.1002/psp4.12091);
    Pedder et al. 2021 (doi 10.1177/0272989X20983315).

    Parameters
    ----------
    data : Effects or DataFrame
        A row an arm; or effects (see `effects.from_evidence` with `head_to_head`), of which the
        arms without a known dose, and those that neither have a dose nor are the reference,
        are left out and listed.
    trial, agent, dose, mean, sd, n : str
        Columns. Of `Effects`: `dose` is one of `DOSE_MEASURES`, and the agent is the treatment
        unless named otherwise.
    measure : {"MD", "SMD"}
        Of a table ("MD" by default). `Effects` have their own.
    curve : str or Curve
        "linear", "quadratic", "log", "rcs", "emax", or a curve without a shape of its own.
    reference : str
        The agent that stands at dose zero.
    shared : {None, "common", "exchangeable"}
        None: every agent has a curve of its own. "common": all curves have one shape, which each
        agent only stretches (`s_a g(d)`; for Emax one ED50 and a maximal effect each; a curve of
        one term, such as a line, has that shape anyway). "exchangeable": the agents' coefficients
        are a sample from a normal distribution, `N(mu, Omega)` with Omega by REML or ML, so that
        agents with little evidence lean on the others (for Emax one ED50 and exchangeable maximal
        effects). To give agents the very same curve, lump them.
    method : {"REML", "ML", "CE"}
        "CE" is the common-effect model.
    lower_is_better : bool
        Whether smaller outcomes are desirable, for rankings and the best dose.
    lump : mapping, optional
        New names of agents, such as {"aerobic_walking": "aerobic"}; see `effects.lumping`.
    level : float
        Of intervals.

    Returns
    -------
    DoseNetworkResult

    Raises
    ------
    ValueError
        For unusable data, agents that no trial connects with the reference, or too few doses for
        the curve.
    ConvergenceError
        If the likelihood has no maximum.
    """
    if isinstance(data, Effects) and measure not in (None, data.measure):
        raise ValueError(f"these effects are {data.measure}s: make them with measure={measure!r}.")
    shape = named(curve)
    _check_options(shape, shared, method, level)
    columns = {"trial": trial, "agent": agent, "dose": dose, "mean": mean, "sd": sd, "n": n}
    contrasts = dose_network_data(
        data, **columns, measure=measure or "MD", reference=reference, lump=lump
    )
    check_connected(contrasts)
    _check_doses(contrasts, shape, shared)
    shape = shape.prepare(contrasts.arms["dose"].to_numpy())
    found = _fitted(contrasts, shape, shared, method)
    names = [
        f"{name}: {term}"
        for name, own in zip(contrasts.agents, found.curves, strict=True)
        for term in (*own.terms, *own.shape_terms)
    ]
    return DoseNetworkResult(
        params=pd.Series(found.params, names),
        cov=pd.DataFrame(found.cov, names, names),
        df=np.inf,
        level=level,
        llf=float(found.llf),
        aic=float(-2 * found.llf + 2 * found.n_estimated),
        bic=float(-2 * found.llf + np.log(found.bic_rows) * found.n_estimated),
        method=method,
        data=contrasts,
        curves=dict(zip(contrasts.agents, found.curves, strict=True)),
        shared=shared,
        lower_is_better=lower_is_better,
        tau2=found.tau2,
        q=float(found.q),
        between=found.between,
    )


def _check_options(curve: Curve, shared: Shared, method: str, level: float) -> None:
    faults = []
    if shared not in (None, "common", "exchangeable"):
        faults.append(f"shared {shared!r} must be None, 'common' or 'exchangeable'")
    if method not in METHODS:
        faults.append(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
    if not 0 < level < 1:
        faults.append(f"level {level} is not between 0 and 1")
    if shared == "exchangeable" and method == "CE":
        faults.append("shared='exchangeable' estimates variances: use method='REML' or 'ML'")
    if curve.shape_terms and not isinstance(curve, Emax):
        faults.append(f"a {curve.name} curve is not for networks: use 'emax' or 'rcs'")
    if faults:
        raise ValueError("; ".join(faults) + ".")


def _check_doses(data: DoseNetworkData, curve: Curve, shared: Shared) -> None:
    """Refuse curves that the distinct doses of an agent cannot carry."""
    if shared == "exchangeable" and len(data.agents) <= len(curve.terms):
        raise ValueError(
            f"how the coefficients of a {curve.name} curve vary between agents takes more than "
            f"{len(curve.terms)}; the network has {', '.join(data.agents)}. Use shared=None, or a "
            "simpler curve."
        )
    if shared is not None:
        return
    wanted = len(curve.terms) + len(curve.shape_terms)
    few = {name: doses for name, doses in data.studied.items() if len(doses) < wanted}
    if few:
        listed = "; ".join(
            f"{name} ({', '.join(f'{dose:g}' for dose in doses)})" for name, doses in few.items()
        )
        raise ValueError(
            f"a {curve.name} curve needs {wanted} different doses above 0 of every agent; fewer "
            f"have {listed}. Use a simpler curve, shared='common' or 'exchangeable', or lump "
            "agents."
        )


def _fitted(data: DoseNetworkData, curve: Curve, shared: Shared, method: Method) -> AgentCurves:
    if shared == "exchangeable":
        return _exchangeable(data, curve, method)
    if isinstance(curve, Emax) and not curve.values:
        own = np.arange(len(data.agents)) if shared is None else np.zeros(len(data.agents), int)
        return with_shape(EmaxShape(data, own), method)
    if shared == "common" and len(curve.terms) > 1:
        return with_shape(ProportionalShape.of(data, curve), method)
    return separate(data, curve, method)


def _exchangeable(data: DoseNetworkData, curve: Curve, method: Method) -> AgentCurves:
    count, free = len(data.agents), 0

    def fitted(candidate: Curve, reml: bool, fixed: np.ndarray | None = None) -> ExchangeableFit:
        Z = data.design([candidate] * count)
        return fit_exchangeable(data.network, Z, count, reml=reml, fixed=fixed)

    if isinstance(curve, Emax) and not curve.values:
        doses = np.concatenate(list(data.studied.values()))
        curve, free = curve.settle(lambda c: fitted(c, False).llf, doses), 1
    found = fitted(curve, method == "REML")
    size, p = len(curve.terms), len(found.mean)
    params, cov = found.effects, found.cov
    if curve.shape_terms:
        params, cov = _with_ed50(data, curve, found, partial(fitted, curve, method == "REML"))
    return AgentCurves(
        curves=(curve,) * count,
        params=params,
        cov=cov,
        llf=found.llf,
        tau2=found.tau2,
        q=_q(data, curve),
        n_estimated=p + found.n_variance_parameters + free,
        bic_rows=len(data.network.y) - p * (method == "REML"),
        between=Between(found.mean[:size], found.mean_cov[:size, :size], found.omega),
    )


def _with_ed50(
    data: DoseNetworkData, curve: Emax, found: ExchangeableFit, again: partial
) -> tuple[np.ndarray, np.ndarray]:
    """Maximal effect and ED50 of each agent, with the covariance of the linearised model."""
    heights = found.effects
    columns = [lambda doses, b=b: curve.gradient(doses, [b])[:, 1:] for b in heights]
    slope = data.spread(columns).sum(axis=1, keepdims=True)
    cov = again(fixed=slope).cov
    place = np.column_stack([np.arange(len(heights)), np.full(len(heights), len(heights))]).ravel()
    values = np.column_stack([heights, np.full(len(heights), curve.values[0])]).ravel()
    return values, cov[np.ix_(place, place)]


def _q(data: DoseNetworkData, curve: Curve) -> float:
    """Cochran's Q of separate curves, whatever of them the data can tell."""
    basis, size, _ = np.linalg.svd(data.design([curve] * len(data.agents)), full_matrices=False)
    return at_tau2(data.network, basis[:, size > 1e-10 * size.max()], 0.0).rss
