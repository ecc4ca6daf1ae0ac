//! `mail`: a message by SMTP.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rplay_modules::args::{ArgEnum, CheckMode, ModuleArgs, Returns, Rules, expand_path, field};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::{local_time, os_error_text};
use rplay_modules::module;
use rplay_modules::oci::tls::{self, Connection, Trust};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::time;

use crate::builtin::uri::multipart::{kind_of, wrapped};

/// Sends a message by SMTP. As in Ansible certificates of servers are not checked.
#[derive(ModuleArgs)]
struct Args {
    /// Who sends it, perhaps with a name: `Name <address>`.
    #[arg(default = "root", alias = "from")]
    sender: String,
    /// Who gets it.
    #[arg(default = "root", alias = "recipients")]
    to: Vec<String>,
    /// Who gets a copy.
    #[arg(default = "[]")]
    cc: Vec<String>,
    /// Who gets a copy that the others do not see.
    #[arg(default = "[]")]
    bcc: Vec<String>,
    /// The subject.
    #[arg(alias = "msg")]
    subject: String,
    /// The text; without one the subject.
    body: Option<String>,
    /// The user for a log-in.
    username: Option<String>,
    /// The password for a log-in.
    #[arg(secret)]
    password: Option<String>,
    /// The server.
    #[arg(default = "localhost")]
    host: String,
    /// Its port.
    #[arg(default = "25")]
    port: u16,
    /// Files that go with it.
    #[arg(default = "[]")]
    attach: Vec<PathBuf>,
    /// Pictures that its HTML shows: each with `path`, `cid`, perhaps `mime_type`.
    #[arg(default = "[]", kind = "list of dict")]
    inline: Vec<Map>,
    /// Further headers, `Name=value`, also several with `|` between them.
    #[arg(default = "[]")]
    headers: Vec<String>,
    /// The character set: `utf-8`, `us-ascii` or `iso-8859-1`.
    #[arg(default = "utf-8")]
    charset: String,
    /// The kind of text.
    #[arg(default = "plain", choices = "html, plain")]
    subtype: String,
    /// Whether the connection is encrypted: in any case, never, after a greeting, or where it can be.
    #[arg(default = "try")]
    secure: Secure,
    /// How many seconds the server may take.
    #[arg(default = "20")]
    timeout: u64,
    /// The name that the server is greeted with.
    ehlohost: Option<String>,
    /// The domain in the message's name.
    #[arg(default = "ansible")]
    message_id_domain: String,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Secure {
    Always,
    Never,
    Starttls,
    Try,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Who was refused, with code and words.
    result: Map,
}

module! {
    "community.general.mail", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.mail"],
    rules: Rules {
        required_together: &[&["password", "username"]],
        check_mode: CheckMode::Skipped,
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::unchanged();
    let (mut server, encrypted) = connect(machine, &args)?;
    let place = format!("{}:{}", args.host, args.port);
    if let (Some(user), Some(password)) = (&args.username, &args.password) {
        server.log_in(user, password, &place)?;
        if !encrypted {
            let text = "Username and Password was sent without encryption";
            outcome.warnings.push(text.to_owned());
        }
    }
    let mut receivers: Vec<String> = vec![];
    for written in args.bcc.iter().chain(&args.to).chain(&args.cc) {
        let (_, address) = address(written);
        if !receivers.contains(&address) {
            receivers.push(address);
        }
    }
    let text = message(machine, &args, &mut outcome)?;
    let (_, sender) = address(&args.sender);
    let refused = server.send(&sender, &receivers, &text).map_err(|why| {
        let list = receivers.join(", ");
        Failure::new(format!("Failed to send mail to '{list}': {why}")).with("rc", 1)
    })?;
    let sent = if refused.is_empty() {
        "Mail sent successfully"
    } else {
        "Failed to send mail to at least one recipient"
    };
    let mut result = Map::new();
    for (receiver, code, words) in refused {
        let warning = format!("Failed to send mail to '{receiver}': {code} b'{words}'");
        outcome.warnings.push(warning);
        result.insert(
            receiver,
            Data::List(vec![u32::from(code).into(), words.into()]),
        );
    }
    Ok(outcome.with("msg", sent).with("result", Data::Map(result)))
}

/// A greeted server, and whether the connection is encrypted.
fn connect(machine: &mut dyn Machine, args: &Args) -> Result<(Server, bool), Failure> {
    let place = format!("{}:{}", args.host, args.port);
    let fail = |text: String| Failure::new(text).with("rc", 1);
    let unencrypted = |why: &str| {
        fail(format!(
            "Unable to start an encrypted session to {place}: {why}"
        ))
    };
    let name = match &args.ehlohost {
        Some(name) => name.clone(),
        None => {
            let name = machine.read(Path::new("/proc/sys/kernel/hostname"));
            let name = String::from_utf8_lossy(&name.unwrap_or_default())
                .trim()
                .to_owned();
            Some(name)
                .filter(|name| name.contains('.'))
                .unwrap_or_else(|| "[127.0.0.1]".to_owned())
        }
    };
    let open = |machine: &mut dyn Machine| {
        let timeout = Duration::from_secs(args.timeout);
        let stream = machine
            .connect(&args.host, args.port, timeout)
            .and_then(|mut stream| {
                stream.set_timeout(Some(timeout))?;
                Ok(stream)
            });
        stream.map_err(|error| Failure::unexpected(os_error_text(&error)))
    };
    // As Python's library does: whoever made the certificate.
    let config = match args.secure {
        Secure::Never => None,
        _ => Some(
            tls::config(machine, &Trust::Everybody)
                .map_err(|error| unencrypted(&error.to_string()))?,
        ),
    };
    if let Some(config) = &config {
        match tls::connect(config, &args.host, open(machine)?) {
            Ok(stream) => {
                let mut server = Server::new(Connection::Tls(Box::new(stream)), name);
                server
                    .greet(true)
                    .map_err(|why| fail(format!("Unable to Connect {place}: {why}")))?;
                return Ok((server, true));
            }
            Err(error) if args.secure == Secure::Always => {
                return Err(unencrypted(&error.to_string()));
            }
            Err(_) => {}
        }
    }
    let mut server = Server::new(Connection::Plain(open(machine)?), name);
    server
        .greet(true)
        .map_err(|why| fail(format!("Unable to Connect {place}: {why}")))?;
    let Some(config) = config else {
        return Ok((server, false));
    };
    if !server.offers("STARTTLS") {
        return match args.secure {
            Secure::Starttls => Err(fail(format!("StartTLS is not offered on server {place}"))),
            _ => Ok((server, false)),
        };
    }
    let (code, words) = server.say("STARTTLS").map_err(|why| unencrypted(&why))?;
    let Server {
        stream: Connection::Plain(stream),
        name,
        ..
    } = server
    else {
        return Err(unencrypted("it is encrypted"));
    };
    if code != 220 {
        return Err(unencrypted(&format!("({code}, {words})")));
    }
    let stream = tls::connect(&config, &args.host, stream);
    let stream = stream.map_err(|error| unencrypted(&error.to_string()))?;
    let mut server = Server::new(Connection::Tls(Box::new(stream)), name);
    server
        .greet(false)
        .map_err(|why| fail(format!("Helo failed for host {place}: {why}")))?;
    Ok((server, true))
}

/// A conversation with a server.
struct Server {
    stream: Connection,
    name: String,
    /// What it says that it can do, a line each.
    extensions: Vec<String>,
}

impl Server {
    fn new(stream: Connection, name: String) -> Self {
        Self {
            stream,
            name,
            extensions: vec![],
        }
    }

    /// An answer: its code, and its lines.
    fn hear(&mut self) -> Result<(u16, String), String> {
        let mut lines = vec![];
        loop {
            let mut line = vec![];
            while line.last() != Some(&b'\n') {
                let mut byte = [0];
                let read = self
                    .stream
                    .read(&mut byte)
                    .map_err(|error| os_error_text(&error))?;
                if read == 0 || line.len() > 4096 {
                    return Err("Connection unexpectedly closed".to_owned());
                }
                line.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code = text.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| format!("no answer of SMTP: {text}"))?;
            lines.push(text.get(4..).unwrap_or_default().to_owned());
            if text.as_bytes().get(3) != Some(&b'-') {
                return Ok((code, lines.join("\n")));
            }
        }
    }

    fn say(&mut self, line: &str) -> Result<(u16, String), String> {
        self.write(format!("{line}\r\n").as_bytes())
            .map_err(|error| os_error_text(&error))?;
        self.hear()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Says who is there; `first`: the server speaks before that.
    fn greet(&mut self, first: bool) -> Result<(), String> {
        if first {
            let (code, words) = self.hear()?;
            if code != 220 {
                return Err(format!("({code}, {words})"));
            }
        }
        let (mut code, mut words) = self.say(&format!("EHLO {}", self.name))?;
        if code != 250 {
            (code, words) = self.say(&format!("HELO {}", self.name))?;
            if code != 250 {
                return Err(format!("({code}, {words})"));
            }
            words.clear();
        }
        self.extensions = words.lines().skip(1).map(str::to_uppercase).collect();
        Ok(())
    }

    fn offers(&self, word: &str) -> bool {
        let line = |line: &String| line.split([' ', '=']).next() == Some(word);
        self.extensions.iter().any(line)
    }

    fn log_in(&mut self, user: &str, password: &str, place: &str) -> Result<(), Failure> {
        let fail = |text: String| Failure::new(text).with("rc", 1);
        if !self.offers("AUTH") {
            return Err(fail(format!("No Authentication on the server at {place}")));
        }
        let ways = self
            .extensions
            .iter()
            .filter(|line| line.starts_with("AUTH"));
        let ways: Vec<String> = ways
            .flat_map(|line| line.split([' ', '=']))
            .map(str::to_owned)
            .collect();
        let has = |way: &str| ways.iter().any(|known| known == way);
        let code = |text: &str| BASE64.encode(text);
        let answer = if has("PLAIN") {
            self.say(&format!(
                "AUTH PLAIN {}",
                code(&format!("\0{user}\0{password}"))
            ))
        } else if has("LOGIN") {
            match self.say(&format!("AUTH LOGIN {}", code(user))) {
                Ok((334, _)) => self.say(&code(password)),
                other => other,
            }
        } else {
            return Err(fail(format!(
                "No Suitable authentication method was found on {place}"
            )));
        };
        match answer {
            Ok((235 | 503, _)) => Ok(()),
            _ => Err(fail(format!(
                "Authentication to {place} failed, please check your username and/or password"
            ))),
        }
    }

    /// Sends a message; who was refused comes back, unless all were.
    fn send(
        &mut self,
        sender: &str,
        receivers: &[String],
        text: &str,
    ) -> Result<Vec<(String, u16, String)>, String> {
        let (code, words) = self.say(&format!("MAIL FROM:<{sender}>"))?;
        if code != 250 {
            return Err(format!("({code}, {words})"));
        }
        let mut refused = vec![];
        for receiver in receivers {
            let (code, words) = self.say(&format!("RCPT TO:<{receiver}>"))?;
            if !matches!(code, 250 | 251) {
                refused.push((receiver.clone(), code, words));
            }
        }
        if refused.len() == receivers.len() {
            let each = refused
                .iter()
                .map(|(name, code, words)| format!("{name}: {code} {words}"));
            return Err(each.collect::<Vec<_>>().join(", "));
        }
        let (code, words) = self.say("DATA")?;
        if code != 354 {
            return Err(format!("({code}, {words})"));
        }
        let mut data = String::new();
        for line in text.lines() {
            // A single dot would end the message.
            let dot = if line.starts_with('.') { "." } else { "" };
            data += &format!("{dot}{line}\r\n");
        }
        data.push('.');
        let (code, words) = self.say(&data)?;
        if code != 250 {
            return Err(format!("({code}, {words})"));
        }
        // The message is sent, whatever the server says to this.
        let _ = self.say("QUIT");
        Ok(refused)
    }
}

/// The name and the address of `Name <address>` or `address (Name)`.
fn address(written: &str) -> (String, String) {
    let written = written.trim();
    let named = match written.split_once('<') {
        Some((name, rest)) => Some((name, rest.trim_end_matches('>'))),
        None => written
            .split_once('(')
            .map(|(address, name)| (name.trim_end_matches(')'), address)),
    };
    let (name, address) = named.unwrap_or(("", written));
    let name = name
        .trim()
        .trim_matches('"')
        .replace("\\\"", "\"")
        .replace("\\\\", "\\");
    (name, address.trim().to_owned())
}

/// A text in a character set.
fn encoded(text: &str, charset: &str) -> Result<Vec<u8>, Failure> {
    let bytes: Option<Vec<u8>> = match charset {
        "utf-8" | "utf8" => Some(text.as_bytes().to_vec()),
        "us-ascii" | "ascii" => text.is_ascii().then(|| text.as_bytes().to_vec()),
        "iso-8859-1" | "latin-1" | "latin1" => {
            let each = text
                .chars()
                .map(|letter| u8::try_from(u32::from(letter)).ok());
            each.collect()
        }
        _ => None,
    };
    bytes.ok_or_else(|| {
        Failure::new(format!(
            "charset `{charset}` is not supported for this text; take `utf-8`"
        ))
    })
}

/// The whole message.
fn message(
    machine: &mut dyn Machine,
    args: &Args,
    outcome: &mut Outcome,
) -> Result<String, Failure> {
    let charset = args.charset.to_lowercase();
    let body = match args.body.as_deref() {
        None | Some("") => &args.subject,
        Some(body) => body,
    };
    let body = format!("{body}\n\n");
    let bytes = encoded(&body, &charset)?;
    let micros = time::micros(machine.now());
    let boundary = format!("==============={micros:019}==");
    let mut text = Headers::default();
    text.add(
        "Content-Type",
        &format!("multipart/mixed; boundary=\"{boundary}\""),
    );
    text.add("MIME-Version", "1.0");
    let listed = |list: &[String]| {
        let each = list.iter().map(|written| shown(written));
        each.collect::<Vec<_>>().join(", ")
    };
    text.add("From", &shown(&args.sender));
    text.add("Date", &local_time(machine, "%a, %d %b %Y %H:%M:%S %z"));
    text.0 += &format!("Subject: {}\n", words(&args.subject));
    let name = format!(
        "<{micros}.{}@{}>",
        machine.process().uid,
        args.message_id_domain
    );
    text.add("Message-ID", &name);
    let mut mailer = true;
    for header in args.headers.iter().flat_map(|line| line.split('|')) {
        match header.trim().split_once('=') {
            Some((name, value)) if !value.contains(['\r', '\n']) => {
                mailer &= !name.eq_ignore_ascii_case("X-Mailer");
                text.add(name, value);
            }
            _ => {
                let warning = format!("Skipping header '{}', unable to parse", header.trim());
                outcome.warnings.push(warning);
            }
        }
    }
    if mailer {
        text.add("X-Mailer", "Ansible mail module");
    }
    text.add("To", &listed(&args.to));
    text.add("Cc", &listed(&args.cc));
    let mut all = format!("{}\nMultipart message\n", text.0);
    let mut add = |part: Headers, bytes: &[u8], plain: bool| {
        let content = match plain {
            true => String::from_utf8_lossy(bytes).into_owned(),
            false => String::from_utf8_lossy(&wrapped(bytes)).replace('\r', ""),
        };
        all += &format!("--{boundary}\n{}\n{content}\n", part.0);
    };
    let plain = matches!(charset.as_str(), "us-ascii" | "ascii");
    let encoding = if plain { "7bit" } else { "base64" };
    let kind = format!("text/{}; charset=\"{charset}\"", args.subtype);
    add(Headers::part(&kind, encoding), &bytes, plain);
    for path in &args.attach {
        let bytes = machine.read(path).map_err(|error| {
            let path = path.display();
            let why = os_error_text(&error);
            let text = format!(
                "Failed to send community.general.mail: can't attach file {path}: {why}: '{path}'"
            );
            Failure::new(text).with("rc", 1)
        })?;
        let mut part = Headers::part("application/octet-stream", "base64");
        part.file("Content-disposition", "attachment", path);
        add(part, &bytes, false);
    }
    for picture in &args.inline {
        let need = |name: &str| -> Result<String, Failure> {
            let value: Option<String> = field(picture, name)?;
            value.ok_or_else(|| {
                Failure::new(format!(
                    "missing required arguments: {name} found in inline"
                ))
            })
        };
        let path = PathBuf::from(expand_path(machine, &need("path")?));
        let own = kind_of(&path.to_string_lossy()).map(str::to_owned);
        let kind = field::<Option<String>>(picture, "mime_type")?.or(own);
        let kind = kind.ok_or_else(|| {
            let path = path.display();
            Failure::new(format!(
                "Could not determine the MIME type of '{path}'; please set the mime_type suboption."
            ))
        })?;
        let bytes = machine.read(&path).map_err(|error| {
            let (path, why) = (path.display(), os_error_text(&error));
            Failure::new(format!("Error while embedding '{path}': {why}: '{path}'")).with("rc", 1)
        })?;
        let subtype = kind
            .split_once('/')
            .map_or(kind.as_str(), |(_, subtype)| subtype);
        let mut part = Headers::part(&format!("image/{subtype}"), "base64");
        part.add("Content-ID", &format!("<{}>", need("cid")?));
        part.file("Content-Disposition", "inline", &path);
        add(part, &bytes, false);
    }
    Ok(format!("{all}--{boundary}--\n"))
}

/// Headers as they are sent.
#[derive(Default)]
struct Headers(String);

impl Headers {
    /// Those of one part of a message.
    fn part(kind: &str, encoding: &str) -> Self {
        let mut headers = Self::default();
        headers.add("Content-Type", kind);
        headers.add("MIME-Version", "1.0");
        headers.add("Content-Transfer-Encoding", encoding);
        headers
    }

    /// Adds one, in lines that are not too long.
    fn add(&mut self, name: &str, value: &str) {
        let value = match value.is_ascii() {
            true => value.to_owned(),
            false => words(value),
        };
        let (mut line, mut first) = (format!("{name}:"), true);
        for word in value.split(' ') {
            if !first && line.len() + 1 + word.len() > 78 {
                self.0 += &format!("{line}\n");
                line = String::new();
            }
            line += &format!(" {word}");
            first = false;
        }
        self.0 += &format!("{line}\n");
    }

    fn file(&mut self, name: &str, way: &str, path: &Path) {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let value = match file.is_ascii() {
            true => format!(
                "{way}; filename=\"{}\"",
                file.replace('\\', "\\\\").replace('"', "\\\"")
            ),
            false => {
                let bytes = file.bytes().map(|byte| match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                        char::from(byte).to_string()
                    }
                    other => format!("%{other:02X}"),
                });
                format!("{way}; filename*=utf-8''{}", bytes.collect::<String>())
            }
        };
        self.add(name, &value);
    }
}

/// A name with its address, as a header has it.
fn shown(written: &str) -> String {
    let (name, address) = address(written);
    if name.is_empty() {
        return address;
    }
    let special = name.contains([
        '[', ']', '\\', '(', ')', '<', '>', '@', ',', ':', ';', '"', '.',
    ]);
    let name = match (name.is_ascii(), special) {
        (false, _) => words(&name).replace('\n', ""),
        (_, true) => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
        _ => name,
    };
    format!("{name} <{address}>")
}

/// A text in words that only need ASCII, the shorter of both ways.
fn words(text: &str) -> String {
    let quoted = |byte: u8| match byte {
        b' ' => "_".to_owned(),
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'!' | b'*' | b'+' | b'/' => {
            char::from(byte).to_string()
        }
        other => format!("={other:02X}"),
    };
    let length: usize = text.bytes().map(|byte| quoted(byte).len()).sum();
    let by_letters = length <= text.len().div_ceil(3) * 4;
    let (mut all, mut piece, mut size) = (vec![], String::new(), 0);
    for letter in text.chars() {
        let mut bytes = [0; 4];
        let bytes = letter.encode_utf8(&mut bytes).bytes();
        let more: usize = if by_letters {
            bytes.map(|byte| quoted(byte).len()).sum()
        } else {
            letter.len_utf8()
        };
        if size + more > if by_letters { 56 } else { 42 } {
            all.push(std::mem::take(&mut piece));
            size = 0;
        }
        piece.push(letter);
        size += more;
    }
    all.push(piece);
    let each = all.iter().map(|piece| match by_letters {
        true => format!(
            "=?utf-8?q?{}?=",
            piece.bytes().map(quoted).collect::<String>()
        ),
        false => format!("=?utf-8?b?{}?=", BASE64.encode(piece)),
    });
    each.collect::<Vec<_>>().join("\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words() {
        assert_eq!(shown("A. B <a@b>"), "\"A. B\" <a@b>");
        assert_eq!(shown("a@b (Me)"), "Me <a@b>");
        assert_eq!(shown(" a@b "), "a@b");
        assert_eq!(words("a b"), "=?utf-8?q?a_b?=");
        assert_eq!(words("äöü"), "=?utf-8?b?w6TDtsO8?=");
    }
}
