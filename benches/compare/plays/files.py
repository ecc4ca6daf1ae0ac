"""The hundred tasks of files.yml."""

import io
import os

from pyinfra.operations import files

out = os.environ["out"]
for part in range(1, 26):
    folder = f"{out}/{part}"
    files.directory(folder, mode="750")
    files.put(io.StringIO(f"part {part} of the play\n"), f"{folder}/text", mode="640")
    template = os.path.join(os.path.dirname(os.path.abspath(__file__)), "service.conf.j2")
    # As Ansible reads templates.
    lines = {"trim_blocks": True}
    files.template(template, f"{folder}/service.conf", mode="644", jinja_env_kwargs=lines, part=part)
    files.put(io.StringIO(f"workers={part * 2}\n"), f"{folder}/settings", mode="600")
