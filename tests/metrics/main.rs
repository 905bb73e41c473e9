//! The metrics before Prometheus' own tools: promtool's checks of what is told, the alert rules with
//! their unit tests, the dashboard, and a real Prometheus that scrapes the proxy.
//!
//! A missing promtool or prometheus (Debian: `prometheus`) fails these tests; nothing is skipped.

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::client;
use support::proxy::Proxy;
use support::tools::{Group, eventually, free_port};

/// A proxy before a port where nobody listens, and its admin port.
fn proxy() -> (Proxy, u16) {
    let admin = free_port();
    let refused = free_port();
    let more = format!("[admin]\nlisten = [\"127.0.0.1:{admin}\"]\n");
    (Proxy::before(&format!("http://127.0.0.1:{refused}"), &more), admin)
}

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

fn metrics(admin: u16) -> String {
    let answer = client::get(admin, "/metrics", "text/plain");
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8(answer.body).expect("text")
}

/// promtool with these arguments and input.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts (Debian: apt-get install prometheus)");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn assert_silent(output: &Output) {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// Every series that these metrics may have, by its name.
fn series(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .flat_map(|(name, kind)| match kind {
            "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
            _ => vec![name.to_owned()],
        })
        .collect()
}

/// The names of metrics in a text: words that begin as ours do, or a process's.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = words.filter(|word| word.starts_with("causeway_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn promtool_has_nothing_to_say_of_the_metrics() {
    let (proxy, admin) = proxy();
    let page = client::get(proxy.port, "/", client::PROBLEM);
    assert_eq!(page.status, 502);
    eventually("the failure is counted", || {
        metrics(admin).contains("cause=\"connection_refused\"").then_some(())
    });
    assert_silent(&promtool(&["check", "metrics"], &metrics(admin)));
}

#[test]
fn the_rules_are_right_and_their_tests_see_when_they_are_not() {
    let rules = fs::read_to_string(config("prometheus-rules.yml")).expect("the rules");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/metrics/rules.test.yml");
    let run = |rules: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("prometheus-rules.yml"), rules).expect("a file");
        let copy = dir.path().join("rules.test.yml");
        fs::copy(&tests, &copy).expect("a file");
        promtool(&["test", "rules", copy.to_str().expect("a path")], "")
    };
    let path = config("prometheus-rules.yml");
    let checked = promtool(&["check", "rules", path.to_str().expect("a path")], "");
    assert!(checked.status.success(), "{checked:?}");
    let good = run(&rules);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stdout));
    let alerts = rules.matches("- alert: ").count();
    assert_eq!(alerts, rules.matches("runbook: ").count());
    for (right, wrong) in [
        ("> 0.05", "> 0.03"),
        ("> 0.05", "> 0.5"),
        (", cause!=\"maintenance\"}[5m])\n", "}[5m])\n"),
        ("causeway_upstream_up == 0\n", "causeway_upstream_up == 1\n"),
        ("upstream_queue_declined_total[5m])) > 0", "upstream_queue_declined_total[5m])) >= 0"),
        ("no_upstream_configured|", ""),
        ("< 0.3 * (", "< 1.1 * ("),
        ("blame=\"gateway\"", "blame!=\"client\""),
        ("14 * 86400", "12 * 86400"),
        ("14 * 86400", "70 * 86400"),
        ("causeway_workers_stuck > 0", "causeway_workers_stuck >= 0"),
        ("up{job=\"causeway\"} == 0", "up == 0"),
        ("lines_dropped_total[5m]) > 0", "lines_dropped_total[5m]) > 50"),
        ("last_reload_successful == 0", "last_reload_successful >= 0"),
    ] {
        assert!(rules.contains(right), "{right}");
        let bad = run(&rules.replacen(right, wrong, 1));
        assert!(!bad.status.success(), "nobody saw {wrong:?}");
    }
}

#[test]
fn rules_and_dashboard_name_only_metrics_that_there_are() {
    let (_proxy, admin) = proxy();
    let told = metrics(admin);
    let series = series(&told);
    let rules = fs::read_to_string(config("prometheus-rules.yml")).expect("the rules");
    let dashboard = fs::read_to_string(config("grafana-dashboard.json")).expect("the dashboard");
    let names = |text: &str| named(text).len();
    assert!(names(&rules) >= 8 && names(&dashboard) >= 15, "they are hardly found");
    for name in named(&rules).union(&named(&dashboard)) {
        assert!(series.contains(name), "there is no {name}");
    }
    // Nothing of a request becomes a label: they are as many as upstreams, causes and statuses.
    assert!(told.lines().count() < 400, "{told}");
}

/// The dashboard's questions, with what stands for its variables, as rules.
#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let text = fs::read_to_string(config("grafana-dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let mut ids = BTreeSet::new();
    let with_targets = panels.iter().filter(|panel| panel["type"] != "row");
    for (number, panel) in with_targets.enumerate() {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{panel}");
        for (place, target) in panel["targets"].as_array().expect("targets").iter().enumerate() {
            assert_eq!(target["datasource"]["uid"], "${DS_PROMETHEUS}");
            let expression = target["expr"].as_str().expect("an expression");
            let expression = expression
                .replace("$__rate_interval", "5m")
                .replace("$__range", "1h")
                .replace("$instance", "x")
                .replace("$upstream", "x");
            assert!(!expression.contains('$'), "{expression}");
            let expression = serde_json::to_string(&expression).expect("a string");
            rules.push_str(&format!("  - record: p{number}:t{place}\n    expr: {expression}\n"));
        }
    }
    assert!(ids.len() >= 15, "{} panels", ids.len());
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rules.yml");
    fs::write(&path, rules).expect("a file");
    let checked = promtool(&["check", "rules", path.to_str().expect("a path")], "");
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_real_prometheus_scrapes_and_sees_the_incident() {
    let (proxy, admin) = proxy();
    let page = client::get(proxy.port, "/", client::PROBLEM);
    let instance = page.problem()["instance"].as_str().expect("an incident").to_owned();
    let incident = instance.rsplit(':').next().expect("its end");
    let dir = tempfile::tempdir().expect("a directory");
    fs::copy(config("prometheus-rules.yml"), dir.path().join("rules.yml")).expect("a file");
    let scrape = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\n\
         scrape_configs:\n- job_name: causeway\n  static_configs:\n\
         \x20 - targets: [\"127.0.0.1:{admin}\"]\n"
    );
    fs::write(dir.path().join("prometheus.yml"), scrape).expect("a file");
    let port = free_port();
    let errors = dir.path().join("stderr");
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--enable-feature=exemplar-storage")
        .stderr(fs::File::create(&errors).expect("a file"));
    let said = || fs::read_to_string(&errors).unwrap_or_default();
    let _prometheus = Group::start("prometheus", &mut command, said, || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let query = |path: &str| {
        let answer = client::get(port, path, "application/json");
        (answer.status == 200).then(|| answer.problem())
    };
    eventually("the proxy is scraped", || {
        let found = query("/api/v1/query?query=causeway_upstream_up")?;
        let sample = found["data"]["result"].as_array()?.first()?.clone();
        assert_eq!(sample["metric"]["upstream"], "site", "{sample}");
        assert_eq!(sample["value"][1], "0", "{sample}");
        Some(())
    });
    let targets = query("/api/v1/targets").expect("its targets");
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target}");
    // It keeps the incident of the failure: from a point in the graph to a line in the log.
    eventually("the exemplar is kept", || {
        let path = "/api/v1/query_exemplars?query=causeway_upstream_failures_total\
                    &start=0&end=4102444800";
        let found = query(path)?;
        let exemplar = found["data"].as_array()?.first()?["exemplars"][0].clone();
        assert_eq!(exemplar["labels"]["incident"], incident, "{exemplar}");
        Some(())
    });
}
