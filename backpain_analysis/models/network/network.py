"""Network meta-analysis of continuous outcomes, multi-arm trials exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from backpain_analysis.effects import Effects
from backpain_analysis.models.network.connected import check_connected
from backpain_analysis.models.network.data import network_data
from backpain_analysis.models.network.estimation import METHODS, Method, estimate
from backpain_analysis.models.network.result import NetworkResult


def network(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    treatment: str = "treatment",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: Literal["MD", "SMD"] | None = None,
    reference: str = "usual_care",
    method: Method = "REML",
    lower_is_better: bool = True,
    components: str | None = None,
    lump: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> NetworkResult:
    """Compare all treatments of a connected network by direct and indirect evidence.

    `y = B d + u + e`: contrasts of a trial against its first arm, `d` the effects against the
    reference treatment, the exact sampling covariance of a trial's contrasts, and heterogeneity
    tau2 common to all comparisons, with correlation one half between contrasts that share an arm
    (Lu & Ades 2004, doi 10.1002/sim.1875; Rücker 2012, doi 10.1002/jrsm.1058).

    Parameters
    ----------
    data : Effects or DataFrame
        A row an arm; or effects, with columns `treatment` and `ref_treatment` (see
        `effects.from_evidence` with `head_to_head`).
    trial, treatment, mean, sd, n : str
        Columns; arms of one treatment in a trial are combined.
    measure : {"MD", "SMD"}
        Of a table ("MD" by default); "SMD" standardises by the SD pooled over a trial's arms
        (Crippa & Orsini 2016, doi 10.1186/s12874-016-0189-0). `Effects` have their own.
    reference : str
        The treatment that others are compared with.
    method : {"REML", "ML", "DL", "CE"}
        "DL" is the moment estimator for networks, `(Q - df) / tr(P K)`, with `K` the structure of
        the heterogeneity (Jackson, White & Riley 2012, doi 10.1002/sim.4350); "CE" the
        common-effect model.
    lower_is_better : bool
        Whether smaller outcomes are desirable, for rankings.
    components : str, optional
        Separator of components in treatment names ("+"): effects of components then add up
        (Welton et al. 2009, doi 10.1093/aje/kwp014; Rücker, Petropoulou & Schwarzer 2020,
        doi 10.1002/bimj.201800167), and the network need not be connected.
    lump : mapping, optional
        New names of treatments, such as {"aerobic_walking": "aerobic"}.
    level : float
        Of intervals.

    Returns
    -------
    NetworkResult

    Raises
    ------
    ValueError
        For unusable data, an unknown reference, a network in several parts, or effects that the
        contrasts cannot tell apart.
    ConvergenceError
        If the likelihood has no maximum.
    """
    if isinstance(data, Effects) and measure not in (None, data.measure):
        raise ValueError(f"these effects are {data.measure}s: make them with measure={measure!r}.")
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: use one of {', '.join(METHODS)}.")
    columns = {"trial": trial, "treatment": treatment, "mean": mean, "sd": sd, "n": n}
    contrasts = network_data(data, **columns, measure=measure or "MD", lump=lump)
    if reference not in contrasts.treatments:
        raise ValueError(
            f"reference {reference!r} is not in the network: use one of "
            f"{', '.join(contrasts.treatments)}."
        )
    if components is None:
        check_connected(contrasts)
    loadings = _loadings(contrasts.treatments, reference, components)
    names = list(loadings.columns)
    found = estimate(contrasts, contrasts.incidence() @ loadings.to_numpy(), method, names)
    return NetworkResult(
        params=pd.Series(found.model.beta, names),
        cov=pd.DataFrame(found.model.cov_beta, names, names),
        df=np.inf,
        level=level,
        llf=float(found.model.llf),
        aic=float(found.model.aic),
        bic=float(found.model.bic),
        method=method,
        data=contrasts,
        loadings=loadings,
        reference=reference,
        lower_is_better=lower_is_better,
        tau2=found.tau2,
        engine=found.model,
        common=found.common,
    )


def _loadings(treatments: tuple[str, ...], reference: str, components: str | None) -> pd.DataFrame:
    """Effects of treatments (rows) as sums of parameters (columns), the reference without any."""
    parts = {name: [name] if components is None else name.split(components) for name in treatments}
    columns = sorted({part.strip() for own in parts.values() for part in own})
    table = pd.DataFrame(0.0, index=list(treatments), columns=columns)
    for name, own in parts.items():
        for part in own:
            table.loc[name, part.strip()] += 1.0
    return table.drop(columns=[part.strip() for part in parts[reference]])
