//! Engines that are somewhere else: behind TLS on a port that only the host reaches, and behind the host's own `ssh`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Engine;
use crate::harness::scenario::{self, expect, finish};
use crate::ssh::Server;

fn server(engine: &Engine, config: &str) -> Result<Server, String> {
    Server::with_config(&engine.root, config).map_err(|reason| format!("skip: {reason}"))
}

/// Runs a script of this machine in a folder.
fn shell(folder: &Path, script: &str) -> Result<String, String> {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(folder);
    match finish(&mut command)? {
        (0, text) => Ok(text),
        (code, text) => Err(format!("exit code {code} of `{script}`\n{text}")),
    }
}

/// The certificates lie on the host, readable for its user alone; the engine's port is in a network of its own, and the
/// server is started there for each connection.
pub(super) fn tls(engine: &Engine) -> Result<(), String> {
    let server = server(engine, "")?;
    let certificates = server.file("tls");
    let prepare = format!(
        "mkdir {0}; cp {1}/ca.pem {1}/cert.pem {1}/key.pem {0}
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout {0}/other.key -out {0}/other.pem 2>/dev/null
        chown -R rplaytest {0}; chmod 700 {0}",
        certificates.display(),
        engine.file("run/tls").display(),
    );
    shell(engine.folder.path(), &prepare)?;
    let ssh = format!(
        "-F none -o UserKnownHostsFile={} -o 'ProxyCommand=nsenter -t {} --net /usr/sbin/sshd -i -f {} -E {}'",
        server.file("known_hosts").display(),
        engine.inner,
        server.file("sshd_config").display(),
        server.file("log").display(),
    );
    engine.write("far.ini", &format!("{}\n", server.host("far")))?;
    let play = |hosts: &str, more: &str, tasks: &str, words: &[&str]| {
        let play = format!(
            "- hosts: {hosts}\n  gather_facts: false\n  module_defaults:\n    group/community.docker.docker: {{docker_host: tcp://127.0.0.1:2376{more}}}\n  tasks:\n{tasks}"
        );
        engine.write("far.yml", &play)?;
        let all = ["far.yml", "-i", "far.ini", "--ssh-common-args", &ssh];
        let all = [&all[..], words].concat();
        let folder = engine.folder.path();
        finish(&mut scenario::command(folder, folder, &all))
    };
    let file = |name: &str| certificates.join(name).display().to_string();
    let client = format!(
        ", client_cert: {}, client_key: {}",
        file("cert.pem"),
        file("key.pem")
    );
    let good = format!(
        "{client}, ca_path: {}, validate_certs: true",
        file("ca.pem")
    );
    let info = "    - community.docker.docker_host_info:\n";
    // From here nobody gets there.
    expect(
        play("localhost", &good, info, &[])?,
        2,
        &["tcp://127.0.0.1:2376: Connection refused"],
    )?;
    let work = "    - community.docker.docker_volume: {name: far}
    - community.docker.docker_container: {name: far, image: '127.0.0.1:5001/demo:1.0.0', volumes: ['far:/data']}
    - community.docker.docker_container_exec: {container: far, command: cat, stdin: through both}
      register: ran
      changed_when: false
    - assert: {that: \"ran.stdout == 'through both'\"}
";
    expect(play("far", &good, work, &["--check"])?, 0, &["changed=2"])?;
    expect(play("far", &good, work, &[])?, 0, &["ok=4    changed=2"])?;
    expect(play("far", &good, work, &[])?, 0, &["ok=4    changed=0"])?;
    engine.docker(&["rm", "-f", "far"])?;
    engine.docker(&["volume", "rm", "far"])?;
    // By variables, and by the name that the certificate has.
    let by_variables = format!(
        "    - community.docker.docker_host_info:\n      environment: {{DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: {}, DOCKER_TLS_HOSTNAME: engine.test}}\n",
        certificates.display()
    );
    expect(play("far", "", &by_variables, &[])?, 0, &["ok=1"])?;
    for (more, why) in [
        (
            format!(
                "{client}, ca_path: {}, validate_certs: true",
                file("other.pem")
            ),
            "tcp://127.0.0.1:2376: TLS: invalid peer certificate: UnknownIssuer; `ca_path` names the authorities that count",
        ),
        (
            format!("{good}, tls_hostname: other.test"),
            "certificate not valid for name \\\"other.test\\\"; certificate is only valid for",
        ),
        (
            format!(", ca_path: {}, validate_certs: true", file("ca.pem")),
            "tcp://127.0.0.1:2376: TLS: the engine wants a certificate: give `client_cert` and `client_key`",
        ),
        (
            good.replace("cert.pem", "other.pem")
                .replace("key.pem", "other.key"),
            "tcp://127.0.0.1:2376: TLS: the engine does not take `client_cert`",
        ),
        (
            format!("{good}, tls_hostname: 'no name'"),
            "`no name` is no name that a certificate could have",
        ),
        (
            good.replace("cert.pem", "none.pem"),
            "none.pem that could be read on the host",
        ),
    ] {
        let told = play("far", &more, info, &[])?;
        expect(told, 2, &[why, "failed=1"]).map_err(|told| format!("{more}: {told}"))?;
    }
    // A server that forwards nothing.
    let text = std::fs::read_to_string(server.file("sshd_config"));
    let text = text.map_err(|fault| fault.to_string())?;
    let closed = format!("AllowTcpForwarding no\n{text}");
    std::fs::write(server.file("sshd_config"), closed).map_err(|fault| fault.to_string())?;
    expect(
        play("far", &good, info, &[])?,
        2,
        &["tcp://127.0.0.1:2376: ", "failed=1"],
    )
}

/// The search path with an `ssh` that knows the keys of a server, before the engine's programs.
fn with_ssh(engine: &Engine, server: &Server) -> Result<std::ffi::OsString, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = engine.file("ssh");
    std::fs::create_dir_all(&folder).map_err(|fault| fault.to_string())?;
    let script = format!(
        "#!/bin/sh\nexec /usr/bin/ssh -F none -i {} -o UserKnownHostsFile={} \"$@\"\n",
        server.file("id_ed25519").display(),
        server.file("known_hosts").display()
    );
    std::fs::write(folder.join("ssh"), script).map_err(|fault| fault.to_string())?;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.join("ssh"), mode).map_err(|fault| fault.to_string())?;
    let known = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = vec![folder, engine.tools.join("usr/bin")];
    folders.extend(std::env::split_paths(&known));
    std::env::join_paths(folders).map_err(|fault| fault.to_string())
}

/// `docker_host: ssh://...`: the host's `ssh` starts `docker system dial-stdio` on the machine of the engine.
pub(super) fn by_ssh(engine: &Engine) -> Result<(), String> {
    let socket = engine.file("run/sock");
    let config = format!(
        "SetEnv DOCKER_HOST=unix://{} PATH={}:/usr/bin:/bin",
        socket.display(),
        engine.tools.join("usr/bin").display()
    );
    let server = server(engine, &config)?;
    let path = with_ssh(engine, &server)?;
    engine.write("stack.ini", "localhost ansible_connection=local\n")?;
    let play = |address: &str, tasks: &str, words: &[&str]| {
        let play = format!(
            "- hosts: localhost\n  gather_facts: false\n  module_defaults:\n    group/community.docker.docker: {{docker_host: \"{{{{ lookup('file', 'address') }}}}\"}}\n  tasks:\n{tasks}"
        );
        engine.write("address", address)?;
        engine.write("by_ssh.yml", &play)?;
        let all = [&["by_ssh.yml", "-i", "stack.ini"][..], words].concat();
        let mut command = scenario::command(engine.folder.path(), &engine.file("run/home"), &all);
        finish(command.env("PATH", &path))
    };
    let port = server.port();
    let usual = format!("ssh://root@127.0.0.1:{port}");
    let work = "    - community.docker.docker_volume: {name: far}
    - community.docker.docker_container: {name: far, image: '127.0.0.1:5001/demo:1.0.0', volumes: ['far:/data'], use_ssh_client: true}
    - community.docker.docker_container_exec: {container: far, command: cat, stdin: over there}
      register: ran
      changed_when: false
    - assert: {that: \"ran.stdout == 'over there'\"}
    - community.docker.docker_compose_v2:
        project_name: far
        definition: {services: {web: {image: '127.0.0.1:5001/demo:1.0.0'}}}
";
    expect(play(&usual, work, &["--check"])?, 0, &["changed=3"])?;
    expect(play(&usual, work, &[])?, 0, &["ok=5    changed=3"])?;
    // The socket may be named as well.
    let named = format!("{usual}{}", socket.display());
    expect(play(&named, work, &[])?, 0, &["ok=5    changed=0"])?;
    engine.docker(&["rm", "-f", "far", "far-web-1"])?;
    engine.docker(&["volume", "rm", "far"])?;
    let info = "    - community.docker.docker_host_info:\n";
    for (address, texts) in [
        (
            "ssh://root@127.0.0.1:1".to_owned(),
            &["ssh://root@127.0.0.1:1", "Connection refused"][..],
        ),
        (
            format!("ssh://nobody-there@127.0.0.1:{port}"),
            &["ssh://nobody-there@127.0.0.1:", "Permission denied"],
        ),
        // A user whose shell only says that there is none.
        (
            format!("ssh://nobody@127.0.0.1:{port}"),
            &["ssh://nobody@127.0.0.1:", "what answers is no engine"],
        ),
        (
            format!("{usual}/none.sock"),
            &["/none.sock", "no such file or directory"],
        ),
        (
            "ssh://root:geheim@127.0.0.1".to_owned(),
            &["the engine's address `ssh://...@127.0.0.1` has a password"],
        ),
    ] {
        let (code, text) = play(&address, info, &[])?;
        if text.contains("geheim") {
            return Err(format!("the password is told: {text}"));
        }
        expect((code, text), 2, texts).map_err(|told| format!("{address}: {told}"))?;
    }
    Ok(())
}
