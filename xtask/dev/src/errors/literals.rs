//! String literals of an expression: those that can be its value.

use std::collections::BTreeMap;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Block, Expr, ExprMacro, Lit, Stmt, Token};

/// Texts of constants, by name.
pub(super) type Constants = BTreeMap<String, Vec<String>>;

/// The comma-separated expressions in a macro, or none if it has other syntax.
pub(super) fn arguments(tokens: &proc_macro2::TokenStream) -> Vec<Expr> {
    let parsed = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(tokens.clone());
    parsed.map_or_else(|_| Vec::new(), |list| list.into_iter().collect())
}

/// The literals among which the value of an expression is chosen.
pub(super) fn of(expr: &Expr, constants: &Constants) -> Vec<String> {
    let inner = |expr: &Expr| of(expr, constants);
    match expr {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Str(text) => vec![text.value()],
            _ => Vec::new(),
        },
        Expr::Macro(ExprMacro { mac, .. }) if is_format(&mac.path) => {
            arguments(&mac.tokens).first().map_or_else(Vec::new, inner)
        }
        Expr::Path(path) => {
            let name = path.path.segments.last().map(|last| last.ident.to_string());
            name.and_then(|name| constants.get(&name).cloned()).unwrap_or_default()
        }
        // `"text".to_owned()`, `format!(..).into()`
        Expr::MethodCall(call) if call.args.is_empty() => inner(&call.receiver),
        Expr::Call(call) if wraps(&call.func) => call.args.iter().flat_map(inner).collect(),
        Expr::Closure(closure) => inner(&closure.body),
        Expr::Block(block) => of_block(&block.block, constants),
        Expr::Paren(paren) => inner(&paren.expr),
        Expr::Reference(reference) => inner(&reference.expr),
        Expr::If(branch) => {
            let other = branch.else_branch.as_ref().map_or_else(Vec::new, |(_, expr)| inner(expr));
            [of_block(&branch.then_branch, constants), other].concat()
        }
        Expr::Match(choice) => choice.arms.iter().flat_map(|arm| inner(&arm.body)).collect(),
        _ => Vec::new(),
    }
}

fn of_block(block: &Block, constants: &Constants) -> Vec<String> {
    match block.stmts.last() {
        Some(Stmt::Expr(expr, None)) => of(expr, constants),
        _ => Vec::new(),
    }
}

fn is_format(path: &syn::Path) -> bool {
    path.is_ident("format") || path.is_ident("concat")
}

/// Functions that keep the text of their argument.
fn wraps(func: &Expr) -> bool {
    let Expr::Path(path) = func else { return false };
    let last = path.path.segments.last().map(|last| last.ident.to_string());
    matches!(last.as_deref(), Some("from" | "Some" | "msg" | "Owned" | "Borrowed"))
}
