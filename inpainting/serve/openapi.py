"""The description of the HTTP interface, OpenAPI 3.1, for `GET /openapi.json`: the file openapi.json in this folder."""

from __future__ import annotations

import json
import pathlib

_FILE = pathlib.Path(__file__).with_suffix(".json")


def description(models: tuple[str, ...], model: str) -> dict:
    """models: names that `model` of a request may have; model: the one it has by default."""
    found = json.loads(_FILE.read_text(encoding="utf-8"))
    form = found["paths"]["/v1/inpaint"]["post"]["requestBody"]["content"]["multipart/form-data"]
    form["schema"]["properties"]["model"].update(enum=list(models), default=model)
    return found
