"""Kill a batch again and again, at random moments, and see that nothing is lost.

    python benchmarks/faults.py --kills 50

Half of the kills hit the runner, half the process of a run. After each, no file may be half
there; at the end the site must be, byte for byte, that of a batch nobody disturbed. Then a suite
of 1,000 runs of which 3 fail. The same seed kills after the same waits.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from backpain_analysis.reporting.run import run_suite
from backpain_analysis.reporting.suite import read_suite
from reports import BIN, grid

CELL = "import time\ntime.sleep(0.3)\nprint('x' * 100_000)"
FAILS = "assert number not in (7, 500, 999), number"


def processes(parent: int) -> list[int]:
    """Children of a process, on Linux."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def disturb(path: Path, site: Path, chance: random.Random, runner_too: bool) -> None:
    """Start the batch, wait for a random moment, kill; if only a run was killed, let it end."""
    command = [BIN / "backpain", "report", "run", path, "--out", site, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        for line in runner.stdout:
            if '"cell"' in line or '"done"' in line:
                break
        time.sleep(chance.uniform(0, 1.5))
        if runner_too:
            runner.kill()
        else:
            builders = [each for warm in processes(runner.pid) for each in processes(warm)]
            for builder in builders[:1]:
                victim = chance.choice([builder, *processes(builder)])
                os.kill(victim, signal.SIGKILL)
            time.sleep(chance.uniform(0.5, 1.5))
            runner.kill()
        runner.stdout.read()


def content(site: Path) -> dict[str, bytes]:
    """Files of a site that do not tell of time."""
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in site.rglob("*")
        if path.is_file() and path.name != "timings.json" and ".finished" not in path.parts
    }


def survive(folder: Path, kills: int, seed: int) -> None:
    """Kill, resume, compare."""
    path = grid(folder / "kills", CELL, 6 * kills)
    whole, site = folder / "whole", folder / "site"
    run_suite(read_suite(path), whole)
    wanted, chance = content(whole), random.Random(seed)
    for kill in range(kills):
        disturb(path, site, chance, runner_too=bool(kill % 2))
        present = {name: data for name, data in content(site).items() if ".part" not in name}
        wrong = [name for name, data in present.items() if wanted.get(name) != data]
        assert not wrong, f"half there after kill {kill}: {wrong}"
    kept = len(list((site / ".finished").glob("*.json")))
    run_suite(read_suite(path), site)
    assert content(site) == wanted, "the site differs"
    print(
        f"{kills} kills: {kept} of {6 * kills} runs were finished before the last start; same site"
    )


def many(folder: Path) -> None:
    """Run 1,000 of which 3 fail."""
    path = grid(folder / "many", FAILS, 1000)
    command = [BIN / "backpain", "report", "run", path, "--out", folder / "many-site"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    manifest = json.loads((folder / "many-site" / "manifest.json").read_text())
    failed = [report["name"] for report in manifest["reports"] if report["status"] == "failed"]
    assert done.returncode == 1 and len(failed) == 3, done.stderr
    assert len(list((folder / "many-site").glob("small-*.html"))) == 1000
    print(f"{done.stdout.splitlines()[-1].split(':')[0]}, in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as temporary:
        survive(Path(temporary), chosen.kills, chosen.seed)
        many(Path(temporary))
