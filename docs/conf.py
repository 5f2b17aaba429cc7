"""How the documentation is built: `make docs`, offline, warnings as errors."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

project = "backpain-analysis"
author = "The backpain-analysis developers"
release = version = version_of("backpain-analysis")

HELPERS = str(Path(__file__).parent / "_ext")
sys.path.insert(0, HELPERS)
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HELPERS, os.environ.get("PYTHONPATH")]))

extensions = [
    "mathml",
    "reference",
    "myst_nb",
    "sphinx_design",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.viewcode",
]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]

default_role = "literal"
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = True
numpydoc_show_inherited_class_members = False
numpydoc_class_members_toctree = False

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type"]  # the exact numbers of tables, for downloads

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "backpain-analysis"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {
    name: [] for name in ("index", "start", "evidence", "gallery", "from-r", "changelog")
}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
copyright = "the backpain-analysis developers. For researchers; not medical advice"
