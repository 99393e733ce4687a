"""HTML from the Jinja2 templates that lie beside the code, `NAME.html.j2`. Needs the extra `studies` of the package.

Every value is escaped where a template puts it in, for JSON with the filter `tojson`. No other code here writes HTML.
"""

from __future__ import annotations

import pathlib

from common.errors import UserError


def template(path: pathlib.Path):
    """The `jinja2.Template` in a file. It fails on a name that it is not given.

    Raises:
      UserError: Jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise UserError("HTML pages need Jinja2: pip install '.[studies]'") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(path.name)
