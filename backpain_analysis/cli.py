"""The command ``backpain``: run reports, check data, open the laboratory.

Each command imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

import atexit
import gc
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperCommand

from backpain_analysis.cli_data import data
from backpain_analysis.console import live_console, one_message, terminal_table

if TYPE_CHECKING:
    from backpain_analysis.reporting.notebooks import Notebook
    from backpain_analysis.reporting.progress import Event, Listen
    from backpain_analysis.reporting.suite import Suite

SITE = Path("reports/site")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="How much exercise, of which type, how often, changes back pain: from trial data to "
    "shareable reports.",
)
report = typer.Typer(no_args_is_help=True, help="Run notebooks and render them as HTML reports.")
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
    atexit.register(gc.freeze)  # or Python looks through all there is for garbage when it ends


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
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = SITE,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Reports at a time; by default one a processor.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run also what is finished, from the same inputs.")
    ] = False,
    warm: Annotated[
        bool, typer.Option(help="Start runs from an interpreter that has imported everything.")
    ] = True,
    scheduler: Annotated[
        str | None, typer.Option(help="Run on this Dask cluster, tcp://… or tls://….")
    ] = None,
    tls_ca: Annotated[str | None, typer.Option(help="PEM file of who signs certificates.")] = None,
    tls_cert: Annotated[str | None, typer.Option(help="PEM file of our certificate.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="PEM file of our key.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events, a line of JSON each.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="Of each run: cell_seconds, run_seconds, memory_mb, output_mb, page_mb.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over pages that are not from here.")
    ] = False,
    full_paths: Annotated[
        bool, typer.Option("--full-paths", help="Show in tracebacks where files are, to find bugs.")
    ] = False,
    inputs: Annotated[
        bool, typer.Option("--inputs", help="List the files that each report reads; run nothing.")
    ] = False,
) -> None:
    """Run a suite or a notebook and write its HTML reports; what is finished is not done twice.

    For example:

    * `backpain report run`
    * `backpain report run my-suite.yml --out my-site`
    * `backpain report run 03_dose_response -p dose sessions_per_week -p mcid 10`
    * `backpain report run my-suite.yml --scheduler tcp://scheduler:8786`
    """
    from backpain_analysis.reporting.progress import Tally

    tally = Tally()

    def stopped() -> str:
        ended, total = tally.ended(), tally.count["reports"]
        have = f"{ended} of {total} reports are finished" if total else "Nothing was run yet"
        return f"Stopped. {have}; what is finished stays in {out}: run the same again to go on."

    with one_message(stopped=stopped):
        from backpain_analysis.reporting.cluster import Scheduler, is_open_to_others
        from backpain_analysis.reporting.run import run_suite
        from backpain_analysis.reporting.store import stale_pages
        from backpain_analysis.reporting.suite import with_limits, with_parameters

        suite = with_parameters(_suite(what), dict(_pair(text) for text in parameter or []))
        suite = with_limits(suite, dict(_pair(text, "--limit") for text in limit or []))
        if inputs:
            _print_inputs(suite)
            return
        cluster = Scheduler(scheduler, tls_ca, tls_cert, tls_key) if scheduler else None
        if cluster and is_open_to_others(cluster):
            print(
                f"{scheduler} asks for no certificate: whoever reaches it can run code on its "
                "workers and read what is sent. See docs/clusters.md, TLS.",
                file=sys.stderr,
            )
        with _listener(as_json) as show:

            def listen(event: Event) -> None:
                if event.kind == "begin":
                    gc.freeze()  # what is imported stays: Python need not look through it
                tally(event)
                show(event)

            outcomes = run_suite(
                suite,
                out,
                jobs=jobs,
                scheduler=cluster,
                fresh=fresh,
                forked=warm,
                force=force,
                full_paths=full_paths,
                listen=listen,
            )
    failed = [outcome for outcome in outcomes if outcome.error]
    if not as_json:
        for outcome in failed:
            print(f"failed  {out / outcome.report.name}.html  {outcome.error.splitlines()[0]}")
        print(f"{tally.summary()}: {out / 'index.html'}")
        if stale := stale_pages(out, [outcome.report.name for outcome in outcomes]):
            print(f"left from other suites, not in the index: {_some(stale)}")
        for outcome in outcomes:
            if outcome.elsewhere:
                print(
                    f"{outcome.report.name} is run again each time, since it reads what nobody "
                    f"names: {_some(list(outcome.elsewhere), 2)}; name it in a parameter"
                )
    if failed:
        raise typer.Exit(1)


@report.command("verify")
def verify(
    site: Annotated[Path, typer.Argument(metavar="[SITE]", help="A built site.")] = SITE,
    evidence: Annotated[
        Path | None, typer.Option(help="The evidence, if it is not the bundled trials.")
    ] = None,
    files: Annotated[
        Path | None, typer.Option(help="A folder with other files that reports read.")
    ] = None,
    run: Annotated[
        bool,
        typer.Option("--run", help="Run its notebooks; they may do all that you may do."),
    ] = False,
) -> None:
    """Make a site again from its notebooks as they were run, and compare it, byte by byte.

    Nothing of the site is run without `--run`. Say that only if you trust where it comes from.

    For example:

    * `backpain report verify`
    * `backpain report verify my-site --run --evidence my-trials/`
    """
    with one_message():
        if run:
            print("Running the notebooks of this site, with your rights.", file=sys.stderr)
            from backpain_analysis.reporting import warm

            warm.start()
        from backpain_analysis.reporting.verify import verify_site
        from backpain_analysis.words import plural

        with _listener() as listen:
            verdict = verify_site(site, run=run, evidence=evidence, files=files, listen=listen)
    for change in verdict.changed:
        print(f"changed    {change}")
    for name in verdict.different:
        print(f"different  {site / name}")
    print(f"{plural(len(verdict.same), 'file')} found the same, {len(verdict.different)} different")
    if verdict.different:
        raise typer.Exit(1)


@report.command("serve")
def serve(
    site: Annotated[Path, typer.Argument(metavar="[SITE]", help="A built site.")] = SITE,
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8000,
) -> None:
    """Look at a built site on this machine, until Ctrl-C.

    For example:

    * `backpain report serve`
    * `backpain report serve my-site --port 8080`
    """
    with one_message():
        from backpain_analysis.reporting.serve import serve

        server = serve(site, port)
    print(f"http://localhost:{server.server_port}/")
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()


@report.command("pdf")
def pdf(
    source: Annotated[Path, typer.Argument(metavar="[SITE | PAGE]", help="What to print.")] = SITE,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = SITE / "pdf",
) -> None:
    """Print reports as PDF with the Chromium of this machine.

    For example:

    * `backpain report pdf`
    * `backpain report pdf my-site/pooled-pain.html --out .`
    """
    with one_message():
        from backpain_analysis.reporting.documents import make_pdf

        for path in make_pdf(source, out):
            print(path)


@report.command("docx")
def docx(
    source: Annotated[Path, typer.Argument(metavar="[SITE | PAGE]", help="What to write.")] = SITE,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = SITE / "docx",
) -> None:
    """Write reports as Word documents, with Pandoc (`pip install "backpain-analysis[word]"`).

    For example:

    * `backpain report docx`
    * `backpain report docx my-site/pooled-pain.html --out .`
    """
    with one_message():
        from backpain_analysis.reporting.documents import make_docx

        for path in make_docx(source, out):
            print(path)


@report.command("figures")
def figures(
    source: Annotated[Path, typer.Argument(metavar="[SITE | PAGE]", help="Whose figures.")] = SITE,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = SITE / "figures",
    kind: Annotated[
        str, typer.Option(help="svg, png (300 dots an inch) or pdf; the last two need a Chromium.")
    ] = "svg",
) -> None:
    """Write the figures of reports as files.

    For example:

    * `backpain report figures`
    * `backpain report figures my-site/pooled-pain.html --kind png --out .`
    """
    with one_message():
        from backpain_analysis.reporting.documents import make_figures

        for path in make_figures(source, out, kind):
            print(path)


@report.command("list")
def list_(
    notebook: Annotated[str | None, typer.Argument(help="Show this notebook's parameters.")] = None,
) -> None:
    """List the notebooks, or one notebook's parameters.

    For example:

    * `backpain report list`
    * `backpain report list 03_dose_response`
    """
    with one_message():
        from backpain_analysis.reporting.notebooks import find_notebook, list_notebooks

        table = _parameters(find_notebook(notebook)) if notebook else _notebooks(list_notebooks())
    Console().print(table)


@app.command("lab", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open the notebooks in JupyterLab; an installed package copies them to ./notebooks first.

    Other options are JupyterLab's. For example:

    * `backpain lab`
    * `backpain lab --no-browser --port 8890`
    """
    with one_message():
        folder = _own_notebooks()
    command = [sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}", *context.args]
    raise typer.Exit(subprocess.run(command).returncode)


def _suite(what: str | None) -> Suite:
    from backpain_analysis.datasets.bundled import reports_dir
    from backpain_analysis.reporting.suite import notebook_suite, read_suite

    if what is None:
        return read_suite(reports_dir() / "default.yml")
    if what.endswith((".yml", ".yaml")):
        return read_suite(Path(what))
    return notebook_suite(what)


def _pair(text: str, option: str = "-p") -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not (name and given):
        raise typer.BadParameter(f"{option} {text}: give a name and a value")
    return name, value


def _print_inputs(suite: Suite) -> None:
    """Print what each report reads: what a run finds in its folder, and a worker gets."""
    from backpain_analysis.reporting.run import plan

    for job in plan(suite):
        print(
            f"{job.report.name}: {len(job.inputs)} files, {sum(i.size for i in job.inputs):,} bytes"
        )
        for each in job.inputs:
            print(f"  {each.place}  {each.size:,}  {each.sha256[:12]}")


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


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
    return terminal_table("Notebooks", ["notebook", "title"], rows)


def _parameters(notebook: Notebook) -> Table:
    rows = ([p.name, p.type, repr(p.default), p.help] for p in notebook.parameters.values())
    return terminal_table(notebook.title, ["parameter", "type", "default", "help"], rows)


@contextmanager
def _listener(as_json: bool = False) -> Iterator[Listen]:
    """Print events as they come, or show them on a terminal."""
    if as_json:
        yield lambda event: print(event.to_json(), flush=True)
        return
    from backpain_analysis.reporting.progress import show_progress

    with show_progress(live_console()) as listen:
        yield listen
