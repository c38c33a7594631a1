"""The server over HTTP: answers, files of all kinds, refusals, and what it keeps to itself."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fakd_jax import Predictor
from fakd_jax.data.resizing import resize
from fakd_jax.explanation.api import explain_image
from fakd_jax.explanation.report.attribution import layer
from fakd_jax.reference.foreign import FeatureSubspace
from fakd_jax.runs.decision import Decision
from fakd_jax.serving.answers import Service
from fakd_jax.serving.app import create_app
from fakd_jax.serving.limits import Limits
from tests.reference.references import a_reference
from tests.tiny import CLASS_NAMES, IMAGE_SIZE, save_tiny_checkpoint, write_image

LOCAL = "http://localhost:8000"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service.open(save_tiny_checkpoint(tmp_path_factory.mktemp("run"), head_scale=1e4))


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return TestClient(create_app(service, hosts=frozenset({"localhost:8000"})), base_url=LOCAL)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_image(tmp_path_factory.mktemp("images") / "Doe^Jane.png", 3)


def picture_of(uri: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def send(client: TestClient, path: str, image: Path, **fields: object) -> dict[str, object]:
    with image.open("rb") as content:
        response = client.post(path, files={"file": (image.name, content)}, data=fields)
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


def test_an_answer_is_the_predictors(client: TestClient, service: Service, image: Path) -> None:
    answer = send(client, "/predict", image)
    pixels = np.asarray(Image.open(image))
    expected = service.predictor.predict_proba(pixels[None])[0]
    assert list(answer["probabilities"]) == list(CLASS_NAMES)
    assert list(answer["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert answer["prediction"] == CLASS_NAMES[int(expected.argmax())]
    assert answer["abstained"] is None
    assert answer["calibrated"] is False
    assert answer["foreign"] is answer["quality"] is None  # nothing is known of training images
    assert "not calibrated" in answer["sentence"]
    assert (answer["width"], answer["height"], answer["frames"]) == (40, 36, 1)
    assert (picture_of(answer["preview"]) == pixels).all()


def test_temperature_and_threshold_are_applied(service: Service, image: Path) -> None:
    pixels = np.asarray(Image.open(image))
    logits = service.predictor.predict_logits(pixels[None])[0]
    exact = np.exp(logits / 4 - (logits / 4).max())
    other = Service(service.predictor)
    other.decision = Decision(4.0, 0.9999)
    answer = other.answer(pixels)
    assert list(answer.probabilities.values()) == pytest.approx((exact / exact.sum()).tolist())
    assert answer.abstained
    # The share is after the temperature, the threshold before it: neither is below the other.
    assert answer.sentence.startswith("Not sure")
    assert "own confidence" in answer.sentence
    other.decision = Decision(4.0, 0.01)
    assert other.answer(pixels).abstained is False


def test_foreign_and_poor_images_are_named(service: Service, image: Path) -> None:
    pixels = np.asarray(Image.open(image))
    other = Service(service.predictor)
    features, _ = service.predictor.features_and_logits(resize(pixels, IMAGE_SIZE)[None])
    size = len(features[0])
    subspace = FeatureSubspace(np.zeros(size, np.float32), np.eye(size, 2, dtype=np.float32))
    for threshold, foreign in ((1e9, False), (-1.0, True)):
        known = a_reference(other.weights, threshold)
        other.reference = dataclasses.replace(known, subspace=subspace)
        answer = other.answer(pixels)
        assert answer.foreign is foreign
        assert ("not like the training images" in answer.sentence) is foreign
        assert answer.quality == other.reference.quality([pixels])[0]
    black = other.answer(np.zeros_like(pixels))
    assert black.quality
    assert black.quality in black.sentence


def test_an_explanation_is_the_librarys(client: TestClient, service: Service, image: Path) -> None:
    target = send(client, "/predict", image)["prediction"]
    answer = send(client, "/explain", image, method="occlusion", target=target)
    assert (answer["method"], answer["class"]) == ("occlusion", target)
    made = explain_image(service.predictor, image, method="occlusion", target=target)
    assert (picture_of(answer["layer"]) == layer(made.attribution_of_original())).all()
    assert picture_of(answer["layer"]).shape == (36, 40, 4)
    assert answer["sentence"] == made.reading()
    assert "not where a tumour is" in answer["sentence"]


def test_reports_have_the_answer_and_nothing_of_the_sender(client: TestClient, image: Path) -> None:
    answer = send(client, "/predict", image)
    found = {}
    for format in ("html", "pdf", "dcm"):
        with image.open("rb") as content:
            fields = {"format": format, "method": "hires-cam"}
            found[format] = client.post("/report", files={"file": content}, data=fields)
        assert found[format].status_code == 200
        assert f'filename="report.{format}"' in found[format].headers["content-disposition"]
        assert b"Doe" not in found[format].content
    assert answer["sentence"].replace("'", "&#39;") in found["html"].text
    assert found["pdf"].content.startswith(b"%PDF")
    captured = pydicom.dcmread(io.BytesIO(found["dcm"].content))
    assert captured.PatientName == ""
    assert captured.pixel_array.shape == (36, 80, 3)
    pixels = np.asarray(Image.open(image))
    assert (captured.pixel_array[:, :40] == pixels).all()
    assert (captured.pixel_array[:, 40:] != pixels).any()


def test_one_image_of_several_is_chosen(client: TestClient, tmp_path: Path) -> None:
    pages = [
        Image.fromarray(np.asarray(Image.open(write_image(tmp_path / f"{n}.png", n))))
        for n in range(3)
    ]
    pages[0].save(tmp_path / "all.tif", save_all=True, append_images=pages[1:])
    middle = send(client, "/predict", tmp_path / "all.tif")
    assert (middle["frame"], middle["frames"]) == (1, 3)
    assert (picture_of(middle["preview"]) == np.asarray(pages[1])).all()
    last = send(client, "/predict", tmp_path / "all.tif", frame=2)
    assert last["probabilities"] == send(client, "/predict", tmp_path / "2.png")["probabilities"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("x.txt", b"no image", "not an image file"),
        ("x.png", b"", "the file"),
        ("x.dcm", b"\0" * 128 + b"DICM", "DICOM"),
        ("../../x.png", b"\x89PNG\r\n\x1a\n", "the file"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(
    name: str, content: bytes, what: str, client: TestClient
) -> None:
    response = client.post("/predict", files={"file": (name, content)})
    assert response.status_code == 422
    detail = response.json()["detail"]
    assert what in detail
    assert "\n" not in detail
    assert "/tmp" not in detail


def test_unknown_methods_classes_and_images_are_refused(client: TestClient, image: Path) -> None:
    wrong = (
        ("/explain", {"method": "tarot"}, "choose one of"),
        ("/explain", {"method": "occlusion", "target": "abscess"}, "abscess"),
        ("/report", {"format": "doc", "method": "hires-cam"}, "html, pdf, dcm"),
        ("/predict", {"frame": 7}, "there is no number 7"),
    )
    for path, fields, what in wrong:
        with image.open("rb") as content:
            response = client.post(path, files={"file": content}, data=fields)
        assert response.status_code == 422
        assert what in response.json()["detail"]


def test_the_page_brings_all_that_it_needs(client: TestClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    for name in CLASS_NAMES:
        assert f"<option>{name}</option>" in response.text
    assert "http" not in response.text.replace('charset="utf-8"', "")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert response.headers["cache-control"] == "no-store"
    assert client.get("/docs").status_code == 404  # its scripts come from elsewhere


def test_health_description_and_counts(client: TestClient, service: Service) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert health["class_names"] == list(CLASS_NAMES)
    assert health["weights_sha256"] == service.weights
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/health", "/predict", "/explain", "/report"} <= paths.keys()
    client.get("/nothing/../here")
    counts = client.get("/metrics").text
    assert 'fakd_requests_total{path="/health",status="200"}' in counts
    assert 'path="other",status="404"' in counts
    assert "here" not in counts


def test_strangers_and_other_sites_are_refused(service: Service, image: Path) -> None:
    guarded = TestClient(
        create_app(service, hosts=frozenset({"localhost:8000"}), token="secret"), base_url=LOCAL
    )
    assert guarded.get("/health").status_code == 200
    assert guarded.get("/").status_code == 401
    assert guarded.get("/?token=wrong").status_code == 401
    assert guarded.get("/?token=secret").status_code == 200
    escaped = TestClient(create_app(service, token="a+b/c&d %"), base_url=LOCAL)
    assert escaped.get("/?token=a%2Bb%2Fc%26d+%25").status_code == 200
    assert escaped.get("/?token=a+b/c&d %").status_code == 401
    bearer = {"authorization": "Bearer secret"}
    assert guarded.get("/metrics", headers=bearer).status_code == 200
    assert guarded.get("/health", headers={"host": "evil.example"}).status_code == 403
    elsewhere = {**bearer, "origin": "http://evil.example"}
    with image.open("rb") as content:
        response = guarded.post("/predict", files={"file": content}, headers=elsewhere)
    assert response.status_code == 403


def test_too_long_requests_are_refused_whatever_they_declare(service: Service, image: Path) -> None:
    small = TestClient(create_app(service, limits=Limits(bytes=1_000)), base_url=LOCAL)
    with image.open("rb") as content:
        assert small.post("/predict", files={"file": content}).status_code == 413
    parts = (b"x" * 600 for _ in range(3))  # no length is declared
    assert small.post("/predict", content=parts).status_code == 413


def test_too_many_pixels_are_refused(service: Service, image: Path) -> None:
    small = TestClient(create_app(service, limits=Limits(pixels=1_000)), base_url=LOCAL)
    with image.open("rb") as content:
        response = small.post("/predict", files={"file": content})
    assert response.status_code == 422
    assert "40 × 36" in response.json()["detail"]


def test_requests_beyond_the_limit_are_asked_to_wait(service: Service, image: Path) -> None:
    busy = TestClient(create_app(service, limits=Limits(waiting=0)), base_url=LOCAL)
    with image.open("rb") as content:
        response = busy.post("/predict", files={"file": content})
    assert response.status_code == 503
    assert busy.get("/health").status_code == 200


def test_a_checkpoints_own_settings_are_found(tmp_path: Path) -> None:
    from tests.tiny import edit_metadata

    run = save_tiny_checkpoint(tmp_path)
    edit_metadata(run / "student" / "best" / "7", decision=Decision(2.5, 0.6).to_dict())
    service = Service(Predictor.from_checkpoint(run, batch_size=1, dtype="float32"))
    assert service.decision == Decision(2.5, 0.6)
