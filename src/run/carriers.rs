//! Connections through programs: `docker`, `podman`, `kubectl`, `chroot`, with Ansible's variables.

use rplay_modules::data::Data;
use serde_json::{Value as Json, json};

use super::context::{expand_home, to_bool};
use super::target::Settings;
use crate::action::ActionError;
use crate::connect::{Carrier, Secret};
use crate::template::value::Value;

/// The program of a connection's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Program {
    Docker,
    Podman,
    Kubectl,
    Chroot,
}

impl Program {
    /// The names are Ansible's, and those that they had before.
    pub(super) fn of(connection: &str) -> Option<Self> {
        Some(match connection {
            "docker" | "community.docker.docker" | "community.general.docker" => Self::Docker,
            "podman" | "containers.podman.podman" => Self::Podman,
            "kubectl" | "kubernetes.core.kubectl" | "community.kubernetes.kubectl" => Self::Kubectl,
            "chroot" | "community.general.chroot" => Self::Chroot,
            _ => return None,
        })
    }

    /// The variables that name what is to be reached; the last one of them that is set counts.
    pub(super) fn address(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &["ansible_docker_host", "ansible_host"],
            Self::Podman => &["ansible_podman_host", "ansible_host"],
            Self::Kubectl => &["ansible_kubectl_pod", "ansible_host"],
            Self::Chroot => &["ansible_host"],
        }
    }

    /// The variables that name the user; Ansible's `kubectl` and `chroot` have none.
    pub(super) fn user(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &["ansible_docker_user", "ansible_user"],
            Self::Podman => &["ansible_user"],
            Self::Kubectl | Self::Chroot => &[],
        }
    }
}

/// What starts command lines in a container, a pod or a folder.
pub(super) fn carrier(
    settings: &Settings<'_>,
    program: Program,
    address: &str,
    user: Option<&str>,
) -> Result<Carrier, ActionError> {
    match program {
        Program::Docker => container(settings, &DOCKER, address, user),
        Program::Podman => container(settings, &PODMAN, address, user),
        Program::Kubectl => kubectl(settings, address),
        Program::Chroot => chroot(settings, address),
    }
}

/// A variable's text, or that of the environment.
fn text(
    settings: &Settings<'_>,
    vars: &[&str],
    env: &[&str],
) -> Result<Option<String>, ActionError> {
    let told = settings.var_text(vars)?;
    let env = || env.iter().find_map(|name| std::env::var(name).ok());
    Ok(told.or_else(env).filter(|text| !text.is_empty()))
}

/// A line of arguments as words.
fn words(settings: &Settings<'_>, vars: &[&str], env: &[&str]) -> Result<Vec<String>, ActionError> {
    let line = text(settings, vars, env)?.unwrap_or_default();
    rplay_modules::text::split_words(&line).map_err(ActionError::new)
}

/// A variable that is a dictionary of texts.
fn pairs(settings: &Settings<'_>, name: &str) -> Result<Vec<(String, String)>, ActionError> {
    let Some(value) = settings.var(&[name])? else {
        return Ok(Vec::new());
    };
    let Data::Map(map) = data(&value)? else {
        let text = format!("`{name}` must be a dictionary");
        return Err(ActionError::new(text));
    };
    let pairs = map.iter();
    Ok(pairs
        .map(|(name, value)| (name.clone(), value.text()))
        .collect())
}

fn data(value: &Value) -> Result<Data, ActionError> {
    value.to_data().map_err(ActionError::new)
}

fn flag(settings: &Settings<'_>, vars: &[&str], env: &[&str]) -> Result<bool, ActionError> {
    let told = settings.var(vars)?.as_ref().and_then(to_bool);
    let env = || {
        let found = env.iter().find_map(|name| std::env::var(name).ok())?;
        to_bool(&Value::str(found))
    };
    Ok(told.or_else(env).unwrap_or(false))
}

/// A container engine's program, and the variables for it.
struct Engine {
    program: &'static str,
    /// Another program instead.
    executable: Names,
    arguments: Names,
    /// Variables for the programs inside.
    variables: &'static str,
    user: &'static str,
    privileged: Names,
    folder: (&'static str, Names),
}

/// Variables of a host, and of the environment.
type Names = (&'static [&'static str], &'static [&'static str]);

const DOCKER: Engine = Engine {
    program: "docker",
    executable: (&[], &[]),
    arguments: (&["ansible_docker_extra_args"], &[]),
    variables: "ansible_docker_extra_env",
    user: "-u",
    privileged: (
        &["ansible_docker_privileged"],
        &["ANSIBLE_DOCKER_PRIVILEGED"],
    ),
    folder: (
        "-w",
        (
            &["ansible_docker_working_dir"],
            &["ANSIBLE_DOCKER_WORKING_DIR"],
        ),
    ),
};

const PODMAN: Engine = Engine {
    program: "podman",
    executable: (
        &["ansible_podman_executable"],
        &["ANSIBLE_PODMAN_EXECUTABLE"],
    ),
    arguments: (
        &["ansible_podman_extra_args"],
        &["ANSIBLE_PODMAN_EXTRA_ARGS"],
    ),
    variables: "ansible_podman_extra_env",
    user: "--user",
    privileged: (&[], &[]),
    folder: ("--workdir", (&["ansible_podman_working_directory"], &[])),
};

fn container(
    settings: &Settings<'_>,
    engine: &Engine,
    address: &str,
    user: Option<&str>,
) -> Result<Carrier, ActionError> {
    let program = text(settings, engine.executable.0, engine.executable.1)?;
    let mut command = vec![program.unwrap_or_else(|| engine.program.to_owned())];
    command.extend(words(settings, engine.arguments.0, engine.arguments.1)?);
    command.push("exec".to_owned());
    let mut add = |option: &str, value: Option<String>| {
        command.extend(
            value
                .into_iter()
                .flat_map(|value| [option.to_owned(), value]),
        );
    };
    add(engine.user, user.map(str::to_owned));
    // Only the names are arguments, the program has the values.
    let env = pairs(settings, engine.variables)?;
    for (name, _) in &env {
        add("-e", Some(name.clone()));
    }
    let (option, names) = engine.folder;
    add(option, text(settings, names.0, names.1)?);
    if flag(settings, engine.privileged.0, engine.privileged.1)? {
        command.push("--privileged".to_owned());
    }
    command.extend(["-i", address, "/bin/sh"].map(str::to_owned));
    Ok(Carrier {
        command,
        env,
        what: format!("the container `{address}`"),
        ..Carrier::default()
    })
}

/// The program's options that are no secret, with their variables.
const KUBECTL: &[(&str, &[&str], &[&str])] = &[
    (
        "context",
        &["ansible_kubectl_context"],
        &["K8S_AUTH_CONTEXT"],
    ),
    (
        "server",
        &["ansible_kubectl_host", "ansible_kubectl_server"],
        &["K8S_AUTH_HOST", "K8S_AUTH_SERVER"],
    ),
    (
        "namespace",
        &["ansible_kubectl_namespace"],
        &["K8S_AUTH_NAMESPACE"],
    ),
    (
        "client-certificate",
        &["ansible_kubectl_cert_file", "ansible_kubectl_client_cert"],
        &["K8S_AUTH_CERT_FILE"],
    ),
    (
        "client-key",
        &["ansible_kubectl_key_file", "ansible_kubectl_client_key"],
        &["K8S_AUTH_KEY_FILE"],
    ),
    (
        "certificate-authority",
        &["ansible_kubectl_ssl_ca_cert", "ansible_kubectl_ca_cert"],
        &["K8S_AUTH_SSL_CA_CERT"],
    ),
];

fn kubectl(settings: &Settings<'_>, address: &str) -> Result<Carrier, ActionError> {
    let mut command = vec!["kubectl".to_owned()];
    let mut env = pairs(settings, "ansible_kubectl_local_env_vars")?;
    let mut file = None;
    let config = ["ansible_kubectl_kubeconfig", "ansible_kubectl_config"];
    match settings.var(&config)? {
        // A configuration as it stands in the inventory may hold keys.
        Some(value @ Value::Dict(_)) => {
            let text = data(&value)?.to_json().to_string();
            file = Some(("KUBECONFIG".to_owned(), Secret::from(text)));
        }
        Some(value) => {
            let path = expand_home(&value.to_string());
            env.push(("KUBECONFIG".to_owned(), path.display().to_string()));
        }
        None => {
            if let Ok(path) = std::env::var("K8S_AUTH_KUBECONFIG") {
                let path = expand_home(&path).display().to_string();
                env.push(("KUBECONFIG".to_owned(), path));
            }
        }
    }
    for (option, vars, names) in KUBECTL {
        if let Some(value) = text(settings, vars, names)? {
            command.push(format!("--{option}={value}"));
        }
    }
    let checks = [
        "ansible_kubectl_verify_ssl",
        "ansible_kubectl_validate_certs",
    ];
    if settings.var(&checks)?.as_ref().and_then(to_bool) == Some(false)
        || std::env::var("K8S_AUTH_VERIFY_SSL")
            .is_ok_and(|text| to_bool(&Value::str(text)) == Some(false))
    {
        command.push("--insecure-skip-tls-verify=true".to_owned());
    }
    if let Some(user) = login(settings)? {
        if file.is_some() {
            let text = "a log-in of `kubectl` goes into the dictionary of `ansible_kubectl_kubeconfig`, where that is one";
            return Err(ActionError::new(text));
        }
        // In a file, because arguments are there for all to see.
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "users": [{"name": "rplay", "user": user}],
        });
        file = Some(("KUBECONFIG".to_owned(), Secret::from(config.to_string())));
        command.push("--user=rplay".to_owned());
    }
    command.extend(words(
        settings,
        &["ansible_kubectl_extra_args"],
        &["K8S_AUTH_EXTRA_ARGS"],
    )?);
    command.extend(["exec", "-i", address].map(str::to_owned));
    let container = text(
        settings,
        &["ansible_kubectl_container"],
        &["K8S_AUTH_CONTAINER"],
    )?;
    command.extend(
        container
            .into_iter()
            .flat_map(|name| ["-c".to_owned(), name]),
    );
    command.extend(["--", "/bin/sh"].map(str::to_owned));
    Ok(Carrier {
        command,
        env,
        file,
        what: format!("the pod `{address}`"),
        ..Carrier::default()
    })
}

/// A token, or a user with a password.
fn login(settings: &Settings<'_>) -> Result<Option<Json>, ActionError> {
    let secret = |vars: &[&str], env: &[&str]| -> Result<Option<Secret>, ActionError> {
        let env = || env.iter().find_map(|name| std::env::var(name).ok());
        Ok(settings.secret(vars)?.or_else(|| env().map(Secret::from)))
    };
    let token = secret(
        &["ansible_kubectl_token", "ansible_kubectl_api_key"],
        &["K8S_AUTH_TOKEN", "K8S_AUTH_API_KEY"],
    )?;
    if let Some(token) = token {
        return Ok(Some(json!({"token": token.expose()})));
    }
    let user = text(
        settings,
        &["ansible_kubectl_username", "ansible_kubectl_user"],
        &["K8S_AUTH_USERNAME"],
    )?;
    let password = secret(&["ansible_kubectl_password"], &["K8S_AUTH_PASSWORD"])?;
    Ok(user.map(|user| {
        let password = password.as_ref().map_or("", Secret::expose);
        json!({"username": user, "password": password})
    }))
}

fn chroot(settings: &Settings<'_>, address: &str) -> Result<Carrier, ActionError> {
    let program = text(settings, &["ansible_chroot_exe"], &["ANSIBLE_CHROOT_EXE"])?;
    let program = program.unwrap_or_else(|| "chroot".to_owned());
    let shell = text(settings, &["ansible_executable"], &["ANSIBLE_EXECUTABLE"])?;
    let shell = shell.unwrap_or_else(|| "/bin/sh".to_owned());
    let anybody = flag(settings, &["ansible_chroot_disable_root_check"], &[])?;
    Ok(Carrier {
        command: vec![program, address.to_owned(), shell],
        what: format!("the folder `{address}`"),
        root: Some((address.into(), !anybody)),
        ..Carrier::default()
    })
}
