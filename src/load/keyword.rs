//! The keywords of plays, roles, blocks and tasks in one table.

use std::fmt;

/// Where a keyword may stand; a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places(u8);

impl Places {
    /// A play.
    pub const PLAY: Self = Self(1);
    /// An entry of `roles` or `dependencies`.
    pub const ROLE: Self = Self(2);
    /// A block.
    pub const BLOCK: Self = Self(4);
    /// A task.
    pub const TASK: Self = Self(8);
    /// A handler.
    pub const HANDLER: Self = Self(16);
    /// `import_playbook`.
    pub const IMPORT: Self = Self(32);
    /// `include_tasks`, `include_role`: a task, but with few keywords.
    pub const INCLUDE: Self = Self(64);

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of the other places are in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The word that messages use: `Play`, `Task` ...
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::PLAY => "Play",
            Self::ROLE => "RoleInclude",
            Self::BLOCK => "Block",
            Self::HANDLER => "Handler",
            Self::IMPORT => "PlaybookInclude",
            Self::INCLUDE => "TaskInclude",
            _ => "Task",
        }
    }
}

/// How a task gets the value of a keyword that stands above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// It does not.
    Own,
    /// The nearest value counts.
    Nearest,
    /// All values count, joined from the outside in: `tags`, `when`, `environment` ...
    Join,
}

const PLAY: Places = Places::PLAY;
const BLOCK: Places = Places::BLOCK;
const HANDLER: Places = Places::HANDLER;
const INCLUDE: Places = Places::INCLUDE;
const TASKS: Places = Places::TASK.and(HANDLER);
/// Everything that holds or is a task.
const BELOW: Places = Places::ROLE.and(BLOCK).and(TASKS);
const BASE: Places = BELOW.and(PLAY).and(Places::IMPORT);
const ALL: Places = BASE.and(INCLUDE);

/// A row of the table.
pub struct Row {
    /// The keyword.
    pub keyword: Keyword,
    /// As it is written.
    pub name: &'static str,
    /// Where it may stand.
    pub places: Places,
    /// How it reaches tasks below.
    pub inherit: Inherit,
    /// What it does.
    pub doc: &'static str,
}

macro_rules! keywords {
    ($($variant:ident $name:literal $places:expr, $inherit:ident, $doc:literal;)*) => {
        /// A keyword.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Keyword { $(#[doc = $doc] $variant,)* }

        /// All keywords, in the order of the enumeration.
        pub static KEYWORDS: &[Row] = &[$(Row {
            keyword: Keyword::$variant, name: $name, places: $places, inherit: Inherit::$inherit, doc: $doc,
        },)*];
    };
}

keywords! {
    Action "action" TASKS.and(INCLUDE), Own, "The module to call, with its arguments as text or as a mapping.";
    Always "always" BLOCK, Own, "Tasks that run after the block whatever happened in it.";
    AnyErrorsFatal "any_errors_fatal" BASE, Nearest, "A failure on one host ends the play for all hosts.";
    Args "args" TASKS.and(INCLUDE), Own, "More arguments for the module.";
    Async "async" TASKS, Own, "Run in the background for at most this many seconds.";
    Become "become" BASE, Nearest, "Run as another user.";
    BecomeExe "become_exe" BASE, Nearest, "The program that changes the user.";
    BecomeFlags "become_flags" BASE, Nearest, "Options for the program that changes the user.";
    BecomeMethod "become_method" BASE, Nearest, "How to change the user: sudo, su ...";
    BecomeUser "become_user" BASE, Nearest, "The user to become.";
    Block "block" BLOCK, Own, "The tasks of a block.";
    ChangedWhen "changed_when" TASKS, Own, "Conditions that decide whether the task counts as changed.";
    CheckMode "check_mode" BASE, Nearest, "Predict changes instead of making them, or make them even in check mode.";
    Collections "collections" BELOW.and(PLAY).and(INCLUDE), Nearest, "Collections to look short names up in.";
    Connection "connection" BASE, Nearest, "How to reach the host.";
    Debugger "debugger" ALL, Nearest, "When to stop for debugging.";
    Delay "delay" TASKS, Own, "Seconds between two attempts.";
    DelegateFacts "delegate_facts" BELOW, Nearest, "Facts belong to the host that the task is delegated to.";
    DelegateTo "delegate_to" BELOW, Nearest, "The host to run on instead.";
    Diff "diff" BASE, Nearest, "Show what changes in files.";
    Environment "environment" BASE, Join, "Environment variables for the module.";
    FactPath "fact_path" PLAY, Own, "Where local facts are read from.";
    FailedWhen "failed_when" TASKS, Own, "Conditions that decide whether the task failed.";
    ForceHandlers "force_handlers" PLAY, Own, "Run notified handlers even on hosts that failed.";
    GatherFacts "gather_facts" PLAY, Own, "Whether facts are gathered before the first task.";
    GatherSubset "gather_subset" PLAY, Own, "Which facts are gathered.";
    GatherTimeout "gather_timeout" PLAY, Own, "Seconds that gathering facts may take.";
    Handlers "handlers" PLAY, Own, "Tasks that run when they are notified.";
    Hosts "hosts" PLAY, Own, "The hosts of the play: a pattern or a list of patterns.";
    IgnoreErrors "ignore_errors" ALL, Nearest, "Go on after a failure.";
    IgnoreUnreachable "ignore_unreachable" BASE, Nearest, "Go on after a host could not be reached.";
    ImportPlaybook "import_playbook" Places::IMPORT, Own, "The playbook whose plays stand here.";
    Listen "listen" HANDLER, Own, "Topics that notify the handler too.";
    LocalAction "local_action" TASKS.and(INCLUDE), Own, "As `action`, on the controller.";
    Loop "loop" TASKS.and(INCLUDE), Own, "A list; the task runs once for each element.";
    LoopControl "loop_control" TASKS.and(INCLUDE), Own, "Names and pace of the loop.";
    MaxFailPercentage "max_fail_percentage" PLAY, Own, "End the play when more of a batch failed.";
    ModuleDefaults "module_defaults" BASE, Join, "Arguments that modules get unless the task gives them.";
    Name "name" ALL, Own, "What the output calls it.";
    NoLog "no_log" ALL, Nearest, "Keep arguments and results out of all output.";
    Notify "notify" BLOCK.and(TASKS), Join, "Handlers to run if something changed.";
    Order "order" PLAY, Own, "The order in which hosts are used.";
    Poll "poll" TASKS, Own, "Seconds between two looks at a background task.";
    Port "port" BASE, Nearest, "The port to connect to.";
    PostTasks "post_tasks" PLAY, Own, "Tasks that run after `tasks`.";
    PreTasks "pre_tasks" PLAY, Own, "Tasks that run before `roles`.";
    Register "register" TASKS.and(INCLUDE), Own, "The variable that gets the result.";
    RemoteUser "remote_user" BASE, Nearest, "The user to log in as.";
    Rescue "rescue" BLOCK, Own, "Tasks that run when a task of the block failed.";
    Retries "retries" TASKS, Own, "How often to try again.";
    Roles "roles" PLAY, Own, "Roles that run before `tasks`.";
    RunOnce "run_once" ALL, Nearest, "Run on the first host only, for all.";
    Serial "serial" PLAY, Own, "How many hosts go through the play together.";
    Strategy "strategy" PLAY, Own, "How hosts advance through the tasks.";
    Tags "tags" ALL, Join, "Words to select tasks by.";
    Tasks "tasks" PLAY, Own, "The tasks of the play.";
    Throttle "throttle" BASE, Nearest, "How many hosts may run the task at once.";
    Timeout "timeout" ALL, Nearest, "Seconds that the task may take.";
    Until "until" TASKS, Own, "Conditions to try again until they hold.";
    User "user" PLAY, Nearest, "Old name of `remote_user`.";
    ValidateArgspec "validate_argspec" PLAY, Own, "Check the play's variables against its argument specification.";
    Vars "vars" ALL, Join, "Variables.";
    VarsFiles "vars_files" PLAY, Own, "Files with variables.";
    VarsPrompt "vars_prompt" PLAY, Own, "Variables to ask the user for.";
    When "when" BELOW.and(Places::IMPORT).and(INCLUDE), Join, "Conditions; the task is skipped unless all hold.";
}

impl Keyword {
    /// The keyword of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        KEYWORDS
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.keyword)
    }

    /// Its row in the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &KEYWORDS[self as usize]
    }

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether it may stand at a place.
    #[must_use]
    pub fn allowed(self, place: Places) -> bool {
        self.row().places.contains(place)
    }

    /// The names that may stand at a place.
    pub fn names(place: Places) -> impl Iterator<Item = &'static str> {
        KEYWORDS
            .iter()
            .filter(move |row| row.places.contains(place))
            .map(|row| row.name)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_at_its_own_row() {
        for row in KEYWORDS {
            assert_eq!(row.keyword.name(), row.name);
            assert_eq!(Keyword::from_name(row.name), Some(row.keyword));
        }
    }

    #[test]
    fn includes_take_few_keywords() {
        assert!(!Keyword::Become.allowed(Places::INCLUDE));
        assert!(Keyword::When.allowed(Places::INCLUDE));
        assert!(!Keyword::When.allowed(Places::PLAY));
    }
}
