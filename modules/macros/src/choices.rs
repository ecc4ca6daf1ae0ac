//! Enums of fixed words.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields};

use crate::attributes::{Said, variant_word};

/// The implementations of `ArgEnum` and `ArgValue`.
pub(crate) fn choices(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(syn::Error::new(
            input.ident.span(),
            "fixed words are an enum",
        ));
    };
    let (mut words, mut names, mut readers) = (Vec::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(syn::Error::new(
                variant.ident.span(),
                "a fixed word carries no fields",
            ));
        }
        let said = Said::read(&variant.attrs)?;
        let (ident, aliases) = (&variant.ident, &said.aliases);
        let name = said.name.clone().unwrap_or_else(|| variant_word(ident));
        names.push(quote!(Self::#ident => #name));
        readers.push(quote!(#name #(| #aliases)* => ::core::option::Option::Some(Self::#ident)));
        words.push(name);
        words.extend(said.aliases);
    }
    let ident = &input.ident;
    Ok(quote! {
        impl ::rplay_modules::args::ArgEnum for #ident {
            const WORDS: &'static [&'static str] = &[#(#words),*];
            fn from_word(word: &str) -> ::core::option::Option<Self> {
                match word {
                    #(#readers,)*
                    _ => ::core::option::Option::None,
                }
            }
            fn word(&self) -> &'static str {
                match self {
                    #(#names),*
                }
            }
        }
        impl ::rplay_modules::args::ArgValue for #ident {
            const KIND: ::rplay_modules::args::Kind = ::rplay_modules::args::Kind::Str;
            const CHOICES: &'static [&'static str] = <Self as ::rplay_modules::args::ArgEnum>::WORDS;
            fn from_data(value: &::rplay_modules::data::Data) -> ::core::result::Result<Self, ::std::string::String> {
                ::rplay_modules::args::read_word(value)
            }
        }
    })
}
