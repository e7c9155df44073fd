//! Columns by name.

use super::rows::{Table, are_names};
use crate::{DataError, error};
use ndarray::Axis;
use std::collections::HashMap;

impl<T: Clone + Default> Table<T> {
    /// The table with its columns in the order of `names`, for a comparison with another table or a
    /// model. Columns are taken by name if both have names other than column numbers; otherwise by
    /// position, with a note if one of them has names.
    ///
    /// ```
    /// use fm_data::Table;
    /// let mut table = Table::of(ndarray::array![[1.0, 2.0]]);
    /// table.names = vec!["b".into(), "a".into()];
    /// let ordered = table.in_order(&["a".into(), "b".into()])?;
    /// assert_eq!(ordered.values, ndarray::array![[2.0, 1.0]]);
    /// assert!(table.in_order(&["a".into(), "c".into()]).is_err());
    /// # Ok::<(), fm_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Columns`] for another number of columns, a name that the table does not have,
    /// and a name that stands twice in either list.
    pub fn in_order(&self, names: &[String]) -> Result<Self, DataError> {
        let refuse = |problem: String, remedy: &str| Err(DataError::Columns { problem, remedy: remedy.into() });
        let width = self.values.ncols();
        let by_name = are_names(&self.names) && are_names(names);
        let places: HashMap<&str, usize> = self.names.iter().enumerate().map(|(k, name)| (name.as_str(), k)).collect();
        let missing: Vec<&String> = names.iter().filter(|name| !places.contains_key(name.as_str())).collect();
        if by_name && !missing.is_empty() {
            let problem =
                format!("the table has no column {}; it has {}", error::some(&missing), error::some(&self.names));
            return refuse(problem, "give the columns the same names, or no header");
        }
        if names.len() != width {
            let problem = format!("the table has {width} columns where {} are expected", names.len());
            return refuse(problem, "give a table of the same columns");
        }
        if !by_name {
            let mut table = self.clone();
            if self.names != names {
                table.notes.push("columns are matched by position, because only one side names them".into());
            }
            return Ok(table);
        }
        let order: Vec<usize> = names.iter().filter_map(|name| places.get(name.as_str()).copied()).collect();
        let mut taken = vec![false; width];
        if order.iter().any(|k| std::mem::replace(&mut taken[*k], true)) || places.len() < width {
            return refuse("a column name stands twice".into(), "give each column its own name");
        }
        let values = self.values.select(Axis(1), &order);
        Ok(Self { names: names.to_vec(), values, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn table(list: &[&str]) -> Table {
        let values = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        Table { names: names(list), labels: vec![0, 1], classes: names(&["x", "y"]), ..Table::of(values) }
    }

    #[test]
    fn columns_follow_their_names() {
        let found = table(&["a", "b", "c"]).in_order(&names(&["c", "a", "b"])).unwrap();
        assert_eq!((found.values, found.labels), (array![[3.0, 1.0, 2.0], [6.0, 4.0, 5.0]], vec![0, 1]));
        assert_eq!((found.names, found.notes.len()), (names(&["c", "a", "b"]), 0));
        let same = table(&["1", "2", "3"]);
        assert_eq!(same.in_order(&names(&["1", "2", "3"])).unwrap(), same);
        let half = same.in_order(&names(&["a", "b", "c"])).unwrap();
        assert_eq!((half.values, half.notes.len()), (same.values, 1));
    }

    #[test]
    fn other_columns_are_refused() {
        for (have, want) in [
            (["a", "b", "c"], &["a", "b", "d"][..]),
            (["a", "b", "c"], &["a", "b"]),
            (["a", "b", "c"], &["a", "b", "b"]),
            (["a", "b", "b"], &["a", "b", "b"]),
            (["1", "2", "3"], &["1", "2"]),
            (["1", "2", "3"], &["a", "b", "c", "d"]),
        ] {
            let error = table(&have).in_order(&names(want)).unwrap_err();
            assert!(matches!(error, DataError::Columns { .. }), "{have:?} {want:?}");
        }
    }
}
