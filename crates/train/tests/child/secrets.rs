//! Secrets: handed to the program, and nowhere else to be found.

use std::fs;
use std::path::Path;

use afresh_data::schema::Task;
use afresh_train::child::LOG_FILE;
use afresh_train::error::{Error, Retry};
use afresh_train::recipe::{Engine, Recipe, Variable};
use afresh_train::scorer::Scorer;

use crate::world::*;

const VALUE: &str = "correct-horse-battery";

fn with_secret(world: &World, mut recipe: Recipe) -> Recipe {
    fs::create_dir_all(world.dir.path().join("secrets")).unwrap();
    fs::write(world.dir.path().join("secrets/db"), format!("{VALUE}\n")).unwrap();
    if let Engine::Command(command) = &mut recipe.engine {
        command.env = vec![
            Variable::File { name: "DB".to_owned(), file: "secrets/db".into() },
            Variable::Env { name: "PACKAGE".to_owned(), env: "CARGO_PKG_NAME".to_owned() },
        ];
        command.base = Some(world.dir.path().to_owned());
    }
    recipe
}

/// Files below `dir` that hold the value, but for the one it was written to.
fn holding(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path));
        } else if !path.ends_with("secrets/db")
            && String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(VALUE)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn value_reaches_the_program_and_nothing_else() {
    let world = World::new(Task::Regression);
    let script = format!(
        "test ${{#DB}} = {} && test \"$PACKAGE\" = afresh-train || exit 7
         echo connecting with $DB; echo \"postgres://me:$DB@host\" >&2
         echo \"{{\\\"url\\\": \\\"me:$DB\\\", \\\"rmse\\\": 2}}\" > $AFRESH_OUT/metrics.json
         cp {} $AFRESH_OUT/model.json",
        VALUE.len(),
        golden("regression.json").display()
    );
    let job = world.job(with_secret(&world, shell(&script, None)));
    let artifact = train(&job).unwrap();
    assert_eq!(artifact.manifest().metrics["url"], "me:[DB]");
    assert_eq!(artifact.manifest().metrics["rmse"], 2);
    let log = fs::read_to_string(job.scratch.join(LOG_FILE)).unwrap();
    assert!(log.contains("connecting with [DB]\n") && log.contains("me:[DB]@host"), "{log}");
    assert_eq!(holding(world.dir.path()), [""; 0]);
}

#[test]
fn recipe_is_named_without_the_value() {
    let world = World::new(Task::Binary);
    let recipe = with_secret(&world, shell("true", None));
    let before = (recipe.hash(), serde_json::to_string(&recipe).unwrap());
    assert!(!before.1.contains(VALUE) && before.1.contains("secrets/db"));
    fs::write(world.dir.path().join("secrets/db"), "another-value").unwrap();
    assert_eq!(before, (recipe.hash(), serde_json::to_string(&recipe).unwrap()));
    assert_ne!(recipe.hash(), shell("true", None).hash());
}

#[test]
fn errors_repeat_no_value() {
    let world = World::new(Task::Regression);
    let fails = |script: &str| {
        let job = world.job(with_secret(&world, shell(script, None)));
        let error = world.fails(&job).error;
        let text = format!("{error} {error:?}");
        assert!(!text.contains(VALUE) && text.contains("[DB]"), "{text}");
        error
    };
    assert!(matches!(fails("echo bad $DB >&2; exit 4"), Error::Exited { code: 4, .. }));
    assert!(matches!(fails("echo > \"$AFRESH_OUT/model.$DB\""), Error::UnusableModel { .. }));
}

#[test]
fn predictions_and_answers_repeat_no_value() {
    let world = World::new(Task::Binary);
    let predict = "echo p > $AFRESH_PREDICTIONS
                   tail -n +2 $AFRESH_ROWS | sed 's/.*/0.5/' >> $AFRESH_PREDICTIONS
                   test -e $AFRESH_MODEL/../told || exit 0
                   echo ready; read line
                   if grep -q answer $AFRESH_MODEL/../told; then echo error no $DB; read line; fi
                   echo p > $AFRESH_PREDICTIONS; echo $DB >> $AFRESH_PREDICTIONS; echo done; read line";
    let mut recipe = with_secret(&world, shell("echo 1 > $AFRESH_OUT/model.txt", Some(predict)));
    if let Engine::Command(command) = &mut recipe.engine {
        command.format = afresh_train::recipe::RowFormat::Csv;
    }
    let artifact = train(&world.job(recipe)).unwrap();
    let predict = |told: &str| {
        fs::write(artifact.dir().with_file_name("told"), told).unwrap();
        let scorer = Scorer::load_with(artifact.dir(), Path::new(PROGRAM)).unwrap();
        let error = scorer.predict(&world.rows.select(&[0])).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(VALUE), "{error}");
        error
    };
    assert!(matches!(predict("answer"), Error::Refused { message, .. } if message == "no [DB]"));
    let error = predict("file").to_string();
    assert!(error.contains("predicts `[DB]` in row 1, not a number"), "{error}");
}

#[test]
fn values_that_are_not_there_are_named() {
    let world = World::new(Task::Binary);
    let recipe = with_secret(&world, shell("true", None));
    fs::remove_file(world.dir.path().join("secrets/db")).unwrap();
    let error = world.fails(&world.job(recipe)).error;
    let text = error.to_string();
    assert!(text.starts_with("failed to read the value of `DB` from "), "{text}");
    assert!(text.contains("secrets/db: No such file"), "{text}");
    assert_eq!(error.retry(), Retry::Permanent);

    let mut job = world.script("true");
    if let Engine::Command(command) = &mut job.recipe.engine {
        command.env = vec![Variable::Same("TOKEN=abcdef".to_owned())];
    }
    let error = world.fails(&job).error.to_string();
    assert!(error.contains("write the name only") && !error.contains("abcdef"), "{error}");
}
