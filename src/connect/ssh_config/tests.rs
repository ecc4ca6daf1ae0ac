//! What we read, beside what `ssh -G` says of the same files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use super::*;
use crate::connect::Kind;

fn target(host: &str, args: &[&str]) -> Target {
    Target {
        ssh_args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..Target::new("x", Kind::Ssh, host)
    }
}

/// The options of a host with a file of this text.
fn with(host: &str, text: &str) -> Result<Options, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, text).unwrap();
    let target = target(host, &["-F", file.to_str().unwrap()]);
    Options::resolve(&target).map_err(|error| {
        let path = file.display().to_string();
        error.to_string().replace(&path, "FILE")
    })
}

#[test]
fn first_value_counts_and_blocks_apply() {
    let text = "Port=2200\nHost web* !web9\n  User \"web user\"\n\tPort 1\nHost *\nUser all\nHostName %h.example.org\n";
    let web = with("web1", text).unwrap();
    assert_eq!((web.port, web.user.as_str()), (2200, "web user"));
    assert_eq!(web.host_name, "web1.example.org");
    assert_eq!(web.known_name(), "[web1.example.org]:2200");
    assert_eq!(with("web9", text).unwrap().user, "all");
}

#[test]
fn wrong_files_are_errors_with_their_place() {
    let error = |text| with("h", text).unwrap_err();
    let text = error("Port 22\nPrt 3\nPort x\n");
    assert!(
        text.contains("FILE line 2: Bad configuration option: prt\r\nFILE: terminating, 2 bad"),
        "{text}"
    );
    assert!(error("User \"a\n").contains("line 1: invalid quotes"));
    assert!(error("Match all host a\n").contains("'all' cannot be combined"));
    assert!(with("h", "IgnoreUnknown use*\nUseKeychain yes\n").is_ok());
    let missing = Options::resolve(&target("h", &["-F", "/nowhere"])).unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("Can't open user config file /nowhere: No such file")
    );
}

#[test]
fn command_line_forms() {
    let args = [
        "-o",
        "StrictHostKeyChecking=no",
        "-oPort=3",
        "-C4",
        "-J",
        "jump",
        "-vo",
        "ConnectTimeout 5m",
    ];
    let options = Options::resolve(&target("h", &args)).unwrap();
    assert_eq!(
        (options.strict, options.port, options.compression),
        (Strict::Off, 3, true)
    );
    assert_eq!(options.proxy_jump.as_deref(), Some("jump"));
    assert_eq!(options.connect_timeout, Some(Duration::from_secs(300)));
    assert_eq!(options.family, Family::Inet);
}

#[test]
fn what_only_ssh_can_do_is_told() {
    let beyond = |args: &[&str]| {
        Options::resolve(&target("h", &[&["-F", "none"], args].concat()))
            .unwrap()
            .beyond
    };
    assert!(beyond(&["-oGSSAPIAuthentication=yes", "-oRekeyLimit=1G", "-A"]).is_empty());
    assert_eq!(
        beyond(&["-R", "3128:proxy:3128", "-oCanonicalizeHostname=yes"]),
        ["remoteforward", "canonicalizehostname"]
    );
    assert!(beyond(&["-R3128:proxy:3128", "-oClearAllForwardings=yes"]).is_empty());
    assert!(
        beyond(&[
            "-oPermitLocalCommand=no",
            "-oLocalCommand=true",
            "-oTunnel=no"
        ])
        .is_empty()
    );
    assert_eq!(
        beyond(&["-oPKCS11Provider=/lib/p11.so"]),
        ["pkcs11provider"]
    );
}

#[test]
fn algorithms() {
    let of = |text: &str| Choice::new(Some(text)).of(&["a1", "a2", "b"]).join(",");
    let found = ["+c,a1", "^b,c", "-a*", "c,b"].map(of);
    assert_eq!(found, ["a1,a2,b,c", "b,c,a1,a2", "b", "c,b"]);
}

#[test]
fn patterns() {
    for (pattern, name) in [
        ("*", ""),
        ("a*b*c", "axxbc"),
        ("?b", "ab"),
        ("*.x", "a.b.x"),
    ] {
        assert!(matches_pattern(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [("?", ""), ("a*b", "abc"), ("", "a")] {
        assert!(!matches_pattern(pattern, name), "{pattern} {name}");
    }
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

/// Lines that may stand anywhere.
const LINES: &[&str] = &[
    "Port 2201",
    "Port=2202",
    "port = 2203",
    "Port \"2204\"",
    "User alice",
    "User bob",
    "User \"a b\"",
    "HostName %h.example.org",
    "HostName 192.0.2.7",
    "HostName Upper.Example",
    "HostName a%%b",
    "IdentityFile ~/.ssh/one",
    "IdentityFile /keys/%r@%h",
    "IdentityFile \"/keys/a b\"",
    "IdentityFile none",
    "IdentityFile /keys/with\\ blank",
    "IdentityFile '/keys/q\"q'",
    "IdentitiesOnly yes",
    "IdentitiesOnly NO",
    "IdentityAgent /run/%u.sock",
    "IdentityAgent none",
    "IdentityAgent SSH_AUTH_SOCK",
    "CertificateFile /keys/c-cert.pub",
    "CertificateFile /keys/%n.pub",
    "UserKnownHostsFile /k/one /k/two",
    "UserKnownHostsFile ~/.ssh/other",
    "UserKnownHostsFile none",
    "UserKnownHostsFile /k/%k",
    "GlobalKnownHostsFile /k/g1 /k/g2",
    "HostKeyAlias The.Alias",
    "HostKeyAlias other",
    "StrictHostKeyChecking yes",
    "StrictHostKeyChecking accept-new",
    "StrictHostKeyChecking off",
    "StrictHostKeyChecking ask",
    "ConnectTimeout 7",
    "ConnectTimeout 1m30s",
    "ConnectTimeout none",
    "ServerAliveInterval 15",
    "ServerAliveInterval 2h",
    "ServerAliveCountMax 9",
    "AddressFamily inet",
    "AddressFamily INET6",
    "AddressFamily any",
    "BindAddress 127.0.0.9",
    "ConnectionAttempts 4",
    "Ciphers aes256-ctr,aes128-ctr",
    "Ciphers +aes256-cbc",
    "Ciphers -aes*",
    "Ciphers ^aes256-ctr",
    "MACs hmac-sha2-256",
    "MACs -hmac-sha1*",
    "KexAlgorithms curve25519-sha256",
    "KexAlgorithms -diffie*",
    "KexAlgorithms ^ecdh-sha2-nistp256",
    "HostKeyAlgorithms +ssh-rsa",
    "HostKeyAlgorithms ssh-ed25519",
    "PubkeyAcceptedAlgorithms +ssh-rsa",
    "PubkeyAcceptedKeyTypes ssh-ed25519",
    "PreferredAuthentications publickey,password",
    "PreferredAuthentications keyboard-interactive",
    "PubkeyAuthentication no",
    "PubkeyAuthentication unbound",
    "PasswordAuthentication no",
    "ChallengeResponseAuthentication no",
    "KbdInteractiveAuthentication yes",
    "GSSAPIAuthentication yes",
    "SetEnv A=1 B=2",
    "SetEnv \"C=x y\"",
    "SetEnv A=1 A=2",
    "SendEnv LANG LC_*",
    "SendEnv TERM",
    "SendEnv -LC_*",
    "SendEnv -*",
    "Compression yes",
    "Compression No",
    "ProxyJump one,two@three:22",
    "ProxyJump none",
    "ProxyJump ssh://u@h:5/",
    "ProxyCommand nc %h %p",
    "ProxyCommand none",
    "ProxyCommand = exec \"quo ted\" %r",
    "HashKnownHosts yes",
    "ForwardAgent yes",
    "ForwardAgent no",
    "LogLevel QUIET",
    "ControlMaster auto",
    "ControlPath ~/.ssh/%C",
    "ControlPersist 60s",
    "RekeyLimit 1G",
    "IPQoS throughput",
    "RequestTTY no",
    "EscapeChar ~",
    "TCPKeepAlive no",
    "# a comment",
    "",
    "   ",
    "\tPort 2205 # a comment behind",
    "RequiredRSASize 2048",
    "AddKeysToAgent yes",
    "IgnoreUnknown UseKeychain,X*",
    "UseKeychain yes",
];

/// Lines that end the reading with an error.
const WRONG: &[&str] = &[
    "Port 0",
    "Port 70000",
    "Port abc",
    "Nonsense 1",
    "User",
    "IdentityFile a b",
    "Compression maybe",
    "Compression True",
    "StrictHostKeyChecking perhaps",
    "AddressFamily ipx",
    "ConnectTimeout 5x",
    "User \"open",
    "SetEnv NOVALUE",
    "Match",
    "Match host",
    "Match nonsense x",
    "Match user root host a all",
    "ServerAliveCountMax x",
    "HostName %z",
    "ProxyJump @",
];

const BLOCKS: &[&str] = &[
    "Host *",
    "Host web*",
    "Host web1 db",
    "Host !web1 *",
    "Host db web? !web2",
    "Host *.example.org",
    "Host \"web1\" x",
    "Host WEB1",
    "Match all",
    "Match host web*",
    "Match host *.example.org,192.0.2.*",
    "Match originalhost web1",
    "Match user alice",
    "Match !user alice,b*",
    "Match host=web1 user=bob",
    "Match localuser nobodyhere",
    "Match !localuser nobodyhere",
    "Match final",
    "Match !final",
    "Match final host *.example.org",
    "Match canonical",
    "Match final all",
    "Match exec \"true\"",
    "Match exec \"false\"",
    "Match !exec false host web*",
    "Match host \"web1\"",
    "Match host !web1,*",
    "Match exec \"test %h = web1\"",
    "Match user root exec \"test %p = 22\"",
    "Match host WEB1 # behind",
];

/// Everything that is compared, from a file of `ssh -G`.
fn said(output: &str) -> Said {
    let mut all = Said::new();
    for line in output.lines() {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        all.entry(name.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    all
}

type Said = BTreeMap<String, Vec<String>>;

/// What we read in the words of `ssh -G`; `usual` is what it says without a file.
fn ours(raw: &Raw, options: &Options, usual: &Said) -> Said {
    let mut all = Said::new();
    let mut put = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            all.insert(name.to_owned(), values);
        }
    };
    for name in ["bindaddress", "preferredauthentications"] {
        put(name, raw.get(name).map(str::to_owned).into_iter().collect());
    }
    for name in ["sendenv", "certificatefile", "identityfile"] {
        put(name, raw.all(name).map(str::to_owned).collect());
    }
    for (name, choice) in [
        ("ciphers", &options.ciphers),
        ("macs", &options.macs),
        ("kexalgorithms", &options.kex),
        ("hostkeyalgorithms", &options.host_keys),
        ("pubkeyacceptedalgorithms", &options.user_keys),
    ] {
        let usual: Vec<&str> = usual[name]
            .iter()
            .flat_map(|line| line.split(','))
            .collect();
        put(name, vec![choice.of(&usual).join(",")]);
    }
    for (name, value) in flags(raw, options) {
        put(name, vec![value.to_owned()]);
    }
    let seconds = |span: Option<Duration>, none: &str| {
        span.map_or_else(|| none.to_owned(), |span| span.as_secs().to_string())
    };
    let strict = match options.strict {
        Strict::Ask => "ask",
        Strict::On => "true",
        Strict::AcceptNew => "accept-new",
        Strict::Off => "false",
    };
    let known = options
        .known_hosts
        .iter()
        .map(|file| file.display().to_string());
    for (name, value) in [
        ("hostname", options.host_name.clone()),
        ("port", options.port.to_string()),
        ("user", options.user.clone()),
        (
            "addressfamily",
            format!("{:?}", options.family).to_lowercase(),
        ),
        ("connectionattempts", options.attempts.to_string()),
        ("stricthostkeychecking", strict.to_owned()),
        ("connecttimeout", seconds(options.connect_timeout, "none")),
        ("serveraliveinterval", seconds(options.alive_interval, "0")),
        (
            "serveralivecountmax",
            options.alive_count.unwrap_or(3).to_string(),
        ),
        ("requiredrsasize", options.rsa_bits.to_string()),
        ("known", known.collect::<Vec<_>>().join(" ")),
    ] {
        put(name, vec![value]);
    }
    let alias = raw.get("hostkeyalias").map(str::to_lowercase);
    put("hostkeyalias", alias.into_iter().collect());
    put("setenv", set_variables(raw));
    let said = |name: &str| raw.get(name).filter(|value| *value != "none");
    let plain = |hop: &str| {
        hop.trim_start_matches("ssh://")
            .trim_end_matches('/')
            .to_owned()
    };
    put(
        "proxyjump",
        said("proxyjump").map(plain).into_iter().collect(),
    );
    put(
        "proxycommand",
        said("proxycommand")
            .map(str::to_owned)
            .into_iter()
            .collect(),
    );
    let agent = raw.get("identityagent").map(|text| match text {
        "none" | "SSH_AUTH_SOCK" => text.to_owned(),
        _ => options
            .identity_agent
            .clone()
            .unwrap()
            .display()
            .to_string(),
    });
    put("identityagent", agent.into_iter().collect());
    if !all.contains_key("identityfile") {
        all.insert("identityfile".to_owned(), usual["identityfile"].clone());
    }
    all
}

fn flags(raw: &Raw, options: &Options) -> Vec<(&'static str, &'static str)> {
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let said = |name: &str, not: &str| raw.get(name) != Some(not);
    let keys = if said("pubkeyauthentication", "no") {
        "true"
    } else {
        "false"
    };
    vec![
        ("compression", yes(options.compression)),
        ("identitiesonly", yes(options.identities_only)),
        ("hashknownhosts", yes(options.hash_known_hosts)),
        ("forwardagent", yes(options.forward_agent.is_some())),
        ("pubkeyauthentication", keys),
        (
            "passwordauthentication",
            yes(said("passwordauthentication", "no")),
        ),
        (
            "kbdinteractiveauthentication",
            yes(said("kbdinteractiveauthentication", "no")),
        ),
        (
            "gssapiauthentication",
            yes(raw.get("gssapiauthentication") == Some("yes")),
        ),
    ]
}

/// Of a variable that is set twice the first value counts.
fn set_variables(raw: &Raw) -> Vec<String> {
    let name = |word: &str| word.split('=').next().unwrap().to_owned();
    let mut all: Vec<String> = Vec::new();
    for word in raw.words("setenv") {
        if !all.iter().any(|known| name(known) == name(word)) {
            all.push(word.clone());
        }
    }
    all
}

/// `ssh -G` of a file.
fn theirs(file: &str, host: &str) -> Result<Said, String> {
    let output = Command::new("ssh")
        .args(["-G", "-F", file, host])
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let mut all = said(&String::from_utf8_lossy(&output.stdout));
    let files = |name: &str| all.get(name).cloned().unwrap_or_default().join(" ");
    let known = format!(
        "{} {}",
        files("userknownhostsfile"),
        files("globalknownhostsfile")
    );
    let known = known
        .split(' ')
        .filter(|file| *file != "none" && !file.is_empty());
    let known = known.collect::<Vec<_>>().join(" ");
    all.insert("known".to_owned(), vec![known]);
    // How a signature is bound to a session is no matter of ours.
    for value in all.get_mut("pubkeyauthentication").into_iter().flatten() {
        *value = if value == "false" { "false" } else { "true" }.to_owned();
    }
    Ok(all)
}

/// A file with blocks and, now and then, an error or an included file.
fn made(dice: &mut Dice, folder: &std::path::Path, name: &str, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(5) {
        let _ = writeln!(text, "{}", dice.of(LINES));
    }
    for block in 0..dice.below(6) {
        let _ = writeln!(text, "{}", dice.of(BLOCKS));
        for _ in 0..dice.below(7) {
            let _ = writeln!(text, "  {}", dice.of(LINES));
        }
        if depth < 3 && dice.below(6) == 0 {
            let inner = format!("{name}-{block}.conf");
            made(dice, folder, &inner, depth + 1);
            let pattern = if dice.below(2) == 0 {
                inner
            } else {
                format!("{name}-?.conf")
            };
            let _ = writeln!(text, "Include {}/{pattern}", folder.display());
        }
        if dice.below(120) == 0 {
            let _ = writeln!(text, "{}", dice.of(WRONG));
        }
    }
    std::fs::write(folder.join(name), &text).unwrap();
    text
}

#[test]
#[ignore = "needs ssh"]
fn generated_files_read_as_ssh_reads_them() {
    let usual = theirs("none", "h").unwrap();
    let (mut read, mut refused) = (0, 0);
    for seed in 1..=600 {
        let folder = tempfile::tempdir().unwrap();
        let mut dice = Dice(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let _ = made(&mut dice, folder.path(), "config", 0);
        let mut text = String::new();
        let file = folder.path().join("config");
        let file = file.to_str().unwrap();
        let host = dice.of(&[
            "web1",
            "web2",
            "db",
            "WEB1",
            "192.0.2.7",
            "web1.example.org",
            "other",
        ]);
        for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
            let _ = write!(
                text,
                "--- {}\n{}",
                entry.path().display(),
                std::fs::read_to_string(entry.path()).unwrap()
            );
        }
        let ours = super::read(&target(host, &["-F", file])).and_then(|raw| {
            let options = finish(&raw, &target(host, &[]))?;
            Ok(ours(&raw, &options, &usual))
        });
        match (ours, theirs(file, host)) {
            (Ok(ours), Ok(theirs)) => {
                read += 1;
                for name in ours.keys().chain(
                    [
                        "proxyjump",
                        "proxycommand",
                        "setenv",
                        "sendenv",
                        "hostkeyalias",
                    ]
                    .map(str::to_owned)
                    .iter(),
                ) {
                    assert_eq!(
                        ours.get(name),
                        theirs.get(name),
                        "{name} of {host}, seed {seed}:\n{text}"
                    );
                }
            }
            (Err(_), Err(_)) => refused += 1,
            (ours, theirs) => panic!(
                "seed {seed}, host {host}: {:?} beside {:?}\n{text}",
                ours.err(),
                theirs.err()
            ),
        }
    }
    assert!(read > 400 && refused > 20, "{read} read, {refused} refused");
}

#[test]
#[ignore = "needs ssh"]
fn tokens_stand_for_what_they_do_in_ssh() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let text = format!(
        "User alice\nPort 2222\nMatch host web*\nHostName %h.example.org\nHostKeyAlias the-alias\n\
         Match exec \"echo '%% %C %L %d %h %i %k %l %n %p %r %u' >>{}/$PPID\"\nUser bob\n",
        folder.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    for host in ["web1", "other"] {
        super::read(&target(host, &["-F", file])).unwrap();
        theirs(file, host).unwrap();
    }
    let own = std::process::id().to_string();
    let mut theirs = String::new();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .collect();
    names.sort_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    for entry in names {
        let name = entry.file_name().into_string().unwrap();
        if name != own && name != "config" {
            theirs += &std::fs::read_to_string(entry.path()).unwrap();
        }
    }
    let ours = std::fs::read_to_string(folder.path().join(own)).unwrap();
    assert_eq!(ours, theirs);
    assert_eq!(ours.lines().count(), 2);
}
