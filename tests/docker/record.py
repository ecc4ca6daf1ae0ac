#!/usr/bin/env python3
"""Records what Ansible makes of the playbooks of this folder, on an engine of its own.

usage: record.py ANSIBLE_PLAYBOOK ENGINE [NAME...]     ENGINE as for ../components/docker.sh; `newer` is recorded by its
name only, with the folder `new` in it

Writes NAME.json, with the younger engine (ENGINE/new) NAME-young.json: the result of every task. Those whose names
begin with `differs: ` are kept as they are: RPLAY_DOCKER_EXPECT=1 writes them from rplay. What is another in every
run is left out, see `DROP` here and in ../docker.rs.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DROP = {"Aliases", "CreatedAt", "Created", "DNSNames", "DriverStatus", "EndpointID", "FinishedAt", "Gateway", "GraphDriver",
        "Health", "Hostname", "HostnamePath", "HostsPath", "ID", "IPAddress", "IPv4Address", "IPAM", "Id", "LastTagTime",
        "LogPath", "MacAddress", "Mountpoint", "Mounts", "NetworkID", "Pid", "ResolvConfPath", "SandboxID", "SandboxKey",
        "StartedAt", "action", "exception", "failed_when_suppressed_exception", "host_info", "invocation", "push_status",
        "src", "stderr", "stderr_lines", "cmd", "differences", "image_different", "id", "warnings", "RunningFor", "Status",
        "containers", "images", "ctime", "stat", "mtime", "atime", "inode", "dev", "checksum", "delta", "duration"}


def plain(value):
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in sorted(value.items())
                if k not in DROP and not k.startswith("_ansible") and not (k == "actions" and not told(v))}
    if isinstance(value, list):
        return sorted((plain(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    if isinstance(value, str):
        return re.sub("[0-9a-f]{64}", "@id@", value)
    return value


# What Ansible lists of a container's requests is its own affair.
def told(actions):
    return not any(isinstance(one, dict) and "what" not in one for one in actions)


# Every playbook begins with an engine that has nothing.
def clean(env):
    for words in ("docker ps -aq | xargs -r docker rm -f", "docker system prune -af --volumes", "docker volume prune -af"):
        subprocess.run(words, shell=True, env=env, stdout=subprocess.DEVNULL)


def main():
    folder = tempfile.mkdtemp(prefix="rplay-docker-")
    run = folder + "/run"
    engine = subprocess.Popen([HERE + "/../components/docker.sh", run, sys.argv[2]], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    inner = engine.stdout.readline().decode().strip()
    if not inner:
        sys.exit("no engine")
    env = {**os.environ, "HOME": run + "/home", "DOCKER_HOST": "unix://" + run + "/sock",
           "PATH": sys.argv[2] + "/usr/bin:" + os.environ["PATH"], "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
           "ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False"}
    young = "-young" if os.path.basename(sys.argv[2].rstrip("/")) == "new" else ""
    for file in sorted(os.listdir(HERE)):
        if not file.endswith(".yml") or file[:-4] not in (sys.argv[3:] or [file[:-4]] * (file != "newer.yml")):
            continue
        clean(env)
        out = tempfile.mkdtemp(dir=folder)
        ran = subprocess.run(["nsenter", "-t", inner, "--net", sys.argv[1], file, "-e", "out=" + out,
                              "-e", "registry=127.0.0.1:5001", "-e", "closed=127.0.0.1:5000",
                              "-e", "ansible_python_interpreter=" + os.path.dirname(sys.argv[1]) + "/python"],
                             cwd=HERE, env=env, stdout=subprocess.PIPE)
        text = ran.stdout.decode().replace(out, "@out@").replace(run, "@run@")
        target = f"{HERE}/{file[:-4]}{young}.json"
        known = {}
        if os.path.exists(target):
            known = {one["task"]: one["result"] for one in json.load(open(target))}
        all = []
        for task in json.loads(text[text.index("{"):])["plays"][0]["tasks"]:
            name = task["task"]["name"]
            result = plain(task["hosts"]["localhost"])
            if name.startswith("differs: "):
                result = known.get(name)
            all.append({"task": name, "result": result})
        with open(target, "w") as handle:
            json.dump(all, handle, indent=1, sort_keys=True)
            handle.write("\n")
        print(file, len(all), "tasks")
    engine.stdin.close()
    engine.wait()


main()
