#!/usr/bin/env python3
"""A stand-in for a token service of registries: it gives out what a registry with `auth: token` asks for.

usage: tokens.py PORT KEY CERTIFICATE USER PASSWORD     until its standard input ends

A token is an RS256 JWT that KEY signs, with CERTIFICATE in its head. Whoever has the password may pull and push;
others get a token that allows nothing. Each request is told on standard output: `USER SCOPE`.
"""
import base64
import http.server
import json
import subprocess
import sys
import threading
import time
import urllib.parse

PORT, KEY, CERTIFICATE, USER, PASSWORD = sys.argv[1:]


def packed(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(service, scopes, may):
    der = subprocess.run(["openssl", "x509", "-in", CERTIFICATE, "-outform", "DER"], check=True, stdout=subprocess.PIPE).stdout
    head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    access = []
    for scope in scopes:
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        access.append({"type": kind, "name": name, "actions": actions.split(",") if may else []})
    now = int(time.time())
    claims = {"iss": "lab", "sub": USER if may else "", "aud": service, "exp": now + 300, "nbf": now - 10, "iat": now,
              "jti": str(time.time_ns()), "access": access}
    text = packed(json.dumps(head).encode()) + "." + packed(json.dumps(claims).encode())
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", KEY], input=text.encode(), check=True,
                            stdout=subprocess.PIPE).stdout
    return text + "." + packed(signed)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        given = self.headers.get("Authorization", "")
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        scopes = query.get("scope", [])
        if given and given != wanted:
            status, body = 401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}
        else:
            may = given == wanted
            status, body = 200, {"token": token(query["service"][0], scopes, may)}
        print(USER if given == wanted else "-", *scopes, flush=True)
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # docker login asks this way.
    do_POST = do_GET

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
