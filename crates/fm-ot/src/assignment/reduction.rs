//! Augmenting row reduction: rows take their cheapest columns and lower the prices to their second
//! choices.

use super::matching::{Matching, NONE};
use super::scan::{Cheapest, cheapest, position};

/// Two rounds in which each free row takes its cheapest column and lowers its price to the second
/// cheapest. A displaced row continues immediately if the price fell, and otherwise waits for the
/// next round. Returns the rows that are still free.
pub(super) fn reduce_rows(matching: &mut Matching<'_>) -> Vec<usize> {
    let mut free: Vec<usize> = (0..matching.rows).collect();
    for _ in 0..2 {
        let mut waiting = Vec::new();
        for start in free {
            let mut i = start;
            // Rounding could make two rows exchange one column forever, so the loop is bounded; the
            // searches assign the remaining rows.
            for _ in 0..matching.rows {
                let falls = take_cheapest(&mut i, matching);
                if i == NONE || !falls {
                    break;
                }
            }
            if i != NONE {
                waiting.push(i);
            }
        }
        free = waiting;
    }
    free
}

/// Row i takes its cheapest column, and i becomes the displaced row. Returns whether the price
/// fell.
fn take_cheapest(i: &mut usize, matching: &mut Matching<'_>) -> bool {
    let costs = matching.row(*i);
    let Cheapest { column: mut j, first, second } = cheapest(costs, &matching.v);
    let price = if second.is_finite() { matching.v[j] - (second - first) } else { matching.v[j] };
    let falls = price < matching.v[j];
    if falls {
        matching.v[j] = price;
    } else if matching.row_of[j] != NONE {
        // On a tie, the other column may be free.
        j = position(costs, &matching.v, first, j + 1).unwrap_or(j);
    }
    matching.column_of[*i] = j;
    *i = std::mem::replace(&mut matching.row_of[j], *i);
    if *i != NONE {
        matching.column_of[*i] = NONE;
    }
    falls
}
