"""The repository keeps its own rules."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "backpain_analysis"
ROOMS = [
    *(
        "words",
        "display",
        "datasets",
        "evidence",
        "importing",
        "effects",
        "engine",
        "models.results",
        "models.bayes",
    ),
    *("models.pairwise", "models.dose", "models.network", "models.people", "models.time"),
    *("answers", "figures"),
]
"""From the bottom up; a room imports what stands before it."""
LONGEST = 700

HOSTS = (
    r"pypi\.org|pythonhosted\.org|--(extra-)?index-url|--find-links|anaconda\.org|repo\.anaconda"
)
MACHINE_PATHS = r"(?:^|[\s\"'`=(:])/(?:work|tmp|root|home/\w+|Users/\w+)/"
SECRETS = r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(gh[pousr]_|AKIA)[A-Za-z0-9]{16,}"


@cache
def files() -> tuple[Path, ...]:
    """List what is, or would be, in git."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = (ROOT / line for line in listed.splitlines())
    return tuple(path for path in paths if path.is_file() and path != Path(__file__).resolve())


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


@pytest.mark.parametrize(
    "pattern", [HOSTS, MACHINE_PATHS, SECRETS], ids=["hosts", "machine paths", "secrets"]
)
def test_no_file_holds_what_belongs_to_one_machine(pattern):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in files()
        if path.suffix not in {".png", ".parquet", ".xlsx"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert found == []


def test_notebooks_are_stored_without_outputs():
    notebooks = [path for path in files() if path.suffix == ".ipynb"]
    assert notebooks
    for path in notebooks:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [] and cell["execution_count"] is None, path


def test_no_python_file_says_two_things():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files()
        if path.suffix == ".py"
    }
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


@cache
def is_module(name: str) -> bool:
    place = ROOT / name.replace(".", "/")
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def imports(path: Path) -> list[tuple[str, str]]:
    """List the modules of ours that a file imports, and the function or guard they stand in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    place = {}
    for outer in ast.walk(tree):
        if isinstance(outer, ast.FunctionDef):
            place |= {id(node): outer.name for node in ast.walk(outer)}
        elif isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING":
            place |= {id(node): "TYPE_CHECKING" for node in ast.walk(outer)}
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module]
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_module(name) else node.module for name in inside]
        found += [(name, place.get(id(node), "")) for name in names]
    return [(name, where) for name, where in found if name.startswith("backpain_analysis.")]


def room(module: str) -> str:
    """The room of a module, as named in `ROOMS`; other modules by their first name."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if parts[0] == "models" else parts[0]


UPWARD = {
    ("evidence", "effects", "effects"),
    ("evidence", "effects", "TYPE_CHECKING"),
    *((room, "figures", "plot") for room in ROOMS),
}
"""A method that offers the next step: `Evidence.effects`, a result's `plot`."""


@pytest.mark.parametrize("lower", ROOMS)
def test_imports_run_one_way(lower):
    below = {*ROOMS[: ROOMS.index(lower) + 1], "errors"}
    place = PACKAGE / lower.replace(".", "/")
    paths = [place.with_suffix(".py")] if place.with_suffix(".py").exists() else place.rglob("*.py")
    seen = 0
    for path in paths:
        seen += 1
        for module, where in imports(path):
            sanctioned = (lower, room(module), where) in UPWARD
            assert room(module) in below or sanctioned, f"{path.relative_to(ROOT)}: {module}"
    assert seen


def test_no_modules_import_each_other():
    """No circle among the imports that run when a module is loaded."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {module for module, where in imports(path) if not where}
    graph = {name: {m for m in found if m in graph} for name, found in graph.items()}
    assert len(graph) > 100
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_reporting_knows_no_statistics():
    allowed = {"backpain_analysis.evidence", "backpain_analysis.load_evidence"}
    allowed.add("backpain_analysis.answers.beforehand")
    for path in (PACKAGE / "reporting").rglob("*.py"):
        for module, _ in imports(path):
            beside = module.split(".")[1] in {"reporting", "datasets", "words"}
            assert beside or module in allowed, f"{path.relative_to(ROOT)} imports {module}"


def pins(file: str) -> dict[str, str]:
    """Versions by name; every line is a pin, a hash, or nothing."""
    found = {}
    for line in (ROOT / file).read_text(encoding="utf-8").replace("\\\n", "").splitlines():
        pin = re.fullmatch(
            r"([a-z0-9._-]+)==([a-z0-9.!+]+)( ; [^#]+?)? +(--hash=sha256:[0-9a-f]{64} *)+", line
        )
        assert pin, f"{file}: {line[:80]}"
        found[canonicalize_name(pin[1])] = pin[2]
    return found


def test_requirements_are_pinned_with_hashes_and_satisfy_the_project():
    users, tools = pins("requirements.txt"), pins("requirements-dev.txt")
    assert not users.keys() & tools.keys(), "a package is pinned once"
    for name, wanted in requirements(project()["dependencies"]).items():
        assert wanted.specifier.contains(users[name], prereleases=True), name
    for name, wanted in requirements(dev()).items():
        assert wanted.specifier.contains((users | tools)[name], prereleases=True), name
    assert not {"pytest", "dask", "ruff", "playwright"} & users.keys()


def dev() -> list[str]:
    """What developers need beside the project: their tools, and what is optional to users."""
    optional = project()["optional-dependencies"]
    tools = [line for line in optional["dev"] if not line.startswith(project()["name"])]
    return [
        *tools,
        *(line for name in ("build", "cluster", "docs", "word") for line in optional[name]),
    ]


def test_conda_environment_is_the_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, by_pip = environment["dependencies"]
    stated = requirements(conda)
    assert str(stated.pop("python").specifier) == project()["requires-python"]
    stated.pop("pip")
    wanted = requirements(project()["dependencies"])
    assert {n: str(r.specifier) for n, r in stated.items()} == {
        n: str(r.specifier) for n, r in wanted.items()
    }
    assert by_pip == {"pip": ["-e .[dev]"]}
    assert environment["channels"] == ["conda-forge"]


def test_conda_recipe_is_the_project():
    recipe = (ROOT / "conda" / "meta.yaml").read_text(encoding="utf-8")
    run = recipe[recipe.index("  run:") : recipe.index("\ntest:")]
    stated = requirements(re.findall(r"    - (.+)", run.replace("matplotlib-base", "matplotlib")))
    assert str(stated.pop("python").specifier) == project()["requires-python"]
    wanted = requirements(project()["dependencies"])
    assert {n: str(r.specifier) for n, r in stated.items()} == {
        n: str(r.specifier) for n, r in wanted.items()
    }


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project()["version"]
    assert f"git clone {citation['repository-code']} " in (ROOT / "README.md").read_text()
    assert f'version = "{project()["version"]}"' in (ROOT / "conda" / "meta.yaml").read_text()
    assert f"## {project()['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_an_installed_wheel_has_its_data_and_notebooks(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels, target = tmp_path / "wheels", tmp_path / "installed"
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT)]
    subprocess.run([*pip, *build], check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    install = ["install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True)

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *words],
            cwd=tmp_path,
            env={"PYTHONPATH": str(target), "COLUMNS": "200"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = "import backpain_analysis as bp; print(bp.__file__, len(bp.load_evidence().trials))"
    file, trials = run("-c", code).split()
    assert Path(file).is_relative_to(target)
    assert int(trials) > 100
    assert "03_dose_response" in run("-m", "backpain_analysis", "report", "list")


def test_one_trial_is_not_said_as_several():
    """Counts of trials in texts go through `words.plural`, unless one is told apart beside it."""
    count = re.compile(r"\{[\w.]*n_(?:trials|clusters)\} trials")
    for path in PACKAGE.rglob("*.py"):
        for line in path.read_text().splitlines():
            told_apart = " == 1 else " in line
            assert told_apart or not count.search(line), f"{path.relative_to(ROOT)}: {line.strip()}"
