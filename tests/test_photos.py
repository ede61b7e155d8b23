"""Photos in and out: what an input means, every kind of image file, and where pictures go."""

import os
import struct
import sys
import time
import warnings
import zlib
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile, features

from fer.data.decoding import read_photo, too_large
from fer.data.image_files import read_image
from fer.errors import RunError, UserError
from fer.inference.io.images import crop_names, find_photos, picture_names, root_of, save_photo
from fer.progress import said_if_slow

FER_MEDIA = Path(os.environ.get("FER_MEDIA", "nowhere"))
RED, GREEN, WHITE = (200, 30, 40), (30, 180, 60), (255, 255, 255)  # red-green-blue, as Pillow has it


@pytest.fixture
def rgb() -> np.ndarray:
    """A picture without symmetry: 32 rows of 48, red and green, a white corner top left."""
    picture = np.full((32, 48, 3), GREEN, np.uint8)
    picture[:, :32] = RED
    picture[:16, :16] = WHITE
    return picture


def same(image: np.ndarray, rgb: np.ndarray, tolerance: int = 0) -> bool:
    assert image.dtype == np.uint8
    return image.shape == rgb.shape and np.abs(image[..., ::-1].astype(int) - rgb).max() <= tolerance


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_folder_means_the_images_below_it_sorted(tmp_path):
    touch(tmp_path, "b.JPG", "a.png", "sad/c.webp", "sad/deep/d.tif", "notes.txt", ".hidden.png", ".cache/e.png")
    touch(tmp_path, "sad/clip.mp4")
    touch(tmp_path, "@eaDir/b.JPG/thumbnail.jpg", "sad/@eaDir/c.png")
    assert names(find_photos(str(tmp_path)).photos, tmp_path) == ["a.png", "b.JPG", "sad/c.webp", "sad/deep/d.tif"]
    assert names(find_photos(str(tmp_path)).others, tmp_path) == ["notes.txt", "sad/clip.mp4"]
    assert root_of(str(tmp_path)) == tmp_path


def test_file_is_taken_as_typed(tmp_path, monkeypatch):
    touch(tmp_path, "x[1].jpg", "x1.jpg", "scan.data", "gesichter-äöü-表情.png")
    for name in ("x[1].jpg", "scan.data", "gesichter-äöü-表情.png"):
        assert names(find_photos(str(tmp_path / name)).photos, tmp_path) == [name]
    monkeypatch.setenv("USERPROFILE" if os.name == "nt" else "HOME", str(tmp_path))
    assert find_photos("~/x1.jpg").photos == [tmp_path / "x1.jpg"]
    assert root_of("~/x1.jpg") == tmp_path


def test_glob_means_the_matching_images(tmp_path):
    folder = tmp_path / "2020 [best]"
    touch(folder, "b.png", "a.png", "a.jpg", "notes.txt", "scan.data", "sad/c.png", ".cache/d.png", ".e.png")
    touch(folder, "@eaDir/f.png")
    for pattern, expected in {
        "*.png": ["a.png", "b.png"],
        "**/*.png": ["a.png", "b.png", "sad/c.png"],
        "*/*.png": ["sad/c.png"],
        "*": ["a.jpg", "a.png", "b.png"],
        "a.*": ["a.jpg", "a.png"],
        "*.data": ["scan.data"],
        "[ab].png": ["a.png", "b.png"],
    }.items():
        assert names(find_photos(str(folder / pattern)).photos, folder) == expected
        assert root_of(str(folder / pattern)) == folder
    assert root_of(str(folder / "sad" / "*.png")) == folder / "sad"
    assert names(find_photos(str(folder / "@eaDir" / "*")).photos, folder) == ["@eaDir/f.png"]


def test_glob_below_the_current_folder(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "sad/c.png")
    monkeypatch.chdir(tmp_path)
    assert [path.as_posix() for path in find_photos("**/*.png").photos] == ["a.png", "sad/c.png"]
    assert root_of("*.png") == Path()


@pytest.mark.parametrize(
    ("name", "message"), [("none.jpg", "no image of that name"), ("*.gif", "no image of that name")]
)
def test_nothing_found_says_what_was_looked_for(tmp_path, name, message):
    with pytest.raises(
        UserError, match=r"^input=.*; expected an image, .* a pattern such as .*; check.*\.png.*\)$"
    ) as error:
        find_photos(str(tmp_path / name))
    assert str(tmp_path / name) in str(error.value)
    assert message in str(error.value)
    with pytest.raises(UserError, match=": the folder holds no image; expected"):
        find_photos(str(tmp_path))
    touch(tmp_path, "a.mp4", "b.MP4", "README", *(f"c.{number}" for number in range(9)))
    with pytest.raises(
        UserError, match=r"holds no image, only 12 other files \(2 \.mp4, 1 without a suffix, .*, \.\.\.\); expected"
    ):
        find_photos(str(tmp_path))
    with pytest.raises(UserError, match=r"no image of that name, only 1 other file \(1 without a suffix\); expected"):
        find_photos(str(tmp_path / "READ*"))


def test_search_that_takes_long_is_said(capsys, monkeypatch):
    monkeypatch.setattr("fer.progress.PATIENCE", 0.01)
    with said_if_slow("searching ..."):
        time.sleep(0.5)
    monkeypatch.setattr("fer.progress.PATIENCE", 60)
    with said_if_slow("done at once"):
        pass
    assert capsys.readouterr().out == "searching ...\n"


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.tiff", "a.jpg", "a.webp", "gesicht-äöü-表情.png"])
def test_colours_are_blue_green_red(tmp_path, rgb, name):
    Image.fromarray(rgb).save(tmp_path / name, quality=100, lossless=True, subsampling=0)
    assert same(read_photo(tmp_path / name), rgb, 3 if name == "a.jpg" else 0)


KINDS = {".jfif": "JPEG", ".jpe": "JPEG", ".mpo": "MPO", ".tga": "TGA", ".gif": "GIF", ".j2k": "JPEG2000"}
KINDS |= {".jp2": "JPEG2000", ".avif": "AVIF", ".ppm": "PPM", ".pnm": "PPM", ".pgm": "PPM", ".pbm": "PPM"}
EXACT = {".tga", ".ppm", ".pnm", ".pgm", ".pbm", ".gif"}


@pytest.mark.parametrize("suffix", KINDS)
def test_every_kind_of_still_picture_is_read(tmp_path, rgb, suffix):
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    picture = Image.fromarray(rgb).convert({".pgm": "L", ".pbm": "1"}.get(suffix, "RGB"), dither=Image.Dither.NONE)
    picture.save(tmp_path / f"a{suffix}", KINDS[suffix], quality=100, subsampling="4:4:4")
    [path] = find_photos(str(tmp_path)).photos
    assert same(read_photo(path), np.asarray(picture.convert("RGB")), 0 if suffix in EXACT else 4)


@pytest.mark.parametrize("white", [1, 51, 1023, 4095])
def test_white_of_a_pgm_may_be_any_level(tmp_path, white):
    levels = np.array([0, white // 2, white], ">u2" if white > 255 else "u1")
    (tmp_path / "a.pgm").write_bytes(b"P5 # of a microscope\n3 1\n%d\n" % white + levels.tobytes())
    expected = [0, round(white // 2 * 255 / white), 255]
    assert read_photo(tmp_path / "a.pgm")[0].tolist() == [[level] * 3 for level in expected]


@pytest.fixture
def pillow_heif(monkeypatch):
    """Stands for the library that teaches Pillow HEIC; its files hold bare pixels, 48 x 32."""

    class Heif(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self):
            self._size, self._mode = (48, 32), "RGB"
            self.tile = [("raw", (0, 0, 48, 32), 12, ("RGB", 0, 1))]

    Image.init()
    monkeypatch.setattr(Image, "ID", [*Image.ID])
    monkeypatch.setattr(Image, "OPEN", {**Image.OPEN})
    register = partial(Image.register_open, "HEIF", Heif, lambda start: start[4:12] == b"ftypheic")
    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))


def test_a_phone_s_photo_is_read_where_the_library_for_it_is_there(tmp_path, rgb, pillow_heif):
    (tmp_path / "IMG_2.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + rgb.tobytes())
    [path] = find_photos(str(tmp_path)).photos
    assert same(read_photo(path), rgb)
    path.write_bytes(path.read_bytes()[:99])
    with pytest.raises(UserError, match=r"IMG_2\.HEIC: expected an image, but this HEIC file is cut short"):
        read_photo(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_become_eight(tmp_path, rgb, suffix):
    for name, values in (("colour", rgb[..., ::-1]), ("gray", rgb[..., 0])):
        cv2.imencode(suffix, values.astype(np.uint16) * 257)[1].tofile(tmp_path / f"{name}{suffix}")
    assert same(read_photo(tmp_path / f"colour{suffix}"), rgb)
    assert same(read_photo(tmp_path / f"gray{suffix}"), rgb[..., [0, 0, 0]])


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_float_values_are_scaled_to_eight_bits(tmp_path, rgb, white):
    values = (rgb / 255 * white).astype(np.float32)
    cv2.imencode(".tif", np.ascontiguousarray(values[..., ::-1]))[1].tofile(tmp_path / "colour.tif")
    assert same(read_photo(tmp_path / "colour.tif"), rgb)
    values[0, 0] = np.nan
    Image.fromarray(values[..., 0]).save(tmp_path / "gray.tif")
    rgb[0, 0] = 0
    assert same(read_photo(tmp_path / "gray.tif"), rgb[..., [0, 0, 0]])


def test_other_colour_models_are_converted(tmp_path, rgb):
    picture = Image.fromarray(rgb)
    gray = np.asarray(picture.convert("L"))[..., None].repeat(3, 2)
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100, subsampling=0)
    picture.convert("CMYK").save(tmp_path / "cmyk.tif")
    picture.quantize(8).save(tmp_path / "palette.png")
    picture.convert("L").save(tmp_path / "gray.png")
    picture.convert("1", dither=Image.Dither.NONE).save(tmp_path / "bit.png")
    assert same(read_photo(tmp_path / "cmyk.jpg"), rgb, 3)
    assert same(read_photo(tmp_path / "cmyk.tif"), rgb)
    assert same(read_photo(tmp_path / "palette.png"), rgb)
    assert same(read_photo(tmp_path / "gray.png"), gray)
    assert same(read_photo(tmp_path / "bit.png"), np.where(gray > 127, 255, 0))


def test_transparency_is_over_white(tmp_path, rgb):
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    alpha[:, 32:], alpha[16:, :32] = 0, 128
    expected = rgb.copy()
    expected[:, 32:] = WHITE
    expected[16:, :32] = [(value + 255) // 2 for value in RED]
    picture = Image.fromarray(np.dstack([rgb, alpha]))
    for name in ("a.png", "a.tif", "a.webp"):
        picture.save(tmp_path / name, lossless=True)
        assert same(read_photo(tmp_path / name), expected, 1), name
    cv2.imencode(".png", cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGBA2BGRA).astype(np.uint16) * 257)[1].tofile(
        tmp_path / "sixteen.png"
    )
    assert same(read_photo(tmp_path / "sixteen.png"), expected, 1)
    palette = Image.fromarray(rgb).quantize(8)
    for name in ("palette.png", "palette.gif"):
        palette.save(tmp_path / name, transparency=palette.getpixel((40, 2)))
        assert same(read_photo(tmp_path / name)[:16], expected[:16]), name


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_animation_gives_its_first_picture(tmp_path, rgb, name):
    more = [Image.fromarray(255 - rgb)] * 2
    Image.fromarray(rgb).save(tmp_path / name, save_all=True, append_images=more, duration=50, lossless=True)
    assert same(read_photo(tmp_path / name), rgb)


UPRIGHT = {  # how the stored picture is turned, by EXIF's orientation
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_are_turned_upright(tmp_path, rgb, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    expected = UPRIGHT[orientation](rgb)
    see_through = Image.fromarray(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))
    see_through.save(tmp_path / "alpha.png", exif=exif)
    for name in ("a.jpg", "a.png", "a.tif", "a.webp"):
        Image.fromarray(rgb).save(tmp_path / name, exif=exif, quality=100, lossless=True, subsampling=0)
        assert same(read_photo(tmp_path / name), expected, 3), name
    assert same(read_photo(tmp_path / "alpha.png"), expected)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_is_turned_upright(tmp_path, rgb, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(rgb).save(tmp_path / "a.avif", exif=exif, quality=100, subsampling="4:4:4")
    assert same(read_photo(tmp_path / "a.avif"), UPRIGHT[orientation](rgb), 4)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tif", "alpha.png", "a.gif", "a.jp2", "a.ppm"])
def test_file_cut_short_is_refused_silently(tmp_path, capfd, name):
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 4 if "alpha" in name else 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for part in (0.5, 0.95):
        (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(UserError, match=f"{name}: expected an image, but this [A-Za-z0-9 ]+ file is cut short"):
            read_photo(tmp_path / name)
    assert capfd.readouterr().err == ""


def test_what_is_no_image_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    for name, content, message in (
        ("empty.jpg", b"", "the file is empty"),
        ("text.jpg", b"hello", "of another type"),
        (
            "phone.jpg",
            b"\0\0\0\x18ftypheic" + bytes(40),
            "this is HEIC: convert it to JPEG, or pip install pillow-heif",
        ),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: expected an image, but .*{message}"):
            read_photo(tmp_path / name)
    with pytest.raises(UserError, match=r"none\.jpg: expected an image, but no such file"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(UserError, match=r"expected an image, but (is a directory|permission denied)"):
        read_photo(tmp_path)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 1)() == 0, reason="nothing is forbidden here")
def test_forbidden_files_and_folders_are_named(tmp_path, rgb):
    touch(tmp_path, "a.png", "closed/b.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(UserError, match=r"a\.png: expected an image, but permission denied"):
        read_photo(tmp_path / "a.png")
    (tmp_path / "closed").chmod(0o500)
    with pytest.raises(UserError, match=r"x\.png: .*permission denied"):
        save_photo(tmp_path / "closed" / "x.png", rgb)
    (tmp_path / "closed").chmod(0)
    with pytest.raises(UserError, match=r"input=.*permission denied"):
        find_photos(str(tmp_path))
    (tmp_path / "closed").chmod(0o700)


def huge_png(width: int, height: int, colours: int) -> bytes:
    """Return a PNG whose header speaks of this size, and which holds none of it; colours: 0 is gray, 6 has alpha."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def huge(kind: str, side: int) -> bytes:
    """Return a small picture of a kind, with another size in its header."""
    if kind in ("gray", "alpha"):
        return huge_png(side, side, {"gray": 0, "alpha": 6}[kind])
    image = np.zeros((8, 8), np.float32 if kind == "float" else np.uint8)
    data = bytearray(cv2.imencode({"float": ".tif"}.get(kind, f".{kind}"), image)[1].tobytes())
    if kind == "jpg":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", side, side)
    elif kind == "bmp":
        data[18:26] = struct.pack("<ii", side, side)
    else:  # the entries of a TIFF's directory: tag, type, count, value
        for tag in (256, 257):
            place = next(data.index(start) for kind in (3, 4) if (start := struct.pack("<HHI", tag, kind, 1)) in data)
            data[place : place + 12] = struct.pack("<HHII", tag, 4, 1, side)
    return bytes(data)


@pytest.mark.parametrize("side", [12_000, 60_000])
@pytest.mark.parametrize("kind", ["gray", "alpha", "jpg", "bmp", "tif", "float"])
def test_header_of_too_many_pixels_is_refused_before_they_are_decoded(tmp_path, kind, side):
    (tmp_path / "a.png").write_bytes(huge(kind, side))
    for read in (read_photo, lambda path: read_image(path, 48)):
        with pytest.raises(UserError, match=r"a\.png: expected an image, but it has more than the 134 megapixels"):
            read(tmp_path / "a.png")


def test_pictures_of_large_cameras_pass_without_a_warning():
    with warnings.catch_warnings(action="error"):
        assert too_large(huge_png(12_000, 9_000, 6)) is None


@pytest.mark.parametrize(
    "name",
    ["a.png", "a.PNG", "a.jpg", "a.jpeg", "a.jfif", "a.JPE", "a.bmp", "a.webp", "a.tif", "gesicht-äöü-表情.tiff"],
)
def test_saved_picture_has_the_format_of_its_suffix(tmp_path, rgb, name):
    save_photo(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    assert save_photo(tmp_path / name, rgb[..., ::-1]) == tmp_path / name
    with Image.open(tmp_path / name) as picture:
        assert Image.registered_extensions()[Path(name).suffix.lower()] == picture.format
        jpeg = picture.format == "JPEG"
        step = 8 if jpeg else 1  # JPEG blurs colours at edges
        saved = np.asarray(picture.convert("RGB"))[step // 2 :: step, step // 2 :: step, ::-1]
        assert same(saved, rgb[step // 2 :: step, step // 2 :: step], 2 if jpeg else 0)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_picture_that_cannot_be_saved_is_named(tmp_path, rgb):
    touch(tmp_path, "file", "taken.png/x")
    for name, suffix in (("a.txt", r"\.txt"), ("a", ""), ("a.gif", r"\.gif"), ("a.heic", r"\.heic")):
        with pytest.raises(UserError, match=rf'ends in \.bmp, .*\.webp, but got "{suffix}"'):
            save_photo(tmp_path / name, rgb)
    for place in ("none/a.png", "file/a.png", "taken.png"):
        with pytest.raises(UserError, match="expected a place to write a picture to, but"):
            save_photo(tmp_path / place, rgb)
    with pytest.raises(UserError, match=r"20000x1 pixels do not fit into \.webp: choose \.png"):
        save_photo(tmp_path / "a.webp", np.zeros((1, 20_000, 3), np.uint8))
    assert {path.name for path in tmp_path.iterdir()} == {"file", "taken.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_full_disk_fails_the_run_and_keeps_the_old_picture(tmp_path, rgb):
    import resource

    save_photo(tmp_path / "a.png", rgb)
    before, limits = (tmp_path / "a.png").read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(RunError, match=r"a\.png: "):
            save_photo(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_drawn_photos_keep_their_names_and_those_only_read_become_png():
    root = Path("photos")
    photos = [root / name for name in ("a.gif", "a.PNG", "b.avif", "b.gif", "c.jfif", "sad/a.gif")]
    found = [name.as_posix() for name in map(picture_names(photos, root).get, photos)]
    assert found == ["a.gif.png", "a.PNG", "b.png", "b.gif.png", "c.jfif", "sad/a.png"]


def test_crops_keep_their_class_folder_and_never_meet():
    root, taken = Path("photos"), set()

    def crops(name: str, faces: int) -> list[str]:
        return [path.as_posix() for path in crop_names(root / name, root, faces, taken)]

    assert crops("happy/a.jpg", 1) == ["happy/a.png"]
    assert crops("sad/a.jpg", 2) == ["sad/a_1.png", "sad/a_2.png"]
    assert crops("happy/A.webp", 1) == ["happy/A.webp.png"]
    assert crops("sad/a_2.png", 1) == ["sad/a_2.png.png"]
    assert crops("sad/deep/b.tar.png", 1) == ["sad/deep/b.tar.png"]
    assert crops("none.jpg", 0) == []
    assert len(taken) == 6


@pytest.mark.real
@pytest.mark.skipif(not FER_MEDIA.is_dir(), reason="FER_MEDIA names no folder")
def test_real_photos_are_read():
    photos = find_photos(str(FER_MEDIA / "*.jpg")).photos
    assert len(photos) >= 4
    for path in photos:
        image = read_photo(path)
        assert min(image.shape[:2]) > 100
        assert np.array_equal(image, cv2.imread(str(path)))
