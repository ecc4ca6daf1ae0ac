#!/bin/bash
# Writes expected.txt: what ansible-lint (the program that is named, with community.general and ansible.posix in
# reach of it) finds in the files here. It needs no network.
set -eu
cd "$(dirname "$0")"
lint=${1:?usage: record.sh ANSIBLE_LINT}
{
    "$lint" --version --nocolor | sed -E 's/^ansible-lint ([^ ]+) .*/# ansible-lint \1/'
    "$lint" --offline -q --nocolor -f json ./*.yml 2>/dev/null | python3 -c '
import json, sys
def line(place):
    return place["lines"]["begin"] if "lines" in place else place["positions"]["begin"]["line"]
found = {(one["location"]["path"], line(one["location"]), one["check_name"]) for one in json.load(sys.stdin)}
for one in sorted(found):
    print("%s:%s: %s" % one)'
} >expected.txt
