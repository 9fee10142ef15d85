"""A real KServe v2 server without any of Triton's extensions: JSON over HTTP, one model that adds its numbers up."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = {
    "name": "sum",
    "inputs": [{"name": "NUMBERS", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "SUM", "datatype": "FP32", "shape": [1]}],
}
PAGES = {"/v2": {"name": "plain"}, "/v2/health/ready": {}, "/v2/models/sum": MODEL}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = PAGES.get(self.path.rstrip("/"))
        self.reply(404 if page is None else 200, page or {})

    def do_POST(self) -> None:
        [numbers] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
        good = self.path == "/v2/models/sum/infer" and numbers["shape"] == [1, 3]
        self.reply(200 if good else 400, {"outputs": [{"name": "SUM", "data": [sum(numbers["data"])]}]})

    def reply(self, status: int, page: dict) -> None:
        body = json.dumps(page).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def plain_kserve() -> Iterator[str]:
    """Its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
