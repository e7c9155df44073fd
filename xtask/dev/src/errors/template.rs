//! Texts of `#[error("..")]` with the names of the fields in their places.

use super::literals::arguments;
use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Fields, Lit, Meta};

/// The text of a variant or struct; positional places have the name of their field, where one is
/// known.
pub(super) fn of(attributes: &[Attribute], fields: &Fields) -> Option<String> {
    let tokens = attributes.iter().find(|a| a.path().is_ident("error")).and_then(|a| match &a.meta {
        Meta::List(list) => Some(list.tokens.clone()),
        _ => None,
    })?;
    let text = first_literal(&tokens)?;
    let names: Vec<String> = fields.iter().filter_map(|f| f.ident.as_ref().map(ToString::to_string)).collect();
    let parsed = arguments(&with_self(tokens));
    Some(named(
        &text,
        &parsed.iter().skip(1).map(|e| name_in(e.to_token_stream(), &names).unwrap_or_default()).collect::<Vec<_>>(),
    ))
}

/// `.field` in an argument is no Rust expression, but `self.field` is.
fn with_self(tokens: TokenStream) -> TokenStream {
    let (mut out, mut value) = (Vec::new(), false);
    for token in tokens {
        let dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        if dot && !value {
            out.push(TokenTree::Ident(Ident::new("self", Span::call_site())));
        }
        value = dot || !matches!(token, TokenTree::Punct(_));
        out.push(match token {
            TokenTree::Group(group) => TokenTree::Group(Group::new(group.delimiter(), with_self(group.stream()))),
            other => other,
        });
    }
    out.into_iter().collect()
}

fn first_literal(tokens: &TokenStream) -> Option<String> {
    match syn::parse2::<Lit>(tokens.clone().into_iter().next()?.into()).ok()? {
        Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

/// The field that an argument shows; the name of a function is none.
fn name_in(tokens: TokenStream, names: &[String]) -> Option<String> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let found = name_in(group.stream(), names);
                if found.is_some() {
                    return found;
                }
            }
            TokenTree::Ident(ident) if !matches!(tokens.peek(), Some(TokenTree::Group(_))) => {
                let found = names.iter().find(|name| ident == name.as_str());
                if found.is_some() {
                    return found.cloned();
                }
            }
            _ => {}
        }
    }
    None
}

/// Puts names into the `{}` of a text, in order.
fn named(text: &str, names: &[String]) -> String {
    let (mut out, mut names, mut rest) = (String::new(), names.iter(), text);
    while let Some(at) = [rest.find("{}"), rest.find("{:")].into_iter().flatten().min() {
        out.push_str(&rest[..=at]);
        out.push_str(names.next().map_or("", String::as_str));
        rest = &rest[at + 1..];
    }
    out + rest
}

/// The text with the parts of a field in its place.
pub(super) fn filled(text: &str, field: &str, parts: &[String]) -> Vec<String> {
    let place = format!("{{{field}}}");
    if parts.is_empty() || !text.contains(&place) {
        return vec![text.to_owned()];
    }
    parts.iter().map(|part| text.replace(&place, part)).collect()
}
