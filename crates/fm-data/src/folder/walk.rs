//! Walks a folder: every file once, hidden entries and everything that is not an image left out.
//!
//! Real entries come first and symbolic links after them, so that a link never takes an image away
//! from the class folder that holds it.

use super::decode;
use super::names::{self, Named};
use super::summary::{Group, Reason};
use crate::DataError;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

/// A class folder, or the folder itself for its loose images.
#[derive(Debug, Default)]
pub(super) struct ClassFolder {
    pub(super) name: OsString,
    pub(super) images: Vec<PathBuf>,
}

/// A folder and its real path.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    real: PathBuf,
}

impl Place {
    fn of(path: PathBuf) -> Result<Self, DataError> {
        let real = path.canonicalize().map_err(|source| DataError::Io { path: path.clone(), source })?;
        Ok(Self { path, real })
    }

    fn join(&self, entry: &DirEntry) -> Self {
        Self { path: entry.path(), real: self.real.join(entry.file_name()) }
    }
}

/// The state of a walk.
#[derive(Debug)]
pub(super) struct Walk {
    root: Place,
    /// The images of the folder itself, then those of its sub-folders.
    pub(super) classes: Vec<ClassFolder>,
    pub(super) left_out: BTreeMap<Reason, Group>,
    folders: HashSet<PathBuf>,
    /// Real paths of the images.
    files: HashSet<PathBuf>,
    /// Links to follow, with their classes.
    links: VecDeque<(usize, PathBuf)>,
    /// Links to files beside the class folders. They come last, because their images have no class.
    loose: Vec<Place>,
}

/// The class of images in the folder itself.
const LOOSE: usize = 0;

/// The images of a folder: those of the folder itself, then those of each sub-folder with images.
/// If both have some, those of the folder itself are left out.
pub(super) fn walk(folder: &Path) -> Result<Walk, DataError> {
    let root = Place::of(folder.into())?;
    let name = [folder, &root.real].iter().find_map(|p| p.file_name()).unwrap_or("images".as_ref());
    let classes = vec![ClassFolder { name: name.into(), ..ClassFolder::default() }];
    let mut walk = Walk {
        folders: HashSet::from([root.real.clone()]),
        root: root.clone(),
        classes,
        left_out: BTreeMap::new(),
        files: HashSet::new(),
        links: VecDeque::new(),
        loose: Vec::new(),
    };
    let mut groups = Vec::new();
    walk.entries(&root, LOOSE, &mut groups)?;
    for group in groups {
        let class = walk.class(&group.path);
        walk.below(group, class)?;
    }
    while let Some((class, link)) = walk.links.pop_front() {
        walk.follow(class, link)?;
    }
    for place in std::mem::take(&mut walk.loose) {
        walk.file(place, LOOSE);
    }
    walk.finish();
    Ok(walk)
}

impl Walk {
    fn class(&mut self, path: &Path) -> usize {
        let name = path.file_name().unwrap_or_default().into();
        self.classes.push(ClassFolder { name, ..ClassFolder::default() });
        self.classes.len() - 1
    }

    /// All folders below one, without links.
    fn below(&mut self, place: Place, class: usize) -> Result<(), DataError> {
        let mut folders = vec![place];
        while let Some(next) = folders.pop() {
            if self.folders.insert(next.real.clone()) {
                self.entries(&next, class, &mut folders)?;
            } else {
                self.leave(Reason::Repeated, &next.path);
            }
        }
        Ok(())
    }

    /// The entries of one folder: images are kept, links deferred, and folders returned.
    fn entries(&mut self, place: &Place, class: usize, folders: &mut Vec<Place>) -> Result<(), DataError> {
        let io = |source| DataError::Io { path: place.path.clone(), source };
        let entries: Result<Vec<DirEntry>, _> = fs::read_dir(&place.path).map_err(io)?.collect();
        let mut entries = entries.map_err(io)?;
        // The same examples of what is left out on every file system.
        entries.sort_by_cached_key(DirEntry::file_name);
        for entry in entries {
            let (kind, inner) = (entry.file_type().map_err(io)?, place.join(&entry));
            if names::is_hidden(&entry.file_name()) {
                self.leave(Reason::Hidden, &inner.path);
            } else if kind.is_symlink() {
                self.links.push_back((class, inner.path));
            } else if kind.is_dir() {
                folders.push(inner);
            } else if kind.is_file() {
                self.file(inner, class);
            } else {
                self.leave(Reason::Special, &inner.path);
            }
        }
        Ok(())
    }

    fn file(&mut self, place: Place, class: usize) {
        let reason = match names::named(&place.path) {
            Named::Image => None,
            Named::Nothing => (!decode::is_image(&place.path)).then_some(Reason::NotAnImage),
            Named::OtherFormat => Some(Reason::OtherFormat),
            Named::Other => Some(Reason::NotAnImage),
        };
        match reason {
            Some(reason) => self.leave(reason, &place.path),
            None if self.files.contains(&place.real) => self.leave(Reason::Repeated, &place.path),
            None => {
                self.files.insert(place.real);
                self.classes[class].images.push(place.path);
            }
        }
    }

    /// Follows a link of a class, or one beside the class folders, which is a class if it leads to
    /// a folder.
    fn follow(&mut self, class: usize, link: PathBuf) -> Result<(), DataError> {
        let Ok(place) = Place::of(link.clone()) else {
            self.leave(Reason::BrokenLink, &link);
            return Ok(());
        };
        let about = fs::metadata(&place.real).map_err(|source| DataError::Io { path: link.clone(), source })?;
        if about.is_dir() {
            // A folder above would bring its other folders into this class.
            if self.root.real.starts_with(&place.real) || self.folders.contains(&place.real) {
                self.leave(Reason::Repeated, &link);
                return Ok(());
            }
            let class = if class == LOOSE { self.class(&link) } else { class };
            return self.below(place, class);
        }
        match (about.is_file(), class) {
            (false, _) => self.leave(Reason::Special, &link),
            (true, LOOSE) => self.loose.push(place),
            (true, _) => self.file(place, class),
        }
        Ok(())
    }

    /// Sorts the classes and drops those without images, and the loose images beside others.
    fn finish(&mut self) {
        let mut classes = std::mem::take(&mut self.classes);
        let loose = classes.remove(LOOSE);
        let (mut classes, empty): (Vec<_>, Vec<_>) = classes.into_iter().partition(|c| !c.images.is_empty());
        for class in &empty {
            self.leave(Reason::EmptyFolder, &self.root.path.join(&class.name));
        }
        names::sort_classes(&mut classes, |class| &class.name);
        if classes.is_empty() {
            classes.extend(Some(loose).filter(|loose| !loose.images.is_empty()));
        } else {
            loose.images.iter().for_each(|image| self.leave(Reason::Loose, image));
        }
        classes.iter_mut().for_each(|class| class.images.sort());
        self.classes = classes;
    }

    fn leave(&mut self, reason: Reason, path: &Path) {
        let root = &self.root.path;
        let name = || names::text(path.strip_prefix(root).unwrap_or(path).as_os_str());
        self.left_out.entry(reason).or_default().add(name);
    }
}
