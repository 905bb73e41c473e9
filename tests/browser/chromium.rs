//! Debian's Chromium without a window, driven over the DevTools protocol.
//!
//! The protocol runs over two pipes (`--remote-debugging-pipe`): the browser reads JSON messages
//! from descriptor 3 and writes them to 4, each ended by a zero byte. Tests that run at once share
//! one browser; each of its tabs has a window and a profile of its own, so that none sleeps behind
//! another.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = "/usr/bin/chromium";

/// How long anything may take in the browser.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the browser is told beside the pipes. It opens pages of ours alone, so it does without the
/// sandbox, which it cannot have as root; and it asks nobody for anything else.
const ARGUMENTS: [&str; 13] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--lang=en",
    // The one name that there is; everything else is unknown.
    "--host-resolver-rules=MAP shop.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// A running browser; it ends with this value.
#[derive(Debug)]
pub struct Browser {
    child: Mutex<Child>,
    commands: Mutex<ChildStdin>,
    next: AtomicU64,
    waiting: Arc<Mutex<Waiting>>,
    dir: TempDir,
}

/// Who waits for what the browser says.
#[derive(Debug, Default)]
struct Waiting {
    answers: HashMap<u64, Sender<Value>>,
    /// By session, which is a tab.
    events: HashMap<String, Sender<Value>>,
}

/// A tab in a window of its own; it closes with this value.
#[derive(Debug)]
pub struct Tab {
    browser: Arc<Browser>,
    context: String,
    session: String,
    events: Receiver<Value>,
    /// What has happened since the page was opened, and nobody has taken yet.
    seen: Vec<Event>,
    /// The worlds of the page, by their names.
    worlds: HashMap<String, Value>,
}

/// Something that the browser tells without being asked.
#[derive(Debug, Clone)]
pub struct Event {
    pub method: String,
    pub params: Value,
}

impl Browser {
    /// The browser of all tests that run just now.
    pub fn shared() -> Arc<Browser> {
        static SHARED: Mutex<Weak<Browser>> = Mutex::new(Weak::new());
        let mut shared = held(&SHARED);
        shared.upgrade().unwrap_or_else(|| {
            let browser = Arc::new(Browser::start());
            *shared = Arc::downgrade(&browser);
            browser
        })
    }

    fn start() -> Browser {
        assert!(
            fs::exists(PROGRAM).unwrap_or(false),
            "{PROGRAM} is missing: apt-get install chromium"
        );
        let dir = tempfile::tempdir().expect("a temporary directory");
        let errors = File::create(dir.path().join("stderr")).expect("a file");
        // Standard input and output of the shell become descriptors 3 and 4 of the browser.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh", PROGRAM])
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .arg("about:blank")
            .env("HOME", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .process_group(0)
            .spawn()
            .expect("a shell starts");
        let commands = Mutex::new(child.stdin.take().expect("it is piped"));
        let messages = BufReader::new(child.stdout.take().expect("it is piped"));
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let told = waiting.clone();
        thread::spawn(move || deliver(messages, &told));
        Browser { child: Mutex::new(child), commands, next: AtomicU64::new(1), waiting, dir }
    }

    /// Opens an empty tab.
    pub fn tab(self: &Arc<Browser>) -> Tab {
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        let context = self.call(None, "Target.createBrowserContext", json!({}));
        let context = text(&context["browserContextId"]);
        let place = json!({ "url": "about:blank", "browserContextId": context, "newWindow": true });
        let target = self.call(None, "Target.createTarget", place);
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = text(&self.call(None, "Target.attachToTarget", target)["sessionId"]);
        let (sender, events) = mpsc::channel();
        held(&self.waiting).events.insert(session.clone(), sender);
        let (seen, worlds) = (Vec::new(), HashMap::new());
        let mut tab = Tab { browser: self.clone(), context, session, events, seen, worlds };
        for domain in ["Page", "Runtime", "Network", "Log", "Audits"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true }));
        tab.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        tab
    }

    /// Sends a command, to a tab or to the browser itself, and waits for its answer.
    fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let (sender, answer) = mpsc::channel();
        held(&self.waiting).answers.insert(id, sender);
        let sent = held(&self.commands).write_all(format!("{message}\0").as_bytes());
        let answer = answer.recv_timeout(PATIENCE);
        let (Ok(()), Ok(mut answer)) = (sent, answer) else {
            let said = fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default();
            panic!("Chromium does not answer {method}; it said:\n{said}");
        };
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let mut child = held(&self.child);
        // Left to itself it ends its helpers and waits for each.
        let close = r#"{"id":0,"method":"Browser.close"}"#;
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut ends = held(&self.commands).write_all(format!("{close}\0").as_bytes()).is_ok();
        while ends && matches!(child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
            ends = Instant::now() < deadline;
        }
        // The browser, its helpers and their renderers are one process group.
        let group = format!("kill -s KILL -- -{}", child.id());
        let _ = Command::new("sh").args(["-c", &group]).stderr(Stdio::null()).status();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Hands out what the browser says until it ends; whoever waits then is told by his channel's end.
fn deliver(mut messages: BufReader<ChildStdout>, waiting: &Mutex<Waiting>) {
    loop {
        let mut message = Vec::new();
        match messages.read_until(0, &mut message) {
            Ok(read) if read > 0 => {}
            _ => break,
        }
        message.pop();
        let message: Value = serde_json::from_slice(&message).expect("Chromium sends JSON");
        let mut waiting = held(waiting);
        let receiver = match (message["id"].as_u64(), message["sessionId"].as_str()) {
            (Some(id), _) => waiting.answers.remove(&id),
            (None, Some(session)) => waiting.events.get(session).cloned(),
            (None, None) => None,
        };
        // Who has gone does not want it any more.
        let _ = receiver.map(|receiver| receiver.send(message));
    }
    *held(waiting) = Waiting::default();
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tab {
    /// Sends a command and waits for its answer.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params)
    }

    /// Opens an address and waits until it has loaded; what happened before is forgotten.
    pub fn open(&mut self, url: &str) {
        self.events();
        let went = self.call("Page.navigate", json!({ "url": url }));
        assert!(went["errorText"].is_null(), "{url}: {}", went["errorText"]);
        self.wait("the load of the page", |event| {
            event.method == "Page.lifecycleEvent"
                && event.params["name"] == "load"
                && event.params["loaderId"] == went["loaderId"]
        });
        // The page before may have done something while this one was on its way.
        let own = |event: &Event| {
            event.method == "Page.lifecycleEvent" && event.params["loaderId"] == went["loaderId"]
        };
        let start = self.seen.iter().position(own).expect("it has loaded");
        self.seen.drain(..start);
    }

    /// Waits until something has happened that nobody has taken yet.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        self.gather();
        let mut at = 0;
        while !self.seen[at..].iter().any(&wanted) {
            at = self.seen.len();
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(message) => self.keep(message),
                Err(_) => panic!("waited for {what} in vain; there were {:#?}", self.seen),
            }
        }
    }

    /// Takes all that has happened since the last time.
    pub fn events(&mut self) -> Vec<Event> {
        self.gather();
        std::mem::take(&mut self.seen)
    }

    fn gather(&mut self) {
        while let Ok(message) = self.events.try_recv() {
            self.keep(message);
        }
    }

    fn keep(&mut self, message: Value) {
        let event = Event::of(message);
        if event.method == "Runtime.executionContextCreated" {
            let context = &event.params["context"];
            let name = context["name"].as_str().unwrap_or_default().to_owned();
            self.worlds.insert(name, context["id"].clone());
        }
        self.seen.push(event);
    }

    /// The value of a script's last expression, once it is there if it is a promise.
    pub fn evaluate(&mut self, script: &str) -> Value {
        self.run(script, None)
    }

    /// The same in a world beside the page's own, see [`Tab::add_script`].
    pub fn evaluate_in(&mut self, world: &str, script: &str) -> Value {
        self.gather();
        let context = self.worlds.get(world).unwrap_or_else(|| panic!("no world {world}")).clone();
        self.run(script, Some(context))
    }

    fn run(&mut self, script: &str, context: Option<Value>) -> Value {
        let mut asked = json!({
            "expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true,
        });
        if let Some(context) = context {
            asked["contextId"] = context;
        }
        let mut answer = self.call("Runtime.evaluate", asked);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{thrown}\nin {script}");
        answer["result"]["value"].take()
    }

    /// Has a script run in every page that is opened from now on, in a world of its own: it sees
    /// the page, but the page's script does not see it, nor does the page's policy bind it.
    pub fn add_script(&mut self, world: &str, script: &str) {
        let added = json!({ "source": script, "worldName": world });
        self.call("Page.addScriptToEvaluateOnNewDocument", added);
    }

    /// The page in its whole length, as JPEG: WebP ends at 16383 px, which some pages exceed.
    pub fn picture(&mut self) -> Vec<u8> {
        let size = "({ x: 0, y: 0, scale: 1, width: document.documentElement.clientWidth, \
                    height: document.documentElement.scrollHeight })";
        let asked = json!({
            "format": "jpeg", "quality": 50, "captureBeyondViewport": true,
            "optimizeForSpeed": true, "clip": self.evaluate(size),
        });
        let picture = self.call("Page.captureScreenshot", asked);
        base64(picture["data"].as_str().expect("a picture"))
    }

    /// Sets how wide the window is; narrow ones are those of a telephone, which heeds the page's
    /// own word on its width.
    pub fn resize(&mut self, width: u32) {
        let mobile = width < 1000;
        let size = json!({
            "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": mobile,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Sets the medium and features such as `("prefers-color-scheme", "dark")`.
    pub fn media(&mut self, medium: &str, features: &[(&str, &str)]) {
        let features = features.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        let features = features.collect::<Vec<_>>();
        self.call("Emulation.setEmulatedMedia", json!({ "media": medium, "features": features }));
    }

    /// Lets the page's clock run on by so many seconds, as fast as it can; it stands still while
    /// the page waits for an answer.
    pub fn pass(&mut self, seconds: u32) {
        self.events();
        let policy = json!({ "policy": "pauseIfNetworkFetchesPending", "budget": seconds * 1000 });
        self.call("Emulation.setVirtualTimePolicy", policy);
        self.wait("the end of the time", |event| {
            event.method == "Emulation.virtualTimeBudgetExpired"
        });
    }

    /// Presses the middle of an element with the mouse, as a person does.
    pub fn press(&mut self, element: &str) {
        let at = self.evaluate(&format!(
            "(element => {{ element.scrollIntoView({{ block: 'center' }}); \
             const box = element.getBoundingClientRect(); \
             return {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }}; }})({element})"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// What was copied last; the page must be one of this host.
    pub fn clipboard(&mut self) -> String {
        let allowed = json!({
            "permissions": ["clipboardReadWrite"], "browserContextId": self.context,
        });
        self.browser.call(None, "Browser.grantPermissions", allowed);
        let text = self.evaluate("navigator.clipboard.readText()");
        text.as_str().expect("text was copied").to_owned()
    }

    /// Has text be twice as large as it is by itself, or so no longer: what a reader chooses who
    /// sees badly.
    pub fn double_text(&mut self, doubled: bool) {
        let (standard, fixed) = if doubled { (32, 26) } else { (16, 13) };
        let sizes = json!({ "standard": standard, "fixed": fixed });
        self.call("Page.setFontSizes", json!({ "fontSizes": sizes }));
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        held(&self.browser.waiting).events.remove(&self.session);
        // Nobody waits for the answer: a browser that has died must not have us panic twice.
        let close = json!({
            "id": self.browser.next.fetch_add(1, Ordering::Relaxed),
            "method": "Target.disposeBrowserContext",
            "params": { "browserContextId": self.context },
        });
        let _ = held(&self.browser.commands).write_all(format!("{close}\0").as_bytes());
    }
}

impl Event {
    fn of(mut message: Value) -> Event {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        Event { method, params: message["params"].take() }
    }
}

/// The bytes of standard base64 (RFC 4648 section 4).
fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().take_while(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
