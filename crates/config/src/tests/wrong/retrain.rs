//! What can be wrong with `[model.x.retrain]`.

use expect_test::expect;

use super::check_each;

#[test]
fn types_are_named_with_what_to_write() {
    check_each(
        "retrain",
        &[
            "cooldown = 24",
            "cooldown = \"a while\"",
            "cooldown = \"-1h\"",
            "cooldown = \"200y\"",
            "approval = \"yes\"",
            "retries = -1",
            "retries = 1000",
            "volume = 0",
            "volume = 1.5",
            "priority_min = 0",
            "priority_min = \"high\"",
            "limits = { train = \"0s\" }",
            "limits = \"1h\"",
            "catch_up = \"twice\"",
            "preset = \"clasic\"",
            "policy = \"periodic + decay\"",
            "policy = 3",
        ],
        &expect![[r#"
            cooldown = 24
              4:12 `retrain.cooldown` is 24 | write a length of time such as `90d`, `24h`, `10min` or `30s`
            cooldown = "a while"
              4:12 `retrain.cooldown` is "a while" | write a length of time such as `90d`, `24h`, `10min` or `30s`
            cooldown = "-1h"
              4:12 `retrain.cooldown` is "-1h" | write a length of time such as `90d`, `24h`, `10min` or `30s`
            cooldown = "200y"
              4:12 `retrain.cooldown` is "200y" | write a length of time such as `90d`, `24h`, `10min` or `30s`
            approval = "yes"
              4:12 `retrain.approval` is "yes" | write `true` or `false`
            retries = -1
              4:11 `retrain.retries` is -1 | write a whole number from 0 to 100
            retries = 1000
              4:11 `retrain.retries` is 1000 | write a whole number from 0 to 100
            volume = 0
              4:10 `retrain.volume` is 0 | write a whole number from 1 to 1_000_000_000_000
            volume = 1.5
              4:10 `retrain.volume` is 1.5 | write a whole number from 1 to 1_000_000_000_000
            priority_min = 0
              4:16 `retrain.priority_min` is 0 | write a whole number from 1 to 5
            priority_min = "high"
              4:16 `retrain.priority_min` is "high" | write a whole number from 1 to 5
            limits = { train = "0s" }
              4:20 `retrain.limits.train` is "0s" | write a length of time above zero, such as `7d`, `24h` or `10min`
            limits = "1h"
              4:10 `retrain.limits` is "1h" | write a section `[retrain.limits]`
            catch_up = "twice"
              4:12 `retrain.catch_up` is "twice" | write `skip`, `once` or `all`
            preset = "clasic"
              4:10 `retrain.preset` is "clasic" | did you mean `classic`? it is one of `recommended` or `classic`
            policy = "periodic + decay"
              4:10 `retrain.policy` is "periodic + decay" | did you mean `periodic+decay`? it is one of `never`, `always`, `periodic`, `periodic+decay`, `cara-p`, `volume`, `drift`, `ks`, `decay`, `t-test`, `adwin`, `cusum`, `markov`, `economic`, `cara-t`, `cara-ct`, `budget-queue`, `upf` or `driftsurf`
            policy = 3
              4:10 `retrain.policy` is 3 | write a policy such as "decay", `{ rule = "drift", score = 0.3 }` or `{ any = [...] }`
        "#]],
    );
}

#[test]
fn schedules_are_checked() {
    check_each(
        "retrain",
        &[
            "schedule = \"0 2 * *\"",
            "schedule = \"0 0 2 * * SUN\"",
            "schedule = \"99 2 * * SUN\"",
            "schedule = \"0 2 30 2 *\"",
            "schedule = true",
            "schedule = \"0 2 * * SUN\"\nevery = \"7d\"",
            "every = \"0 periods\"",
            "every = \"1ms\"",
            "every = \"often\"",
            "every = \"7d\"\njitter = \"8d\"",
            "schedule = \"0 2 * * *\"\njitter = \"1d\"",
            "timezone = \"Europe/Berlín\"",
            "start = 2026-01-01",
            "catch_up = \"once\"\ndepends_on_past = true\njitter = \"1h\"",
            "schedule = \"0 2 * * SUN\"\nstart = \"soon\"",
            "schedule = \"0 2 * * SUN\"\nstart = 02:00:00",
        ],
        &expect![[r#"
            schedule = "0 2 * *"
              4:12 `retrain.schedule` is "0 2 * *": 4 fields, not five | write five fields, for example `0 2 * * SUN` for Sundays at two
            schedule = "0 0 2 * * SUN"
              4:12 `retrain.schedule` is "0 0 2 * * SUN": 6 fields, not five | write five fields, for example `0 2 * * SUN` for Sundays at two
            schedule = "99 2 * * SUN"
              4:12 `retrain.schedule`: `99 2 * * SUN` is no cron pattern (Component error: Number out of bounds.) | write five fields, for example `0 2 * * SUN` for Sundays at two
            schedule = "0 2 30 2 *"
              4:12 `retrain.schedule` never fires | write a pattern that occurs, for example `0 2 * * SUN`
            schedule = true
              4:12 `retrain.schedule` is true | write a text in double quotes that is not empty
            schedule = "0 2 * * SUN"
            every = "7d"
              5:9 `retrain.every` and `retrain.schedule` both set times | write one of the two
            every = "0 periods"
              4:9 `retrain.every` is "0 periods" | write a number of periods such as `"4 periods"`, or a length `"7d"`
            every = "1ms"
              4:9 `retrain.every` of 1ms is too short | write at least `1s`
            every = "often"
              4:9 `retrain.every` is "often" | write a number of periods such as `"4 periods"`, or a length `"7d"`
            every = "7d"
            jitter = "8d"
              5:10 `retrain.jitter` is not shorter than the schedule's 7d | write a shorter one
            schedule = "0 2 * * *"
            jitter = "1d"
              5:10 `retrain.jitter` is not shorter than the schedule's 1d | write a shorter one
            timezone = "Europe/Berlín"
              4:12 `retrain.timezone` is "Europe/Berlín" | write an IANA time zone such as `Europe/Berlin` or `UTC`
            start = 2026-01-01
              4:9 `retrain.start` needs a schedule | write `schedule = "0 2 * * SUN"` or `every = "7d"` beside it
            catch_up = "once"
            depends_on_past = true
            jitter = "1h"
              4:12 `retrain.catch_up` needs a schedule | write `schedule = "0 2 * * SUN"` or `every = "7d"` beside it
              5:19 `retrain.depends_on_past` needs a schedule | write `schedule = "0 2 * * SUN"` or `every = "7d"` beside it
              6:10 `retrain.jitter` needs a schedule | write `schedule = "0 2 * * SUN"` or `every = "7d"` beside it
            schedule = "0 2 * * SUN"
            start = "soon"
              5:9 `retrain.start` is "soon" | write a date such as `2026-01-01`, or a time `2026-01-01T06:00:00Z`
            schedule = "0 2 * * SUN"
            start = 02:00:00
              5:9 `retrain.start` is 02:00:00 | write a date such as `2026-01-01`, or a time `2026-01-01T06:00:00Z`
        "#]],
    );
}

#[test]
fn triggers_fit_the_policy() {
    check_each(
        "retrain",
        &[
            "policy = \"never\"\ndrift = 0.3\nevery = 4\nvolume = 10",
            "policy = \"never\"\npreset = \"classic\"",
            "policy = \"always\"\nevery = 4",
            "policy = \"thresholds\"",
            "policy = \"thresholds\"\nevery = 4",
            "drift = 1.3",
            "drift = true",
            "decay = { drop = 0.05, sequential = true }",
            "decay = {}",
            "decay = { dorp = 0.05 }",
            "decay = -0.1",
            "decay = { sequential = true, test = \"t-test\" }",
            "decay = { test = \"ttest\" }",
            "decay = { windows = [], metrics = [] }",
            "decay = { windows = [\"24h\", \"1d\"], metrics = [\"auc\", \"rmse\", \"auc\"] }",
            "decay = { windows = [\"a day\"] }",
            "decay = { windows = [\"24h\"], bucket = \"3h\" }",
            "decay = { bucket = \"5s\" }",
            "decay_test = \"sequential\"",
        ],
        &expect![[r#"
            policy = "never"
            drift = 0.3
            every = 4
            volume = 10
              5:9 `retrain.drift` would start runs, and `retrain.policy` is "never" | leave it out, or write `policy = "thresholds"`
              6:9 `retrain.every` would start runs, and `retrain.policy` is "never" | leave it out, or write `policy = "thresholds"`
              7:10 `retrain.volume` would start runs, and `retrain.policy` is "never" | leave it out, or write `policy = "thresholds"`
            policy = "never"
            preset = "classic"
              no problem
            policy = "always"
            every = 4
              5:9 `retrain.every` is 4 periods, and `retrain.policy` is "always" | leave it out, or write `policy = "periodic"`
            policy = "thresholds"
              4:10 `retrain.policy` is "thresholds", and there is none: nothing would start a run | write `drift`, `decay`, `volume`, `labels`, `data`, `schedule` or `every` beside it, or `policy = "never"`
            policy = "thresholds"
            every = 4
              no problem
            drift = 1.3
              4:9 `retrain.drift` is 1.3 | write a number from 0 to 1
            drift = true
              4:9 `retrain.drift` is true | write a number from 0 to 1
            decay = { drop = 0.05, sequential = true }
              4:9 `retrain.decay` holds both rules | write either `{ drop = 0.05 }` or `{ sequential = true }`
            decay = {}
              4:9 `retrain.decay` holds no rule | write either `{ drop = 0.05 }` or `{ sequential = true }`
            decay = { dorp = 0.05 }
              4:9 `retrain.decay` holds no rule | write either `{ drop = 0.05 }` or `{ sequential = true }`
              4:11 unknown key `retrain.decay.dorp` | did you mean `drop`?
            decay = -0.1
              4:9 `retrain.decay` is -0.1 | write a number that is not negative
            decay = { sequential = true, test = "t-test" }
              4:37 `retrain.decay.sequential` needs the sequential test, and `test` is "t-test" | leave `test` out, or write `drop = 0.05` instead
            decay = { test = "ttest" }
              4:18 `retrain.decay.test` is "ttest" | did you mean `t-test`? it is one of `sequential` or `t-test`
            decay = { windows = [], metrics = [] }
              4:21 `retrain.decay.windows` holds 0 windows | write 1 to 10, such as `["24h", "7d"]`
              4:35 `retrain.decay.metrics` is empty | write at least one, such as `["accuracy"]`, or leave it out
            decay = { windows = ["24h", "1d"], metrics = ["auc", "rmse", "auc"] }
              4:29 window `1d` is written twice | leave one out
              4:54 `rmse` does not measure a binary model | write `auc`, `accuracy`, `log_loss`, `brier` or `f1`
              4:62 `auc` is written twice | leave one out
            decay = { windows = ["a day"] }
              4:22 `retrain.decay.windows` is "a day" | write a length of time above zero, such as `7d`, `24h` or `10min`
            decay = { windows = ["24h"], bucket = "3h" }
              4:22 window `24h` holds 8 buckets of 3h: below 10 nothing is said | write a bucket of at most `144min`, or a longer window
            decay = { bucket = "5s" }
              4:20 window `24h` holds 17280 buckets of 5s, more than 10000 | write a wider bucket or a shorter window
              4:20 window `7d` holds 120960 buckets of 5s, more than 10000 | write a wider bucket or a shorter window
            decay_test = "sequential"
              4:1 unknown key `retrain.decay_test` | write one of `preset`, `policy`, `every`, `rows_min`, `schedule`, `start`, `timezone`, `catch_up`, `jitter`, `depends_on_past`, `drift`, `decay`, `volume`, `labels`, `data`, `cooldown`, `priority_min`, `blackout`, `retries`, `retry_delay`, `limits`, `approval`, `incremental`, `incremental_rounds`, `max_trees` or `cost`
        "#]],
    );
}

#[test]
fn blackouts_are_two_dates_or_days_and_times() {
    check_each(
        "retrain",
        &[
            "blackout = { from = 2026-12-24, to = 2026-12-27 }",
            "blackout = [{ from = 2026-12-24 }]",
            "blackout = [{ from = 2026-12-27, to = 2026-12-24 }]",
            "blackout = [{ from = \"09:00\", to = \"17:00\" }]",
            "blackout = [{ days = \"MO-FR\", from = \"09:00\", to = \"17:00\" }]",
            "blackout = [{ days = \"MON-FRI\", from = 2026-12-24, to = \"17:00\" }]",
            "blackout = [{ days = \"MON-FRI\", from = \"09:00\", to = \"09:00\" }]",
            "blackout = [{ days = \"MON-FRI\", from = \"25:00\" }]",
            "blackout = [{ days = \"SUN\", from = \"22:00\", to = \"24:00\", timezone = \"UTC\" }]",
        ],
        &expect![[r#"
            blackout = { from = 2026-12-24, to = 2026-12-27 }
              4:12 `retrain.blackout` is a table | write a list in square brackets
            blackout = [{ from = 2026-12-24 }]
              4:13 a blackout needs `from` and `to` | write `{ from = 2026-12-24, to = 2026-12-27 }` or `{ days = "MON-FRI", from = "09:00", to = "17:00" }`
            blackout = [{ from = 2026-12-27, to = 2026-12-24 }]
              4:39 the blackout ends before it begins | write `{ from = 2026-12-24, to = 2026-12-27 }` or `{ days = "MON-FRI", from = "09:00", to = "17:00" }`
            blackout = [{ from = "09:00", to = "17:00" }]
              4:22 `from` of a blackout without `days` is no date | write `{ from = 2026-12-24, to = 2026-12-27 }` or `{ days = "MON-FRI", from = "09:00", to = "17:00" }`
            blackout = [{ days = "MO-FR", from = "09:00", to = "17:00" }]
              4:22 `retrain.blackout.days` is "MO-FR" | write days such as `"MON-FRI"`, `"SAT,SUN"` or `["MON", "WED"]`
            blackout = [{ days = "MON-FRI", from = 2026-12-24, to = "17:00" }]
              4:40 a blackout with `days` is from one time of day to another | write `{ from = 2026-12-24, to = 2026-12-27 }` or `{ days = "MON-FRI", from = "09:00", to = "17:00" }`
            blackout = [{ days = "MON-FRI", from = "09:00", to = "09:00" }]
              4:13 the blackout ends when it begins | write `{ from = 2026-12-24, to = 2026-12-27 }` or `{ days = "MON-FRI", from = "09:00", to = "17:00" }`
            blackout = [{ days = "MON-FRI", from = "25:00" }]
              4:40 `retrain.blackout.from` is "25:00" | write a date such as `2026-12-24`, or a time of day such as `"09:00"` beside `days`
            blackout = [{ days = "SUN", from = "22:00", to = "24:00", timezone = "UTC" }]
              no problem
        "#]],
    );
}

#[test]
fn costs_are_prices_and_budgets() {
    check_each(
        "retrain",
        &[
            "cost = { budget = \"20 hours per 30d\" }",
            "cost = { budget = \"20 cpu-hours per 3y\" }",
            "cost = { per_loss = 0 }",
            "cost = { per_error = 0 }",
            "cost = { per_error = 2, per_loss = 1 }",
            "cost = { per_gpu_hour = 2 }",
            "cost = { per_million_rows = 0 }",
            "cost = { per_cpu_hour = -1 }",
            "cost = { per_cpu_hour = nan }",
            "cost = { budget = \"1 cpu-minutes per 30d\", estimate_cpu_seconds = 90 }",
        ],
        &expect![[r#"
            cost = { budget = "20 hours per 30d" }
              4:19 `retrain.cost.budget` is "20 hours per 30d" | write a budget such as `20 cpu-hours per 30d`, in cpu-seconds, cpu-minutes or cpu-hours per at most 366d
            cost = { budget = "20 cpu-hours per 3y" }
              4:19 `retrain.cost.budget` is "20 cpu-hours per 3y" | write a budget such as `20 cpu-hours per 30d`, in cpu-seconds, cpu-minutes or cpu-hours per at most 366d
            cost = { per_loss = 0 }
              4:21 `retrain.cost.per_loss` is 0, which is no price | write a number above 0, or leave it out
            cost = { per_error = 0 }
              4:22 `retrain.cost.per_error` is 0, which is no price | write a number above 0, or leave it out
            cost = { per_error = 2, per_loss = 1 }
              4:22 `retrain.cost.per_error` is beside `retrain.cost.per_loss` | leave one of them out: loss or errors have a price
            cost = { per_gpu_hour = 2 }
              4:25 `retrain.cost.per_gpu_hour` is a price, and no run has a GPU | write how many a run has: `train.needs.gpu = 1`
            cost = { per_million_rows = 0 }
              4:29 `retrain.cost.per_million_rows` is 0, which is no price | write a number above 0, or leave it out
            cost = { per_cpu_hour = -1 }
              4:25 `retrain.cost.per_cpu_hour` is -1 | write a number that is not negative
            cost = { per_cpu_hour = nan }
              4:25 `retrain.cost.per_cpu_hour` is nan | write a number that is not negative
            cost = { budget = "1 cpu-minutes per 30d", estimate_cpu_seconds = 90 }
              4:19 `retrain.cost.budget` of 60 cpu-seconds never pays for one training of 90 | write a larger budget or a smaller `estimate_cpu_seconds`
        "#]],
    );
}

#[test]
fn policies_that_cannot_be_are_refused_with_what_to_write() {
    check_each(
        "retrain",
        &[
            "policy = \"marcov\"",
            "policy = \"cara-t\"",
            "policy = { rule = \"drfit\" }",
            "policy = { rule = 3 }",
            "policy = { rule = \"drift\", scor = 0.2 }",
            "policy = { rule = \"drift\", score = 1.5 }",
            "policy = { rule = \"drift\", score = \"high\" }",
            "policy = { rule = \"markov\", factor = 0 }",
            "policy = { rule = \"cara-ct\", cost = -1 }",
            "policy = { rule = \"cara-p\", periods = 4, offset = 4 }",
            "policy = { rule = \"volume\", rows = 0 }",
            "policy = { rule = \"periodic\", periods = 0 }",
            "policy = { rule = \"upf\", horizon = 0.5 }",
            "policy = { rule = \"budget-queue\" }",
            "policy = { rule = \"driftsurf\", test = \"ks\" }",
            "policy = { any = [] }",
            "policy = { any = \"decay\" }",
            "policy = { any = [\"decay\", \"never\"] }",
            "policy = { all = [\"decay\", \"always\"] }",
            "policy = { any = [\"decay\", \"driftsurf\"] }",
            "policy = { any = [\"decay\"], all = [\"ks\"] }",
            "policy = { any = [\"decay\"], every = 3 }",
            "policy = { at_least = 3, of = [\"decay\", \"ks\"] }",
            "policy = { at_least = 2 }",
            "policy = { warm_up = 3 }",
            "policy = { warm_up = 3, then = \"never\" }",
            "policy = { }",
            "policy = { name = \"drift\" }",
            "policy = \"drift\"\nevery = \"3 periods\"",
        ],
        &expect![[r#"
            policy = "marcov"
              4:10 `retrain.policy` is "marcov" | did you mean `markov`? it is one of `never`, `always`, `periodic`, `periodic+decay`, `cara-p`, `volume`, `drift`, `ks`, `decay`, `t-test`, `adwin`, `cusum`, `markov`, `economic`, `cara-t`, `cara-ct`, `budget-queue`, `upf` or `driftsurf`
            policy = "cara-t"
              4:10 `retrain.policy.cost` is missing | write `cost = …` beside `rule`; a backtest finds its value
            policy = { rule = "drfit" }
              4:19 `retrain.policy` is "drfit" | did you mean `drift`? it is one of `never`, `always`, `periodic`, `periodic+decay`, `cara-p`, `volume`, `drift`, `ks`, `decay`, `t-test`, `adwin`, `cusum`, `markov`, `economic`, `cara-t`, `cara-ct`, `budget-queue`, `upf` or `driftsurf`
            policy = { rule = 3 }
              4:19 `retrain.policy.rule` is 3 | write `never`, `always`, `periodic`, `periodic+decay`, `cara-p`, `volume`, `drift`, `ks`, `decay`, `t-test`, `adwin`, `cusum`, `markov`, `economic`, `cara-t`, `cara-ct`, `budget-queue`, `upf` or `driftsurf`
            policy = { rule = "drift", scor = 0.2 }
              4:28 unknown key `retrain.policy.scor` | did you mean `score`?
            policy = { rule = "drift", score = 1.5 }
              4:10 `retrain.policy`: `score` is 1.5 | write a number above 0 and at most 1
            policy = { rule = "drift", score = "high" }
              4:36 `retrain.policy.score` is "high" | write a number
            policy = { rule = "markov", factor = 0 }
              4:10 `retrain.policy`: `factor` is 0 | write a number above 0
            policy = { rule = "cara-ct", cost = -1 }
              4:10 `retrain.policy`: `cost` is -1 | write a number above 0
            policy = { rule = "cara-p", periods = 4, offset = 4 }
              4:10 `retrain.policy`: `offset` is 4 of 4 periods | write a smaller one
            policy = { rule = "volume", rows = 0 }
              4:36 `retrain.policy.rows` is 0 | write a whole number from 1 to 1_000_000_000_000
            policy = { rule = "periodic", periods = 0 }
              4:41 `retrain.policy.periods` is 0 | write a whole number from 1 to 1_000_000_000_000
            policy = { rule = "upf", horizon = 0.5 }
              4:36 `retrain.policy.horizon` is 0.5 | write a whole number from 1 to 1_000_000_000_000
            policy = { rule = "budget-queue" }
              4:19 `retrain.policy.cpu_hours` is missing | write `cpu_hours = …` beside `rule`; a backtest finds its value
            policy = { rule = "driftsurf", test = "ks" }
              4:39 `retrain.policy.test` is "ks" | write `decay`, `t-test`, `adwin` or `cusum`
            policy = { any = [] }
              4:10 `retrain.policy`: `any` lists no policy | write at least one
            policy = { any = "decay" }
              4:18 `retrain.policy.any` is "decay" | write a list of policies in square brackets
            policy = { any = ["decay", "never"] }
              4:10 `retrain.policy`: `never` within `any` settles it alone | leave one of them out
            policy = { all = ["decay", "always"] }
              4:10 `retrain.policy`: `always` within `all` settles it alone | leave one of them out
            policy = { any = ["decay", "driftsurf"] }
              4:10 `retrain.policy`: `driftsurf` within `any` could not try its version | write it alone
            policy = { any = ["decay"], all = ["ks"] }
              4:10 `retrain.policy` has `any` and `all` at once | write one of them, and the others inside it
            policy = { any = ["decay"], every = 3 }
              4:29 unknown key `retrain.policy.every` | write one of `any`
            policy = { at_least = 3, of = ["decay", "ks"] }
              4:10 `retrain.policy`: `at least` asks for 3 of 2 | write 1 to 2
            policy = { at_least = 2 }
              4:10 `retrain.policy.of` is missing | write `of = [...]` beside it
            policy = { warm_up = 3 }
              4:10 `retrain.policy.then` is missing | write the policy that follows, such as `then = "decay"`
            policy = { warm_up = 3, then = "never" }
              4:10 `retrain.policy`: `warm_up` does nothing before `never` | leave it out
            policy = { }
              4:10 `retrain.policy` is a table | write a policy such as "decay", `{ rule = "drift", score = 0.3 }` or `{ any = [...] }`
            policy = { name = "drift" }
              4:12 unknown key `retrain.policy.name` | write one of `rule`, `any`, `all`, `at_least`, `of`, `warm_up` or `then`
            policy = "drift"
            every = "3 periods"
              5:9 `retrain.every` is beside a policy that is written whole | leave it out, or write it into the policy as `periods`
        "#]],
    );
}
