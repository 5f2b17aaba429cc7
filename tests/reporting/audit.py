"""What a browser would fetch or run from a page, found without the package's own cleaning.

A page's own script is let pass if the page's policy names its hash and no other; pictures and
pages that lie in the site's folder may be shown.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser

RUNNING = {"script", "iframe", "frame", "object", "embed", "applet", "link", "base", "portal"}
FETCHING = {
    *("src", "srcset", "data", "poster", "background", "action", "formaction", "ping"),
    *("href", "xlink:href", "manifest", "longdesc", "imagesrcset"),
}
RUNNING_LINK = re.compile(r"\s*(javascript|data|vbscript):", re.IGNORECASE)
INSIDE = re.compile(r"#|data:image/|thumbnails/[a-z0-9_-]+\.(svg|png)\Z")
SCRIPT_RULE = re.compile(r"script-src 'sha256-([^']+)'(?:;|\Z)")
STYLE_FETCH = re.compile(r"@import|url\(\s*['\"]?(?!#|data:)", re.IGNORECASE)


class _Audit(HTMLParser):
    def __init__(self):
        super().__init__()
        self.findings: list[str] = []
        self.tags: list[str] = []
        self.allowed = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = {name: value or "" for name, value in attrs}
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy":
            rule = SCRIPT_RULE.search(attributes["content"])
            self.allowed = rule[1] if rule else ""
        if tag in RUNNING and not (tag == "script" and self.allowed and not attributes):
            self.findings.append(f"<{tag}>")
        if tag == "meta" and attributes.get("http-equiv", "").lower() == "refresh":
            self.findings.append("refresh")
        for name, value in attributes.items():
            link = (
                tag == "a" and name == "href" and not value.strip().lower().startswith("javascript")
            )
            if name in FETCHING and not link and not INSIDE.match(value):
                self.findings.append(f"<{tag} {name}={value!r}>")
            if name.startswith("on"):
                self.findings.append(f"<{tag} {name}>")
            if name == "style" and STYLE_FETCH.search(value):
                self.findings.append(f"style {value!r}")

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            digest = b64encode(hashlib.sha256(data.encode()).digest()).decode()
            if digest != self.allowed:
                self.findings.append("script of another")
        if self.tags and self.tags[-1] == "style" and STYLE_FETCH.search(data):
            self.findings.append(f"style sheet {STYLE_FETCH.search(data)[0]!r}")

    def handle_endtag(self, tag):
        while self.tags and self.tags.pop() != tag:
            pass


def audit(page: str) -> list[str]:
    """List everything in a page that would reach outside of it or run."""
    parser = _Audit()
    parser.feed(page)
    parser.close()
    return parser.findings
