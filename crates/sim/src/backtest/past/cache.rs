//! Predictions kept on disk: whoever asks for them again gets them without scoring. A file that is
//! damaged, cut off or of another form counts as absent.

use std::fs;
use std::path::{Path, PathBuf};

/// First bytes of a file of this form.
const MAGIC: &[u8; 8] = b"afrsc001";
/// Length of a BLAKE3 hash.
const HASH_LENGTH: usize = 32;

/// Predictions from a row on.
pub(super) struct Kept {
    pub(super) first: usize,
    pub(super) predictions: Vec<f32>,
}

/// Where the predictions of a version for some rows are kept.
pub(super) fn path(cache: &Path, version: &str, rows: &str) -> PathBuf {
    let key = blake3::hash(format!("{version} {rows}").as_bytes()).to_hex();
    cache.join("scores").join(format!("{key}.bin"))
}

pub(super) fn read(path: &Path) -> Option<Kept> {
    let bytes = fs::read(path).ok()?;
    let body = bytes.strip_prefix(MAGIC)?;
    let (body, hash) = body.split_at_checked(body.len().checked_sub(HASH_LENGTH)?)?;
    if blake3::hash(body).as_bytes() != hash {
        return None;
    }
    let (first, values) = body.split_at_checked(8)?;
    let first = usize::try_from(u64::from_le_bytes(first.try_into().ok()?)).ok()?;
    let predictions = values.chunks_exact(4);
    let predictions =
        predictions.map(|value| f32::from_le_bytes([value[0], value[1], value[2], value[3]]));
    Some(Kept { first, predictions: predictions.collect() })
}

/// Replaces the file in one step. That it cannot be written costs time later, nothing else.
pub(super) fn write(path: &Path, kept: &Kept) -> std::io::Result<()> {
    let mut body = Vec::with_capacity(8 + kept.predictions.len() * 4);
    body.extend_from_slice(&(kept.first as u64).to_le_bytes());
    for value in &kept.predictions {
        body.extend_from_slice(&value.to_le_bytes());
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let staging = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&staging, bytes)?;
    fs::rename(&staging, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_damage_counts_as_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), "v1", "rows");
        assert!(read(&path).is_none());
        let predictions = vec![0.25, f32::NAN, 0.75];
        write(&path, &Kept { first: 7, predictions: predictions.clone() }).unwrap();
        let kept = read(&path).unwrap();
        assert_eq!(kept.first, 7);
        assert_eq!(kept.predictions.len(), 3);
        assert_eq!(kept.predictions[2].to_bits(), predictions[2].to_bits());
        let whole = fs::read(&path).unwrap();
        for cut in [0, 5, 20, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path).is_none(), "cut at {cut}");
        }
        let mut flipped = whole.clone();
        flipped[20] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert!(read(&path).is_none());
        let other = [b"afrsc000", &whole[8..]].concat();
        fs::write(&path, other).unwrap();
        assert!(read(&path).is_none());
    }
}
