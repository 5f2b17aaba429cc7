"""The site's description for archives, held against RO-Crate 1.1 and Process Run Crate 0.5."""

from __future__ import annotations

import json
import re

import pytest


@pytest.fixture
def entities(site):
    """The entities of the site's crate, by id."""
    crate = json.loads((site / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    assert crate["@context"] == "https://w3id.org/ro/crate/1.1/context"
    ids = [entity["@id"] for entity in crate["@graph"]]
    assert len(ids) == len(set(ids)), "an id may be described once only"
    return dict(zip(ids, crate["@graph"], strict=True))


def references(value):
    """Every `{"@id": …}` in a value."""
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    return [value["@id"]] if isinstance(value, dict) else []


def test_the_descriptor_and_the_root_have_what_the_specification_demands(entities):
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset"
    assert root["name"] and root["description"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", root["datePublished"])
    assert entities[root["license"]["@id"]]["description"]
    assert root["conformsTo"]["@id"] in entities


def test_everything_is_named_typed_and_described_here(entities):
    for entity in entities.values():
        assert entity["@type"], entity["@id"]
        assert entity.get("name") or entity["@id"] == "ro-crate-metadata.json"
        for key, value in entity.items():
            for target in references(value):
                outside = key == "conformsTo" or target.startswith("http://schema.org/")
                assert target in entities or outside, (entity["@id"], key, target)


def test_every_file_named_is_there_and_every_page_is_named(entities, site):
    files = {id_ for id_, entity in entities.items() if entity["@type"] == "File"}
    assert {part["@id"] for part in entities["./"]["hasPart"]} == files
    assert all((site / file).is_file() for file in files)
    assert {path.name for path in site.glob("*.html")} - files == {"compare.html"}


def test_every_run_says_what_it_ran_on_what_and_how_it_ended(entities):
    actions = [entities[action["@id"]] for action in entities["./"]["mentions"]]
    assert [action["@id"] for action in actions] == [
        *("#run-plain", "#run-hostile", "#run-fails", "#run-interpreter"),
    ]
    for action in actions:
        assert action["@type"] == "CreateAction"
        assert "SoftwareSourceCode" in entities[action["instrument"]["@id"]]["@type"]
        assert references(action["result"])[0] == f"{action['@id'].removeprefix('#run-')}.html"
    hostile, fails = actions[1], actions[2]
    used = {entities[id_]["name"]: entities[id_] for id_ in references(hostile["object"])}
    assert used["mcid"]["value"] == 10
    assert used["backpain-trials"]["identifier"].startswith("sha256:")
    assert fails["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert fails["error"].startswith("ValueError")
    assert "error" not in hostile
