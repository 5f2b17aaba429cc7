"""A notebook that ends its kernel."""

from __future__ import annotations

from nbformat.v4 import new_code_cell, new_notebook

from backpain_analysis.reporting.execute import execute
from backpain_analysis.reporting.render import has_failed


def test_a_dead_kernel_is_an_error_at_its_cell(tmp_path):
    sources = ["1", "import os\nos._exit(3)", "2"]
    nb = new_notebook(cells=[new_code_cell(source) for source in sources])
    told = []
    execution = execute(nb, {}, tmp_path, tell=lambda *cell: told.append(cell))
    assert "kernel died" in execution.error
    assert [has_failed(cell) for cell in execution.nb.cells] == [False, True, False]
    assert told == [(1, 3), (2, 3)]
