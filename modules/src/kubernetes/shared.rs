//! Arguments that several modules of `kubernetes.core` have.

use std::path::PathBuf;

use rplay_modules::args::ModuleArgs;
use rplay_modules::data::{Data, Map};

/// How the API server is reached, and as whom. What is not given comes from `K8S_AUTH_*`, then from the
/// kubeconfig, then from the service account of the pod that rplay runs in.
#[derive(ModuleArgs, Clone)]
pub struct Auth {
    /// A kubeconfig: its path, several paths with `:` between them, or its content as a mapping.
    pub kubeconfig: Option<Data>,
    /// The context of the kubeconfig, instead of the current one.
    pub context: Option<String>,
    /// The address of the API server.
    pub host: Option<String>,
    /// A token.
    #[arg(secret)]
    pub api_key: Option<String>,
    /// The user of HTTP basic authentication.
    pub username: Option<String>,
    /// The password of this user.
    #[arg(secret)]
    pub password: Option<String>,
    /// Whether the certificate of the server is checked.
    #[arg(alias = "verify_ssl")]
    pub validate_certs: Option<bool>,
    /// The file of the authorities that may sign it.
    #[arg(alias = "ssl_ca_cert")]
    pub ca_cert: Option<PathBuf>,
    /// The file of a client certificate.
    #[arg(alias = "cert_file")]
    pub client_cert: Option<PathBuf>,
    /// The file of its key.
    #[arg(alias = "key_file")]
    pub client_key: Option<PathBuf>,
    /// The address of a proxy, `http://` or `socks5://`.
    pub proxy: Option<String>,
    /// Hosts, domains and networks that are reached without the proxy, with commas between them.
    pub no_proxy: Option<String>,
    /// Headers for the proxy: `proxy_basic_auth` (`USER:PASSWORD`), `basic_auth` and `user_agent`.
    pub proxy_headers: Option<Map>,
    /// Taken for compatibility: tokens are not refreshed in the kubeconfig, by Ansible neither.
    pub persist_config: Option<bool>,
    /// The user to act as.
    pub impersonate_user: Option<String>,
    /// The groups to act as.
    pub impersonate_groups: Option<Vec<String>>,
}

/// Which object is meant.
#[derive(ModuleArgs, Clone)]
pub struct Name {
    /// The version of the API, with its group: `v1`, `apps/v1`.
    #[arg(default = "v1", alias = "api", alias = "version")]
    pub api_version: String,
    /// The kind, its plural or a short name.
    pub kind: Option<String>,
    /// The object's name.
    pub name: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
}

/// What an object is to be like.
#[derive(ModuleArgs, Clone)]
pub struct Definition {
    /// The objects: a mapping, a list of mappings, or YAML text with any number of documents.
    #[arg(alias = "definition", alias = "inline")]
    pub resource_definition: Option<Data>,
    /// A file with them, or its address on a web server.
    #[arg(kind = "path")]
    pub src: Option<String>,
}

/// How long is waited, and for what.
#[derive(ModuleArgs, Clone)]
pub struct Wait {
    /// Wait until the objects are as they shall be.
    #[arg(default = "false")]
    pub wait: bool,
    /// Seconds between two looks.
    #[arg(default = "5")]
    pub wait_sleep: u64,
    /// Seconds after which the task fails.
    #[arg(default = "120")]
    pub wait_timeout: u64,
    /// The condition to wait for: `type`, `status` and `reason`.
    pub wait_condition: Option<Map>,
}

/// The program `helm`, and the cluster that it speaks to. What is not given comes from `K8S_AUTH_*`, then from what the
/// program itself finds on the host.
#[derive(ModuleArgs, Clone, Default)]
pub struct Helm {
    /// The path of the program; otherwise that of the search path.
    #[arg(kind = "path")]
    pub binary_path: Option<String>,
    /// The context of the kubeconfig, instead of the current one.
    #[arg(alias = "kube_context")]
    pub context: Option<String>,
    /// A kubeconfig: the path of one on the host that runs the program, or its content as a mapping.
    #[arg(alias = "kubeconfig_path")]
    pub kubeconfig: Option<Data>,
    /// The address of the API server.
    pub host: Option<String>,
    /// The file of the authorities that may sign its certificate.
    #[arg(alias = "ssl_ca_cert", kind = "path")]
    pub ca_cert: Option<String>,
    /// Whether the certificate of the server is checked.
    #[arg(alias = "verify_ssl")]
    pub validate_certs: Option<bool>,
    /// A token.
    #[arg(secret)]
    pub api_key: Option<String>,
}

/// The values that a chart is given.
#[derive(ModuleArgs, Clone, Default)]
pub struct Values {
    /// Values of the chart.
    #[arg(alias = "values", default = "{}")]
    pub release_values: Map,
    /// Files of the host with values; `release_values` comes after them.
    #[arg(default = "[]")]
    pub values_files: Vec<String>,
    /// Single values: mappings with `value` (`a.b=c`) and `value_type` (`raw`, `string`, `json` or `file`).
    pub set_values: Option<Vec<Map>>,
}
