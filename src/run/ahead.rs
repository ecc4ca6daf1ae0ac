//! Work that travels to its host together: items of a loop, and tasks that need nothing of each other.
//!
//! Each piece of work is begun as if its turn had come, and stops where it calls its module. What it
//! asked for until then decides whether it could be begun that early (`load/early.rs`). The calls go
//! out together, the agent runs them one after the other, and each piece of work goes on with its
//! answer when its turn has come. Results, events and their order are those of work done in turn.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use rplay_modules::data::Data;
use rplay_modules::wire;
use tokio::sync::{mpsc, oneshot};

use super::target::Links;
use crate::connect::{Answered, Become, Calls, LinkError, Target};
use crate::diag::Diagnostic;
use crate::load::early::Early;

/// The most pieces of work that travel together.
pub(super) const MOST: usize = 512;

/// How many bytes of content, about, may travel together.
const MOST_BYTES: usize = 4 << 20;

/// The module that may only find out which one is to be called.
const PACKAGE: &str = "ansible.builtin.package";

/// Modules that write nothing but the paths among their arguments.
const WRITES_PATHS: &[&str] = &[
    "ansible.builtin.blockinfile",
    "ansible.builtin.copy",
    "ansible.builtin.file",
    "ansible.builtin.lineinfile",
    "ansible.builtin.ping",
    "ansible.builtin.replace",
    "ansible.builtin.slurp",
    "ansible.builtin.stat",
    "community.general.ini_file",
];

/// What an agent says to a call.
type Said = Result<Answered, LinkError>;

/// A call that waits to be sent, and where its answer goes.
struct Asked {
    target: Target,
    r#become: Option<Become>,
    request: wire::Run,
    answer: oneshot::Sender<Said>,
}

/// The way of work that was begun ahead to its host: its call goes with those of others.
pub(crate) struct Way(mpsc::UnboundedSender<Asked>);

impl Way {
    /// Calls a module, and waits until the turn of its answer has come.
    pub(super) async fn call(
        &self,
        target: Target,
        r#become: Option<Become>,
        request: wire::Run,
    ) -> Said {
        let (answer, said) = oneshot::channel();
        let asked = Asked {
            target,
            r#become,
            request,
            answer,
        };
        let twice = || LinkError::Protocol("a task that runs ahead has one call only".to_owned());
        self.0.send(asked).map_err(|_| twice())?;
        said.await.map_err(|_| twice())?
    }
}

/// Work with what it noted for the user.
type Noted<T> = (T, Vec<Diagnostic>);

/// Work that was begun.
struct Begun<T> {
    state: State<T>,
    /// Whether it would have failed without a call.
    early: Arc<Early>,
}

enum State<T> {
    /// It needs nothing of its host.
    Over(Noted<T>),
    /// It waits for the answer to a call.
    Calls(Pin<Box<dyn Future<Output = Noted<T>> + Send>>, Box<Asked>),
}

/// Begins work: up to its call, or to its end.
async fn begin<T, W>(unsettled: Arc<HashSet<String>>, work: impl FnOnce(Way) -> W) -> Begun<T>
where
    W: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let (calls, mut asked) = mpsc::unbounded_channel();
    let early = Early::new(unsettled);
    let work = crate::template::apart(work(Way(calls)));
    let mut work = Box::pin(Arc::clone(&early).watch(work));
    let state = tokio::select! {
        biased;
        done = &mut work => State::Over(done),
        Some(asked) = asked.recv() => State::Calls(work, Box::new(asked)),
    };
    Begun { state, early }
}

/// Work for one host that is being begun.
pub(super) struct Forming<T> {
    links: Links,
    begun: VecDeque<Begun<T>>,
    /// How the calls reach their host.
    road: Option<(Target, Option<Become>)>,
    bytes: usize,
    /// Paths that calls write, where the host may be this machine; none: they may write anything.
    written: Option<Vec<PathBuf>>,
}

/// What became of work that was to be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// It travels with the others.
    Yes,
    /// The same, and what comes after it has to wait.
    Last,
    /// It has to wait for its turn; nothing of it was done.
    No,
}

impl<T: Send + 'static> Forming<T> {
    /// Nothing yet, on these connections.
    pub(super) fn new(links: Links) -> Self {
        Self {
            links,
            begun: VecDeque::new(),
            road: None,
            bytes: 0,
            written: Some(vec![]),
        }
    }

    /// Begins work of the module or action `action`, which must not ask for what is unsettled.
    /// `failed` tells of work that ends without a call whether others come after it.
    pub(super) async fn add<W>(
        &mut self,
        action: &str,
        unsettled: Arc<HashSet<String>>,
        work: impl FnOnce(Way) -> W,
        failed: impl FnOnce(&T) -> bool,
    ) -> Joined
    where
        W: Future<Output = T> + Send + 'static,
    {
        let one = begin(unsettled, work).await;
        if !one.early.is_settled() || !self.is_apart(&one.early.files()) {
            return Joined::No;
        }
        let asked = match &one.state {
            State::Over((done, _)) if failed(done) => match self.begun.is_empty() {
                true => {
                    self.begun.push_back(one);
                    return Joined::Last;
                }
                // It is told when its turn has come.
                false => return Joined::No,
            },
            State::Over(_) => {
                self.begun.push_back(one);
                return Joined::Yes;
            }
            State::Calls(_, asked) => asked,
        };
        let full = crate::load::actions::full_name(action);
        let is_own = asked.request.module == full
            || full == "ansible.builtin.template" && asked.request.module == "ansible.builtin.copy";
        if !is_own || asked.request.module == PACKAGE {
            return Joined::No;
        }
        let Some(link) = self.links.open_to(&asked.target) else {
            return Joined::No;
        };
        let same = |(target, r#become): &(Target, Option<Become>)| {
            *target == asked.target && Become::same(r#become.as_ref(), asked.r#become.as_ref())
        };
        if !self.road.as_ref().is_none_or(same) {
            return Joined::No;
        }
        self.bytes += content(&asked.request);
        if self.bytes > MOST_BYTES && !self.begun.is_empty() {
            return Joined::No;
        }
        // Its paths say nothing about files here where it is another machine.
        if link.may_be_here() {
            let paths = written(&asked.request, link.folder(asked.r#become.as_ref()));
            self.written = self.written.take().zip(paths).map(|(mut all, more)| {
                all.extend(more);
                all
            });
        }
        if self.road.is_none() {
            self.road = Some((asked.target.clone(), asked.r#become.clone()));
        }
        self.begun.push_back(one);
        Joined::Yes
    }

    /// Whether no call that waits writes one of these files of the controller, or what leads to it.
    fn is_apart(&mut self, files: &[PathBuf]) -> bool {
        let link = self.road.as_ref().map(|(target, _)| target);
        let link = link.and_then(|target| self.links.open_to(target));
        if !link.is_some_and(|link| link.may_be_here()) {
            return true;
        }
        let Some(written) = &self.written else {
            return files.is_empty();
        };
        let touches = |path: &PathBuf| {
            let at = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let real = resolved(&at);
            let meets = |own: &PathBuf| real.starts_with(own) || own.starts_with(&real);
            written.iter().any(meets)
        };
        !files.iter().any(touches)
    }

    /// Whether nothing was begun.
    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// The connections, where nothing was begun.
    pub(super) fn give_up(self) -> Links {
        self.links
    }

    /// Sends the calls. With `chain`, those after one that fails are not run.
    pub(super) async fn send(mut self, chain: bool) -> Group<T> {
        let number = chain.then(|| self.links.next_id());
        let mut requests = vec![];
        for one in &mut self.begun {
            if let State::Calls(_, asked) = &mut one.state {
                asked.request.id = self.links.next_id();
                asked.request.chain = number;
                requests.push(asked.request.clone());
            }
        }
        let mut group = Group {
            links: self.links,
            begun: self.begun,
            calls: None,
            lost: None,
        };
        let Some((target, r#become)) = self.road.filter(|_| !requests.is_empty()) else {
            return group;
        };
        let sent = match group.links.open_to(&target) {
            Some(link) => link.calls(r#become.as_ref(), requests).await,
            None => Err(LinkError::Timeout),
        };
        match sent {
            Ok(calls) => group.calls = Some((target, calls)),
            Err(error) => group.lost = Some(error),
        }
        group
    }
}

/// Work for one host whose calls were sent.
pub(super) struct Group<T> {
    links: Links,
    begun: VecDeque<Begun<T>>,
    calls: Option<(Target, Calls)>,
    /// Why the host can no longer be asked.
    lost: Option<LinkError>,
}

impl<T> Group<T> {
    /// Ends the next piece of work. `None`: the host has not run it, nor what comes after it.
    pub(super) async fn next(&mut self) -> Option<Noted<T>> {
        let (work, asked) = match self.begun.pop_front()?.state {
            State::Over(noted) => return Some(noted),
            State::Calls(work, asked) => (work, asked),
        };
        let said = match self.answer().await {
            Ok(None) => return None,
            Ok(Some(said)) => Ok(said),
            Err(error) => Err(error),
        };
        // The work is there to receive it.
        let _ = asked.answer.send(said);
        Some(work.await)
    }

    async fn answer(&mut self) -> Result<crate::connect::Answer, LinkError> {
        if let Some(error) = &self.lost {
            return Err(error.clone());
        }
        let Some((target, calls)) = &mut self.calls else {
            return Ok(None);
        };
        let answer = match self.links.open_to(target) {
            Some(link) => link.answer(calls).await,
            None => Err(LinkError::Timeout),
        };
        if let Err(error) = &answer {
            self.lost = Some(error.clone());
        }
        answer
    }

    /// The connections. What the host did not run has been answered then.
    pub(super) async fn end(mut self) -> Links {
        while self.lost.is_none()
            && self
                .calls
                .as_ref()
                .is_some_and(|(_, calls)| calls.is_open())
        {
            // A chain that broke off: its calls were not run.
            let _ = self.answer().await;
        }
        self.links
    }
}

/// The size of what a call carries, about.
fn content(request: &wire::Run) -> usize {
    fn size(data: &Data) -> usize {
        match data {
            Data::Bytes(bytes) => bytes.len(),
            Data::Str(text) => text.len(),
            Data::List(items) => items.iter().map(size).sum(),
            Data::Map(map) => map.values().map(size).sum(),
            _ => 0,
        }
    }
    request.args.values().map(size).sum()
}

/// The paths that a call writes whose agent works in `folder`; `None`: it may write anywhere.
fn written(request: &wire::Run, folder: Option<&Path>) -> Option<Vec<PathBuf>> {
    if !WRITES_PATHS.contains(&request.module.as_str()) || request.args.contains_key("validate") {
        return None;
    }
    let own = ["path", "dest", "src", "name"];
    let given = own
        .iter()
        .filter_map(|name| request.args.get(*name)?.as_str());
    let absolute = |path: &str| {
        let plain = !path.starts_with(['~', '$']);
        plain.then(|| folder.map(|folder| resolved(&folder.join(path))))?
    };
    given.map(absolute).collect()
}

/// The path without the links that lead to it, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => resolved(folder).join(name),
        _ => path.to_path_buf(),
    }
}
