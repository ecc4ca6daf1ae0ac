#!/usr/bin/env python3
"""Records what Ansible makes of the playbooks of this folder, on a cluster of its own.

usage: record.py ANSIBLE_PLAYBOOK [NAME...]     with KUBEBUILDER_ASSETS as for the tests, and helm on the search path
       record.py ANSIBLE_INVENTORY members      of ansible-core before 2.19, with kubernetes.core before 6.0.0

Writes NAME.json: the result of every task. Those whose names begin with `differs: ` are kept as they
are: RPLAY_KUBERNETES_EXPECT=1 writes them from rplay. What is another in every run is left out, see `DROP` here
and in ../kubernetes.rs.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DROP = {"action", "clusterIP", "clusterIPs", "controller-uid", "creationTimestamp", "deletionTimestamp", "deprecations",
        "diff", "duration", "exception", "generation", "host", "invocation", "lastTransitionTime", "lastUpdateTime",
        "managedFields", "reasons", "resourceVersion", "selfLink", "time", "uid", "volumeMounts", "volumes"}


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in sorted(value.items())
                if k not in DROP and not k.startswith("_ansible") and not (k == "status" and isinstance(v, dict))}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def helm(value, key=""):
    """As `plain_helm` in ../kubernetes.rs."""
    if isinstance(value, dict):
        return {k: helm(v, k) for k, v in sorted(value.items())
                if k not in ("action", "cmd", "deprecations", "delta", "diff", "end", "exception", "invocation", "revision", "src",
                             "start", "updated")
                and not k.startswith("_ansible") and not (k == "warnings" and not helm(v))}
    if isinstance(value, list):
        all = [helm(one) for one in value]
        # rplay knows better, so it does not say so.
        return [one for one in all if not str(one).startswith("The default idempotency check")]
    if isinstance(value, str):
        if key == "command":
            return " ".join("-f=-" if word.startswith("-f=/") else word for word in value.replace("'", "").split())
        return re.sub(r"(?m)^(LAST DEPLOYED|REVISION): .*$", r"\1:", value)
    return value


def bare(value):
    """As `bare` in members.rs."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items()
                if k not in ("kubectl.kubernetes.io/last-applied-configuration", "pod_ip", "pod_resource_version", "pod_uid",
                             "profile", "resource_version", "uid")}
    return [bare(one) for one in value] if isinstance(value, list) else value


def members(program, env):
    subprocess.run(["kubectl", "apply", "-f", HERE + "/members.yaml"], env=env, check=True)
    subprocess.run(["kubectl", "wait", "pod/web", "pod/bare", "-n", "shop", "--for=condition=Ready"], env=env, check=True)
    listed = subprocess.run([program, "-i", HERE + "/members.k8s.yml", "--list"], env=env, check=True, stdout=subprocess.PIPE)
    with open(HERE + "/members.json", "w") as handle:
        json.dump(bare(json.loads(listed.stdout)), handle, indent=1, sort_keys=True)
        handle.write("\n")


def main():
    folder = tempfile.mkdtemp(prefix="rplay-kube-")
    cluster = subprocess.Popen([HERE + "/../components/cluster.sh", folder + "/run"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    if not cluster.stdout.readline().strip():
        sys.exit("no cluster")
    env = {**os.environ, "KUBECONFIG": folder + "/run/kubeconfig", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
           "ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False"}
    if sys.argv[2:] == ["members"]:
        members(sys.argv[1], env)
    for file in sorted(os.listdir(HERE)):
        if not file.endswith(".yml") or (sys.argv[2:] and file[:-4] not in sys.argv[2:]):
            continue
        out = tempfile.mkdtemp(dir=folder)
        server = subprocess.Popen([sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", out],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        repo = "http://127.0.0.1:" + re.search(rb"port (\d+)", server.stdout.readline()).group(1).decode()
        ran = subprocess.run([sys.argv[1], file, "-e", "out=" + out, "-e", "repo=" + repo, "-e", "ansible_python_interpreter=" + os.path.dirname(sys.argv[1]) + "/python"],
                             cwd=HERE, env=env, stdout=subprocess.PIPE)
        server.kill()
        text = ran.stdout.decode().replace(out, "@out@").replace(HERE, "@here@").replace(repo, "@repo@")
        text = text.replace(shutil.which("helm") or "@helm@", "@helm@")
        bare = helm if file == "helm.yml" else plain
        target = f"{HERE}/{file[:-4]}.json"
        known = {}
        if os.path.exists(target):
            known = {one["task"]: one["result"] for one in json.load(open(target))}
        all = []
        for task in json.loads(text)["plays"][0]["tasks"]:
            name = task["task"]["name"]
            result = bare(task["hosts"]["localhost"])
            if name.startswith("differs: "):
                result = known.get(name)
            all.append({"task": name, "result": result})
        with open(target, "w") as handle:
            json.dump(all, handle, indent=2, sort_keys=True, ensure_ascii=False)
            handle.write("\n")
        print(file, len(all), "tasks")
    cluster.stdin.close()
    cluster.wait()


main()
