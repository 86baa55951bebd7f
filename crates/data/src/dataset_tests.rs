//! Manifests written, listed, verified and erased; rows exported and predictions read.

use afresh_core::id::{DatasetId, ModelName};
use afresh_core::time::{Duration, Timestamp, Window};

use crate::dataset::{Datasets, Error, FORMAT, Manifest, Problem, Tombstone};
use crate::export::{Names, read_predictions, write_parquet};
use crate::rows::Rows;
use crate::schema::{Kind, Task};
use crate::source::Source;
use crate::spec::{Columns, SourceSpec};
use crate::split::{Rule, split};
use crate::testing::{DAY, Folder, HOUR, hours, spec, told, window};

struct Kept {
    folder: Folder,
    datasets: Datasets,
    source: Source,
    manifest: Manifest<String>,
}

async fn kept() -> Kept {
    let folder = Folder::new();
    folder.hours("data/1.parquet", 0, 480);
    folder.hours("data/2.parquet", 480, 480);
    let source = folder.source(spec("data/*.parquet")).unwrap();
    let schema = source.infer_schema().await.unwrap();
    let window = window(0, 40 * DAY);
    let rows = source.read(window, &schema, Columns::TimesAndLabel).await.unwrap();
    let rule =
        Rule { holdout_rows_min: 100, stopping_rows_min: 100, ..Rule::new(Duration::days(2)) };
    let parted = split(&rows, window, Timestamp(40 * DAY), None, &rule).unwrap();
    let datasets = Datasets::open(&folder.path().join("state")).unwrap();
    let manifest = Manifest {
        format: FORMAT,
        model: ModelName::new("shop/churn").unwrap(),
        source: source.spec().clone(),
        window,
        cuts: parted.cuts,
        choices: Vec::new(),
        schema,
        objects: datasets.hash(&source, window).await.unwrap(),
        rows: parted.counts(),
        profile: "a sketch".to_owned(),
    };
    Kept { folder, datasets, source, manifest }
}

impl Kept {
    async fn problems(&self, id: &DatasetId) -> Vec<Problem> {
        let model = &self.manifest.model;
        self.datasets.verify(model, id, self.folder.path()).await.unwrap()
    }
}

#[tokio::test]
async fn a_dataset_is_its_manifest_for_ever() {
    let kept = kept().await;
    let (datasets, manifest) = (&kept.datasets, &kept.manifest);
    let id = datasets.create(manifest).await.unwrap();
    assert_eq!(datasets.create(manifest).await.unwrap(), id, "writing it again changes nothing");
    assert_eq!(&datasets.load::<String>(&manifest.model, &id).await.unwrap(), manifest);
    let file = kept.folder.path().join(format!("state/datasets/shop/churn/{}.json", id.0));
    let written = std::fs::read(&file).unwrap();
    assert_eq!(blake3::hash(&written).to_hex().as_str(), id.0);
    assert_eq!(manifest.objects.len(), 2);
    let content = std::fs::read(kept.folder.path().join("data/1.parquet")).unwrap();
    assert_eq!(manifest.objects[0].blake3, blake3::hash(&content).to_hex().as_str());
    assert!(kept.problems(&id).await.is_empty());
    let other = Manifest { profile: "another".to_owned(), ..manifest.clone() };
    assert_ne!(datasets.create(&other).await.unwrap(), id);
    std::fs::write(&file, b"{}").unwrap();
    assert!(matches!(datasets.create(manifest).await, Err(Error::Occupied { .. })));
    assert_eq!(kept.problems(&id).await, [Problem::ManifestChanged(id.clone())]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(kept.problems(&id).await, [Problem::ManifestMissing(id)]);
}

#[tokio::test]
async fn listing_goes_page_by_page() {
    let kept = kept().await;
    let mut wanted = Vec::new();
    for number in 0..7 {
        let manifest = Manifest { profile: number.to_string(), ..kept.manifest.clone() };
        wanted.push(kept.datasets.create(&manifest).await.unwrap());
    }
    wanted.sort();
    let model = &kept.manifest.model;
    let mut found = Vec::<DatasetId>::new();
    loop {
        let page = kept.datasets.list(model, found.last(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        found.extend(page);
    }
    assert_eq!(found, wanted);
    let other = ModelName::new("other").unwrap();
    assert!(kept.datasets.list(&other, None, 3).await.unwrap().is_empty());
    let unknown = kept.datasets.load::<String>(&other, &wanted[0]).await;
    assert!(told(unknown).starts_with("other has no dataset "));
}

#[tokio::test]
async fn changed_missing_and_added_files_are_found() {
    let kept = kept().await;
    let id = kept.datasets.create(&kept.manifest).await.unwrap();
    let file = kept.folder.path().join("data/1.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    let whole = bytes.clone();
    bytes[100] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let name = || "data/1.parquet".to_owned();
    assert_eq!(kept.problems(&id).await, [Problem::FileChanged(name())], "one bit is enough");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(kept.problems(&id).await, [Problem::FileMissing(name())]);
    std::fs::write(&file, &whole).unwrap();
    assert!(kept.problems(&id).await.is_empty(), "a copy of the same content is the same");
    kept.folder.hours("data/3.parquet", 100, 50);
    let found = kept.problems(&id).await;
    let shown = found.iter().map(ToString::to_string).collect::<Vec<_>>();
    let train = kept.manifest.rows.train;
    assert_eq!(
        shown,
        [
            "`data/3.parquet` was added to the window".to_owned(),
            format!("the training slice holds {} rows and held {train}", train + 50),
        ]
    );
}

#[tokio::test]
async fn hashes_are_remembered_while_a_file_keeps_its_time_of_change() {
    let kept = kept().await;
    let file = kept.folder.path().join("data/1.parquet");
    let changed = std::fs::metadata(&file).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let set =
        |at| std::fs::File::options().write(true).open(&file).unwrap().set_modified(at).unwrap();
    set(changed);
    let hash = async || kept.datasets.hash(&kept.source, Window::ALL).await.unwrap();
    assert_eq!(hash().await, kept.manifest.objects, "not read again");
    set(changed + std::time::Duration::from_secs(1));
    assert_eq!(hash().await[0].blake3, blake3::hash(&bytes).to_hex().as_str());
}

#[tokio::test]
async fn an_erased_dataset_keeps_its_tombstone() {
    let kept = kept().await;
    let (datasets, model) = (&kept.datasets, &kept.manifest.model);
    let id = datasets.create(&kept.manifest).await.unwrap();
    assert_eq!(datasets.tombstone_of(model, &id).await.unwrap(), None);
    let stone = Tombstone { reason: "a person asked".into(), at: Timestamp(7) };
    datasets.tombstone(model, &id, &stone).await.unwrap();
    let later = Tombstone { reason: "expired".into(), at: Timestamp(8) };
    datasets.tombstone(model, &id, &later).await.unwrap();
    assert_eq!(datasets.tombstone_of(model, &id).await.unwrap(), Some(stone));
    assert!(kept.problems(&id).await.is_empty());
    assert!(datasets.list(model, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    folder.text("file", "");
    let error = told(Datasets::open(&folder.path().join("file/state")));
    assert!(
        error.contains("failed to open the datasets in") && error.contains("file/state"),
        "{error}"
    );
    let kept = kept().await;
    std::fs::create_dir_all(kept.folder.path().join("state")).unwrap();
    kept.folder.text("state/datasets", "in the way");
    let error = told(kept.datasets.create(&kept.manifest).await);
    assert!(error.starts_with("failed to write dataset "), "{error}");
}

const NAMES: Names<'static> = Names { time: "t", label: Some("y"), weight: Some("w") };

#[tokio::test]
async fn exported_rows_read_back_the_same() {
    let folder = Folder::new();
    let lines = "t,n,b,c,w,y\n\
                 1970-01-01,1.5,true,UA,1,0\n\
                 1970-01-02,,,,0.5,1\n\
                 1970-01-03,-3,false,\"B, 6\",2,\n";
    folder.text("a.csv", lines);
    let weighted = |file: &str| SourceSpec { weight: Some("w".into()), ..spec(file) };
    let rows = folder.all(weighted("a.csv")).await.unwrap().rows;
    let schema = folder.infer(weighted("a.csv")).await.unwrap();
    write_parquet(&rows, &schema, &NAMES, &folder.path().join("b.parquet")).unwrap();
    assert_eq!(folder.infer(weighted("b.parquet")).await.unwrap(), schema);
    assert_eq!(schema.features[1].kind, Kind::Boolean);
    let back = folder.all(weighted("b.parquet")).await.unwrap().rows;
    // NaN is not equal to itself; keys are of the place.
    let shown = |rows: Rows| format!("{:?}", Rows { key: vec![], ..rows });
    assert_eq!(shown(back), shown(rows.clone()));
    let nowhere = folder.path().join("no/such/place.parquet");
    let error = told(write_parquet(&rows, &schema, &NAMES, &nowhere));
    assert!(error.starts_with("failed to write ") && error.contains("place.parquet"), "{error}");
}

#[tokio::test]
async fn regression_labels_are_exported_as_values() {
    let folder = Folder::new();
    folder.text("a.csv", "t,x,y\n1970-01-01,1,2.5\n1970-01-02,2,-7\n");
    let regression = |file: &str| SourceSpec { task: Task::Regression, ..spec(file) };
    let rows = folder.all(regression("a.csv")).await.unwrap().rows;
    let schema = folder.infer(regression("a.csv")).await.unwrap();
    let names = Names { weight: None, ..NAMES };
    write_parquet(&rows, &schema, &names, &folder.path().join("b.parquet")).unwrap();
    let back = folder.all(regression("b.parquet")).await.unwrap().rows;
    assert_eq!((back.label, back.columns), (rows.label, rows.columns));
}

#[test]
fn predictions_are_checked() {
    let folder = Folder::new();
    let good = folder.text("good.csv", "p\n0.25\n1\n");
    assert_eq!(read_predictions(&good, 2, 1).unwrap(), [0.25, 1.0]);
    let three = folder.text("three.csv", "a,b,c\n.1,.2,.7\n.3,.3,.4\n");
    assert_eq!(read_predictions(&three, 2, 3).unwrap(), [0.1, 0.2, 0.7, 0.3, 0.3, 0.4]);
    let columns = &hours(3, 2)[1..2];
    let parquet = folder.parquet("good.parquet", columns);
    assert_eq!(read_predictions(&parquet, 2, 1).unwrap(), [3.0, 4.0]);
    let garbage = folder.text("garbage.csv", "p\n0.5\nmaybe\n");
    let infinite = folder.text("infinite.csv", "p\n0.5\nnan\n");
    let ragged = folder.text("ragged.csv", "a,b\n1,2\n3\n");
    let broken = folder.text("broken.parquet", "hello");
    let other = folder.text("other.txt", "hello");
    let times = folder.parquet("times.parquet", &hours(0, HOUR / HOUR)[..1]);
    let gone = folder.path().join("gone.csv");
    for (path, rows, outputs, part) in [
        (&good, 3, 1, "has 2 predictions for 3 rows"),
        (&good, 2, 3, "has 1 columns of predictions where 3 are wanted"),
        (&garbage, 2, 1, "predicts `maybe` in row 2, not a number"),
        (&infinite, 2, 1, "predicts NaN in row 2"),
        (&ragged, 2, 2, "line 3 of"),
        (&broken, 1, 1, "is not sound Parquet"),
        (&other, 1, 1, "is neither .parquet nor .csv"),
        (&times, 1, 1, "in column `t`, not numbers"),
        (&gone, 1, 1, "failed to read"),
    ] {
        let error = told(read_predictions(path, rows, outputs));
        assert!(error.contains(part), "{error}");
    }
}
