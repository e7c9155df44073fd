//! Potentials of all data rows, or of the rows of each class.

use super::fit::{unknown_row, wrong_count};
use super::nearest::{ROWS, nearest};
use crate::cost::{Cost, Metric};
use crate::coupling::unsolved;
use crate::scalar::Scalar;
use crate::{OtError, memory};
use fm_core::coupling::{ChooseRows, CouplingError, RowCost, RowPotentials};
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use ndarray::{Array2, ArrayView2, Axis};
use std::collections::BTreeMap;

/// The semidiscrete coupling: data rows, and their potentials.
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "SemidiscreteOutput")]
#[doc(alias = "SemidiscreteDataloader")]
#[doc(alias = "SemidiscreteLinearProblem")]
pub struct Semidiscrete<T = f32, C = Metric> {
    cost: C,
    pub(super) dim: usize,
    /// One part without classes, otherwise one per class, by increasing class.
    parts: Vec<Part<T>>,
    conditional: bool,
}

/// The rows of one class.
#[derive(Debug, Clone, PartialEq)]
struct Part<T> {
    class: i64,
    /// Row numbers in the data.
    numbers: Vec<usize>,
    rows: Array2<T>,
    potentials: Vec<f64>,
}

/// The noise rows that a fit or a measurement takes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoiseRows {
    /// The number of the part: of the class among the classes of the data, by increasing class.
    pub part: usize,
    /// The batch within the part, from 0.
    pub batch: usize,
    /// Rows to draw.
    pub rows: usize,
    /// Batches before this one, of all parts.
    pub batches_done: usize,
    /// Batches of all parts.
    pub batches: usize,
}

/// The quality of a coupling, measured on fresh noise rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SemidiscreteReport {
    /// The chi-squared error of the data rows' shares: 0 if each has 1/N of the noise, about N - 1
    /// if one has all of it. With classes the mean over classes, weighted by their rows.
    #[doc(alias = "marginal_chi2_error")]
    pub chi_squared: f64,
    /// The mean cost of the pairs.
    pub cost: f64,
    /// Noise rows drawn.
    pub draws: usize,
}

impl std::fmt::Display for SemidiscreteReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { chi_squared, cost, draws } = self;
        write!(f, "cost {cost:.4} per pair, chi^2 {chi_squared:.4}, over {draws} fresh noise rows")
    }
}

/// N sum_j (h_j^2 - h_j) / (n (n - 1)) - 1 for n draws of which h_j chose data row j; `None` for
/// fewer than two draws.
///
/// ```
/// use fm_ot::semidiscrete::chi_squared;
/// assert_eq!(chi_squared(&[4, 0]), Some(1.0));
/// assert_eq!(chi_squared(&[2, 2]), Some(2.0 * 4.0 / 12.0 - 1.0));
/// assert_eq!(chi_squared(&[1, 0]), None);
/// ```
pub fn chi_squared(hits: &[usize]) -> Option<f64> {
    let n: f64 = hits.iter().map(|h| *h as f64).sum();
    let pairs: f64 = hits.iter().map(|h| *h as f64 * (*h as f64 - 1.0)).sum();
    (n >= 2.0).then(|| hits.len() as f64 * pairs / (n * (n - 1.0)) - 1.0)
}

impl<T: Scalar, C: Cost<T>> Semidiscrete<T, C> {
    /// A coupling with the rows of `data` (N, d), whose potentials are 0 until they are fitted.
    ///
    /// # Errors
    /// [`OtError::Empty`] for data without rows, [`OtError::DataRow`] for a row that is not finite.
    pub fn new(data: Array2<T>, cost: C) -> Result<Self, OtError> {
        check(data.view())?;
        let (dim, n) = (data.ncols(), data.nrows());
        let part = Part { class: 0, numbers: (0..n).collect(), rows: data, potentials: vec![0.0; n] };
        Ok(Self { cost, dim, parts: vec![part], conditional: false })
    }

    /// A coupling within each class, for a class-conditional model; one class per row.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`OtError::Labels`] for another number of classes than rows.
    pub fn with_classes(data: Array2<T>, classes: &[i64], cost: C) -> Result<Self, OtError> {
        check(data.view())?;
        if classes.len() != data.nrows() {
            return Err(OtError::Labels { classes: classes.len(), rows: data.nrows() });
        }
        let mut of: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        classes.iter().enumerate().for_each(|(row, class)| of.entry(*class).or_default().push(row));
        let part = |(class, numbers): (i64, Vec<usize>)| Part {
            class,
            rows: data.select(Axis(0), &numbers),
            potentials: vec![0.0; numbers.len()],
            numbers,
        };
        Ok(Self { cost, dim: data.ncols(), parts: of.into_iter().map(part).collect(), conditional: true })
    }

    /// The same coupling with potentials that were fitted before, one per data row.
    ///
    /// # Errors
    /// [`OtError::RowPotentials`] for another number of potentials, or one that is not finite.
    pub fn with_potentials(mut self, potentials: &[f64]) -> Result<Self, OtError> {
        let (rows, finite) = (self.row_count(), potentials.iter().all(|g| g.is_finite()));
        if potentials.len() != rows || !finite {
            return Err(OtError::RowPotentials { potentials: potentials.len(), rows });
        }
        self.set(potentials);
        Ok(self)
    }

    /// Sets the potential of each data row.
    pub(super) fn set(&mut self, potentials: &[f64]) {
        for part in &mut self.parts {
            part.potentials.iter_mut().zip(&part.numbers).for_each(|(g, number)| *g = potentials[*number]);
        }
    }

    /// The potential of each data row.
    pub fn potentials(&self) -> Vec<f64> {
        let mut all = vec![0.0; self.row_count()];
        for part in &self.parts {
            part.numbers.iter().zip(&part.potentials).for_each(|(number, g)| all[*number] = *g);
        }
        all
    }

    /// The cost.
    pub(super) fn cost(&self) -> &C {
        &self.cost
    }

    /// The class of each part, by increasing class; none without classes.
    pub fn classes(&self) -> Vec<i64> {
        let parts = self.parts.iter().filter(|_| self.conditional);
        parts.map(|part| part.class).collect()
    }

    /// The number of data rows of each part.
    pub(super) fn part_sizes(&self) -> Vec<usize> {
        self.parts.iter().map(|part| part.numbers.len()).collect()
    }

    /// The row numbers of a part; none after the last part.
    pub(super) fn numbers(&self, part: usize) -> &[usize] {
        self.parts.get(part).map_or(&[], |part| &part.numbers)
    }

    /// The rows of a part.
    pub(super) fn part_rows(&self, part: usize) -> Option<ArrayView2<'_, T>> {
        self.parts.get(part).map(|part| part.rows.view())
    }

    /// The class of a part, for a coupling with classes.
    pub(super) fn class(&self, part: usize) -> Option<i64> {
        self.parts.get(part).filter(|_| self.conditional).map(|part| part.class)
    }

    /// The number of data rows.
    pub fn row_count(&self) -> usize {
        self.parts.iter().map(|part| part.numbers.len()).sum()
    }

    /// The data row of each noise row: argmin_j c(x0, y_j) - g_j, among the rows of the noise row's
    /// class if the coupling has classes.
    ///
    /// # Errors
    /// [`OtError::Dimension`], [`OtError::NotFinite`] for a cost that is NaN or infinite,
    /// [`OtError::Labels`] without one class per row, [`OtError::NoSuchClass`].
    pub fn choose(&self, x0: ArrayView2<'_, T>, classes: Option<&[i64]>) -> Result<Vec<usize>, OtError> {
        if !self.conditional {
            let [part] = self.parts.as_slice() else { return Err(OtError::Empty) };
            let found = nearest(&self.cost, x0, part.rows.view(), &part.potentials)?;
            return Ok(found.into_iter().map(|found| found.row).collect());
        }
        let classes = classes.unwrap_or_default();
        if classes.len() != x0.nrows() {
            return Err(OtError::Labels { classes: classes.len(), rows: x0.nrows() });
        }
        let known = |class: &&i64| self.parts.binary_search_by_key(*class, |part| part.class).is_err();
        if let Some(class) = classes.iter().find(known) {
            return Err(OtError::NoSuchClass { class: *class });
        }
        let mut chosen = vec![0; x0.nrows()];
        for part in &self.parts {
            let own: Vec<usize> = (0..classes.len()).filter(|i| classes[*i] == part.class).collect();
            let found = nearest(&self.cost, x0.select(Axis(0), &own).view(), part.rows.view(), &part.potentials)?;
            own.iter().zip(found).for_each(|(i, found)| chosen[*i] = part.numbers[found.row]);
        }
        Ok(chosen)
    }

    /// Measures the coupling on `draws` fresh noise rows per part, at least 2.
    ///
    /// # Errors
    /// Errors of `noise`, and [`OtError::Fit`] for fewer than two draws.
    pub fn measure<E: From<OtError>>(
        &self,
        draws: usize,
        mut noise: impl FnMut(NoiseRows) -> Result<Array2<T>, E>,
    ) -> Result<SemidiscreteReport, E> {
        self.measure_chosen(draws, |at| {
            let (x0, part) = (noise(at)?, &self.parts[at.part]);
            let found = nearest(&self.cost, x0.view(), part.rows.view(), &part.potentials)?;
            let rows = found.into_iter().map(|found| part.numbers[found.row]).collect();
            Ok((x0, rows))
        })
    }

    /// [`measure`](Self::measure) with noise rows that choose their data rows elsewhere, for example
    /// on a device: `chosen` returns noise rows and the numbers of their data rows.
    ///
    /// # Errors
    /// Errors of `chosen`, [`OtError::Fit`] for fewer than two draws, and [`OtError::Chosen`] for
    /// rows that do not fit the noise rows.
    pub fn measure_chosen<E: From<OtError>>(
        &self,
        draws: usize,
        mut chosen: impl FnMut(NoiseRows) -> Result<(Array2<T>, Vec<usize>), E>,
    ) -> Result<SemidiscreteReport, E> {
        if draws < 2 {
            let (name, domain) = ("draws", "at least 2 to measure the coupling");
            return Err(OtError::Fit { name, value: draws as f64, domain }.into());
        }
        let (each, all) = (draws.div_ceil(ROWS), self.row_count() as f64);
        let batches = each * self.parts.len();
        let (mut chi, mut spent) = (0.0, 0.0);
        for (part, data) in self.parts.iter().enumerate() {
            let (mut hits, mut cost) = (vec![0; data.numbers.len()], 0.0);
            for batch in 0..each {
                let rows = ROWS.min(draws - batch * ROWS);
                let at = NoiseRows { part, batch, rows, batches_done: part * each + batch, batches };
                let (x0, numbers) = chosen(at)?;
                if numbers.len() != x0.nrows() {
                    return Err(wrong_count(numbers.len(), x0.nrows()).into());
                }
                for (x, number) in x0.outer_iter().zip(numbers) {
                    let row = data.numbers.binary_search(&number).map_err(|_| unknown_row(number))?;
                    hits[row] += 1;
                    cost += self.cost.cost(&x.to_vec(), &data.rows.row(row).to_vec());
                }
            }
            let share = data.numbers.len() as f64 / all;
            chi += share * chi_squared(&hits).unwrap_or_default();
            spent += share * cost / draws as f64;
        }
        Ok(SemidiscreteReport { chi_squared: chi, cost: spent, draws: draws * self.parts.len() })
    }
}

impl<T: Scalar + From<f32>, C: Cost<T>> Semidiscrete<T, C> {
    /// [`measure`](Self::measure) with noise rows of a source distribution, which are other rows
    /// than those of the fit with this seed.
    ///
    /// # Errors
    /// [`OtError::Noise`] for a source that cannot be drawn from; as [`measure`](Self::measure).
    pub fn measure_source(&self, source: &Source, seed: u64, draws: usize) -> Result<SemidiscreteReport, OtError> {
        self.measure(draws, |at| at.draw(source, seed, Stream::Estimate, self.dim))
    }
}

impl NoiseRows {
    /// Draws these rows, of `dim` values. Each is a function of seed, stream, part, batch and its
    /// place in the batch.
    ///
    /// # Errors
    /// [`OtError::Noise`] for a source that cannot be drawn from.
    pub fn draw<T: From<f32>>(
        &self,
        source: &Source,
        seed: u64,
        stream: Stream,
        dim: usize,
    ) -> Result<Array2<T>, OtError> {
        let key = Key::new(seed, self.batch as u64, stream).from_row((self.part as u64) << 32);
        source.sample_array(key, self.rows, dim).map_err(|problem| OtError::Noise { problem: problem.to_string() })
    }
}

impl<C: Cost + Send> ChooseRows for Semidiscrete<f32, C> {
    fn rows(&self) -> usize {
        self.row_count()
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn needs_classes(&self) -> bool {
        self.conditional
    }

    fn choose(&self, x0: ArrayView2<'_, f32>, classes: Option<&[i64]>) -> Result<Vec<usize>, CouplingError> {
        Semidiscrete::choose(self, x0, classes).map_err(unsolved)
    }

    fn row_potentials(&self) -> Option<RowPotentials> {
        let cost = match self.cost.metric()? {
            Metric::SquaredEuclidean => RowCost::SquaredEuclidean,
            Metric::Euclidean => RowCost::Euclidean,
            Metric::Cosine => RowCost::Cosine,
        };
        let mut classes = vec![0; self.row_count()];
        self.parts.iter().for_each(|part| part.numbers.iter().for_each(|row| classes[*row] = part.class));
        Some(RowPotentials { cost, values: self.potentials(), classes: self.conditional.then_some(classes) })
    }
}

/// Fails for data without rows or with a value that is not finite.
fn check<T: Scalar>(data: ArrayView2<'_, T>) -> Result<(), OtError> {
    if data.nrows() == 0 {
        return Err(OtError::Empty);
    }
    memory::check((data.nrows(), 4), 1)?;
    let bad = |row: ndarray::ArrayView1<'_, T>| row.iter().any(|v| !crate::element::f64_of(*v).is_finite());
    data.outer_iter().position(bad).map_or(Ok(()), |row| Err(OtError::DataRow { row }))
}
