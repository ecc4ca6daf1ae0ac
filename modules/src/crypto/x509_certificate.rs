//! `x509_certificate`: a certificate signed by its own key or by an authority of one's own, put
//! together here and signed by `openssl`.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::FileArgs;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::time;

use super::der;
use super::openssl::{self, Key, Openssl, Source, State, Target};
use super::x509::{self, Extension, Signed};

/// Makes a certificate, and looks after it.
#[derive(ModuleArgs)]
struct Args {
    /// Whether the file is there.
    #[arg(default = "present")]
    state: State,
    /// The file.
    path: PathBuf,
    /// Who signs: the certificate's own key, or an authority of one's own. `acme` is refused.
    #[arg(choices = "acme, ownca, selfsigned")]
    provider: Option<String>,
    /// Return the certificate itself.
    #[arg(default = "false")]
    return_content: bool,
    /// Keep a copy of what is overwritten or removed.
    #[arg(default = "false")]
    backup: bool,
    /// Make a new certificate in any case.
    #[arg(default = "false")]
    force: bool,
    /// The file of the request.
    csr_path: Option<PathBuf>,
    /// The request itself.
    csr_content: Option<String>,
    /// A certificate for another time is as good.
    #[arg(default = "true")]
    ignore_timestamps: bool,
    /// The program `openssl` signs, whatever this says.
    #[arg(default = "auto", choices = "auto, cryptography")]
    #[expect(dead_code, reason = "there is one way only")]
    select_crypto_backend: String,
    /// The file of the private key.
    privatekey_path: Option<PathBuf>,
    /// The private key itself.
    #[arg(secret)]
    privatekey_content: Option<String>,
    /// What protects the private key.
    #[arg(secret)]
    privatekey_passphrase: Option<String>,
    /// The key of an account at an authority.
    #[arg(refused = "certificates of ACME authorities are not supported")]
    acme_accountkey_path: Option<PathBuf>,
    /// Where an authority looks for an answer.
    #[arg(refused = "certificates of ACME authorities are not supported")]
    acme_challenge_path: Option<PathBuf>,
    /// Add the authority's certificates.
    #[arg(refused = "certificates of ACME authorities are not supported")]
    acme_chain: Option<bool>,
    /// The authority's address.
    #[arg(refused = "certificates of ACME authorities are not supported")]
    acme_directory: Option<String>,
    /// The file of the authority's certificate.
    ownca_path: Option<PathBuf>,
    /// The authority's certificate itself.
    ownca_content: Option<String>,
    /// The file of the authority's private key.
    ownca_privatekey_path: Option<PathBuf>,
    /// The authority's private key itself.
    #[arg(secret)]
    ownca_privatekey_content: Option<String>,
    /// What protects the authority's private key.
    #[arg(secret)]
    ownca_privatekey_passphrase: Option<String>,
    /// The digest that the authority signs.
    #[arg(default = "sha256")]
    ownca_digest: String,
    /// The version, which there is only one of.
    #[arg(default = "3", choices = "3")]
    #[expect(dead_code, reason = "there is one only")]
    ownca_version: i64,
    /// From when it is good: `+2d`, `-1h30m`, or `20240229120000Z`.
    #[arg(default = "+0s")]
    ownca_not_before: String,
    /// Until when it is good.
    #[arg(default = "+3650d")]
    ownca_not_after: String,
    /// Whether a digest of the key is put into it.
    #[arg(default = "create_if_not_provided")]
    ownca_create_subject_key_identifier: Identifier,
    /// Whether what names the authority's key is put into it.
    #[arg(default = "true")]
    ownca_create_authority_key_identifier: bool,
    /// The version, which there is only one of.
    #[arg(default = "3", choices = "3")]
    #[expect(dead_code, reason = "there is one only")]
    selfsigned_version: i64,
    /// The digest that is signed.
    #[arg(default = "sha256")]
    selfsigned_digest: String,
    /// As `ownca_not_before`.
    #[arg(default = "+0s", alias = "selfsigned_notBefore")]
    selfsigned_not_before: String,
    /// As `ownca_not_after`.
    #[arg(default = "+3650d", alias = "selfsigned_notAfter")]
    selfsigned_not_after: String,
    /// Whether a digest of the key is put into it.
    #[arg(default = "create_if_not_provided")]
    selfsigned_create_subject_key_identifier: Identifier,
    /// Owner, group and mode.
    #[arg(flatten)]
    file: FileArgs,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Identifier {
    #[arg(name = "create_if_not_provided")]
    Missing,
    #[arg(name = "always_create")]
    Always,
    #[arg(name = "never_create")]
    Never,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, non_snake_case, reason = "a table of return values")]
struct Values {
    /// The file.
    filename: String,
    /// The file of the private key.
    privatekey: String,
    /// The file of the request.
    csr: String,
    /// The file of the authority's certificate.
    ca_cert: String,
    /// The file of the authority's private key.
    ca_privatekey: String,
    /// From when it is good.
    notBefore: String,
    /// Until when it is good.
    notAfter: String,
    /// Its number.
    serial_number: i64,
    /// The copy of what was there.
    backup_file: String,
    /// The certificate, where the task asks for it.
    certificate: String,
}

module! {
    "community.crypto.x509_certificate", args: Args, returns: Values, run: run,
    aliases: ["community.crypto.openssl_certificate", "ansible.builtin.openssl_certificate"],
    rules: Rules {
        mutually_exclusive: &[
            &["csr_path", "csr_content"],
            &["privatekey_path", "privatekey_content"],
            &["ownca_path", "ownca_content"],
            &["ownca_privatekey_path", "ownca_privatekey_content"],
        ],
        required_if: &[("state", "present", &["provider"], false)],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let target = Target {
        path: &args.path,
        file: &args.file,
        backup: args.backup,
        mode: None,
    };
    let mut outcome = Outcome::unchanged();
    let mut now = None;
    if args.state == State::Absent {
        target.remove(machine, &mut outcome)?;
    } else {
        let old = target.read(machine)?;
        args.check(machine)?;
        let mut openssl = Openssl::of(machine)?;
        let content = args.ensure(&mut openssl, old.as_deref(), &mut outcome)?;
        target.ensure(openssl.machine, content.as_deref(), &mut outcome)?;
        now = content.or(old);
    }
    outcome = outcome
        .with("filename", args.path.to_string_lossy().as_ref())
        .with("privatekey", openssl::shown(args.privatekey_path.as_ref()))
        .with("csr", openssl::shown(args.csr_path.as_ref()));
    if args.own() && args.state == State::Present {
        let key = openssl::shown(args.ownca_privatekey_path.as_ref());
        outcome = outcome
            .with("ca_cert", openssl::shown(args.ownca_path.as_ref()))
            .with("ca_privatekey", key);
    }
    if let Some(certificate) = now.as_deref().and_then(Signed::read) {
        let mut moments = certificate.validity.into_iter();
        outcome = outcome
            .with("notBefore", moments.next().unwrap_or_default())
            .with("notAfter", moments.next().unwrap_or_default())
            .with("serial_number", number(&certificate.serial));
    }
    if args.return_content {
        let text = now.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        outcome = outcome.with("certificate", text.map_or(Data::Null, Data::Str));
    }
    Ok(outcome)
}

/// A number of many bytes; as text where it is larger than results can hold.
fn number(bytes: &[u8]) -> Data {
    if bytes.len() <= 16 {
        let number = bytes
            .iter()
            .fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte));
        if let Ok(number) = i128::try_from(number) {
            return Data::Int(number);
        }
    }
    let mut digits: Vec<u32> = vec![];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    let digits = digits.iter().rev();
    Data::Str(
        digits
            .filter_map(|digit| char::from_digit(*digit, 10))
            .collect(),
    )
}

/// Who signs, and how.
struct Signer {
    key: Key,
    /// The name of who signs; nothing for a certificate that is signed by its own key.
    authority: Option<Signed>,
    digest: String,
    algorithm: Vec<u8>,
    identifier: Identifier,
    /// The extension that names the authority's key.
    named: Option<Extension>,
    validity: [String; 2],
}

impl Args {
    fn own(&self) -> bool {
        self.provider.as_deref() == Some("ownca")
    }

    /// What each provider needs, and whether the files are there.
    fn check(&self, machine: &mut dyn Machine) -> Result<(), Failure> {
        let need = |what: &str, given: bool| match given {
            true => Ok(()),
            false => {
                let provider = self.provider.as_deref().unwrap_or_default();
                Err(Failure::new(format!(
                    "One of {what}_path and {what}_content must be specified for the {provider} provider."
                )))
            }
        };
        match self.provider.as_deref() {
            Some("acme") => {
                return Err(Failure::new(
                    "provider `acme` is not supported; take `ownca` or `selfsigned`",
                ));
            }
            Some("ownca") => {
                need(
                    "ownca",
                    self.ownca_path.is_some() || self.ownca_content.is_some(),
                )?;
                let content = self.ownca_privatekey_content.is_some();
                need(
                    "ownca_privatekey",
                    self.ownca_privatekey_path.is_some() || content,
                )?;
                if self.csr_path.is_none() && self.csr_content.is_none() {
                    let text = "csr_path or csr_content is required for ownca provider";
                    return Err(Failure::new(text));
                }
            }
            _ => need(
                "privatekey",
                self.privatekey_path.is_some() || self.privatekey_content.is_some(),
            )?,
        }
        let csr = ("certificate signing request", &self.csr_path);
        let others = match self.own() {
            true => [
                csr,
                ("CA certificate", &self.ownca_path),
                ("CA private key", &self.ownca_privatekey_path),
            ],
            false => [csr, ("private key", &self.privatekey_path), ("", &None)],
        };
        for (what, path) in others {
            let source = source(path.as_ref(), None);
            if let Some(path) = source.missing(machine) {
                return Err(Failure::new(format!(
                    "The {what} file {path} does not exist"
                )));
            }
        }
        Ok(())
    }

    /// What is to be written; nothing where the certificate that is there says the same.
    fn ensure(
        &self,
        openssl: &mut Openssl<'_>,
        old: Option<&[u8]>,
        outcome: &mut Outcome,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let own_key = source(
            self.privatekey_path.as_ref(),
            self.privatekey_content.as_ref(),
        );
        let own_key = match own_key.read(openssl.machine)? {
            Some(pem) => Some(openssl.key(pem, self.privatekey_passphrase.as_deref())?),
            None => None,
        };
        let public = own_key.as_ref().map(|key| key.public.clone());
        let signer = self.signer(openssl, own_key)?;
        let request = source(self.csr_path.as_ref(), self.csr_content.as_ref());
        let request = match request.read(openssl.machine)? {
            Some(pem) => Signed::read(&pem)
                .ok_or_else(|| Failure::new("Cannot parse the certificate signing request"))?,
            None => Signed {
                subject: der::sequence(&[]),
                public: signer.key.public.clone(),
                ..Signed::default()
            },
        };
        let there = old.and_then(Signed::read).filter(|_| !self.force);
        if let Some(there) = there
            && public.is_none_or(|public| public == there.public)
            && signer.fits(openssl, &there, &request)?
            && (self.ignore_timestamps || there.validity == signer.validity)
        {
            return Ok(None);
        }
        let new = signer.make(openssl, &request)?;
        let words = [
            "x509",
            "-noout",
            "-text",
            "-certopt",
            "no_serial,no_pubkey,no_sigdump",
        ];
        let old = old.unwrap_or_default();
        outcome
            .diff
            .push(openssl::difference(openssl, &words, old, &new)?);
        Ok(Some(new))
    }

    fn signer(&self, openssl: &mut Openssl<'_>, own: Option<Key>) -> Result<Signer, Failure> {
        let (prefix, from, until, digest, identifier) = match self.own() {
            true => (
                "ownca",
                &self.ownca_not_before,
                &self.ownca_not_after,
                &self.ownca_digest,
                self.ownca_create_subject_key_identifier,
            ),
            false => (
                "selfsigned",
                &self.selfsigned_not_before,
                &self.selfsigned_not_after,
                &self.selfsigned_digest,
                self.selfsigned_create_subject_key_identifier,
            ),
        };
        let now = openssl.machine.now();
        let moment = |text: &str, name: &str| {
            let moment = moment(now, text);
            moment.ok_or_else(|| {
                let kind = match text.starts_with(['+', '-']) {
                    true => "timespec",
                    false => "time spec",
                };
                format!("The {kind} \"{text}\" for {prefix}_{name} is invalid")
            })
        };
        let validity = [moment(from, "not_before")?, moment(until, "not_after")?];
        let (key, authority) = match own {
            Some(key) if !self.own() => (key, None),
            _ => {
                let (key, authority) = self.authority(openssl)?;
                (key, Some(authority))
            }
        };
        x509::may_sign(&key)?;
        let algorithm = x509::algorithm(&key, digest).ok_or_else(|| {
            format!("The digest {digest} is not supported with the cryptography backend")
        })?;
        let named = authority
            .as_ref()
            .filter(|_| self.ownca_create_authority_key_identifier);
        let named = named.map(|authority| {
            let own = authority.extension(x509::SUBJECT_KEY);
            let own = own.and_then(|own| Some(der::take(&mut &*own.value)?.inner.to_vec()));
            let bytes = own.unwrap_or_else(|| x509::key_identifier(&key.public));
            let value = der::sequence(&[&der::tagged(0x80, &bytes)]);
            Extension::new(x509::AUTHORITY_KEY, false, value)
        });
        Ok(Signer {
            key,
            authority,
            digest: digest.clone(),
            algorithm,
            identifier,
            named,
            validity,
        })
    }

    /// The authority's key and certificate.
    fn authority(&self, openssl: &mut Openssl<'_>) -> Result<(Key, Signed), Failure> {
        let certificate = source(self.ownca_path.as_ref(), self.ownca_content.as_ref());
        let certificate = certificate.read(openssl.machine)?.unwrap_or_default();
        let authority = Signed::read(&certificate)
            .ok_or_else(|| Failure::new("Cannot parse the CA certificate"))?;
        let key = source(
            self.ownca_privatekey_path.as_ref(),
            self.ownca_privatekey_content.as_ref(),
        );
        let pem = key.read(openssl.machine)?.unwrap_or_default();
        let key = openssl.key(pem, self.ownca_privatekey_passphrase.as_deref())?;
        if key.public != authority.public {
            let text = "The CA private key does not belong to the CA certificate";
            return Err(Failure::new(text));
        }
        Ok((key, authority))
    }
}

fn source<'a>(path: Option<&'a PathBuf>, content: Option<&'a String>) -> Source<'a> {
    Source {
        path: path.map(|path| Path::new(path.as_os_str())),
        content: content.map(String::as_str),
    }
}

/// A moment as certificates have it: from now on, or as it is written.
fn moment(now: f64, text: &str) -> Option<String> {
    const FORMAT: &str = "%Y%m%d%H%M%SZ";
    let micros = match text.strip_prefix(['+', '-']) {
        Some(span) => {
            let span = seconds(span)?;
            let ahead = text.starts_with('+');
            time::micros(now) + 1_000_000 * if ahead { span } else { -span }
        }
        None => {
            let plain = text.strip_suffix('Z').map(|plain| (plain, 0));
            let (plain, offset) = match plain {
                Some(found) => found,
                None => {
                    let (plain, zone) = text.split_at_checked(text.len().checked_sub(5)?)?;
                    let (hours, minutes) = zone.get(1..)?.split_at_checked(2)?;
                    let offset =
                        hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
                    match zone.get(..1)? {
                        "+" => (plain, offset),
                        "-" => (plain, -offset),
                        _ => return None,
                    }
                }
            };
            let format = match plain.len() {
                14 => "%Y%m%d%H%M%S",
                12 => "%Y%m%d%H%M",
                _ => return None,
            };
            let civil = time::parse(format, plain)?;
            (civil.seconds() - offset) * 1_000_000
        }
    };
    Some(time::utc(micros, FORMAT))
}

/// Seconds of a span such as `1w2d3h4m5s`, of which the last sign may be left out.
fn seconds(span: &str) -> Option<i64> {
    let (mut sum, mut rest) = (0_i64, span);
    for (sign, length) in [
        ('w', 604_800),
        ('d', 86_400),
        ('h', 3_600),
        ('m', 60),
        ('s', 1),
    ] {
        let digits = rest.len()
            - rest
                .trim_start_matches(|sign: char| sign.is_ascii_digit())
                .len();
        let (number, tail) = rest.split_at(digits);
        let tail = match tail.strip_prefix([sign, sign.to_ascii_uppercase()]) {
            Some(tail) => tail,
            None if sign == 's' && tail.is_empty() => tail,
            None => continue,
        };
        if !number.is_empty() {
            sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(length)?)?;
            rest = tail;
        }
    }
    (rest.is_empty() && !span.is_empty()).then_some(sum)
}

impl Signer {
    /// Whether a certificate is what would be made, but for its number and its time.
    fn fits(
        &self,
        openssl: &mut Openssl<'_>,
        there: &Signed,
        request: &Signed,
    ) -> Result<bool, Failure> {
        let subject = x509::parts_of(&request.subject);
        let issuer = self
            .authority
            .as_ref()
            .map(|authority| x509::parts_of(&authority.subject));
        let wanted = self.extensions(request);
        let has = |extension: &Extension| there.extension(&extension.id) == Some(extension);
        Ok(request.public == there.public
            && subject == x509::parts_of(&there.subject)
            && issuer.is_none_or(|issuer| issuer == x509::parts_of(&there.issuer))
            && wanted.len() == there.extensions.len()
            && wanted.iter().all(has)
            // A request that nobody wrote is not signed.
            && (request.body.is_empty() || request.signed_by(openssl, &request.public)?)
            && there.signed_by(openssl, &self.key.public)?)
    }

    fn extensions(&self, request: &Signed) -> Vec<Extension> {
        let given = request.extensions.iter().filter(|extension| {
            let replaced = match extension.id.as_slice() {
                x509::SUBJECT_KEY => self.identifier == Identifier::Always,
                x509::AUTHORITY_KEY => self.named.is_some(),
                _ => false,
            };
            !replaced
        });
        let mut all: Vec<Extension> = given.cloned().collect();
        let has = all
            .iter()
            .any(|extension| extension.id == x509::SUBJECT_KEY);
        if !has && self.identifier != Identifier::Never {
            let bytes = x509::key_identifier(&request.public);
            all.push(Extension::new(
                x509::SUBJECT_KEY,
                false,
                der::tagged(4, &bytes),
            ));
        }
        all.extend(self.named.clone());
        all
    }

    fn make(&self, openssl: &mut Openssl<'_>, request: &Signed) -> Result<Vec<u8>, Failure> {
        let mut serial = openssl.must(&["rand", "15"], b"", "")?;
        if let Some(first) = serial.first_mut() {
            // So that it is as long as it looks.
            *first |= 0x40;
        }
        let moments = self.validity.clone().map(|moment| match moment.as_str() {
            // Two digits of the year reach as far as 2049.
            early if ("1950".."2050").contains(&early) => der::tagged(0x17, &early.as_bytes()[2..]),
            other => der::tagged(0x18, other.as_bytes()),
        });
        let issuer = self
            .authority
            .as_ref()
            .map_or(&request.subject, |authority| &authority.subject);
        let extensions = self.extensions(request);
        let extensions = match extensions.is_empty() {
            true => vec![],
            false => der::tagged(0xa3, &x509::list(&extensions)),
        };
        let body = der::sequence(&[
            &[0xa0, 3, 2, 1, 2],
            &der::number(&serial),
            &self.algorithm,
            issuer,
            &der::sequence(&[&moments.concat()]),
            &request.subject,
            &request.public,
            &extensions,
        ]);
        let signing = (self.digest.as_str(), self.algorithm.as_slice());
        x509::signed(openssl, &self.key, signing, "CERTIFICATE", &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let known = |text: &str| moment(1_700_000_000.0, text);
        assert_eq!(known("+0s").unwrap(), "20231114221320Z");
        assert_eq!(known("-1d1").unwrap(), "20231113221319Z");
        assert_eq!(known("+1w1d2h3m4s").unwrap(), "20231123001624Z");
        assert_eq!(known("20240229120000Z").unwrap(), "20240229120000Z");
        assert_eq!(known("202402291200Z").unwrap(), "20240229120000Z");
        assert_eq!(known("20240229120000+0100").unwrap(), "20240229110000Z");
        for wrong in ["+", "+1x", "+1d1w", "2024", "", "20240231120000Z"] {
            assert_eq!(known(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn large_numbers() {
        assert_eq!(number(&[1, 0]), Data::Int(256));
        let large = number(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(large.text(), "340282366920938463463374607431768211456");
    }
}
