"""Which treatments count as one: names for lumping, coarser or finer."""

from __future__ import annotations

from collections.abc import Mapping

INACTIVE_CONTROLS = {
    name: "inactive" for name in ("no_treatment", "waitlist", "usual_care", "education_advice")
}

_FAMILIES = {
    **{f"aerobic_{kind}": "aerobic" for kind in ("walking", "running", "cycling", "other")},
    **{name: "core_motor_control" for name in ("core_stabilisation", "motor_control")},
    **{f"stretching_{kind}": "stretching" for kind in ("static", "dynamic", "mixed")},
}

_TYPES = (
    *("aerobic_walking aerobic_running aerobic_cycling aerobic_other aquatic resistance").split(),
    *("core_stabilisation motor_control pilates yoga tai_chi_qigong stretching_static").split(),
    *("stretching_dynamic stretching_mixed mckenzie general_mixed functional_restoration").split(),
)

_LOW_IMPACT = ("aerobic_walking", "aerobic_cycling", "aquatic")

LUMPINGS: Mapping[str, Mapping[str, str]] = {
    "types": INACTIVE_CONTROLS,
    "families": INACTIVE_CONTROLS | _FAMILIES,
    "broad": INACTIVE_CONTROLS
    | _FAMILIES
    | {"aquatic": "aerobic", "yoga": "mind_body", "tai_chi_qigong": "mind_body"}
    | {"pilates": "core_motor_control", "functional_restoration": "general_mixed"},
    "impact": INACTIVE_CONTROLS
    | {name: "other_exercise" for name in _TYPES}
    | {name: "low_impact_aerobic" for name in _LOW_IMPACT}
    | {"aerobic_running": "high_impact_aerobic", "aerobic_other": "unclear_impact_aerobic"},
    "exercise": INACTIVE_CONTROLS | {name: "exercise" for name in _TYPES},
    "none": {},
}
"""From what was done to the treatment of a network.

"types": every exercise type, all inactive controls together. "families": aerobic together, core
stabilisation with motor control, stretching together. "broad": also aquatic with aerobic, yoga
with tai chi, Pilates with core. "impact": low-impact aerobic (walking, cycling, aquatic) against
the rest. "exercise": all exercise together. "none": controls apart as well.
"""


def lumping(name: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A lumping by name, with your own changes on top.

    Parameters
    ----------
    name : str
        One of `LUMPINGS`.
    extra : mapping, optional
        Such as {"yoga": "stretching"}; it wins.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name not in LUMPINGS:
        raise ValueError(f"unknown lumping {name!r}: use one of {', '.join(LUMPINGS)}.")
    return {**LUMPINGS[name], **(extra or {})}
