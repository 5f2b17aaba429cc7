"""Fixtures of the tests of reporting; the site is built once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.reporting.firefox import Firefox
from tests.reporting.sample_site import build, copy_notebooks


@pytest.fixture
def write_suite(tmp_path):
    """A function that writes a suite file beside the notebooks of these tests."""

    def write(text: str) -> Path:
        copy_notebooks(tmp_path)
        path = tmp_path / "suite.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The site and the outcomes."""
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def site(built):
    """The site's folder."""
    return built[0]


@pytest.fixture(scope="session")
def pages(site):
    """Every page of the site by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in site.glob("*.html")}


@pytest.fixture
def firefox(tmp_path):
    """Firefox, which must have asked for nothing outside and said nothing at the end."""
    if shutil.which("firefox-esr") is None:
        pytest.skip("Firefox is not installed")
    own = Firefox(tmp_path)
    yield own
    own.close()
    asked = [each["request"]["url"] for each in own.noticed("network.beforeRequestSent")]
    assert [url for url in asked if not url.startswith(("file:", "about:", "data:"))] == []
    assert own.noticed("log.entryAdded") == []
