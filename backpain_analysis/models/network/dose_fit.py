"""How the curves of a dose network are fitted: separate, of one shape, or exchangeable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np

from backpain_analysis.errors import CannotEstimate
from backpain_analysis.models.dose.curves import Curve, Emax, FractionalPolynomial, Hill, has_step
from backpain_analysis.models.network.dose_data import DoseNetworkData
from backpain_analysis.models.network.dose_shapes import (
    AgentCurves,
    Between,
    ProportionalShape,
    SaturatingShape,
    separate,
    with_shape,
)
from backpain_analysis.models.network.estimation import Method, at_tau2
from backpain_analysis.models.network.exchangeable import ExchangeableFit, fit_exchangeable
from backpain_analysis.words import article

Shared = Literal["common", "exchangeable", "step"] | None
"""What agents have in common; see `dose_network`."""

TIED = {
    None: "",
    "common": ", one shape",
    "exchangeable": ", exchangeable",
    "step": ", exchangeable steps and one curve of dose",
}

METHODS = ("REML", "ML", "CE")


def check_options(shapes: Mapping[str, Curve], by_agent: bool, shared: Shared, method: str) -> None:
    """Refuse what cannot be asked for together, naming all faults.

    Raises
    ------
    ValueError
    """
    faults = []
    if shared not in TIED:
        faults.append(f"shared {shared!r} must be None, 'common', 'exchangeable' or 'step'")
    if method not in METHODS:
        faults.append(f"unknown method {method!r}: use one of {', '.join(METHODS)}")
    if shared in ("exchangeable", "step") and method == "CE":
        faults.append(f"shared={shared!r} estimates variances: use method='REML' or 'ML'")
    if by_agent and shared is not None:
        faults.append("curves by agent have nothing to share: use shared=None")
    for curve in shapes.values():
        alone = not by_agent and isinstance(curve, (Emax, Hill))
        if curve.shape_terms and not alone and not curve.shape:
            faults.append(f"the curve {curve.name} is not for such networks: use 'emax' or 'hill'")
        if shared == "step" and not (has_step(curve) and not curve.shape_terms):
            faults.append("shared='step' takes curves with a step: use any_exercise=True")
    if faults:
        raise ValueError("; ".join(faults) + ".")


def curves_by_agent(
    data: DoseNetworkData, shapes: Mapping[str, Curve], doses: np.ndarray
) -> list[Curve]:
    """The curve of each agent, with what it takes from the doses.

    Raises
    ------
    ValueError
        If an agent has none, or a name is no agent.
    CannotEstimate
        If an agent has too few doses for its curve.
    """
    unknown = [name for name in shapes if name != "*" and name not in data.agents]
    missing = [name for name in data.agents if name not in shapes and "*" not in shapes]
    if unknown or missing:
        raise ValueError(
            f"curves by agent: {', '.join([*unknown, *missing])} must be an agent with a curve; "
            f"the agents are {', '.join(data.agents)} ('*' stands for all others)."
        )
    own = [shapes[name] if name in shapes else shapes["*"] for name in data.agents]
    few = [
        name
        for name, curve in zip(data.agents, own, strict=True)
        if len(data.studied[name]) < len(curve.terms)
    ]
    if few:
        raise CannotEstimate(f"{', '.join(few)} has fewer doses than its curve has coefficients")
    return [curve.prepare(doses) for curve in own]


def check_doses(data: DoseNetworkData, curve: Curve, shared: Shared) -> None:
    """Refuse curves that the distinct doses of an agent cannot carry."""
    wanted = 1 if shared == "step" else len(curve.terms)
    if shared in ("exchangeable", "step") and len(data.agents) <= wanted:
        raise CannotEstimate(
            f"how the coefficients of {article(curve.name)} curve vary between agents takes more "
            f"than {wanted}; the network has {', '.join(data.agents)}. Use shared=None, or a "
            "simpler curve"
        )
    if shared is not None:
        return
    wanted = len(curve.terms) + len(curve.shape_terms)
    few = {name: doses for name, doses in data.studied.items() if len(doses) < wanted}
    if few:
        listed = "; ".join(
            f"{name} ({', '.join(f'{dose:g}' for dose in doses)})" for name, doses in few.items()
        )
        raise CannotEstimate(
            f"{article(curve.name)} curve needs {wanted} different doses above 0 of every agent; "
            f"fewer have {listed}. Use a simpler curve, shared='common' or 'exchangeable', or lump "
            "agents"
        )


def fitted_curves(
    data: DoseNetworkData, curve: Curve, shared: Shared, method: Method
) -> AgentCurves:
    if shared == "step":
        return _exchangeable_steps(data, curve, method)
    if shared == "exchangeable":
        return _exchangeable(data, curve, method)
    if isinstance(curve, (Emax, Hill)) and not curve.values:
        own = np.arange(len(data.agents)) if shared is None else np.zeros(len(data.agents), int)
        return with_shape(SaturatingShape(data, curve, own), method)
    if shared == "common" and len(curve.terms) > 1:
        return with_shape(ProportionalShape.of(data, curve), method)
    return separate(data, (curve,) * len(data.agents), method)


def powers_wanted(curve: Curve) -> bool:
    """Whether a curve is linear but for powers that the likelihood has to find."""
    inner = getattr(curve, "among", curve)
    return isinstance(inner, FractionalPolynomial) and inner.powers is None


def height_of(data: DoseNetworkData, curve: Curve, shared: Shared, method: Method) -> float:
    """Log-likelihood with a curve, -inf where the data cannot carry it."""
    try:
        return fitted_curves(data, curve, shared, method).llf
    except CannotEstimate:
        return -np.inf


def _exchangeable(data: DoseNetworkData, curve: Curve, method: Method) -> AgentCurves:
    count = len(data.agents)
    beside = data.beside()

    def fitted(candidate: Curve, reml: bool, more: np.ndarray | None = None) -> ExchangeableFit:
        Z = data.design([candidate] * count)
        fixed = beside if more is None else np.hstack([beside, more])
        return fit_exchangeable(data.network, Z, count, reml=reml, fixed=fixed)

    if isinstance(curve, (Emax, Hill)) and not curve.values:
        doses = np.concatenate(list(data.studied.values()))
        curve = curve.settle(lambda c: fitted(c, False).llf, doses)
    found = fitted(curve, method == "REML")
    size, p = len(curve.terms), len(found.mean)
    params, cov = found.effects, found.cov
    if isinstance(curve, (Emax, Hill)):
        params, cov = _with_shape_of_all(
            data, curve, found, partial(fitted, curve, method == "REML")
        )
    return AgentCurves(
        curves=(curve,) * count,
        params=params,
        cov=cov,
        llf=found.llf,
        tau2=found.tau2,
        q=_q(data, curve),
        n_estimated=p + found.n_variance_parameters + curve.n_estimated,
        bic_rows=len(data.network.y) - p * (method == "REML"),
        between=Between(found.mean[:size], found.mean_cov[:size, :size], found.omega),
    )


def _exchangeable_steps(data: DoseNetworkData, curve: Curve, method: Method) -> AgentCurves:
    """Steps as a sample from a normal distribution, one curve of what dose adds."""
    count, size = len(data.agents), len(curve.terms)
    columns = data.design([curve] * count).reshape(len(data.network.y), count, size)
    slopes = columns[:, :, 1:].sum(axis=1)
    fixed = np.hstack([slopes, data.beside()])
    found = fit_exchangeable(
        data.network, columns[:, :, 0], count, reml=method == "REML", fixed=fixed
    )
    shared = np.arange(count, count + size - 1)
    place = np.concatenate([np.concatenate([[agent], shared]) for agent in range(count)])
    place = np.append(place, np.arange(count + size - 1, len(found.effects)))
    p = len(found.mean)
    omega = np.zeros((size, size))
    omega[0, 0] = found.omega[0, 0]
    return AgentCurves(
        curves=(curve,) * count,
        params=found.effects[place],
        cov=found.cov[np.ix_(place, place)],
        llf=found.llf,
        tau2=found.tau2,
        q=_q(data, curve),
        n_estimated=p + found.n_variance_parameters + curve.n_estimated,
        bic_rows=len(data.network.y) - p * (method == "REML"),
        between=Between(found.mean[:size], found.mean_cov[:size, :size], omega),
    )


def _with_shape_of_all(
    data: DoseNetworkData, curve: Emax | Hill, found: ExchangeableFit, again: partial
) -> tuple[np.ndarray, np.ndarray]:
    """Maximal effect and the shape of all, with the covariance of the linearised model."""
    count = len(data.agents)
    heights, others = found.effects[:count], found.effects[count:]
    columns = [lambda doses, b=b: curve.gradient(doses, np.array([b]))[:, 1:] for b in heights]
    width = len(curve.shape_terms)
    slope = data.spread(columns).reshape(len(data.network.y), count, width).sum(axis=1)
    cov = again(slope).cov
    last = len(found.effects) + np.arange(width)
    place = np.concatenate([np.concatenate([[agent], last]) for agent in range(count)])
    place = np.append(place, np.arange(count, len(found.effects)))
    values = np.concatenate([np.concatenate([[b], curve.values]) for b in heights])
    return np.append(values, others), cov[np.ix_(place, place)]


def _q(data: DoseNetworkData, curve: Curve) -> float:
    """Cochran's Q of separate curves, whatever of them the data can tell."""
    X = np.hstack([data.design([curve] * len(data.agents)), data.beside()])
    basis, size, _ = np.linalg.svd(X, full_matrices=False)
    return at_tau2(data.network, basis[:, size > 1e-10 * size.max()], 0.0).rss
