"""Old import paths keep working for a while, and say where their names went."""

from __future__ import annotations

from importlib import import_module

import pytest

import backpain_analysis as bp
from backpain_analysis._moved import MOVED

NAMES = {
    "figures.dose_network": "dose_network_panels",
    "figures.tables": "pooled",
    "figures.tables.dose_network": "agents",
    "figures.tables.people": "models",
    "figures.tables.time": "lasting",
    "models.findings": "answer",
    "models.mechanisms": "answer",
    "models.moderation": "answer",
    "models.network.dose_answers": "curves_by_type",
    "models.network.dose_sentences": "beside_published",
    "models.network.questions": "fitted",
    "models.network.sentences": "network",
    "models.participants.report": "answer",
    "models.responders.sentences": "responders",
    "models.responders.trials": "responders_from_means",
    "models.sentences": "p_text",
    "models.time.compare": "compare_courses",
    "models.time.sentences": "time_course",
}


@pytest.mark.parametrize("old", [name for name, homes in MOVED.items() if homes])
def test_an_old_path_hands_on_and_says_where_to(old):
    module = import_module(f"backpain_analysis.{old}")
    with pytest.warns(
        DeprecationWarning, match=r"is now backpain_analysis\.(answers|models|fig|wor)"
    ):
        found = getattr(module, NAMES[old])
    assert callable(found) and found.__module__ != module.__name__


def test_the_way_a_notebook_of_0_1_imported_them():
    with pytest.warns(DeprecationWarning):
        from backpain_analysis.figures.tables import lumpings, pooled
        from backpain_analysis.models.participants import report

        from backpain_analysis.models.network import questions
    assert pooled is import_module("backpain_analysis.answers.tables").pooled
    assert lumpings is import_module("backpain_analysis.answers.tables.networks").lumpings
    assert questions.__name__.endswith("questions") and report.__name__.endswith("report")


def test_what_has_no_successor_says_what_to_use():
    old = import_module("backpain_analysis.models.responders.sentences")
    with pytest.raises(AttributeError, match=r"is gone: bp\.key_results"):
        old.from_pooled_smd  # noqa: B018
    assert callable(bp.key_results)


def test_what_never_was_is_still_missing():
    with pytest.raises(AttributeError, match="never_was"):
        import_module("backpain_analysis.models.sentences").never_was  # noqa: B018
    with pytest.raises(ModuleNotFoundError):
        import_module("backpain_analysis.models.never_was")
    assert bp.sentences.p_text(0.0004) == "P < 0.001"
