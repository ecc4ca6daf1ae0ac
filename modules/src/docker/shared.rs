//! Arguments that several modules of `community.docker` have.

use std::path::PathBuf;

use rplay_modules::args::ModuleArgs;
use rplay_modules::data::Map;

/// How the engine is reached. What is not given comes from `DOCKER_HOST`, `DOCKER_API_VERSION`,
/// `DOCKER_TIMEOUT`, `DOCKER_TLS`, `DOCKER_TLS_VERIFY`, `DOCKER_TLS_HOSTNAME` and `DOCKER_CERT_PATH`. Files are the host's.
#[derive(ModuleArgs, Clone, Default)]
pub struct Reach {
    /// The engine's address as the host itself reaches it: `unix:///PATH`, `tcp://HOST:PORT`, `https://HOST:PORT`, or
    /// `ssh://USER@HOST:PORT` by the host's own `ssh`.
    #[arg(alias = "docker_url")]
    pub docker_host: Option<String>,
    /// The name that the engine's certificate has to have, where it is not that of the address.
    pub tls_hostname: Option<String>,
    /// The version of the API to speak; `auto` is the engine's own.
    #[arg(alias = "docker_api_version")]
    pub api_version: Option<String>,
    /// A file of authorities.
    #[arg(alias = "ca_cert", alias = "tls_ca_cert", alias = "cacert_path")]
    pub ca_path: Option<PathBuf>,
    /// The file of a client certificate.
    #[arg(alias = "tls_client_cert", alias = "cert_path")]
    pub client_cert: Option<PathBuf>,
    /// The file of its key.
    #[arg(alias = "tls_client_key", alias = "key_path")]
    pub client_key: Option<PathBuf>,
    /// Speak TLS, with whoever answers.
    pub tls: Option<bool>,
    /// Speak TLS, and check the certificate of the engine.
    #[arg(alias = "tls_verify")]
    pub validate_certs: Option<bool>,
}

/// How the engine is reached, and how long that may take.
#[derive(ModuleArgs, Clone, Default)]
pub struct Engine {
    /// Its address.
    #[arg(flatten)]
    pub reach: Reach,
    /// Seconds in which the engine has to say something.
    pub timeout: Option<u64>,
    /// Taken for compatibility; `-vvv` shows what is there to see.
    pub debug: Option<bool>,
    /// Taken for compatibility; addresses with `ssh://` are always reached by the host's `ssh`.
    pub use_ssh_client: Option<bool>,
}

/// Where the `docker` program is, and which engine it speaks to.
#[derive(ModuleArgs, Clone)]
pub struct Cli {
    /// The engine.
    #[arg(flatten)]
    pub reach: Reach,
    /// The program's path; otherwise that of the search path.
    pub docker_cli: Option<String>,
    /// The context of the program's configuration, instead of an address.
    pub cli_context: Option<String>,
}

/// A Compose project.
#[derive(ModuleArgs, Clone)]
pub struct Project {
    /// The `docker` program.
    #[arg(flatten)]
    pub cli: Cli,
    /// The folder with the project's files.
    #[arg(kind = "path")]
    pub project_src: Option<String>,
    /// The project's name; otherwise that of the file, or of the folder.
    pub project_name: Option<String>,
    /// The project's files, below its folder.
    pub files: Option<Vec<String>>,
    /// The project itself, instead of a folder; it needs `project_name`.
    pub definition: Option<Map>,
    /// Files with variables for the project's files, below its folder.
    pub env_files: Option<Vec<String>>,
    /// The profiles that are on.
    pub profiles: Option<Vec<String>>,
    /// Fail where the folder has none of the usual files.
    #[arg(default = "true")]
    pub check_files_existing: bool,
}

impl Cli {
    /// The engine that the program speaks to.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine {
            reach: self.reach.clone(),
            ..Engine::default()
        }
    }
}
