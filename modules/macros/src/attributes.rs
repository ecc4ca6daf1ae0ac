//! Reads `#[arg(...)]`, documentation comments and names.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, LitStr, Meta};

/// What `#[arg(...)]` says about a field or a variant.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) name: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) default: Option<String>,
    pub(crate) refused: Option<String>,
    pub(crate) kind: Option<LitStr>,
    pub(crate) choices: Vec<String>,
    pub(crate) secret: bool,
    pub(crate) required: bool,
    pub(crate) flatten: bool,
}

impl Said {
    /// Reads all `#[arg(...)]` among the attributes.
    pub(crate) fn read(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut said = Self::default();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("arg"))
        {
            attribute.parse_nested_meta(|meta| said.take(&meta))?;
        }
        Ok(said)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let word = meta.path.require_ident()?.to_string();
        let text = || -> syn::Result<LitStr> { meta.value()?.parse() };
        match word.as_str() {
            "name" => self.name = Some(text()?.value()),
            "alias" => self.aliases.push(text()?.value()),
            "default" => self.default = Some(text()?.value()),
            "refused" => self.refused = Some(text()?.value()),
            "kind" => self.kind = Some(text()?),
            "choices" => {
                self.choices = text()?
                    .value()
                    .split(',')
                    .map(|word| word.trim().to_owned())
                    .collect()
            }
            "secret" => self.secret = true,
            "required" => self.required = true,
            "flatten" => self.flatten = true,
            _ => return Err(meta.error(format!("`{word}` is nothing that `arg` knows"))),
        }
        Ok(())
    }
}

/// The documentation comment, lines joined, without the space after the slashes.
pub(crate) fn documentation(
    attributes: &[Attribute],
    what: &str,
    span: Span,
) -> syn::Result<String> {
    let lines: Vec<String> = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(line),
                    ..
                }) => Some(line.value()),
                _ => None,
            },
            _ => None,
        })
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned())
        .collect();
    let text = lines.join("\n").trim().to_owned();
    if text.is_empty() {
        return Err(syn::Error::new(
            span,
            format!("document this {what}: `rplay doc` prints its comment"),
        ));
    }
    Ok(text)
}

/// The user's word for a field: without `r#` and without a trailing underscore.
pub(crate) fn field_word(ident: &Ident) -> String {
    ident.unraw().to_string().trim_end_matches('_').to_owned()
}

/// `TouchIt` as `touch_it`.
pub(crate) fn variant_word(ident: &Ident) -> String {
    let mut word = String::new();
    for letter in ident.unraw().to_string().chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}
