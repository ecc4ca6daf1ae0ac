//! What follows when an agent's channel is lost while calls are under way.
//!
//! The agent stays for a while: it ends the call that runs and keeps its answer. The way back is a new
//! connection, and on it another agent of the same user, which passes bytes on to the one that stayed
//! (`docs/wire.md`, step 9). That one says which calls it never began: those, and only those, are sent
//! again. Where it is not there any more, nobody knows what was done, and the host is unreachable.

use std::time::Duration;

use rplay_modules::wire::{Hello, Reply, Request};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::program::{Farewell, Program};
use super::{Agent, Become, Calls, Kind, Link, LinkError, Sent, Target, Waiting, frame};

/// How long the first pause between two attempts is; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often connections to a host may be lost before it answers anything.
const MOST_LOSSES: usize = 20;

/// How many times as long as the controller tries, the agent waits: it may see the loss long before.
const STAYS: u32 = 3;

impl Target {
    /// How long an agent waits for the controller to come back; zero: it leaves with its channel.
    pub(super) fn stay(&self) -> Duration {
        match self.connection {
            // Only the end of this program ends such a channel.
            Kind::Local => Duration::ZERO,
            _ => self.reconnect * STAYS,
        }
    }
}

/// The words for a call whose fate nobody knows.
fn unknown(lost: &LinkError, why: &str) -> LinkError {
    told(
        lost,
        "What came of the task is not known, it may have run",
        why,
    )
}

/// The words for a connection that was lost, and what that means for the task.
fn told(lost: &LinkError, what: &str, why: &str) -> LinkError {
    let lost = lost.to_string();
    let lost = lost.trim_end_matches('.');
    LinkError::Unreachable(format!("{lost}. {what}: {why}"))
}

impl Link {
    /// The channel of the agent at `index` was lost: comes back to it on a new connection, and asks what
    /// came of the calls.
    pub(super) async fn rejoin(
        &mut self,
        index: usize,
        calls: &mut Calls,
    ) -> Result<(), LinkError> {
        let mut agent = self.agents.remove(index);
        let lost = self.lost(&agent);
        let stayed = !agent.hello.name.is_empty();
        if !stayed || self.has_ended(&agent.program) {
            return Err(unknown(&lost, "the agent is gone"));
        }
        self.losses += 1;
        if self.losses > MOST_LOSSES {
            return Err(unknown(&lost, "the connection is lost again and again"));
        }
        let join = frame(&Request::Join {
            name: agent.hello.name.clone(),
            waiting: calls.waiting.iter().map(|call| call.id).collect(),
        })?;
        // There is nobody at the other end of the old channel who could be told.
        agent.program.farewell = None;
        let back = self.reconnect(agent.r#become.as_ref(), &join).await;
        let (program, _) = back.map_err(|error| unknown(&lost, &error.to_string()))?;
        agent.program = program;
        self.agents.push(agent);
        Ok(())
    }

    /// The channel of the agent at `index` was lost while no call was under way: comes back to it, or to another
    /// one where it has left. Where that is now, and what content it has.
    pub(super) async fn renew(
        &mut self,
        index: usize,
    ) -> Result<(usize, Vec<(u64, u64)>), LinkError> {
        let mut agent = self.agents.remove(index);
        let lost = self.lost(&agent);
        let join = frame(&Request::Join {
            name: agent.hello.name.clone(),
            waiting: vec![],
        })?;
        // There is nobody at the other end of the old channel who could be told.
        agent.program.farewell = None;
        loop {
            self.losses += 1;
            let stayed = !agent.hello.name.is_empty();
            if !stayed || self.has_ended(&agent.program) || self.losses > MOST_LOSSES {
                return Err(lost);
            }
            let back = self.reconnect(agent.r#become.as_ref(), &join).await;
            let (mut program, hello) =
                back.map_err(|error| told(&lost, "It did not come back", &error.to_string()))?;
            match program.reply().await? {
                Some(Reply::Joined { unrun: None, .. }) => {
                    let index = self.keep_agent(agent.r#become.as_ref(), (program, hello));
                    return Ok((index, vec![]));
                }
                Some(Reply::Joined { contents, .. }) => {
                    agent.program = program;
                    self.agents.push(agent);
                    return Ok((self.agents.len() - 1, contents));
                }
                Some(_) => return Err(lost),
                None => {}
            }
        }
    }

    /// Starts an agent anew and writes to it, as often as the time allows.
    pub(super) async fn reconnect(
        &mut self,
        r#become: Option<&Become>,
        first: &[u8],
    ) -> Result<(Program, Hello), LinkError> {
        let deadline = Instant::now() + self.target.reconnect;
        let mut pause = PAUSE;
        loop {
            let error = match self.start_agent(r#become).await {
                Ok((mut program, hello)) => match program.write(first).await {
                    Ok(()) => return Ok((program, hello)),
                    Err(error) => LinkError::Unreachable(error.to_string()),
                },
                Err(error @ (LinkError::Auth(_) | LinkError::HostKey(_))) => return Err(error),
                // Other reasons may be those of a connection that was lost once more.
                Err(error) => error,
            };
            if Instant::now() + pause > deadline {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// An agent that was joined has said which calls it never began: what needs no earlier one of them is
    /// sent again, with what it lacks of their content, and a chain ends there.
    pub(super) async fn resume(
        &mut self,
        index: usize,
        calls: &mut Calls,
        unrun: Option<Vec<u64>>,
        contents: &[(u64, u64)],
    ) -> Result<(), LinkError> {
        let Some(unrun) = unrun else {
            let agent = self.agents.remove(index);
            return Err(unknown(&self.lost(&agent), "the agent is gone"));
        };
        let is_unrun = |id: &u64| unrun.contains(id);
        let of_chain = |call: &Waiting| call.in_chain && is_unrun(&call.id);
        calls.waiting.retain(|call| !of_chain(call));
        let mut frames = Zeroizing::new(vec![]);
        for call in calls.waiting.iter().filter(|call| is_unrun(&call.id)) {
            if let Some(blob) = call.blob {
                let has = |sent: &Sent| Some(arrived(contents, sent.id));
                self.put_again(index, blob, has).await;
            }
            frames.extend(call.frame.iter());
        }
        let agent = &mut self.agents[index];
        agent.busy = !calls.waiting.is_empty();
        // Where this is lost as well, the answers do not come, and it is asked again.
        agent.program.upload(&frames).await;
        Ok(())
    }

    /// Sends content once more, from the byte on that `missing` tells, if any. Where it does not arrive, neither
    /// does its call.
    pub(super) async fn put_again(
        &mut self,
        index: usize,
        blob: u64,
        missing: impl Fn(&Sent) -> Option<u64>,
    ) {
        let known = self.sent.iter().position(|sent| sent.id == blob);
        let Some(mut sent) = known.map(|at| self.sent.swap_remove(at)) else {
            return;
        };
        if let Some(from) = missing(&sent) {
            // One that cannot be read any more is broken off there, and its call fails.
            let _ = self.try_put(index, (blob, from), &sent.content).await;
            sent.holder = self.agents[index].number;
        }
        self.sent.push(sent);
    }

    /// Whether the agent itself has ended, while the connection holds.
    fn has_ended(&self, program: &Program) -> bool {
        // Programs that carry a channel have an end of their own.
        self.target.connection == Kind::Ssh && program.code.is_some()
    }

    /// An agent as it is kept: one that stays is told when it is no longer needed.
    pub(super) fn keep_agent(
        &mut self,
        r#become: Option<&Become>,
        (program, hello): (Program, Hello),
    ) -> usize {
        self.next_number += 1;
        self.agents.push(Agent {
            number: self.next_number,
            r#become: r#become.cloned(),
            program,
            hello,
            known_changes: 0,
            busy: false,
            // It tells with its first answer.
            shared: true,
        });
        self.agents.len() - 1
    }
}

/// How much of some content an agent has.
pub(super) fn arrived(contents: &[(u64, u64)], id: u64) -> u64 {
    let known = contents.iter().find(|(known, _)| *known == id);
    known.map_or(0, |(_, size)| *size)
}

/// What an agent that stays is told when nobody needs it any more.
pub(super) fn farewell(hello: &Hello) -> Option<Farewell> {
    let leave = frame(&Request::Leave).ok();
    leave.filter(|_| !hello.name.is_empty()).map(Farewell::new)
}
