"""A camera on loopback: it sends pictures as MJPEG, can be cut, stall and come back, and has a file as well."""

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

USER = "Basic dXNlcjpwYTU1"  # user:pa55


class Handler(BaseHTTPRequestHandler):
    """Answer by path: a stream, a file, text, or nothing."""

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        server, path = self.server.owner, self.path.partition("?")[0]
        server.requests.append(time.monotonic())
        if path == "/private" and self.headers.get("Authorization") != USER:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        elif path in ("/live", "/private") and not server.gone:
            self.stream(server)
        elif path.endswith(".mp4"):
            self.file(server.file, cut=path == "/half.mp4")
        elif path in server.files:
            self.reply(200, *server.files[path])
        elif path == "/talk":
            self.reply(200, "text/html", b"<html>" + b"Nothing to see. " * 500)
        elif path == "/silent":
            server.over.wait(5)
        else:
            self.reply(404, "text/html", b"")

    def reply(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, server: "Server") -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        chunked = server.chunked
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            while not server.gone:
                if not server.stalled:
                    data = cv2.imencode(".jpg", server.picture(server.number))[1].tobytes()
                    server.number += 1
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    data = head.encode() + data + b"\r\n"
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
                server.over.wait(1 / server.rate)

    def file(self, data: bytes, cut: bool) -> None:
        begin = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
        self.send_response(206)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        end = len(data) * 2 // 3 if cut and begin < len(data) // 2 else len(data)
        with suppress(OSError):
            self.wfile.write(data[begin:end])


class Server:
    """An MJPEG camera; picture n is gray of level n, modulo 250, unless `picture` is set to something else."""

    def __init__(self) -> None:
        self.number, self.size = 0, (48, 64)
        self.picture = lambda number: np.full((*self.size, 3), number % 250, np.uint8)
        self.rate = 60  # pictures a second
        self.gone = self.stalled = False
        self.chunked = False  # a stream that ends then looks like a file's end, else like a broken connection
        self.over = threading.Event()
        self.requests: list[float] = []
        self.file = b""
        self.files: dict[str, tuple[str, bytes]] = {}  # path -> kind and content
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.owner, self.http.daemon_threads = self, True
        self.place = f"127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.gone = True
        self.over.set()
        self.http.shutdown()
        self.http.server_close()
