#!/usr/bin/env python3
"""Records what Ansible makes of the playbooks of this folder, on a cluster of its own.

usage: record.py ANSIBLE_PLAYBOOK [NAME...]     with KUBEBUILDER_ASSETS as for the tests

Writes NAME.json: the result of every task. Those whose names begin with `differs: ` are kept as they
are: RPLAY_KUBERNETES_EXPECT=1 writes them from rplay. What is another in every run is left out, see `DROP` here
and in ../kubernetes.rs.
"""
import json
import os
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


def main():
    folder = tempfile.mkdtemp(prefix="rplay-kube-")
    cluster = subprocess.Popen([HERE + "/../components/cluster.sh", folder + "/run"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    if not cluster.stdout.readline().strip():
        sys.exit("no cluster")
    env = {**os.environ, "KUBECONFIG": folder + "/run/kubeconfig", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
           "ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False"}
    for file in sorted(os.listdir(HERE)):
        if not file.endswith(".yml") or (sys.argv[2:] and file[:-4] not in sys.argv[2:]):
            continue
        out = tempfile.mkdtemp(dir=folder)
        ran = subprocess.run([sys.argv[1], file, "-e", "out=" + out, "-e", "ansible_python_interpreter=" + os.path.dirname(sys.argv[1]) + "/python"],
                             cwd=HERE, env=env, stdout=subprocess.PIPE)
        text = ran.stdout.decode().replace(out, "@out@").replace(HERE, "@here@")
        target = f"{HERE}/{file[:-4]}.json"
        known = {}
        if os.path.exists(target):
            known = {one["task"]: one["result"] for one in json.load(open(target))}
        all = []
        for task in json.loads(text)["plays"][0]["tasks"]:
            name = task["task"]["name"]
            result = plain(task["hosts"]["localhost"])
            if name.startswith("differs: "):
                result = known.get(name)
            all.append({"task": name, "result": result})
        with open(target, "w") as handle:
            json.dump(all, handle, indent=1, sort_keys=True)
            handle.write("\n")
        print(file, len(all), "tasks")
    cluster.stdin.close()
    cluster.wait()


main()
