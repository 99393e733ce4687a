"""The card (README.md) of a model's folder: what it is, how to load it, its configuration and its licence.

The shipped weights have their own card, docs/models/NAME.md in a clone. A wheel has it in common/model_cards/.
"""

from __future__ import annotations

import json
import re

from common.environment import ROOT
from common.errors import one_line

_FOLDERS = (ROOT / "docs" / "models", ROOT / "common" / "model_cards")
# Source, author and licence of every photograph that the shipped weights were trained on.
_SOURCES = "photographs.tsv"
_LINK = re.compile(r"\[([^\]]*)\]\((?!https:)([^)]*)\)")
_TEXT = """\
---
license: {license_id}
library_name: {library}
pipeline_tag: image-to-image
tags:
- inpainting
---
# {name}

An inpainting model in TensorFlow and Keras: class `{model_class}` of the package `{library}`. The variables are in
`model.safetensors`, the configuration is in `config.json`. With this folder at hand:

```python
import {package}

model = {package}.{model_class}.from_pretrained({path})
filled = model.inpaint(image, mask)  # uint8 [H, W, 3] RGB; uint8 [H, W], not 0 = hole
```

Configuration:

```json
{config}
```

{rest}"""
_UNKNOWN = """\
Licence of the weights: not stated. Whoever shares them names it here and in the first lines of this file. Licences of
the training photographs may limit the choice.
"""


def files(name: str, package: str, model_class: str, config: dict, shipped: str | None) -> dict:
    """{file name: text} of the card and the files it refers to.

    Args:
      name: title, such as the folder's name.
      package: the paper's package.
      config: the configuration.
      shipped: name of the shipped weights, if these are they.
    """
    rest, others = _UNKNOWN, {}
    if shipped:
        folder = next(folder for folder in _FOLDERS if (folder / f"{shipped}.md").is_file())
        rest = _without_links((folder / f"{shipped}.md").read_text(encoding="utf-8"))
        rest = rest.replace("# ", "## ", 1)
        others = {_SOURCES: (folder / _SOURCES).read_text(encoding="utf-8")}
    text = _TEXT.format(
        license_id="cc-by-sa-4.0" if shipped else "unknown",
        library=package,
        name=one_line(name),
        package=package,
        model_class=model_class,
        path=json.dumps(name),
        config=json.dumps(config, indent=2),
        rest=rest,
    )
    return {"README.md": text, **others}


def _without_links(text):
    """Links to other pages of this package's documentation become plain text."""
    return _LINK.sub(lambda link: link[0] if link[2] == _SOURCES else link[1], text)
