"""The task of one.yml."""

import os

from pyinfra.operations import files

files.directory(f"{os.environ['out']}/1", mode="750")
