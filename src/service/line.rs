//! The one line that `systemctl status` shows: how many upstreams, what has failed of late.
//!
//! Pure: totals and points in time come in as values.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// What "of late" means.
const WINDOW: Duration = Duration::from_secs(60);
/// Totals are kept at most so densely: the window is right to as much.
const STEP: Duration = Duration::from_secs(2);

/// In an upstream's place, for requests that reached none.
const NONE: &str = "none";

/// How often each upstream failed, by its cause, since the start.
pub type Totals = Vec<(String, &'static str, u64)>;

/// The failures of the last minute.
#[derive(Debug, Default)]
pub struct Failures {
    /// Totals as they were, the oldest first; at most one for each step of the window.
    seen: VecDeque<(Instant, Totals)>,
}

/// What has failed within the window.
#[derive(Debug, PartialEq, Eq)]
pub struct Recent {
    count: u64,
    /// The most frequent cause, and the upstream where it was.
    most: Option<(&'static str, String)>,
}

impl Failures {
    /// Takes the totals of now, and gives what of them is new within the window.
    pub fn recent(&mut self, now: Instant, totals: Totals) -> Recent {
        // The oldest that is kept is the last one outside of the window.
        while self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.seen.pop_front();
        }
        let recent = self.since(&totals);
        let is_dense =
            self.seen.back().is_some_and(|(at, _)| now.saturating_duration_since(*at) < STEP);
        if !is_dense {
            self.seen.push_back((now, totals));
        }
        recent
    }

    fn since(&self, totals: &Totals) -> Recent {
        let before: HashMap<(&str, &str), u64> = match self.seen.front() {
            Some((_, before)) => {
                let before = before.iter();
                before
                    .map(|(upstream, cause, count)| ((upstream.as_str(), *cause), *count))
                    .collect()
            }
            None => HashMap::new(),
        };
        let (mut count, mut most) = (0, None::<(u64, &'static str, &String)>);
        for (upstream, cause, total) in totals {
            let earlier = before.get(&(upstream.as_str(), *cause)).copied().unwrap_or(0);
            let new = total.saturating_sub(earlier);
            count += new;
            if new > most.map_or(0, |(most, ..)| most) {
                most = Some((new, cause, upstream));
            }
        }
        Recent { count, most: most.map(|(_, cause, upstream)| (cause, upstream.clone())) }
    }
}

/// The line. A refused reload stands before everything else: the operator believes that what they
/// wrote is in force.
pub fn line(upstreams: usize, recent: &Recent, refused: Option<&str>) -> String {
    let count = |count: u64, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let mut line = String::new();
    if let Some(why) = refused {
        line.push_str(&format!("reload failed: {why}; the old configuration stays in force; "));
    }
    line.push_str(&format!(
        "{}; {} in the last minute",
        count(upstreams as u64, "upstream"),
        count(recent.count, "failure"),
    ));
    match &recent.most {
        Some((cause, upstream)) if upstream == NONE => line.push_str(&format!(", most: {cause}")),
        Some((cause, upstream)) => line.push_str(&format!(", most: {cause} ({upstream})")),
        None => {}
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_later_it_is_forgotten() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut failures = Failures::default();
        let totals = |refused, timed_out| -> Totals {
            vec![
                ("shop".to_owned(), "connection_refused", refused),
                ("blog".to_owned(), "first_byte_timeout", timed_out),
            ]
        };
        let mut say = |seconds, totals| line(2, &failures.recent(at(seconds), totals), None);
        assert_eq!(say(0, totals(0, 0)), "2 upstreams; 0 failures in the last minute");
        let first = "2 upstreams; 3 failures in the last minute, most: connection_refused (shop)";
        assert_eq!(say(1, totals(2, 1)), first);
        let more = "2 upstreams; 12 failures in the last minute, most: first_byte_timeout (blog)";
        assert_eq!(say(30, totals(2, 10)), more);
        for seconds in 62..95 {
            say(seconds, totals(2, 10));
        }
        assert_eq!(say(95, totals(2, 10)), "2 upstreams; 0 failures in the last minute");
        let one = say(96, totals(3, 10));
        assert_eq!(
            one,
            "2 upstreams; 1 failure in the last minute, most: connection_refused (shop)"
        );
    }

    #[test]
    fn a_refused_reload_comes_first() {
        let recent = Recent { count: 0, most: None };
        assert_eq!(
            line(1, &recent, Some("/etc/causeway/causeway.toml:12:3: unknown key `serverz`")),
            "reload failed: /etc/causeway/causeway.toml:12:3: unknown key `serverz`; the old \
             configuration stays in force; 1 upstream; 0 failures in the last minute"
        );
    }
}
