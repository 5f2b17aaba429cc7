"""Notebooks of other shapes than ours, in the style of public bug reports: nothing is lost.

Most are rendered without being run; what matters is what of them a reader sees.
"""

from __future__ import annotations

import io
import json
import re
import sys
from base64 import b64encode

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from backpain_analysis.reporting import ReportingError, run_suite, verify_site
from backpain_analysis.reporting.pictures import beside, put_in
from backpain_analysis.reporting.render import render_body
from backpain_analysis.reporting.run import plan
from backpain_analysis.reporting.terminal import written
from tests.reporting.audit import audit
from tests.reporting.little import files_of, make_suite

MISSING = 'class="missing"'


def drawn(kind: str, size: tuple[int, int]) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, "teal").save(content, format=kind)
    return content.getvalue()


FILES = {
    "fig.png": drawn("PNG", (4, 4)),
    "photo.jpg": drawn("JPEG", (8, 8)),
    "anim.gif": drawn("GIF", (8, 8)),
    "leaf.webp": drawn("WEBP", (8, 4)),
    "diagram.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">'
    b'<circle cx="9" cy="9" r="8" fill="teal"/></svg>',
    "lie.png": b"no picture",
    "text.txt": b"nor this",
}


def base64_of(name: str) -> str:
    return b64encode(FILES[name]).decode()


def address(name: str, kind: str) -> str:
    return f"data:image/{kind};base64,{base64_of(name)}"


PNG, JPEG = address("fig.png", "png"), address("photo.jpg", "jpeg")
GIF, WEBP = address("anim.gif", "gif"), address("leaf.webp", "webp")
SVG = address("diagram.svg", "svg+xml")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder with the pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def page_of(pictures):
    """A function that gives the body of a notebook that ran beside the pictures."""

    def make(*cells) -> str:
        nb = new_notebook(cells=[nbformat.from_dict(cell) for cell in cells])
        for cell in nb.cells:
            cell.source = cell.source.replace("HERE", str(pictures))
        body = render_body(put_in(nb, pictures, 1_000_000))
        assert audit(body) == []
        return body

    return make


def shown(data: dict, *tags: str, of: str = "x", **metadata):
    output = new_output("display_data", data=data, metadata=metadata)
    return new_code_cell(of, outputs=[output], metadata={"tags": list(tags)})


def printed(text: str, name: str = "stdout"):
    return new_code_cell("x", outputs=[new_output("stream", name=name, text=text)])


def prose(source: str, **more):
    return new_markdown_cell(source, **more)


ATTACHED = {"attachments": {"flow 1.png": {"image/png": base64_of("fig.png")}}}

IN_PROSE = {
    "a picture": (prose("![a](fig.png)"), [PNG, 'width="4" height="4"', 'alt="a"']),
    "below": (prose("![a](./fig.png)"), [PNG]),
    "with a title": (prose('![a](fig.png "The & title")'), [PNG, 'title="The &amp; title"']),
    "in brackets": (prose("![a](<fig.png>)"), [PNG]),
    "escaped": (prose("![a](fi%67.png)"), [PNG]),
    "by reference": (prose("![a][f]\n\n[f]: fig.png"), [PNG]),
    "in a link": (prose("[![a](fig.png)](https://example.org)"), [PNG, "https://example.org"]),
    "in a table": (prose("| a |\n|--|\n| ![a](fig.png) |"), [PNG, "<table"]),
    "in a list": (prose("- ![a](photo.jpg)"), [JPEG, 'width="8" height="8"']),
    "absolute": (prose("![a](HERE/fig.png)"), [PNG]),
    "jpeg": (prose("![a](photo.jpg)"), [JPEG]),
    "gif": (prose("![a](anim.gif)"), [GIF]),
    "webp": (prose("![a](leaf.webp)"), [WEBP, 'width="8" height="4"']),
    "svg": (prose("![a](diagram.svg)"), [SVG, 'width="20" height="20"']),
    "a tag": (prose('<img src="fig.png" width="50%" alt=b>'), [PNG, 'width="50%"', 'alt="b"']),
    "a tag without quotes": (prose("<img src=fig.png>"), [PNG]),
    "a tag in a block": (prose("<p>\n<img alt=b src='fig.png'>\n</p>"), [PNG]),
    "attached": (prose("![a](attachment:flow%201.png)", **ATTACHED), [PNG]),
    "attached, a tag": (prose('<img src="attachment:flow 1.png">', **ATTACHED), [PNG]),
    "its own address": (prose(f"![a]({GIF})"), [GIF]),
    "from elsewhere": (
        prose("![a](https://example.org/x.png)"),
        [MISSING, "from elsewhere", ">a<"],
    ),
    "gone": (prose("![a](gone.png)"), [MISSING, "not found: a (gone.png)"]),
    "no picture": (prose("![a](text.txt)"), [MISSING]),
    "a lie": (prose("![a](lie.png)"), [MISSING]),
    "align": (prose(r"\begin{align} a &= b \\ c &= d \end{align}"), ["<mtable", "<mtr>"]),
    "aligned": (prose(r"$$\begin{aligned} a &= b \\ c &= d\end{aligned}$$"), ["<mtable"]),
    "alignat": (prose(r"\begin{alignat}{2} a &= b & c &= d \end{alignat}"), ["<mtable"]),
    "eqnarray": (prose(r"\begin{eqnarray} a &=& b \end{eqnarray}"), ["<mtable"]),
    "gather": (prose(r"\begin{gather*} a \\ b \end{gather*}"), ["<mtable"]),
    "a macro": (prose("$\\newcommand{\\SE}[1]{\\mathrm{SE}_{#1}}$\n\n$\\SE{y}$"), ["<msub>"]),
    "an operator": (prose("$\\DeclareMathOperator{\\logit}{logit}\\logit p$"), ["<mo>logit</mo>"]),
    "a tag of one": (prose(r"$$a = b \tag{7}$$"), ["<mtext>(7)</mtext>"]),
    "a number": (
        prose("See \\eqref{e}.\n\n\\begin{equation} a \\label{e} \\end{equation}"),
        ["See (1).", "<mtext>(1)</mtext>"],
    ),
    "an unknown command": (
        prose(r"$\SI{5}{\metre}$"),
        [r"<code>\SI{5}{\metre}</code>", "formula as written"],
    ),
    "a macro without end": (prose(r"$\newcommand{\a}{\a\a}\a$"), ["formula as written"]),
    "a macro that grows": (
        prose(
            r"$\newcommand{\a}{xxxxxxxxxx}\newcommand{\b}{\a\a\a\a\a\a\a\a\a\a}"
            r"\newcommand{\c}{\b\b\b\b\b\b\b\b\b\b}\c\c\c\c\c\c\c\c\c\c\c\c\c\c\c\c\c\c\c\c\c$"
        ),
        ["formula as written"],
    ),
    "sums of money": (prose("It is $5 and $10 of it."), ["It is $5 and $10 of it."]),
    "details": (prose("<details><summary>More</summary>all</details>"), ["<summary>More", "all"]),
    "struck out": (prose("~~gone~~"), ["<del>gone</del>"]),
    "another page": (
        prose('<iframe src="https://example.org/map"></iframe>'),
        [MISSING, "another page (https://example.org/map)"],
    ),
    "a style": (
        prose("<style>body { display: none }</style>\n\ntext"),
        ["text", "<style></style>"],
    ),
}


@pytest.mark.parametrize("name", IN_PROSE)
def test_prose_loses_nothing(page_of, name):
    cell, parts = IN_PROSE[name]
    body = page_of(cell)
    assert [part for part in parts if part not in body] == [], body


DOTS = {"image/png": base64_of("fig.png")}
WIDGET = {
    "application/vnd.jupyter.widget-view+json": {"model_id": "7"},
    "text/plain": "IntSlider()",
}
PLOTLY = {"application/vnd.plotly.v1+json": {"data": []}}
SCRIPT = {"text/html": "<div id=a></div><script>draw()</script>"}

OF_CODE = {
    "png": (shown(DOTS), [PNG, 'width="4" height="4"']),
    "a png of a width": (
        shown(DOTS, **{"image/png": {"width": 300, "alt": "a red square"}}),
        ['width="300"', 'alt="a red square"'],
    ),
    "jpeg": (shown({"image/jpeg": base64_of("photo.jpg")}), [JPEG]),
    "gif": (shown({"image/gif": base64_of("anim.gif"), "text/plain": "<Image>"}), [GIF]),
    "webp": (shown({"image/webp": base64_of("leaf.webp")}), [WEBP]),
    "svg": (shown({"image/svg+xml": FILES["diagram.svg"].decode()}), ["<svg", "<circle"]),
    "no svg": (shown({"image/svg+xml": "oh"}), [MISSING, "cannot be read"]),
    "a picture by name": (shown({"text/html": '<img src="fig.png"/>'}), [PNG]),
    "in Markdown": (shown({"text/markdown": "![a](fig.png)"}), [PNG]),
    "a widget": (shown(WIDGET), [MISSING, "only a running notebook", "IntSlider()"]),
    "a script": (shown({**SCRIPT, **DOTS}), [MISSING, "only a program can show", PNG]),
    "a script alone": (shown(SCRIPT), [MISSING, "a script"]),
    "plotly": (shown({**PLOTLY, "text/html": "<div></div>", **DOTS}), ["plotly", MISSING, PNG]),
    "plotly alone": (shown(PLOTLY), [MISSING, "application/vnd.plotly.v1+json"]),
    "javascript": (
        shown(
            {
                "application/javascript": "1",
                "text/plain": "<IPython.core.display.Javascript object>",
            }
        ),
        [MISSING, "application/javascript"],
    ),
    "a sound": (
        shown({"text/html": '<audio src="data:audio/wav;base64,AA"></audio>'}),
        ["a sound"],
    ),
    "a film": (shown({"text/html": "<video src=a.mp4 controls></video>"}), ["a film (a.mp4)"]),
    "a drawing": (shown({"text/html": "text <canvas></canvas>"}), ["text", "made by a script"]),
    "json": (
        shown({"application/json": {"a": ["<b>"]}, "text/plain": "<J object>"}),
        ["&lt;b&gt;"],
    ),
    "latex": (shown({"text/latex": r"\begin{eqnarray} a &=& b \end{eqnarray}"}), ["<mtable"]),
    "never closed": (shown({"text/html": "<div><b>never"}), ["<div><b>never</b></div>"]),
    "colours": (
        printed("\x1b[31mred\x1b[0m <b>"),
        ['<span class="ansi-red-fg">red</span> &lt;b&gt;'],
    ),
    "many colours": (printed("\x1b[38;5;202morange\x1b[0m"), ["<span", ">orange</span>"]),
    "messages": (printed("careful", "stderr"), ["Messages", "careful"]),
}


def test_a_corner_that_heads_nothing_is_no_heading(page_of):
    table = (
        "<table><thead><tr><th></th><th>n</th></tr></thead><tr><td>a</td><td>1</td></tr></table>"
    )
    body = page_of(shown({"text/html": table}))
    assert "<td></td><th>n</th>" in body and "<th></th>" not in body


@pytest.mark.parametrize("name", OF_CODE)
def test_outputs_lose_nothing(page_of, name):
    cell, parts = OF_CODE[name]
    body = page_of(cell)
    assert [part for part in parts if part not in body] == [], body


@pytest.mark.parametrize(
    ("tag", "seen", "unseen"),
    [
        ("remove-cell", [], ["SOURCE", "OUTPUT"]),
        ("remove-input", ["OUTPUT"], ["SOURCE"]),
        ("hide-input", ["OUTPUT", "SOURCE", "<details"], []),
        ("remove-output", ["SOURCE"], ["OUTPUT"]),
        ("hide-output", ["SOURCE", '<details class="closed">', "OUTPUT"], []),
        ("skip-execution", ["This cell was not run"], []),
    ],
)
def test_tags_are_heeded_but_where_a_cell_failed(page_of, tag, seen, unseen):
    cell = shown({"text/plain": "OUTPUT"}, tag, of="SOURCE")
    body = page_of(cell)
    assert all(word in body for word in seen) and not any(word in body for word in unseen)
    cell.metadata["backpain"] = {"failed": True}
    assert "SOURCE" in page_of(cell) and "OUTPUT" in page_of(cell)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\rb\n", "b\n"),
        ("step 1\rstep 2\rdone  \n", "done\n"),
        ("abc\rx", "xbc"),
        ("abc\b\bX", "aXc"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("50%\x1b[2K\rall", "all"),
        ("one\ntwo\x1b[1A\rONE", "ONE\ntwo"),
        ("\x1b[31m1\x1b[0m\r\x1b[32m2\x1b[0m", "\x1b[32m2\x1b[0m"),
        (
            "  0%|   | 0/9 [00:00<?, ?it/s]\r100%|██| 9/9 [00:00<00:00, 48.1it/s]\n",
            "100%|██| 9/9\n",
        ),
        ("30it [00:00, 49.11it/s]", "30it"),
        ("plain  \ntext [00:01]", "plain  \ntext [00:01]"),
    ],
)
def test_text_is_what_a_terminal_shows_at_the_end(text, left):
    assert written(text) == left
    assert written(left) == left


RUN = {
    "raises": [("1/0", ["raises-exception"]), ("print('went on')", [])],
    "raises-then-fails": [("1/0", ["raises-exception"]), ("[][1]", []), ("print('never')", [])],
    "progress": [
        ("from tqdm import tqdm\nfor i in tqdm(range(30)): pass", []),
        ("import sys\nfor i in range(5): print('step', i, end='\\r')\nprint('done  ')", []),
    ],
    "files": [("from IPython.display import Image, display\ndisplay(Image('anim.gif'))", [])],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Notebooks that are run, as their pages and outcomes, and the same once more."""
    folder = tmp_path_factory.mktemp("shapes")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    for name, cells in RUN.items():
        code = [new_code_cell(source, metadata={"tags": tags}) for source, tags in cells]
        first = new_markdown_cell(f"# {name}\n\n![a](fig.png) ![b]({folder}/photo.jpg)")
        nbformat.write(new_notebook(cells=[first, *code]), folder / f"{name}.ipynb")
    suite = make_suite(folder, *({"notebook": name} for name in RUN))
    outcomes = run_suite(suite, folder / "site")
    run_suite(suite, folder / "again")
    assert files_of(folder / "site") == files_of(folder / "again")
    return suite, folder / "site", {outcome.report.name: outcome for outcome in outcomes}


def test_an_error_that_is_expected_ends_nothing(run):
    _, site, outcomes = run
    page = (site / "raises.html").read_text()
    assert outcomes["raises"].error == ""
    assert "An error that the notebook expects: ZeroDivisionError" in page and "went on" in page
    assert "could not be finished" not in page and 'id="failure"' not in page
    assert outcomes["raises-then-fails"].error.startswith("IndexError")
    page = (site / "raises-then-fails.html").read_text()
    assert page.index("expects: Zero") < page.index('id="failure"') and "never" in page


def test_such_sites_are_verified_too(run):
    verdict = verify_site(run[1])
    assert verdict.different == () and "raises.html" in verdict.same


def test_one_bar_is_one_line(run):
    page = (run[1] / "progress.html").read_text()
    assert re.search(r"<pre>100%\|█+\| 30/30\n*</pre>", page)
    assert re.search(r'<pre class="text">done\n*</pre>', page)


def test_named_pictures_are_inputs_and_on_the_page(run):
    suite, site, _ = run
    job = next(job for job in plan(suite) if job.report.name == "files")
    places = [each.place for each in job.inputs]
    assert places[:2] == ["anim.gif", "fig.png"]
    assert re.fullmatch("inputs/pictures/[0-9a-f]{8}-photo.jpg", places[2])
    page = (site / "files.html").read_text()
    assert all(part in page for part in (PNG, JPEG, GIF)) and MISSING not in page


def test_only_pictures_count_as_pictures(tmp_path):
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "lie.png").write_text("x")
    source = "![](secret.txt) ![](lie.png) ![](none.png) ![](//a/b.png) ![](https://a/b.png)"
    assert list(beside(tmp_path / "a.ipynb", [source])) == ["lie.png"]
    nb = put_in(new_notebook(cells=[prose(source)]), tmp_path, 1000)
    assert "attachments" not in nb.cells[0]
    (tmp_path / "fig.png").write_bytes(FILES["fig.png"])
    nb = put_in(new_notebook(cells=[prose("![](fig.png)")]), tmp_path, 10)
    assert "attachments" not in nb.cells[0], "too large"


KERNEL = """
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel
class Echo(Kernel):
    implementation = banner = language = "echo"
    implementation_version = language_version = "1"
    language_info = {"name": "echo", "mimetype": "text/plain", "file_extension": ".txt"}
    def do_execute(self, code, silent, *args, **more):
        if not silent:
            shout = {"name": "stdout", "text": code.upper()}
            self.send_response(self.iopub_socket, "stream", shout)
        return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
IPKernelApp.launch_instance(kernel_class=Echo)
"""


def test_other_languages_run_with_their_own_kernel_or_are_refused_by_name(tmp_path, monkeypatch):
    spec = tmp_path / "jupyter" / "kernels" / "echo"
    spec.mkdir(parents=True)
    (spec / "kernel.py").write_text(KERNEL)
    argv = [sys.executable, str(spec / "kernel.py"), "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Echo", "language": "echo"})
    )
    for name, language in {"echo": "echo", "ir": "R"}.items():
        nb = new_notebook(cells=[new_markdown_cell("# A"), new_code_cell("x <- 1")])
        nb.metadata.kernelspec = {"name": name, "language": language, "display_name": "A"}
        nbformat.write(nb, tmp_path / f"{name}.ipynb")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    with pytest.raises(ReportingError, match=r"ir\.ipynb is written in R; its kernel 'ir' is not"):
        run_suite(make_suite(tmp_path, {"notebook": "echo"}, {"notebook": "ir"}), tmp_path / "site")
    assert not (tmp_path / "site").exists()
    (outcome,) = run_suite(make_suite(tmp_path, {"notebook": "echo"}), tmp_path / "site")
    assert outcome.error == "" and "X &lt;- 1" in (tmp_path / "site" / "echo.html").read_text()
