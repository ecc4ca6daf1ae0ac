//! The agent as the controller sees it: frames in, frames out.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rplay_modules::args::prepare;
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Change;
use rplay_modules::machine::digest::hex;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::wire::{BLOB_PIECE, End, Reply, Request, Run, encode, read_frame, write_frame};
use rplay_modules::{map, registry};
use sha1::{Digest, Sha1};

struct Agent {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Agent {
    fn start() -> Self {
        Self::staying("0").0
    }

    /// An agent that stays so many seconds, and its name.
    fn staying(seconds: &str) -> (Self, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rplay-agent"))
            .arg(seconds)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut agent = Self {
            child,
            stdin,
            stdout,
        };
        let Reply::Hello(hello) = agent.reply() else {
            panic!("no hello");
        };
        assert_eq!(hello.pid, agent.child.id());
        (agent, hello.name)
    }

    /// Asks another agent to be the channel of `name`, from which these answers are missing.
    fn join(name: &str, waiting: &[u64]) -> (Self, Option<Vec<u64>>) {
        let (other, unrun, _) = Self::join_for_content(name, waiting);
        (other, unrun)
    }

    /// The same, with the content that it has.
    fn join_for_content(name: &str, waiting: &[u64]) -> (Self, Option<Vec<u64>>, Vec<(u64, u64)>) {
        let (mut other, _) = Self::staying("0");
        let join = Request::Join {
            name: name.to_owned(),
            waiting: waiting.to_vec(),
        };
        write_frame(&mut other.stdin, &join).unwrap();
        let Reply::Joined { unrun, contents } = other.reply() else {
            panic!("no answer to joining");
        };
        (other, unrun, contents)
    }

    /// Loses the channel: both ends are closed. The process is left.
    fn lose(self) -> Child {
        self.child
    }

    fn reply(&mut self) -> Reply {
        read_frame(&mut self.stdout).unwrap().unwrap()
    }

    fn send(&mut self, name: &str, args: &Map, check: bool) {
        self.send_as(7, name, args, check);
    }

    fn send_as(&mut self, id: u64, name: &str, args: &Map, check: bool) {
        let module = registry::find(name).unwrap();
        // Internal arguments are as they are; the others are prepared as the controller does.
        let args = prepare(module, args).unwrap().args;
        let run = Run {
            check,
            diff: true,
            env: vec![("GREETING".to_owned(), "hi".to_owned())],
            ..Run::new(id, module.name, args)
        };
        write_frame(&mut self.stdin, &Request::Run(Box::new(run))).unwrap();
    }

    fn run(
        &mut self,
        name: &str,
        args: &Map,
        check: bool,
    ) -> (Result<Outcome, Failure>, Vec<Change>) {
        self.send(name, args, check);
        match self.reply() {
            Reply::Done {
                id: 7,
                result,
                changes,
                kept: None,
                ..
            } => (result, changes),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn modules_run_and_check_mode_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d").to_string_lossy().into_owned();
    let mut agent = Agent::start();
    let (pong, changes) = agent.run("ping", &map! {}, false);
    assert_eq!(
        (pong.unwrap().results["ping"].clone(), changes.len()),
        (Data::from("pong"), 0)
    );
    let (made, changes) = agent.run(
        "file",
        &map! { "path" => path.as_str(), "state" => "directory" },
        true,
    );
    assert!(made.unwrap().changed && changes.len() == 1 && !Path::new(&path).exists());
    let (again, changes) = agent.run(
        "file",
        &map! { "path" => path.as_str(), "state" => "directory" },
        true,
    );
    assert!(!again.unwrap().changed && changes.is_empty());
    let (made, _) = agent.run(
        "file",
        &map! { "path" => path.as_str(), "state" => "directory" },
        false,
    );
    assert!(made.unwrap().changed && Path::new(&path).is_dir());
    let (said, _) = agent.run("shell", &map! { "cmd" => "echo $GREETING" }, false);
    assert_eq!(said.unwrap().results["stdout"], Data::from("hi"));
}

#[test]
fn content_that_did_not_come_whole_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("f");
    let args = |id: &str| map! { "src" => "big", "_blob" => id, "dest" => dest.to_string_lossy().as_ref() };
    let mut agent = Agent::start();
    let other = Some(End::Whole(hex(&Sha1::digest(b"yes"))));
    for (id, packed, end, said) in [
        (3, false, other.clone(), "damaged on its way"),
        (4, true, other, "corrupt deflate stream"),
        (5, false, Some(End::BrokenOff), "was not sent"),
    ] {
        let bytes = b"no".to_vec();
        let blob = Request::Blob {
            id,
            bytes,
            packed,
            end,
        };
        write_frame(&mut agent.stdin, &blob).unwrap();
        let (failed, _) = agent.run("copy", &args(&id.to_string()), false);
        let msg = failed.unwrap_err().msg;
        assert!(msg.contains(said), "{msg}");
    }
    assert!(!dest.exists());
}

#[test]
fn large_content_goes_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("f");
    let mut agent = Agent::start();
    let piece = vec![b'x'; BLOB_PIECE];
    let sum = hex(&Sha1::digest([piece.as_slice(), &piece].concat()));
    let mut packed = ZlibEncoder::new(vec![], Compression::fast());
    packed.write_all(&piece).unwrap();
    let pieces = [
        (piece.clone(), false, None),
        (packed.finish().unwrap(), true, Some(End::Whole(sum))),
    ];
    for (bytes, packed, end) in pieces {
        let blob = Request::Blob {
            id: 3,
            bytes,
            packed,
            end,
        };
        write_frame(&mut agent.stdin, &blob).unwrap();
    }
    let args = map! { "src" => "big", "_blob" => "3", "dest" => dest.to_string_lossy().as_ref(), "mode" => "0600" };
    let (done, _) = agent.run("copy", &args, false);
    assert!(done.unwrap().changed);
    assert_eq!(
        std::fs::read(&dest).unwrap(),
        [piece.as_slice(), &piece].concat()
    );
    let sum = hex(&Sha1::digest([piece.as_slice(), &piece].concat()));
    let size = 2 * BLOB_PIECE;
    for (from, known, expected) in [
        (0, None, size),
        (0, Some("another"), size),
        (0, Some(sum.as_str()), 0),
        (BLOB_PIECE + 5, None, BLOB_PIECE - 5),
        (size, None, 0),
    ] {
        let fetch = Request::Fetch {
            id: 9,
            path: dest.clone(),
            from: from as u64,
            known: known.map(str::to_owned),
        };
        write_frame(&mut agent.stdin, &fetch).unwrap();
        let mut length = 0;
        let told = loop {
            let Reply::Blob { id: 9, bytes, sum } = agent.reply() else {
                panic!("another reply");
            };
            length += bytes.unwrap().len();
            if let Some(sum) = sum {
                break sum;
            }
        };
        assert_eq!((length, &told), (expected, &sum));
    }
}

#[test]
fn content_goes_on_where_its_channel_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let dest = folder.path().join("f");
    let (mut agent, name) = Agent::staying("20");
    let piece = |at: u8, end: Option<End>| Request::Blob {
        id: 3,
        bytes: vec![at; 10],
        packed: false,
        end,
    };
    for at in [1, 2] {
        write_frame(&mut agent.stdin, &piece(at, None)).unwrap();
    }
    let part = encode(&piece(3, None)).unwrap();
    agent.stdin.write_all(&part[..part.len() - 1]).unwrap();
    agent.stdin.flush().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let mut child = agent.lose();
    let (mut other, unrun, contents) = Agent::join_for_content(&name, &[]);
    assert_eq!((unrun, contents), (Some(vec![]), vec![(3, 20)]));
    let whole = [[1_u8; 10], [2; 10], [3; 10]].concat();
    let sum = hex(&Sha1::digest(&whole));
    let last = piece(3, Some(End::Whole(sum.clone())));
    write_frame(&mut other.stdin, &last).unwrap();
    // What is complete is not sent again, but its end.
    std::thread::sleep(Duration::from_millis(100));
    let (mut third, _, contents) = Agent::join_for_content(&name, &[]);
    assert_eq!(contents, [(3, 30)]);
    let end = Request::Blob {
        id: 3,
        bytes: vec![],
        packed: false,
        end: Some(End::Whole(sum)),
    };
    write_frame(&mut third.stdin, &end).unwrap();
    let args = map! { "src" => "big", "_blob" => "3", "dest" => dest.to_string_lossy().as_ref() };
    assert!(third.run("copy", &args, false).0.unwrap().changed);
    assert_eq!(std::fs::read(&dest).unwrap(), whole);
    write_frame(&mut third.stdin, &Request::Leave).unwrap();
    assert!(ends(&mut child, Duration::from_secs(5)), "it has not left");
    drop((other.lose().kill(), third.lose().kill()));
}

#[test]
fn the_end_of_input_stops_what_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let mut agent = Agent::start();
    agent.send(
        "shell",
        &map! { "cmd" => format!("touch {0}; sleep 60; touch {0}2", mark.display()) },
        false,
    );
    let begin = Instant::now();
    while !mark.exists() && begin.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    agent.stdin.flush().unwrap();
    let Agent {
        mut child,
        stdin,
        stdout,
    } = agent;
    drop(stdin);
    child.wait().unwrap();
    drop(stdout);
    assert!(begin.elapsed() < Duration::from_secs(15));
    assert!(mark.exists() && !folder.path().join("mark2").exists());
}

/// Whether a process ends within a time.
fn ends(child: &mut Child, limit: Duration) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn an_agent_that_lost_its_channel_is_joined() {
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines");
    let append =
        |line: &str| map! { "cmd" => format!("sleep 0.3; echo {line} >>{}", lines.display()) };
    for half_open in [false, true] {
        let _ = std::fs::remove_file(&lines);
        let (mut agent, name) = Agent::staying("20");
        agent.send_as(1, "shell", &append("one"), false);
        agent.send_as(2, "shell", &append("two"), false);
        std::thread::sleep(Duration::from_millis(100));
        let mut kept = None;
        let mut child = match half_open {
            // Nobody has told it that the channel is of no use any more.
            true => {
                let Agent {
                    child,
                    stdin,
                    stdout,
                } = agent;
                kept = Some((stdin, stdout));
                child
            }
            false => agent.lose(),
        };
        let (mut other, unrun) = Agent::join(&name, &[1, 2, 3]);
        assert_eq!(unrun, Some(vec![2, 3]), "what runs is not begun again");
        assert!(matches!(
            other.reply(),
            Reply::Done {
                id: 1,
                result: Ok(_),
                ..
            }
        ));
        // The answer is asked for once more, as if it had been lost again.
        let (mut third, unrun) = Agent::join(&name, &[1]);
        assert_eq!(unrun, Some(vec![]));
        assert!(matches!(third.reply(), Reply::Done { id: 1, .. }));
        third.send_as(2, "shell", &append("two"), false);
        assert!(matches!(third.reply(), Reply::Done { id: 2, .. }));
        assert_eq!(std::fs::read_to_string(&lines).unwrap(), "one\ntwo\n");
        write_frame(&mut third.stdin, &Request::Leave).unwrap();
        assert!(ends(&mut child, Duration::from_secs(5)), "it has not left");
        assert!(
            ends(&mut third.child, Duration::from_secs(5)),
            "nor the channel"
        );
        drop((kept, other.lose().kill()));
    }
}

#[test]
fn an_agent_that_nobody_joins_stops_and_leaves() {
    let (mut agent, name) = Agent::staying("1");
    agent.send("command", &map! { "cmd" => "sleep 61.5" }, false);
    std::thread::sleep(Duration::from_millis(100));
    let mut child = agent.lose();
    assert!(
        !ends(&mut child, Duration::from_millis(600)),
        "it did not wait"
    );
    assert!(
        ends(&mut child, Duration::from_secs(6)),
        "it is still there"
    );
    // Whoever comes too late is told, and can work with the agent that it asked.
    let (mut other, unrun) = Agent::join(&name, &[7]);
    assert_eq!(unrun, None);
    assert!(other.run("ping", &map! {}, false).0.is_ok());
}

#[test]
fn a_farewell_needs_no_waiting() {
    let (mut agent, _) = Agent::staying("60");
    write_frame(&mut agent.stdin, &Request::Leave).unwrap();
    assert!(ends(&mut agent.lose(), Duration::from_secs(5)));
    // A frame that was broken off is one, and is not run.
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let (mut agent, _) = Agent::staying("60");
    let mut whole = vec![];
    let module = registry::find("shell").unwrap();
    let args = map! { "cmd" => format!("touch {}", mark.display()) };
    let args = prepare(module, &args).unwrap().args;
    let run = Run {
        settled: true,
        ..Run::new(1, module.name, args)
    };
    write_frame(&mut whole, &Request::Run(Box::new(run))).unwrap();
    *whole.last_mut().unwrap() = u8::MAX;
    agent.stdin.write_all(&whole).unwrap();
    assert!(ends(&mut agent.lose(), Duration::from_secs(5)));
    assert!(!mark.exists());
}
