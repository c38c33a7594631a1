"""The web application: one page, and the same in JSON. It needs the extra `serve`."""

from __future__ import annotations

import asyncio
import base64
import datetime
import io
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, FastAPI, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from jaxtyping import UInt8
from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartParser

from fakd_jax.errors import UserError
from fakd_jax.reporting.images import embed, png_bytes
from fakd_jax.reporting.pages import render
from fakd_jax.serving.answers import EXPLANATION_METHODS, QUICK_METHODS, Service
from fakd_jax.serving.case_report import FORMATS, Case, write_report
from fakd_jax.serving.limits import Guard, Limits
from fakd_jax.serving.measured import Measured
from fakd_jax.serving.uploads import Upload, decode
from fakd_jax.version import __version__

PREVIEW_SIDE = 1_024
"""Longer sides are scaled down for the page; the network and explanations see the image itself."""

ImageFile = Annotated[UploadFile, File(description="an image file")]
Frame = Annotated[int | None, Form(description="number of its image, from 0; the middle one")]
Method = Annotated[str, Form(description=", ".join(EXPLANATION_METHODS))]
Target = Annotated[str | None, Form(description="a class; the predicted one")]
Format = Annotated[str, Form(description=", ".join(FORMATS))]


def create_app(
    service: Service,
    *,
    limits: Limits | None = None,
    hosts: frozenset[str] = frozenset(),
    token: str | None = None,
) -> Guard:
    """Makes the ASGI application.

    `GET /` is the page. `GET /health`, `POST /predict`, `POST /explain` (multipart, field `file`)
    speak JSON, `POST /report` sends a file, `GET /openapi.json` describes them, `GET /metrics` is
    for Prometheus. Nothing that is sent is stored, and nothing of it is logged.

    Args:
      service: answers.
      limits: what one server takes.
      hosts: see :class:`~fakd_jax.serving.limits.Guard`.
      token: see there.
    """
    limits = limits or Limits()
    # Files up to the limit stay in memory: the default writes those above 1 MB to a disk.
    MultiPartParser.spool_max_size = limits.bytes + 1
    app = FastAPI(title="fakd", version=__version__, docs_url=None, redoc_url=None)
    measured = Measured()
    app.middleware("http")(_observing(measured))
    app.add_exception_handler(UserError, _refused)
    app.include_router(_pages(service, limits, measured))
    app.include_router(_answers(service, limits))
    return Guard(app, limits=limits, hosts=hosts, token=token)


def _observing(
    measured: Measured,
) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    async def observe(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        start = time.perf_counter()
        response = await call_next(request)
        measured.observe(request.url.path, response.status_code, time.perf_counter() - start)
        return response

    return observe


async def _refused(request: Request, error: Exception) -> Response:
    """What the sender can mend, in one line."""
    return JSONResponse({"detail": str(error)}, status_code=422)


def _pages(service: Service, limits: Limits, measured: Measured) -> APIRouter:
    """What is asked for without an image."""
    router, predictor = APIRouter(), service.predictor
    others = [name for name in EXPLANATION_METHODS if name not in QUICK_METHODS]
    page = render(
        "serving/page.html",
        arch=predictor.arch,
        class_names=predictor.class_names,
        methods=[*QUICK_METHODS, *others],
        formats=FORMATS,
        megabytes=limits.bytes // 1_000_000,
    )

    @router.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page)

    @router.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the server answers, and with which network."""
        return {
            "status": "ok",
            "arch": predictor.arch,
            "class_names": list(predictor.class_names),
            "weights_sha256": service.weights,
            "version": __version__,
        }

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        """Requests by path and status, and how long they took, for Prometheus."""
        return measured.text()

    return router


def _answers(service: Service, limits: Limits) -> APIRouter:
    """What is asked about an image; all work is done in threads, so that the server goes on."""
    router, decoding = APIRouter(), asyncio.Lock()

    async def uploaded(file: UploadFile, frame: int | None) -> Upload:
        content, rules = await file.read(), service.predictor.preprocessing.pixels
        name, most = file.filename or "", limits.pixels
        async with decoding:  # a file may unpack to a gigabyte
            return await run_in_threadpool(decode, content, name, rules, frame, most_pixels=most)

    @router.post("/predict")
    async def predict(file: ImageFile, frame: Frame = None) -> dict[str, Any]:
        """The probability of each class, and whether the network is sure enough to answer."""
        upload = await uploaded(file, frame)
        answer = await run_in_threadpool(service.answer, upload.picture)
        height, width, _ = upload.picture.shape
        return {
            "prediction": answer.prediction,
            "abstained": answer.abstained,
            "probabilities": dict(answer.probabilities),
            "calibrated": answer.calibrated,
            "foreign": answer.foreign,
            "quality": answer.quality,
            "sentence": answer.sentence,
            "width": width,
            "height": height,
            "frame": upload.frame,
            "frames": upload.frames,
            "preview": await run_in_threadpool(_preview_uri, upload.picture),
        }

    @router.post("/explain")
    async def explain(
        file: ImageFile,
        method: Method = QUICK_METHODS[0],
        target: Target = None,
        frame: Frame = None,
    ) -> dict[str, Any]:
        """Which pixels speak for and against a class, as a picture to be laid over the image."""
        upload = await uploaded(file, frame)
        made = await run_in_threadpool(service.explain, upload.picture, method, target or None)
        return {
            "method": made.method,
            "class": made.target,
            "layer": await run_in_threadpool(_layer_uri, made.layer),
            "sentence": made.sentence,
        }

    @router.post("/report", response_class=Response)
    async def report(
        file: ImageFile,
        format: Format = "html",
        method: Method = QUICK_METHODS[0],
        target: Target = None,
        frame: Frame = None,
    ) -> Response:
        """Answer and explanation as a file: html, pdf, or dcm (a DICOM Secondary Capture)."""
        upload = await uploaded(file, frame)
        content, media_type = await run_in_threadpool(
            _report, service, upload, method, target or None, format
        )
        name = {"content-disposition": f'attachment; filename="report.{format}"'}
        return Response(content, media_type=media_type, headers=name)

    return router


def _report(
    service: Service, upload: Upload, method: str, target: str | None, format: str
) -> tuple[bytes, str]:
    case = Case(
        upload.picture,
        service.answer(upload.picture),
        service.explain(upload.picture, method, target),
        f"{service.predictor.arch}, weights sha256 {service.weights[:16]}",
        datetime.datetime.now(datetime.UTC),
    )
    return write_report(case, format)


def _preview_uri(pixels: UInt8[np.ndarray, "H W 3"]) -> str:
    """The image as a browser can show it, such as of a DICOM file."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return embed(png_bytes(np.asarray(picture))).uri


def _layer_uri(pixels: UInt8[np.ndarray, "H W 4"]) -> str:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
