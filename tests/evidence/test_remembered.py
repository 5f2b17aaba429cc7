"""What is worked out once for an evidence, and let go with it."""

from __future__ import annotations

import gc
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from backpain_analysis.evidence import evidence as module
from backpain_analysis.evidence.evidence import (
    latest_per_evidence,
    load_evidence,
    once_per_evidence,
)


@pytest.fixture
def counted():
    calls = []

    @once_per_evidence
    def count(evidence, word="", *, number=0):
        calls.append((len(evidence.trials), word, number))
        return [*calls]

    return count, calls


def test_each_question_to_each_evidence_is_worked_out_once(tables, counted):
    count, calls = counted
    one, other = load_evidence(tables.folder), load_evidence(tables.folder)
    first = count(one, "a", number=1)
    assert count(one, "a", number=1) is first
    count(one, "a", number=2)
    count(one, "b", number=1)
    count(other, "a", number=1)
    assert len(calls) == 4


def test_nothing_outlives_its_evidence(tables, counted):
    count, _ = counted
    evidence = load_evidence(tables.folder)
    held = weakref.ref(evidence)
    count(evidence)
    del evidence
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_only_the_latest_questions_are_remembered(tables, kept):
    evidence, calls = load_evidence(tables.folder), []

    @latest_per_evidence(arms=kept * len(evidence.arms) + 1)
    def count(evidence, word):
        calls.append(word)
        return word

    for word in "abcabab":
        assert count(evidence, word) == word
    assert "".join(calls) == {0: "abcabab", 1: "abcabab", 2: "abcab"}[kept]


@pytest.mark.parametrize("kept", [0, 1, 2, None])
def test_threads_may_ask_at_once(tables, kept):
    evidence = load_evidence(tables.folder)
    remembers = (
        once_per_evidence if kept is None else latest_per_evidence(arms=kept * len(evidence.arms))
    )

    @remembers
    def double(evidence, number):
        return 2 * number

    def ask(_):
        return [double(evidence, number % 4) for number in range(10_000)]

    switched_after = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as threads:
            one, other = threads.map(ask, range(2))
    finally:
        sys.setswitchinterval(switched_after)
    assert one == other == [2 * (number % 4) for number in range(10_000)]


def test_bundled_evidence_is_read_again_when_its_files_change(tables, monkeypatch):
    tables.folder.rename(tables.folder.with_name("trials"))
    monkeypatch.setattr(module, "data_dir", lambda: tables.folder.parent)
    before = load_evidence()
    assert load_evidence() is before
    file = tables.folder.with_name("trials") / "trials.csv"
    file.write_text(file.read_text().replace("Doe", "Somebody"))
    assert load_evidence().trials["first_author"].tolist() == ["Somebody", "Roe"]


def test_the_same_conditions_give_the_same_part_while_it_lives(tables):
    whole = load_evidence(tables.folder)
    population = whole.trials["population"].iloc[0]
    part = whole.filter(population=population)
    of_words = whole.filter(population=(word for word in [population]))
    assert of_words is whole.filter(population=[population])
    assert whole.filter(population=(population,)) is whole.filter(population=[population])
    assert whole.filter(population=population) is part
    assert whole.filter(population=population, outcome="pain_intensity") is not part
    assert load_evidence(tables.folder).filter(population=population) is not part


def test_parts_do_not_outlive_their_use(tables):
    whole = load_evidence(tables.folder)
    part = whole.filter()
    held = weakref.ref(part)
    del part
    gc.collect()
    assert held() is None
    held = weakref.ref(whole)
    kept = whole.filter()
    assert kept.whole is held()
    del whole, kept
    gc.collect()
    assert held() is None
