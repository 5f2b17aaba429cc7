"""The command ``backpain``: run reports, check data, open the laboratory.

Each command imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperCommand

if TYPE_CHECKING:
    from backpain_analysis.reporting import Notebook, Suite
    from backpain_analysis.reporting.build import Outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="How much exercise, of which type, how often, changes back pain: from trial data to "
    "shareable reports.",
)
report = typer.Typer(no_args_is_help=True, help="Run notebooks and render them as HTML reports.")
data = typer.Typer(no_args_is_help=True, help="Look at evidence tables and check your own.")
app.add_typer(report, name="report")
app.add_typer(data, name="data")


class Paired(TyperCommand):
    """Takes ``-p NAME VALUE``, as papermill does, where typer would have one word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join each name with its value, then parse as usual."""
        return super().parse_args(ctx, list(_joined(args)))


def _joined(words: Iterable[str]) -> Iterator[str]:
    words = iter(words)
    for word in words:
        yield word
        if word in ("-p", "--parameter"):
            name = next(words, "")
            yield name if "=" in name else "=".join([name, *islice(words, 1)])


def main() -> None:
    """Run the command; what goes wrong is said in one message and the exit code."""
    app()


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("backpain-analysis"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@report.command("run", cls=Paired)
def run(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[SUITE.yml | NOTEBOOK]", help="By default the bundled suite."),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME VALUE", help="Set a parameter."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("reports/site"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Reports at a time; by default one a processor.")
    ] = None,
) -> None:
    """Run a suite or a notebook and write its HTML reports.

    For example:

    * `backpain report run`
    * `backpain report run my-suite.yml --out my-site`
    * `backpain report run 03_dose_response -p dose sessions_per_week -p mcid 10`
    """
    with _one_message():
        from backpain_analysis.reporting import run_suite, with_parameters

        suite = with_parameters(_suite(what), dict(_pair(text) for text in parameter or []))
        with _progress(len(suite.reports), out) as tell:
            outcomes = run_suite(suite, out, jobs=jobs, progress=tell)
    failed = [outcome for outcome in outcomes if outcome.error]
    print(f"{len(outcomes) - len(failed)} finished, {len(failed)} failed: {out / 'index.html'}")
    if failed:
        raise typer.Exit(1)


@report.command("list")
def list_(
    notebook: Annotated[str | None, typer.Argument(help="Show this notebook's parameters.")] = None,
) -> None:
    """List the notebooks, or one notebook's parameters.

    For example:

    * `backpain report list`
    * `backpain report list 03_dose_response`
    """
    with _one_message():
        from backpain_analysis.reporting import find_notebook, list_notebooks

        table = _parameters(find_notebook(notebook)) if notebook else _notebooks(list_notebooks())
    Console().print(table)


@data.command("check")
def check(
    path: Annotated[Path, typer.Argument(help="A folder of CSV or Parquet tables, or an XLSX.")],
) -> None:
    """Check your own evidence tables and say everything that is wrong.

    For example:

    * `backpain data check my-trials/`
    """
    with _one_message():
        from backpain_analysis.evidence import check_evidence

        faults = check_evidence(path)
    if not faults:
        print(f"{path}: no faults")
        return
    columns = ["file", "row", "column", "value", "rule", "hint"]
    rows = ([getattr(fault, column) for column in columns] for fault in faults)
    Console().print(_table(f"Faults in {path}: {len(faults)}", columns, rows))
    raise typer.Exit(1)


@data.command("describe")
def describe(
    path: Annotated[Path | None, typer.Argument(help="By default the bundled evidence.")] = None,
) -> None:
    """Count what the evidence holds.

    For example:

    * `backpain data describe`
    * `backpain data describe my-trials/`
    """
    with _one_message():
        from backpain_analysis.evidence import load_evidence

        evidence = load_evidence(path)
    print(f"{evidence.name}, version {evidence.version or 'not given'}")
    print(f"content {evidence.content_hash}\n")
    counts = evidence.describe()
    Console().print(_table("Counts", list(counts), counts.itertuples(index=False)))


@app.command("lab")
def lab() -> None:
    """Open the notebooks in JupyterLab; an installed package copies them to ./notebooks first.

    For example:

    * `backpain lab`
    """
    with _one_message():
        folder = _own_notebooks()
    raise typer.Exit(
        subprocess.run([sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}"]).returncode
    )


def _suite(what: str | None) -> Suite:
    from backpain_analysis.datasets.bundled import reports_dir
    from backpain_analysis.reporting import notebook_suite, read_suite

    if what is None:
        return read_suite(reports_dir() / "default.yml")
    if what.endswith((".yml", ".yaml")):
        return read_suite(Path(what))
    return notebook_suite(what)


def _pair(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not (name and given):
        raise typer.BadParameter(f"-p {text}: give a name and a value")
    return name, value


def _own_notebooks() -> Path:
    """Return a folder of notebooks that the user may change."""
    from backpain_analysis.datasets.bundled import notebooks_dir

    source = notebooks_dir()
    if source.parent.name != "_bundled":
        return source
    copy = Path.cwd() / "notebooks"
    if not copy.exists():
        shutil.copytree(source, copy)
    return copy


def _notebooks(notebooks: list[Notebook]) -> Table:
    rows = ([notebook.name, notebook.title] for notebook in notebooks)
    return _table("Notebooks", ["notebook", "title"], rows)


def _parameters(notebook: Notebook) -> Table:
    rows = ([p.name, p.type, repr(p.default), p.help] for p in notebook.parameters.values())
    return _table(notebook.title, ["parameter", "type", "default", "help"], rows)


def _table(title: str, columns: list[str], rows: Iterable[Iterable[object]]) -> Table:
    table = Table(*columns, title=escape(title), title_justify="left")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    return table


@contextmanager
def _progress(total: int, out: Path) -> Iterator[Callable[[Outcome], None]]:
    """Show a bar on a terminal, and a line a report in any case."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    bar = Progress(
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True, console=Console()
    )
    bar.disable = not bar.console.is_terminal
    task = bar.add_task("reports", total=total)

    def tell(outcome: Outcome) -> None:
        state = "failed" if outcome.error else "ok"
        error = f"  {outcome.error.splitlines()[0]}" if outcome.error else ""
        bar.console.print(
            f"{state:6}  {out / outcome.report.name}.html{error}", markup=False, soft_wrap=True
        )
        bar.advance(task)

    with bar:
        yield tell


@contextmanager
def _one_message() -> Iterator[None]:
    """Turn an error a user can put right into its message and exit code 2."""
    try:
        yield
    except Exception as error:
        ours = type(error).__module__.startswith("backpain_analysis.")
        if not (ours or isinstance(error, OSError)):
            raise
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
