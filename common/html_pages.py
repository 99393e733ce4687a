"""HTML from the Jinja2 templates `NAME.html.j2` beside the code. Needs the package's extra `studies`.

Templates escape every value, JSON with the filter `tojson`. Reports include the style sheet `page.css`, which is beside
this file. Studies, evaluations and the user study's page are made here.
"""

from __future__ import annotations

import pathlib

from common.errors import UserError

_SHARED = pathlib.Path(__file__).parent


def template(path: pathlib.Path):
    """The `jinja2.Template` in a file. Rendering fails if a variable is missing.

    Raises:
      UserError: Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise UserError("HTML pages need Jinja2: pip install '.[studies]'") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([path.parent, _SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(path.name)
