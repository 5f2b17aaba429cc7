"""Which treatments of a network are connected by trials."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from backpain_analysis.effects import Effects
from backpain_analysis.models.network.data import NetworkData, network_data


def network_components(
    data: Effects | pd.DataFrame,
    *,
    trial: str = "trial_id",
    treatment: str = "treatment",
    mean: str = "mean",
    sd: str = "sd",
    n: str = "n",
    measure: str = "MD",
    lump: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The connected parts of a network, the largest first.

    Parameters
    ----------
    data, trial, treatment, mean, sd, n, measure, lump
        As for `network`.

    Returns
    -------
    DataFrame
        `component` (from 1), `treatment, trials, participants`: a row a treatment.
    """
    columns = {"trial": trial, "treatment": treatment, "mean": mean, "sd": sd, "n": n}
    return components_table(network_data(data, **columns, measure=measure, lump=lump))


def components_table(data: NetworkData) -> pd.DataFrame:
    """`component, treatment, trials, participants` of each treatment."""
    trials = data.arms["treatment"].value_counts()
    table = pd.DataFrame(
        {
            "component": data.components() + 1,
            "treatment": data.treatments,
            "trials": trials.reindex(range(len(data.treatments))).to_numpy(),
            "participants": data.participants.to_numpy(),
        }
    )
    return table.sort_values(["component", "treatment"], ignore_index=True)


def check_connected(data: NetworkData) -> None:
    """Refuse a network of several parts.

    Raises
    ------
    ValueError
        That lists the parts.
    """
    table = components_table(data)
    if table["component"].max() == 1:
        return
    parts = table.groupby("component")["treatment"].agg(", ".join)
    listed = "\n".join(f"  {number}. {names}" for number, names in parts.items())
    raise ValueError(
        f"the network falls into {len(parts)} parts that no trial connects:\n{listed}\n"
        "Analyse one part (`connected_part`), lump treatments, or, if treatments share "
        "components, use components='+'."
    )


def connected_part(
    effects: Effects,
    around: str | None = None,
    *,
    treatment: str = "treatment",
    lump: Mapping[str, str] | None = None,
) -> Effects:
    """The effects of one connected part of a network; the others are listed as excluded.

    Parameters
    ----------
    effects : Effects
    around : str, optional
        A treatment of the part (after lumping); by default the part with most treatments.
    treatment, lump
        As for `network`.

    Raises
    ------
    ValueError
        If no trial that compares two treatments has `around`.
    """
    parts = network_components(effects, treatment=treatment, lump=lump)
    number = 1
    if around is not None:
        found = parts.loc[parts["treatment"] == around, "component"]
        if found.empty:
            raise ValueError(
                f"no treatment {around!r} in the network: it has {', '.join(parts['treatment'])}."
            )
        number = found.iloc[0]
    members = set(parts.loc[parts["component"] == number, "treatment"])
    table = effects.table
    names = table[treatment].astype(str).replace(dict(lump or {}))
    against = table[f"ref_{treatment}"].astype(str).replace(dict(lump or {}))
    inside = np.array([name in members for name in names]) & (against.isin(members).to_numpy())
    return effects.select(inside, "no trial connects it to the rest of the network")
