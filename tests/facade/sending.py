"""Requests that no well-behaved client sends: in pieces, too slowly, cut short, or abandoned."""

import json
import re
import socket
from typing import Any, Self

import httpx

from tests.facade.running import PATIENCE, Facade


def form_of(files: dict[str, bytes] | list[tuple[str, bytes]], fields: dict[str, str] | None = None) -> httpx.Request:
    """A multipart request; its ``content`` and headers are read."""
    return httpx.Request("POST", "http://localhost/v1/harmonize", files=files, data=fields)


class Connection:
    """A connection on which bytes are sent as they are; the kernel keeps `buffer` bytes of what is not read."""

    def __init__(self, facade: Facade, buffer: int | None = None) -> None:
        self._socket = socket.create_connection((facade.host, facade.port), timeout=PATIENCE)
        if buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def head(self, path: str, *headers: str, method: str = "POST") -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def post(self, request: httpx.Request, path: str = "/v1/harmonize", *headers: str) -> None:
        """A whole request, with its length."""
        body = request.read()
        length = f"Content-Length: {len(body)}"
        self.head(path, f"Content-Type: {request.headers['content-type']}", length, *headers)
        self.send(body)

    def chunk(self, content: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(content), content))

    def status(self) -> int:
        """Of the answer, whose head is read."""
        return self.answer()[0]

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and as much of the body as its length says."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self._socket.recv(65536)
            assert piece, received
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            piece = self._socket.recv(65536)
            assert piece, body
            body += piece
        return int(lines[0].split()[1]), headers, body

    def until(self, wanted: bytes) -> bytes:
        """What comes, up to these bytes."""
        received = b""
        while wanted not in received:
            piece = self._socket.recv(65536)
            assert piece, received
            received += piece
        return received

    def is_closed(self) -> bool:
        """Whether the server closes the connection; waits for it."""
        return self._socket.recv(1) == b""


def fill(facade: Facade, most: int, path: str, part: bytes, piece: bytes, *headers: str) -> None:
    """Begins as many bodies as it takes to go beyond `most` bytes together; the last is refused as too busy."""
    connections = [Connection(facade) for _ in range(most // len(piece) + 1)]
    try:
        for number, connection in enumerate(connections, 1):
            connection.head(path, *headers)
            connection.chunk(part + piece)
            if number < len(connections):
                facade.wait_until(lambda number=number: facade.service.memory.held >= number * len(piece))
        status, told, body = connections[-1].answer()
        assert status == 503 and b"too_busy" in body and int(told["retry-after"]) >= 1
    finally:
        for connection in connections:
            connection.close()


def problem(answer: httpx.Response) -> tuple[int, str, str | None, str | None]:
    """Status, code, field and what would have been allowed, of a problem that is complete."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code and told["title"] and told["detail"]
    assert told["request_id"] == answer.headers["x-request-id"]
    leaks = re.search(r'Traceback|File "|/work|/tmp|site-packages|\.py\b', answer.text)
    assert leaks is None, answer.text
    return answer.status_code, told["type"].removeprefix("urn:concord:problem:"), told.get("field"), told.get("allowed")


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Server-sent events: name, and what they tell."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and ": " in line)
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found
