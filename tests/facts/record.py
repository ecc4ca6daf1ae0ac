#!/usr/bin/env python3
"""Writes what Ansible's `setup` finds on the machines that the pages here describe: record.py [WORDS].

Run it as root with Ansible's Python. Each section of a page is a host whose interpreter is a program
that first makes the machine: a copy of this one's tree (an overlay, gone with its namespace) without
what tells distributions apart, and with the section's files. The page's name is the subset.
"""
import fnmatch
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).absolute().parent

# What the machine that records has of its own.
OWN = """
/etc/*release /etc/*_version /etc/*-version /usr/lib/*release /etc/issue /etc/SUSE-brand /etc/coreos /etc/iscsi /etc/nvme
/usr/bin/lsb_release /usr/bin/apt-get /usr/bin/dpkg /usr/bin/rpm* /usr/bin/dnf* /usr/bin/yum /usr/bin/zypper /usr/bin/pacman
/usr/bin/emerge /sbin/apk /usr/sbin/apk /bin/opkg /usr/bin/microdnf /usr/sbin/openrc /usr/bin/systemctl /usr/sbin/init
/usr/sbin/initctl /etc/init /etc/init.d /run/systemd /.dockerenv /run/.containerenv /usr/bin/facter /usr/bin/ohai /etc/ansible /etc/ssh/ssh_host*
/usr/bin/cpanm /usr/bin/snap
""".split()


def sections(text):
    """The pages' sections: title, blocks (words, text) and lines of prose."""
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        blocks = re.findall(r"^```(.*)\n((?:.*\n)*?)```$", part, flags=re.M)
        prose = re.sub(r"^```(.*)\n((?:.*\n)*?)```$", "", part, flags=re.M)
        yield part.split("\n", 1)[0], [(info.split(), inner) for info, inner in blocks], prose


def machine(folder, blocks, python):
    """An interpreter for a host: it enters the section's machine and becomes Python."""
    def below(path):
        return shlex.quote(f"{folder}/root{path}")

    lines = [
        "#!/bin/sh",
        "set -eu",
        '[ "${1:-}" != --inside ] && exec unshare -m --propagation private "$0" --inside "$@"',
        "shift",
        f"mount -t tmpfs none {folder}",
        f"mkdir {folder}/root {folder}/upper {folder}/work",
        f"mount -t overlay none -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {folder}/root",
        *(f"mount --rbind /{name} {folder}/root/{name}" for name in ("proc", "sys", "tmp")),
        # Of the devices, only those that programs need: others tell of hypervisors.
        f"mkdir -p {folder}/root/dev; mount -t tmpfs none {folder}/root/dev",
        f"for one in null zero random urandom tty; do : >{folder}/root/dev/$one; mount --bind /dev/$one {folder}/root/dev/$one; done",
        "rm -rf " + " ".join(f"{folder}/root{path}" for path in OWN),
        "umask 022",
    ]
    covered = []
    # Another machine's architecture, which no namespace has.
    arch = next((text.strip() for words, text in blocks if words[1:2] == ["/proc/sys/kernel/arch"]), None)
    if arch:
        uname = f"import os; real = os.uname; os.uname = lambda: os.uname_result((*real()[:4], {arch!r}))"
        lines.append(f"mkdir {folder}/root/uname; echo {shlex.quote(uname)} >{folder}/root/uname/sitecustomize.py")
        lines.append("export PYTHONPATH=/uname")
        blocks = [one for one in blocks if one[0][1:2] != ["/proc/sys/kernel/arch"]]
    for words, text in blocks:
        if words[0] == "program":
            path = f"/usr/bin/{os.path.basename(words[1])}"
            words, text = ["sh", path, "mode=755"], f"#!/bin/sh\ncat <<'END'\n{text}END\n"
        if len(words) < 2 or not words[1].startswith("/"):
            continue
        path = words[1]
        top = "/" + path.split("/")[1]
        if words[0] == "link":
            lines.append(f"mkdir -p {below(os.path.dirname(path))}; ln -sfn {shlex.quote(text.strip())} {below(path)}")
            continue
        mode = next((word[5:] for word in words if word.startswith("mode=")), "644")
        lines.append(f"printf %s {shlex.quote(text)} >{folder}/file; chmod {mode} {folder}/file")
        if top in ("/proc", "/sys"):
            # Where the kernel has no such folder, a memory takes the place of the one above.
            parent = pathlib.Path(path).parent
            if not pathlib.Path(path).exists() and top == "/proc":
                # Nothing can be made in the kernel's own: links to it beside what is made.
                lines.append(
                    f"[ -d {folder}/root/kernel ] || (mkdir {folder}/root/kernel; cd {folder}/root; mount --move proc kernel;"
                    " mount -t tmpfs none proc; cd proc; for one in ../kernel/*; do ln -s $one; done)"
                )
                lines.append(f"mkdir -p {below(parent)}")
            elif not pathlib.Path(path).exists():
                above = next(one for one in [parent, *parent.parents] if one.exists())
                if above not in covered:
                    covered.append(above)
                    kept = f"{folder}/root/kernel{len(covered)}"
                    lines.append(f"mkdir {kept}; mount --bind {above} {kept}; mount -t tmpfs none {below(above)}")
                    # These disks instead of the machine's own; of other folders the rest stays.
                    if str(above) != "/sys/block":
                        lines.append(f"for one in $(ls {kept}); do ln -s /kernel{len(covered)}/$one {below(above)}; done")
                lines.append(f"mkdir -p {below(parent)}")
            lines.append(f"[ -e {below(path)} ] || : >{below(path)}; cp {folder}/file {folder}/{len(lines)}")
            lines.append(f"mount --bind {folder}/{len(lines) - 1} {below(path)}")
        else:
            lines.append(f"mkdir -p {below(os.path.dirname(path))}; rm -rf {below(path)}; cp -p {folder}/file {below(path)}")
    lines.append(f'exec chroot {folder}/root {shlex.quote(python)} "$@"')
    return "\n".join(lines) + "\n"


def record(page, wanted):
    text = page.read_text()
    found = [one for one in sections(text) if wanted(f"{page.stem}::{one[0]}")]
    if not found:
        return
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        hosts, tasks = {}, {}
        for number, (title, blocks, prose) in enumerate(found):
            folder = work / f"m{number}"
            folder.mkdir()
            interpreter = work / f"m{number}.python"
            interpreter.write_text(machine(folder, blocks, sys.executable))
            interpreter.chmod(0o755)
            setup = {"gather_subset": ["!all", "!min", page.stem]}
            for line in prose.splitlines():
                name, _, value = line.partition(": ")
                if name in ("filter", "fact_path"):
                    setup[name] = value.split(",") if name == "filter" else value
            hosts[f"m{number}"] = {
                "ansible_connection": "local",
                "ansible_python_interpreter": str(interpreter),
                "arguments": setup,
            }
        (work / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        (work / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [
            {"name": "facts", "setup": "{{ arguments }}"},
        ]}]))
        env = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_INJECT_FACT_VARS": "False"}
        ran = subprocess.run(
            [pathlib.Path(sys.executable).parent / "ansible-playbook", "-i", work / "hosts.json", work / "play.yml", "-f4"],
            env=env, capture_output=True, text=True,
        )
        if "{" not in ran.stdout:
            sys.exit(ran.stdout + ran.stderr)
        results = json.loads(ran.stdout[ran.stdout.index("{"):])["plays"][0]["tasks"][0]["hosts"]
    parts = re.split(r"^(?=## )", text, flags=re.M)
    for number, (title, _, _) in enumerate(found):
        result = results[f"m{number}"]
        if "ansible_facts" not in result:
            print(title, json.dumps(result)[:2000])
            continue
        facts = {name: value for name, value in result["ansible_facts"].items() if name.startswith(("ansible_", "facter_", "ohai_"))}
        facts.pop("ansible_python_interpreter", None)
        # Their order is none.
        facts = {name: sorted(facts[name]) if "_tech_" in name else facts[name] for name in sorted(facts)}
        facts = {name.removeprefix("ansible_"): value for name, value in facts.items()}
        block = "```facts\n" + json.dumps(facts, indent=1, ensure_ascii=False) + "\n```\n"
        if result.get("warnings"):
            block += "\n```warnings\n" + "".join(line + "\n" for line in result["warnings"]) + "```\n"
        at = next(at for at, part in enumerate(parts) if part.startswith(f"## {title}\n"))
        kept = re.sub(r"^```(facts|warnings)\n((?:.*\n)*?)```\n*", "", parts[at], flags=re.M)
        parts[at] = kept.rstrip("\n") + "\n\n" + block + "\n"
    page.write_text("".join(parts).rstrip("\n") + "\n")
    print(page.stem, len(found))


words = sys.argv[1:]
for page in sorted(HERE.glob("*.md")):
    record(page, lambda name: not words or any(word in name for word in words))
