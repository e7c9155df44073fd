//! Reads error texts from source code.

use super::known::{Known, PARTS, attributes, bare, is_test, templates, type_name, variant_name};
use super::literals::{self, Constants, arguments};
use super::template;
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall, ExprStruct, Item, Local, Macro, Member, Pat};

/// How much of a message a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A message with cause and remedy.
    Whole,
    /// What precedes another error.
    Context,
    /// A message of parts: `{problem}`.
    Frame,
    /// What is wrong in a part of a message.
    Part,
    /// A line that begins with `warning: `.
    Warning,
}

/// One text of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text {
    pub(super) file: String,
    pub(super) kind: Kind,
    pub(super) words: String,
}

impl Text {
    /// What precedes the remedy.
    pub(super) fn cause(&self) -> &str {
        self.words.split_once("; ").map_or(&self.words, |(cause, _)| cause)
    }

    /// What to do.
    pub(super) fn remedy(&self) -> Option<&str> {
        self.words.split_once("; ").map(|(_, remedy)| remedy)
    }
}

/// The error texts of source files, in the order of the files.
pub(super) fn texts(sources: &[(PathBuf, String)]) -> anyhow::Result<Vec<Text>> {
    let mut files = Vec::new();
    for (path, text) in sources {
        files.push((
            path,
            syn::parse_file(text).with_context(|| format!("cannot parse {}; correct its syntax", path.display()))?,
        ));
    }
    let mut known = Known::default();
    files.iter().for_each(|(path, file)| known.learn(path, file));
    let mut found: Vec<Text> = Vec::new();
    for (path, file) in &files {
        let mut reader =
            Reader { known: &known, path, found: Vec::new(), locals: known.constants.clone(), own: String::new() };
        reader.visit_file(file);
        reader.found.into_iter().for_each(|text| {
            if !found.contains(&text) {
                found.push(text);
            }
        });
    }
    Ok(found)
}

/// Whether a text is more than places for others.
fn has_words(text: &str) -> bool {
    let mut depth = 0;
    text.chars().any(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0 && c.is_alphabetic()
    })
}

/// Reads the texts of one file.
struct Reader<'a> {
    known: &'a Known,
    path: &'a Path,
    found: Vec<Text>,
    /// Texts of constants and local variables.
    locals: Constants,
    /// The type of the present `impl`.
    own: String,
}

impl Reader<'_> {
    fn add(&mut self, kind: Kind, words: &[String]) {
        let file = self.path.display().to_string();
        let words: Vec<String> = words.iter().map(|words| self.with_constants(words)).collect();
        for words in words.into_iter().filter(|words| has_words(words)) {
            let open = PARTS.iter().any(|part| words.ends_with(&format!("{{{part}}}")));
            let kind = if open && matches!(kind, Kind::Whole | Kind::Warning) { Kind::Frame } else { kind };
            self.found.push(Text { file: file.clone(), kind, words });
        }
    }

    /// A text with those of constants in their places.
    fn with_constants(&self, words: &str) -> String {
        let constants = self.known.constants.iter().filter(|(_, texts)| texts.len() == 1);
        constants.fold(words.to_owned(), |words, (name, texts)| words.replace(&format!("{{{name}}}"), &texts[0]))
    }

    fn value(&mut self, kind: Kind, expr: Option<&Expr>) {
        let words = expr.map_or_else(Vec::new, |expr| literals::of(expr, &self.locals));
        self.add(kind, &words);
    }

    /// A context that names a remedy is a message: of an `Option`, or in place of its cause.
    fn context(&mut self, expr: Option<&Expr>) {
        for words in expr.map_or_else(Vec::new, |expr| literals::of(expr, &self.locals)) {
            let kind = if words.contains("; ") { Kind::Whole } else { Kind::Context };
            self.add(kind, &[words]);
        }
    }

    /// The message of a variant with the texts of its fields.
    fn composed(&mut self, variant: &str, parts: &BTreeMap<String, Vec<String>>) {
        let Some(template) = self.known.templates.get(variant) else { return };
        if parts.values().all(Vec::is_empty) {
            return;
        }
        let fill = |texts: Vec<String>, (field, parts): (&String, &Vec<String>)| {
            texts.iter().flat_map(|text| template::filled(text, field, parts)).collect()
        };
        let texts = parts.iter().fold(vec![template.clone()], fill);
        self.add(Kind::Whole, &texts);
    }

    fn call(&mut self, name: &str, arguments: &[&Expr]) {
        let Some(maker) = self.known.maker(self.path, name, arguments.len()) else { return };
        let mut parts = maker.set.clone();
        for (field, place) in &maker.fields {
            let texts = arguments.get(*place).map_or_else(Vec::new, |expr| literals::of(expr, &self.locals));
            parts.insert(field.clone(), texts);
        }
        if maker.fields.keys().any(|field| parts.get(field).is_some_and(|texts| !texts.is_empty())) {
            let variant = maker.variant.clone();
            self.composed(&variant, &parts);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        if let Item::Impl(item) = item {
            self.own = type_name(&item.self_ty);
        }
        for (_, template) in templates(item) {
            let open = PARTS.iter().any(|part| template.contains(&format!("{{{part}}}")));
            self.add(if open { Kind::Frame } else { Kind::Whole }, &[template]);
        }
        visit::visit_item(self, item);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        let (Pat::Ident(name), Some(init)) = (bare(&local.pat), &local.init) else {
            return visit::visit_local(self, local);
        };
        let texts = literals::of(&init.expr, &self.locals);
        self.locals.insert(name.ident.to_string(), texts);
        visit::visit_local(self, local);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let name = mac.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        let arguments = arguments(&mac.tokens);
        match name.as_str() {
            "bail" | "anyhow" => self.value(Kind::Whole, arguments.first()),
            "ensure" => self.value(Kind::Whole, arguments.get(1)),
            "eprintln" => {
                let words = arguments.first().map_or_else(Vec::new, |expr| literals::of(expr, &self.locals));
                let warnings: Vec<_> = words.iter().filter_map(|words| words.strip_prefix("warning: ")).collect();
                self.add(Kind::Warning, &warnings.into_iter().map(str::to_owned).collect::<Vec<_>>());
            }
            _ => {}
        }
        arguments.iter().for_each(|expr| self.visit_expr(expr));
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        match call.method.to_string().as_str() {
            "context" | "with_context" => self.context(call.args.first()),
            "ok_or" | "ok_or_else" | "map_err" => self.value(Kind::Part, call.args.first()),
            _ => {}
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let name = variant_name(&path.path, &self.own);
            if name == "Err" {
                self.value(Kind::Part, call.args.first());
            }
            self.call(&name, &call.args.iter().collect::<Vec<_>>());
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_struct(&mut self, value: &'ast ExprStruct) {
        let parts = value.fields.iter().filter_map(|field| match &field.member {
            Member::Named(name) if PARTS.contains(&name.to_string().as_str()) => {
                Some((name.to_string(), literals::of(&field.expr, &self.locals)))
            }
            _ => None,
        });
        let parts = parts.collect();
        self.composed(&variant_name(&value.path, &self.own), &parts);
        visit::visit_expr_struct(self, value);
    }
}
