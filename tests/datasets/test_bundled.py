"""Bundled files are found in a checkout and in an installed package, or missed clearly."""

from __future__ import annotations

import pytest

from backpain_analysis.datasets import bundled


def test_data_are_found():
    assert (bundled.data_dir() / "trials" / "trials.csv").is_file()
    assert (bundled.data_dir() / "README.md").is_file()


def test_what_travels_inside_the_package_comes_first(tmp_path, monkeypatch):
    inside, checkout = tmp_path / "_bundled", tmp_path / "checkout"
    (inside / "data").mkdir(parents=True)
    (checkout / "data").mkdir(parents=True)
    (checkout / "notebooks").mkdir()
    monkeypatch.setattr(bundled, "_ROOTS", (inside, checkout))
    assert bundled.data_dir() == inside / "data"
    assert bundled.notebooks_dir() == checkout / "notebooks"


def test_missing_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "_ROOTS", (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(FileNotFoundError, match="The folder 'reports'"):
        bundled.reports_dir()
