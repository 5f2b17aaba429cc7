"""A notebook that ends its kernel, and streams that come in pieces."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.engines import NotebookExecutionManager

from backpain_analysis.reporting.execute import _ForkedClient, _Watch, execute
from backpain_analysis.reporting.render import has_failed
from backpain_analysis.reporting.suite import Limits


def test_a_dead_kernel_is_an_error_at_its_cell(tmp_path):
    sources = ["1", "import os\nos._exit(3)", "2"]
    nb = new_notebook(cells=[new_code_cell(source) for source in sources])
    told = []
    execution = execute(nb, {}, tmp_path, tell=lambda *cell: told.append(cell))
    assert "kernel died" in execution.error
    assert [has_failed(cell) for cell in execution.nb.cells] == [False, True, False]
    assert told == [(1, 3), (2, 3)]


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([("stdout", "a"), ("stdout", "b\n")], [("stdout", "ab\n")]),
        ([("stderr", "x"), ("stdout", "a"), ("stderr", "y")], [("stdout", "a"), ("stderr", "xy")]),
        ([("stdout", "a"), None, ("stdout", "b")], [("stdout", "a"), None, ("stdout", "b")]),
        ([("stderr", "a"), None, ("stderr", "b"), ("stdout", "c")],
         [("stderr", "a"), None, ("stdout", "c"), ("stderr", "b")]),
    ],
)  # fmt: skip
def test_streams_are_one_each_however_they_came(pieces, whole):
    nb = new_notebook(cells=[new_code_cell("print()")])
    manager = NotebookExecutionManager(nb, progress_bar=False)
    client = _ForkedClient(manager, _Watch(print, Limits()), kernel=None)
    client.clear_before_next_output = False
    (cell,) = nb.cells
    for piece in pieces:
        kind, content = "display_data", {"data": {}, "metadata": {}}
        if piece:
            kind, content = "stream", dict(zip(("name", "text"), piece, strict=True))
        said = {"header": {"msg_type": kind}, "msg_type": kind, "content": content}
        client.process_message({**said, "parent_header": {}}, cell, 0)
        assert not piece or not cell.outputs or not cell.outputs[-1].get("name")  # joined once
    client.settle(cell, 0)
    assert [o.get("name") and (o.name, o.text) for o in cell.outputs] == whole


def test_streams_that_come_in_pieces_are_one_on_the_page(tmp_path):
    source = "import sys, time\nfor n in range(3): print(n); print(n, file=sys.stderr); "
    nb = new_notebook(cells=[new_code_cell(source + "time.sleep(0.3)")])
    (cell,) = execute(nb, {}, tmp_path).nb.cells
    assert [(o.name, o.text) for o in cell.outputs] == [
        ("stdout", "0\n1\n2\n"),
        ("stderr", "0\n1\n2\n"),
    ]
