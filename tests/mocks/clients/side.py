"""A mock's side door, and a listener for what the mock posts."""

import http.server
import json
import threading
import urllib.request


class Side:
    """The side door of the mock at a port."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def get(self, path):
        with urllib.request.urlopen(self.base + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path, order):
        with urllib.request.urlopen(self.base + path, json.dumps(order).encode(), timeout=30) as answer:
            return json.load(answer)

    def posted(self, path="/", **order):
        """What the mock posts when it is ordered to: the URL, the headers and the body as they came."""
        came = []

        class Listener(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                """It is quiet."""

            def do_POST(self):
                came.append((self.headers, self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

        with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server:
            threading.Thread(target=server.handle_request).start()
            url = f"http://127.0.0.1:{server.server_address[1]}{path}"
            said = self.post("/_status", {"url": url, **order})
            assert said == {"status": 200, "body": "", "taken": True, "told": 1}, said
        headers, body = came[0]
        return url, headers, body
