"""How Sphinx makes the site: `make docs`, from all pages of the tree and not of docs/ alone.

The source folder is the root of the tree, so that README, CONTRIBUTING, the notes beside
conditions and samples, and the notebooks are pages too, and a relative link means here what it
means where the files are browsed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

from na64reco.version import __version__  # noqa: E402 - found by the line before

project = "na64reco"
author = "The na64reco developers"
copyright = author  # noqa: A001 - the name that Sphinx gives it
release = version = __version__
language = "en"  # en_GB breaks the search: some of its sentences are empty

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "site_extension",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "notebooks/*.ipynb",
    "notebooks/README.md",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "calib/README.md",
    "data_samples/README.md",
    "benchmarks/README.md",
]
exclude_patterns = [".*", "out", "build", "dist", "**/.*", "**/_static", "**/images"]

# Pages -----------------------------------------------------------------------------------------
nitpicky = True
# Types of other libraries and of private helpers have no page here to be linked to.
nitpick_ignore_regex = [(r"py:.*", r".*")]
default_role = "code"
smartquotes = False  # they would make a dash of the beginning of an option
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_links_external_new_tab = False
# Notebooks are shown with the outputs that are stored in them; the tests execute them.
nb_execution_mode = "off"
nb_merge_streams = True

# Python ----------------------------------------------------------------------------------------
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
add_module_names = False
toc_object_entries = False  # the contents of each page would be copied into all

# Looks -----------------------------------------------------------------------------------------
html_theme = "furo"
html_math_renderer = "mathml"  # MathJax would be loaded from elsewhere
html_title = "na64reco"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # a browser may not fetch pages where the site is a folder
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5394", "color-brand-content": "#0b5394"},
    "dark_css_variables": {"color-brand-primary": "#7ab8f5", "color-brand-content": "#7ab8f5"},
    "navigation_with_keys": True,
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True

# numba compiles nothing for a page.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
