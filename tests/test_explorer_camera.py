"""The camera of the explorer: its picture is what the network sees; what is said without one."""

from __future__ import annotations

import io

import numpy as np
import pytest
from browser import chromium
from explorer_cases import Explored
from PIL import Image

import npformer

FAKE = "--use-fake-device-for-media-stream"
ALLOWED = "--use-fake-ui-for-media-stream"

SEEN = """
const canvas = document.getElementById("easel");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return [canvas.width, canvas.height, [...data]];
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Explored(npformer.load(engine="numpy"), tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="module")
def file(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return npformer.explore(model=tiny.classifier).save(folder / "page.html")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of one photograph, for a camera that is none: JPEG files behind each other."""
    file = io.BytesIO()
    npformer.data.photograph("coffee").resize((480, 480)).save(file, "JPEG", quality=95)
    path = tmp_path_factory.mktemp("film") / "coffee.mjpeg"
    path.write_bytes(file.getvalue() * 5)
    return path


def said(page):
    return page.text("#camera-said")


@pytest.fixture(scope="module")
def filmed(file, film):
    """A page whose camera is there, allowed, and sees the film."""
    with chromium(FAKE, ALLOWED, f"--use-file-for-fake-video-capture={film}") as page:
        page.open(file, "photo=cat")
        yield page


def test_a_picture_of_the_camera_is_answered(tiny, filmed):
    page = filmed
    button = page.one("#camera")
    page.run("arguments[0].click(); arguments[0].click()", button)  # in a hurry
    page.until("document.getElementById('camera-take')?.disabled === false")
    assert page.run("return document.activeElement.id") == "camera-take"
    assert page.run("return document.querySelectorAll('video').length") == 1
    assert said(page) == ""
    page.run("window.track = document.querySelector('video').srcObject.getTracks()[0]")
    page.forget()
    page.run("document.getElementById('camera-take').click()")
    page.until("location.hash.includes('photo=own')")
    page.settle()
    assert page.run("return track.readyState") == "ended"
    assert page.all("video") == []
    assert page.run("return document.activeElement.id") == "camera"
    width, height, data = page.run(SEEN)
    picture = Image.fromarray(np.array(data, np.uint8).reshape(height, width, 4)[..., :3])
    scores = tiny.trace(picture)["scores"][0]
    (label, score), *_ = page.answers()
    assert label == tiny.classifier.labels[int(scores.argmax())]
    assert score == pytest.approx(scores.max(), abs=2e-5)
    coffee = tiny.classifier.classify(npformer.data.photograph("coffee"), top=1)[0]
    assert label == coffee.label
    assert page.trouble() == ""
    assert page.errors() == []


def test_the_camera_is_closed_again(filmed, file):
    page = filmed
    page.open(file, "photo=cat")
    before = page.answers()
    page.run("document.getElementById('camera').click()")
    page.until("document.getElementById('camera-take')?.disabled === false")
    page.run("window.track = document.querySelector('video').srcObject.getTracks()[0]")
    page.run("document.getElementById('camera-close').click()")
    assert page.run("return track.readyState") == "ended"
    assert page.all("video") == []
    assert page.answers() == before
    page.run("document.getElementById('camera').click()")
    page.until("document.querySelector('video')?.srcObject")
    page.run(
        "document.querySelector('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))"
    )
    assert said(page) == "The camera was switched off."
    assert page.errors() == []


def refused(page, says):
    """The camera is asked for, and a sentence comes in place of it; all else stays as it is."""
    before = page.answers()
    page.run("document.getElementById('camera').click()")
    page.until(
        "document.getElementById('camera-said').innerText.trim()"
        " && !document.getElementById('camera-said').innerText.endsWith('…')"
    )
    assert says in said(page)
    assert page.answers() == before
    assert page.trouble() == ""
    assert page.errors() == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([ALLOWED, f"{FAKE}=device-count=0"], "This device has no camera"),
        ([FAKE, "--deny-permission-prompts"], "This page may not use the camera. Allow it in"),
    ],
    ids=["none", "refused"],
)
def test_without_a_camera_there_is_a_sentence(file, words, says):
    with chromium(*words) as page:
        page.open(file, "photo=cat")
        refused(page, says)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (
            "navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('Could not start video source', 'NotReadableError') }",
            "another program may be using it",
        ),
        (
            "navigator.mediaDevices.getUserMedia = async () => {"
            " throw new DOMException('it is tired', 'AbortError') }",
            "The camera could not be opened: it is tired.",
        ),
        (
            "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })",
            "gives no camera to a page that was opened in this way",
        ),
    ],
    ids=["busy", "broken", "not secure"],
)
def test_a_camera_that_fails_gets_a_sentence(filmed, file, script, says):
    filmed.open(file, "photo=cat")
    filmed.run(script)
    refused(filmed, says)
