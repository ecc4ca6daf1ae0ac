//! Tables of arguments and of return values.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Field, Fields, Ident, LitStr, Type};

use crate::attributes::{Said, documentation, field_word};

/// The implementation of `Args`.
pub(crate) fn arguments(input: &DeriveInput) -> syn::Result<TokenStream> {
    let doc = documentation(&input.attrs, "struct", input.ident.span())?;
    let fields = named_fields(input)?
        .into_iter()
        .map(Argument::read)
        .collect::<syn::Result<Vec<_>>>()?;
    let groups = groups(&fields);
    let readers = fields.iter().map(Argument::reader);
    // Reading the refused fields once keeps them from being dead code: their type is still checked.
    let refused = fields
        .iter()
        .filter(|field| field.said.refused.is_some())
        .map(|field| field.ident);
    let ident = &input.ident;
    Ok(quote! {
        impl ::rplay_modules::args::Args for #ident {
            const DOC: &'static str = #doc;
            const ARGS: &'static [::rplay_modules::args::Arg] = {
                const GROUPS: &[&[::rplay_modules::args::Arg]] = &[#groups];
                const ALL: [::rplay_modules::args::Arg; ::rplay_modules::args::total(GROUPS)] =
                    ::rplay_modules::args::concat(GROUPS);
                &ALL
            };
            fn from_map(map: &::rplay_modules::data::Map) -> ::core::result::Result<Self, ::std::string::String> {
                let args = Self { #(#readers,)* };
                #(let _ = &args.#refused;)*
                ::core::result::Result::Ok(args)
            }
        }
    })
}

/// The implementation of `ReturnTable`.
pub(crate) fn returns(input: &DeriveInput) -> syn::Result<TokenStream> {
    let mut rows = Vec::new();
    for field in named_fields(input)? {
        let argument = Argument::read(field)?;
        let (name, doc, kind) = (argument.name(), &argument.doc, argument.kind()?);
        rows.push(quote! {
            ::rplay_modules::args::Return { name: #name, kind: ::rplay_modules::args::Kind::name(#kind), doc: #doc }
        });
    }
    let ident = &input.ident;
    Ok(quote! {
        impl ::rplay_modules::args::ReturnTable for #ident {
            const RETURNS: &'static [::rplay_modules::args::Return] =
                ::rplay_modules::args::returned(&[#(#rows),*]);
        }
    })
}

struct Argument<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    said: Said,
    doc: String,
    row: TokenStream,
}

impl<'a> Argument<'a> {
    fn read(field: &'a Field) -> syn::Result<Self> {
        let ident = field
            .ident
            .as_ref()
            .ok_or_else(|| syn::Error::new(field.span(), "name this field"))?;
        let said = Said::read(&field.attrs)?;
        let doc = if said.flatten {
            String::new()
        } else {
            documentation(&field.attrs, "field", ident.span())?
        };
        let mut argument = Self {
            ident,
            ty: &field.ty,
            said,
            doc,
            row: TokenStream::new(),
        };
        if !argument.said.flatten {
            argument.row = argument.row()?;
        }
        Ok(argument)
    }

    fn name(&self) -> String {
        self.said
            .name
            .clone()
            .unwrap_or_else(|| field_word(self.ident))
    }

    fn kind(&self) -> syn::Result<TokenStream> {
        let ty = self.ty;
        match &self.said.kind {
            None => Ok(quote!(<#ty as ::rplay_modules::args::ArgValue>::KIND)),
            Some(word) => kind_variant(word),
        }
    }

    /// One entry of the table.
    fn row(&self) -> syn::Result<TokenStream> {
        let (name, doc, ty, kind) = (self.name(), &self.doc, self.ty, self.kind()?);
        let Said {
            aliases,
            secret,
            required,
            ..
        } = &self.said;
        let optional = option(self.said.default.as_deref());
        let refused = option(self.said.refused.as_deref());
        let has_default = self.said.default.is_some() || self.said.refused.is_some();
        let choices = match self.said.choices.as_slice() {
            [] => quote!(<#ty as ::rplay_modules::args::ArgValue>::CHOICES),
            words => quote!(&[#(#words),*]),
        };
        Ok(quote! {
            ::rplay_modules::args::Arg {
                name: #name,
                aliases: &[#(#aliases),*],
                kind: #kind,
                required: #required || !(#has_default || <#ty as ::rplay_modules::args::ArgValue>::OPTIONAL),
                default: #optional,
                choices: #choices,
                secret: #secret,
                refused: #refused,
                doc: ::rplay_modules::args::document(#doc),
            }
        })
    }

    /// The field in the struct expression of `from_map`.
    fn reader(&self) -> TokenStream {
        let (ident, ty, name) = (self.ident, self.ty, self.name());
        if self.said.flatten {
            quote!(#ident: <#ty as ::rplay_modules::args::Args>::from_map(map)?)
        } else {
            quote!(#ident: ::rplay_modules::args::field::<#ty>(map, #name)?)
        }
    }
}

/// The table as a list of groups: runs of own arguments, and the tables of flattened fields.
fn groups(fields: &[Argument<'_>]) -> TokenStream {
    let groups = fields
        .chunk_by(|left, right| !left.said.flatten && !right.said.flatten)
        .map(|group| {
            let ty = group[0].ty;
            if group[0].said.flatten {
                return quote!(<#ty as ::rplay_modules::args::Args>::ARGS);
            }
            let rows = group.iter().map(|field| &field.row);
            quote!(&[#(#rows),*])
        });
    quote!(#(#groups),*)
}

fn kind_variant(word: &LitStr) -> syn::Result<TokenStream> {
    let kind = quote!(::rplay_modules::args::Kind);
    Ok(match word.value().as_str() {
        "str" => quote!(#kind::Str),
        "bool" => quote!(#kind::Bool),
        "int" => quote!(#kind::Int),
        "float" => quote!(#kind::Float),
        "path" => quote!(#kind::Path),
        "raw" => quote!(#kind::Raw),
        "dict" => quote!(#kind::Dict),
        "json" => quote!(#kind::Json),
        "mode" => quote!(#kind::Mode),
        "content" => quote!(#kind::Content),
        "list" => quote!(#kind::List(&#kind::Raw)),
        other => match other.strip_prefix("list of ") {
            Some(item) => {
                let item = kind_variant(&LitStr::new(item, word.span()))?;
                quote!(#kind::List(&#item))
            }
            None => return Err(syn::Error::new(word.span(), "no such kind of argument")),
        },
    })
}

fn option(text: Option<&str>) -> TokenStream {
    match text {
        Some(text) => quote!(::core::option::Option::Some(#text)),
        None => quote!(::core::option::Option::None),
    }
}

fn named_fields(input: &DeriveInput) -> syn::Result<Vec<&Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter().collect()),
            Fields::Unit => Ok(Vec::new()),
            Fields::Unnamed(fields) => Err(syn::Error::new(
                fields.span(),
                "fields of a table have names",
            )),
        },
        _ => Err(syn::Error::new(input.ident.span(), "a table is a struct")),
    }
}
