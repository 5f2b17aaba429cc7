"""Do the tests notice? Breaks `answers/` one small change at a time and runs the room's tests.

    python benchmarks/mutants.py              the twenty by hand and sixty at random
    python benchmarks/mutants.py --named      the twenty only
    python benchmarks/mutants.py --random 20 --seed 7 --files verdicts certainty

A change is a comparison turned round, a boundary moved, a word swapped, a constant replaced, a
branch or a reason dropped. It is made in a copy of the package, never in the package itself; the
tests that run are those that mention the changed module, the quick ones first. A change that no
test notices survives: either a test is missing, or the line is not needed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOM = "backpain_analysis/answers"
SHARED = ("data", "notebooks", "reports", "tests", "pyproject.toml")
SECONDS = 540
SLOW = ("test_claims", "test_responders", "test_bayes")

FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "!=", "!=": "=="}
MOVED = {"<": "<=", ">": ">=", "<=": "<", ">=": ">"}
OPERATORS = {
    ast.Lt: "<",
    ast.Gt: ">",
    ast.LtE: "<=",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
}
WORDS = {
    "better": "worse",
    "lower": "higher",
    "lowered": "raised",
    "more": "fewer",
    "larger": "smaller",
    "benefit": "harm",
    "direct": "indirect",
    "includes": "excludes",
    "inside": "outside",
    "before": "after",
    "low": "high",
    "first": "last",
    "with": "without",
    "grew": "shrank",
    "best": "worst",
    "none": "all",
    "no": "some",
}
SWAPS = WORDS | {new: old for old, new in WORDS.items()}


@dataclass(frozen=True)
class Mutant:
    """One change: in `text` of `path`, what stands from `start` to `end` becomes `new`."""

    path: str
    text: str
    start: int
    end: int
    new: str
    kind: str
    line: int

    def source(self) -> str:
        return self.text[: self.start] + self.new + self.text[self.end :]

    def __str__(self) -> str:
        old = self.text[self.start : self.end]
        change = f"{' '.join(old.split())[:40]!r} to {' '.join(self.new.split())[:40]!r}"
        return f"{self.path}:{self.line} {self.kind}: {change}"


NAMED = (
    ("verdicts.py", "if best < 0:", "if best <= 0:"),
    ("verdicts.py", "if worst >= mcid:", "if worst > mcid:"),
    ("verdicts.py", "if best < mcid:", "if best > mcid:"),
    ("verdicts.py", "if low > weeks:", "if low < weeks:"),
    ("verdicts.py", 'else "larger"', 'else "smaller"'),
    ("verdicts.py", "ONE_SIDED = 0.025", "ONE_SIDED = 0.475"),
    ("claim_tests.py", "PATIENCE = 4.0", "PATIENCE = 9.0"),
    ("claim_tests.py", "benefit=-benefit_sign", "benefit=benefit_sign"),
    ("claim_tests.py", "SAME_PEOPLE = 0.5", "SAME_PEOPLE = 0.95"),
    ("certainty.py", "INFORMATION_SIZE = 400", "INFORMATION_SIZE = 40"),
    ("certainty.py", "if body.bias_unknown:\n        level", "if False:\n        level"),
    ("certainty.py", "INCOHERENCE_P = 0.10", "INCOHERENCE_P = 0.90"),
    ("certainty.py", '(1, ", ".join(body.indirect))', '(0, ", ".join(body.indirect))'),
    ("appraisals.py", "if HIGH in key:", "if HIGH not in key:"),
    ("published.py", "2 * count > len(counted)", "2 * count < len(counted)"),
    ("published.py", "if ours != voice:", "if ours == voice:"),
    ("sentences.py", '"lower" if result.estimate < 0', '"higher" if result.estimate < 0'),
    ("moderation.py", 'known["p_holm"] < 0.05', 'known["p_holm"] < 0.95'),
    ("mechanisms.py", '"raised" if result.estimate > 0', '"lowered" if result.estimate > 0'),
    ("robustness.py", "if result.n_trials < POWERFUL:", "if result.n_trials > POWERFUL:"),
)


def named() -> list[Mutant]:
    """The changes made by hand."""
    found = []
    for name, old, new in NAMED:
        path = f"{ROOM}/{name}"
        text = (ROOT / path).read_text(encoding="utf-8")
        if text.count(old) < 1:
            raise SystemExit(f"{path} no longer has {old!r}: name another change.")
        start = text.index(old)
        line = text[:start].count("\n") + 1
        found.append(Mutant(path, text, start, start + len(old), new, "by hand", line))
    return found


def mutants(path: str) -> Iterator[Mutant]:
    """Every change that can be made to a file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    raw = text.encode()
    starts = [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(line: int, column: int) -> int:
        return len(raw[: starts[line - 1] + column].decode())

    def change(node: ast.expr | ast.stmt, new: str, kind: str) -> Mutant:
        start = place(node.lineno, node.col_offset)
        end = place(node.end_lineno or node.lineno, node.end_col_offset or 0)
        return Mutant(path, text, start, end, new, kind, node.lineno)

    tree = ast.parse(text)
    unread = _unread(tree)
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            old = OPERATORS.get(type(node.ops[0]), "")
            sides = ast.unparse(node.left), ast.unparse(node.comparators[0])
            if old in FLIPPED:
                yield change(node, f"({sides[0]} {FLIPPED[old]} {sides[1]})", "comparison")
            if old in MOVED:
                yield change(node, f"({sides[0]} {MOVED[old]} {sides[1]})", "boundary")
            if old in ("in", "not in"):
                other = "in" if old == "not in" else "not in"
                yield change(node, f"({sides[0]} {other} {sides[1]})", "comparison")
        elif isinstance(node, ast.If | ast.IfExp):
            yield change(node.test, "False", "dropped branch")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = next((word for word in node.value.split() if word in SWAPS), None)
            own = (
                place(node.lineno, node.col_offset),
                place(node.end_lineno or node.lineno, node.end_col_offset or 0),
            )
            if word is not None and word in text[own[0] : own[1]]:
                new = text[own[0] : own[1]].replace(word, SWAPS[word], 1)
                yield Mutant(path, text, *own, new, "word", node.lineno)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            value = node.value
            share = isinstance(value, float) and 0 < value < 1 and value != 0.5
            new = f"{1 - value:g}" if share else f"{value + 1}"
            yield change(node, new, "constant")


def _unread(tree: ast.Module) -> set[int]:
    """Nodes that no run can read: docstrings and annotations."""
    found: set[int] = set()
    for node in ast.walk(tree):
        own = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            own = [node.value]
        elif isinstance(node, ast.FunctionDef):
            arguments = [*node.args.args, *node.args.kwonlyargs]
            own = [node.returns, *(argument.annotation for argument in arguments)]
            own += node.decorator_list
        elif isinstance(node, ast.AnnAssign):
            own = [node.annotation]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            own = [node.value]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            own = [node]
        found |= {id(inner) for part in own if part is not None for inner in ast.walk(part)}
    return found


def tests_of(path: str) -> list[str]:
    """Test files that mention the module: its own first, then by how often, the slow ones last."""
    module = path.removesuffix(".py").replace("/", ".")
    name = Path(path).stem
    words = [module, f"import {name}", f"answers.{name}", f" {name}.", f"{name},"]
    if "/tables/" in path:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        made = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        words = [
            module,
            *(f"{place}.{function}(" for place in ("tables", name) for function in made),
        ]
    found = []
    for file in (ROOT / "tests").rglob("test_*.py"):
        text = file.read_text(encoding="utf-8")
        mentions = sum(text.count(word) for word in words)
        if mentions and "backpain_analysis.answers" in text:
            found.append((file.stem in SLOW, file.stem != f"test_{name}", -mentions, file))
    return [str(file.relative_to(ROOT)) for *_, file in sorted(found)]


def noticed(mutant: Mutant, home: Path) -> str:
    """The test that fails with the change; empty if none does."""
    target = home / mutant.path
    original = target.read_text(encoding="utf-8")
    target.write_text(mutant.source(), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *tests_of(mutant.path)],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"no end in {SECONDS} s"
    finally:
        target.write_text(original, encoding="utf-8")
    if done.returncode in (0, 5):
        return ""
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR "))]
    if not failed:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return failed[0].split(" - ")[0].split(" ", 1)[1]


def copied(home: Path) -> Path:
    """A copy of the package beside links to what its tests read."""
    shutil.copytree(
        ROOT / "backpain_analysis",
        home / "backpain_analysis",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in SHARED:
        (home / name).symlink_to(ROOT / name)
    return home


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--named", action="store_true", help="the changes by hand only")
    parser.add_argument("--random", type=int, default=60, help="how many at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="leave out the first so many")
    parser.add_argument("--first", type=int, default=999, help="stop after so many")
    parser.add_argument("--files", nargs="*", help="names of modules; by default all of the room")
    options = parser.parse_args()
    chosen = [] if options.files else named()
    if not options.named:
        paths = sorted((ROOT / ROOM).rglob("*.py"))
        names = [str(path.relative_to(ROOT)) for path in paths if path.stem != "__init__"]
        if options.files:
            names = [name for name in names if Path(name).stem in options.files]
        every = [mutant for name in names for mutant in mutants(name)]
        random.Random(options.seed).shuffle(every)
        chosen += every[: options.random]
    chosen = chosen[options.skip : options.first]
    left = []
    with tempfile.TemporaryDirectory() as folder:
        home = copied(Path(folder))
        for number, mutant in enumerate(chosen, options.skip + 1):
            start = time.perf_counter()
            test = noticed(mutant, home)
            left += [mutant] * (not test)
            seconds = time.perf_counter() - start
            state = "killed  " if test else "SURVIVED"
            print(f"{number:3d} {state} {seconds:5.1f} s  {mutant}  {test}", flush=True)
    print(f"{len(chosen) - len(left)} of {len(chosen)} killed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
