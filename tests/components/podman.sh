#!/bin/bash
# Podman for the tests, in a second: the one of engine.sh with its own storage, processes and mounts, and an image
# `localhost/demo:1` of busybox. Nothing comes from the internet. Needs root.
#
# usage: podman.sh FOLDER ENGINE     FOLDER must be empty; it gets `podman`, which may be called from anywhere, and
#                                    `sock`, which speaks the API of Docker's engine, too
#
# Prints `ready`. It lives until standard input ends: nothing stays behind, however the caller ends.
#
# Containers have no network, because there may be nothing that could make one (iptables), and run in runc, because
# crun refuses machines with both versions of control groups.
set -eu
folder=$1 engine=$2
. "$(dirname "$0")/namespaces.sh"
mkdir -p "$folder/home/.config/containers"
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$folder/home/.config/containers/policy.json"
cat >"$folder/containers.conf" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
log_driver = "k8s-file"
[engine]
conmon_path = ["$engine/usr/bin/conmon"]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$folder/tmp"
static_dir = "$folder/static"
volume_path = "$folder/volumes"
[engine.runtimes]
runc = ["$engine/usr/sbin/runc"]
[network]
network_config_dir = "$folder/networks"
END
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$folder/storage" "$folder/run" >"$folder/storage.conf"
: >"$folder/registries.conf"
program() { # NAME ARGUMENTS
    cat >"$folder/$1" <<END
#!/bin/sh
HOME=$folder/home LD_LIBRARY_PATH=$(dirname "$engine"/usr/lib/*/libsubid.so.4) CONTAINERS_CONF=$folder/containers.conf \\
    CONTAINERS_STORAGE_CONF=$folder/storage.conf CONTAINERS_REGISTRIES_CONF=$folder/registries.conf \\
    exec $engine/usr/bin/podman $2 "\$@"
END
    chmod +x "$folder/$1"
}
program own ''
program podman "--remote --url unix://$folder/sock"
cat >"$folder/inside.sh" <<'END'
# The first process of its namespaces.
set -eu
folder=$1 engine=$2
mount -t proc proc /proc
cd "$folder"
image=$folder/image
mkdir -p "$image"/bin "$image"/tmp "$image"/etc
cp "$engine/usr/bin/busybox" "$image/bin/"
for name in cat chmod cp dd echo env false find grep head id ls mkdir mv rm sh sleep tail touch true umask uname wc; do
    ln -s busybox "$image/bin/$name"
done
echo root:x:0:0:root:/:/bin/sh >"$image/etc/passwd"
tar -C "$image" -c . | ./own import -c 'ENV PATH=/bin' -c 'CMD ["sleep", "600"]' - localhost/demo:1 >import.log 2>&1
rm -rf "$image"
# Where the machine lets no container run, there is nothing to test.
./own run --rm localhost/demo:1 true >run.log 2>&1
./own system service --time 0 "unix://$folder/sock" </dev/null 9<&- >service.log 2>&1 &
for try in $(seq 100); do
    [ ! -S sock ] || break
    sleep 0.1
done
touch ready
# The end of this input is the end of all.
cat <&9 >/dev/null
./own rm -f -a -t 0 >/dev/null 2>&1
END
# What is left of control groups has no process in it, or else it is somebody's and stays.
ended() {
    kill -9 "$outer" 2>/dev/null || :
    wait
    find /sys/fs/cgroup -depth -type d -path "*/libpod_parent*" -exec rmdir {} + 2>/dev/null || :
}
inside 60
echo ready
wait "$outer" || :
