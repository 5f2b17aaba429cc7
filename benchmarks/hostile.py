"""Give the package what an attacker, an accident or a bad disk would, and count what comes of it.

    python benchmarks/hostile.py
    python benchmarks/hostile.py --tables 2000 --others 500 --seed 1
    python benchmarks/hostile.py --only tables pages

Fuzzed tables, special files, suites, notebooks, received sites, parameters, small data for models,
and pages in a real browser. Each trial may be taken, or refused with a message of ours; anything
else is a traceback. A trial that takes more than 20 seconds of a processor, or two minutes, is a
hang. Files beside the trials are watched, and so is every request of a page. Everything stays on
this machine and in a temporary folder. The same seed tries the same things.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import backpain_analysis as bp
from backpain_analysis.datasets.bundled import data_dir
from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.evidence import load_evidence
from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.notebooks import find_notebook, read_notebook
from backpain_analysis.reporting.run import run_suite
from backpain_analysis.reporting.suite import read_suite, with_parameters
from backpain_analysis.reporting.verify import verify_site

LONGEST = 20
PATIENCE = 120
WRONG = ("traceback", "hang", "lost", "outside", "request")
"""How no trial may end."""
KINDS = (
    *("tables", "special files", "suites", "notebooks", "parameters", "received sites"),
    *("small data", "pages"),
)
EVERY = 100
"""After so many trials the count so far is printed."""

VALUES = [
    *("", " ", "nan", "NaN", "inf", "-inf", "1e999", "-1e-999", "None", "null", "1,5", "١٢", "½"),
    *("0", "-0", "-1", "99999999999999999999", "1e308", "0x10", "1_000", "1:30", "2020-13-45"),
    *("=cmd()", "<script>alert(1)</script>", "../../etc/passwd", "%s%n", "{}", "\ufeff", "\x00"),
    *("a" * 100_000, "é" * 100, "🏃", "\ud7ff", "'", '"', '""', ",,,,", "\t", "\r", "true"),
]
YAML = [
    *("&a [*a]", "!!python/object:os.system", "1:30", "2020-01-01", ".nan", "!!binary aGk=", "~"),
    *("[[[[[", "{a: 1, a: 2}", "'unclosed", "- - - -", "0o17", "010", "\x00", "\ud7ff", "*none"),
    *("!!set {a}", "a" * 20_000, "9" * 5000, "yes", "on", "null", "? [a]", "<<: {a: 1}", "|\n  x"),
]


class Hang(BaseException):
    """A trial took too long."""


@dataclass
class Count:
    """What became of the trials of one kind."""

    kind: str
    ends: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    first: str = ""

    @property
    def wrong(self) -> int:
        """How many ended as none may end."""
        return sum(self.ends[end] for end in WRONG)

    def row(self) -> str:
        """Return a line of the table."""
        ends = " | ".join(f"{self.ends[end]:,}" for end in ("taken", "refused", *WRONG))
        return f"| {self.kind} | {sum(self.ends.values()):,} | {ends} | {self.slowest:.1f} |"

    def note(self, end: str, seconds: float, why: str = "") -> None:
        """Count a trial."""
        self.ends[end] += 1
        self.slowest = max(self.slowest, seconds)
        if end not in ("taken", "refused"):
            self.first = self.first or f"{self.kind}: {end}: {why}"
            print(f"{self.kind}: {end}: {why}", file=sys.stderr, flush=True)
        if sum(self.ends.values()) % EVERY == 0:
            print(self.row(), file=sys.stderr, flush=True)


@contextmanager
def within(seconds: int, patience: int) -> Iterator[None]:
    """Raise `Hang` in what takes more of a processor, or of time, however busy the machine is."""

    def ring(*_: object) -> None:
        raise Hang

    signals = signal.SIGPROF, signal.SIGALRM
    before = [signal.signal(each, ring) for each in signals]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(patience)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def tried(
    count: Count, trial: Callable[[], Any], ours: tuple[type[Exception], ...], name: str
) -> None:
    """Run a trial and count how it ends; it returns a word if something was lost silently."""
    start = time.monotonic()
    try:
        with within(LONGEST, PATIENCE), warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            lost = trial()
        end, why = ("lost", f"{name}: {lost}") if isinstance(lost, str) else ("taken", "")
    except ours as error:
        end, why = "refused", ""
        if len(str(error)) > 20_000:
            end, why = "traceback", f"{name}: a message of {len(str(error)):,} characters"
    except Hang:
        end, why = "hang", name
    except Exception:
        end, why = "traceback", f"{name}\n{traceback.format_exc(limit=-3)}"
    count.note(end, time.monotonic() - start, why)


def mutated(text: str, chance: random.Random, values: list[str], separators: str) -> str:
    """Change a text in one to three places: a value, a line, a run of characters, an end."""
    for _ in range(chance.randint(1, 3)):
        lines = text.splitlines(keepends=True) or [""]
        row = chance.randrange(len(lines))
        match chance.randrange(7):
            case 0 | 1 | 2:
                cells = lines[row].rstrip("\n").split(separators)
                cells[chance.randrange(len(cells))] = chance.choice(values)
                lines[row] = separators.join(cells) + "\n"
            case 3:
                lines.insert(row, lines[chance.randrange(len(lines))])
            case 4:
                del lines[row]
            case 5:
                lines = ["".join(lines)[: chance.randrange(len(text) + 1)]]
            case 6:
                lines[row] = "".join(chance.sample(lines[row], len(lines[row])))
        text = "".join(lines)
    return text


def tables(count: Count, folder: Path, trials: int, chance: random.Random) -> None:
    """Fuzz tables of evidence: each is refused with its faults, or read whole."""
    small = load_evidence().filter(trial_id=["sherman2011", "tankha2024"])
    sound = folder / "sound"
    sound.mkdir()
    for name in ("trials", "arms", "outcomes", "contrasts"):
        getattr(small, name).to_csv(sound / f"{name}.csv", index=False)
    contents = {path.name: path.read_text(encoding="utf-8") for path in sound.iterdir()}
    for number in range(trials):
        place = folder / "tables"
        place.mkdir(exist_ok=True)
        victim = chance.choice(sorted(contents))
        for name, text in contents.items():
            changed = mutated(text, chance, VALUES, ",") if name == victim else text
            (place / name).write_text(changed, encoding="utf-8", errors="replace", newline="")

        def trial(place: Path = place, victim: str = victim) -> str | None:
            if check_evidence(place):
                raise bp.EvidenceError([])
            rows = (place / victim).read_text(encoding="utf-8").splitlines()[1:]
            read = len(getattr(load_evidence(place), victim.removesuffix(".csv")))
            wanted = sum(bool(row.strip(", ")) for row in rows)
            return None if read >= wanted else f"{wanted - read} of {wanted} rows"

        tried(count, trial, (ValueError, OSError), f"{victim}, number {number}")


def special_files(count: Count, folder: Path, chance: random.Random) -> None:
    """Put in the place of a table what is none; each in a process that can be ended."""
    makers: dict[str, Callable[[Path], object]] = {
        "folder": lambda p: p.mkdir(),
        "fifo": lambda p: os.mkfifo(p),
        "dead link": lambda p: p.symlink_to("nowhere"),
        "link to itself": lambda p: p.symlink_to(p.name),
        "device": lambda p: p.symlink_to("/dev/zero"),
        "unreadable bytes": lambda p: p.write_bytes(chance.randbytes(100_000)),
        "utf-16": lambda p: p.write_bytes("trial_id,year\na,1".encode("utf-16")),
        "one long line": lambda p: p.write_text("x" * 20_000_000),
        "100,000 columns": lambda p: p.write_text(",".join(f"c{n}" for n in range(100_000))),
        "51,000 bad rows": lambda p: p.write_text("trial_id,x\n" + "?,\n" * 51_000),
        "unclosed quote": lambda p: p.write_text('trial_id,"year\n' * 50_000),
        "null bytes": lambda p: p.write_bytes(b"\0" * 1_000_000),
    }
    sound = data_dir() / "trials"
    for table in ("outcomes", "trials"):
        for ending in (".csv", ".xlsx", ".parquet"):
            for number, (what, make) in enumerate(makers.items()):
                place = folder / f"{table}{ending}-{number}"
                place.mkdir()
                for path in sound.glob("*.csv"):
                    if path.stem != table:
                        (place / path.name).write_bytes(path.read_bytes())
                make(place / f"{table}{ending}")
                end, seconds, said = checked(place)
                count.note(end, seconds, f"{what} for {table}{ending}: {said}")


def checked(place: Path) -> tuple[str, float, str]:
    """Check tables in a process of its own, which can be ended whatever it does."""
    near, far = get_context("fork").Pipe()

    def check() -> None:
        try:
            with within(LONGEST, PATIENCE):
                look()
        except Hang:
            far.send(("hang", ""))

    def look() -> None:
        try:
            faults = check_evidence(place)
            far.send(("refused" if faults else "lost", f"{len(faults)} faults"))
        except (ValueError, OSError) as error:
            far.send(("refused", str(error)[:500]))
        except Exception:
            far.send(("traceback", traceback.format_exc(limit=-3)))

    process = get_context("fork").Process(target=check)
    start = time.monotonic()
    process.start()
    end, said = near.recv() if near.poll(PATIENCE) else ("hang", "")
    seconds = time.monotonic() - start
    process.kill()
    process.join()
    return end, seconds, said


SUITE = """title: A suite
evidence: mine
files: [data.csv]
limits: {cell_seconds: 10}
reports:
  - notebook: sound
    name: first
    parameters: {number: 3, word: b, share: 0.5, several: [a, b]}
  - {notebook: sound, name: second, grid: {number: [1, 2], word: [a, b]}}
"""
PARAMETERS = (
    'number: int = 0  # counts\nword: str = "x"\nshare: float | None = None\n'
    'several: list[str] = ["a"]\nanything = 1'
)


def sound_notebook(folder: Path) -> Path:
    """Write a small notebook."""
    tagged = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# Sound\n\nIt is."), tagged, new_code_cell("print(number)")]
    path = folder / "sound.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def suites(count: Count, folder: Path, trials: int, chance: random.Random) -> None:
    """Fuzz suite files."""
    sound_notebook(folder)
    (folder / "data.csv").write_text("1")
    (folder / "sound.yml").write_text(SUITE)
    read_suite(folder / "sound.yml")
    for number in range(trials):
        path = folder / "suite.yml"
        text = mutated(SUITE, chance, YAML, chance.choice([":", ",", " "]))
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        tried(
            count,
            lambda path=path: read_suite(path) and None,
            (ReportingError,),
            f"{number}: {text}",
        )


def notebooks(count: Count, folder: Path, trials: int, chance: random.Random) -> None:
    """Fuzz notebooks."""
    text = sound_notebook(folder).read_text()
    values = [
        "null",
        "[]",
        "{}",
        "3",
        '"x"',
        "true",
        "1e999",
        '"\\ud800"',
        "[" * 5000,
        '"%"',
        "NaN",
    ]
    for number in range(trials):
        path = folder / "odd.ipynb"
        odd = mutated(text, chance, values, chance.choice([":", ",", '"']))
        path.write_text(odd, encoding="utf-8", errors="surrogatepass")
        tried(count, partial(read_notebook, path), (ReportingError,), f"{number}")


def parameters(count: Count, folder: Path, chance: random.Random) -> None:
    """Give every parameter every odd text."""
    sound_notebook(folder)
    path = folder / "parameters.yml"
    path.write_text("reports: [{notebook: sound}]")
    suite = read_suite(path)
    for name in find_notebook("sound", folder).parameters:
        for text in [*VALUES, *YAML]:
            tried(
                count,
                partial(with_parameters, suite, {name: text}),
                (ReportingError,),
                f"{name}={text[:60]!r}",
            )


def sites(count: Count, folder: Path, trials: int, chance: random.Random) -> None:
    """Change a received site, then verify it: what was changed is found, nothing is run."""
    home = folder / "sites"
    home.mkdir()
    sound_notebook(home)
    (home / "sound.yml").write_text(
        "reports: [{notebook: sound, grid: {number: [1, 2]}}, {notebook: sound, name: third}]"
    )
    site, canary = home / "site", home / "canary"
    run_suite(read_suite(home / "sound.yml"), site)
    files = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    varying = {"timings.json", "lock", "README.txt"}
    names = sorted(path for path in files if path.name not in varying)
    canary.write_text("mine")
    values = ["null", "[]", '"../canary"', f'"{canary}"', "{}", '"x.html"', "NaN", "[" * 3000, "-1"]
    outside = {path.name for path in home.iterdir()}
    for number in range(trials):
        victim = chance.choice(names)
        text = files[victim].decode(errors="replace")
        odd = mutated(text, chance, values, chance.choice([":", ",", '"', ">"]))
        victim.write_text(odd, encoding="utf-8", errors="surrogatepass")

        def trial(victim: Path = victim) -> str | None:
            changed = victim.read_bytes() != files[victim]
            verdict = verify_site(site)
            if changed and not verdict.different:
                crate = victim.name.startswith("ro-crate")
                return None if crate else f"a change of {victim.name} was not seen"
            return None

        tried(count, trial, (ReportingError,), f"{victim.name}, number {number}")
        if canary.read_text() != "mine" or {path.name for path in home.iterdir()} != outside:
            count.note("outside", 0, f"{victim.name}, number {number}")
        victim.write_bytes(files[victim])


def models(count: Count, trials: int, chance: random.Random) -> None:
    """Pool what can hardly be pooled."""
    draw = np.random.default_rng(chance.randrange(2**32))
    odd = [0.0, 1.0, -1.0, 1e-300, 1e300, 1e-12, 1e12, np.nan, np.inf]
    for number in range(trials):
        k = chance.randint(0, 6)
        yi = draw.normal(size=k) * 10.0 ** chance.randint(-8, 8)
        vi = draw.gamma(1, size=k) * 10.0 ** chance.randint(-8, 8)
        match chance.randrange(5):
            case 0 if k:
                yi[:] = chance.choice(odd[:7])
            case 1 if k:
                vi[:] = vi[0]
            case 2 if k:
                yi[chance.randrange(k)] = chance.choice(odd)
            case 3 if k:
                vi[chance.randrange(k)] = chance.choice(odd)
        method = chance.choice(["REML", "ML", "DL", "PM", "CE"])
        tried(
            count,
            partial(bp.pool, yi, vi, method=method),
            (ValueError,),
            f"pool({yi.tolist()}, {vi.tolist()}, method={method!r}), number {number}",
        )


def pages(count: Count, folder: Path) -> None:
    """Show hostile outputs on pages, and open these in a browser, with and without their policy."""
    from backpain_analysis.reporting.documents import find_browser
    from backpain_analysis.reporting.render import render_body
    from tests.reporting.hostile import CONFUSING, FETCHING, FORMULAE, LINKS, PICTURES, RUNNING

    browser = find_browser()
    if browser is None:
        print("no Chromium: pages are not opened", file=sys.stderr)
        return
    from playwright.sync_api import sync_playwright

    shown = [("text/html", each) for each in [*FETCHING, *RUNNING, *CONFUSING]]
    shown += [("text/markdown", each) for each in [*FETCHING, *RUNNING, *CONFUSING, *FORMULAE]]
    shown += [("text/latex", each) for each in FORMULAE]
    shown += [(kind, each) for kind in ("image/png", "image/jpeg") for each in PICTURES]
    shown += [("image/svg+xml", f"<svg>{each}</svg>") for each in [*FETCHING, *RUNNING, *CONFUSING]]
    shown += [("text/html", f'<a href="{each}">x</a>') for each in LINKS]
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=flags)
        page = chromium.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: (asked.append("dialog"), dialog.dismiss()))
        page.route("**/*", lambda route: route.continue_() if mine(route) else route.abort())
        for number, (kind, content) in enumerate(shown):
            output = new_output("display_data", data={kind: content})
            cells = [new_code_cell("x", outputs=[output])]
            if kind == "text/markdown":
                cells.append(new_markdown_cell(content))
            path = folder / f"page-{number}.html"
            start = time.monotonic()
            path.write_text(f"<!DOCTYPE html><main>{render_body(new_notebook(cells=cells))}</main>")
            asked.clear()
            page.goto(path.as_uri())
            page.wait_for_timeout(30)
            asked[:] = [url for url in asked if url not in (path.as_uri(), "about:blank")]
            others = [url for url in asked if not url.startswith("data:image/")]
            end = "request" if others or page.url != path.as_uri() else "taken"
            count.note(end, time.monotonic() - start, f"{kind}: {content[:100]}: {others}")
        chromium.close()


def mine(route: Any) -> bool:
    """Whether a page asks for itself."""
    return route.request.url.startswith(("file:", "data:", "about:"))


def main(tables_: int, others: int, seed: int, only: Collection[str] = KINDS) -> list[Count]:
    """Try everything, print the table, return the counts."""
    counts = []

    def kind(name: str, run: Callable[..., None], *arguments: Any) -> None:
        if name not in only:
            return
        count = Count(name)
        with tempfile.TemporaryDirectory() as folder:
            place = [] if run is models else [Path(folder)]
            run(count, *place, *arguments)
        counts.append(count)
        print(count.row(), flush=True)

    print(f"| kind | tried | taken | refused | {' | '.join(WRONG)} | slowest, s |")
    print(f"|---|{'---:|' * (4 + len(WRONG))}")
    kind("tables", tables, tables_, random.Random(seed))
    kind("special files", special_files, random.Random(seed))
    kind("suites", suites, others, random.Random(seed))
    kind("notebooks", notebooks, others, random.Random(seed))
    kind("parameters", parameters, random.Random(seed))
    kind("received sites", sites, others, random.Random(seed))
    kind("small data", models, 4 * others, random.Random(seed))
    kind("pages", pages)
    return counts


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--others", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, metavar="KIND")
    chosen = parser.parse_args()
    found = main(chosen.tables, chosen.others, chosen.seed, chosen.only)
    sys.exit(bool(sum(each.wrong for each in found)))
