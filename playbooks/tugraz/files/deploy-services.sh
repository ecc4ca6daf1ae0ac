#!/bin/sh
# Runs on the services host, as `script` sends it there: brings up what all web hosts share.
# usage: deploy-services.sh FOLDER IMAGE PROJECT
# Says `unchanged` where there was nothing to do.
set -eu
folder=$1 image=$2 project=$3
compose() {
    if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}
mkdir -p "$folder"
cat >"$folder/docker-compose.yml" <<END
services:
  search:
    image: $image
    restart: unless-stopped
    stop_grace_period: 1s
END
cd "$folder"
before=$(compose -p "$project" ps -q)
compose -p "$project" up --detach --quiet-pull 2>&1
after=$(compose -p "$project" ps -q)
if [ "$before" = "$after" ]; then echo unchanged; else echo changed; fi
