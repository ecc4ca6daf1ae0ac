//! Container images and module files with the programs themselves: Apptainer, Lmod, skopeo, a registry.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::{Host, IMAGE, expect, setonix, small};

/// Makes the images of the other kinds, and a registry with TLS that wants a log-in (carol, s3cret).
const PREPARE: &str = r#"
[ ! -e /srv/prepared ] || exit 0
cd /srv
copy() { skopeo copy --quiet --insecure-policy --dest-tls-verify=false "$@"; }
copy oci:image:1.0.0 oci-archive:image.tar:1.0.0
copy oci:image:1.0.0 docker-archive:saved.tar:demo:1.0.0
export APPTAINER_NOHTTPS=true
apptainer pull real.sif docker://127.0.0.1:5000/demo:1.0.0
apptainer push -U real.sif oras://127.0.0.1:5000/sif:1.0.0
apptainer sif list real.sif | grep -q Squashfs

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=tests-ca -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=registry -keyout tls.key -out tls.csr 2>/dev/null
echo subjectAltName=IP:127.0.0.1 >names
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out tls.crt 2>/dev/null
perl -e 'print "carol:", crypt("s3cret", q($2y$05$abcdefghijklmnopqrstuu)), "\n"' >users
cat >private.yml <<END
version: 0.1
storage: {filesystem: {rootdirectory: /srv/private}}
http: {addr: "127.0.0.1:5001", tls: {certificate: /srv/tls.crt, key: /srv/tls.key}}
auth: {htpasswd: {realm: tests, path: /srv/users}}
log: {level: error}
END
setsid docker-registry serve private.yml </dev/null >/var/log/private.log 2>&1 &
for try in $(seq 100); do
    ! copy --dest-creds carol:s3cret oci:image:1.0.0 docker://127.0.0.1:5001/team/demo:1.0.0 2>/dev/null || break
    sleep 0.1
done

cat >shell.def <<'END'
Bootstrap: scratch
%setup
    for f in /bin/sh /bin/sleep /bin/cat; do
        for p in $f $(ldd $f | grep -o '/[^ ]*'); do
            mkdir -p $APPTAINER_ROOTFS$(dirname $p)
            cp -L $p $APPTAINER_ROOTFS$p
        done
    done
%startscript
    exec sleep 1000
%runscript
    echo "run: $*, $GREETING"
END

# A layer larger than the small file system.
head -c 3000000 /dev/urandom >big
tar cf layer.tar big
id=$(sha256sum layer.tar | cut -d' ' -f1)
echo '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:'$id'"]}}' >config.json
echo '[{"Config":"config.json","RepoTags":["big:1"],"Layers":["layer.tar"]}]' >manifest.json
tar cf big.tar config.json layer.tar manifest.json
# Damaged layouts: a layer cut off, a manifest that is none.
cp -r image cut
cp -r image bad
for blob in cut/blobs/sha256/*; do
    [ "$(head -c 1 "$blob")" = "{" ] || truncate -s -5 "$blob"
done
echo '{"manifests": 1}' >bad/index.json
mkdir -p out err
chmod 777 out err
touch prepared
"#;

fn prepare(host: &Host) -> Result<(), String> {
    setonix(host)?;
    host.inside(PREPARE).map(drop)
}

/// A stand-in for a library of SIF files on the tests' side of the link, for one image; what the
/// program makes of it is tested as well. It serves until the tests end.
fn library(host: &Host) -> Result<String, String> {
    let sif = std::fs::read(format!("/proc/{}/root/srv/real.sif", host.first));
    let sif = sif.map_err(|fault| fault.to_string())?;
    let digest = host.inside("sha256sum /srv/real.sif | cut -d' ' -f1\n")?;
    let near = host.address.rsplit_once('.');
    let near = near.map_or_else(String::new, |(network, _)| format!("{network}.1"));
    let listener = TcpListener::bind((near.as_str(), 0)).map_err(|fault| fault.to_string())?;
    let address = listener.local_addr().map_err(|fault| fault.to_string())?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = String::new();
            let mut reader = BufReader::new(&stream);
            let _ = reader.read_line(&mut first);
            let mut line = String::new();
            while matches!(reader.read_line(&mut line), Ok(size) if size > 2) {
                line.clear();
            }
            let path = first.split([' ', '?']).nth(1).unwrap_or_default();
            let (status, body) = match path.strip_prefix("/v1/") {
                Some("images/lab/tools/demo:1.0.0") => {
                    let (digest, size) = (digest.trim(), sif.len());
                    let body = format!(
                        "{{\"data\":{{\"hash\":\"sha256.{digest}\",\"size\":{size},\"uploaded\":true}}}}"
                    );
                    ("200 OK", body.into_bytes())
                }
                Some("imagefile/lab/tools/demo:1.0.0") => ("200 OK", sif.clone()),
                _ if path == "/real.sif" => ("200 OK", sif.clone()),
                _ => ("404 Not Found", b"{}".to_vec()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body);
        }
    });
    Ok(format!("http://{address}"))
}

/// One task for each source, as one play.
fn tasks(sources: &[(&str, &str)]) -> String {
    let task = |(name, rest): &(&str, &str)| {
        format!("    - singularity: {{dest: /srv/out/{name}.sif, {rest}}}\n")
    };
    sources.iter().map(task).collect()
}

/// Check mode, run, second run: predicted, done, and done with; then Apptainer runs them all.
fn thrice(host: &Host, user: &str, sources: &[(&str, &str)]) -> Result<(), String> {
    host.inside("rm -f /srv/out/*\n")?;
    host.prepare(user, &["h"], &tasks(sources))?;
    let count = sources.len();
    let run = |more: &[&str]| host.rplay(&[&["play.yml", "-i", "hosts.ini"], more].concat());
    let all = format!("ok={count:<4} changed={count:<4} ");
    expect(run(&["--check", "--diff"])?, 0, &[&all, "failed=0"])?;
    expect((0, host.inside("ls -A /srv/out\n")? + "."), 0, &["."])?;
    expect(run(&[])?, 0, &[&all, "failed=0"])?;
    let (code, text) = run(&[])?;
    expect((code, text), 0, &[&format!("ok={count:<4} changed=0 ")])?;
    let said = host.inside("cd /srv/out; for f in *.sif; do apptainer run $f all; done\n")?;
    match said.matches("hello all, this is demo 1.0.0").count() {
        found if found == count => Ok(()),
        found => Err(format!("{found} of {count} images ran:\n{said}")),
    }
}

pub(super) fn sources(host: &Host) -> Result<(), String> {
    prepare(host)?;
    let library = library(host)?;
    let http = format!("image: \"{library}/real.sif\", plain_http: true");
    let native = format!(
        "image: \"library://lab/tools/demo:1.0.0\", library: \"{library}\", plain_http: true"
    );
    let tagged = format!("image: \"{IMAGE}:1.0.0\"");
    let private = "image: \"docker://127.0.0.1:5001/team/demo:1.0.0\", plain_http: false, validate_certs: false, username: carol, password: s3cret";
    let mirrored = "image: \"docker://registry.invalid/demo:1.0.0\", mirrors: [\"127.0.0.1:9\", \"http://127.0.0.1:5000\"]";
    let digest = host.inside(
        "skopeo inspect --tls-verify=false --format '{{.Digest}}' docker://127.0.0.1:5000/demo:1.0.0\n",
    )?;
    let digest = format!("image: \"{IMAGE}@{}\"", digest.trim());
    thrice(
        host,
        "root",
        &[
            ("tag", &tagged),
            ("digest", &digest),
            ("layout", "image: \"oci:/srv/image:1.0.0\""),
            ("archive", "image: \"oci-archive:/srv/image.tar:1.0.0\""),
            ("saved", "image: \"docker-archive:/srv/saved.tar\""),
            ("oras", "image: \"oras://127.0.0.1:5000/sif:1.0.0\""),
            (
                "file",
                "image: /srv/real.sif, owner: carol, group: carol, mode: \"0750\"",
            ),
            ("http", &http),
            ("library", &native),
            ("private", private),
            ("mirrored", mirrored),
        ],
    )?;
    let owner = host.inside("stat -c '%U:%G %a' /srv/out/file.sif; ls -A /srv/out\n")?;
    expect((0, owner.clone()), 0, &["carol:carol 750\n"])?;
    if owner.lines().any(|name| name.starts_with('.')) {
        return Err(format!("something is left:\n{owner}"));
    }
    // The same by the program, of which the last two are in a module.
    let foreign = format!(
        "image: \"library://lab/tools/demo:1.0.0\", library: \"{library}\", plain_http: true, engine: apptainer"
    );
    let program = format!("{tagged}, engine: program");
    let module = format!("{tagged}, module: singularity/4.1.0-slurm");
    let both = format!("{tagged}, module: singularity, engine: singularity");
    thrice(
        host,
        "carol",
        &[
            ("program", &program),
            (
                "layout",
                "image: \"oci:/srv/image:1.0.0\", engine: apptainer",
            ),
            ("library", &foreign),
            ("module", &module),
            ("both", &both),
        ],
    )?;
    moved(host)
}

/// A tag that names another image now.
fn moved(host: &Host) -> Result<(), String> {
    host.inside("rm -f /srv/out/*\n")?;
    let tag = |version: &str| {
        host.inside(&format!(
            "skopeo copy --quiet --all --insecure-policy --dest-tls-verify=false --dest-no-creds oci:/srv/image:{version} docker://127.0.0.1:5000/demo:moving\n"
        ))
    };
    let play = |engine: &str, state: &str| {
        let words =
            format!("image: \"{IMAGE}:moving\", state: {state}, engine: {engine}, arch: amd64");
        host.prepare("root", &["h"], &tasks(&[(engine, &words)]))
    };
    let run = |more: &[&str]| host.rplay(&[&["play.yml", "-i", "hosts.ini"], more].concat());
    for engine in ["native", "program"] {
        tag("1.0.0")?;
        play(engine, "latest")?;
        expect(run(&[])?, 0, &["changed=1"])?;
        expect(run(&[])?, 0, &["changed=0"])?;
        tag("1.1.0")?;
        play(engine, "present")?;
        expect(run(&[])?, 0, &["changed=0"])?;
        play(engine, "latest")?;
        let texts = [
            "-        \"org.opencontainers.image.version\": \"1.0.0\"",
            "changed=1",
        ];
        expect(run(&["--check", "--diff"])?, 0, &texts)?;
        expect(run(&[])?, 0, &["changed=1"])?;
        let said = host.inside(&format!("apptainer run /srv/out/{engine}.sif it\n"))?;
        expect((0, said), 0, &["this is demo 1.1.0"])?;
        expect(run(&[])?, 0, &["changed=0"])?;
        let again = format!("image: \"{IMAGE}:moving\", force: true, engine: {engine}");
        host.prepare("root", &["h"], &tasks(&[(engine, &again)]))?;
        expect(run(&[])?, 0, &["changed=1"])?;
    }
    Ok(())
}

pub(super) fn faults(host: &Host) -> Result<(), String> {
    prepare(host)?;
    host.inside(&format!(
        "echo kept >/srv/err/kept\n{}",
        small("/srv/err/full", "root")
    ))?;
    let wrong = "0".repeat(64);
    let digest = format!("image: \"{IMAGE}:1.0.0\", digest: \"{wrong}\"");
    let arch = format!("image: \"{IMAGE}:1.0.0\", arch: s390x");
    let none = format!("image: \"{IMAGE}:9\"");
    let private = "image: \"docker://127.0.0.1:5001/team/demo:1.0.0\", plain_http: false";
    let open = format!("{private}, validate_certs: false");
    let denied = format!("{open}, username: carol, password: not-this");
    let faults: &[(&str, &str)] = &[
        (
            "image: \"docker://127.0.0.1:9/demo:1\"",
            "registry 127.0.0.1:9: ",
        ),
        (&none, "there is no image 127.0.0.1:5000/demo:9"),
        (&digest, "has the wrong digest: expected sha256:0000"),
        (&arch, "has no image for linux/s390x; it has linux/amd64"),
        ("image: \"oci:/srv/cut:1.0.0\"", "the layer sha256:"),
        (
            "image: \"oci:/srv/bad:1.0.0\"",
            "index.json of /srv/bad cannot be read",
        ),
        (
            private,
            "`validate_certs: false` goes on without checking it",
        ),
        (&open, "needs a log-in; give `username` and `password`"),
        (&denied, "the log-in is wrong"),
        (
            "image: \"oras://127.0.0.1:5000/demo:1.0.0\"",
            "127.0.0.1:5000/demo:1.0.0 is not a SIF file; an image of layers is named with `docker://`",
        ),
        (
            "image: \"docker://127.0.0.1:5000/sif:1.0.0\"",
            "127.0.0.1:5000/sif:1.0.0 is a SIF file, not an image of layers; name it with `oras://`",
        ),
        (
            "image: /srv/shell.def, engine: native",
            "which only the program builds",
        ),
        (
            "image: \"docker-archive:/srv/big.tar\", dest: /srv/err/full/x.sif",
            "no space is left",
        ),
    ];
    let task = |(rest, _): &(&str, &str)| {
        let dest = match rest.contains("dest:") {
            true => "",
            false => "dest: /srv/err/x.sif, ",
        };
        format!("    - singularity: {{{dest}{rest}}}\n      ignore_errors: true\n")
    };
    let tasks: String = faults.iter().map(task).collect();
    let (code, text) = host.play("root", &tasks)?;
    let count = format!("ok={:<4} changed=0 ", faults.len());
    let texts: Vec<&str> = faults
        .iter()
        .map(|(_, text)| *text)
        .chain([count.as_str()])
        .collect();
    expect((code, text), 0, &texts)?;
    let left =
        host.inside("ls -A /srv/err /srv/err/full; cat /srv/err/kept; umount /srv/err/full\n")?;
    if left != "/srv/err:\nfull\nkept\n\n/srv/err/full:\nkept\n" {
        return Err(format!("something is left:\n{left}"));
    }
    // With room and the right image, the same tasks get through.
    let good =
        "    - singularity: {dest: /srv/err/full/x.sif, image: \"docker-archive:/srv/big.tar\"}\n";
    expect(host.play("root", good)?, 0, &["changed=1"])?;
    // A certificate that the machine trusts, and the log-in that the program has left.
    host.inside(
        "cat /srv/ca.crt >>/etc/ssl/certs/ca-certificates.crt
        echo s3cret | apptainer registry login -u carol --password-stdin docker://127.0.0.1:5001 2>&1\n",
    )?;
    let good = format!("    - singularity: {{dest: /srv/err/x.sif, {private}}}\n");
    expect(host.play("root", &good)?, 0, &["changed=1"])?;
    // A layer that the registry has lost the end of; the file that is there stays.
    let damage = "sha256sum /srv/err/x.sif >/srv/sum
        for blob in /srv/private/docker/registry/v2/blobs/sha256/*/*/data; do
            [ \"$(head -c 1 $blob)\" = \"{\" ] || truncate -s -5 $blob
        done\n";
    host.inside(damage)?;
    let again = format!("    - singularity: {{dest: /srv/err/x.sif, force: true, {private}}}\n");
    let texts = ["the layer sha256:", "failed=1"];
    expect(host.play("root", &again)?, 2, &texts)?;
    let left = host.inside("sha256sum -c /srv/sum; ls -A /srv/err\n")?;
    expect((0, left), 0, &["x.sif: OK\nfull\nkept\nx.sif\n"])
}

/// The modules around the program, as a user without rights.
const FAMILY: &str = r#"
    - lmod: {load: [singularity], show: [singularity/4.1.0-slurm]}
      register: modules
    - assert:
        that:
          - modules.available == ['singularity/4.1.0-slurm']
          - modules.loaded == ['singularity/4.1.0-slurm']
          - "'prepend_path' in modules.show['singularity/4.1.0-slurm']"
          - ansible_facts.lmod.environment.SINGULARITY_NOHTTPS == '1'
    - command: singularity --version
      environment: "{{ modules.environment }}"
    - lmod: {load: [nothing/1]}
      ignore_errors: true
    - singularity: {image: /srv/shell.def, dest: ~/shell.sif}
      register: built
    - singularity_inspect: {image: ~/shell.sif}
      register: inspected
    - assert:
        that:
          - inspected.digest == built.digest
          - "'run: $*' in inspected.runscript"
          - "'Bootstrap: scratch' in inspected.deffile"
    - singularity_run:
        image: ~/shell.sif
        argv: [a b, "$c"]
        env: {GREETING: hello}
      register: ran
    - singularity_exec:
        image: ~/shell.sif
        cmd: sh -c 'cat; pwd; exit 3'
        stdin: text
        module: [singularity]
        pwd: /tmp
        bind: [/srv]
        cleanenv: true
      register: failed
      ignore_errors: true
    - singularity_exec: {image: ~/shell.sif, cmd: cat /none, creates: ~/shell.sif}
    - assert:
        that:
          - "ran.stdout == 'run: a b $c, hello'"
          - failed.rc == 3
          - failed.stdout_lines == ['text', '/tmp']
          - failed.cmd == ['sh', '-c', 'cat; pwd; exit 3']
"#;

const INSTANCE: &str = r#"
    - apptainer_instance: {name: one, image: ~/shell.sif}
      register: started
    - singularity_instance: {name: one, image: ~/shell.sif}
      register: again
    - copy: {src: /home/carol/shell.sif, dest: ~/other.sif, mode: "0755", remote_src: true}
    - singularity_instance: {name: one, image: ~/other.sif, args: [a]}
      register: other
    - singularity_exec: {image: "instance://one", cmd: cat /proc/1/comm}
    - singularity_instance: {name: one, image: ~/other.sif, state: restarted}
    - singularity_instance: {name: one, state: stopped}
      register: stopped
    - singularity_instance: {name: one, state: stopped}
    - assert:
        that:
          - started is changed and again is not changed
          - other is changed and other.image is match('.*other.sif')
          - stopped is changed and stopped.state == 'stopped'
"#;

pub(super) fn containers(host: &Host) -> Result<(), String> {
    prepare(host)?;
    let texts = ["unknown: \\\"nothing/1\\\"", "failed=0", "ignored=2"];
    expect(host.play("carol", FAMILY)?, 0, &texts)?;
    host.prepare("carol", &["h"], INSTANCE)?;
    let run = |more: &[&str]| host.rplay(&[&["play.yml", "-i", "hosts.ini"], more].concat());
    let check = run(&["--check", "--diff"])?;
    expect(
        check,
        0,
        &[
            "+    \"state\": \"started\"",
            "ok=8    changed=5",
            "failed=0",
        ],
    )?;
    let listed = || host.inside("su carol -c 'apptainer instance list'\n");
    if listed()?.contains("one") {
        return Err("the look started an instance".to_owned());
    }
    // The command in the instance is the one change that check mode cannot tell of.
    expect(run(&[])?, 0, &["ok=9    changed=6", "failed=0"])?;
    match listed()?.contains("one") {
        true => Err("the instance is still there".to_owned()),
        false => Ok(()),
    }
}
