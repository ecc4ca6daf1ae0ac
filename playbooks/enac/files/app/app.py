"""The example application: it counts visits in Redis, and tells how it is.

`unhealthy` in its folder makes it tell that it is not well, as a broken release would.
"""

import http.server
import json
import os
import socket
import sys


def redis(*words):
    """One command; the first line of the answer without its sign."""
    lines = [("AUTH", os.environ["REDIS_PASSWORD"]), words]
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(5)
        server.connect(os.environ["REDIS_SOCKET"])
        answers = server.makefile("rb")
        for line in lines:
            text = "".join(f"${len(word)}\r\n{word}\r\n" for word in line)
            server.sendall(f"*{len(line)}\r\n{text}".encode())
            answer = answers.readline().decode().strip()
            if answer.startswith("-"):
                raise OSError(answer)
            if answer.startswith("$") and answer != "$-1":
                answer = "+" + answers.readline().decode().strip()
    return answer[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    """`/` counts, `/health` tells."""

    def do_GET(self):
        status, answer = 200, {"app": os.environ["APP_NAME"], "version": os.environ["APP_VERSION"]}
        try:
            if self.path == "/health":
                answer["release"] = redis("GET", "release")
                if os.path.exists("unhealthy"):
                    raise OSError("this release is not well")
            else:
                answer["visits"] = int(redis("INCR", "visits"))
        except OSError as fault:
            status, answer["fault"] = 503, str(fault)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if sys.argv[1:] == ["migrate"]:
    redis("SET", "release", os.environ["APP_VERSION"])
else:
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["APP_PORT"])), Handler).serve_forever()
