"""Reports per minute and the runner's memory, beside a shell loop of papermill and nbconvert.

    python benchmarks/reports.py
    python benchmarks/reports.py --grid 20 --memory 50 200

Both sides run the same notebooks with the same parameters, one after the other, on all
processors; ours also writes index, tables and manifest, and includes starting up.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from backpain_analysis.datasets.bundled import reports_dir
from backpain_analysis.reporting.suite import Suite, read_suite

BIN = Path(sys.executable).parent
SMALL = """
from IPython.display import Markdown
import backpain_analysis as bp

effects = bp.load_evidence().filter(population=bp.BACK_PAIN).effects("pain_intensity")
result = bp.pool(effects.against_inactive(), method="REML")
Markdown(f"> Run {number}: {result.params.iloc[0]:.1f} points")
"""
TINY = "print(number)"


def grid(folder: Path, source: str, runs: int) -> Path:
    """Write a notebook and a suite that runs it with every number below `runs`."""
    cells = [
        new_markdown_cell("# A small notebook"),
        new_code_cell("number: int = 0  # of the run", metadata={"tags": ["parameters"]}),
        new_code_cell(source.strip()),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "small.ipynb")
    report = {"notebook": "small", "grid": {"number": list(range(runs))}}
    path = folder / "suite.yml"
    path.write_text(yaml.safe_dump({"title": "A grid", "reports": [report]}))
    return path


def loop(suite: Suite, folder: Path) -> float:
    """Seconds that a loop of papermill and nbconvert takes."""
    folder.mkdir()
    start = time.perf_counter()
    for report in suite.reports:
        executed = folder / f"{report.name}.ipynb"
        parameters = yaml.safe_dump(dict(report.parameters))
        run = [BIN / "papermill", report.notebook.path, executed, "-y", parameters, "-k", "python3"]
        subprocess.run([*run, "--no-progress-bar"], check=True, capture_output=True)
        convert = [BIN / "jupyter", "nbconvert", "--to", "html", executed]
        subprocess.run(convert, check=True, capture_output=True)
    return time.perf_counter() - start


def ours(suite: Path, out: Path) -> tuple[float, float]:
    """Seconds that `backpain report run` takes, and the most memory of the runner in MiB."""
    command = [BIN / "backpain", "report", "run", suite, "--out", out, "--json"]
    start = time.perf_counter()
    memory = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        for line in runner.stdout:
            if json.loads(line)["event"] == "end":
                status = Path(f"/proc/{runner.pid}/status").read_text()
                memory = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
    if runner.returncode:
        sys.exit(f"backpain report run ended with {runner.returncode}")
    return time.perf_counter() - start, memory


def compare(name: str, path: Path, folder: Path) -> None:
    """Print a row: both sides' reports per minute, and how many times ours are."""
    suite = read_suite(path)
    theirs = loop(suite, folder / "loop")
    seconds, _ = ours(path, folder / "site")
    count = len(suite.reports)
    print(
        f"| {name} | {count} | {60 * count / theirs:.1f} | {60 * count / seconds:.1f} "
        f"| {theirs / seconds:.1f} |",
        flush=True,
    )


def main(runs: int, memory: Sequence[int]) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print("| suite | reports | papermill + nbconvert, a minute | ours, a minute | times |")
        print("|---|---:|---:|---:|---:|")
        (folder / "default").mkdir()
        compare("default", reports_dir() / "default.yml", folder / "default")
        compare("grid of small runs", grid(folder / "grid", SMALL, runs), folder / "grid")
        print("\n| runs | seconds | runner's peak memory, MiB |\n|---:|---:|---:|")
        for count in memory:
            path = grid(folder / f"memory-{count}", TINY, count)
            seconds, peak = ours(path, path.parent / "site")
            print(f"| {count:,} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", type=int, default=100, help="runs of the small notebook")
    parser.add_argument("--memory", type=int, nargs="*", default=[100, 1000])
    chosen = parser.parse_args()
    main(chosen.grid, chosen.memory)
