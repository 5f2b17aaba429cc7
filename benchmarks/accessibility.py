"""What axe finds in every page of a site or of the documentation, light and dark.

    python benchmarks/accessibility.py reports/site
    python benchmarks/accessibility.py docs/_build/html --light

Needs Playwright, axe-playwright-python and a Chromium. Exit code 1 says that something was found.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from backpain_analysis.reporting.documents import find_browser

FLAGS = ["--no-sandbox", "--disable-gpu"]
EVERY_RULE = {"iframes": False, "resultTypes": ["violations"]}
RULES = {"light": EVERY_RULE, "dark": {**EVERY_RULE, "runOnly": ["color-contrast"]}}


def main() -> int:
    """Look at all pages; return how many things were found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--light", action="store_true", help="Not the dark as well.")
    asked = parser.parse_args()
    pages = sorted(path for path in asked.folder.rglob("*.html") if "_static" not in path.parts)
    schemes = ["light"] if asked.light else ["light", "dark"]
    found = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        for scheme in schemes:
            context = browser.new_context(color_scheme=scheme, bypass_csp=True)
            page = context.new_page()
            for path in pages:
                page.goto(path.resolve().as_uri())
                response = Axe().run(page, options=RULES[scheme]).response
                for each in response["violations"]:
                    found += 1
                    print(f"{path.name}, {scheme}: {each['id']} ({each['impact']})")
                    print(f"    {each['nodes'][0]['html'][:200]}")
            context.close()
            print(f"{scheme}: {len(pages)} pages looked at, {found} findings so far", flush=True)
        browser.close()
    return found


if __name__ == "__main__":
    sys.exit(bool(main()))
