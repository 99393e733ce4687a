"""The routes: the page and what it asks for, and the HTTP interface under /v1 (docs/serving.md).

Errors are answered as {"error": one line}. Work that takes time is a job (`inpainting.serve.jobs`). Reading and
drawing, which take less than a second, run in threads of their own, so that other requests are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import pathlib
import shutil
from collections.abc import AsyncIterator
from typing import Callable
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from common import errors
from common.errors import UsageError, UserError
from common.filling import photographs
from inpainting.painters import Painter
from inpainting.serve import filling, guard, jobs, openapi
from inpainting.serve.uploads import (
    Limits,
    Store,
    TooLargeError,
    UnknownError,
    named,
    shown_name,
)

# Models that the page and the HTTP interface offer: {name: name shown to people}.
MODELS = {
    "hifill": "HiFill",
    "zoom_to_inpaint": "Zoom-to-Inpaint",
    "telea": "Telea",
    "ns": "Navier-Stokes",
    "harmonic": "Smooth membrane",
}
QUEUE = 8
SNAP = "snapping to objects"  # the queue of GrabCut, which is no painter
_PAGE = pathlib.Path(__file__).parent / "page"
_SWEEP = 60  # seconds between two removals of unused photographs
_RETRY = 10  # seconds, in Retry-After
_STROKES = 32 * 10**6  # bytes of painted strokes in one request
_FORM = 10**6  # bytes of a form without its two files
_LARGEST_DILATION = 10_000
_STATUS = {jobs.FullError: 429, TooLargeError: 413, UnknownError: 404, UsageError: 422}


class Service:
    """A server's state: uploaded photographs and workers.

    painter: name of a model -> its painter. model: the default model.
    """

    def __init__(
        self,
        painter: Callable[[str], Painter],
        model: str = "hifill",
        limits: Limits | None = None,
        queue: int = QUEUE,
    ):
        self.model, self.limits = model, limits or Limits()
        self.store = Store(self.limits)
        self.workers = jobs.Workers(lambda name: None if name == SNAP else painter(name), queue)

    def app(self, local: bool = True) -> guard.Guard:
        """The ASGI application. local: the server is bound to this computer, so `Host` is checked."""
        handlers = {
            UserError: _answer_error,
            HTTPException: _answer_http_error,
            ClientDisconnect: _answer_nobody,
        }
        routes = [*_page_routes(), *self._photograph_routes(), *self._interface_routes()]
        app = Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)
        return guard.Guard(app, local)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            self.store.close()

    async def _sweep(self):
        while True:
            await asyncio.sleep(_SWEEP)
            for identity in await run_in_threadpool(self.store.remove_unused):
                self.workers.cancel_all_of(identity)

    # The page's photographs.

    def _photograph_routes(self):
        one = "/photographs/{photograph}"
        version, mask = f"{one}/versions/{{number:int}}", f"{one}/masks/{{number:int}}"
        return [
            Route("/settings", self._settings),
            Route("/photographs", self._open, methods=["POST"]),
            Route(one, self._describe),
            Route(one, self._close, methods=["DELETE"]),
            Route(f"{version}/preview", self._preview),
            Route(f"{version}/file", self._download),
            Route(f"{one}/masks", self._load_mask, methods=["POST"]),
            Route(f"{mask}/preview", self._mask_preview),
            Route(f"{one}/mask.png", self._save_mask, methods=["POST"]),
            Route(f"{one}/snap", self._snap, methods=["POST"]),
            Route(f"{one}/fill", self._fill, methods=["POST"]),
            Route(f"{one}/jobs/{{job}}", self._job),
            Route(f"{one}/jobs/{{job}}", self._cancel, methods=["DELETE"]),
        ]

    def _editor(self, request: Request) -> filling.Editor:
        return filling.Editor(self.store, self.store.find(request.path_params["photograph"]))

    async def _settings(self, _):
        limits = {"megabytes": self.limits.megabytes, "megapixels": self.limits.megapixels}
        return JSONResponse({"models": MODELS, "model": self.model, "limits": limits})

    async def _open(self, request):
        upload = self.store.add(request.query_params.get("name", ""))
        try:
            await self._write_body(request, upload.path)
            await run_in_threadpool(upload.take, self.limits)
            found = await run_in_threadpool(filling.Editor(self.store, upload).describe)
        except BaseException:  # also when the tab is closed
            self.store.remove(upload)
            raise
        return JSONResponse(found, status_code=201)

    async def _write_body(self, request, path):
        """Writes the body, the bytes of a file, to `path`."""
        with contextlib.suppress(ValueError):
            self.limits.check_bytes(int(request.headers.get("content-length", 0)))
        count = 0
        with path.open("wb") as file:
            async for chunk in request.stream():
                count += len(chunk)
                self.limits.check_bytes(count)
                await run_in_threadpool(file.write, chunk)

    async def _describe(self, request):
        return JSONResponse(await run_in_threadpool(self._editor(request).describe))

    async def _close(self, request):
        upload = self._editor(request).upload
        self.workers.cancel_all_of(upload.id)
        await run_in_threadpool(self.store.remove, upload)
        return Response(status_code=204)

    async def _preview(self, request):
        editor, number = self._editor(request), request.path_params["number"]
        return FileResponse(await run_in_threadpool(editor.preview, number), headers=_PRIVATE)

    async def _download(self, request):
        editor, number = self._editor(request), request.path_params["number"]
        name = editor.file_name(number)
        headers = {**_PRIVATE, "Content-Disposition": _disposition(name)}
        kind = _media_type(pathlib.PurePath(name))
        return FileResponse(editor.file(number), media_type=kind, headers=headers)

    async def _load_mask(self, request):
        editor = self._editor(request)
        name = shown_name(request.query_params.get("name", ""), "mask")
        path = editor.upload.folder / f"sent-{editor.upload.next_number('sent')}"
        try:
            await self._write_body(request, path)
            await run_in_threadpool(self.limits.check_header, path, name)
            number = await run_in_threadpool(editor.add_mask, path, name)
        finally:
            path.unlink(missing_ok=True)
        return JSONResponse({"mask": number}, status_code=201)

    async def _mask_preview(self, request):
        editor, number = self._editor(request), request.path_params["number"]
        return FileResponse(await run_in_threadpool(editor.mask_preview, number), headers=_PRIVATE)

    async def _save_mask(self, request):
        editor, asked = self._editor(request), await _json(request)
        content = await run_in_threadpool(editor.mask_file, asked.get("strokes"))
        return Response(content, media_type="image/png", headers=_PRIVATE)

    async def _snap(self, request):
        editor, asked = self._editor(request), await _json(request)
        scribble, box, base = asked.get("strokes"), _box(asked.get("box")), _base(asked)
        if (scribble is None) == (box is None):
            raise UserError("snapping needs strokes or a box")
        return self._submit(editor, SNAP, lambda _, job: {"mask": editor.snap(base, scribble, box)})

    async def _fill(self, request):
        editor, asked = self._editor(request), await _json(request)
        model, base, strokes = asked.get("model", self.model), _base(asked), asked.get("strokes")
        _check_model(model)

        def work(paint, job):
            return {"version": editor.fill(paint, base, strokes, lambda: not job.cancelled)}

        return self._submit(editor, model, work)

    def _submit(self, editor, queue, work):
        def tidy_work(tool, job):
            try:
                return work(tool, job)
            finally:
                self.store.tidy(editor.upload)

        job = self.workers.submit(queue, tidy_work, editor.upload.id)
        return JSONResponse(self._state(job), status_code=202)

    def _state(self, job):
        found = {"job": job.id, "state": job.state, "ahead": self.workers.ahead(job)}
        return {**found, "seconds": round(job.seconds, 1), "error": job.error, **(job.result or {})}

    def _found_job(self, request):
        upload = self._editor(request).upload
        job = self.workers.find(request.path_params["job"], upload.id)
        if job is None:
            raise UnknownError("there is no such job")
        return job

    async def _job(self, request):
        return JSONResponse(self._state(self._found_job(request)))

    async def _cancel(self, request):
        job = self._found_job(request)
        self.workers.cancel(job)
        return JSONResponse(self._state(job))

    # The HTTP interface.

    def _interface_routes(self):
        return [
            Route("/v1/inpaint", self._inpaint, methods=["POST"]),
            Route("/openapi.json", self._openapi),
            Route("/health", _health),
        ]

    async def _openapi(self, _):
        return JSONResponse(openapi.description(tuple(MODELS), self.model))

    async def _inpaint(self, request):
        upload = self.store.add("")
        try:
            model, mask_name, reading = await self._take_form(request, upload)

            def work(paint, job):
                return self._fill_once(upload, mask_name, reading, paint, job)

            job = self.workers.submit(model, work, upload.id)
            try:
                await _ended(job, request)
            finally:
                self.workers.cancel(job)
            if job.failure is not None:
                raise (
                    job.failure
                    if isinstance(job.failure, UserError)
                    else HTTPException(413 if errors.is_too_large(job.failure) else 500, job.error)
                )
            content = await run_in_threadpool(job.result.read_bytes)
            kind, name = _media_type(job.result), f"{pathlib.PurePath(upload.name).stem}-filled"
        finally:
            await run_in_threadpool(self.store.remove, upload)
        headers = {**_PRIVATE, "Content-Disposition": _disposition(f"{name}{job.result.suffix}")}
        return Response(content, media_type=kind, headers=headers)

    async def _take_form(self, request, upload):
        """(model, the mask's name, arguments of `photographs.read_mask`) of a form.

        Its files are written to the upload's folder.

        Raises:
          UsageError: a part is missing, or a value is impossible.
        """
        most = 2 * self.limits.bytes + _FORM
        message = (
            f"the request is larger than {most / 10**6:g} MB, from the server's --max_megabytes"
        )
        with contextlib.suppress(ValueError):
            if int(request.headers.get("content-length", 0)) > most:
                raise TooLargeError(message)
        request = Request(request.scope, guard.limited(request.receive, most, message))
        async with request.form(max_files=2, max_fields=3) as form:
            for part in ("image", "mask"):
                if not isinstance(form.get(part), UploadFile):
                    raise UsageError(f"the part '{part}' is missing: a file")
            model = form.get("model", self.model)
            _check_model(model)
            dilate, invert = _whole_number(form.get("dilate", "0")), _truth(form.get("invert_mask"))
            upload.rename(form["image"].filename or "")
            name = shown_name(form["mask"].filename or "", "mask")
            for part, path in (("image", upload.path), ("mask", upload.folder / "mask")):
                await run_in_threadpool(_copy, form[part].file, path)
        await run_in_threadpool(upload.take, self.limits)
        await run_in_threadpool(self.limits.check_header, upload.folder / "mask", name)
        return model, name, {"invert": invert, "dilate": dilate}

    def _fill_once(self, upload, mask_name, reading, paint, job):
        """The path of the filled file."""
        try:
            photograph = self.store.photograph(upload)
            with named(upload.folder / "mask", mask_name):
                mask = photographs.read_mask(
                    upload.folder / "mask", photograph.size, of=upload.name, **reading
                )
            result = filling.filled(photograph.rgb, mask, paint, upload.name)
            path = upload.folder / f"filled{filling.ending(photograph, upload.ending)}"
            if not job.cancelled:
                photographs.write_photograph(path, photograph, result, mask)
            return path
        finally:
            self.store.tidy(upload)


# The page.

_PRIVATE = {"Cache-Control": "private, no-store"}
_FILES = ("page.css", "page.js", "picture.js", "paint.js", "server.js")


def _page_routes():
    def route(address, name):
        kind = {"html": "text/html", "css": "text/css", "js": "text/javascript"}[name.split(".")[1]]
        content = (_PAGE / name).read_bytes()

        async def answer(_):
            return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

        return Route(address, answer)

    return [route("/", "page.html"), *(route(f"/{name}", name) for name in _FILES)]


async def _health(_):
    return JSONResponse({"status": "ok"})


# Answers.


async def _answer_error(_, error: UserError):
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 400)
    headers = {"Retry-After": str(_RETRY)} if status == 429 else None
    return JSONResponse({"error": errors.one_line(error)}, status_code=status, headers=headers)


async def _answer_http_error(_, error: HTTPException):
    body = {"error": errors.one_line(error.detail)}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


async def _answer_nobody(*_):
    return Response(status_code=400)  # the connection is gone


def _disposition(name):
    """The header of RFC 6266, without an ASCII name for old programs: all browsers know this form."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def _media_type(path):
    if path.suffix == ".webp":  # unknown to old Pythons
        return "image/webp"
    return mimetypes.types_map.get(path.suffix, "application/octet-stream")


# Questions.


async def _json(request: Request) -> dict:
    """The body, an object; UserError for anything else."""
    receive = guard.limited(request.receive, _STROKES, "that is too much paint for one request")
    try:
        found = await Request(request.scope, receive).json()
    except (ValueError, RecursionError) as error:
        raise UserError("the request is not JSON") from error
    if not isinstance(found, dict):
        raise UserError("the request is not a JSON object")
    return found


def _base(asked):
    base = asked.get("base", 0)
    if type(base) is not int or base < 0:
        raise UserError("base is the number of a fill, or 0")
    return base


def _box(box):
    if box is None:
        return None
    numbers = isinstance(box, list) and len(box) == 4
    if not numbers or not all(type(x) in (int, float) and abs(x) < 10**9 for x in box):
        raise UserError("a box is [left, top, right, bottom]")
    return tuple(box)


def _check_model(model):
    if model not in MODELS:
        raise UsageError(f"there is no model of this name; choose one of {', '.join(MODELS)}")


def _whole_number(text):
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) > 5:
        raise UsageError("dilate is a number of pixels")
    return min(int(text), _LARGEST_DILATION)


def _truth(text):
    known = {None: False, "false": False, "0": False, "true": True, "1": True}
    if text not in known:
        raise UsageError("invert_mask is true or false")
    return known[text]


def _copy(source, path):
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)


async def _ended(job, request):
    """Waits for a job's end, or for the end of the connection, which is a ClientDisconnect."""
    while not await run_in_threadpool(job.ended.wait, 0.2):
        if await request.is_disconnected():
            raise ClientDisconnect
