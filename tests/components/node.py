#!/usr/bin/env python3
"""A node without a kubelet: binds each pending pod to the node "fake-0" and writes the
pod status a kubelet would write, so that Deployments, StatefulSets, DaemonSets and Jobs
of a real control plane roll out. No container runs.

usage: node.py URL FOLDER     FOLDER holds ca.crt, token, server.crt and server.key

It answers what the API server asks a kubelet: logs are lines of the pod's own name, and a command
is run on this machine, in the folder FOLDER/pods/NAMESPACE/POD, through a WebSocket.

What a pod does is chosen by annotations (of the pod template):
  lab/ready-after: SECONDS   Ready only then (default 0)
  lab/fail: pull             the image "cannot be pulled": stays Pending
  lab/fail: crash            CrashLoopBackOff
  lab/run-for: SECONDS       restartPolicy other than Always: Succeeded after it (default 1)
  lab/exit: CODE             with restartPolicy other than Always: exit code (default 0)
An image whose tag is "missing" behaves as lab/fail: pull.
"""
import base64
import datetime
import hashlib
import http.server
import json
import os
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

URL, RUN = sys.argv[1], sys.argv[2]
CTX = ssl.create_default_context(cafile=RUN + "/ca.crt")
TOKEN = open(RUN + "/token").read().strip()
NODE = "fake-0"
PORT = [0]


def now(t=None):
    return datetime.datetime.fromtimestamp(t or time.time(), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def call(method, path, body=None, kind="application/json"):
    req = urllib.request.Request(URL + path, method=method, data=None if body is None else json.dumps(body).encode())
    req.add_header("Authorization", "Bearer " + TOKEN)
    req.add_header("Content-Type", kind)
    with urllib.request.urlopen(req, context=CTX, timeout=20) as r:
        return json.loads(r.read())


def patch(path, body):
    return call("PATCH", path, body, "application/merge-patch+json")


def node():
    try:
        call("POST", "/api/v1/nodes", {"metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}}})
    except urllib.error.HTTPError as e:
        if e.code != 409:
            raise
    size = {"cpu": "64", "memory": "256Gi", "pods": "1000"}
    patch(f"/api/v1/nodes/{NODE}/status", {"status": {
        "capacity": size, "allocatable": size, "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT[0]}},
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now(), "lastTransitionTime": now()}]}})


FIRST = {}  # uid -> when this node first saw it bound
COUNT = [0]
IPS = {}


def ip(uid):
    if uid not in IPS:
        COUNT[0] += 1
        n = COUNT[0]
        IPS[uid] = f"198.18.{128 + n // 250 % 64}.{n % 250 + 1}"
    return IPS[uid]


def containers(specs, state, ready, restarts=0):
    return [{"name": c["name"], "image": c["image"], "imageID": "lab://" + c["image"], "ready": ready, "started": ready,
             "restartCount": restarts, "state": state, "containerID": "lab://" + c["name"]} for c in specs]


def status(pod):
    """The status this pod should have by now."""
    spec, meta = pod["spec"], pod["metadata"]
    ann = meta.get("annotations") or {}
    t0 = FIRST.setdefault(meta["uid"], time.time())
    age = time.time() - t0
    fail = ann.get("lab/fail")
    if any(c["image"].endswith(":missing") for c in spec["containers"]):
        fail = "pull"
    def conditions(ready):
        def one(kind, ok):
            return {"type": kind, "status": "True" if ok else "False", "lastTransitionTime": now(),
                    **({} if ok else {"reason": "ContainersNotReady"})}
        return [one("Initialized", True), one("Ready", ready), one("ContainersReady", ready), one("PodScheduled", True)]
    base = {"hostIP": "127.0.0.1", "podIP": ip(meta["uid"]), "podIPs": [{"ip": ip(meta["uid"])}], "startTime": now(t0)}
    if fail == "pull":
        w = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
        return {**base, "phase": "Pending", "conditions": conditions(False), "containerStatuses": containers(spec["containers"], w, False)}
    if fail == "crash":
        w = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
        return {**base, "phase": "Running", "conditions": conditions(False), "containerStatuses": containers(spec["containers"], w, False, 3)}
    if spec.get("restartPolicy", "Always") != "Always" and age >= float(ann.get("lab/run-for", 1)):
        code = int(ann.get("lab/exit", 0))
        end = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": now(t0), "finishedAt": now()}}
        return {**base, "phase": "Failed" if code else "Succeeded", "conditions": conditions(False), "containerStatuses": containers(spec["containers"], end, False)}
    ready = age >= float(ann.get("lab/ready-after", 0))
    return {**base, "phase": "Running", "conditions": conditions(ready),
            "containerStatuses": containers(spec["containers"], {"running": {"startedAt": now(t0)}}, ready)}


def summary(st):
    return (st.get("phase"), [(c["type"], c["status"]) for c in st.get("conditions") or [] if c["type"] == "Ready"],
            [sorted(c.get("state", {})) for c in st.get("containerStatuses") or []])


def settle(pod):
    meta = pod["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
    if meta.get("deletionTimestamp"):
        call("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}})
        return
    if not pod["spec"].get("nodeName"):
        call("POST", path + "/binding", {"metadata": {"name": meta["name"]}, "target": {"kind": "Node", "name": NODE}})
        pod["spec"]["nodeName"] = NODE
    if pod["spec"]["nodeName"] != NODE or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return
    want = status(pod)
    if summary(pod.get("status", {})) != summary(want):
        patch(path + "/status", {"status": want})


class Kubelet(http.server.BaseHTTPRequestHandler):
    """Logs and commands, as the API server asks for them."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        words = url.path.strip("/").split("/")
        if words[0] == "containerLogs":
            self.logs(words[1:], query)
        elif words[0] == "exec":
            self.run(words[1:], query)
        else:
            self.send_error(404)

    do_POST = do_GET

    def logs(self, words, query):
        namespace, pod, container = words[:3]
        before = "previous " if query.get("previous") == ["true"] else ""
        lines = [f"{before}{pod} {container} line {n}" for n in range(1, 6)]
        if "tailLines" in query:
            lines = lines[-int(query["tailLines"][0]):]
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def run(self, words, query):
        namespace, pod = words[:2]
        folder = os.path.join(RUN, "pods", namespace, pod)
        os.makedirs(folder, exist_ok=True)
        asked = [p.strip() for p in self.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if "v4.channel.k8s.io" not in asked:
            self.send_error(400)
            return
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.end_headers()
        lock = threading.Lock()

        def send(channel, data):
            body = bytes([channel]) + data
            head = b"\x82" + (bytes([len(body)]) if len(body) < 126 else b"\x7e" + struct.pack(">H", len(body)))
            with lock:
                self.wfile.write(head + body)
                self.wfile.flush()

        # Paths of the container are paths of the pod's folder.
        argv = [os.path.join(folder, w[1:]) if w.startswith("/pod") else w for w in query["command"]]
        stdin = query.get("input") == ["1"]
        try:
            child = subprocess.Popen(argv, cwd=folder, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            text = f"error executing command in container: {argv[0]}: {error.strerror}"
            send(3, json.dumps({"metadata": {}, "status": "Failure", "message": text, "reason": "InternalError", "code": 500}).encode())
            self.end()
            return

        def pump(stream, channel):
            while data := os.read(stream.fileno(), 16384):
                send(channel, data)

        def feed():
            try:
                while (frame := self.frame()) is not None:
                    if stdin and frame[:1] == b"\x00":
                        child.stdin.write(frame[1:])
                        child.stdin.flush()
            except OSError:
                pass
            if stdin:
                try:
                    child.stdin.close()
                except OSError:
                    pass

        pumps = [threading.Thread(target=pump, args=one) for one in ((child.stdout, 1), (child.stderr, 2))]
        for thread in pumps:
            thread.start()
        threading.Thread(target=feed, daemon=True).start()
        for thread in pumps:
            thread.join()
        code = child.wait()
        end = {"metadata": {}, "status": "Success"}
        if code:
            end = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                   "message": f"command terminated with non-zero exit code: exit status {code}",
                   "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}}
        send(3, json.dumps(end).encode())
        self.end()

    def end(self):
        self.wfile.write(b"\x88\x02\x03\xe8")
        self.wfile.flush()
        self.close_connection = True

    def frame(self):
        """The content of the next frame; none when the other side has closed."""
        head = self.rfile.read(2)
        if len(head) < 2 or head[0] & 15 == 8:
            return None
        size = head[1] & 127
        if size == 126:
            size = struct.unpack(">H", self.rfile.read(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.rfile.read(8))[0]
        mask = self.rfile.read(4) if head[1] & 128 else b"\0\0\0\0"
        data = self.rfile.read(size)
        long = (mask * (size // 4 + 1))[:size]
        return (int.from_bytes(data, "big") ^ int.from_bytes(long, "big")).to_bytes(size, "big") if size else b""


def kubelet():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubelet)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(RUN + "/server.crt", RUN + "/server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    PORT[0] = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    kubelet()
    up = False
    beat = 0.0
    while True:
        try:
            if not up:
                node()
                # A node starts with the not-ready taint where the TaintNodesByCondition plugin is on.
                patch(f"/api/v1/nodes/{NODE}", {"spec": {"taints": None}})
                up = True
            for pod in call("GET", "/api/v1/pods")["items"]:
                try:
                    settle(pod)
                except urllib.error.HTTPError as e:
                    if e.code not in (404, 409):
                        print(pod["metadata"]["name"], e.code, e.read()[:300], flush=True)
            if time.time() - beat > 30:
                node()
                beat = time.time()
        except (OSError, ValueError) as e:
            print(repr(e), flush=True)
            time.sleep(1)
        time.sleep(0.25)


main()
