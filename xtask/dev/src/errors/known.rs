//! The error types of the source code, and the functions that make errors of their arguments.

use super::literals::{self, Constants};
use super::template;
use quote::ToTokens;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprStruct, FnArg, ImplItemFn, Item, ItemFn, Local, Member, Pat, PatIdent, Type};

/// The fields of a message that have a part of its text.
pub(super) const PARTS: [&str; 7] = ["problem", "problems", "remedy", "reason", "why", "cause", "takes"];

/// A function or closure that makes an error of its arguments.
#[derive(Debug)]
pub(super) struct Maker {
    file: PathBuf,
    parameters: usize,
    /// Whether it is a closure, which only its file has.
    local: bool,
    pub(super) variant: String,
    /// Texts of fields that it sets itself.
    pub(super) set: BTreeMap<String, Vec<String>>,
    /// The argument of each other field.
    pub(super) fields: BTreeMap<String, usize>,
}

/// What a first pass over the files finds.
#[derive(Default)]
pub(super) struct Known {
    /// The texts of variants by name, `Enum::Variant` or `Struct`.
    pub(super) templates: BTreeMap<String, String>,
    /// By name.
    makers: BTreeMap<String, Vec<Maker>>,
    pub(super) constants: Constants,
}

impl Known {
    pub(super) fn learn(&mut self, path: &Path, file: &syn::File) {
        Definitions { known: self, path, own: String::new() }.visit_file(file);
    }

    /// The function of a name: that of the file, or else one of its crate or of a type.
    pub(super) fn maker(&self, path: &Path, name: &str, arguments: usize) -> Option<&Maker> {
        let last = name.rsplit("::").next().unwrap_or(name);
        let found = self.makers.get(name).or_else(|| self.makers.get(last))?;
        let mut fitting = found.iter().filter(|maker| maker.parameters == arguments);
        let same = |maker: &&Maker| maker.file.iter().take(2).eq(path.iter().take(2));
        let reachable = |maker: &&Maker| maker.file == path || !maker.local && (same(maker) || name.contains("::"));
        let near = |maker: &&Maker| maker.file.iter().zip(path).take_while(|(a, b)| a == b).count();
        fitting.by_ref().filter(reachable).max_by_key(near)
    }
}

struct Definitions<'a> {
    known: &'a mut Known,
    path: &'a Path,
    own: String,
}

impl Definitions<'_> {
    fn maker(&mut self, name: String, local: bool, parameters: &[String], body: impl FnOnce(&mut Literals)) {
        let mut found = Literals { own: self.own.clone(), values: Vec::new() };
        body(&mut found);
        for value in found.values {
            let (mut set, mut fields) = (BTreeMap::new(), BTreeMap::new());
            for (field, expr) in value.fields {
                let texts = literals::of(&expr, &Constants::new());
                let words = expr.to_token_stream().to_string();
                let uses =
                    |p: &String| words.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == *p);
                match parameters.iter().position(uses) {
                    Some(place) if texts.is_empty() => drop(fields.insert(field, place)),
                    _ => drop(set.insert(field, texts)),
                }
            }
            if !fields.is_empty() {
                let maker = Maker {
                    file: self.path.into(),
                    local,
                    parameters: parameters.len(),
                    variant: value.variant,
                    set,
                    fields,
                };
                self.known.makers.entry(name.clone()).or_default().push(maker);
            }
        }
    }
}

/// A value of an error type, with its fields that are parts of the message.
struct Value {
    variant: String,
    fields: Vec<(String, Expr)>,
}

/// The values of error types that a body has.
struct Literals {
    own: String,
    values: Vec<Value>,
}

impl<'ast> Visit<'ast> for Literals {
    fn visit_expr_struct(&mut self, value: &'ast ExprStruct) {
        let fields = value.fields.iter().filter_map(|field| match &field.member {
            Member::Named(name) if PARTS.contains(&name.to_string().as_str()) => {
                Some((name.to_string(), field.expr.clone()))
            }
            _ => None,
        });
        let fields = fields.collect();
        self.values.push(Value { variant: variant_name(&value.path, &self.own), fields });
        visit::visit_expr_struct(self, value);
    }
}

impl<'ast> Visit<'ast> for Definitions<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        match item {
            Item::Impl(item) => self.own = type_name(&item.self_ty),
            Item::Const(item) => {
                let texts = literals::of(&item.expr, &self.known.constants);
                if !texts.is_empty() {
                    self.known.constants.insert(item.ident.to_string(), texts);
                }
            }
            _ => {}
        }
        self.known.templates.extend(templates(item));
        visit::visit_item(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let parameters = parameters(item.sig.inputs.iter());
        self.maker(item.sig.ident.to_string(), false, &parameters, |found| found.visit_block(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        let parameters = parameters(item.sig.inputs.iter());
        let name = format!("{}::{}", self.own, item.sig.ident);
        self.maker(name, false, &parameters, |found| found.visit_block(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if let (Pat::Ident(name), Some(init)) = (bare(&local.pat), &local.init)
            && let Expr::Closure(closure) = &*init.expr
        {
            let parameters: Vec<String> = closure.inputs.iter().map(pattern_name).collect();
            self.maker(name.ident.to_string(), true, &parameters, |found| found.visit_expr(&closure.body));
        }
        visit::visit_local(self, local);
    }
}

fn parameters<'a>(inputs: impl Iterator<Item = &'a FnArg>) -> Vec<String> {
    let typed = inputs.filter_map(|input| match input {
        FnArg::Typed(typed) => Some(pattern_name(&typed.pat)),
        FnArg::Receiver(_) => None,
    });
    typed.collect()
}

fn pattern_name(pattern: &Pat) -> String {
    match bare(pattern) {
        Pat::Ident(PatIdent { ident, .. }) => ident.to_string(),
        _ => String::new(),
    }
}

/// A pattern without its type.
pub(super) fn bare(pattern: &Pat) -> &Pat {
    match pattern {
        Pat::Type(typed) => bare(&typed.pat),
        other => other,
    }
}

/// The variants of an error type with a text, by name.
pub(super) fn templates(item: &Item) -> Vec<(String, String)> {
    match item {
        Item::Enum(item) => {
            let variant =
                |v: &syn::Variant| Some((format!("{}::{}", item.ident, v.ident), template::of(&v.attrs, &v.fields)?));
            item.variants.iter().filter_map(variant).collect()
        }
        Item::Struct(item) => {
            template::of(&item.attrs, &item.fields).map(|text| (item.ident.to_string(), text)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// The last two parts of a path, or the last of a short one; `Self` is the type of the `impl`.
pub(super) fn variant_name(path: &syn::Path, own: &str) -> String {
    let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
    let own = |part: &String| if part == "Self" { own.to_owned() } else { part.clone() };
    parts[parts.len().saturating_sub(2)..].iter().map(own).collect::<Vec<_>>().join("::")
}

pub(super) fn type_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|i| i == "test"))
}

pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => &[],
    }
}
