"""The page that an export writes: what lies in its folder, and what its modules say beside Python's."""

import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from fer import Recognizer
from fer.data.decoding import gray
from fer.emotions import NOT_SURE
from fer.export import runtime, web
from fer.export.__main__ import main
from fer.export.runtime import FILES, VERSION
from fer.faces import detectors, search, yunet
from fer.faces.crops import cut, region
from fer.faces.detection import CropRegion, Detection
from fer.faces.schema import usual_crop
from fer.inference.draw import annotate, blend
from fer.inference.tracking import tracker
from fer.inference.tracking.smoothing import Smoother
from fer.models import maps
from fer.palette import colours
from fer.paths import WEIGHTS
from tests.hosts import Host
from tests.runs import ROOT

SOURCE, TESTS = ROOT / "fer/export/page", ROOT / "tests/page"
NODE = shutil.which("node")
EXACT = platform.machine() in ("x86_64", "AMD64")  # OpenCV rounds a few pixels otherwise on other processors
needs_node = pytest.mark.skipif(not NODE, reason="there is no node")
RNG = np.random.default_rng(0)


# --- the folder ---


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Words that name stand-ins for the runtime's files and for YuNet's."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(f"stands for {name}")
        monkeypatch.setitem(FILES, name, hashlib.sha256((folder / name).read_bytes()).hexdigest())
    (tmp_path / "yunet.onnx").write_text("stands for YuNet")
    monkeypatch.setattr(web, "YuNetModel", lambda model, score: None)
    return ["--runtime", str(folder), "--detector", str(tmp_path / "yunet.onnx")]


def refused(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(word) for word in words])
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_one_command_writes_all_that_a_host_serves(parts, tmp_path, capsys):
    page = tmp_path / "a site" / "page"
    main(["ferplus", "--page", str(page), *parts])
    said, place = capsys.readouterr().out, re.escape(str(page))
    assert re.fullmatch(rf'{place}: \d+ files, \d+\.\d MB, .+ --directory "{place}" and http://localhost:8000\n', said)
    names = {path.name for path in page.iterdir()}
    made = {"net.json", "net.onnx", "yunet.onnx", "drawn.jpg", "card.md", *FILES}
    assert names == {path.name for path in SOURCE.iterdir()} | made
    assert (page / "net.onnx").read_bytes() == (WEIGHTS / "ferplus.onnx").read_bytes()
    about = json.loads((page / "net.json").read_text(encoding="utf-8"))
    for name, facts in about["files"].items():
        content = (page / name).read_bytes()
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    net = Recognizer.load("ferplus", detector="none")
    assert tuple(about["classes"]) == net.classes
    assert (about["crop"], about["smoothing"]) == ({"margin": 0.95, "shift": -0.01}, net.config.smoothing)
    assert about["colours"] == {name: list(colours(net.classes)[name]) for name in (*net.classes, NOT_SURE)}
    card = (WEIGHTS / "ferplus.md").read_text(encoding="utf-8")
    assert len(about["limits"]) > 3 and all(f"\n- {limit}\n" in card for limit in about["limits"])
    assert all(about[key] in card for key in ("not_for", "licence"))


def test_a_page_is_written_again_over_itself_and_over_nothing_else(parts, tmp_path, capsys):
    page = tmp_path / "page"
    main(["ferplus", "--page", str(page), *parts])
    main(["fer2013", "--page", str(page), *parts])
    assert json.loads((page / "net.json").read_text())["name"] == "fer2013"
    other = tmp_path / "photos"
    other.mkdir()
    (other / "a.jpg").touch()
    sentence = refused(["ferplus", "--page", other, *parts], capsys)
    assert sentence.endswith("or one with an earlier page, but it holds a.jpg: choose another")
    assert [path.name for path in other.iterdir()] == ["a.jpg"]


def test_a_net_of_ones_own_is_exported_first_and_its_limits_are_what_its_header_tells(parts, tmp_path, weights, capsys):
    main([str(weights), "--page", str(tmp_path / "page"), *parts])
    about = json.loads((tmp_path / "page/net.json").read_text(encoding="utf-8"))
    assert (about["name"], about["input_size"], about["card"]) == ("tiny", 24, False)
    assert (about["limits"], about["not_sure"]) == ([], 0)
    assert not (tmp_path / "page/card.md").exists()


def test_a_shipped_net_needs_nothing_of_training():
    code = "import sys, fer.export.web; assert not {'torch', 'onnx', 'albumentations', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def with_metadata(path, key, value):
    """Write the shipped net's file with other metadata."""
    model = onnx.load(WEIGHTS / "ferplus.onnx")
    kept = {entry.key: entry.value for entry in model.metadata_props} | {key: value}
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, path)
    return str(path)


def test_the_threshold_of_a_file_is_the_pages_and_what_is_wrong_with_a_file_is_told(parts, tmp_path, capsys):
    net, page = tmp_path / "net.onnx", tmp_path / "page"
    main([with_metadata(net, "not_sure", "0.4"), "--page", str(page), *parts])
    assert json.loads((page / "net.json").read_text(encoding="utf-8"))["not_sure"] == 0.4
    wrong = "the file's metadata are wrong: "
    for key, value, words in (
        ("not_sure", '"much"', "the file's header is wrong: not_sure"),
        ("not_sure", "{", "its not_sure is damaged"),
        ("crop", '{"margin": 1e9}', wrong),
        ("licence", "[]", wrong),
    ):
        sentence = refused([with_metadata(net, key, value), "--page", page, *parts], capsys)
        assert "net.onnx: " in sentence and words in sentence


@pytest.mark.parametrize("name", FILES)
def test_another_runtime_is_refused_before_anything_is_written(name, parts, tmp_path, capsys):
    file = Path(parts[1]) / name
    file.write_bytes(b"another")
    sentence = refused(["ferplus", "--page", tmp_path / "page", *parts], capsys)
    assert f"expected {name} of onnxruntime-web {VERSION}, but its checksum is another; it is at https://" in sentence
    file.unlink()
    assert "but no such file or directory" in refused(["ferplus", "--page", tmp_path / "page", *parts], capsys)
    assert not (tmp_path / "page").exists()


def test_mistakes_are_told(parts, tmp_path, monkeypatch, capsys):
    page = tmp_path / "page"
    words = ["ferplus", "--output", tmp_path / "net.onnx", *parts]
    assert "beside --page alone, but got --output" in refused(words, capsys)
    assert "there is no such file" in refused(["nothing.onnx", "--page", page, *parts], capsys)
    words = ["ferplus", "--page", page, "--runtime", parts[1], "--detector"]
    assert "--detector=no.onnx: expected the face detector YuNet" in refused([*words, "no.onnx"], capsys)
    monkeypatch.undo()
    monkeypatch.setattr(web, "read_runtime", lambda folder, say: {})
    assert "expected the face detector YuNet as an ONNX file, but" in refused([*words, parts[3]], capsys)
    assert not page.exists()


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A server that has stand-ins for the runtime's files, and an empty cache."""
    host = Host()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "URL", f"{host.url}/")
    for name in FILES:
        host.files[f"/{name}"] = name.encode()
        monkeypatch.setitem(FILES, name, hashlib.sha256(name.encode()).hexdigest())
    yield host
    host.close()


def test_the_runtime_is_fetched_once(host, capsys):
    said = []
    expected = {name: name.encode() for name in FILES}
    assert runtime.read_runtime(None, said.append) == expected
    assert len(said) == len(host.asked) == len(FILES)
    assert runtime.read_runtime(None, said.append) == expected
    assert len(said) == len(host.asked) == len(FILES)


def test_a_runtime_that_is_another_is_not_kept_and_without_a_network_the_cure_is_told(host, tmp_path):
    name = list(FILES)[1]
    host.files[f"/{name}"] = b"another"
    with pytest.raises(web.UserError, match=f"{name} has another checksum.*add --runtime FOLDER"):
        runtime.read_runtime(None, lambda sentence: None)
    assert [path.name for path in tmp_path.glob("cache/*/*")] == [next(iter(FILES))]
    host.codes[f"/{name}"] = 404
    with pytest.raises(web.UserError, match=r"could not be downloaded \(Not Found \(404\)\): download ort"):
        runtime.read_runtime(None, lambda sentence: None)


# --- its source ---


def test_the_page_asks_nobody_and_stores_nothing():
    start = (SOURCE / "index.html").read_text(encoding="utf-8")
    policy = dict(part.strip().split(" ", 1) for part in re.search(r'Policy" content="(.*?)"', start)[1].split(";"))
    assert policy["default-src"] == policy["connect-src"] == "'self'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["worker-src"] == "'self' blob:"
    assert not re.search(r"<script(?! type=\"module\" src)|<style|style=|\son\w+=", start)
    for path in SOURCE.iterdir():
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"\b(?:https?|wss?)://[^\s<\"')]+", text)) - {"http://www.w3.org/2000/svg"}
        assert path.name == "LICENSES.txt" or addresses <= {"http://localhost:8000"}, path
        if path.suffix == ".js":
            assert not re.search(r"localStorage|sessionStorage|indexedDB|caches\.|cookie|serviceWorker|eval\(", text), (
                path
            )


def test_its_numbers_are_pythons():
    pairs = {
        "yunet.js": yunet,
        "search.js": (search, detectors),
        "tracking.js": (tracker, Smoother, {"PATIENCE": tracker.Tracker().patience}),
        "heat.js": (maps, blend, annotate),
    }
    for name, places in pairs.items():
        found = re.findall(r"^export const (\w+) = ([\d.e* -]+);", (SOURCE / name).read_text(), re.M)
        assert found, name
        for constant, value in found:
            theirs = [
                place[constant] if isinstance(place, dict) else getattr(place, constant)
                for place in (places if isinstance(places, tuple) else (places,))
                if (constant in place if isinstance(place, dict) else hasattr(place, constant))
            ]
            assert theirs and set(theirs) == {eval(value)}, f"{name}: {constant}"


def test_the_lock_file_names_no_host_and_the_runtime_is_of_one_version():
    lock = (TESTS / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock and "http" not in lock
    wanted = json.loads((TESTS / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    locked = json.loads(lock)["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package for name, package in locked.items() if name)
    assert wanted["onnxruntime-web"] == VERSION


def test_the_page_is_published_only_where_somebody_switches_it_on():
    text = (ROOT / ".github/workflows/page.yml").read_text(encoding="utf-8")
    assert "if: github.event_name == 'workflow_dispatch' || vars.PAGE == 'on'" in text
    assert "python -m fer.export ferplus --page" in text


# --- its modules beside Python ---


def in_node(*calls):
    """Return what functions of the page's modules return: (module, name, given), for classes with calls of methods."""
    keys = ("module", "name", "given", "calls")
    words = json.dumps([dict(zip(keys, call, strict=False)) for call in calls])
    command = [NODE, TESTS / "parts.mjs", SOURCE]
    done = subprocess.run(command, input=words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def levels(values):
    return {"bytes": np.asarray(values).ravel().tolist()}


def picture(image):
    """Return an image (H, W, 3) as a canvas gives it."""
    return {
        "data": levels(cv2.cvtColor(image, cv2.COLOR_BGR2RGBA)),
        "width": image.shape[1],
        "height": image.shape[0],
    }


def noise(height, width):
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


@needs_node
def test_pictures_are_shrunk_as_opencv_does():
    sizes = [(37, 53, 19, 20), (60, 90, 30, 45), (64, 96, 32, 24), (41, 41, 40, 41), (90, 60, 7, 5)]
    images = [noise(*size[:2]) for size in sizes]
    calls = [
        ("image.js", "average", [picture(image)["data"], size[1], size[0], 4, size[3], size[2]])
        for image, size in zip(images, sizes, strict=True)
    ]
    for found, image, (_, _, height, width) in zip(in_node(*calls), images, sizes, strict=True):
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        away = np.abs(np.array(found).reshape(height, width, 4)[..., 2::-1] - small.astype(int))
        assert away.max() <= (not EXACT)


@needs_node
def test_squares_are_cut_out_as_in_python():
    image = noise(60, 80)
    regions = [((40, 30), 33.4, 0), ((5, 8), 40, 0), ((79, 59), 61.5, 0), ((200, -90), 12, 0), ((40.5, 30.5), 13, 0)]
    turned = [((40, 30), 30, 90), ((20, 41), 57.3, 180), ((44, 12), 24, 270)]
    asked = [CropRegion(*values) for values in (*regions, *turned)]
    found = in_node(*(("image.js", "cut", [picture(image), one._asdict(), 24]) for one in asked))
    for one, crop in zip(asked, found, strict=True):
        away = np.abs(np.array(crop) - cut(image, one, 24).ravel().astype(int))
        assert away.max() <= (not EXACT or one.side < 24), one


@needs_node
def test_gray_and_squares_round_as_in_python():
    image = noise(48, 48)
    crop = usual_crop()
    boxes = [(2.5, 3.5, 20.0, 30.5, 0), (10.25, 7.75, 41.0, 12.0, 90), (0.0, 0.0, 9.9, 9.9, 180), (1, 2, 30, 40, 270)]
    calls = [
        ("image.js", "region", [{"box": box[:4], "turn": box[4]}, {"margin": crop.margin, "shift": crop.shift}])
        for box in boxes
    ]
    whole = ("image.js", "cut", [picture(image), {"centre": [24, 24], "side": 48, "angle": 0}, 48])
    *found, levels_found = in_node(*calls, whole)
    for box, one in zip(boxes, found, strict=True):
        expected = region(Detection(box[:4], 1.0, None, box[4]), crop.margin, crop.shift, rotate=False)
        assert [*one["centre"], one["side"], one["angle"]] == pytest.approx([*expected.centre, *expected[1:]])
    assert np.abs(np.array(levels_found) - gray(image).ravel()).max() <= (not EXACT)


@needs_node
def test_faces_are_decoded_and_chosen_as_in_python():
    cells = [(96 // stride) * (64 // stride) for stride in yunet.STRIDES]
    shapes = [
        (count, values)
        for count, kinds in zip(cells, [(1, 1, 4, 10)] * len(yunet.STRIDES), strict=True)
        for values in kinds
    ]
    outputs = [RNG.uniform(0, 1, shape).astype(np.float32) for shape in shapes]
    given = {name: {"floats": values.ravel().tolist()} for name, values in zip(yunet.OUTPUTS, outputs, strict=True)}
    expected = yunet.decode([values[None] for values in outputs], 96, 0.7)
    (faces,) = in_node(("yunet.js", "decode", [given, 96, 0.7]))
    assert np.array([[*face["box"], face["score"]] for face in faces]) == pytest.approx(
        expected[:, [0, 1, 2, 3, 14]], abs=1e-3
    )
    chosen = yunet.suppress(expected[:, :4], expected[:, 14], 0.7)
    (kept,) = in_node(("yunet.js", "suppress", [faces]))
    assert len(kept) > 5
    assert np.array([face["score"] for face in kept]) == pytest.approx(expected[chosen, 14], abs=1e-6)


@needs_node
def test_faces_are_followed_and_answers_smoothed_as_in_python():
    times = np.cumsum(RNG.uniform(0.02, 0.2, 60)).tolist()
    starts, speeds = RNG.uniform(0, 300, (4, 2)), RNG.uniform(-40, 40, (4, 2))
    seen = []
    for step, time in enumerate(times):
        there = RNG.random(4) < 0.85  # some are missed, in any order, and one is away for a while
        there[0] &= not 20 < step < 35
        boxes = [[*(start + speed * time), 60.0, 70.0] for start, speed in zip(starts, speeds, strict=True)]
        seen.append(([boxes[index] for index in RNG.permutation(4) if there[index]], time))
    ours, smoother = tracker.Tracker(), Smoother(0.4)
    expected = [ours.update([Detection(tuple(box), 1.0) for box in boxes], time) for boxes, time in seen]
    answers = [(step % 2, RNG.dirichlet(np.ones(6)).astype(np.float32), time) for step, time in enumerate(times)]
    steady = [smoother(*answer) for answer in answers]
    tracks = ("tracking.js", "Tracker", [], [["update", *frame] for frame in seen])
    calls = [["smooth", track, {"floats": values.tolist()}, time] for track, values, time in answers]
    found, smooth = in_node(tracks, ("tracking.js", "Smoother", [0.4], calls))
    assert found == expected
    assert len({number for numbers in found for number in numbers}) > 4
    assert np.array(smooth) == pytest.approx(np.array(steady), abs=1e-6)


@needs_node
def test_heatmaps_are_scaled_and_coloured_as_in_python():
    given = RNG.normal(0, 1, (3, 6, 5)).astype(np.float32)
    given[2] = -1
    net = {"data": {"floats": given.ravel().tolist()}, "width": 5, "height": 6}
    found = in_node(*(("heat.js", "finish", [net, label, 48]) for label in range(3)))
    expected = maps.finish(given, 48)
    assert np.array(found).reshape(3, 48, 48) == pytest.approx(expected, abs=1e-5)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_TURBO)[:, 0, ::-1].ravel().tolist()
    (pixels,) = in_node(("heat.js", "heat", [{"floats": expected[0].ravel().tolist()}, 48, table, 0.5]))
    pixels, overlay = np.array(pixels).reshape(48, 48, 4), blend.heat(expected[0], 0.5, cv2.COLORMAP_TURBO)
    assert np.abs(255 - overlay.transmittance[..., 0].astype(int) - pixels[..., 3]).max() <= 1
    ink = pixels[..., 2::-1] * pixels[..., 3:] / 255
    assert np.abs(ink - overlay.ink).max() <= 2
