"""A server on this machine that plays those from which datasets are fetched: GitHub's files, and Kaggle's interface."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KAGGLE = "/api/v1/datasets.DatasetApiService/"  # what kagglehub 1.0 asks


class Host(ThreadingHTTPServer):
    """Sends files, and the rest of one if asked for a range.

    Attributes:
        files: content by path.
        ranges: whether it knows of ranges.
        breaks: bytes of an answer after which it hangs up; None sends all.
        codes: by path, a status to answer instead.
        asked: each request's path, and from which byte on.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.ranges, self.breaks = True, None
        self.codes: dict[str, int] = {}
        self.asked: list[tuple[str, int]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_) -> None:
        """Say nothing of a client that hangs up."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Host

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, 0))
        if code := self.server.codes.get(self.path):
            self._answer(code, b'{"code": %d, "message": "no"}' % code, "application/json")
        elif self.path == f"{KAGGLE}GetDataset":
            self._answer(200, json.dumps({"currentVersionNumber": 1}).encode(), "application/json")
        else:
            self.send_response(302)
            self.send_header("Location", "/archive.zip")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_GET(self):
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found and self.server.ranges else 0
        self.server.asked.append((self.path, start))
        body = self.server.files.get(self.path)
        if code := self.server.codes.get(self.path, 404 if body is None else None):
            self._answer(code, b"no")
        elif start >= len(body) > 0:
            self._answer(416, b"")
        else:
            self._answer(206 if start else 200, body[start:])

    def _answer(self, code: int, body: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(body if code >= 300 or kind == "application/json" else body[: self.server.breaks])

    def log_message(self, *_):
        pass
