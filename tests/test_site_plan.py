"""The plan of a site: what is read of it, what is refused, and who may see it."""

import http.client
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.errors import DataError
from sdk.serve import Access, serve
from sdk.serve.plan import Plan
from tests.crowd import Crowd, cameras


@pytest.fixture
def folder(tmp_path):
    for name in ("floor.png", "floor.jpg"):
        cv2.imwrite(str(tmp_path / name), np.full((30, 40, 3), 250, np.uint8))
    (tmp_path / "floor.svg").write_text("<svg onload='alert(1)'/>")
    (tmp_path / "half.png").write_bytes((tmp_path / "floor.png").read_bytes()[:20])
    return tmp_path


def write(folder, text):
    (folder / "plan.yaml").write_text(text)
    return folder / "plan.yaml"


def test_an_image_and_the_places_of_cameras(folder):
    plan = Plan.load(write(folder, "image: floor.jpg\ncameras: {dock: [0, 1], 7: [0.25, 0.5]}"), ["dock", "7", "gate"])
    assert (plan.kind, plan.places) == ("image/jpeg", {"dock": (0.0, 1.0), "7": (0.25, 0.5)})
    assert plan.image == (folder / "floor.jpg").read_bytes()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image: floor.png", "has 'image'"),
        ("[1, 2", "no YAML"),
        ("image: 3\ncameras: {}", "'image' is the name of a file"),
        ("image: floor.png\ncameras: [dock]", "'cameras' are lines like"),
        ("image: floor.png\ncameras: {dock: [20, 30]}", "camera 'dock' is at .*shares of the image from 0 to 1"),
        ("image: floor.png\ncameras: {dock: [0.1, .nan]}", "camera 'dock' is at"),
        ("image: floor.png\ncameras: {dock: [true, 0.1]}", "camera 'dock' is at"),
        ("image: floor.png\ncameras: {dock: 0.5}", "camera 'dock' is at"),
        ("image: floor.png\ncameras: {dok: [0.1, 0.2]}", "no camera 'dok'; there are dock, lobby"),
        ("image: floor.svg\ncameras: {}", "floor.svg: no PNG or JPEG image"),
        ("image: half.png\ncameras: {}", "half.png: no PNG or JPEG image"),
        ("image: none.png\ncameras: {}", "none.png: cannot be read"),
    ],
)
def test_what_is_no_plan_is_refused_and_says_why(folder, text, reason):
    with pytest.raises(DataError, match=reason):
        Plan.load(write(folder, text), ["dock", "lobby"])


def test_a_plan_is_for_who_may_see_the_page(folder):
    plan = Plan.load(write(folder, "image: floor.png\ncameras: {camera-02: [0.5, 0.25]}"), cameras())
    crowd = Crowd(plan=plan)
    assert [camera["place"] for camera in crowd.site.state()["cameras"]] == [None, (0.5, 0.25), *[None] * 10]
    with serve(crowd.site, Access("a token that nobody guesses")) as address:
        assert get(address).status == 401
        answer = get(address, {"Authorization": "Bearer a token that nobody guesses"})
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.read() == plan.image
    with serve(Crowd().site) as address:
        assert get(address).status == 404


def get(address, headers=None):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request("GET", "/plan", headers=headers or {})
    return connection.getresponse()


def test_nothing_is_live_when_the_run_is_over():
    crowd = Crowd()
    assert {camera["state"] for camera in crowd.site.state()["cameras"]} == {"live", "lost"}
    crowd.site.end("the sources have ended")
    assert {camera["state"] for camera in crowd.site.state()["cameras"]} == {"ended", "lost"}


def test_the_command_refuses_a_plan_of_another_site(folder):
    plan = write(folder, "image: floor.png\ncameras: {attic: [0.5, 0.5]}")
    done = CliRunner().invoke(build_app(), ["serve", "--simulated", "--port", "0", "--plan", str(plan)])
    assert isinstance(done.exception, DataError)
    assert "there is no camera 'attic'; there are" in str(done.exception)
