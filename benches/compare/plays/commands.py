"""The commands of commands.yml."""

import os

from pyinfra.operations import files, server

for number in range(200):
    server.shell("true", name=f"true {number}")
files.directory(os.environ["out"], mode="750")
