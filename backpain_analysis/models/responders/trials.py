"""Responders in published trials, by the normal approximation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
from scipy import special

from backpain_analysis.display import html_table
from backpain_analysis.effects import Effects
from backpain_analysis.effects.responders import Response, arm_shares, responder_effects
from backpain_analysis.evidence.evidence import Evidence
from backpain_analysis.evidence.scales import LOWER_IS_BETTER
from backpain_analysis.evidence.scales import mcid as published_mcid
from backpain_analysis.models.pooling import PoolResult, pool
from backpain_analysis.models.responders.nnt import NNT, number_needed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class TrialResponders:
    """Shares of responders pooled over trials.

    Attributes
    ----------
    effects : Effects
        Differences in the share of responders, above zero where more respond with exercise.
    difference : PoolResult
        Their mean.
    control : PoolResult
        Mean share in the reference arms, as log odds; see `control_share`.
    response : Response
        What counts as a response.
    """

    effects: Effects = field(repr=False)
    difference: PoolResult
    control: PoolResult
    response: Response

    @property
    def outcome(self) -> str:
        return self.effects.outcome

    @property
    def n_trials(self) -> int:
        return self.effects.n_trials

    @property
    def n_participants(self) -> int:
        """Participants in arms of known size."""
        return self.effects.n_participants

    @property
    def control_share(self) -> float:
        """Mean share of responders without exercise."""
        return float(special.expit(self.control.estimate))

    @property
    def shares(self) -> pd.DataFrame:
        """Each arm's share: see `effects.responders.arm_shares`."""
        return arm_shares(self.effects)

    @property
    def nnt(self) -> NNT:
        """The number needed to treat for one more responder; limits of RD are cut at -1 and 1."""
        return nnt_of(self.difference)

    def summary(self) -> pd.DataFrame:
        """Mean share without exercise and mean difference: `estimate, ci_low, ci_high, pi_*`."""
        columns = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
        control = special.expit(self.control.summary()[columns])
        difference = self.difference.summary()[columns].clip(-1, 1)
        table = pd.concat([control, difference])
        return table.set_index(pd.Index(["share without exercise", "difference"]))

    def excluded_counts(self) -> pd.DataFrame:
        """How many arms (and trials) were left out for which reason."""
        return self.effects.excluded_counts()

    def plot(self, **options: Any) -> Axes:
        """Share with and without exercise, trial by trial: see `figures.responders`."""
        from backpain_analysis.figures.responders import trial_responders

        return trial_responders(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as for JSON."""
        return {
            "outcome": self.outcome,
            "response": self.response.text,
            "shares": self.shares.to_dict(orient="records"),
            "difference": self.difference.to_dict(),
            "control_share": self.control_share,
            "nnt": self.nnt.to_dict(),
            "excluded": self.effects.excluded.to_dict(orient="records"),
        }

    def _repr_html_(self) -> str:
        title = f"Responders: improvement of {self.response.text}"
        note = f"{self.n_trials} trials; normal approximation. {self.nnt.text}."
        return html_table(self.summary(), title=title, note=note)


def responders_from_means(
    evidence: Evidence,
    outcome: str,
    *,
    mcid: float | None = None,
    percent: float | None = None,
    method: str = "REML",
    test: str = "knapp-hartung",
    level: float = 0.95,
    **options: Any,
) -> TrialResponders:
    """How many more people respond with exercise than without, from trial means and SDs.

    Parameters
    ----------
    evidence : Evidence
    outcome : str
    mcid : float, optional
        A response is an improvement of at least so many points of 0-100; by default, without
        `percent`, the published MCID of the outcome.
    percent : float, optional
        Or of at least so many per cent of the baseline value.
    method, test, level
        As of `models.pooling.pool`.
    **options
        Of `effects.responders.responder_effects`, such as `timepoint` and `correlation`.

    Returns
    -------
    TrialResponders
        Of arms compared with inactive ones.

    Raises
    ------
    ValueError
        If no trial gives a share, or nothing says what a response is.
    """
    if mcid is None and percent is None:
        mcid = published_mcid(outcome)
    effects = responder_effects(evidence, outcome, mcid=mcid, percent=percent, **options)
    effects = effects.against_inactive()
    if not len(effects):
        raise ValueError(
            f"no trial of {outcome} gives the mean change and its SD of both an exercise arm and "
            "an inactive arm: choose another time, or a response in points."
        )
    share, se = effects.table.drop_duplicates("trial_id")[
        ["ref_share", "ref_share_se"]
    ].T.to_numpy()
    pooling: Mapping[str, Any] = {"method": method, "test": test, "level": level}
    return TrialResponders(
        effects=effects,
        difference=pool(effects, **pooling),
        control=pool(special.logit(share), (se / (share * (1 - share))) ** 2, **pooling),
        response=Response(mcid, percent, outcome in LOWER_IS_BETTER),
    )


def nnt_of(difference: PoolResult) -> NNT:
    """The number needed to treat of a pooled difference in risk, its limits cut at -1 and 1."""
    low, high = max(difference.ci_low, -1.0), min(difference.ci_high, 1.0)
    return number_needed(difference.estimate, low, high, difference.level)
