//! A registry: manifests and blobs over the OCI distribution protocol, with anonymous, basic and
//! bearer access.

use std::io::Read;
use std::time::Duration;

use super::credentials::Credentials;
use super::http::{Client, Request, Response, Url};
use super::image::{Descriptor, MANIFEST_TYPES};
use super::reference::Name;
use super::tls::Trust;
use super::{Digest, Error, Result};
use crate::json;
use crate::machine::Machine;

/// Waits between tries when the registry says that it is out of order.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// How to reach a registry.
pub(crate) struct Access {
    /// Credentials from the arguments; others are looked for where there are none.
    pub(crate) credentials: Option<Credentials>,
    /// Without TLS: asked for, refused, or (not said) only on this machine itself.
    pub(crate) plain_http: Option<bool>,
    /// Whose certificates are good.
    pub(crate) trust: Trust,
    /// How long connecting, and each wait for bytes, may take.
    pub(crate) timeout: Duration,
}

/// One repository of a registry.
pub(crate) struct Registry {
    name: Name,
    base: Url,
    client: Client,
    credentials: Option<Credentials>,
    plain: bool,
    authorization: Option<String>,
}

/// A manifest as the registry has it.
pub(crate) struct RawManifest {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Its media type; empty where nobody told.
    pub(crate) media_type: String,
    /// Its digest.
    pub(crate) digest: Digest,
}

impl Registry {
    /// A repository; nothing is asked yet.
    pub(crate) fn new(machine: &mut dyn Machine, name: &Name, access: &Access) -> Result<Self> {
        let host = if name.registry == "docker.io" {
            "registry-1.docker.io"
        } else {
            &name.registry
        };
        let mut base = Url::parse(&format!("https://{host}/"))?;
        let plain = access
            .plain_http
            .unwrap_or_else(|| Url::is_loopback(&base.host));
        if plain {
            base = Url::parse(&format!("http://{host}/"))?;
        }
        let credentials = match &access.credentials {
            Some(credentials) => Some(credentials.clone()),
            None => super::credentials::find(machine, name)?,
        };
        let client = Client::new(access.trust.clone(), access.timeout);
        Ok(Self {
            name: name.clone(),
            base,
            client,
            credentials,
            plain,
            authorization: None,
        })
    }

    /// The digest behind a tag, without the manifest; nothing where the registry does not tell it.
    pub(crate) fn digest(&mut self, machine: &mut dyn Machine) -> Result<Option<Digest>> {
        let path = format!(
            "/v2/{}/manifests/{}",
            self.name.repository,
            self.name.wanted()
        );
        let response = self.ask(machine, "HEAD", &path, &MANIFEST_TYPES.join(", "))?;
        Ok(response
            .header("docker-content-digest")
            .and_then(|value| Digest::parse(value).ok()))
    }

    /// A manifest by tag or digest.
    pub(crate) fn manifest(
        &mut self,
        machine: &mut dyn Machine,
        wanted: &str,
    ) -> Result<RawManifest> {
        let path = format!("/v2/{}/manifests/{wanted}", self.name.repository);
        let response = self.ask(machine, "GET", &path, &MANIFEST_TYPES.join(", "))?;
        let media_type = response.header("content-type").unwrap_or_default();
        let media_type = media_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        let bytes = response.document().map_err(|error| {
            Error::io(format!("the manifest of {}", self.name.display()), &error)
        })?;
        let digest = Digest::of(&bytes);
        if let Ok(expected) = Digest::parse(wanted)
            && expected != digest
        {
            return Err(Error::new(format!(
                "the registry answers with {digest} where {expected} was asked for"
            )));
        }
        Ok(RawManifest {
            bytes,
            media_type,
            digest,
        })
    }

    /// The bytes of a blob, unchecked.
    pub(crate) fn blob(
        &mut self,
        machine: &mut dyn Machine,
        blob: &Descriptor,
    ) -> Result<Box<dyn Read>> {
        let path = format!("/v2/{}/blobs/{}", self.name.repository, blob.digest);
        Ok(Box::new(self.ask(machine, "GET", &path, "*/*")?.body))
    }

    /// Sends a request, and again with a token when the registry asks for one.
    fn ask(
        &mut self,
        machine: &mut dyn Machine,
        method: &str,
        path: &str,
        accept: &str,
    ) -> Result<Response> {
        let mut pauses = PAUSES.iter();
        let mut asked_for_token = false;
        loop {
            let url = Url {
                path: path.to_owned(),
                ..self.base.clone()
            };
            let authorization = self.authorization.as_deref();
            let response = self
                .client
                .send(
                    machine,
                    Request {
                        method,
                        url,
                        accept,
                        authorization,
                    },
                )
                .map_err(|error| self.explain(error))?;
            match response.status {
                200..=299 => return Ok(response),
                401 if !asked_for_token => {
                    asked_for_token = true;
                    let challenge = response
                        .header("www-authenticate")
                        .unwrap_or_default()
                        .to_owned();
                    self.authorization = Some(self.authorize(machine, &challenge)?);
                }
                500..=599 => match pauses.next() {
                    Some(pause) => machine.sleep(*pause),
                    None => return Err(self.refusal(response)),
                },
                _ => return Err(self.refusal(response)),
            }
        }
    }

    fn explain(&self, error: Error) -> Error {
        let hint = match self.plain {
            false
                if error.0.contains("corrupt message")
                    || error.0.contains("InvalidContentType") =>
            {
                "; the registry seems to speak plain http: set `plain_http: true`"
            }
            false if error.0.contains("invalid peer certificate") => {
                "; `validate_certs: false` goes on without checking it"
            }
            _ => "",
        };
        Error::new(format!("registry {}: {error}{hint}", self.base.authority()))
    }

    /// The `Authorization` header that satisfies a challenge.
    fn authorize(&mut self, machine: &mut dyn Machine, challenge: &str) -> Result<String> {
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return self
                .credentials
                .as_ref()
                .map(Credentials::basic)
                .ok_or_else(|| {
                    Error::new(format!(
                        "registry {}: {} needs a log-in; give `username` and `password`",
                        self.base.authority(),
                        self.name.display()
                    ))
                });
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Error::new(format!(
                "registry {}: it wants the access method `{scheme}`, which is not supported",
                self.base.authority()
            )));
        }
        self.token(machine, parameters)
    }

    fn token(&mut self, machine: &mut dyn Machine, parameters: &str) -> Result<String> {
        let parameters = parameters_of(parameters);
        let get = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.as_str())
        };
        let realm = get("realm").unwrap_or_default();
        let scope = get("scope").map_or_else(
            || format!("repository:{}:pull", self.name.repository),
            str::to_owned,
        );
        let mut url = Url::parse(realm)?;
        if !url.secure && !self.plain && !Url::is_loopback(&url.host) {
            return Err(Error::new(format!(
                "registry {}: its token service {url} is unprotected; refused",
                self.base.authority()
            )));
        }
        url.path
            .push(if url.path.contains('?') { '&' } else { '?' });
        let service = get("service")
            .map(|service| format!("service={}&", encode(service)))
            .unwrap_or_default();
        url.path
            .push_str(&format!("{service}scope={}", encode(&scope)));
        let basic = self.credentials.as_ref().map(Credentials::basic);
        let request = Request {
            method: "GET",
            url,
            accept: "application/json",
            authorization: basic.as_deref(),
        };
        let response = self
            .client
            .send(machine, request)
            .map_err(|error| self.explain(error))?;
        if response.status != 200 {
            return Err(self.refusal(response));
        }
        let bytes = response
            .document()
            .map_err(|error| Error::io(format!("the token of {realm}"), &error))?;
        let answer = json::read_bytes(&bytes).map_err(|error| {
            Error::new(format!(
                "the token service {realm} answers with something else: {error}"
            ))
        })?;
        let token = ["token", "access_token"]
            .iter()
            .find_map(|key| answer.get(key)?.as_str())
            .unwrap_or_default();
        if token.is_empty() || token.contains(['\r', '\n']) {
            return Err(Error::new(format!(
                "the token service {realm} gives no token"
            )));
        }
        Ok(format!("Bearer {token}"))
    }

    /// What a status outside 2xx means, in a sentence.
    fn refusal(&self, response: Response) -> Error {
        let status = response.status;
        let said = response
            .document()
            .ok()
            .and_then(|bytes| reason(&bytes))
            .map(|text| format!(" ({text})"));
        let said = said.unwrap_or_default();
        let image = self.name.display();
        let registry = self.base.authority();
        Error::new(match status {
            401 | 403 => {
                let hint = match self.credentials {
                    Some(_) => "the log-in is wrong, or lacks the right to pull",
                    None => {
                        "it needs a log-in (`username` and `password`), or there is no such repository"
                    }
                };
                format!(
                    "registry {registry}: access to {image} is denied with status {status}{said}; {hint}"
                )
            }
            404 => format!("registry {registry}: there is no image {image}{said}"),
            429 => format!(
                "registry {registry}: too many requests{said}; wait, or log in with `username` and `password`"
            ),
            _ => format!("registry {registry}: status {status} for {image}{said}"),
        })
    }
}

/// The first message of the registry's error document.
fn reason(bytes: &[u8]) -> Option<String> {
    let answer = json::read_bytes(bytes).ok()?;
    let first = answer.get("errors")?.as_list()?.first()?;
    let said = |key| first.get(key)?.as_str().filter(|text| !text.is_empty());
    said("message").or_else(|| said("code")).map(str::to_owned)
}

/// `key="value",key=value` of a challenge; a comma inside quotes belongs to the value.
fn parameters_of(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        found.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        rest = after.trim_start_matches([',', ' ']);
    }
    found
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::machine::real::RealMachine;
    use crate::oci::reference::{Source, parse};

    /// A registry of one manifest that wants a token; serves until the test ends.
    fn serve() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !request.ends_with("\r\n\r\n") {
                    reader.read_line(&mut request).unwrap();
                }
                stream.write_all(answer(&request, port).as_bytes()).unwrap();
            }
        });
        port
    }

    fn answer(request: &str, port: u16) -> String {
        let reply = |head: &str, body: &str| {
            format!(
                "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        if request.starts_with("GET /token?service=s&scope=repository:a/b:pull ") {
            return reply("200 OK", "{\"token\":\"t\"}");
        }
        if !request.contains("Authorization: Bearer t\r\n") {
            let realm = format!("http://127.0.0.1:{port}/token");
            return reply(
                &format!("401 No\r\nWWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\""),
                "",
            );
        }
        if request.starts_with("HEAD") {
            return format!(
                "HTTP/1.1 200 OK\r\nDocker-Content-Digest: {}\r\n\r\n",
                Digest::of(b"{}")
            );
        }
        if request.starts_with("GET /v2/a/b/manifests/1 ") {
            return reply("200 OK\r\nContent-Type: x/y; charset=utf-8", "{}");
        }
        reply(
            "404 No",
            "{\"errors\":[{\"code\":\"C\",\"message\":\"manifest unknown\"}]}",
        )
    }

    #[test]
    fn a_token_is_fetched_and_used() {
        let port = serve();
        let mut machine = RealMachine::new();
        let access = Access {
            credentials: None,
            plain_http: None,
            trust: Trust::Machine,
            timeout: Duration::from_secs(10),
        };
        let Ok(Source::Registry(name)) = parse(&format!("docker://127.0.0.1:{port}/a/b:1")) else {
            panic!()
        };
        let mut registry = Registry::new(&mut machine, &name, &access).unwrap();
        assert_eq!(
            registry.digest(&mut machine).unwrap(),
            Some(Digest::of(b"{}"))
        );
        let manifest = registry.manifest(&mut machine, "1").unwrap();
        assert_eq!(
            (manifest.bytes.as_slice(), manifest.media_type.as_str()),
            (&b"{}"[..], "x/y")
        );
        let error = registry
            .manifest(&mut machine, "2")
            .map(|_| ())
            .unwrap_err();
        assert!(
            error.0.contains("there is no image") && error.0.contains("(manifest unknown)"),
            "{error}"
        );
    }

    #[test]
    fn challenges_are_taken_apart() {
        let found = parameters_of(
            "realm=\"https://a/t\",service=\"r\", scope=\"repository:a/b:pull,push\"",
        );
        let expected = [
            ("realm", "https://a/t"),
            ("service", "r"),
            ("scope", "repository:a/b:pull,push"),
        ];
        assert_eq!(
            found,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert_eq!(parameters_of("realm=x,service=y").len(), 2);
        assert_eq!(encode("repository:a b:pull"), "repository:a%20b:pull");
    }

    #[test]
    fn the_reason_is_read_from_the_answer() {
        let text =
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#;
        assert_eq!(reason(text).as_deref(), Some("manifest unknown"));
        assert_eq!(reason(b"<html>"), None);
    }
}
