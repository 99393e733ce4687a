"""The description of the HTTP interface, OpenAPI 3.1, that `GET /openapi.json` answers with."""

from __future__ import annotations

import mimetypes

_IMAGES = {mimetypes.types_map[kind]: {} for kind in (".jpg", ".png", ".tif", ".bmp")}
_IMAGES["image/webp"] = {}
_ERROR = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"type": "string", "description": "one line"}},
        }
    }
}


def _refused(why):
    return {"description": why, "content": _ERROR}


def description(models: tuple[str, ...], model: str) -> dict:
    """models: names that `model` of a request may have; model: the one it has by default."""
    fields = {
        "image": {
            "type": "string",
            "format": "binary",
            "description": "photograph: JPEG, PNG, WebP, TIFF or BMP",
        },
        "mask": {
            "type": "string",
            "format": "binary",
            "description": "mask of the upright photograph's size; white is the hole",
        },
        "model": {"type": "string", "enum": list(models), "default": model},
        "dilate": {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": "grow the hole by this many pixels",
        },
        "invert_mask": {
            "type": "boolean",
            "default": False,
            "description": "the mask is black where the hole is",
        },
    }
    inpaint = {
        "summary": "Fill the hole of a photograph",
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image", "mask"],
                        "properties": fields,
                    }
                }
            },
        },
        "responses": {
            "200": {
                "description": "the filled file, in the photograph's own format and size",
                "content": _IMAGES,
            },
            "400": _refused(
                "a file that is not an image or is damaged, or image and mask of different sizes"
            ),
            "403": _refused("a request from another site"),
            "413": _refused("too many bytes or pixels"),
            "422": _refused("a part is missing, or a value is impossible"),
            "429": {
                **_refused("too many photographs wait for this model"),
                "headers": {"Retry-After": {"schema": {"type": "integer"}}},
            },
        },
    }
    alive = {
        "summary": "The server runs",
        "responses": {"200": {"description": '{"status": "ok"}'}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Inpainting", "version": "1"},
        "paths": {"/v1/inpaint": {"post": inpaint}, "/health": {"get": alive}},
    }
