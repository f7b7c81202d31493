"""How Sphinx builds this site: ``sphinx-build --fail-on-warning docs OUT``."""

import re
import shutil
import sys
from pathlib import Path

from docutils import nodes

from snntorch_binary import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "snntorch_binary"
author = "The snntorch_binary developers"
copyright = "the snntorch_binary developers, MIT licence"
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "myst_nb",
]
html_theme = "furo"
html_title = f"snntorch_binary {__version__}"
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["phone.css"]
html_copy_source = False

# The docstrings are Google's, and name things in single backticks.
default_role = "py:obj"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = ["Shape", "State"]
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True

# A link to a name of this package that leads nowhere is an error; names of other packages are not looked up.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!snntorch_binary\.).*"),
    (
        "py:class",
        r"snntorch_binary\..*\.(Model|Batch|Client|Fused|Owner|Geometry|Averages|_Recursion|_Window|Recurrent\w+State"
        r"|NodeWriter|NodeReader|Instruction|Place|LIFConstants|FederatedRun)",
    ),  # of signatures only, and not public
]

# The notebooks are shown with the outputs they are kept with. Sphinx reads only what is below this folder.
nb_execution_mode = "off"
shutil.rmtree(HERE / "tutorials", ignore_errors=True)
shutil.copytree(HERE.parent / "tutorials", HERE / "tutorials", ignore=shutil.ignore_patterns("*.csv", "images"))

from pictures import draw, thumbnails  # noqa: E402  # beside this file

shutil.rmtree(HERE / "drawn", ignore_errors=True)
(HERE / "drawn").mkdir()
draw(HERE / "drawn")
thumbnails(HERE / "tutorials", HERE / "drawn")


def by_short_name(app, env, node, contnode):
    """Let `Bernoulli` lead to the one class or function of that name, whatever the page."""
    domain = env.get_domain("py")
    if node.get("refdomain") != "py":
        return None
    found = [
        name
        for name, entry in domain.objects.items()
        if name.rpartition(".")[2] == node["reftarget"] and entry.objtype in ("class", "function", "exception")
    ]
    if len(found) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, contnode)


def readable(app, document, page):
    """Say in words what a notebook's picture is of, and keep the figures of a table's cell on one line."""
    title = said = ""
    for node in document.findall():
        if isinstance(node, nodes.title):
            title, said = node.astext(), ""
        elif isinstance(node, nodes.paragraph):
            said = node.astext().split(". ")[0]
        elif isinstance(node, nodes.image) and not node.get("alt"):
            node["alt"] = f"{title}: {said}" if said else title
    for entry in document.findall(nodes.entry):
        for text in list(entry.findall(nodes.Text)):
            if " ± " in text or " / " in text:
                kept = re.sub(r"(?<=\d) ([±/]) (?=[\d.])", "\u00a0\\1\u00a0", text)
                text.parent.replace(text, nodes.Text(kept))


def without_dead_ends(app, page, template, context, document):
    """Take away a source page's links to documentation of names that have none."""
    if not page.startswith("_modules/"):
        return
    known = app.env.get_domain("py").objects

    def kept(link):
        return link[0] if link[1] in known else ""

    context["body"] = re.sub(r'<a class="viewcode-back" href="[^"]*#([^"]*)">\[docs\]</a>', kept, context["body"])


def setup(app):
    """Register the hooks."""
    app.connect("html-page-context", without_dead_ends)
    app.connect("missing-reference", by_short_name)
    app.connect("doctree-resolved", readable)
