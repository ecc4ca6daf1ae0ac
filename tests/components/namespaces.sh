# Namespaces for the scripts beside this one, which have set `folder` and `engine`. It is read with `.`.
#
# inside SECONDS [OPTION...]   runs FOLDER/inside.sh FOLDER ENGINE with processes and mounts of its own, and what further options
#                              of `unshare` say, until standard input ends (its descriptor 9); comes back when FOLDER/ready is
#                              there, with the process outside of them in `outer`
# die MESSAGE                  ends with what the logs in FOLDER say
#
# `ended` is called at the end; a script may have its own.
die() {
    for log in "$folder"/*.log; do [ ! -s "$log" ] || tail -n 3 "$log" >&2; done
    echo "$(basename "$0"): $*" >&2
    exit 1
}
ended() { kill -9 "$outer" 2>/dev/null || :; }
inside() {
    local seconds=$1
    shift
    exec 9<&0
    unshare --mount --pid "$@" --fork --kill-child \
        bash "$folder/inside.sh" "$folder" "$engine" 9<&9 >"$folder/inside.log" 2>&1 </dev/null &
    outer=$!
    trap ended EXIT
    for _ in $(seq $((seconds * 10))); do
        [ ! -e "$folder/ready" ] || return 0
        [ -e "/proc/$outer" ] || die "it ended"
        sleep 0.1
    done
    die "it is not ready after $seconds seconds"
}
