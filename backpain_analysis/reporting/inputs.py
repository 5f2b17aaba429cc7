"""What a run reads beside its notebook: found before it runs, hashed, and laid out for it alone.

A run sees the files that its notebook, its parameters or its suite name, in a folder of its own:

- modules that the code imports and that lie beside the notebook, or on Python's path though nobody
  installed them, and what those name in turn; of installed ones the version counts;
- files and folders that a text in the code names, relative to the notebook; ``*`` and gaps within
  an f-string match anything; who asks for the working folder gets the files beside the notebook;
- files and folders that a parameter names, relative to the suite or to where the command is given;
- what `files` in the suite lists.

Each counts by its content. What lies under an absolute path or above the suite appears as
``inputs/<parameter>/<name>``, so that no page depends on where it was.

What a run reads though nobody named it (an absolute path, a module that nobody installed) is seen
by Python's audit hook: it cannot be known to be up to date, and counts as unfinished. Reading by
other programs, and from the network, is not seen.
"""

from __future__ import annotations

import atexit
import glob
import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import backpain_analysis
from backpain_analysis.reporting.errors import ReportingError
from backpain_analysis.reporting.reading import read_plain

TEXT = re.compile(r"""(?<![\w\\])[rRbBfF]{0,2}(?:"([^"\n]{1,250})"|'([^'\n]{1,250})')""")
GAP = re.compile(r"\{[^{}]*\}")
MODULE = re.compile(r"\w+(?:\.\w+)*")
SHELL = re.compile(r"^%%.*\Z|(?:^|=)[ \t]*!.*?$", re.MULTILINE | re.DOTALL)
WORD = re.compile(r"[^\s'\"`<>|;&()=]+")
HERE = re.compile(r"\bcwd\(|\bgetcwd\(|\b(?:listdir|scandir|walk|iterdir)\(\s*\)")
UPWARD = re.compile(r"(?:\.\./)*\.\.")
PREFIX = "backpain-"
LONGEST = 1000
LONGEST_TMPDIR = 70
MOST_FILES = 10_000
MOST_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Input:
    """A file that a run reads.

    Attributes
    ----------
    path : Path
        Where it is.
    place : str
        Where the run finds it, relative to its folder, with ``/``.
    sha256 : str
        Of its content, when the suite began.
    size : int
        In bytes.
    """

    path: Path
    place: str
    sha256: str
    size: int


def beside(notebook: Path, sources: Iterable[str]) -> dict[str, Path]:
    """Find the files beside a notebook that its code names.

    Parameters
    ----------
    notebook : Path
    sources : iterable of str
        Its code cells.

    Returns
    -------
    dict of str to Path
        Files by their place relative to the notebook's folder.
    """
    folder, sources = notebook.parent, list(sources)
    found: dict[str, Path] = {}
    shell = [
        word for each in sources for line in SHELL.findall(each) for word in WORD.findall(line)
    ]
    waiting = ["\n".join([*sources, *map(repr, shell)])]
    while waiting:
        code = waiting.pop()
        for place, path in _named_in(code, folder):
            if place not in found and path != notebook:
                found[place] = path
                if path.suffix == ".py":
                    waiting.append(path.read_text(encoding="utf-8", errors="replace"))
    return found


def _named_in(code: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Find the files that code names, each with its place relative to the folder."""
    for path in _beside_in(code, folder):
        yield Path(os.path.relpath(path, folder)).as_posix(), path
    for module in imported(code):
        if (there := of_no_version(module)) and not any(_modules(folder, module)):
            for path in _files(there):
                yield path.relative_to(there.parent).as_posix(), path


def _beside_in(code: str, folder: Path) -> Iterator[Path]:
    texts = {one or other for one, other in TEXT.findall(code)}
    texts = {GAP.sub("*", text) for text in texts if not text.startswith("{")}
    roots = [folder, *(folder / text for text in texts if UPWARD.fullmatch(text))]
    for module in imported(code) | {text.split(".")[0] for text in texts if MODULE.fullmatch(text)}:
        for root in roots:
            yield from _modules(root, module)
    for text in texts:
        for root in roots:
            yield from _matching(root, text)
    if HERE.search(code) or "." in texts:
        yield from (path for path in sorted(folder.iterdir()) if _is_plain(path))


def _modules(root: Path, name: str) -> Iterator[Path]:
    yield from _files(root / f"{name}.py")
    yield from _files(root / name)


def _matching(root: Path, text: str) -> Iterator[Path]:
    if text.startswith(("/", "~", "\\")) or not text.strip("./* ") or "\0" in text:
        return
    with suppress(OSError, ValueError):
        names = glob.glob(text, root_dir=root, recursive=True) if "*" in text else [text]
        for name in names:
            yield from _files(root / name)


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files of a folder but for hidden ones and those nobody writes."""
    try:
        if path.is_file():
            yield Path(os.path.normpath(path))
        elif path.is_dir() and not path.name.startswith("."):
            for each in sorted(path.iterdir()):
                if each.name != "__pycache__" and not each.name.startswith("."):
                    yield from _files(each)
    except OSError:
        return


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and path.suffix != ".ipynb"


def of_parameter(name: str, value: Any, base: Path) -> tuple[Any, dict[str, Path]]:
    """Find the files that a parameter names.

    Parameters
    ----------
    name : str
    value : Any
        A text, or a list or mapping of such values; anything else names nothing.
    base : Path
        Where relative paths start.

    Returns
    -------
    value : Any
        As the run is to be told it.
    found : dict of str to Path
        Files by their place in the run's folder.
    """
    if isinstance(value, list | dict):
        values = value.values() if isinstance(value, dict) else value
        several = [of_parameter(f"{name}-{n}", v, base) for n, v in enumerate(values, start=1)]
        places = {place: path for _, found in several for place, path in found.items()}
        each_told = [each for each, _ in several]
        if isinstance(value, dict):
            return dict(zip(value, each_told, strict=True)), places
        return each_told, places
    path = _existing(value, base)
    if path is None:
        return value, {}
    inside = not Path(value).is_absolute() and value[0] != "~" and ".." not in Path(value).parts
    told = value if inside else f"inputs/{name}/{path.name}"
    if path.is_file():
        return told, {PurePosixPath(Path(told)).as_posix(): path}
    return told, {
        (PurePosixPath(Path(told)) / file.relative_to(path).as_posix()).as_posix(): file
        for file in _of_folder(path)
    }


def _existing(value: Any, base: Path) -> Path | None:
    """Return what a parameter's value names, if it is a file or a folder."""
    if not isinstance(value, str) or not 0 < len(value) < LONGEST or not value.strip("./ "):
        return None
    try:
        path = Path(os.path.normpath(base / Path(value).expanduser()))
        return path if path.is_file() or path.is_dir() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _of_folder(path: Path) -> list[Path]:
    """List a folder's files; of one that holds tables like the bundled ones, only those."""
    files = list(_files(path))
    tables = [file for file in files if file.stem.lower() in table_names()]
    return tables if any(file.stem in table_names() for file in tables) else files


@cache
def table_names() -> frozenset[str]:
    """Return what the files of bundled trials and participants are called."""
    from backpain_analysis.datasets.bundled import data_dir

    folders = [data_dir() / name for name in ("trials", "participants")]
    return frozenset(path.stem for folder in folders for path in folder.glob("*.*"))


def listed(patterns: Iterable[str], base: Path) -> tuple[dict[str, Path], list[str]]:
    """Find the files that a suite lists.

    Returns
    -------
    found : dict of str to Path
        Files by their place in the run's folder.
    faults : list of str
        Patterns that match nothing or leave the suite's folder.
    """
    found: dict[str, Path] = {}
    faults = []
    for pattern in patterns:
        files = list(_matching(base, pattern)) if ".." not in Path(pattern).parts else []
        if not files:
            faults.append(f"`files` has {pattern!r}, which is no file beside or below the suite")
        found |= {file.relative_to(base).as_posix(): file for file in files}
    return found, faults


def taken(files: Mapping[str, Path]) -> tuple[Input, ...]:
    """Hash files as they are now.

    Raises
    ------
    ReportingError
        If one cannot be read, or they are too many or too large to lay out for every run.
    """
    found = []
    for place, path in sorted(files.items()):
        try:
            found.append(Input(path, place, _sha256(path, path.stat()), path.stat().st_size))
        except OSError as error:
            raise ReportingError(f"{path} cannot be read: {error.strerror or error}") from error
    total = sum(each.size for each in found)
    if len(found) > MOST_FILES or total > MOST_BYTES:
        largest = max(found, key=lambda each: each.size)
        raise ReportingError(
            f"a run would need {len(found):,} files of {total / 2**20:,.0f} MiB, the largest "
            f"{largest.path}; {MOST_FILES:,} files of {MOST_BYTES / 2**20:,.0f} MiB are the most"
        )
    return tuple(found)


def files_by_content(places: Iterable[Path]) -> dict[str, Path]:
    """Find the files of folders, or files themselves, by the SHA-256 of their content."""
    files = [file for place in places for file in _files(place)]
    return {_sha256(file, file.stat()): file for file in files}


_hashed: dict[tuple[Path, int, int, int], str] = {}


def _sha256(path: Path, stat: os.stat_result) -> str:
    seen = (path, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if seen not in _hashed:
        _hashed[seen] = _digest(path)
    return _hashed[seen]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def laid_out(
    inputs: Iterable[Input], source: Callable[[Input], Path] = lambda each: each.path
) -> Iterator[Path]:
    """Give a run its folder, with a copy of every input, and take it away at the end.

    Parameters
    ----------
    inputs : iterable of Input
    source : callable
        Says where the content of an input is.

    Raises
    ------
    ReportingError
        If a file has changed since the suite began, or there is no room for it.
    """
    inputs = list(inputs)
    ups = max((PurePosixPath(each.place).parts.count("..") for each in inputs), default=0)
    root = made_at_home("run-")
    folder = root.joinpath(*["run"] * (ups + 1))
    try:
        folder.mkdir(parents=True)
        for each in inputs:
            _copy(source(each), Path(os.path.normpath(folder / each.place)), root, each)
        yield folder
    finally:
        shutil.rmtree(root, ignore_errors=True)


def own_place(folder: Path) -> dict[str, str]:
    """Return the variables that give a run temporary files of its own.

    Where its path would be too long for the sockets that programs put there, there are none.
    """
    place = folder.with_name("tmp")
    place.mkdir(exist_ok=True)
    return {"TMPDIR": str(place)} if len(str(place)) < LONGEST_TMPDIR else {}


def _copy(source: Path, target: Path, root: Path, expected: Input) -> None:
    if not target.is_relative_to(root):
        raise ReportingError(f"{expected.place} would lie outside a run's folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        same = _digest(target) == expected.sha256
    except OSError as error:
        reason = error.strerror or error
        raise ReportingError(f"{expected.place} cannot be laid out: {reason}") from error
    if not same:
        raise ReportingError(f"{expected.path} has changed since the suite began; run it again")


_lock = threading.Lock()
_home: Path | None = None


def home() -> Path:
    """Return this process's temporary folder; those of processes that were killed are removed.

    Raises
    ------
    ReportingError
        If there is none, as when the disk is full.
    """
    global _home
    with _lock:
        mine = f"{PREFIX}{os.getpid()}-"
        if _home is None or not (_home.name.startswith(mine) and _home.is_dir()):
            try:
                _remove_forsaken(Path(tempfile.gettempdir()))
                _home = Path(tempfile.mkdtemp(prefix=mine))
            except OSError as error:
                raise no_room(error) from error
            atexit.register(_remove, _home, os.getpid())
        return _home


def made_at_home(prefix: str) -> Path:
    """Make a folder in `home`.

    Raises
    ------
    ReportingError
        If there is no room for it.
    """
    try:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=home()))
    except OSError as error:
        raise no_room(error) from error


def no_room(error: OSError) -> ReportingError:
    """Say that no temporary file can be made."""
    return ReportingError(
        f"no temporary folder can be made: {error.strerror or error}; "
        "free some room or point TMPDIR elsewhere"
    )


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_forsaken(place: Path) -> None:
    """Remove our own temporary folders whose process is gone."""
    for folder in place.glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdecimal() and not folder.is_symlink() and _is_mine(folder) and not _runs(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_mine(folder: Path) -> bool:
    try:
        return not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
    except OSError:
        return False


def _runs(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid)


OURS = "backpain-analysis"
IMPORT = re.compile(
    r"(?:^|[;:])[ \t]*(?:from|import|%run|%load_ext)[ \t]+([\w., \t/-]+)", re.MULTILINE
)
ALIAS = re.compile(r"\s+(?:as\s+\w+|import\b.*)")
INSTALLED = {"site-packages", "dist-packages"}


def imported(code: str) -> set[str]:
    """Return the first parts of the names that code imports: ``a`` of ``from a.b import c``."""
    found = set()
    for names in IMPORT.findall(code):
        for name in re.split(r"[,\s]+", ALIAS.sub("", names)):
            found.add(name.removesuffix(".py").replace(".", "/").split("/")[0])
    return found - {""}


@cache
def of_no_version(module: str) -> Path | None:
    """Return the file or folder of a module on Python's path that nobody installed, if it is one.

    Its files count by their content, as of one that lies beside the notebook. A module in the
    working folder is none: what a run finds does not depend on where it is started.
    """
    place = _place(module)
    if place is None or INSTALLED & set(place.parts):
        return None
    named = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    paths = [os.path.abspath(path) for path in named]
    if place.parent == Path.cwd() and str(place.parent) not in paths:
        return None
    return place


def _place(module: str) -> Path | None:
    """Return where a module is that comes neither with Python nor with this package."""
    if module in sys.stdlib_module_names or canonicalize_name(module) == OURS:
        return None
    try:
        spec = find_spec(module)
    except (ImportError, ValueError, AttributeError):  # odd entries among those imported already
        return None
    if spec is None or not spec.origin:
        return None
    place = Path(spec.origin)
    return place.parent if spec.submodule_search_locations else place


@cache
def packages(name: str = OURS) -> dict[str, str]:
    """Return the versions of a package and of all that it asks for, and they in turn."""
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        package = canonicalize_name(waiting.pop())
        with suppress(PackageNotFoundError), _parsing:
            if package not in found:
                about = distribution(package)
                found[package] = about.version
                asked = map(Requirement, about.requires or [])
                waiting += [each.name for each in asked if _applies(each)]
    return dict(sorted(found.items()))


_parsing = threading.Lock()
"""Requirements are parsed as Python, in which two threads of some CPython 3.11 and 3.12 fail."""


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def packages_of(modules: Iterable[str]) -> dict[str, str]:
    """Return the versions of the packages that modules belong to, and of all that these ask for."""
    found: dict[str, str] = {}
    for module in modules:
        place = _place(module)
        if place and INSTALLED & set(place.parts) and canonicalize_name(module) not in packages():
            for name in _owners(module):
                found |= packages(name)
    return found


def _owners(module: str) -> list[str]:
    """Return the packages that a module came with; most are called like it."""
    return [module] if packages(module) else packages_distributions().get(module, [])


def versions_here(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    return {name: found[name] for name in names if name in (found := packages(name))}


SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/bin", "/System", "/Library")
NOTED = "read-elsewhere"
MOST = 20


def watch(folder: Path | str) -> None:
    """From now on, note what this process and its forks read outside a run's folder.

    Parameters
    ----------
    folder : Path
        Of the run; the notes are written beside it.
    """
    from backpain_analysis.datasets.bundled import data_dir  # loads pandas, which asks for a shell

    folder = Path(folder)
    package = Path(backpain_analysis.__file__).parent
    own = [*map(str, (folder.parent, package, data_dir())), sys.prefix, sys.base_prefix, *SYSTEM]
    own.append(os.environ.get("SystemRoot", "/proc"))
    known = tuple({f"{each}{os.sep}" for each in [*own, *map(os.path.realpath, own)]})
    hidden = f"{Path.home()}{os.sep}."
    notes = os.open(folder.with_name(NOTED), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    seen: set[str] = set()

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        with suppress(OSError, ValueError):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path in seen or path.startswith((*known, hidden)):
                return
            seen.add(path)
            if not arguments[2] & (os.O_WRONLY | os.O_TRUNC) and os.path.isfile(path):
                os.write(notes, f"{path}\0".encode(errors="surrogateescape"))

    sys.addaudithook(look)


def read_elsewhere(folder: Path) -> tuple[str, ...]:
    """Return what a run has read outside its folder, the first few."""
    try:
        noted = read_plain(folder.with_name(NOTED))
    except OSError:
        return ()
    paths = noted.decode(errors="replace").split("\0")[:-1]
    return tuple(dict.fromkeys(paths))[:MOST]
