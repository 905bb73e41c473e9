//! What systemd says of a unit: over its bus, or by `systemctl` where there is none.
//!
//! Everybody may ask for properties (systemd's own D-Bus policy), and nothing else is asked for.
//! Each way has a deadline of its own. On a host with time to spare the answer is there in a few
//! milliseconds; one that has none, as when memory runs out, is asked on behalf of the next page.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant};

use crate::diagnose::around::{KnownBy, Need, PROPERTIES, Seen, State, Unit};

/// Where every system's bus is (D-Bus specification, "System message bus").
const BUS: &str = "unix:path=/run/dbus/system_bus_socket";
const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: (&str, &str) = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
const INTERFACES: [&str; 2] = ["org.freedesktop.systemd1.Unit", "org.freedesktop.systemd1.Service"];

/// All questions together. The page itself does not wait for as long.
const BUS_LIMIT: Duration = Duration::from_secs(1);
const SYSTEMCTL_LIMIT: Duration = Duration::from_secs(1);
/// Some twenty lines.
const SYSTEMCTL_BYTES_MAX: usize = 8 * 1024;

/// What systemd says of a unit.
pub type Properties = BTreeMap<String, String>;

/// The first of these units that exists, else the first that was meant for certain; and its control
/// group.
pub fn unit(candidates: &[(String, KnownBy)]) -> Seen<(Unit, Option<String>)> {
    let names: Vec<&str> = candidates.iter().map(|(name, _)| name.as_str()).collect();
    let said = match from_bus(&names) {
        Seen::Denied(need) => match from_systemctl(&names) {
            Some(said) => said,
            None => return Seen::Denied(need),
        },
        Seen::Found(said) => said,
        Seen::Late => return Seen::Late,
        Seen::Nothing | Seen::Unlooked => return Seen::Nothing,
    };
    let mut missing = None;
    for ((name, known_by), said) in candidates.iter().zip(&said) {
        let find = |key: &str| said.get(key).map(String::as_str);
        match Unit::of(name, *known_by, find) {
            Some(unit) if unit.state != State::NotFound => {
                let group = find("ControlGroup").filter(|group| !group.is_empty());
                return Seen::Found((unit, group.map(str::to_owned)));
            }
            // Of a guess that is not there nothing is known.
            Some(unit) if *known_by != KnownBy::Guess => {
                missing = missing.or(Some((unit, None)));
            }
            Some(_) | None => {}
        }
    }
    missing.map_or(Seen::Nothing, Seen::Found)
}

/// The properties of each; the runtime ends with this call, and the connection with it.
fn from_bus(names: &[&str]) -> Seen<Vec<Properties>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Seen::Denied(Need::Bus) };
    match runtime.block_on(async { tokio::time::timeout(BUS_LIMIT, ask(names)).await }) {
        Ok(Ok(said)) => Seen::Found(said),
        Ok(Err(_)) => Seen::Denied(Need::Bus),
        Err(_) => Seen::Late,
    }
}

async fn ask(names: &[&str]) -> zbus::Result<Vec<Properties>> {
    let bus = Builder::address(BUS).build().await?;
    let mut said = Vec::with_capacity(names.len());
    for name in names {
        said.push(properties(&bus, name).await?);
    }
    Ok(said)
}

async fn properties(bus: &Connection, name: &str) -> zbus::Result<Properties> {
    let (path, interface) = MANAGER;
    // Also of one that is not loaded, or not there.
    let loaded = bus.call_method(Some(SYSTEMD), path, Some(interface), "LoadUnit", &(name)).await?;
    let unit: OwnedObjectPath = loaded.body().deserialize()?;
    let mut said = Properties::new();
    for interface in INTERFACES {
        let every = "org.freedesktop.DBus.Properties";
        let answer =
            bus.call_method(Some(SYSTEMD), &unit, Some(every), "GetAll", &(interface)).await;
        // A unit that is no service has no second part.
        let Ok(answer) = answer else { continue };
        let all: HashMap<String, OwnedVariant> = answer.body().deserialize()?;
        let all = all.into_iter().filter(|(key, _)| PROPERTIES.contains(&key.as_str()));
        said.extend(all.filter_map(|(key, value)| Some((key, text(&value)?))));
    }
    Ok(said)
}

/// A simple value as text.
fn text(value: &Variant<'_>) -> Option<String> {
    match value {
        Variant::Str(text) => Some(text.to_string()),
        Variant::Bool(is_so) => Some(is_so.to_string()),
        Variant::I32(number) => Some(number.to_string()),
        Variant::U32(number) => Some(number.to_string()),
        Variant::U64(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The same by systemd's own program, which asks it past the bus where root does.
fn from_systemctl(names: &[&str]) -> Option<Vec<Properties>> {
    let deadline = Instant::now() + SYSTEMCTL_LIMIT;
    names.iter().map(|name| show(name, &PROPERTIES, deadline)).collect()
}

/// These properties of a unit, by `systemctl` alone.
pub fn show(name: &str, properties: &[&str], deadline: Instant) -> Option<Properties> {
    // A socket in a pipe's place, since one can be read with a time limit.
    let (mut ours, theirs) = UnixStream::pair().ok()?;
    let mut child = Command::new("systemctl")
        .args(["show", "--no-pager", "--timestamp=unix"])
        .arg(format!("--property={}", properties.join(",")))
        .args(["--", name])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(theirs))
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let said = read_until(&mut ours, deadline);
    // What has not ended by now is not waited for.
    let _ = child.kill();
    let _ = child.wait();
    let lines = said?;
    let rows = lines.lines().filter_map(|line| line.split_once('='));
    let said: Properties = rows.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    said.contains_key("LoadState").then_some(said)
}

fn read_until(stream: &mut UnixStream, deadline: Instant) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || bytes.len() > SYSTEMCTL_BYTES_MAX {
            return None;
        }
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut piece).ok()? {
            0 => return String::from_utf8(bytes).ok(),
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    #[test]
    fn whoever_says_nothing_or_too_much_is_not_waited_for() {
        let soon = || Instant::now() + Duration::from_millis(30);
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(read_until(&mut ours, soon()), None, "silent");
        drop(theirs);
        assert_eq!(read_until(&mut ours, soon()).as_deref(), Some(""), "ended");
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || while theirs.write_all(&[b'x'; 4096]).is_ok() {});
            assert_eq!(read_until(&mut ours, Instant::now() + Duration::from_secs(60)), None);
            drop(ours);
        });
    }

    #[test]
    fn values_of_the_bus_become_words() {
        for (value, word) in [
            (Variant::from("active"), Some("active")),
            (Variant::from(true), Some("true")),
            (Variant::from(u64::MAX), Some("18446744073709551615")),
            (Variant::from(-1_i32), Some("-1")),
            (Variant::from(vec!["a", "b"]), None),
        ] {
            assert_eq!(text(&value).as_deref(), word);
        }
    }
}
