"""Claims on types of exercise: C01-C04, C14, C15, C19, C22."""

from __future__ import annotations

from backpain_analysis.effects.settings import with_supervision
from backpain_analysis.models.claims.context import Context
from backpain_analysis.models.claims.part import Part, untestable

BOTH = ("pain_intensity", "disability")
NO_EXERCISE = "no exercise"


def aerobic(context: Context) -> list[Part]:
    """C01."""
    words = ("aerobic exercise", NO_EXERCISE)
    return [context.compared("pain_intensity", "aerobic", lump="broad", words=words)]


def resistance(context: Context) -> list[Part]:
    """C02."""
    words = ("resistance exercise", NO_EXERCISE)
    return [context.compared(o, "resistance", lump="families", words=words) for o in BOTH]


def stretching(context: Context) -> list[Part]:
    """C03."""
    words = ("stretching", NO_EXERCISE)
    effects = context.effects("flexibility_rom", "SMD")
    only = effects and effects.select(
        effects.table["exercise_type"].str.startswith("stretching"), "not stretching"
    )
    return [
        context.compared("pain_intensity", "stretching", lump="families", words=words),
        context.pooled(only, "flexibility_rom", "stretching against no exercise, flexibility"),
    ]


def core(context: Context) -> list[Part]:
    """C04."""
    name, words = "core_motor_control", "core and motor-control exercise"
    effects = context.effects("balance_stability", "SMD")
    only = effects and effects.select(
        effects.table["exercise_type"].isin(["core_stabilisation", "motor_control"]), "not core"
    )
    return [
        *(context.compared(o, name, lump="families", words=(words, NO_EXERCISE)) for o in BOTH),
        *(
            context.compared(
                o,
                name,
                "general_mixed",
                lump="families",
                rule="difference",
                words=(words, "general exercise"),
            )
            for o in BOTH
        ),
        context.pooled(only, "balance_stability", f"{words} against no exercise, balance"),
    ]


def low_impact(context: Context) -> list[Part]:
    """C14."""
    words = ("low-impact aerobic exercise", "other exercise")
    return [
        context.compared(
            o,
            "low_impact_aerobic",
            "other_exercise",
            lump="impact",
            rule="difference",
            words=words,
        )
        for o in BOTH
    ]


def other_types(context: Context) -> list[Part]:
    """C15: three types against no exercise, and "done properly" read as supervised."""
    types = {"yoga": "yoga", "pilates": "Pilates", "resistance": "resistance exercise"}
    parts = [
        context.compared(o, name, lump="families", words=(words, NO_EXERCISE))
        for o in BOTH
        for name, words in types.items()
    ]
    for outcome in BOTH:
        effects = context.effects(outcome, every=True)
        what = f"supervised against unsupervised exercise, {outcome.replace('_intensity', '')}"
        if effects is None:
            parts.append(untestable(what, "no usable result"))
            continue
        known = with_supervision(effects, context.evidence.arms)
        found = context.network_of(known, "none", "setting")
        parts.append(
            context.of_network(found, outcome, "supervised", "unsupervised", "difference", what)
        )
    return parts


def high_impact(context: Context) -> list[Part]:
    """C19: it would worsen pain if low impact did better."""
    return [
        context.compared(
            "pain_intensity",
            "low_impact_aerobic",
            "high_impact_aerobic",
            lump="impact",
            rule="difference",
            words=("low-impact aerobic exercise", "running"),
        )
    ]


def static_or_dynamic(context: Context) -> list[Part]:
    """C22."""
    words = ("dynamic stretching", "static stretching")
    effects = context.effects("flexibility_rom", "SMD", every=True)
    found = "no usable result" if effects is None else context.network_of(effects, "types")
    what = f"{words[0]} against {words[1]}"
    pair = ("stretching_dynamic", "stretching_static")
    return [
        context.compared("pain_intensity", *pair, lump="types", rule="difference", words=words),
        context.of_network(found, "flexibility_rom", *pair, "difference", f"{what}, flexibility"),
    ]
