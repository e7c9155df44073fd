//! Limits on the memory and the work that reading one file may cost.
//!
//! A file of a few bytes can describe values that are far larger than itself: shared branches,
//! repeated views, long names. Every parser charges what it keeps to one [`Budget`], which follows
//! from the size of the file.

/// Bytes that any file may cost, whatever its size.
const FLOOR: usize = 40 << 20;

/// Memory and work that are left for one file.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    work: usize,
}

impl Budget {
    /// The budget of a file with this number of bytes: twice its size and 40 MiB of memory.
    pub(super) fn of(file: usize) -> Self {
        Self { bytes: file.saturating_mul(2).saturating_add(FLOOR), work: file.saturating_mul(8).saturating_add(FLOOR) }
    }

    /// Charges memory.
    ///
    /// # Errors
    /// No memory is left.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes =
            left.ok_or("it describes more values than a file of its size can hold; save only the state_dict")?;
        Ok(())
    }

    /// Charges work, in bytes that are looked at.
    ///
    /// # Errors
    /// No work is left.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.work.checked_sub(bytes);
        self.work = left.ok_or("it is too tangled to be weights: it repeats its parts; save only the state_dict")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::of(1 << 20);
        budget.allocate((2 << 20) + FLOOR).unwrap();
        assert!(budget.allocate(1).unwrap_err().contains("more values than"));
        budget.spend((8 << 20) + FLOOR).unwrap();
        assert!(budget.spend(1).unwrap_err().contains("tangled"));
        assert!(Budget::of(usize::MAX).allocate(usize::MAX).is_ok());
    }
}
