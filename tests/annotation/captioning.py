"""A captioner that speaks OpenAI's chat completions, in a process of its own; the model's name says how it answers."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWERS = {
    "good": b'{"choices": [{"message": {"role": "assistant", "content": "\\"the shiny thing.\\""}}]}',
    "no-json": b"<html>",
    "no-words": b'{"choices": []}',
    "long": json.dumps({"choices": [{"message": {"content": "thing " * 100}}]}).encode(),
    "lines": b'{"choices": [{"message": {"content": "the cat\\n\\nIt is\\u0007 here"}}]}',
    "endless": b'{"choices": "' + b"x" * 2**21 + b'"}',
    "failing": b"Traceback",
    "slow": b"",
}


class Captions(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text, *pictures = asked["messages"][0]["content"]
        is_asked_well = self.path == "/v1/chat/completions" and text["type"] == "text" and len(pictures) == 2
        is_asked_well = is_asked_well and self.headers["Authorization"] == "Bearer secret"
        is_asked_well = is_asked_well and all(
            each["image_url"]["url"].startswith("data:image/jpeg;base64,/9j/") for each in pictures
        )
        model = asked["model"]
        if model == "slow":
            time.sleep(60)
        body = ANSWERS[model]
        if model == "good" and "RefCOCO+" not in text["text"] and "full phrase" in text["text"]:
            body = body.replace(b"the shiny thing", b"a shiny thing that lies on the ground")
        self.send_response(500 if model == "failing" else 200 if is_asked_well else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def captioning() -> Iterator[str]:
    """The base URL of such a server."""
    process = subprocess.Popen([sys.executable, "-m", "tests.annotation.captioning"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Captions)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
