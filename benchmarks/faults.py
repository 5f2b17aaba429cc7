"""Kill a batch again and again, at random moments, and see that nothing is lost.

    python benchmarks/faults.py --kills 50

First six runs on one folder at once, folders removed meanwhile, a clock that steps, disks that are
full or read-only (Linux, as root). Then half of the kills hit the runner, half a builder or the
kernel of a run. After each, no file may be half there; at the end the site must be, byte for byte,
that of a batch nobody disturbed, and no temporary folder may be left. Then a suite of 1,000 runs of
which 3 fail. The same seed kills after the same waits.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
    """Start the batch, let some cells begin and reports end, and kill.

    Moments are counted in what has happened, so that a busy machine is tried like a quiet one.
    """
    command = [BIN / "backpain", "report", "run", path, "--out", site, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        await_events(runner, chance.randint(1, 12))
        time.sleep(chance.uniform(0, 0.3))
        if runner_too:
            runner.kill()
        else:
            builders = [each for warm in processes(runner.pid) for each in processes(warm)]
            for builder in builders[:1]:
                victim = chance.choice([builder, *processes(builder)])
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            await_events(runner, chance.randint(1, 6))
            runner.kill()
        runner.stdout.read()


def await_events(runner: subprocess.Popen[str], number: int) -> None:
    """Wait until so many cells have begun and reports ended, or the batch has."""
    for line in runner.stdout:
        number -= '"cell"' in line or '"done"' in line
        if number <= 0:
            return


def content(site: Path) -> dict[str, bytes]:
    """Files of a site that do not tell of time."""
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in site.rglob("*")
        if path.is_file() and path.name != "timings.json" and ".finished" not in path.parts
    }


def survive(folder: Path, kills: int, seed: int) -> None:
    """Kill, resume, compare."""
    path = grid(folder / "kills", CELL, 4 * kills)
    whole, site = folder / "whole", folder / "site"
    run_suite(read_suite(path), whole)
    wanted, chance = content(whole), random.Random(seed)
    for kill in range(kills):
        disturb(path, site, chance, runner_too=bool(kill % 2))
        present = {n: data for n, data in content(site).items() if ".backpain-part" not in n}
        wrong = [name for name, data in present.items() if wanted.get(name) != data]
        assert not wrong, f"half there after kill {kill}: {wrong}"
        print(f"kill {kill + 1}: {len(present)} files, all whole", file=sys.stderr)
    kept = len(list((site / ".finished").glob("*.json")))
    run_suite(read_suite(path), site)
    assert content(site) == wanted, "the site differs"
    left = list(Path(tempfile.gettempdir()).glob("backpain-*"))
    left = [each for each in left if not each.name.startswith(f"backpain-{os.getpid()}-")]
    assert not left, f"temporary folders are left: {left}"
    print(
        f"{kills} kills: {kept} of {4 * kills} runs were finished before the last start; same site"
    )


def run_of(path: Path, site: Path, **options: object) -> subprocess.Popen[str]:
    """Start a batch."""
    command = [BIN / "backpain", "report", "run", path, "--out", site]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def whole_of(path: Path, folder: Path) -> dict[str, bytes]:
    """Make the site of a suite undisturbed."""
    run_suite(read_suite(path), folder)
    return content(folder)


def overlap(folder: Path, runs: int = 6) -> None:
    """Start several runs on one folder at once: one finishes, the others say who has it."""
    path = grid(folder / "overlap", CELL, 12)
    wanted, site = whole_of(path, folder / "overlap-whole"), folder / "overlap-site"
    together = [run_of(path, site) for _ in range(runs)]
    said = [run.communicate()[0] for run in together]
    ends = [run.returncode for run in together]
    assert sorted(ends) == [0] + [2] * (runs - 1), (ends, said)
    refused = [text for text, end in zip(said, ends, strict=True) if end == 2]
    assert all("is being written to by process" in text for text in refused), refused
    assert content(site) == wanted, "the site differs"
    print(
        f"{runs} overlapping runs: 1 finished, {runs - 1} were refused with who writes; same site"
    )


def delete(folder: Path, times: int, chance: random.Random) -> None:
    """Remove the site, or a folder of it, while a batch runs; the next run makes it whole."""
    path = grid(folder / "delete", CELL, 12)
    wanted, site = whole_of(path, folder / "delete-whole"), folder / "delete-site"
    for _ in range(times):
        run = run_of(path, site)
        while not list(site.glob("small-*.html")) and run.poll() is None:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 1))
        gone = chance.choice([site, site / "notebooks", site / ".finished"])
        shutil.rmtree(gone, ignore_errors=True)
        said = run.communicate()[0]
        assert run.returncode in (0, 2) and "Traceback" not in said, said
        again = run_of(path, site)
        said = again.communicate()[0]
        assert again.returncode == 0, said
        assert content(site) == wanted, f"the site differs after {gone.name} was removed"
        shutil.rmtree(site)
    print(f"{times} times a folder was removed during a batch: whole after the next run")


STEPS = """
import random, time
real = time.time
time.time = lambda: real() - random.choice([0, 1, 3600, 10**8])
"""


def step_clock(folder: Path) -> None:
    """Let the clock of every process step to and fro by up to three years."""
    path = grid(folder / "clock", CELL, 12)
    wanted, site = whole_of(path, folder / "clock-whole"), folder / "clock-site"
    (folder / "steps").mkdir()
    (folder / "steps" / "sitecustomize.py").write_text(STEPS)
    paths = os.pathsep.join(filter(None, [str(folder / "steps"), os.environ.get("PYTHONPATH")]))
    run = run_of(path, site, env={**os.environ, "PYTHONPATH": paths})
    said = run.communicate(timeout=300)[0]
    assert run.returncode == 0, said
    found = content(site)
    dated = "ro-crate-metadata.json"
    assert {**found, dated: b""} == {**wanted, dated: b""}, "the site differs"
    print("a clock that steps to and fro: finished, same site")


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path | None]:
    """Mount a disk of a few megabytes; None if that is not allowed here."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place]
    if subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill_disks(folder: Path) -> None:
    """Write a site, then temporary files, to a disk that fills; then a site to a locked one."""
    path = grid(folder / "full", CELL, 40)
    wanted = whole_of(path, folder / "full-whole")
    with small_disk(folder / "disk", "2m") as disk:
        if disk is None:
            print("no disk can be mounted here: full and read-only disks were not tried")
            return
        run = run_of(path, disk / "site")
        said = run.communicate()[0]
        assert run.returncode == 2 and "No space left" in said and "Traceback" not in said, said
        for name, data in content(disk / "site").items():
            assert wanted.get(name) == data, f"{name} is half there"
        kept = len(list((disk / "site" / ".finished").glob("*.json")))
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        run = run_of(path, disk / "site")
        said = run.communicate()[0]
        assert run.returncode == 0 and content(disk / "site") == wanted, said
        print(f"a full disk: one message, {kept} reports whole and kept; same site with more room")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        run = run_of(path, disk / "other")
        said = run.communicate()[0]
        assert run.returncode == 2 and "Read-only" in said and len(said.splitlines()) == 1, said
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        print("a read-only disk: one line")
    with small_disk(folder / "small", "64k") as disk:
        (disk / "ballast").write_bytes(b"x" * 60_000)
        run = run_of(path, folder / "tmp-site", env={**os.environ, "TMPDIR": str(disk)})
        said = run.communicate()[0]
        assert run.returncode in (0, 2) and "Traceback" not in said, said
        print(f"temporary files on a full disk: {said.splitlines()[-1][:100]}")


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
    parser.add_argument("--deletions", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="overlap, delete, clock, disks, kills, many")
    chosen = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory() as temporary:
        tempfile.tempdir = os.environ["TMPDIR"] = f"{temporary}/tmp"
        folder, chance = Path(temporary), random.Random(chosen.seed)
        (folder / "tmp").mkdir()
        tries: dict[str, Callable[[], None]] = {
            "overlap": lambda: overlap(folder),
            "delete": lambda: delete(folder, chosen.deletions, chance),
            "clock": lambda: step_clock(folder),
            "disks": lambda: fill_disks(folder),
            "kills": lambda: survive(folder, chosen.kills, chosen.seed),
            "many": lambda: many(folder),
        }
        for name, trial in tries.items():
            if name in (chosen.only or tries):
                trial()
