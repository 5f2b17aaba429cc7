"""What a user can be told: the data cannot carry what was asked. Everything else is a bug.

Faults of tables are `evidence.faults.EvidenceError`; a wrong argument is a plain ValueError.
"""

from __future__ import annotations

_DOSES = "effects, dose='sessions_per_week'"
_DOSE_NETWORK = f"bp.dose_network({_DOSES}, reference='inactive', lump=bp.lumping('types'))"

MADE = {
    "Body": "answers.certainty.Body(-12, -18, -6, n_trials=9, n_participants=700)",
    "Claims": "bp.claims()",
    "ComparisonAdjustedFunnel": "bp.network(effects).comparison_adjusted_funnel()",
    "CurveEffects": "bp.ancova(people, week=12)",
    "DoseAnswer": "bp.dose_answer(effects, 'sessions_per_week')",
    "DoseEstimate": f"bp.dose_response({_DOSES}).optimum()",
    "DoseNetworkResult": _DOSE_NETWORK,
    "DoseResponseResult": f"bp.dose_response({_DOSES})",
    "Durability": "bp.time_course(bp.effects_over_time(evidence, 'pain_intensity')).durability()",
    "Effects": "evidence.effects('pain_intensity')",
    "EqualDose": f"{_DOSE_NETWORK}.rank_at(3)",
    "Evidence": "bp.load_evidence()",
    "ImputedResult": "bp.with_imputations(bp.impute(people), bp.clda)",
    "Imputations": "bp.impute(people)",
    "LongitudinalResult": "bp.longitudinal(people)",
    "MetaRegressionResult": "bp.meta_regression('yi ~ year', effects.one_per_trial())",
    "Moderation": "bp.moderation(evidence, 'pain_intensity')",
    "ModeratorResult": "bp.dose_by_moderator(people, 'age', week=12)",
    "NetHeat": "bp.network(effects).net_heat()",
    "NetworkResult": "bp.network(effects)",
    "NodeSplit": "bp.network(effects).node_split()",
    "PoolResult": "bp.pool(effects)",
    "Posterior": "bp.pool(effects, prior=bp.priors.half_normal(5))",
    "PowerResult": "bp.power_of_design([20, 40], effect=10)",
    "Prior": "bp.priors.Prior(bp.priors.half_normal(5))",
    "Responders": "bp.responders(people, week=12, mcid=15)",
    "TauPrior": "bp.priors.half_normal(5)",
    "TimeCourseResult": "bp.time_course(bp.effects_over_time(evidence, 'pain_intensity'))",
    "TippingPoint": "bp.tipping_point(people, week=12)",
    "TrialResponders": "bp.responders_from_means(evidence, 'pain_intensity', mcid=15)",
    "dict": "{'a name': …}",
}
"""How the objects that functions take are made, by the names of their classes."""


def require(given: object, *kinds: str) -> None:
    """Refuse what is of none of the kinds that a function takes.

    Parameters
    ----------
    given : object
    *kinds : str
        Names of classes, such as "Effects".

    Raises
    ------
    ValueError
        It says what was given, what is needed, and how to get it.

    Examples
    --------
    >>> require(3, "Effects")
    Traceback (most recent call last):
    ValueError: this is an int: give Effects, such as evidence.effects('pain_intensity').
    """
    classes = [kind.__name__ for kind in type(given).__mro__]
    if set(classes) & set(kinds):
        return
    article = "an" if classes[0][0] in "AEIOaeio" else "a"
    name = "None" if given is None else f"{article} {classes[0]}"
    ways = [f"{kind}, such as {MADE[kind]}" if kind in MADE else f"a {kind}" for kind in kinds]
    raise ValueError(f"this is {name}: give {', or '.join(ways)}.")


class CannotEstimate(ValueError):
    """These data cannot carry what was asked of them.

    Code that tells results catches this and nothing else: an error of another kind is a bug, and
    never becomes "not testable".

    Parameters
    ----------
    reason : str
        Why, as it can stand in a sentence: "2 trials with 2 distinct doses cannot carry a spline".
    advice : str, optional
        What would help: "use a simpler curve".

    Examples
    --------
    >>> error = CannotEstimate("all doses are equal", "leave out the dose")
    >>> error.reason
    'all doses are equal'
    >>> print(error)
    all doses are equal: leave out the dose.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        between = ":" if self.advice.startswith("\n") else ": "
        return f"{self.reason}{between}{self.advice}." if self.advice else f"{self.reason}."


class ConvergenceError(CannotEstimate, RuntimeError):
    """The likelihood was climbed and no maximum was found.

    Examples
    --------
    >>> issubclass(bp.ConvergenceError, bp.CannotEstimate)
    True
    """
