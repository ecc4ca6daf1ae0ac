# Run inside a host: starts a registry on 127.0.0.1:5000 and pushes the versions of the image layout
# /srv/image to it as `demo`.
cat >/srv/registry.yml <<END
version: 0.1
storage: {filesystem: {rootdirectory: /srv/registry}}
http: {addr: "127.0.0.1:5000"}
log: {level: error}
END
setsid docker-registry serve /srv/registry.yml </dev/null >/var/log/registry.log 2>&1 &
for try in $(seq 100); do
    if skopeo copy --quiet --all --insecure-policy --dest-tls-verify=false --dest-no-creds \
        oci:/srv/image:1.0.0 docker://127.0.0.1:5000/demo:1.0.0 2>/var/log/push.log; then
        exec skopeo copy --quiet --all --insecure-policy --dest-tls-verify=false --dest-no-creds \
            oci:/srv/image:1.1.0 docker://127.0.0.1:5000/demo:1.1.0
    fi
    sleep 0.1
done
cat /var/log/push.log /var/log/registry.log >&2
exit 1
