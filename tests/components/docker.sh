#!/bin/bash
# A container engine for the tests, in some seconds: the dockerd of engine.sh with its own data, processes,
# mounts and network, and a registry on 127.0.0.1:5000 in there that wants a log-in (`lab`, and the password
# in FOLDER/password) and holds versions of an image: `repository:1.0.0`, `1.1.0`, `1.2.0` and `cache`, `demo`
# the same without a log-in on 127.0.0.1:5001. The engine also listens on 127.0.0.1:2376 there, with TLS: FOLDER/tls has
# what a client needs, as DOCKER_CERT_PATH wants it. A container with /data/refuse-VERSION does not start. Nothing comes from the internet. Needs root and iproute2.
#
# usage: docker.sh FOLDER ENGINE     FOLDER must be empty; it gets `sock` and a `home` with Compose in it
#
# Prints a process whose network it is (`nsenter -t PID --net`) when it is ready. It lives until standard input
# ends: nothing stays behind, however the caller ends.
set -eu
folder=$1 engine=$2
. "$(dirname "$0")/namespaces.sh"
mkdir -p "$folder/home/.docker/cli-plugins"
for plugin in compose buildx; do
    ln -s "$engine/usr/libexec/docker/cli-plugins/docker-$plugin" "$folder/home/.docker/cli-plugins/"
done
printf 'sesam-oeffne-dich' >"$folder/password"
cat >"$folder/inside.sh" <<'END'
# The first process of the engine's namespaces.
set -eu
folder=$1 engine=$2
export PATH=$engine/usr/bin:$engine/usr/sbin:$PATH HOME=$folder/push
mount -t proc proc /proc
ip link set lo up
mkdir -p "$HOME"
cd "$folder"
# The password is that of FOLDER/password.
echo 'lab:$2b$05$PVHnWjbGYibNSjXYbkjBbeLdBlvmdGQv05lDZhhHpghzxhcOkJvR6' >users
for one in open:5001: closed:5000:"auth: {htpasswd: {realm: lab, path: $folder/users}}"; do
    name=${one%%:*} rest=${one#*:}
    printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\nlog: {level: error}\n%s\n' \
        "$folder/registry-$name" "${rest%%:*}" "${rest#*:}" >"$name.yml"
    docker-registry serve "$name.yml" </dev/null 9<&- >"registry-$name.log" 2>&1 &
done
mkdir tls
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=lab-ca -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout tls/ca.key -out tls/ca.pem 2>/dev/null
certificate() { # NAME SUBJECT EXTENSION
    openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "tls/$1key.pem" -out tls/csr 2>/dev/null
    echo "$3" >tls/extension
    openssl x509 -req -in tls/csr -CA tls/ca.pem -CAkey tls/ca.key -CAcreateserial -days 30 -out "tls/$1cert.pem" \
        -extfile tls/extension 2>/dev/null
}
certificate server- /CN=engine subjectAltName=IP:127.0.0.1,DNS:engine.test
certificate '' /CN=somebody extendedKeyUsage=clientAuth
dockerd --data-root "$folder/data" --exec-root "$folder/run" -H "unix://$folder/sock" --pidfile "$folder/pid" \
    -H tcp://127.0.0.1:2376 --tlsverify --tlscacert tls/ca.pem --tlscert tls/server-cert.pem --tlskey tls/server-key.pem \
    --bip 198.18.96.1/24 --default-address-pool base=198.18.100.0/22,size=26 </dev/null 9<&- >dockerd.log 2>&1 &
export DOCKER_HOST=unix://$folder/sock
for try in $(seq 600); do
    docker version >/dev/null 2>&1 && break
    sleep 0.1
done
image=$folder/image
mkdir -p "$image"/bin "$image"/www "$image"/tmp "$image"/data "$image"/etc
cp "$engine/usr/bin/busybox" "$image/bin/"
for name in cat echo env false httpd id ls sh sleep true wget; do ln -s busybox "$image/bin/$name"; done
echo root:x:0:0:root:/:/bin/sh >"$image/etc/passwd"
serve='v=$(cat /www/index.html); [ ! -e /data/refuse-$v ] || { echo $v refuses >&2; exit 1; }; exec httpd -f -p 80 -h /www'
docker login --username lab --password-stdin 127.0.0.1:5000 <"$folder/password" >/dev/null 2>>push.log
for version in 1.0.0 1.1.0 1.2.0 cache; do
    echo "$version" >"$image/www/index.html"
    for name in 127.0.0.1:5000/repository 127.0.0.1:5001/demo; do
        tar -C "$image" -c . | docker import -c "CMD [\"sh\", \"-c\", \"$(printf %s "$serve" | sed 's/"/\\"/g')\"]" \
            -c 'ENV PATH=/bin A=image' -c 'LABEL made=here' -c 'STOPSIGNAL SIGKILL' - "$name:$version" >>push.log
        docker push -q "$name:$version" >>push.log 2>&1
        docker rmi "$name:$version" >>push.log
    done
done
rm -rf "$HOME" "$image"
touch "$folder/ready"
# The end of this input is the end of the engine.
cat <&9 >/dev/null
docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1
kill "$(cat "$folder/pid")"
for try in $(seq 100); do [ -e "$folder/pid" ] || break; sleep 0.1; done
END
inside 240 --net
inner=$(cat "/proc/$outer/task/$outer/children")
echo "${inner%% *}"
wait "$outer" || :
