//! A trained version on disk: a directory with the model and a manifest that says all about it.
//!
//! Written beside its place and renamed into it, so that it is there whole or not at all.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use afresh_core::id::DatasetId;
use afresh_data::schema::Schema;
use afresh_data::selection::Selection;
use afresh_ml::profile::Profile;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoding::Encodings;
use crate::error::Error;
use crate::learner::Format;
use crate::recipe::{Recipe, RecipeHash};

/// A trained version whose files were found to be what its manifest says.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    dir: PathBuf,
    manifest: Manifest,
}

/// Hash of an artifact: 64 hexadecimal digits over its manifest, which holds those of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArtifactHash(pub String);

/// What is known about a trained version; `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this layout.
    pub format: u32,
    /// Over all that follows.
    pub hash: ArtifactHash,
    /// How it was trained.
    pub recipe: Recipe,
    /// Names the recipe.
    pub recipe_hash: RecipeHash,
    /// Name of the model's file.
    pub model_file: String,
    /// What that file is.
    pub model_format: Format,
    /// What its rows look like.
    pub schema: Schema,
    /// How they become numbers.
    pub encodings: Encodings,
    /// Rounds that predictions use, those of a continued model included; 0 where unknown.
    pub rounds: usize,
    /// Of those, the rounds of this training: what a refit repeats.
    pub rounds_added: usize,
    /// Trees that predictions use.
    pub trees: usize,
    /// What the training measured; a command's `metrics.json`.
    pub metrics: BTreeMap<String, Value>,
    /// The rows it was trained on.
    pub dataset: Option<DatasetId>,
    /// Number of rows it learned from.
    pub rows: usize,
    /// Number of rows on which the number of rounds was chosen.
    pub stopping_rows: usize,
    /// Which of the dataset's selections trained it; nothing where all rows did alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    /// Rows times rounds of all that was trained to get it; 0 in what was made before this was told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub row_rounds: u64,
    /// The search for it, where search and refit were one job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched: Option<Searched>,
    /// The version that passed the gate and of which this is the refit.
    pub judged_parent: Option<ArtifactHash>,
    /// The version that this one continued.
    pub warm_started_from: Option<ArtifactHash>,
    /// Profile of the training rows, against which drift is measured.
    pub profile: Option<Profile>,
    /// Total gain of the features, largest first; those without gain are left out.
    pub importance: Vec<Importance>,
    /// CPU of the training, user and system, all its processes.
    pub cpu_seconds: f64,
    /// Time on the clock.
    pub wall_seconds: f64,
    /// Rows with the predictions that any reader of this model must find.
    pub golden: Vec<GoldenRow>,
    /// All other files, by name.
    pub files: Vec<FileEntry>,
}

/// Which of several selections of rows trained a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Its position among them.
    pub at: usize,
    /// What it is.
    pub selection: Selection,
    /// Mean loss of each on the early-stopping rows, nothing where it could not be trained; empty where there was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Option<f64>>,
}

/// What the search for a version came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// Its part of [`Manifest::row_rounds`].
    pub row_rounds: u64,
    /// Of that, what the chosen selection took.
    pub chosen_row_rounds: u64,
    /// Its part of [`Manifest::cpu_seconds`].
    pub cpu_seconds: f64,
    /// Mean loss of what was found on the early-stopping rows.
    pub loss: f64,
}

/// What a feature brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// Name of the feature.
    pub feature: String,
    /// Sum of the loss reductions of its splits.
    pub gain: f64,
}

/// A row and what was predicted for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoldenRow {
    /// By feature of the schema.
    pub values: Vec<Option<Cell>>,
    /// By output.
    pub prediction: Vec<f64>,
}

/// One value of a golden row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// Of a numeric or boolean feature.
    Number(f64),
    /// Of a categorical feature.
    Text(String),
}

/// A file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name within the directory.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// Its hash, 64 hexadecimal digits.
    pub blake3: String,
}

/// Version of the layout that this program writes.
pub const FORMAT: u32 = 2;
/// Name of the manifest's file.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Most files an artifact may have.
pub(crate) const FILES_MAX: usize = 64;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Artifact {
    /// Reads the artifact in `dir` and compares every file with its hash.
    ///
    /// # Errors
    /// Says which file is missing or changed, or that the format is too new.
    pub fn load(dir: &Path) -> Result<Artifact, Error> {
        let damaged = |damage: String| Error::Damaged { path: dir.display().to_string(), damage };
        let path = dir.join(MANIFEST_FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(format!("{MANIFEST_FILE} is missing")));
            }
            read => read.map_err(|error| Error::io("read", &path, &error))?,
        };
        let unreadable = |error| damaged(format!("{MANIFEST_FILE} cannot be read: {error}"));
        let Version { format } = serde_json::from_slice(&text).map_err(unreadable)?;
        if format > FORMAT {
            let path = dir.display().to_string();
            return Err(Error::Format { path, found: format, known: FORMAT });
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(unreadable)?;
        if manifest.computed_hash() != manifest.hash {
            return Err(damaged(format!("{MANIFEST_FILE} was changed")));
        }
        for entry in &manifest.files {
            if !is_plain(&entry.name) {
                return Err(damaged(format!("`{}` is not the name of a file", entry.name)));
            }
            let path = dir.join(&entry.name);
            match FileEntry::of(&entry.name, &path) {
                Ok(found) if found == *entry => {}
                Ok(found) if found.size_bytes != entry.size_bytes => {
                    let (size, was) = (found.size_bytes, entry.size_bytes);
                    return Err(damaged(format!("{} has {size} bytes, not {was}", entry.name)));
                }
                Ok(_) => return Err(damaged(format!("{} was changed", entry.name))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(damaged(format!("{} is missing", entry.name)));
                }
                Err(error) => return Err(Error::io("read", &path, &error)),
            }
        }
        if !manifest.files.iter().any(|entry| entry.name == manifest.model_file) {
            return Err(damaged(format!("{} is not among its files", manifest.model_file)));
        }
        Ok(Artifact { dir: dir.to_owned(), manifest })
    }

    /// What the training of the version in `dir` measured; nothing where that is not there any more.
    /// For listings: the files are not compared with their hashes.
    #[must_use]
    pub fn metrics(dir: &Path) -> Option<BTreeMap<String, Value>> {
        read_manifest(dir).ok().map(|manifest| manifest.metrics)
    }

    /// Which selection of rows trained the version in `dir`; nothing where there was no choice or it is not there any more. For
    /// listings, as [`Artifact::metrics`].
    #[must_use]
    pub fn chosen(dir: &Path) -> Option<Chosen> {
        read_manifest(dir).ok()?.chosen
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is known about it.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Names it.
    #[must_use]
    pub fn hash(&self) -> &ArtifactHash {
        &self.manifest.hash
    }

    /// Length of all its files but the manifest.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.manifest.files.iter().map(|entry| entry.size_bytes).sum()
    }

    /// The bytes of the model's file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn model(&self) -> Result<Vec<u8>, Error> {
        let path = self.dir.join(&self.manifest.model_file);
        fs::read(&path).map_err(|error| Error::io("read", &path, &error))
    }

    /// Makes the files in `staging` the artifact `dir`: lists and hashes them, writes the manifest,
    /// and renames the directory. `staging` must lie on the same file system as `dir`, whose
    /// leftovers of an earlier try are replaced.
    pub(crate) fn seal(
        staging: &Path,
        mut manifest: Manifest,
        dir: &Path,
    ) -> Result<Artifact, Error> {
        manifest.files = list(staging)?;
        manifest.hash = manifest.computed_hash();
        write_manifest(staging, &manifest)?;
        for name in manifest.files.iter().map(|entry| entry.name.as_str()).chain([MANIFEST_FILE]) {
            sync(&staging.join(name))?;
        }
        replace(staging, dir)?;
        Ok(Artifact { dir: dir.to_owned(), manifest })
    }
}

impl Manifest {
    fn computed_hash(&self) -> ArtifactHash {
        let unsigned = Manifest { hash: ArtifactHash::default(), ..self.clone() };
        // No map in it has other keys than text, the only thing writing JSON can fail for.
        let text = serde_json::to_vec(&unsigned).unwrap_or_default();
        ArtifactHash(blake3::hash(&text).to_hex().to_string())
    }

    /// Rows times rounds of all that was trained to get it, which tells what it cost without a clock.
    #[must_use]
    pub fn row_rounds(&self) -> u64 {
        match self.row_rounds {
            0 => self.rows as u64 * self.rounds_added.max(1) as u64,
            told => told,
        }
    }

    /// Numbers of one prediction.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.schema.outputs()
    }
}

impl FileEntry {
    fn of(name: &str, path: &Path) -> std::io::Result<FileEntry> {
        let bytes = fs::read(path)?;
        Ok(FileEntry {
            name: name.to_owned(),
            size_bytes: bytes.len() as u64,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
        })
    }
}

impl fmt::Display for ArtifactHash {
    /// The first 12 digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// An empty directory beside `dir`, on the same file system.
pub(crate) fn stage(dir: &Path) -> Result<PathBuf, Error> {
    let staging = beside(dir, "new");
    remove(&staging)?;
    fs::create_dir_all(&staging).map_err(|error| Error::io("create", &staging, &error))?;
    Ok(staging)
}

/// Removes a directory with all that is in it, if it is there.
pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", dir, &error))
        }
        _ => Ok(()),
    }
}

/// Makes `staging`, whose files are written, the directory `dir`; what was there is removed.
pub(crate) fn replace(staging: &Path, dir: &Path) -> Result<(), Error> {
    sync(staging)?;
    let old = beside(dir, "old");
    remove(&old)?;
    match fs::rename(dir, &old) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("replace", dir, &error));
        }
        _ => {}
    }
    fs::rename(staging, dir).map_err(|error| Error::io("write", dir, &error))?;
    remove(&old)?;
    sync(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Writes the manifest of an artifact that is not sealed yet.
pub(crate) fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), Error> {
    let path = dir.join(MANIFEST_FILE);
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| Error::io("write", &path, &error.into()))?;
    fs::write(&path, text).map_err(|error| Error::io("write", &path, &error))
}

/// Reads the manifest of an artifact that is not sealed yet.
pub(crate) fn read_manifest(dir: &Path) -> Result<Manifest, Error> {
    let path = dir.join(MANIFEST_FILE);
    let text = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
    serde_json::from_slice(&text).map_err(|error| Error::io("read", &path, &error.into()))
}

/// `NAME.suffix` beside `dir`; hidden, so that no listing of artifacts shows it.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!(".{name}.{suffix}"))
}

fn list(dir: &Path) -> Result<Vec<FileEntry>, Error> {
    let failed = |error| Error::io("list", dir, &error);
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == MANIFEST_FILE || !entry.file_type().map_err(failed)?.is_file() {
            continue;
        }
        let path = entry.path();
        entries
            .push(FileEntry::of(&name, &path).map_err(|error| Error::io("read", &path, &error))?);
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != ".." && name != "." && !name.contains(['/', '\\'])
}

fn sync(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io("sync", path, &error))
}

/// What every version of a manifest has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}
