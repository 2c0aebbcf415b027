"""A local server that speaks just enough of /v1/chat/completions to fail in every way that a real one does."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What the server does with one request."""

    body: str = ""
    status: int = 200
    headers: dict = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the answer."""
    drip: float = 0.0
    """Seconds between the bytes of the body."""
    breaks_off: bool = False
    """Close the connection after half of the body."""


def says(text, **message):
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
    return Answer(body=json.dumps({"choices": [choice]}))


@dataclass
class Fake:
    url: str
    requests: list = field(default_factory=list)
    """(path, headers, decoded body) of every request, in order."""


@contextmanager
def serving(*answers):
    """A server that gives these answers one after the other, and the last one from then on."""
    fake = Fake(url="")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fake.requests.append((self.path, dict(self.headers), json.loads(body)))
            self.give(answers[min(len(fake.requests), len(answers)) - 1])

        do_GET = do_POST

        def give(self, answer):
            time.sleep(answer.delay)
            raw = answer.body.encode()
            try:
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(raw)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for place in range(len(raw) if answer.drip else 0):
                    self.wfile.write(raw[place : place + 1])
                    self.wfile.flush()
                    time.sleep(answer.drip)
                if not answer.drip:
                    self.wfile.write(raw[: len(raw) // 2] if answer.breaks_off else raw)
                self.close_connection = True
            except OSError:
                self.close_connection = True  # the client has gone, as it should

        def log_message(self, *arguments):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
