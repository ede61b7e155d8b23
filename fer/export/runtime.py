"""onnxruntime-web, which runs nets in a browser: the three files of one version, each known by its checksum.

Microsoft publishes them under the MIT licence. They are not part of this project: they are fetched once from a public
mirror, kept in the cache, and copied beside each page, so that a visitor's browser asks nobody but the page's own host.
"""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

from fer.data import cache
from fer.download import download, why
from fer.errors import UserError, reason

VERSION = "1.30.0"
URL = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"
MOST_BYTES = 20_000_000  # the largest has 14.2 MB; whatever has more is not it
FILES = {  # the build without WebGPU, whose files are the smallest, and their SHA-256
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}


def read_runtime(folder: Path | None, say: Callable[[str], None]) -> dict[str, bytes]:
    """Return the files by name.

    Args:
        folder: where they lie; None takes them from the cache, or fetches them into it.
        say: gets a sentence when they are fetched.

    Raises:
        UserError: if one is missing or another, or cannot be fetched.
    """
    if folder is not None:
        return {name: _given(folder / name) for name in FILES}
    try:
        place = cache.folder() / f"onnxruntime-web-{VERSION}"
        return {name: _kept(place / name, say) for name in FILES}
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home folder
        raise UserError(
            f"expected onnxruntime-web {VERSION}, but it could not be downloaded ({why(error)}): download "
            f"{', '.join(FILES)} from {URL} and add --runtime FOLDER"
        ) from error


def _given(path: Path) -> bytes:
    """Read a file that the user has."""
    try:
        content = path.read_bytes()
        found = None if _is_genuine(path.name, content) else "its checksum is another"
    except OSError as error:
        found = reason(error)
    if found:
        raise UserError(
            f"--runtime={path.parent}: expected {path.name} of onnxruntime-web {VERSION}, but {found}; it is at "
            f"{URL}{path.name}"
        )
    return content


def _kept(path: Path, say: Callable[[str], None]) -> bytes:
    """Read a file from the cache; fetch it first, if it is not there or another.

    Raises:
        OSError: if it does not come, or something else does.
    """
    with contextlib.suppress(OSError):
        if _is_genuine(path.name, content := path.read_bytes()):
            return content
    say(f"Fetching {path.name} of onnxruntime-web {VERSION} (licence MIT) from {URL} to {path.parent}")
    path.parent.mkdir(parents=True, exist_ok=True)
    download(URL + path.name, path, MOST_BYTES)
    if not _is_genuine(path.name, content := path.read_bytes()):
        path.unlink()
        raise OSError(f"what came from {URL}{path.name} has another checksum")
    return content


def _is_genuine(name: str, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == FILES[name]
