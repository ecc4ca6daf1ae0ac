#!/usr/bin/env python3
"""Records what Ansible makes of each expression: record.py (with Ansible's Python) writes expressions.json.

expressions.txt holds the templates, one paragraph each (separated by a line of two percent signs);
variables.json the variables they see. Results are Python's repr, so kinds are compared too.
differences.txt lists the ones where rplay differs knowingly, below a paragraph `# reason`.
`record.py TEMPLATES JSON` does the same with other files, for RPLAY_EXPRESSIONS=JSON to compare them once.
Templates of other collections need those on ANSIBLE_COLLECTIONS_PATH, and jmespath, jsonpatch, tomlkit and fqdn.
"""
import json
import os
import pathlib
import sys

os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "False"
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

here = pathlib.Path(__file__).parent
written, recorded = map(pathlib.Path.absolute, map(pathlib.Path, sys.argv[1:])) if sys.argv[1:] else (
    here / "expressions.txt",
    here / "expressions.json",
)
os.chdir(here)
init_plugin_loader([])


def trusted(value):
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, list):
        return [trusted(item) for item in value]
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    return value


variables = json.loads((here / "variables.json").read_text())
loader = DataLoader()
loader.set_basedir(str(here))
cases = []
for template in written.read_text().split("\n%%\n"):
    template = template.strip("\n")
    if not template:
        continue
    case = {"template": template}
    templar = Templar(loader=loader, variables=trusted(variables))
    try:
        case["result"] = repr(templar.template(trust_as_template(template)))
    except Exception as error:  # noqa: BLE001 every kind of error is a result here
        case["error"] = str(error).replace(str(here), "")
    cases.append(case)
text = json.dumps({"variables": variables, "cases": cases}, indent=1, ensure_ascii=False)
recorded.write_text(text + "\n")
print(len(cases), "cases")
