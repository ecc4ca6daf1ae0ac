//! `openssl_csr`: a request for a certificate, put together here and signed by `openssl`.

use std::path::PathBuf;

use rplay_modules::args::{ModuleArgs, Returns, Rules, field};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::FileArgs;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::der;
use super::openssl::{self, Key, Openssl, Source, State, Target};
use super::x509::{self, Extension, Signed};

/// Makes a request for a certificate, and looks after it.
#[derive(ModuleArgs)]
struct Args {
    /// Whether the file is there.
    #[arg(default = "present")]
    state: State,
    /// The digest that is signed; keys of Edwards curves have their own.
    #[arg(default = "sha256")]
    digest: String,
    /// The file of the private key.
    privatekey_path: Option<PathBuf>,
    /// The private key itself.
    #[arg(secret)]
    privatekey_content: Option<String>,
    /// What protects the private key.
    #[arg(secret)]
    privatekey_passphrase: Option<String>,
    /// The version of the request, which there is only one of.
    #[arg(default = "1", choices = "1")]
    #[expect(dead_code, reason = "there is one only")]
    version: i64,
    /// Make a new request in any case.
    #[arg(default = "false")]
    force: bool,
    /// The file.
    path: PathBuf,
    /// Parts of the subject by their names, each a text or a list of texts.
    subject: Option<Map>,
    /// The same in an order that matters: each a mapping with one name.
    #[arg(kind = "list of dict")]
    subject_ordered: Option<Vec<Map>>,
    /// The country, in two letters.
    #[arg(alias = "C", alias = "countryName")]
    country_name: Option<String>,
    /// The state or province.
    #[arg(alias = "ST", alias = "stateOrProvinceName")]
    state_or_province_name: Option<String>,
    /// The place.
    #[arg(alias = "L", alias = "localityName")]
    locality_name: Option<String>,
    /// The organization.
    #[arg(alias = "O", alias = "organizationName")]
    organization_name: Option<String>,
    /// A part of the organization.
    #[arg(alias = "OU", alias = "organizationalUnitName")]
    organizational_unit_name: Option<String>,
    /// The name of who holds the certificate.
    #[arg(alias = "CN", alias = "commonName")]
    common_name: Option<String>,
    /// The mail address.
    #[arg(alias = "E", alias = "emailAddress")]
    email_address: Option<String>,
    /// Further names, such as `DNS:example.org`, `IP:192.0.2.1`, `email:`, `URI:`, `RID:`, `dirName:` and `otherName:`.
    #[arg(alias = "subjectAltName")]
    subject_alt_name: Option<Vec<String>>,
    /// Whoever does not know this extension must refuse the certificate.
    #[arg(default = "false", alias = "subjectAltName_critical")]
    subject_alt_name_critical: bool,
    /// Take the common name as a further name where none is given.
    #[arg(default = "true", alias = "useCommonNameForSAN")]
    use_common_name_for_san: bool,
    /// What the key is for, such as `digitalSignature`.
    #[arg(alias = "keyUsage")]
    key_usage: Option<Vec<String>>,
    /// As for the further names.
    #[arg(default = "false", alias = "keyUsage_critical")]
    key_usage_critical: bool,
    /// What the certificate is for, such as `serverAuth`.
    #[arg(alias = "extKeyUsage", alias = "extendedKeyUsage")]
    extended_key_usage: Option<Vec<String>>,
    /// As for the further names.
    #[arg(
        default = "false",
        alias = "extKeyUsage_critical",
        alias = "extendedKeyUsage_critical"
    )]
    extended_key_usage_critical: bool,
    /// Whether it is for an authority, `CA:TRUE`, and how many may stand below, `pathlen:0`.
    #[arg(alias = "basicConstraints")]
    basic_constraints: Option<Vec<String>>,
    /// As for the further names.
    #[arg(default = "false", alias = "basicConstraints_critical")]
    basic_constraints_critical: bool,
    /// Servers must prove that the certificate is not revoked.
    #[arg(default = "false", alias = "ocspMustStaple")]
    ocsp_must_staple: bool,
    /// As for the further names.
    #[arg(default = "false", alias = "ocspMustStaple_critical")]
    ocsp_must_staple_critical: bool,
    /// Names that an authority may sign.
    name_constraints_permitted: Option<Vec<String>>,
    /// Names that an authority may not sign.
    name_constraints_excluded: Option<Vec<String>>,
    /// As for the further names.
    #[arg(default = "false")]
    name_constraints_critical: bool,
    /// Put a digest of the key into the request.
    #[arg(default = "false")]
    create_subject_key_identifier: bool,
    /// What names the key, in hexadecimal digits.
    subject_key_identifier: Option<String>,
    /// What names the key of who signs, in hexadecimal digits.
    authority_key_identifier: Option<String>,
    /// Names of who signs.
    authority_cert_issuer: Option<Vec<String>>,
    /// The number of the certificate of who signs.
    #[arg(kind = "int")]
    authority_cert_serial_number: Option<Data>,
    /// Where lists of revoked certificates are: each with `full_name` or `relative_name`, `crl_issuer`, `reasons`.
    #[arg(kind = "list of dict")]
    crl_distribution_points: Option<Vec<Map>>,
    /// The program `openssl` signs the request, whatever this says.
    #[arg(default = "auto", choices = "auto, cryptography")]
    #[expect(dead_code, reason = "there is one way only")]
    select_crypto_backend: String,
    /// Keep a copy of what is overwritten or removed.
    #[arg(default = "false")]
    backup: bool,
    /// Return the request itself.
    #[arg(default = "false")]
    return_content: bool,
    /// Owner, group and mode.
    #[arg(flatten)]
    file: FileArgs,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, non_snake_case, reason = "a table of return values")]
struct Values {
    /// The file of the private key.
    privatekey: String,
    /// The file.
    filename: String,
    /// The parts of the subject, names and texts.
    subject: Vec<Vec<String>>,
    /// Further names.
    subjectAltName: Vec<String>,
    /// What the key is for.
    keyUsage: Vec<String>,
    /// What the certificate is for.
    extendedKeyUsage: Vec<String>,
    /// Whether it is for an authority.
    basicConstraints: Vec<String>,
    /// Whether servers must prove that it is not revoked.
    ocspMustStaple: bool,
    /// Names that an authority may sign.
    name_constraints_permitted: Vec<String>,
    /// Names that an authority may not sign.
    name_constraints_excluded: Vec<String>,
    /// The copy of what was there.
    backup_file: String,
    /// The request, where the task asks for it.
    csr: String,
}

module! {
    "community.crypto.openssl_csr", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.openssl_csr"],
    rules: Rules {
        required_together: &[&["authority_cert_issuer", "authority_cert_serial_number"]],
        mutually_exclusive: &[
            &["privatekey_path", "privatekey_content"],
            &["subject", "subject_ordered"],
        ],
        required_if: &[("state", "present", &["privatekey_path", "privatekey_content"], true)],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    let target = Target {
        path: &args.path.clone(),
        file: &args.file.clone(),
        backup: args.backup,
        mode: None,
    };
    let old = target.read(machine)?;
    let subject = args.subject_parts()?;
    if args.use_common_name_for_san && args.subject_alt_name.as_ref().is_none_or(Vec::is_empty) {
        let names = ["CN", "commonName"];
        let name = subject
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()));
        if let Some((_, text)) = name {
            args.subject_alt_name = Some(vec![format!("DNS:{text}")]);
        }
    }
    let mut outcome = Outcome::unchanged();
    let mut now = None;
    if args.state == State::Absent {
        target.remove(machine, &mut outcome)?;
    } else {
        let mut openssl = Openssl::of(machine)?;
        let content = args.ensure(&mut openssl, &subject, old.as_deref(), &mut outcome)?;
        target.ensure(openssl.machine, content.as_deref(), &mut outcome)?;
        now = content.or(old);
    }
    let list = |list: Option<&Vec<String>>| list.map_or(Data::Null, |list| list.clone().into());
    let pairs = subject
        .iter()
        .map(|(name, text)| vec![name.clone(), text.clone()].into());
    let none = Vec::new();
    outcome = outcome
        .with("privatekey", openssl::shown(args.privatekey_path.as_ref()))
        .with("filename", args.path.to_string_lossy().as_ref())
        .with("subject", Data::List(pairs.collect()))
        .with("subjectAltName", list(args.subject_alt_name.as_ref()))
        .with("keyUsage", list(args.key_usage.as_ref()))
        .with("extendedKeyUsage", list(args.extended_key_usage.as_ref()))
        .with("basicConstraints", list(args.basic_constraints.as_ref()))
        .with("ocspMustStaple", args.ocsp_must_staple);
    for (name, names) in [
        (
            "name_constraints_permitted",
            &args.name_constraints_permitted,
        ),
        ("name_constraints_excluded", &args.name_constraints_excluded),
    ] {
        outcome = outcome.with(name, list(Some(names.as_ref().unwrap_or(&none))));
    }
    if args.return_content {
        let text = now.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        outcome = outcome.with("csr", text.map_or(Data::Null, Data::Str));
    }
    Ok(outcome)
}

impl Args {
    /// The names and texts of the subject.
    fn subject_parts(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut parts: Vec<(String, String)> = vec![];
        for (name, text) in [
            ("C", &self.country_name),
            ("ST", &self.state_or_province_name),
            ("L", &self.locality_name),
            ("O", &self.organization_name),
            ("OU", &self.organizational_unit_name),
            ("CN", &self.common_name),
            ("emailAddress", &self.email_address),
        ] {
            if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                parts.push((name.to_owned(), text.clone()));
            }
        }
        if let Some(subject) = &self.subject {
            parts.extend(named(subject, "subject")?);
        }
        let Some(ordered) = self
            .subject_ordered
            .as_ref()
            .filter(|list| !list.is_empty())
        else {
            return Ok(parts);
        };
        if !parts.is_empty() {
            let text = "subject_ordered cannot be combined with any other subject field";
            return Err(Failure::new(text));
        }
        for (index, entry) in ordered.iter().enumerate() {
            let number = index + 1;
            if entry.len() != 1 {
                return Err(Failure::new(format!(
                    "Entry #{number} in subject_ordered must be a dictionary with exactly one key-value pair"
                )));
            }
            let found = named(entry, "subject_ordered").map_err(|why| {
                format!("Error while processing entry #{number} in subject_ordered: {why}")
            });
            parts.extend(found?);
        }
        Ok(parts)
    }

    /// What is to be written; nothing where the request that is there says the same.
    fn ensure(
        &self,
        openssl: &mut Openssl<'_>,
        subject: &[(String, String)],
        old: Option<&[u8]>,
        outcome: &mut Outcome,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let source = Source {
            path: self.privatekey_path.as_deref(),
            content: self.privatekey_content.as_deref(),
        };
        let pem = source.read(openssl.machine)?.unwrap_or_default();
        let key = openssl.key(pem, self.privatekey_passphrase.as_deref())?;
        x509::may_sign(&key)?;
        let mut parts = vec![];
        for (name, text) in subject {
            parts.push(x509::part(openssl, name, text)?);
        }
        let name = x509::name(&parts);
        let extensions = self.extensions(openssl, &key)?;
        let there = old.and_then(Signed::read);
        if let Some(there) = &there
            && !self.force
            && self.same(there, &name, &extensions)
            && there.public == key.public
            && there.signed_by(openssl, &key.public)?
        {
            return Ok(None);
        }
        let algorithm = x509::algorithm(&key, &self.digest)
            .ok_or_else(|| format!("Unsupported digest \"{}\"", self.digest))?;
        let body = x509::request(&name, &key.public, &extensions);
        let signing = (self.digest.as_str(), algorithm.as_slice());
        let new = x509::signed(openssl, &key, signing, "CERTIFICATE REQUEST", &body)?;
        let words = ["req", "-noout", "-text", "-reqopt", "no_pubkey,no_sigdump"];
        let old = old.unwrap_or_default();
        outcome
            .diff
            .push(openssl::difference(openssl, &words, old, &new)?);
        Ok(Some(new))
    }

    /// Whether a request says what the task asks for. Extensions that the task has no word for are
    /// not looked at.
    fn same(&self, there: &Signed, name: &[u8], wanted: &[Extension]) -> bool {
        let (mut old, mut new) = (x509::parts_of(&there.subject), x509::parts_of(name));
        if self.subject_ordered.is_none() {
            for parts in [&mut old, &mut new] {
                crate::order::sort(parts);
                parts.dedup();
            }
        }
        let known = [
            x509::ALT_NAME,
            x509::KEY_USAGE,
            x509::EXTENDED_USAGE,
            x509::BASIC,
            x509::TLS_FEATURE,
            x509::NAME_CONSTRAINTS,
            x509::SUBJECT_KEY,
            x509::AUTHORITY_KEY,
            x509::CRL_POINTS,
        ];
        old == new
            && known.iter().all(|id| {
                let wanted = wanted.iter().find(|extension| extension.id == *id);
                there.extension(id).map(Extension::sorted) == wanted.map(Extension::sorted)
            })
    }

    fn extensions(&self, openssl: &mut Openssl<'_>, key: &Key) -> Result<Vec<Extension>, Failure> {
        let mut all = vec![];
        let some = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
        if let Some(names) = some(&self.subject_alt_name) {
            let names = x509::general_names(openssl, &names, "Subject Alternative Name")?;
            let value = der::sequence(&[&names]);
            all.push(Extension::new(
                x509::ALT_NAME,
                self.subject_alt_name_critical,
                value,
            ));
        }
        if let Some(usages) = some(&self.key_usage) {
            let bits = usages.iter().map(|usage| usage_bit(usage));
            let bits = der::bits(bits.collect::<Result<Vec<_>, _>>()?);
            let value = der::tagged(3, &bits);
            all.push(Extension::new(
                x509::KEY_USAGE,
                self.key_usage_critical,
                value,
            ));
        }
        if let Some(usages) = some(&self.extended_key_usage) {
            let mut value = vec![];
            for usage in usages {
                value.extend(der::tagged(6, &openssl.identifier(&usage)?));
            }
            let critical = self.extended_key_usage_critical;
            all.push(Extension::new(
                x509::EXTENDED_USAGE,
                critical,
                der::sequence(&[&value]),
            ));
        }
        if let Some(constraints) = some(&self.basic_constraints) {
            let value = basic(&constraints)?;
            all.push(Extension::new(
                x509::BASIC,
                self.basic_constraints_critical,
                value,
            ));
        }
        if self.ocsp_must_staple {
            // The one feature that there is a word for: `status_request`.
            let value = vec![0x30, 3, 2, 1, 5];
            all.push(Extension::new(
                x509::TLS_FEATURE,
                self.ocsp_must_staple_critical,
                value,
            ));
        }
        let mut lists = vec![];
        for (tag, names, what) in [
            (
                0xa0,
                &self.name_constraints_permitted,
                "name constraints permitted",
            ),
            (
                0xa1,
                &self.name_constraints_excluded,
                "name constraints excluded",
            ),
        ] {
            let mut trees = vec![];
            for name in some(names).unwrap_or_default() {
                if name.starts_with("IP:") && !name.contains('/') {
                    return Err(Failure::new(
                        "Error while parsing name constraint: IPAddress name constraints must be an IPv4Network or IPv6Network object",
                    ));
                }
                trees.extend(der::sequence(&[&x509::general_name(openssl, &name, what)?]));
            }
            if !trees.is_empty() {
                lists.extend(der::tagged(tag, &trees));
            }
        }
        if !lists.is_empty() {
            let value = der::sequence(&[&lists]);
            let critical = self.name_constraints_critical;
            all.push(Extension::new(x509::NAME_CONSTRAINTS, critical, value));
        }
        self.key_extensions(openssl, key, &mut all)?;
        if let Some(points) = self
            .crl_distribution_points
            .as_ref()
            .filter(|list| !list.is_empty())
        {
            let mut value = vec![];
            for (index, point) in points.iter().enumerate() {
                let point = distribution_point(openssl, point).map_err(|failure| {
                    let why = failure.msg;
                    format!("Error while parsing CRL distribution point #{index}: {why}")
                });
                value.extend(point?);
            }
            all.push(Extension::new(
                x509::CRL_POINTS,
                false,
                der::sequence(&[&value]),
            ));
        }
        Ok(all)
    }

    /// What names the key, and the key of who signs.
    fn key_extensions(
        &self,
        openssl: &mut Openssl<'_>,
        key: &Key,
        all: &mut Vec<Extension>,
    ) -> Result<(), Failure> {
        let digits = |text: &Option<String>, name: &str| match text {
            None => Ok(None),
            Some(text) => match x509::unhex(text) {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(Failure::new(format!(
                    "Cannot parse {name}: Non-hexadecimal digit found"
                ))),
            },
        };
        let mut own = digits(&self.subject_key_identifier, "subject_key_identifier")?;
        if self.create_subject_key_identifier {
            if own.is_some() {
                return Err(Failure::new(
                    "subject_key_identifier cannot be specified if create_subject_key_identifier is true",
                ));
            }
            own = Some(x509::key_identifier(&key.public));
        }
        if let Some(bytes) = own {
            all.push(Extension::new(
                x509::SUBJECT_KEY,
                false,
                der::tagged(4, &bytes),
            ));
        }
        let mut value = vec![];
        if let Some(bytes) = digits(&self.authority_key_identifier, "authority_key_identifier")? {
            value.extend(der::tagged(0x80, &bytes));
        }
        if let Some(names) = &self.authority_cert_issuer {
            let names = x509::general_names(openssl, names, "authority cert issuer")?;
            value.extend(der::tagged(0xa1, &names));
        }
        if let Some(number) = &self.authority_cert_serial_number {
            let number = number.as_int().unwrap_or_default().to_be_bytes();
            let number = der::number(&number);
            value.extend(der::tagged(0x82, &number[2..]));
        }
        if !value.is_empty() {
            let value = der::sequence(&[&value]);
            all.push(Extension::new(x509::AUTHORITY_KEY, false, value));
        }
        Ok(())
    }
}

/// Names with a text or a list of texts each.
fn named(map: &Map, place: &str) -> Result<Vec<(String, String)>, String> {
    let mut parts = vec![];
    for (name, value) in map {
        let (texts, many) = match value {
            Data::List(texts) => (texts.as_slice(), true),
            text => (std::slice::from_ref(text), false),
        };
        for text in texts {
            let text = match text {
                Data::Str(text) if !text.is_empty() => text,
                Data::Str(_) if many => {
                    return Err(format!(
                        "Values for {name} in {place} must not be empty strings"
                    ));
                }
                Data::Str(_) => {
                    return Err(format!(
                        "Value for {name} in {place} must not be an empty string"
                    ));
                }
                _ if many => return Err(format!("Values {name} in {place} must be strings")),
                _ => {
                    return Err(format!(
                        "Value for {name} in {place} must be either a string or a list of strings"
                    ));
                }
            };
            parts.push((name.clone(), text.clone()));
        }
    }
    Ok(parts)
}

/// The bit of a use of a key.
fn usage_bit(usage: &str) -> Result<usize, Failure> {
    let names = [
        ["Digital Signature", "digitalSignature"],
        ["Non Repudiation", "nonRepudiation"],
        ["Key Encipherment", "keyEncipherment"],
        ["Data Encipherment", "dataEncipherment"],
        ["Key Agreement", "keyAgreement"],
        ["Certificate Sign", "keyCertSign"],
        ["CRL Sign", "cRLSign"],
        ["Encipher Only", "encipherOnly"],
        ["Decipher Only", "decipherOnly"],
    ];
    let bit = names.iter().position(|names| names.contains(&usage));
    bit.ok_or_else(|| Failure::new(format!("Unknown key usage \"{usage}\"")))
}

/// Whether it is for an authority, and how many may stand below it.
fn basic(constraints: &[String]) -> Result<Vec<u8>, Failure> {
    let (mut authority, mut length) = (false, None);
    for constraint in constraints {
        match constraint.split_once(':') {
            Some(("CA", "TRUE")) => authority = true,
            Some(("CA", "FALSE")) => authority = false,
            Some(("CA", other)) => {
                return Err(Failure::new(format!(
                    "Unknown basic constraint value \"{other}\" for CA"
                )));
            }
            Some(("pathlen", number)) => match number.parse::<u32>() {
                Ok(number) => length = Some(number),
                Err(_) => {
                    return Err(Failure::new(format!(
                        "Cannot parse path length constraint \"{number}\" (invalid literal for int() with base 10: '{number}')"
                    )));
                }
            },
            _ => {
                let text = format!("Unknown basic constraint \"{constraint}\"");
                return Err(Failure::new(text));
            }
        }
    }
    let authority: &[u8] = if authority { &[1, 1, 0xff] } else { &[] };
    let length = length.map(|length| der::number(&length.to_be_bytes()));
    Ok(der::sequence(&[authority, &length.unwrap_or_default()]))
}

/// Where a list of revoked certificates is.
fn distribution_point(openssl: &mut Openssl<'_>, point: &Map) -> Result<Vec<u8>, Failure> {
    let list = |name: &str| match field::<Option<Vec<String>>>(point, name)? {
        Some(list) if list.is_empty() => Err(Failure::new(format!("{name} must not be empty"))),
        list => Ok(list),
    };
    let (full, relative) = (list("full_name")?, list("relative_name")?);
    let (issuer, reasons) = (
        list("crl_issuer")?,
        field::<Option<Vec<String>>>(point, "reasons")?,
    );
    let names = ["full_name", "relative_name", "crl_issuer", "reasons"];
    if let Some(other) = point.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(Failure::new(format!("Unsupported parameters: {other}")));
    }
    let mut parts = vec![];
    if let Some(names) = &full {
        let names = x509::general_names(openssl, names, "full name")?;
        parts.extend(der::tagged(0xa0, &der::tagged(0xa0, &names)));
    } else if let Some(names) = &relative {
        let mut set = vec![];
        for name in names {
            set.extend(x509::relative(openssl, name, false)?);
        }
        parts.extend(der::tagged(0xa0, &der::tagged(0xa1, &set)));
    }
    if let Some(reasons) = reasons {
        let known = [
            "unused",
            "key_compromise",
            "ca_compromise",
            "affiliation_changed",
            "superseded",
            "cessation_of_operation",
            "certificate_hold",
            "privilege_withdrawn",
            "aa_compromise",
        ];
        let mut bits = vec![];
        for reason in reasons {
            let bit = known.iter().position(|known| *known == reason);
            let bit = bit.filter(|bit| *bit > 0);
            bits.push(bit.ok_or_else(|| {
                format!(
                    "value of reasons must be one or more of: {}. Got no match for: {reason}",
                    known[1..].join(", ")
                )
            })?);
        }
        parts.extend(der::tagged(0x81, &der::bits(bits)));
    }
    if let Some(names) = &issuer {
        let names = x509::general_names(openssl, names, "CRL issuer")?;
        parts.extend(der::tagged(0xa2, &names));
    }
    Ok(der::sequence(&[&parts]))
}
