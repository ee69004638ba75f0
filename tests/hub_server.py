"""A small HTTP server that answers as the Hugging Face Hub does when files are asked for.

Small files are served where they are asked for; weights are redirected to a second address, as the
hub does with large files, with their SHA-256 in a header. Faults can be set: a status for every
answer, a connection cut after some bytes, a wait in the middle of the weights.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class HubServer:
    """Repositories by name; each a mapping commit -> {filename: bytes}, and branches."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.requests: list[tuple[str, str, str | None]] = []  # method, path, range
        self.authorizations: list[str | None] = []  # what came with each request
        self.status: int | None = None
        self.silent = False  # whether requests wait for `go_on`, and get no answer
        self.after: Callable[[str, str], None] = lambda method, path: None  # each file sent
        self.lie: dict[str, str] = {}  # true SHA-256 -> what the server says instead
        self.cut_after: int | None = None  # bytes of weights, once
        self.halfway = threading.Event()  # set when half of the weights are sent
        self.go_on = threading.Event()  # what the server waits for there
        self.go_on.set()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        # On another host, as for the real hub: redirects to the same host are followed at once.
        self.large_url = f"http://localhost:{self._server.server_port}/large"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, repository: str, commit: str, files: dict[str, bytes]) -> None:
        """Add a commit; ``main`` points to it."""
        self.commits.setdefault(repository, {})[commit] = files
        self.branches.setdefault(repository, {})["main"] = commit

    def asked(self, method: str, part: str) -> int:
        """How many requests with `part` in their path there were."""
        return sum(m == method and part in path for m, path, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        self.hub.requests.append((self.command, self.path, self.headers.get("Range")))
        self.hub.authorizations.append(self.headers.get("Authorization"))
        if self.hub.silent:
            self.close_connection = self.hub.go_on.wait(timeout=30)
            return None
        if self.hub.status:
            return self.refuse(self.hub.status)
        parts = [unquote(part) for part in self.path.strip("/").split("/")]
        if parts[0] == "large":
            return self.large(parts[1], body)
        repository, revision, filename = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        if repository not in self.hub.commits:
            return self.refuse(401)  # the hub does not reveal whether a private repository exists
        commit = self.hub.branches[repository].get(revision, revision)
        if commit not in self.hub.commits[repository]:
            return self.refuse(404, "RevisionNotFound")
        files = self.hub.commits[repository][commit]
        if filename not in files:
            return self.refuse(404, "EntryNotFound", commit)
        data = files[filename]
        if filename.endswith((".bin", ".safetensors")):
            sha256 = hashlib.sha256(data).hexdigest()
            self.send_response(302)
            self.send_header("Location", f"{self.hub.large_url}/{sha256}")
            self.send_header("X-Linked-Etag", f'"{self.hub.lie.get(sha256, sha256)}"')
            self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)
            self.hub.after(self.command, self.path)

    def large(self, sha256: str, body: bool) -> None:
        every = (
            f for c in self.hub.commits.values() for files in c.values() for f in files.values()
        )
        data = next(f for f in every if hashlib.sha256(f).hexdigest() == sha256)
        start = int((self.headers.get("Range") or "bytes=0-")[len("bytes=") :].rstrip("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if not body:
            return
        cut, self.hub.cut_after = self.hub.cut_after, None
        with suppress(ConnectionError):  # the client may be killed meanwhile
            if cut is not None:
                self.wfile.write(data[start:cut])
                self.close_connection = True
                return
            half = max(start, len(data) // 2)
            self.wfile.write(data[start:half])
            self.wfile.flush()
            self.hub.halfway.set()
            self.hub.go_on.wait(timeout=30)
            self.wfile.write(data[half:])

    def refuse(self, status: int, code: str | None = None, commit: str | None = None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()
