"""Many straight lines as one path."""

import re

import numpy as np

from backpain_analysis import figures
from backpain_analysis.figures.style import new_axes, strokes


def test_they_go_from_start_to_end_and_do_not_meet():
    ax = new_axes()
    strokes(ax, (0.0, np.array([3.0, -4.0])), ([1, 2], [1, 2]), gid="bars")
    (line,) = ax.lines
    across, up = line.get_data()
    np.testing.assert_array_equal(across, [0, 3, np.nan, 0, -4, np.nan])
    np.testing.assert_array_equal(up, [1, 1, np.nan, 2, 2, np.nan])


def test_they_are_one_path_of_as_many_pieces():
    ax = new_axes()
    ax.set_axis_off()
    strokes(ax, (np.arange(200), np.arange(200)), (0, 1), gid="bars")
    svg = figures.show(ax, alt="Bars.").svg()
    (bars,) = re.findall(r'<path d="([^"]*)"[^>]*stroke: #1f77b4', svg)
    assert bars.count("M") == 200


def test_none_are_none():
    ax = new_axes()
    strokes(ax, ([], []), (0, 1))
    assert ax.lines[0].get_xdata().size == 0
