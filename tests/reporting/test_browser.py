"""A built page in a real browser, as wide as a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None
)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
    ),
]
PHONE = 390
MEASURE = """<output></output><script>
onload = () => document.querySelector('output').textContent =
  [...document.querySelectorAll('iframe')].map(f => f.contentDocument.documentElement.scrollWidth)
</script>"""

pytestmark = [
    pytest.mark.xdist_group("site"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


def test_no_page_scrolls_sideways_on_a_phone(pages, tmp_path):
    names = ["plain", "hostile", "fails", "index"]
    frames = [f'<iframe width="{PHONE}" srcdoc="{escape(pages[n])}"></iframe>' for n in names]
    harness = tmp_path / "harness.html"
    harness.write_text(f"<!DOCTYPE html>{''.join(frames)}{MEASURE}", encoding="utf-8")
    dumped = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", str(harness)],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    widths = re.search(r"<output>([\d,]+)</output>", dumped)[1]
    assert dict(zip(names, map(int, widths.split(",")), strict=True)) == dict.fromkeys(names, PHONE)
