#!/bin/bash
# A runner of GitLab's pipelines on this machine, the npm package gitlab-ci-local, prepared once:
#
#     gitlab.sh FOLDER
#
# prints the program, which is kept below FOLDER. Newer versions need a newer Node.js than Debian's.
set -eu
folder=$1/gitlab
program=$folder/node_modules/.bin/gitlab-ci-local
if [ ! -x "$program" ]; then
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-audit --no-fund --loglevel error gitlab-ci-local@4.56.2 >&2
fi
echo "$program"
