"""What the fuzzer gives to the commands: spoiled weights, CSV files, caches, pictures and clips, and odd words."""

import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from tests.runs import ROOT

ODD_TEXTS = (
    "", " ", "-1", "0", "1", "2.5", "1e30", "1e-320", "nan", "inf", "-inf", "9" * 400, "0x10", "true", "null", "None",
    "é", "\x00", "\x1b[31mred\x1b[0m", "\u202egnp", "[1, 2]", "{a: 1}", "'", '"', "\\", "${seed}", "${oc.env:HOME}",
    "${nope}", "$(id)", "a,b", "a=b", "[" * 500, "{" * 500, "x" * 3000, "x" * 200_000, "../..", "/dev/null",
    "/dev/full", "!!python/object:os.system",
)  # fmt: skip
ODD_VALUES = (
    None, True, False, -1, 0, 1, 3, 2**31, 2**63, 10**30, 1e300, 1e-320, -0.5, float("nan"), float("inf"), "", "1",
    "happy", "\x1b[31m", [], [0], [1, 2, 3], [10**6] * 3, ["happy", "happy"], {}, {"a": {"b": [1]}}, [[[[[[[[]]]]]]]],
    "x" * 100_000,
)  # fmt: skip
ODD_SIZES = (0, -1, 1, 2, 7, 2**15, 10**6, 2**31 - 1, 2**40)


class Case(NamedTuple):
    """One input.

    Attributes:
        script: "train" or "infer".
        words: behind it.
        is_read: let train.py read data and weights, and end there; without, it ends before any work.
    """

    script: str
    words: list[str]
    is_read: bool = True


# --- what is spoiled, and how ---


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with a few changed, cut off, zeroed, doubled or put in."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(max(len(data), 1)) if rng.random() < 0.6 else rng.randrange(min(len(data), 200) or 1)
        length = rng.choice((1, 2, 4, 8, 64, 1000))
        how = rng.randrange(6)
        if how == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            del data[at:]
        elif how == 2:
            data[at : at + length] = bytes(length)
        elif how == 3:
            data[at : at + length] = rng.choice((b"\xff" * length, rng.randbytes(length)))
        elif how == 4:
            data[at:at] = data[at : at + length]
        else:
            data[at : at + 4] = rng.choice((0, 1, 2**15, 2**31 - 1, 2**32 - 1)).to_bytes(
                4, rng.choice(("big", "little"))
            )
    return bytes(data)


def spoiled_rows(rng: random.Random, text: str) -> bytes:
    """Return a CSV file with odd cells, lines, separators or letters."""
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = 0 if rng.random() < 0.3 else rng.randrange(len(lines))
        cells = lines[at].split(",")
        place = rng.randrange(len(cells))
        how = rng.randrange(6)
        if how == 0:
            cells[place] = rng.choice(ODD_TEXTS)
        elif how == 1:
            del cells[place]
        elif how == 2:
            cells.insert(place, rng.choice(ODD_TEXTS))
        elif how == 3:
            cells[place] = cells[place].replace(" ", rng.choice((",", ";", "  ", "\t")), rng.choice((1, -1)))
        elif how == 4:
            cells[place] = " ".join(rng.choice((word, rng.choice(ODD_TEXTS[:14]))) for word in cells[place].split()[:9])
        else:
            lines.insert(at, lines[rng.randrange(len(lines))])
        lines[at] = ",".join(cells)
    end = rng.choice(("\n", "\n", "\r\n", "\r", "\n\n"))
    data = end.join(lines).encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")
    return spoiled(rng, data) if rng.random() < 0.2 else data


def spoiled_value(rng: random.Random, value: Any) -> Any:
    """Return a JSON value with one odd thing in it, somewhere."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        changed = dict(value)
        changed[rng.choice((key, key, key, "strange"))] = spoiled_value(rng, value[key])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.6:
        at = rng.randrange(len(value))
        return [*value[:at], spoiled_value(rng, value[at]), *value[at + 1 :]]
    return rng.choice(ODD_VALUES)


def spoiled_tensors(rng: random.Random, data: bytes) -> bytes:
    """Return a safetensors file with odd bytes, most often in its tensors."""
    start = 8 + int.from_bytes(data[:8], "little")
    if rng.random() < 0.5:
        return spoiled(rng, data)
    return data[:start] + spoiled(rng, data[start:])[: len(data) - start].ljust(len(data) - start, b"\0")


def spoiled_weights(rng: random.Random, data: bytes) -> bytes:
    """Return a safetensors file whose header or bytes are odd."""
    if rng.random() < 0.25:
        return spoiled(rng, data)
    size = int.from_bytes(data[:8], "little")
    head, tensors = json.loads(data[8 : 8 + size]), data[8 + size :]
    for _ in range(rng.choice((1, 1, 2))):
        if rng.random() < 0.75:
            texts = head["__metadata__"]
            key = rng.choice(list(texts))
            inner = json.loads(texts[key]) if key != "format" else texts[key]
            texts[key] = json.dumps(spoiled_value(rng, inner)) if rng.random() < 0.9 else rng.choice(ODD_TEXTS)
        else:
            name = rng.choice([name for name in head if name != "__metadata__"])
            kind = rng.choice(("dtype", "shape", "data_offsets", "name"))
            if kind == "name":
                head[rng.choice(ODD_TEXTS)] = head.pop(name)
            elif kind == "dtype":
                head[name]["dtype"] = rng.choice(("F8_E4M3", "I64", "BOOL", "F64", "BF16", "F32", "nope"))
            else:
                head[name][kind] = spoiled_value(rng, head[name][kind])
    new = json.dumps(head).encode()
    return len(new).to_bytes(8, "little") + new + tensors


def spoiled_onnx(rng: random.Random, data: bytes) -> bytes:
    """Return an ONNX file whose bytes, metadata, operations or shapes are odd."""
    import onnx

    if rng.random() < 0.4:
        return spoiled(rng, data)
    model = onnx.load_from_string(data)
    for _ in range(rng.choice((1, 1, 2))):
        node, how = rng.choice(model.graph.node), rng.randrange(5)
        if how == 0:
            entry = rng.choice(model.metadata_props)
            inner = json.loads(entry.value) if entry.key != "format" else entry.value
            entry.value = json.dumps(spoiled_value(rng, inner)).encode("utf-8", "replace").decode()
        elif how == 1:
            node.op_type = rng.choice(("Loop", "If", "Expand", "ConstantOfShape", "Tile", "Add", "Exp", "strange"))
        elif how == 2 and node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i = rng.choice(ODD_SIZES)
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(ODD_SIZES)
        elif how == 3:
            dims = rng.choice(model.graph.initializer).dims
            dims[:] = [rng.choice(ODD_SIZES) if rng.random() < 0.5 else size for size in dims]
        else:
            place = rng.choice((*model.graph.input, *model.graph.output)).type.tensor_type
            place.shape.dim[rng.randrange(len(place.shape.dim))].dim_value = rng.choice(ODD_SIZES)
    return model.SerializeToString()


def odd_word(rng: random.Random, keys: list[str]) -> str:
    """Return a word that someone might type, or nobody."""
    key = rng.choice(keys) if rng.random() < 0.9 else rng.choice(ODD_TEXTS)
    value = rng.choice(
        (rng.choice(ODD_TEXTS), "".join(rng.choices(string.printable, k=rng.randrange(30))), "1,2", "range(10)")
    )
    return rng.choice(
        (f"{key}={value}",) * 6 + (f"+{key}={value}", f"++{key}={value}", f"~{key}", key, value, f"{key}.{key}={value}")
    )


def _keys(script: str) -> list[str]:
    """Return the keys and groups of a script's configuration, and a few of Hydra's."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from fer.config.dotted import leaves

    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        plain = OmegaConf.to_container(compose(script))
    own = [
        "hydra.run.dir",
        "hydra.sweep.dir",
        "hydra.job.name",
        "hydra/launcher",
        "hydra.launcher._target_",
        "hydra.mode",
    ]
    return [key for key, _ in leaves(plain)] + [key for key, value in plain.items() if isinstance(value, dict)] + own


# --- the kinds: each takes random numbers and a folder of its own, which it fills, and returns the case ---


class Seeds:
    """Whole files to spoil, made once."""

    def __init__(self, folder: Path) -> None:
        from fer.emotions import class_names
        from fer.export.onnx import export
        from fer.models.se_resnet import SEResNet
        from fer.weights import Header, save_weights
        from tests.clips import write_clip
        from tests.data import write_ferplus_csv
        from tests.scenes import scene

        self.keys = {name: _keys(name) for name in ("train", "infer")}
        self.weights = folder / "tiny.safetensors"
        architecture = {
            "widths": (8, 16),
            "depths": (1, 1),
            "stem_stride": 2,
            "reduction": 4,
            "dropout": 0.1,
            "drop_path": 0.0,
        }
        header = Header(
            class_names(6), 24, 0.5, 0.25, architecture, training={"dataset": "fer2013"}, metrics={"test/n": 3}
        )
        save_weights(self.weights, SEResNet(6, **architecture).state_dict(), header)
        self.onnx = export(self.weights, folder / "tiny.onnx").path
        self.data = folder / "data"
        write_ferplus_csv(self.data, per_class=1)
        self.rows, self.votes = ((self.data / name).read_text() for name in ("fer2013.csv", "fer2013new.csv"))
        self.cache: dict[str, bytes] = {}  # what reading them leaves, by file name
        picture = cv2.resize(scene(), (120, 80))
        self.images = {
            suffix: cv2.imencode(suffix, picture)[1].tobytes() for suffix in (".png", ".jpg", ".webp", ".tiff", ".bmp")
        }
        self.images[".png"], self.gray = self.images[".png"], cv2.imencode(".png", picture[..., 0])[1].tobytes()
        deep = {"a.png": picture[..., 0].astype(np.uint16) * 257, "b.tiff": picture.astype(np.float32) / 255}
        deep["c.png"] = np.dstack([picture, picture[..., 0]])
        self.images |= {name: cv2.imencode(Path(name).suffix, image)[1].tobytes() for name, image in deep.items()}
        clips = [write_clip(folder / name, 4, codec=codec) for name, codec in
                 (("a.mp4", "mpeg4"), ("b.mkv", "libx264"), ("c.avi", "mpeg4"), ("d.ts", "mpeg4"))]  # fmt: skip
        clips.append(write_clip(folder / "e.mp4", 4, codec="libx264", sound="aac"))
        self.clips = {clip.suffix + str(number): clip.read_bytes() for number, clip in enumerate(clips)}


def weights_case(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    (folder / "net.safetensors").write_bytes(spoiled_weights(rng, seeds.weights.read_bytes()))
    (folder / "gray.png").write_bytes(seeds.gray)
    words = ["mode=image", "input=gray.png", "detector=none", "weights=net.safetensors", "output=out.png"]
    if rng.random() < 0.7:
        return Case("infer", words)
    return Case("train", ["dataset=synthetic", "fit=false", "weights=net.safetensors", "hydra.run.dir=run"])


def onnx_case(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    (folder / "net.onnx").write_bytes(spoiled_onnx(rng, seeds.onnx.read_bytes()))
    (folder / "gray.png").write_bytes(seeds.gray)
    explainer = rng.choice(("gradcam", "none"))
    words = ["mode=image", "input=gray.png", "detector=none", "weights=net.onnx", "output=out.png"]
    return Case("infer", [*words, f"explainer={explainer}"])


def csv_case(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    is_votes = rng.random() < 0.4
    rows, votes = seeds.rows.encode(), seeds.votes.encode()
    (folder / "fer2013.csv").write_bytes(rows if is_votes else spoiled_rows(rng, seeds.rows))
    (folder / "fer2013new.csv").write_bytes(spoiled_rows(rng, seeds.votes) if is_votes else votes)
    dataset = rng.choice(("fer2013", "ferplus"))
    words = [f"dataset={dataset}", "dataset.root=.", f"dataset.on_error={rng.choice(('raise', 'skip'))}"]
    return Case("train", [*words, "experiment=debug", f"dataset.classes={rng.choice((6, 7))}", "hydra.run.dir=run"])


def read_case(seeds: "Seeds") -> Case:
    """Return the case that reads the whole files, and leaves a cache."""
    return Case("train", [f"dataset.root={seeds.data}", "dataset=ferplus", "experiment=debug", "hydra.run.dir=run"])


def cache_case(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    (folder / "cache").mkdir()
    for name, data in seeds.cache.items():
        (folder / "cache" / name).write_bytes(spoiled_tensors(rng, data))
    return read_case(seeds)


def images_case(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    name = rng.choice(list(seeds.images))
    suffix = name if name.startswith(".") else Path(name).suffix
    data = spoiled(rng, seeds.images[name])
    if rng.random() < 0.6:
        (folder / f"photo{suffix}").write_bytes(data)
        words = ["mode=image", f"input=photo{suffix}", "output=out.png", f"weights={seeds.weights}"]
        return Case("infer", [*words, f"detector={rng.choice(('haar', 'none'))}"])
    for split in ("train", "val", "test"):
        for emotion in ("angry", "disgust", "fear", "happy", "sad", "surprise"):
            place = folder / "data" / split / emotion
            place.mkdir(parents=True)
            (place / "a.png").write_bytes(seeds.gray)
    (folder / "data/train/happy" / f"b{suffix}").write_bytes(data)
    words = ["dataset=folder", "dataset.root=data", f"dataset.on_error={rng.choice(('raise', 'skip'))}"]
    return Case("train", [*words, "experiment=debug", "hydra.run.dir=run"])


def clips_case(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    name = rng.choice(list(seeds.clips))
    path = folder / f"clip{name[:-1]}"
    path.write_bytes(spoiled(rng, seeds.clips[name]))
    words = ["mode=video", f"input={path.name}", "output=out.mp4", f"weights={seeds.weights}"]
    return Case("infer", [*words, f"detector={rng.choice(('haar', 'none'))}"])


def words_case(rng: random.Random, folder: Path, seeds: Seeds) -> Case:
    script = rng.choice(("infer", "train", "train"))
    keys = seeds.keys[script]
    words = [odd_word(rng, keys) for _ in range(rng.choice((1, 1, 2, 4)))]
    if script == "infer":
        return Case("infer", ["mode=image", "input=nothing.png", *words], is_read=False)
    flag = ["-m"] if rng.random() < 0.3 else []
    return Case("train", [*flag, "dataset=synthetic", "experiment=debug", *words], is_read=False)


KINDS: dict[str, Callable[[random.Random, Path, Seeds], Case]] = {
    "weights": weights_case, "onnx": onnx_case, "csv": csv_case, "cache": cache_case, "images": images_case,
    "clips": clips_case, "words": words_case,
}  # fmt: skip
