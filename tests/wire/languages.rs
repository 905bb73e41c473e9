//! The language of a page, and words of the operator's own, as clients and operators meet them.

use std::fs;
use std::process::Command;

use super::client::{Answer, Client};
use super::proxy::Program;

/// No socket is there.
const NOBODY: &str = "http+unix:/nonexistent/app.sock";

const GERMAN: &str = "language = \"de\"\n[page]\nwhat_you_can_do = \"Was Sie tun können\"\n\
    [cause.unix_socket_missing]\ntitle = \"Der Server nimmt keine Verbindung an\"\n";

/// A proxy before nobody, whose visitors are served in English, German and whatever else there is.
fn program(words: &str) -> (Program, String) {
    let program = Program::before(NOBODY, "");
    let file = program.path("de.toml");
    fs::write(&file, words).unwrap();
    let lines = format!(
        "[upstream.app]\nservers = [\"{NOBODY}\"]\n[page]\noperators = []\nwords = [\"{}\"]\n",
        file.display()
    );
    program.configure(&lines);
    program.signal("HUP");
    (program, lines)
}

fn ask(program: &Program, accept: &str, language: &str) -> Answer {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: shop.example\r\nAccept: {accept}\r\n\
         Accept-Language: {language}\r\nConnection: close\r\n\r\n"
    );
    Client::sent(program.address, request).answer("GET")
}

#[test]
fn a_page_is_in_the_readers_language() {
    let (program, _) = program(GERMAN);
    program.said("reloaded", 1);
    for accept in ["text/html", "application/problem+json", "text/plain"] {
        // The second of each is printed from the first.
        for _ in 0..2 {
            let rows = [("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr, en;q=0.1", "en"), ("", "en")];
            for (wanted, language) in rows {
                let answer = ask(&program, accept, wanted);
                assert_eq!(answer.status, 502, "{answer:?}");
                assert_eq!(answer.field("content-language"), Some(language), "{wanted}");
                assert_eq!(answer.field("vary"), Some("Accept, Accept-Language, Accept-Encoding"));
                assert_eq!(
                    answer.body.contains("Der Server nimmt"),
                    language == "de",
                    "{answer:?}"
                );
            }
        }
    }
    let html = ask(&program, "text/html", "de").body;
    assert!(html.contains("<html lang=\"de\">") && html.contains("Was Sie tun können"), "{html}");
}

#[test]
fn words_are_reloaded_and_wrong_ones_change_nothing() {
    let (program, lines) = program(GERMAN);
    program.said("reloaded", 1);
    let file = program.path("de.toml");
    fs::write(&file, GERMAN.replace("nimmt", "verweigert")).unwrap();
    program.signal("HUP");
    program.said("reloaded", 2);
    assert!(ask(&program, "text/plain", "de").body.contains("Der Server verweigert"));

    fs::write(&file, GERMAN.replace("title", "titel")).unwrap();
    program.configure(&format!("workerz = 1\n{lines}"));
    program.signal("HUP");
    let said = program.said("stays in force", 1);
    let place = format!("{}:5:1: unknown member `titel`", file.display());
    assert!(said.contains(&place) && said.contains("did you mean `title`?"), "{said}");
    assert!(said.contains(":3:1: unknown key `workerz`"), "{said}");
    assert!(ask(&program, "text/plain", "de").body.contains("Der Server verweigert"));
}

#[test]
fn a_check_tells_how_much_of_a_language_is_missing() {
    let (program, _) = program(GERMAN);
    program.said("reloaded", 1);
    let config = program.path("causeway.toml");
    let mut check = Command::new(env!("CARGO_BIN_EXE_causeway"));
    let output = check.args(["check", "--config"]).arg(config).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("no problems") && said.contains("words of `de` are those of `en`"));
}
