"""The page as a whole: the answers of its nets beside Python's, and what a visitor meets, in Chromium.

Both need Node, npm's packages (fetched into a temporary folder) and YuNet, and are skipped, with the reason, without.
"""

import json
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer import Recognizer
from fer.data import cache
from fer.data.synthetic import draw_faces
from fer.emotions import NOT_SURE
from fer.export import web
from fer.export.__main__ import main
from fer.faces import detectors
from fer.header import read_header
from fer.paths import WEIGHTS
from tests.clips import write_y4m
from tests.data import write_image
from tests.runs import ROOT
from tests.scenes import scene

MEDIA, YUNET = (Path(os.environ.get(name) or "nowhere") for name in ("FER_MEDIA", "FER_YUNET"))
NODE = shutil.which("node")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.skipif(not NODE, reason="there is no node")]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with the page's tests and what they need from npm."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("there is no npm")
    folder = tmp_path_factory.mktemp("packages") / "page"
    shutil.copytree(ROOT / "tests/page", folder, ignore=shutil.ignore_patterns("node_modules"))
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip("npm ci takes more than five minutes")
    if done.returncode:
        pytest.skip(f"npm ci fails: {done.stderr.strip().splitlines()[:1]}")
    return folder


@pytest.fixture(scope="module")
def model():
    """The path of YuNet's model file."""
    if YUNET.is_file():
        return YUNET
    try:
        detectors.find_model(None, "", print)
    except OSError as error:
        pytest.skip(f"FER_YUNET names no file, and YuNet cannot be fetched ({error})")
    places = WEIGHTS / detectors.MODEL, cache.folder() / detectors.MODEL
    return next(path for path in places if path.is_file())


@pytest.fixture(scope="module")
def site(packages, model, tmp_path_factory):
    """A folder with a page, and beside it one whose net is damaged."""
    folder = tmp_path_factory.mktemp("site")
    dist = packages / "node_modules/onnxruntime-web/dist"
    main(["ferplus", "--page", str(folder / "page"), "--runtime", str(dist), "--detector", str(model)])
    shutil.copytree(folder / "page", folder / "damaged")
    net = bytearray((folder / "page/net.onnx").read_bytes())
    net[len(net) // 2] ^= 1
    (folder / "damaged/net.onnx").write_bytes(net)
    return folder


def photos():
    """Give twenty photos: the real ones where they are, docs/infer.png, and drawn scenes of many sizes, some turned."""
    yield cv2.imread(str(ROOT / "docs/infer.png"))
    real = sorted(MEDIA.glob("*.jpg"))
    yield from (cv2.imread(str(path)) for path in real)
    for step in range(19 - len(real)):
        share = 0.6 + 0.17 * step
        image = cv2.resize(scene(2 * step), None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        yield image if step % 5 else cv2.rotate(image, (cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)[step % 2])


def test_the_page_and_python_see_the_same_in_twenty_photos(site, model, packages, tmp_path):
    recognizer = Recognizer.load("ferplus", detector="yunet", detector_model=model, heatmaps=True)
    images, asked = list(photos()), []
    for index, image in enumerate(images):
        path = tmp_path / f"{index}.rgba"
        path.write_bytes(cv2.cvtColor(image, cv2.COLOR_BGR2RGBA).tobytes())
        asked.append({"file": str(path), "width": image.shape[1], "height": image.shape[0]})
    command = [NODE, packages / "answers.mjs", site / "page"]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers, count = json.loads(done.stdout), 0
    threshold = read_header(WEIGHTS / "ferplus.onnx").not_sure
    assert len(answers) == 20 and threshold > 0
    for image, found in zip(images, answers, strict=True):
        expected = recognizer.image(image[..., ::-1]).faces
        assert len(found) == len(expected)
        count += len(found)
        for one, other in zip(found, expected, strict=True):
            assert one["box"] == pytest.approx(other.box, abs=1)
            assert one["probabilities"] == pytest.approx(list(other.probabilities.values()), abs=0.01)
            if abs(max(other.probabilities.values()) - threshold) > 0.01:
                assert one["sure"] == (other.emotion != NOT_SURE)
            if one["best"] == np.argmax(list(other.probabilities.values())):
                assert one["heatmap"] == pytest.approx(other.heatmap.ravel(), abs=0.02)
    assert count > 30


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_page_works_in_a_browser_as_its_own_tests_say(site, packages, tmp_path):
    face, other = draw_faces(6, 240, seed=web.DRAWN["seed"])[0][[4, 2]]
    write_clips(tmp_path, face, other)
    handler = partial(Handler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://localhost:{server.server_address[1]}"
        places = {
            "PAGE": f"{address}/page/",
            "DAMAGED": f"{address}/damaged/",
            "FILE": (site / "page/index.html").as_uri(),
            "CHROMIUM": CHROMIUM,
            "CLIPS": str(tmp_path),
        }
        command = [NODE, "--test", "--test-concurrency=1", packages / "browser.test.mjs"]
        done = subprocess.run(command, env=os.environ | places, capture_output=True, text=True, timeout=900)
        server.shutdown()
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


class Handler(SimpleHTTPRequestHandler):
    """What `python -m http.server` has, but silent."""

    def log_message(self, *_):
        pass


def write_clips(folder, face, other):
    """Write what a camera sees: a face that goes to and fro, two faces, nobody; and a photo of the face."""
    swings = [round(70 * np.sin(2 * np.pi * step / 90)) for step in range(90)]
    write_y4m(folder / "one.y4m", [placed((face, 200 + swing, 110)) for swing in swings])
    write_y4m(folder / "two.y4m", [placed((face, 50 + swing // 3, 110), (other, 350, 90)) for swing in swings])
    write_y4m(folder / "nobody.y4m", [placed()] * 5)
    write_image(folder / "face.png", placed((face, 200, 110))[..., 0])


def placed(*faces):
    """Return a picture of 640x480 with faces (240, 240) at places."""
    image = np.full((480, 640), 140, np.uint8)
    for face, left, top in faces:
        image[top : top + 240, left : left + 240] = face
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
