//! An engine behind TLS, what containers get of devices, and what goes when nobody uses it any more.

use super::Engine;
use crate::harness::scenario::expect;

/// The engine's other address, with the client's certificates.
fn secured(engine: &Engine, more: &str) -> String {
    let folder = engine.file("run/tls").display().to_string();
    format!(
        "docker_host: tcp://127.0.0.1:2376, client_cert: {folder}/cert.pem, client_key: {folder}/key.pem{more}"
    )
}

pub(super) fn tls(engine: &Engine) -> Result<(), String> {
    let folder = engine.file("run/tls").display().to_string();
    let checked = secured(
        engine,
        &format!(", ca_path: {folder}/ca.pem, validate_certs: true"),
    );
    let work = format!(
        r#"
- community.docker.docker_container: {{{checked}, name: safe, image: "127.0.0.1:5001/demo:1.0.0"}}
- community.docker.docker_container_exec: {{{checked}, container: safe, command: cat, stdin: through TLS}}
  register: ran
- assert: {{that: "ran.stdout == 'through TLS'"}}
- community.docker.docker_compose_v2:
    {{{checked}, project_name: safe, definition: {{services: {{web: {{image: "127.0.0.1:5001/demo:1.0.0"}}}}}}}}
"#
    );
    expect(engine.play(&work, &[])?, 0, &["failed=0"])?;
    expect(engine.play(&work, &[])?, 0, &["failed=0"])?;
    engine.docker(&["rm", "-f", "safe", "safe-web-1"])?;
    // What is not given comes from the environment.
    let told = |tasks: &str| {
        format!(
            "{tasks}  environment: {{DOCKER_HOST: 'tcp://127.0.0.1:2376', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: {folder}}}\n"
        )
    };
    let info = "- community.docker.docker_host_info:\n";
    expect(engine.play(&told(info), &[])?, 0, &["ok=1"])?;
    let host_info = |words: &str| format!("- community.docker.docker_host_info: {{{words}}}\n");
    for words in [
        secured(engine, ", tls: true"),
        secured(
            engine,
            &format!(", ca_path: {folder}/ca.pem, validate_certs: true, tls_hostname: engine.test"),
        ),
        checked
            .replace("tcp://", "https://")
            .replace(", validate_certs: true", ""),
    ] {
        expect(engine.play(&host_info(&words), &[])?, 0, &["ok=1"])?;
    }
    for (words, why) in [
        (
            format!("{checked}, tls_hostname: other.test"),
            "TLS: invalid peer certificate",
        ),
        (
            secured(engine, ", validate_certs: true"),
            "TLS: invalid peer certificate: UnknownIssuer",
        ),
        (
            format!(
                "docker_host: tcp://127.0.0.1:2376, ca_path: {folder}/ca.pem, validate_certs: true"
            ),
            "the engine wants a certificate: give `client_cert` and `client_key`",
        ),
        (
            secured(engine, ", ca_path: /nonesuch/ca.pem, validate_certs: true"),
            "TLS config error: there is no file /nonesuch/ca.pem that could be read on the host",
        ),
        (
            secured(
                engine,
                &format!(", ca_path: {folder}/key.pem, validate_certs: true"),
            ),
            "key.pem holds no certificate",
        ),
        (
            "docker_host: tcp://127.0.0.1:2376, tls: true, client_cert: /x".to_owned(),
            "parameters are required together: client_cert, client_key",
        ),
        (
            "docker_host: tcp://127.0.0.1:2376".to_owned(),
            "Client sent an HTTP request to an HTTPS server",
        ),
    ] {
        expect(engine.play(&host_info(&words), &[])?, 2, &[why])?;
    }
    Ok(())
}

pub(super) fn devices(engine: &Engine) -> Result<(), String> {
    let task = |count: i64, rate: &str| {
        format!(
            r#"
- community.docker.docker_container:
    name: limits
    image: 127.0.0.1:5001/demo:1.0.0
    state: present
    device_requests: [{{driver: "", count: {count}, capabilities: [[gpu, compute]]}}]
    device_read_bps: [{{path: /dev/null, rate: {rate}}}]
    device_write_bps: [{{path: /dev/null, rate: 2M}}]
    device_read_iops: [{{path: /dev/null, rate: 100}}]
    device_write_iops: [{{path: /dev/null, rate: 200}}]
    mounts:
      - {{type: tmpfs, target: /small, tmpfs_size: 1M}}
      - {{type: bind, source: /tmp, target: /seen, read_only: true, read_only_non_recursive: true}}
"#
        )
    };
    expect(
        engine.play(&task(-1, "1M"), &["--check"])?,
        0,
        &["changed=1"],
    )?;
    expect(engine.play(&task(-1, "1M"), &[])?, 0, &["changed=1"])?;
    expect(
        engine.play(&task(-1, "1M"), &["--diff"])?,
        0,
        &["changed=0"],
    )?;
    let shown = engine.docker(&["inspect", "-f", "{{json .HostConfig}}", "limits"])?;
    for part in [
        "\"BlkioDeviceReadBps\":[{\"Path\":\"/dev/null\",\"Rate\":1048576}]",
        "\"BlkioDeviceWriteIOps\":[{\"Path\":\"/dev/null\",\"Rate\":200}]",
        "\"Count\":-1,\"DeviceIDs\":null,\"Capabilities\":[[\"gpu\",\"compute\"]]",
        "\"ReadOnlyNonRecursive\":true",
    ] {
        if !shown.contains(part) {
            return Err(format!("{part} is not in {shown}"));
        }
    }
    expect(
        engine.play(&task(2, "1M"), &["--diff"])?,
        0,
        &["changed=1", "+            \"Count\": 2"],
    )?;
    expect(
        engine.play(&task(2, "3M"), &["--check", "--diff"])?,
        0,
        &["changed=1", "3145728"],
    )?;
    engine.docker(&["rm", "-f", "limits"])?;
    // No driver of this machine can do it: the engine's words are told.
    let start = task(1, "1M").replace("state: present", "state: started");
    expect(
        engine.play(&start, &[])?,
        2,
        &["could not select device driver"],
    )?;
    // An engine that does not know an option would leave it out.
    let late = "- community.docker.docker_container: {name: limits, image: '127.0.0.1:5001/demo:1.0.0', state: present, api_version: '1.43', mounts: [{type: bind, source: /tmp, target: /x, read_only_non_recursive: true}]}\n";
    expect(
        engine.play(late, &[])?,
        2,
        &[
            "Docker API version is 1.43. Minimum version required is 1.44 to set mounts.read_only_non_recursive option.",
        ],
    )?;
    engine.docker(&["rm", "-f", "limits"]).map(|_| ())
}

pub(super) fn pruned(engine: &Engine) -> Result<(), String> {
    let update = |version: &str| {
        format!(
            r#"
- community.docker.docker_compose_v2:
    {{project_name: prune, definition: {{services: {{web: {{image: "127.0.0.1:5001/demo:{version}"}}}}}}}}
- community.docker.docker_prune: {{containers: true, images: true, images_filters: {{dangling: false}}, volumes: true}}
  register: gone
- ansible.builtin.debug: {{msg: "containers {{{{ gone.containers | length }}}}, images {{{{ gone.images | string | regex_findall(':5001/demo:[0-9.]+') | unique | sort | join(' ') }}}}, volumes {{{{ gone.volumes | length }}}}"}}
"#
        )
    };
    expect(engine.play(&update("1.0.0"), &[])?, 0, &["failed=0"])?;
    // It has ended, and nobody else has its image and its volume.
    engine.docker(&["pull", "-q", "127.0.0.1:5001/demo:1.2.0"])?;
    engine.docker(&[
        "run",
        "--name",
        "ended",
        "-v",
        "/kept",
        "127.0.0.1:5001/demo:1.2.0",
        "true",
    ])?;
    let told = "containers 1, images :5001/demo:1.0.0 :5001/demo:1.2.0, volumes 1";
    let images = || engine.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let before = images()?;
    expect(
        engine.play(&update("1.1.0"), &["--check"])?,
        0,
        &[told, "changed=2"],
    )?;
    if images()? != before {
        return Err("check mode changed the images".to_owned());
    }
    expect(engine.play(&update("1.1.0"), &[])?, 0, &[told, "changed=2"])?;
    if images()?.contains("demo:1.0.0") {
        return Err("the image is still there".to_owned());
    }
    let nothing = "containers 0, images , volumes 0";
    expect(
        engine.play(&update("1.1.0"), &["--check"])?,
        0,
        &[nothing, "changed=0"],
    )?;
    expect(
        engine.play(&update("1.1.0"), &[])?,
        0,
        &[nothing, "changed=0"],
    )?;
    // Back to what is there as well: it is used then, and what is used now is not.
    engine.docker(&["pull", "-q", "127.0.0.1:5001/demo:1.2.0"])?;
    let back = "containers 0, images :5001/demo:1.1.0, volumes 0";
    expect(engine.play(&update("1.2.0"), &["--check"])?, 0, &[back])?;
    expect(engine.play(&update("1.2.0"), &[])?, 0, &[back])?;
    engine.docker(&["rm", "-f", "prune-web-1"]).map(|_| ())
}
