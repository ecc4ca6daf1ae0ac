//! What arguments the filters and tests take, told as Python tells it.

use super::args::Args;
use super::fault::Fault;

/// The arguments of a function behind a filter or a test, without its operand.
pub(crate) struct Signature {
    /// The name that messages have.
    function: &'static str,
    kind: Kind,
}

enum Kind {
    /// Written in Python.
    Python {
        /// Arguments before the operand that users do not see; -1 if the operand could be left out, too.
        hidden: i8,
        required: &'static [&'static str],
        optional: &'static [&'static str],
    },
    /// Of the interpreter, with its operand alone.
    Single,
    /// An operator.
    Operator,
}

/// What a function of Python's takes; see [`Signature`].
pub(crate) const fn python(
    function: &'static str,
    hidden: i8,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Signature {
    Signature {
        function,
        kind: Kind::Python {
            hidden,
            required,
            optional,
        },
    }
}

const fn single(function: &'static str) -> Signature {
    Signature {
        function,
        kind: Kind::Single,
    }
}

const fn operator(function: &'static str) -> Signature {
    Signature {
        function,
        kind: Kind::Operator,
    }
}

impl Signature {
    /// Refuses arguments that it does not take.
    pub(crate) fn check(&self, args: &Args) -> Result<(), Fault> {
        match &self.kind {
            Kind::Single if !args.kw.is_empty() => Err(Fault::new(format!(
                "{}() takes no keyword arguments",
                self.function
            ))),
            Kind::Single if args.pos.len() != 1 => Err(Fault::new(format!(
                "{}() takes exactly one argument ({} given)",
                self.function,
                args.pos.len()
            ))),
            Kind::Operator if !args.kw.is_empty() => Err(Fault::new(format!(
                "_operator.{}() takes no keyword arguments",
                self.function
            ))),
            Kind::Operator if args.pos.len() != 2 => Err(Fault::new(format!(
                "{} expected 2 arguments, got {}",
                self.function,
                args.pos.len()
            ))),
            Kind::Single | Kind::Operator => Ok(()),
            Kind::Python {
                hidden,
                required,
                optional,
            } => self.check_python(args, *hidden, required, optional),
        }
    }

    fn check_python(
        &self,
        args: &Args,
        hidden: i8,
        required: &[&str],
        optional: &[&str],
    ) -> Result<(), Fault> {
        let given = args.pos.len().saturating_sub(1);
        let problem = |text: String| Err(Fault::new(format!("{}() {text}", self.function)));
        let mut names = required.iter().chain(optional);
        // `**` stands for any other names.
        let open = optional.last() == Some(&"**");
        for (name, _) in args.kw.iter().filter(|_| !open) {
            match names.clone().position(|known| known == name) {
                None => {
                    return problem(format!("got an unexpected keyword argument '{name}'"));
                }
                Some(at) if at < given => {
                    return problem(format!("got multiple values for argument '{name}'"));
                }
                Some(_) => {}
            }
        }
        let most = required.len() + optional.len() - usize::from(open);
        if given > most {
            let shown = |count: usize| count.saturating_add_signed(isize::from(hidden)) + 1;
            let (least, most) = (
                shown(required.len()),
                most + 1 + usize::from(hidden.max(0).unsigned_abs()),
            );
            let least = if hidden < 0 { 0 } else { least };
            let takes = match least == most {
                true if most == 1 => "1 positional argument".to_owned(),
                true => format!("{most} positional arguments"),
                false => format!("from {least} to {most} positional arguments"),
            };
            let count = given + 1 + usize::from(hidden.max(0).unsigned_abs());
            return problem(format!("takes {takes} but {count} were given"));
        }
        let missing: Vec<String> = names
            .by_ref()
            .take(required.len())
            .skip(given)
            .filter(|name| args.named(name).is_none())
            .map(|name| format!("'{name}'"))
            .collect();
        match &missing[..] {
            [] => Ok(()),
            [one] => problem(format!("missing 1 required positional argument: {one}")),
            [first, second] => problem(format!(
                "missing 2 required positional arguments: {first} and {second}"
            )),
            [many @ .., last] => problem(format!(
                "missing {} required positional arguments: {}, and {last}",
                missing.len(),
                many.join(", ")
            )),
        }
    }
}

/// The signature of a filter of `ansible.builtin`, if its arguments are fixed.
pub(crate) fn of_filter(name: &str) -> Option<&'static Signature> {
    find(FILTERS, name)
}

/// The signature of a test of `ansible.builtin`, if its arguments are fixed.
pub(crate) fn of_test(name: &str) -> Option<&'static Signature> {
    find(TESTS, name)
}

type Table = [(&'static str, Signature)];

fn find(table: &'static Table, name: &str) -> Option<&'static Signature> {
    let (_, signature) = table.iter().find(|(known, _)| *known == name)?;
    Some(signature)
}

#[rustfmt::skip]
const FILTERS: &Table = &[
    ("abs", single("abs")),
    ("count", single("len")),
    ("length", single("len")),
    ("attr", python("do_attr", 1, &["name"], &[])),
    ("b64decode", python("b64decode", 0, &[], &["encoding", "urlsafe"])),
    ("b64encode", python("b64encode", 0, &[], &["encoding", "urlsafe"])),
    ("basename", python("basename", 0, &[], &[])),
    ("batch", python("do_batch", 0, &["linecount"], &["fill_with"])),
    ("bool", python("to_bool", 0, &[], &[])),
    ("capitalize", python("do_capitalize", 0, &[], &[])),
    ("center", python("do_center", 0, &[], &["width"])),
    ("checksum", python("secure_hash_s", 0, &[], &["hash_func"])),
    ("comment", python("comment", 0, &[], &["style", "**"])),
    ("commonpath", python("commonpath", 0, &[], &[])),
    ("d", python("ansible_default", 0, &[], &["default_value", "boolean"])),
    ("default", python("ansible_default", 0, &[], &["default_value", "boolean"])),
    ("dict2items", python("dict_to_list_of_dict_key_value_elements", 0, &[], &["key_name", "value_name"])),
    ("dictsort", python("do_dictsort", 0, &[], &["case_sensitive", "by", "reverse"])),
    ("difference", python("difference", 1, &["b"], &[])),
    ("dirname", python("dirname", 0, &[], &[])),
    ("e", python("escape", 0, &[], &[])),
    ("escape", python("escape", 0, &[], &[])),
    ("expanduser", python("expanduser", 0, &[], &[])),
    ("expandvars", python("expandvars", 0, &[], &[])),
    ("extract", python("extract", 1, &["container"], &["morekeys"])),
    ("fileglob", python("fileglob", 0, &[], &[])),
    ("filesizeformat", python("do_filesizeformat", 0, &[], &["binary"])),
    ("first", python("sync_do_first", 1, &[], &[])),
    ("flatten", python("flatten", 0, &[], &["levels", "skip_nulls"])),
    ("float", python("do_float", 0, &[], &["default"])),
    ("forceescape", python("do_forceescape", 0, &[], &[])),
    ("from_yaml", python("from_yaml", 0, &[], &[])),
    ("from_yaml_all", python("from_yaml_all", 0, &[], &[])),
    ("groupby", python("sync_do_groupby", 1, &["attribute"], &["default", "case_sensitive"])),
    ("hash", python("get_hash", 0, &[], &["hashtype"])),
    ("human_readable", python("human_readable", 0, &[], &["isbits", "unit"])),
    ("human_to_bytes", python("human_to_bytes", 0, &[], &["default_unit", "isbits"])),
    ("indent", python("do_indent", 0, &[], &["width", "first", "blank"])),
    ("int", python("do_int", 0, &[], &["default", "base"])),
    ("intersect", python("intersect", 1, &["b"], &[])),
    ("items", python("do_items", 0, &[], &[])),
    ("items2dict", python("list_of_dict_key_value_elements_to_dict", 0, &[], &["key_name", "value_name"])),
    ("join", python("sync_do_join", 1, &[], &["d", "attribute"])),
    ("last", python("do_last", 1, &[], &[])),
    ("list", python("sync_do_list", 0, &[], &[])),
    ("log", python("logarithm", 0, &[], &["base"])),
    ("lower", python("do_lower", 0, &[], &[])),
    ("mandatory", python("mandatory", 0, &[], &["msg"])),
    ("max", python("do_max", 1, &[], &["case_sensitive", "attribute"])),
    ("md5", python("md5s", 0, &[], &[])),
    ("min", python("do_min", 1, &[], &["case_sensitive", "attribute"])),
    ("password_hash", python("get_encrypted_password", 0, &[], &["hashtype", "salt", "salt_size", "rounds", "ident"])),
    ("path_join", python("path_join", 0, &[], &[])),
    ("pow", python("power", 0, &["y"], &[])),
    ("pprint", python("do_pprint", 0, &[], &[])),
    ("quote", python("quote", 0, &[], &[])),
    ("random", python("rand", 1, &[], &["start", "step", "seed"])),
    ("realpath", python("realpath", 0, &[], &[])),
    ("regex_escape", python("regex_escape", 0, &[], &["re_type"])),
    ("regex_findall", python("regex_findall", 0, &["regex"], &["multiline", "ignorecase"])),
    ("regex_replace", python("regex_replace", -1, &[], &["pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"])),
    ("rekey_on_member", python("rekey_on_member", 0, &["key"], &["duplicates"])),
    ("relpath", python("relpath", 0, &[], &["start"])),
    ("replace", python("do_replace", 1, &["old", "new"], &["count"])),
    ("reverse", python("do_reverse", 0, &[], &[])),
    ("root", python("inversepower", 0, &[], &["base"])),
    ("round", python("do_round", 0, &[], &["precision", "method"])),
    ("safe", python("do_mark_safe", 0, &[], &[])),
    ("sha1", python("secure_hash_s", 0, &[], &["hash_func"])),
    ("shuffle", python("randomize_list", 0, &[], &["seed"])),
    ("slice", python("sync_do_slice", 0, &["slices"], &["fill_with"])),
    ("sort", python("do_sort", 1, &[], &["reverse", "case_sensitive", "attribute"])),
    ("splitext", python("splitext", 0, &[], &[])),
    ("strftime", python("strftime", 0, &[], &["second", "utc"])),
    ("string", python("soft_str", 0, &[], &[])),
    ("striptags", python("do_striptags", 0, &[], &[])),
    ("subelements", python("subelements", 0, &["subelements"], &["skip_missing"])),
    ("sum", python("sync_do_sum", 1, &[], &["attribute", "start"])),
    ("symmetric_difference", python("symmetric_difference", 1, &["b"], &[])),
    ("ternary", python("ternary", 0, &["true_val", "false_val"], &["none_val"])),
    ("title", python("do_title", 0, &[], &[])),
    ("to_datetime", python("to_datetime", 0, &[], &["format"])),
    ("to_uuid", python("to_uuid", 0, &[], &["namespace"])),
    ("tojson", python("do_tojson", 1, &[], &["indent"])),
    ("trim", python("do_trim", 0, &[], &["chars"])),
    ("truncate", python("do_truncate", 1, &[], &["length", "killwords", "end", "leeway"])),
    ("type_debug", python("type_debug", 0, &[], &[])),
    ("union", python("union", 1, &["b"], &[])),
    ("unique", python("unique", 1, &[], &["case_sensitive", "attribute"])),
    ("unvault", python("do_unvault", 0, &["secret"], &["vaultid"])),
    ("upper", python("do_upper", 0, &[], &[])),
    ("urldecode", python("unquote_plus", 0, &[], &["encoding", "errors"])),
    ("urlencode", python("do_urlencode", 0, &[], &[])),
    ("urlize", python("do_urlize", 1, &[], &["trim_url_limit", "nofollow", "target", "rel", "extra_schemes"])),
    ("urlsplit", python("split_url", 0, &[], &["query", "alias"])),
    ("vault", python("do_vault", 0, &["secret"], &["salt", "vaultid", "wrap_object"])),
    ("win_basename", python("basename", 0, &[], &[])),
    ("win_dirname", python("dirname", 0, &[], &[])),
    ("win_splitdrive", python("splitdrive", 0, &[], &[])),
    ("wordcount", python("do_wordcount", 0, &[], &[])),
    ("wordwrap", python("do_wordwrap", 1, &[], &["width", "break_long_words", "wrapstring", "break_on_hyphens"])),
    ("xmlattr", python("do_xmlattr", 1, &[], &["autospace"])),
];

#[rustfmt::skip]
const TESTS: &Table = &[
    ("all", single("all")),
    ("any", single("any")),
    ("callable", single("callable")),
    ("eq", operator("eq")),
    ("ne", operator("ne")),
    ("lt", operator("lt")),
    ("le", operator("le")),
    ("gt", operator("gt")),
    ("ge", operator("ge")),
    ("abs", python("isabs", 0, &[], &[])),
    ("boolean", python("test_boolean", 0, &[], &[])),
    ("changed", python("changed", 0, &[], &[])),
    ("contains", python("contains", 0, &["value"], &[])),
    ("defined", python("test_defined", 0, &[], &[])),
    ("directory", python("isdir", 0, &[], &[])),
    ("divisibleby", python("test_divisibleby", 0, &["num"], &[])),
    ("escaped", python("test_escaped", 0, &[], &[])),
    ("even", python("test_even", 0, &[], &[])),
    ("exists", python("exists", 0, &[], &[])),
    ("failed", python("failed", 0, &[], &[])),
    ("false", python("test_false", 0, &[], &[])),
    ("falsy", python("falsy", 0, &[], &["convert_bool"])),
    ("file", python("isfile", 0, &[], &[])),
    ("filter", python("test_filter", 1, &[], &[])),
    ("finished", python("finished", 0, &[], &[])),
    ("float", python("test_float", 0, &[], &[])),
    ("in", python("test_in", 0, &["seq"], &[])),
    ("integer", python("test_integer", 0, &[], &[])),
    ("iterable", python("test_iterable", 0, &[], &[])),
    ("link", python("islink", 0, &[], &[])),
    ("link_exists", python("lexists", 0, &[], &[])),
    ("lower", python("test_lower", 0, &[], &[])),
    ("mapping", python("test_mapping", 0, &[], &[])),
    ("match", python("match", 0, &[], &["pattern", "ignorecase", "multiline"])),
    ("mount", python("ismount", 0, &[], &[])),
    ("nan", python("isnotanumber", 0, &[], &[])),
    ("none", python("test_none", 0, &[], &[])),
    ("number", python("test_number", 0, &[], &[])),
    ("odd", python("test_odd", 0, &[], &[])),
    ("reachable", python("reachable", 0, &[], &[])),
    ("regex", python("regex", -1, &[], &["pattern", "ignorecase", "multiline", "match_type"])),
    ("same_file", python("samefile", 0, &["f2"], &[])),
    ("sameas", python("test_sameas", 0, &["other"], &[])),
    ("search", python("search", 0, &[], &["pattern", "ignorecase", "multiline"])),
    ("sequence", python("test_sequence", 0, &[], &[])),
    ("skipped", python("skipped", 0, &[], &[])),
    ("started", python("started", 0, &[], &[])),
    ("string", python("test_string", 0, &[], &[])),
    ("subset", python("issubset", 0, &["b"], &[])),
    ("succeeded", python("success", 0, &[], &[])),
    ("superset", python("issuperset", 0, &["b"], &[])),
    ("test", python("test_test", 1, &[], &[])),
    ("timedout", python("timedout", 0, &[], &[])),
    ("true", python("test_true", 0, &[], &[])),
    ("truthy", python("truthy", 0, &[], &["convert_bool"])),
    ("undefined", python("test_undefined", 0, &[], &[])),
    ("unreachable", python("unreachable", 0, &[], &[])),
    ("upper", python("test_upper", 0, &[], &[])),
    ("uri", python("is_uri", 0, &[], &["schemes"])),
    ("url", python("is_url", 0, &[], &["schemes"])),
    ("urn", python("is_urn", 0, &[], &[])),
    ("vault_encrypted", python("vault_encrypted", 0, &[], &[])),
    ("vaulted_file", python("vaulted_file", 0, &[], &[])),
    ("version", python("version_compare", 0, &["version"], &["operator", "strict", "version_type"])),
];
