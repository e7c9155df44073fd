//! Pages that commands write part by part: each part stands between two comments that name it.

fn marks(name: &str) -> (String, String) {
    (format!("\n<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"))
}

/// The range of a part, including its marks.
fn place(document: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let (from, to) = marks(name);
    Some(document.find(&from)?..document.find(&to)? + to.len())
}

/// The part with this name, without its marks.
pub(crate) fn part<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (from, to) = marks(name);
    place(document, name).map(|range| &document[range.start + from.len()..range.end - to.len()])
}

/// A document without the part of this name.
pub(crate) fn without_part(document: &str, name: &str) -> String {
    place(document, name).map_or_else(|| document.to_owned(), |r| document[..r.start].to_owned() + &document[r.end..])
}

/// A document with this head and one part, between its marks, replaced or added. The head replaces
/// everything before the first part.
pub(crate) fn replaced_part(head: &str, document: &str, name: &str, report: &str) -> String {
    let (from, to) = marks(name);
    let part = format!("{from}{report}{to}");
    let parts = document.find("\n<!-- ").map_or("", |first| &document[first..]);
    let parts = match place(parts, name) {
        Some(place) => parts[..place.start].to_owned() + &part + &parts[place.end..],
        None => parts.to_owned() + &part,
    };
    head.to_owned() + &parts
}
