//! XML-RPC as supervisord speaks it: calls over HTTP, values of the kinds that it answers with.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::data::{Data, Map};
use crate::machine::Machine;
use crate::oci::http::{Client, Url};
use crate::oci::tls::Trust;

/// Where a server is, and as whom it is talked to.
pub(crate) struct Server {
    client: Client,
    /// As it was given.
    address: String,
    url: Url,
    login: Option<String>,
}

/// Why a call came to nothing.
pub(crate) enum Trouble {
    /// The server could not be asked.
    Unreachable(String),
    /// This one refused the user or the password.
    Refused(String),
    /// It answered with a fault: its code and its words.
    Fault(i128, String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => out.write_str(why),
            Self::Refused(server) => write!(out, "{server} requires another user name or password"),
            Self::Fault(_, words) => out.write_str(words),
        }
    }
}

impl Server {
    /// A server at `unix:///path/of/socket` or `http://host:port`.
    ///
    /// # Errors
    /// The address is of another form.
    pub(crate) fn at(
        address: &str,
        login: Option<(&str, &str)>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let mut client = Client::new(Trust::default(), timeout);
        let host = match address.strip_prefix("unix://") {
            Some(path) => {
                client.socket = Some(PathBuf::from(path));
                "http://127.0.0.1"
            }
            None => address.trim_end_matches('/'),
        };
        let url = Url::parse(&format!("{host}/RPC2"))
            .map_err(|_| format!("`{address}` is no address of a server"))?;
        let login = login.map(|(user, password)| {
            let both = STANDARD.encode(format!("{user}:{password}"));
            format!("Basic {both}")
        });
        Ok(Self {
            client,
            address: address.to_owned(),
            url,
            login,
        })
    }

    /// Calls a method with texts and truth values.
    ///
    /// # Errors
    /// There is no answer, or it is a fault.
    pub(crate) fn call(
        &mut self,
        machine: &mut dyn Machine,
        method: &str,
        params: &[Data],
    ) -> Result<Data, Trouble> {
        let mut headers = vec![("Content-Type".to_owned(), "text/xml".to_owned())];
        headers.extend(
            self.login
                .clone()
                .map(|login| ("Authorization".to_owned(), login)),
        );
        let body = request(method, params);
        headers.push(("Content-Length".to_owned(), body.len().to_string()));
        let own = self.client.socket.is_none();
        // Behind a socket the address of the request is made up.
        let made_up = self.url.to_string();
        let unreachable =
            |error: String| Trouble::Unreachable(error.replace(&made_up, &self.address));
        let answer = self
            .client
            .exchange(machine, "POST", &self.url, &headers, body.as_bytes(), own)
            .map_err(|error| unreachable(error.to_string()))?;
        match answer.status {
            200 => {}
            401 => return Err(Trouble::Refused(self.address.clone())),
            status => {
                let (server, reason) = (&self.address, &answer.reason);
                let text = format!("{server} answers with {status} {reason}");
                return Err(Trouble::Unreachable(text));
            }
        }
        let text = answer
            .document()
            .map_err(|error| unreachable(error.to_string()))?;
        let text = String::from_utf8_lossy(&text);
        let unread =
            || Trouble::Unreachable(format!("the answer of {} is no XML-RPC", self.address));
        let mut reader = Reader { rest: &text };
        let is_fault = text.contains("<fault>");
        reader.find("<value>").ok_or_else(unread)?;
        let value = reader.value(0).ok_or_else(unread)?;
        match value {
            Data::Map(fault) if is_fault => Err(Trouble::Fault(
                fault.get("faultCode").and_then(Data::as_int).unwrap_or(0),
                fault.get("faultString").map(Data::text).unwrap_or_default(),
            )),
            value => Ok(value),
        }
    }
}

fn request(method: &str, params: &[Data]) -> String {
    let mut body =
        format!("<?xml version='1.0'?><methodCall><methodName>{method}</methodName><params>");
    for param in params {
        let value = match param {
            Data::Bool(value) => format!("<boolean>{}</boolean>", u8::from(*value)),
            other => format!("<string>{}</string>", escaped(&other.text())),
        };
        body.push_str(&format!("<param><value>{value}</value></param>"));
    }
    body + "</params></methodCall>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// How deep values nest that are read.
const DEPTH: usize = 16;

/// Reads an answer from the front.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Goes on behind the next occurrence of a tag.
    fn find(&mut self, tag: &str) -> Option<&'a str> {
        let (before, rest) = self.rest.split_once(tag)?;
        self.rest = rest;
        Some(before)
    }

    /// Takes a tag that stands here, apart from blanks.
    fn take(&mut self, tag: &str) -> bool {
        match self.rest.trim_start().strip_prefix(tag) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The value behind `<value>`, with the end of the element.
    fn value(&mut self, depth: usize) -> Option<Data> {
        if depth > DEPTH {
            return None;
        }
        let value = if self.take("<struct/>") {
            Data::Map(Map::new())
        } else if self.take("<array/>") {
            Data::List(vec![])
        } else if self.take("<string/>") {
            Data::Str(String::new())
        } else if self.take("<struct>") {
            let mut map = Map::new();
            while self.take("<member>") {
                self.find("<name>")?;
                let name = plain(self.find("</name>")?);
                self.find("<value>")?;
                map.insert(name, self.value(depth + 1)?);
                self.find("</member>")?;
            }
            self.find("</struct>")?;
            Data::Map(map)
        } else if self.take("<array>") {
            let mut items = vec![];
            if !self.take("<data/>") {
                self.find("<data>")?;
                while self.take("<value>") {
                    items.push(self.value(depth + 1)?);
                }
                self.find("</data>")?;
            }
            self.find("</array>")?;
            Data::List(items)
        } else if self.rest.trim_start().starts_with('<') && !self.rest.starts_with("</value>") {
            self.find("<")?;
            let kind = self.find(">")?.to_owned();
            let text = self.find(&format!("</{kind}>"))?;
            match kind.as_str() {
                "int" | "i4" | "i8" => Data::Int(text.trim().parse().ok()?),
                "boolean" => Data::Bool(text.trim() == "1"),
                _ => Data::Str(plain(text)),
            }
        } else {
            let text = self.find("</value>")?;
            return Some(Data::Str(plain(text)));
        };
        self.find("</value>")?;
        Some(value)
    }
}

/// Text without the escapes that XML asks for.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once(';') else {
            out.push('&');
            rest = after;
            continue;
        };
        let number = || match name.strip_prefix("#x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => name.strip_prefix('#')?.parse().ok(),
        };
        match name {
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "amp" => out.push('&'),
            "quot" => out.push('"'),
            "apos" => out.push('\''),
            _ => out.extend(number().and_then(char::from_u32)),
        }
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind_are_read() {
        let text = "<value><struct>\n<member><name>a</name><value><int>-3</int></value></member>\
            <member><name>b</name>\n<value><array><data><value><string>x &lt;&#38;&#x3e;</string></value>\
            <value>bare</value><value><boolean>1</boolean></value><value><string/></value></data></array></value></member>\
            </struct></value>";
        let mut reader = Reader { rest: text };
        reader.find("<value>").unwrap();
        let value = reader.value(0).unwrap();
        let list = ["x <&>", "bare"].map(Data::from);
        let list = list.into_iter().chain([Data::Bool(true), Data::from("")]);
        let expected = crate::map! { "a" => -3, "b" => Data::List(list.collect()) };
        assert_eq!(value, Data::Map(expected));
    }

    #[test]
    fn broken_answers_are_no_values() {
        for text in [
            "<value><struct><member>",
            "<value><int>x</int></value>",
            "<value>",
            "<value><array><data>",
        ] {
            let mut reader = Reader { rest: text };
            reader.find("<value>").unwrap();
            assert!(reader.value(0).is_none(), "{text}");
        }
        let deep = "<value><array><data>".repeat(40);
        let mut reader = Reader { rest: &deep };
        reader.find("<value>").unwrap();
        assert!(reader.value(0).is_none());
    }

    #[test]
    fn texts_are_escaped() {
        let body = request("m", &[Data::from("<a&b>"), Data::Bool(true)]);
        assert!(body.contains("<string>&lt;a&amp;b&gt;</string>"));
        assert!(body.contains("<boolean>1</boolean>"));
    }
}
