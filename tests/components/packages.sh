# Gets packages of Debian into a folder, for the scripts beside this one; nothing is installed. It is read with `.`.
#
# component FOLDER NAME FILE...     sets `root`, the folder of a component, empty, and `log`; where it is there, made with
#                                   these files and this script, its path is printed and the script ends
# packages NAME/SUITE...            unpacks them into `root`; ends with a message where it cannot
# finished                          notes what it was made with, and prints its path
#
# They come from the mirror and through the proxy that this machine's apt is set up with.
component() {
    root=$1/$2 log=$1/$2.log
    mkdir -p "$1"
    exec 9>"$1/$2.lock"
    flock 9
    shift 2
    stamp=$(cat "$0" "$(dirname "$0")/packages.sh" "$@" | sha256sum | cut -d' ' -f1)
    if [ "$(cat "$root/.built" 2>/dev/null)" = "$stamp" ]; then
        echo "$root"
        exit 0
    fi
    rm -rf "$root"
    mkdir -p "$root"
}
die() {
    [ ! -e "$log" ] || tail -n 4 "$log" >&2
    echo "$(basename "$0"): $*" >&2
    exit 1
}
finished() {
    echo "$stamp" >"$root/.built"
    echo "$root"
}
packages() {
    local folder=$root mirror name suite
    . /etc/os-release
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v release="${VERSION_CODENAME:-none}" '$2 == release && $3 == "main" { print $1; exit }')
    [ "${ID:-}" = debian ] && [ -n "$mirror" ] || die "apt names no mirror of Debian here"
    mkdir -p "$folder"/apt/{lists/partial,archives/partial}
    for suite in $(printf '%s\n' "${@#*/}" | sort -u); do
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
    done >"$folder/apt/sources.list"
    # Lists, sources and archives of its own: what this machine has installed only says what need not be fetched.
    apt() {
        apt-get -q -o "Dir::Etc::SourceList=$folder/apt/sources.list" -o Dir::Etc::SourceParts=- -o Dir::Etc::Preferences=- \
            -o Dir::Etc::PreferencesParts=- -o "Dir::State::Lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt" \
            -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root \
            "$@" >>"$log" 2>&1 </dev/null
    }
    : >"$log"
    apt update || die "no list of packages"
    (cd "$folder/apt/archives" && apt download "$@") || die "no packages"
    for name in "$folder"/apt/archives/*.deb; do dpkg-deb -x "$name" "$folder"; done
    rm -rf "$folder/apt"
}
