//! Values of a pickle.

/// Index of a value in its tree.
pub(crate) type Id = u32;

/// A part of the pickle's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(super) start: u32,
    pub(super) length: u32,
}

/// A Python value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A value that is not used: None, a float, bytes.
    Other,
    Int(i64),
    Text(Span),
    /// A list, a tuple or a set.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or a function.
    Global {
        module: Span,
        name: Span,
    },
    /// The result that a call or a construction would have.
    Object {
        class: Id,
        arguments: Id,
        state: Option<Id>,
    },
    /// A reference to data outside the pickle.
    Persistent(Id),
}

/// The values of a pickle.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) values: Vec<Value>,
    /// The result of the pickle.
    pub(crate) root: Id,
}

impl<'a> Tree<'a> {
    pub(crate) fn get(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::Other)
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    fn span(&self, span: Span) -> Option<&'a str> {
        let start = span.start as usize;
        std::str::from_utf8(self.bytes.get(start..start + span.length as usize)?).ok()
    }

    /// A text; `None` for other values and for bytes that are not UTF-8.
    pub(crate) fn text(&self, id: Id) -> Option<&'a str> {
        if let Value::Text(span) = self.get(id) { self.span(*span) } else { None }
    }

    pub(crate) fn int(&self, id: Id) -> Option<i64> {
        if let Value::Int(i) = self.get(id) { Some(*i) } else { None }
    }

    pub(crate) fn sequence(&self, id: Id) -> Option<&[Id]> {
        if let Value::Sequence(items) = self.get(id) { Some(items) } else { None }
    }

    /// Module and name of a class or function. Old files refer to the classes of modules as
    /// persistent `('module', class, file, source)`.
    pub(crate) fn global(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.get(id) {
            Value::Global { module, name } => Some((self.span(*module)?, self.span(*name)?)),
            Value::Persistent(inner) => match self.sequence(*inner)? {
                [kind, class, ..] if self.text(*kind) == Some("module") => match self.get(*class) {
                    Value::Global { module, name } => Some((self.span(*module)?, self.span(*name)?)),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// Module and name of an object's class.
    pub(crate) fn class(&self, id: Id) -> Option<(&'a str, &'a str)> {
        if let Value::Object { class, .. } = self.get(id) { self.global(*class) } else { None }
    }

    /// The value at a text key among the first entries of a dictionary. The dictionaries of
    /// modules have theirs first, and a search of all entries would not end in a file with many
    /// objects.
    pub(crate) fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let Value::Dict(items) = self.get(id) else { return None };
        items.iter().take(64).find(|(k, _)| self.text(*k) == Some(key)).map(|(_, v)| *v)
    }

    /// Values from the first one on, in the order of the file.
    pub(crate) fn all(&self) -> impl Iterator<Item = Id> + use<> {
        0..self.values.len() as Id
    }
}
