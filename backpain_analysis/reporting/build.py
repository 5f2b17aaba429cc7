"""Build one report: run its notebook, render it, gather the files that stand for it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import backpain_analysis
from backpain_analysis.reporting.downloads import Extras, extras_of
from backpain_analysis.reporting.execute import execute
from backpain_analysis.reporting.explorer import explored_in
from backpain_analysis.reporting.inputs import read_elsewhere
from backpain_analysis.reporting.job import NOTHING, Built, Job, Outcome
from backpain_analysis.reporting.notebooks import answer_of
from backpain_analysis.reporting.page import report_page, texts_of
from backpain_analysis.reporting.pictures import put_in
from backpain_analysis.reporting.references import NOTE, cited, link_of
from backpain_analysis.reporting.render import render_body
from backpain_analysis.reporting.schemas import nbformat
from backpain_analysis.reporting.terminal import without_kernel, written

MISSING = re.compile(r"(?:FileNotFoundError|ModuleNotFoundError): .*'([^']+)'")
LIST_IT = (
    "A run finds only the files that its notebook, its parameters or its suite name; "
    "list others in the suite under `files`."
)
INSTALLED = re.compile(r"[^\s'\"(]*[/\\](?:site|dist)-packages[/\\]")
STANDARD = re.compile(r"[^\s'\"(]*[/\\]lib[/\\]python3\.\d+[/\\]")
PLACE = re.compile(r"(^|File \"?)(?:/|[A-Za-z]:\\)[^\s:\"']*[/\\](?=[^\s/\\:\"']+(?::\d|\"))", re.M)


def build(
    job: Job,
    folder: Path,
    *,
    forked: bool = False,
    tell: Callable[[int, int], None] = lambda cell, cells: None,
) -> Built:
    """Build a report; a notebook that fails yields a page that shows where and why.

    Parameters
    ----------
    job : Job
    folder : Path
        Where its notebook runs, with its inputs laid out.
    forked, tell
        See `execute`.
    """
    start = time.monotonic()
    nb = nbformat.reads(job.source, as_version=4)
    execution = execute(
        nb,
        dict(job.report.parameters),
        folder,
        limits=job.report.limits,
        forked=forked,
        tell=tell,
    )
    for cell in execution.nb.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = written(output.text)
    put_in(execution.nb, folder, job.report.limits.output_mb * 2**20)
    if job.evidence and job.report.reads_evidence:
        execution.nb.metadata[NOTE] = cited(execution.nb, job.report.evidence_path(folder))
    places = _Places(folder, job.full_paths)
    error = places.shortened(without_kernel(execution.error))
    home, missing = job.report.notebook.path.parent, MISSING.match(execution.error)
    if missing and any((home / f"{missing[1]}{end}").exists() for end in ("", ".py")):
        error = f"{error}\n{LIST_IT}"
    built = assemble(job, places.out_of(execution.nb), error, time.monotonic() - start)
    return replace(built, outcome=replace(built.outcome, elsewhere=read_elsewhere(folder)))


def assemble(job: Job, nb: nbformat.NotebookNode, error: str, seconds: float) -> Built:
    """Make the files of a report from its executed notebook.

    Parameters
    ----------
    job : Job
    nb : NotebookNode
        Executed, also in part.
    error : str
        Why it ended early; empty if it did not.
    seconds : float
        How long it took.
    """
    body = render_body(nb)
    extras = extras_of(nb, job.report.name, body)
    summary = {**extras.summary, "sections": texts_of(body)}
    outcome = Outcome(job.report, error, answer_of(nb), seconds, summary)
    return _built(job, outcome, body, extras, explored_in(nb))


def give_up(job: Job, error: str) -> Built:
    """Make a page that says why a report has no content."""
    return _built(job, Outcome(job.report, error, "", 0.0), "", Extras({}, NOTHING))


def _built(job: Job, outcome: Outcome, body: str, extras: Extras, explored: str = "") -> Built:
    page = report_page(
        job.report,
        body,
        suite_title=job.suite_title,
        facts=job.facts,
        evidence=job.evidence,
        answer=outcome.answer,
        error=outcome.error,
        summary=extras.summary,
        references=[{**each, "link": link_of(each)} for each in extras.references],
        inputs={each.place: each.sha256 for each in job.inputs},
        explored=explored,
    )
    return Built(outcome, {**extras.files, f"{job.report.name}.html": page.encode()})


class _Places:
    """Takes out of a notebook's outputs where files are on this machine.

    The run's own folder goes from all of them; other places only from what reports errors and
    warnings, not from what a notebook computes and shows.
    """

    def __init__(self, folder: Path, full_paths: bool):
        self._full_paths = full_paths
        self._own = [f"{folder}/", f"{folder.resolve()}/", str(folder)]
        package = Path(backpain_analysis.__file__).parent.parent
        self._known = [(f"{package}/", ""), (f"{sys.prefix}/", "python/")]
        self._home = str(Path.home())

    def out_of(self, nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
        """Return the notebook without them."""
        if not self._full_paths:
            for cell in nb.cells:
                for output in cell.get("outputs", []):
                    self._shorten(output)
        return nb

    def shortened(self, text: str) -> str:
        """Return a text of errors or warnings without places."""
        if self._full_paths:
            return text
        text = STANDARD.sub("python/", INSTALLED.sub("site-packages/", self._without_own(text)))
        for place, instead in self._known:
            text = text.replace(place, instead)
        if len(self._home) > 1:
            text = text.replace(self._home, "~")
        return PLACE.sub(r"\1…/", text)

    def _shorten(self, output: nbformat.NotebookNode) -> None:
        if output.output_type == "error":
            output.evalue = self.shortened(output.evalue)
            output.traceback = [self.shortened(without_kernel(line)) for line in output.traceback]
        elif output.output_type == "stream":
            own = output.name == "stdout"
            text = without_kernel(output.text, colours=True)
            output.text = (self._without_own if own else self.shortened)(text)
        else:
            for kind, content in output.data.items():
                if kind.startswith("text/") and isinstance(content, str):
                    output.data[kind] = self._without_own(content)

    def _without_own(self, text: str) -> str:
        for place, instead in zip(self._own, ("", "", "."), strict=True):
            text = text.replace(place, instead)
        return text
