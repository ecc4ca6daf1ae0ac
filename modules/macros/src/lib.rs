//! The derives that turn a documented struct into a static argument table.
//!
//! They write tables and the code that reads a struct from a map, nothing else; what the tables
//! mean is said in `rplay_modules::args`.

mod attributes;
mod choices;
mod table;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `rplay_modules::args::Args` for a struct of arguments.
///
/// Every field is documented (anything else does not compile) and may carry `#[arg(...)]`:
///
/// * `name = "x"`: the user's word, where it is not the field's name (`r#type` and `type_` need none)
/// * `alias = "x"`, repeatable: another name
/// * `default = "x"`: the value when it is not given, as YAML text
/// * `required`: must be given; the rule for every type but `Option` without a default
/// * `secret`: masked wherever the value appears
/// * `refused = "why"`: Ansible has the argument, rplay refuses it for this reason
/// * `kind = "path"`: another kind than that of the field's type
/// * `choices = "a, b"`: the allowed values of a field that is no `ArgEnum`
/// * `flatten`: the field is itself a struct of arguments, whose table is put in here
#[proc_macro_derive(ModuleArgs, attributes(arg))]
pub fn module_args(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    table::arguments(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Derives `rplay_modules::args::ReturnTable` for a struct that documents return values.
#[proc_macro_derive(Returns, attributes(arg))]
pub fn returns(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    table::returns(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Derives `rplay_modules::args::ArgEnum` and `ArgValue` for an enum of fixed words.
///
/// A variant's word is its name in `snake_case`, or `#[arg(name = "x")]`; `#[arg(alias = "y")]`
/// adds further words that mean the same.
#[proc_macro_derive(ArgEnum, attributes(arg))]
pub fn arg_enum(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    choices::choices(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
