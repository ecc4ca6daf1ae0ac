#!/bin/bash
# A Kubernetes control plane for the tests, in some ten seconds: Debian's etcd, the API server and the
# controller manager of the folder $KUBEBUILDER_ASSETS, and node.py in place of a node. All of it
# listens on loopback alone.
#
# usage: cluster.sh FOLDER     FOLDER must be empty; it gets `kubeconfig`, `token`, `ca.crt`, `audit.log`
#
# Prints `PORT` of the API server when it is ready. It lives until standard input ends: nothing stays
# behind, however the caller ends.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
assets=${KUBEBUILDER_ASSETS:?names no folder with kube-apiserver}
die() {
    for log in "$folder"/*.log; do [ ! -s "$log" ] || tail -n 3 "$log" >&2; done
    echo "cluster.sh: $*" >&2
    exit 1
}
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
etcd=$(command -v "$assets/etcd" || command -v etcd) || die "no etcd"
mkdir -p "$folder"
cd "$folder"
port=$(free) store=$(free) peer=$(free)

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=lab-ca -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout ca.key -out ca.crt 2>/dev/null
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
certificate() { # NAME SUBJECT EXTENSION
    openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" \
        -extfile <(printf '%s\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n' "$3") 2>/dev/null
}
certificate server /CN=kube-apiserver \
    "subjectAltName=IP:127.0.0.1,IP:198.18.64.1,DNS:localhost,DNS:kubernetes.default.svc"
certificate admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
openssl rand -hex 16 >token
openssl rand -hex 16 >weak-token
printf '%s,lab,lab,"system:masters"\n%s,weak,weak\n' "$(cat token)" "$(cat weak-token)" >tokens.csv
cat >kubeconfig <<EOF
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:$port", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: admin, user: {client-certificate-data: $(base64 -w0 admin.crt), client-key-data: $(base64 -w0 admin.key)}}]
contexts: [{name: lab, context: {cluster: lab, user: admin}}]
current-context: lab
EOF
chmod 600 kubeconfig token weak-token tokens.csv ./*.key
cat >audit.yml <<'EOF'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
EOF

exec 9<&0
pids=()
trap 'kill -9 "${pids[@]}" 2>/dev/null || :' EXIT
start() { # NAME COMMAND
    local name=$1
    shift
    "$@" >"$name.log" 2>&1 </dev/null 9<&- &
    pids+=($!)
}
start etcd "$etcd" --data-dir data --listen-client-urls "http://127.0.0.1:$store" \
    --advertise-client-urls "http://127.0.0.1:$store" --listen-peer-urls "http://127.0.0.1:$peer" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
    --unsafe-no-fsync
start apiserver "$assets/kube-apiserver" --etcd-servers "http://127.0.0.1:$store" \
    --bind-address 127.0.0.1 --secure-port "$port" --advertise-address 198.18.64.1 --endpoint-reconciler-type none \
    --tls-cert-file server.crt --tls-private-key-file server.key --client-ca-file ca.crt \
    --token-auth-file tokens.csv --authorization-mode RBAC --allow-privileged \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file sa.pub \
    --service-account-signing-key-file sa.key --service-cluster-ip-range 198.18.64.0/20 \
    --kubelet-preferred-address-types InternalIP \
    --audit-policy-file audit.yml --audit-log-path audit.log --audit-log-mode blocking --profiling=false
api=${pids[1]}
ask() { curl -fs --cacert ca.crt -H "Authorization: Bearer $(cat token)" "https://127.0.0.1:$port$1" >/dev/null; }
until ask /readyz; do
    kill -0 "$api" 2>/dev/null || die "the API server ended"
    [ $SECONDS -lt 120 ] || die "the API server is not ready after $SECONDS s"
    sleep 0.2
done
start controllers "$assets/kube-controller-manager" --kubeconfig kubeconfig --bind-address 127.0.0.1 --secure-port 0 --port 0 \
    --leader-elect=false --service-account-private-key-file sa.key --root-ca-file ca.crt \
    --controllers '*,-nodelifecycle,-nodeipam,-cloud-node-lifecycle,-route,-service,-ttl,-attachdetach' \
    --concurrent-deployment-syncs 5
start node python3 "$here/node.py" "https://127.0.0.1:$port" .
until ask /api/v1/namespaces/default/serviceaccounts/default && ask /api/v1/nodes/fake-0; do
    [ $SECONDS -lt 120 ] || die "no controllers after $SECONDS s"
    sleep 0.2
done
echo "$port"
# The end of this input is the end of the cluster.
cat <&9 >/dev/null
