//! The page in a real browser, Debian's Chromium without a window.
//!
//! Every cause in every language is a visitor's page, and in one language after another an
//! operator's. Each is opened once and looked at in both colour schemes at 320, 768 and 1280 px,
//! folded and unfolded, and at 320 px with text twice as large: nothing may be wider than the
//! window, no short word be broken within, no message come on the console, nothing break its
//! policy, nothing be asked for but the page. Then axe-core looks at it unfolded at 320 px: with
//! all of its rules in light colours, and with those on colours in dark ones, for the others see no
//! difference.
//!
//! With four languages these are 530 pages in 3180 views, about 350 seconds of processor time, half
//! of that on two idle cores. With `CAUSEWAY_PICTURES=1` a picture of each view lands in `pages/`
//! below cargo's target directory, with a sheet of them all, `index.html`; that takes as long again
//! and some hundred megabytes, so it is left out otherwise.
//!
//! A missing browser or axe-core fails these tests and says how to get it; `tests/run` installs
//! both.

#[path = "../page/samples.rs"]
#[allow(dead_code, reason = "the tests of the page's bytes use the rest")]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod samples;
#[path = "../support/mod.rs"]
mod support;

mod axe;
mod behaviour;
mod chromium;
mod pictures;
mod server;
mod views;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use chromium::Browser;
use pictures::Pictures;
use views::Case;

#[test]
fn the_page_of_every_cause_is_sound_in_every_view() {
    let start = Instant::now();
    let browser = Browser::shared();
    let cases = views::cases();
    let server = views::serve(&cases);
    let pictures = Pictures::wanted();
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let inspector = || {
        let mut tab = browser.tab();
        axe::install(&mut tab);
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = case.inspect(&mut tab, &server, pictures.as_ref());
            faults.lock().expect("nobody has panicked").extend(found);
        }
    };
    thread::scope(|scope| {
        let tabs = thread::available_parallelism().map_or(2, usize::from);
        let inspectors: Vec<_> = (0..tabs).map(|_| scope.spawn(inspector)).collect();
        inspectors.into_iter().for_each(|inspector| inspector.join().expect("it ends well"));
    });
    // The browser's own wish for a picture of the site is not among what its tabs report.
    let paths: HashSet<String> = cases.iter().map(Case::path).collect();
    let mut faults = faults.into_inner().expect("nobody has panicked");
    let others = server.asked().into_iter().filter(|request| !paths.contains(&request.path));
    faults.extend(others.map(|request| format!("the server was asked for {}", request.path)));
    let taken = start.elapsed();
    eprintln!("{} pages in {taken:.1?}", cases.len());
    if let Some(sheet) = pictures.map(Pictures::finish) {
        eprintln!("pictures: {}", sheet.display());
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Without this nobody knows whether a sound page is one that was looked at.
#[test]
fn what_is_wrong_with_a_page_is_seen() {
    let browser = Browser::shared();
    let mut tab = browser.tab();
    axe::install(&mut tab);
    let sound = views::cases().remove(0);
    for (part, by, expected) in [
        ("lang=\"en\"", "lang=\"xx\"", "language"),
        ("<title>", "<title>x</title><title>", "title"),
        ("<h1>", "<h1>Not ", "headings"),
        ("<!doctype html>", "", "mode"),
        ("</main>", "<script>0</script></main>", "Executing inline script violates"),
        ("</main>", "<p style=\"color:red\"></p></main>", "Applying inline style violates"),
        ("</main>", "<img src=\"http://shop.example/\" alt=\"\"></main>", "violates"),
        ("</main>", "<textarea cols=\"300\" aria-label=\"x\"></textarea></main>", "the page is"),
        (
            "</main>",
            "<p><font size=\"7\">unverbindlich</font></p></main>",
            "unverbindlich is broken",
        ),
        ("</main>", "<p><font color=\"#888\">pale words</font></p></main>", "axe: color-contrast"),
        ("</main>", "<button></button></main>", "axe: button-name"),
        ("</main>", "</main><p>x</p>", "axe: region"),
    ] {
        let spoilt = [sound.spoilt(part, by)];
        let faults = spoilt[0].inspect(&mut tab, &views::serve(&spoilt), None);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected} in {faults:#?}");
    }
}
