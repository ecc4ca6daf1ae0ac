//! Argument tables, Ansible's coercions, and validation over the table.

mod coerce;
mod literal;
mod mode;
mod paths;
pub mod spec;
pub mod state;
mod validate;
mod value;

pub use coerce::coerce;
pub use mode::Mode;
pub use paths::{expand_path, expand_paths};
pub use rplay_macros::{ArgEnum, ModuleArgs, Returns};
pub use validate::{ArgProblem, Prepared, closest, prepare, prepare_as};
pub use value::{ArgEnum, ArgValue, field, read_word};

use crate::data::Map;
use crate::machine::Machine;
use crate::outcome::{Failure, Outcome};

/// One module: its names, its tables and its code. `module!` writes it.
#[derive(Debug)]
pub struct Module {
    /// The fully qualified name, `ansible.builtin.file`.
    pub name: &'static str,
    /// Further fully qualified names of the same module.
    pub aliases: &'static [&'static str],
    /// What it does: the documentation comment of its `Args`.
    pub doc: &'static str,
    /// Its arguments.
    pub args: &'static [Arg],
    /// Conditions between arguments.
    pub rules: Rules,
    /// What it returns beside `changed`, `failed`, `msg` and the like.
    pub returns: &'static [Return],
    /// The argument that takes a free-form string (`command: ls -l`), if any.
    pub free_form: Option<&'static str>,
    /// Runs it with arguments that [`prepare`] let through.
    pub run: fn(&mut dyn Machine, &Map) -> Result<Outcome, Failure>,
}

impl Module {
    /// The last part of the name, as users write it: `file`.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

/// One argument of a module. A name with a leading underscore is internal: the controller sets it,
/// and no document or message shows it.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// The name in results and messages.
    pub name: &'static str,
    /// Other names under which users write it.
    pub aliases: &'static [&'static str],
    /// The kind of value.
    pub kind: Kind,
    /// Whether it must be given.
    pub required: bool,
    /// The value when it is not given, as text in YAML.
    pub default: Option<&'static str>,
    /// The values that are allowed, empty for all. For a list: of each item.
    pub choices: &'static [&'static str],
    /// Whether the value is masked wherever it appears (`no_log`).
    pub secret: bool,
    /// Why rplay refuses this argument although Ansible has it.
    pub refused: Option<&'static str>,
    /// What it means: the documentation comment of the field.
    pub doc: &'static str,
}

impl Arg {
    /// Whether only the controller sets it.
    #[must_use]
    pub fn internal(&self) -> bool {
        self.name.starts_with('_')
    }

    /// Whether `word` is its name or an alias of it.
    #[must_use]
    pub fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }
}

/// A text of `rplay doc`, empty in a build without them.
#[must_use]
pub const fn document(text: &'static str) -> &'static str {
    if cfg!(feature = "docs") { text } else { "" }
}

/// A table of return values, empty in a build without documents.
#[must_use]
pub const fn returned(rows: &'static [Return]) -> &'static [Return] {
    if cfg!(feature = "docs") { rows } else { &[] }
}

/// A table of arguments, empty in a build without documents: the controller checks arguments before
/// it sends them, and a target need not know more of them than which are [`paths`].
#[must_use]
pub const fn checked(rows: &'static [Arg]) -> &'static [Arg] {
    if cfg!(feature = "docs") { rows } else { &[] }
}

/// Conditions between arguments, none in a build without documents: see [`checked`].
#[must_use]
pub const fn ruled(rules: Rules) -> Rules {
    if cfg!(feature = "docs") {
        rules
    } else {
        Rules::NONE
    }
}

/// How many arguments of a table are paths or lists of paths.
#[must_use]
pub const fn path_count(args: &[Arg]) -> usize {
    let (mut count, mut index) = (0, 0);
    while index < args.len() {
        if args[index].kind.is_path() {
            count += 1;
        }
        index += 1;
    }
    count
}

/// The names of the arguments that are paths or lists of paths; `N` is their [`path_count`].
#[must_use]
pub const fn paths<const N: usize>(args: &[Arg]) -> [&'static str; N] {
    let mut names = [""; N];
    let (mut count, mut index) = (0, 0);
    while index < args.len() {
        if args[index].kind.is_path() {
            names[count] = args[index].name;
            count += 1;
        }
        index += 1;
    }
    names
}

/// How many arguments the groups of a table hold together.
#[must_use]
pub const fn total(groups: &[&[Arg]]) -> usize {
    let (mut count, mut group) = (0, 0);
    while group < groups.len() {
        count += groups[group].len();
        group += 1;
    }
    count
}

/// The groups of a table as one table; `N` is their [`total`].
#[must_use]
pub const fn concat<const N: usize>(groups: &[&[Arg]]) -> [Arg; N] {
    const EMPTY: Arg = Arg {
        name: "",
        aliases: &[],
        kind: Kind::Raw,
        required: false,
        default: None,
        choices: &[],
        secret: false,
        refused: None,
        doc: "",
    };
    let mut all = [EMPTY; N];
    let (mut count, mut group) = (0, 0);
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            all[count] = groups[group][index];
            count += 1;
            index += 1;
        }
        group += 1;
    }
    all
}

/// The kind of an argument, with Ansible's name and coercion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `str`
    Str,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `path`: `~` and `$VAR` are expanded on the target.
    Path,
    /// `raw`: any value as it is.
    Raw,
    /// `list` of items of one kind; a text is split at commas.
    List(&'static Kind),
    /// `dict`
    Dict,
    /// `json`: text, or a value that is written as JSON.
    Json,
    /// File mode: octal number or text, symbolic, or `preserve`.
    Mode,
    /// Content of a file; never shown. Text or bytes.
    Content,
}

impl Kind {
    /// Whether it is a path or a list of paths.
    #[must_use]
    pub const fn is_path(self) -> bool {
        matches!(self, Kind::Path | Kind::List(Kind::Path))
    }

    /// Ansible's name of the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Str | Kind::Content => "str",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Path => "path",
            Kind::Raw | Kind::Mode => "raw",
            Kind::List(_) => "list",
            Kind::Dict => "dict",
            Kind::Json => "json",
        }
    }
}

/// Conditions between arguments, in the words of Ansible's argument specification.
#[derive(Debug, Default)]
pub struct Rules {
    /// At most one of each group.
    pub mutually_exclusive: &'static [&'static [&'static str]],
    /// All or none of each group.
    pub required_together: &'static [&'static [&'static str]],
    /// At least one of each group.
    pub required_one_of: &'static [&'static [&'static str]],
    /// If the argument has the value, the others must be given (all; or any when the flag is set).
    pub required_if: &'static [(&'static str, &'static str, &'static [&'static str], bool)],
    /// If the argument is given, the others must be, too.
    pub required_by: &'static [(&'static str, &'static [&'static str])],
    /// Whether the module runs in check mode.
    pub check_mode: CheckMode,
}

/// What becomes of a module in check mode. Most run, and predict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckMode {
    /// It runs: what it would change is predicted.
    #[default]
    Predicts,
    /// It is skipped, once its arguments are right.
    Skipped,
    /// It is skipped whatever its arguments are: what it does is no matter of this machine alone.
    SkippedFirst,
}

impl Rules {
    /// No condition.
    pub const NONE: Rules = Rules {
        mutually_exclusive: &[],
        required_together: &[],
        required_one_of: &[],
        required_if: &[],
        required_by: &[],
        check_mode: CheckMode::Predicts,
    };
}

/// One return value of a module.
#[derive(Debug)]
pub struct Return {
    /// Its name.
    pub name: &'static str,
    /// Ansible's name of its kind.
    pub kind: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// A struct of arguments with its table; `#[derive(ModuleArgs)]` writes the implementation.
pub trait Args: Sized {
    /// The table, in the order of the fields.
    const ARGS: &'static [Arg];
    /// The documentation comment of the struct.
    const DOC: &'static str;
    /// Reads the struct from arguments that [`prepare`] let through.
    ///
    /// # Errors
    /// The message for a value that the field's type refuses.
    fn from_map(map: &Map) -> Result<Self, String>;
}

/// A struct that documents return values; `#[derive(Returns)]` writes the implementation.
pub trait ReturnTable {
    /// The table, in the order of the fields.
    const RETURNS: &'static [Return];
}

/// Declares a module: `module! { "ansible.builtin.ping", args: Args, returns: Returns, run: run }`.
///
/// Optional, in this order after `run`: `aliases: [..]`, `free_form: "cmd"`, `rules: Rules {..}`.
#[macro_export]
macro_rules! module {
    ($name:literal, args: $args:ty, returns: $returns:ty, run: $run:path
        $(, aliases: [$($alias:literal),* $(,)?])?
        $(, free_form: $free:literal)?
        $(, rules: $rules:expr)? $(,)?) => {
        /// The table and the code of this module.
        pub(crate) static MODULE: $crate::args::Module = $crate::args::Module {
            name: $name,
            aliases: &[$($($alias),*)?],
            doc: $crate::args::document(<$args as $crate::args::Args>::DOC),
            args: $crate::args::checked(<$args as $crate::args::Args>::ARGS),
            rules: $crate::args::ruled($crate::module!(@rules $($rules)?)),
            returns: <$returns as $crate::args::ReturnTable>::RETURNS,
            free_form: $crate::module!(@free $($free)?),
            run: |machine, map| {
                const ARGS: &[$crate::args::Arg] = <$args as $crate::args::Args>::ARGS;
                const PATHS: [&str; $crate::args::path_count(ARGS)] = $crate::args::paths(ARGS);
                let map = $crate::args::expand_paths(machine, &PATHS, map);
                let args = <$args as $crate::args::Args>::from_map(&map)?;
                $run(machine, args)
            },
        };
    };
    (@rules $rules:expr) => { $rules };
    (@rules) => { $crate::args::Rules::NONE };
    (@free $free:literal) => { Some($free) };
    (@free) => { None };
}
