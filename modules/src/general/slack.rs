//! `slack`: a message to a channel of Slack.

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, expand_path, field};
use rplay_modules::data::{Data, Map};
use rplay_modules::http::{Follow, HttpArgs, Request, fetch, read_all};
use rplay_modules::machine::Machine;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{json, map, module};

/// Sends a message to a channel of Slack, changes one, or sends files.
#[derive(ModuleArgs)]
struct Args {
    /// Which Slack: `slack.com` or `slack-gov.com`.
    domain: Option<String>,
    /// The token: of a web hook, `T.../B.../...`, or of the API, `xoxb-...`.
    #[arg(secret)]
    token: String,
    /// The text.
    msg: Option<String>,
    /// The channel.
    channel: Option<String>,
    /// The message that this one answers.
    thread_id: Option<String>,
    /// Show the answer in the channel, too.
    #[arg(default = "false")]
    reply_broadcast: bool,
    /// The message that is changed.
    message_id: Option<String>,
    /// Who sends it.
    #[arg(default = "Ansible")]
    username: String,
    /// The address of a picture of the sender.
    #[arg(default = "https://docs.ansible.com/favicon/favicon.ico")]
    icon_url: String,
    /// A sign instead of a picture.
    icon_emoji: Option<String>,
    /// Whether names become links.
    #[arg(default = "1", choices = "0, 1")]
    link_names: i64,
    /// How the text is read.
    #[arg(choices = "none, full")]
    parse: Option<String>,
    /// Whether certificates are checked.
    #[arg(default = "true")]
    validate_certs: bool,
    /// A colour beside the text: `good`, `warning`, `danger`, or `#` with hexadecimal digits.
    #[arg(default = "normal")]
    color: String,
    /// Further parts, as Slack's own documents describe them.
    #[arg(kind = "list of dict")]
    attachments: Option<Vec<Map>>,
    /// Blocks, as Slack's own documents describe them.
    #[arg(kind = "list of dict")]
    blocks: Option<Vec<Map>>,
    /// Whether `#` is put before the channel.
    #[arg(default = "never")]
    prepend_hash: Prepend,
    /// Files of the machine: each with its `path`, perhaps a `name`.
    #[arg(kind = "list of dict")]
    files: Option<Vec<Map>>,
    /// Fail where a file is not there.
    #[arg(default = "true")]
    fail_on_file_error: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Prepend {
    Always,
    Never,
    Auto,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What Slack answered.
    api: Map,
    /// What was sent.
    payload: String,
    /// The message's name.
    ts: String,
    /// The channel's name.
    channel: String,
    /// What became of files.
    files_upload: Map,
}

module! {
    "community.general.slack", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.slack"],
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let hook = is_hook(&args.token);
    let api = ["xoxb-", "xoxp-", "xoxa-"]
        .iter()
        .any(|head| args.token.starts_with(head));
    if !hook && !api {
        return Err(Failure::new(
            "The token provided is not a valid Slack token. Webhooks should look like T.../B.../X... and API tokens should start with xoxb-, xoxp-, or xoxa-.",
        ));
    }
    let digits = args.color.strip_prefix('#');
    let hexadecimal = digits.is_some_and(|digits| {
        [3, 6].contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    if !hexadecimal && !["normal", "good", "warning", "danger"].contains(&args.color.as_str()) {
        return Err(Failure::new(
            "Color value specified should be either one of ['normal', 'good', 'warning', 'danger'] or any valid hex value with length 3 or 6.",
        ));
    }
    let mut outcome = Outcome::new(true);
    if let Some(message) = &args.message_id {
        let old = args.message(machine, message)?;
        outcome.changed = args.differs(&old);
        if machine.predicts() || !outcome.changed {
            for name in ["ts", "channel"] {
                let value = old.get(name).cloned().unwrap_or_default();
                outcome.results.insert(name.to_owned(), value);
            }
            return Ok(outcome);
        }
    } else if machine.predicts() {
        return Ok(outcome);
    }
    args.send(machine, hook, outcome)
}

/// `T.../B.../...`, as web hooks have it.
fn is_hook(token: &str) -> bool {
    let parts: Vec<&str> = token.split('/').collect();
    let capital = |text: &str| {
        text.len() > 1
            && text
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    matches!(*parts, [team, hook, secret]
        if team.starts_with('T') && capital(team) && hook.starts_with('B') && capital(hook)
            && !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A text in an address.
fn encoded(text: &str) -> String {
    let mut all = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                all.push(char::from(byte));
            }
            other => all += &format!("%{other:02X}"),
        }
    }
    all
}

impl Args {
    fn domain(&self) -> &str {
        match self.domain.as_deref() {
            Some("slack-gov.com") => "slack-gov.com",
            _ => "slack.com",
        }
    }

    /// One request; the status with its reason, and the body.
    fn ask(
        &self,
        machine: &mut dyn Machine,
        url: &str,
        kind: &str,
        body: Option<Vec<u8>>,
        authorized: bool,
    ) -> Result<(u16, String, Vec<u8>), String> {
        let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
        if !kind.is_empty() {
            headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
        if authorized {
            headers.push(("Authorization".to_owned(), format!("Bearer {}", self.token)));
        }
        let request = Request {
            method: if body.is_some() { "POST" } else { "GET" },
            url,
            headers,
            body: body.unwrap_or_default(),
            follow: Follow::Safe,
            timeout: 10,
            user: None,
            roots: None,
            socket: None,
        };
        let mut answer = fetch(machine, &HttpArgs::plain(self.validate_certs), request)?;
        let reason = format!("HTTP Error {}: {}", answer.status, answer.reason);
        let body = read_all(&mut answer.body).map_err(|error| error.to_string())?;
        Ok((answer.status, reason, body))
    }

    /// The message that is to be changed.
    fn message(&self, machine: &mut dyn Machine, message: &str) -> Result<Map, Failure> {
        let url = format!(
            "https://{}/api/conversations.history?channel={}&ts={}&limit=1&inclusive=true",
            self.domain(),
            encoded(self.channel.as_deref().unwrap_or("None")),
            encoded(message)
        );
        let answer = self.ask(machine, &url, JSON, None, true);
        let Ok((200, _, body)) = answer else {
            return Err(Failure::new("failed to get slack message"));
        };
        let data = parsed(&body)?;
        if data.get("ok") == Some(&Data::Bool(false)) {
            let text = format!("failed to get slack message: {}", data.repr());
            return Err(Failure::new(text));
        }
        let list = data
            .get("messages")
            .and_then(Data::as_list)
            .unwrap_or_default();
        match list {
            [one] => Ok(one.as_map().cloned().unwrap_or_default()),
            [] => Err(Failure::new(format!("no messages matching ts: {message}"))),
            _ => Err(Failure::new(format!(
                "more than 1 message matching ts: {message}"
            ))),
        }
    }

    /// Whether a message is another one than the task asks for.
    fn differs(&self, old: &Map) -> bool {
        let list = |list: &Option<Vec<Map>>| match list {
            Some(list) => Data::List(list.iter().cloned().map(Data::Map).collect()),
            None => Data::Null,
        };
        let text = |text: &Option<String>| text.clone().map_or(Data::Null, Data::Str);
        [
            ("icon_url", self.icon_url.as_str().into()),
            ("icon_emoji", text(&self.icon_emoji)),
            ("link_names", self.link_names.into()),
            ("color", self.color.as_str().into()),
            ("attachments", list(&self.attachments)),
            ("blocks", list(&self.blocks)),
        ]
        .iter()
        .any(|(name, wanted)| old.get(*name).unwrap_or(&Data::Null) != wanted)
    }

    /// What is sent.
    fn payload(&self) -> Result<Map, Failure> {
        let mut payload = Map::new();
        let mut add = |name: &str, value: Data| {
            payload.insert(name.to_owned(), value);
        };
        let mut attachments = None;
        match &self.msg {
            Some(text) if self.color == "normal" => add("text", text.as_str().into()),
            Some(text) => {
                let one = map! {
                    "text" => text.as_str(),
                    "color" => self.color.as_str(),
                    "mrkdwn_in" => Data::List(vec!["text".into()]),
                };
                add("attachments", Data::Null);
                attachments = Some(vec![Data::Map(one)]);
            }
            None => {}
        }
        if let Some(channel) = &self.channel {
            let known = ["#", "@", "C0", "GF", "G0", "CP"];
            let plain = match self.prepend_hash {
                Prepend::Never => true,
                Prepend::Always => false,
                Prepend::Auto => known.iter().any(|head| channel.starts_with(head)),
            };
            let sign = if plain { "" } else { "#" };
            add("channel", format!("{sign}{channel}").into());
        }
        if let Some(thread) = &self.thread_id {
            add("thread_ts", thread.as_str().into());
            if self.reply_broadcast {
                add("reply_broadcast", true.into());
            }
        }
        add("username", self.username.as_str().into());
        match &self.icon_emoji {
            Some(emoji) => add("icon_emoji", emoji.as_str().into()),
            None => add("icon_url", self.icon_url.as_str().into()),
        }
        add("link_names", self.link_names.into());
        if let Some(parse) = &self.parse {
            add("parse", parse.as_str().into());
        }
        if let Some(message) = &self.message_id {
            add("ts", message.as_str().into());
        }
        for one in self.attachments.iter().flatten() {
            let mut one = one.clone();
            if !one.contains_key("fallback") {
                let text = one.get("text").cloned();
                let text =
                    text.ok_or_else(|| Failure::new("an attachment needs `text` or `fallback`"))?;
                one.insert("fallback".to_owned(), text);
            }
            attachments.get_or_insert_default().push(Data::Map(one));
        }
        if attachments.is_some() || self.attachments.is_some() {
            add("attachments", Data::List(attachments.unwrap_or_default()));
        }
        if let Some(blocks) = &self.blocks {
            let blocks = Data::List(blocks.iter().cloned().map(Data::Map).collect());
            add("blocks", blocks);
        }
        Ok(payload)
    }

    /// Sends the message and files.
    fn send(
        &self,
        machine: &mut dyn Machine,
        hook: bool,
        mut outcome: Outcome,
    ) -> Result<Outcome, Failure> {
        let payload = self.payload()?;
        let full = |list: &Option<Vec<Map>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let has_text = self.msg.as_ref().is_some_and(|text| !text.is_empty());
        let has_message = has_text || full(&self.attachments) || full(&self.blocks);
        let text = Data::Map(payload.clone()).json_text();
        let mut answer = Map::new();
        let mut good = true;
        if has_message {
            answer = self.notify(machine, hook, &payload, &text)?;
            good = hook || answer.get("ok") == Some(&Data::Bool(true));
        }
        let mut uploaded = None;
        if let Some(files) = self
            .files
            .as_ref()
            .filter(|files| good && !files.is_empty())
        {
            let own = |name: &str, other: &Option<String>| {
                let other = || other.clone().map_or(Data::Null, Data::Str);
                answer.get(name).cloned().unwrap_or_else(other)
            };
            let place = (own("channel", &self.channel), own("ts", &self.thread_id));
            let result = self.upload(machine, files, place, &mut outcome)?;
            if !has_message {
                good = result.get("ok") == Some(&Data::Bool(true));
            }
            uploaded = Some(result);
        }
        if !good {
            let error = answer.get("error").cloned();
            let error = error.or_else(|| uploaded?.get("msg").cloned());
            let error = error.unwrap_or_else(|| "Unknown error".into());
            return Err(Failure::new("Slack operation failed").with("error", error));
        }
        if hook && has_message && uploaded.is_none() {
            return Ok(outcome.with("msg", "OK"));
        }
        let (api, sent) = match has_message {
            true => (answer.clone(), text.into()),
            false => (map! { "status" => "files_only_upload" }, Data::Null),
        };
        outcome = outcome.with("api", Data::Map(api)).with("payload", sent);
        if let Some(result) = &uploaded {
            outcome = outcome.with("files_upload", Data::Map(result.clone()));
        }
        if let Some(name) = answer.get("ts") {
            let channel = answer.get("channel").cloned().unwrap_or_default();
            outcome = outcome.with("ts", name.clone()).with("channel", channel);
        } else if uploaded.is_some_and(|result| result.contains_key("files")) {
            let channel = self.channel.clone().map_or(Data::Null, Data::Str);
            outcome = outcome.with("channel", channel);
        }
        Ok(outcome)
    }

    fn notify(
        &self,
        machine: &mut dyn Machine,
        hook: bool,
        payload: &Map,
        text: &str,
    ) -> Result<Map, Failure> {
        let domain = self.domain();
        let method = match payload.contains_key("ts") {
            true => "chat.update",
            false => "chat.postMessage",
        };
        let (url, shown) = match hook {
            true => (
                format!("https://hooks.{domain}/services/{}", self.token),
                format!("https://hooks.{domain}/services/[obscured]"),
            ),
            false => {
                let url = format!("https://{domain}/api/{method}");
                (url.clone(), url)
            }
        };
        let answer = self.ask(machine, &url, JSON, Some(text.as_bytes().to_vec()), !hook);
        let why = match answer {
            Ok((200, _, _)) if hook => return Ok(map! { "webhook" => "ok" }),
            Ok((200, _, body)) => return Ok(parsed(&body)?.as_map().cloned().unwrap_or_default()),
            Ok((_, why, _)) | Err(why) => why,
        };
        Err(Failure::new(format!(
            " failed to send {text} to {shown}: {why}"
        )))
    }

    /// Sends files: each is announced, brought, and all together are put into the channel.
    fn upload(
        &self,
        machine: &mut dyn Machine,
        files: &[Map],
        (channel, thread): (Data, Data),
        outcome: &mut Outcome,
    ) -> Result<Map, Failure> {
        let mut brought = vec![];
        for file in files {
            let path: Option<String> = field(file, "path")?;
            let path = path
                .ok_or_else(|| Failure::new("missing required arguments: path found in files"))?;
            let path = expand_path(machine, &path);
            let path = std::path::Path::new(&path);
            let own = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let name = field::<Option<String>>(file, "name")?.unwrap_or(own);
            let Ok(content) = machine.read(path) else {
                let text = format!("File {} not found.", path.display());
                if self.fail_on_file_error {
                    return Err(Failure::new(text));
                }
                outcome.warnings.push(format!("{text} Skipping."));
                continue;
            };
            if let Some(id) = self.bring(machine, &name, content, outcome)? {
                brought.push(Data::Map(map! { "id" => id, "title" => name }));
            }
        }
        if brought.is_empty() {
            return Ok(map! { "ok" => false, "msg" => "No files were successfully uploaded" });
        }
        let mut all = map! {
            "files" => Data::List(brought),
            "channel_id" => channel,
            "initial_comment" => "Attached Files:",
        };
        if thread != Data::Null {
            all.insert("thread_ts".to_owned(), thread);
        }
        let body = Data::Map(all).json_text().into_bytes();
        let url = "https://slack.com/api/files.completeUploadExternal";
        match self.ask(machine, url, JSON, Some(body), true) {
            Ok((200, _, body)) => Ok(parsed(&body)?.as_map().cloned().unwrap_or_default()),
            answer => {
                let status = answer.map_or(-1, |(status, _, _)| i32::from(status));
                let text = format!("Failed to complete upload. Status: {status}");
                Ok(map! { "ok" => false, "msg" => text })
            }
        }
    }

    /// Brings one file; what Slack calls it, or nothing with a warning.
    fn bring(
        &self,
        machine: &mut dyn Machine,
        name: &str,
        content: Vec<u8>,
        outcome: &mut Outcome,
    ) -> Result<Option<Data>, Failure> {
        let url = format!(
            "https://slack.com/api/files.getUploadURLExternal?filename={}&length={}",
            encoded(name),
            content.len()
        );
        let body = match self.ask(machine, &url, "", None, true) {
            Ok((200, _, body)) => body,
            answer => {
                let (status, why) = match answer {
                    Ok((status, why, _)) => (i32::from(status), why),
                    Err(why) => (-1, why),
                };
                return Err(Failure::new(format!(
                    "Failed to get upload URL for {name}. Slack API endpoint returned HTTP {status}."
                ))
                .with("details", why));
            }
        };
        let place = parsed(&body)?;
        if place.get("ok") != Some(&Data::Bool(true)) {
            let error = place
                .get("error")
                .map_or("unknown_error".to_owned(), Data::text);
            let fatal = [
                "invalid_auth",
                "unknown_method",
                "missing_scope",
                "account_inactive",
            ];
            if fatal.contains(&error.as_str()) {
                return Err(Failure::new(format!(
                    "Fatal Slack API error occurred for {name}. Operation aborted."
                ))
                .with("error", error));
            }
            outcome
                .warnings
                .push(format!("Slack API error for {name}: {error}"));
            return Ok(None);
        }
        let url = place.get("upload_url").map_or(String::new(), Data::text);
        let kind = "application/octet-stream";
        let why = match self.ask(machine, &url, kind, Some(content), false) {
            Ok((200, _, _)) => return Ok(place.get("file_id").cloned()),
            Ok((status, _, _)) => format!(". Status: {status}"),
            Err(why) => format!(": {why}"),
        };
        outcome
            .warnings
            .push(format!("Failed to upload bits for {name}{why}"));
        Ok(None)
    }
}

const JSON: &str = "application/json; charset=UTF-8";

fn parsed(body: &[u8]) -> Result<Data, Failure> {
    let answer = json::read_bytes(body);
    Ok(answer.map_err(|error| format!("Slack's answer is no JSON: {error}"))?)
}
