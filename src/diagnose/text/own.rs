//! Words of the operator's own: a file that changes a language or adds one.
//!
//! What a file may hold is read off the words that are compiled in: the same sections, ids and
//! members, of the same types, with the same things left to be filled in. What it does not hold is
//! taken from its base. Every mistake is told, with its place. Pure.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::de::DeValue;
use toml::{Spanned, Table as Tables, Value};
use unic_langid::LanguageIdentifier;

use crate::config::{Fault, Objection, Place, Table, TextFile, nearest, read_document, wrong_type};

use super::languages::{Partial, unknown};
use super::{Counted, SOURCES, System, Tree, Words, languages};

/// A language that a site may offer.
#[derive(Debug)]
pub struct Known {
    pub language: String,
    /// What it says; `None` for one that is compiled in and stays as it is.
    own: Option<Own>,
    /// Its position among those that are compiled in.
    compiled: Option<usize>,
}

#[derive(Debug)]
struct Own {
    tree: Tree,
    /// Position of the last file that had a say.
    file: usize,
    /// The language of what no file says, and how much that is.
    base: String,
    missing: usize,
}

impl Known {
    pub fn is(&self, language: &str) -> bool {
        self.language.eq_ignore_ascii_case(language)
    }

    /// What is missing of a language that is not compiled in.
    pub fn partial(&self) -> Option<Partial> {
        let own = self.own.as_ref().filter(|own| self.compiled.is_none() && own.missing > 0)?;
        let (language, base) = (self.language.clone(), own.base.clone());
        Some(Partial { language, base, missing: own.missing })
    }

    /// The words themselves.
    ///
    /// # Errors
    /// What the checks of [`read`] let pass, as a problem of the file as a whole.
    pub fn words(&self) -> Result<Cow<'static, Words>, Vec<Objection>> {
        let Some(own) = &self.own else {
            return Ok(Cow::Borrowed(&languages()[self.compiled.unwrap_or_default()]));
        };
        let words = Words::of(self.language.clone().into(), own.tree.clone());
        words.map(Cow::Owned).map_err(|message| {
            vec![Objection { place: Place::Words(own.file), problem: Fault::new(message).at(0..0) }]
        })
    }

    fn tree(&self) -> Tree {
        match (&self.own, self.compiled) {
            (Some(own), _) => own.tree.clone(),
            (None, Some(at)) => SOURCES[at].tree().expect("a test reads every language"),
            (None, None) => Tree::new(),
        }
    }
}

/// Every language there is: those compiled in, and what the files make of them.
pub fn read(files: &[TextFile], objections: &mut Vec<Objection>) -> Vec<Known> {
    let compiled = SOURCES.iter().enumerate();
    let mut known: Vec<Known> = compiled
        .map(|(at, source)| Known {
            language: source.language.to_owned(),
            own: None,
            compiled: Some(at),
        })
        .collect();
    for (number, file) in files.iter().enumerate() {
        let problems = read_document(&file.text, |table| read_file(table, number, &mut known));
        let place = Place::Words(number);
        objections.extend(problems.into_iter().map(|problem| Objection { place, problem }));
    }
    known
}

fn read_file(mut table: Table<'_>, file: usize, known: &mut Vec<Known>) {
    let mistakes = table.mistakes;
    let language = table.parsed("language", tag);
    let base = table.text("base");
    if language.is_none() && !table.has("language") {
        let fault = Fault::new("the file does not say its language");
        mistakes.note(fault.expected("e.g. language = \"de\""), 0..0);
    }
    let at = known.iter().position(|known| language.as_ref().is_some_and(|tag| known.is(tag)));
    let mut from = at.unwrap_or_default();
    if let Some(base) = &base {
        let named = known.iter().position(|known| known.is(base.value));
        match (named, at) {
            (None, _) => mistakes.note(unknown(base.value, known), base.span.clone()),
            (Some(_), Some(_)) => {
                let fault = Fault::new("`base` is for a language that is not there yet");
                mistakes.note(fault.expected("no `base`"), base.span.clone());
            }
            (Some(named), None) => from = named,
        }
    }
    let mut over = Over {
        language: language.clone().unwrap_or_else(|| known[from].language.clone()),
        tree: known[from].tree(),
        said: 0,
    };
    for (section, _) in SOURCES[0].sections() {
        if let Some(entries) = table.table(section) {
            over.section(section, entries);
        }
    }
    table.finish();
    let Some(language) = language else { return };
    let Over { tree, said, .. } = over;
    match at {
        Some(at) => {
            let known = &mut known[at];
            let (base, missing) = match known.own.take() {
                Some(own) => (own.base, own.missing.saturating_sub(said)),
                None => (known.language.clone(), 0),
            };
            known.own = Some(Own { tree, file, base, missing });
        }
        None => {
            let missing = members(&tree).saturating_sub(said);
            let own = Own { tree, file, base: known[from].language.clone(), missing };
            known.push(Known { language, own: Some(own), compiled: None });
        }
    }
}

/// A BCP 47 tag.
fn tag(text: &str) -> Result<String, Fault> {
    let well_formed = text.parse::<LanguageIdentifier>().is_ok() && !text.contains('_');
    let fault = || Fault::new(format!("`{text}` is no language tag"));
    well_formed.then(|| text.to_owned()).ok_or_else(|| fault().expected("e.g. \"de\", \"pt-BR\""))
}

/// How many members a language has.
fn members(tree: &Tree) -> usize {
    let count = |(name, entries): (&&str, &Tables)| match *name {
        "page" => entries.len(),
        _ => entries.values().filter_map(Value::as_table).map(Tables::len).sum(),
    };
    tree.iter().map(count).sum()
}

/// A file's words on their way over those of its base.
struct Over {
    language: String,
    tree: Tree,
    /// How many members the file holds.
    said: usize,
}

impl Over {
    /// `[page]` holds members, the others hold a table of members for each id.
    fn section(&mut self, name: &'static str, entries: Table<'_>) {
        let mut base = self.tree.remove(name).unwrap_or_default();
        if name == "page" {
            // Every one is there in every language.
            let model = base.clone();
            self.members(&entries, &mut base, &model);
        } else {
            let any = base.values().filter_map(Value::as_table).flatten();
            let model: Tables = any.map(|(key, value)| (key.clone(), value.clone())).collect();
            for (id, value) in entries.entries() {
                let written = id.get_ref().as_ref();
                let Some(Value::Table(base)) = base.get_mut(written) else {
                    let ids = base.keys().map(String::as_str);
                    let fault = Fault::new(format!("no {name} is called `{written}`"));
                    let near = nearest(written, ids);
                    let fault = match near {
                        Some(_) => fault.nearest(near),
                        None => fault.expected("a name that `causeway explain` shows"),
                    };
                    entries.mistakes.note(fault, id.span());
                    continue;
                };
                let hint = format!("`[{name}.{written}]`");
                if let Some(members) = entries.as_table(written, value, &hint) {
                    self.members(&members, base, &model);
                }
            }
        }
        self.tree.insert(name, base);
    }

    fn members(&mut self, own: &Table<'_>, base: &mut Tables, model: &Tables) {
        for (key, value) in own.entries() {
            let written = key.get_ref().as_ref();
            let Some(expected) = model.get(written) else {
                own.mistakes.note(unknown_member(written, model), key.span());
                continue;
            };
            self.said += 1;
            let like = base.get(written).unwrap_or(expected);
            let taken = match like {
                Value::Table(_) => self.counted(own, written, value),
                Value::Array(_) => steps(own, value),
                Value::String(like) => own.as_text(value).map(|text| {
                    for lost in lost(like, text.value) {
                        let fault = Fault::new(format!("`{lost}` is lost"));
                        let fault = fault.expected(format!("a text with `{lost}` in it"));
                        own.mistakes.note(fault, text.span.clone());
                    }
                    Value::String(text.value.to_owned())
                }),
                Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
                    None
                }
            };
            if let Some(taken) = taken {
                base.insert(written.to_owned(), taken);
            }
        }
    }

    /// A number in words, in every form that the language has.
    fn counted(&self, own: &Table<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let mut table = own.as_table(key, value, &format!("`{key} = {{ one = …, other = … }}`"))?;
        let span = table.span.clone();
        let mut forms = Tables::new();
        for name in ["zero", "one", "two", "few", "many", "other"] {
            let Some(text) = table.text(name) else { continue };
            if !text.value.contains("{n}") {
                let fault = Fault::new("`{n}` is lost").expected("a text with `{n}` in it");
                table.mistakes.note(fault, text.span);
            }
            forms.insert(name.to_owned(), Value::String(text.value.to_owned()));
        }
        let mistakes = table.mistakes;
        table.finish();
        let language = &self.language;
        let Ok(counted) = Counted::deserialize(forms.clone()) else {
            mistakes.note(Fault::new("`other` is missing").expected("other = \"…\""), span);
            return None;
        };
        let (missing, idle) = counted.faults(language);
        for name in missing {
            let fault = Fault::new(format!("`{name}` is missing"));
            let expected = format!("every form that numbers take in `{language}`");
            mistakes.note(fault.expected(expected), span.clone());
        }
        for name in idle {
            let fault = Fault::new(format!("no number takes `{name}` in `{language}`"));
            mistakes.note(fault, span.clone());
        }
        Some(Value::Table(forms))
    }
}

fn unknown_member(written: &str, model: &Tables) -> Fault {
    let fault = Fault::new(format!("unknown member `{written}`"));
    match nearest(written, model.keys().map(String::as_str)) {
        Some(near) => fault.nearest(Some(near)),
        None => fault.expected(model.keys().cloned().collect::<Vec<_>>().join(", ")),
    }
}

/// An array of strings, or of tables for one kind of computer.
fn steps(own: &Table<'_>, value: &Spanned<DeValue<'_>>) -> Option<Value> {
    let Some(items) = value.get_ref().as_array() else {
        own.mistakes.note(wrong_type("an array of strings", value), value.span());
        return None;
    };
    if items.is_empty() {
        let fault = Fault::new("an empty list").expected("at least one element");
        own.mistakes.note(fault, value.span());
    }
    let step = |item: &Spanned<DeValue<'_>>| {
        if item.get_ref().as_table().is_none() {
            return own.as_text(item).map(|text| Value::String(text.value.to_owned()));
        }
        let mut table = own.as_table("", item, "a string")?;
        let system = table.parsed("system", system);
        let text = table.text("text").map(|text| text.value.to_owned());
        let span = table.span.clone();
        let mistakes = table.mistakes;
        if !table.has("system") || !table.has("text") {
            let fault = Fault::new("a step of this kind has `system` and `text`");
            mistakes.note(fault, span);
        }
        table.finish();
        let members = [("system", Value::String(system?)), ("text", Value::String(text?))];
        let members = members.into_iter().map(|(key, value)| (key.to_owned(), value));
        Some(Value::Table(members.collect()))
    };
    Some(Value::Array(items.iter().filter_map(step).collect()))
}

fn system(text: &str) -> Result<String, Fault> {
    let names = System::ALL.map(<&str>::from);
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(format!("unknown system `{text}`"));
    Err(fault.expected(names.map(|name| format!("\"{name}\"")).join(", ")))
}

/// What is left to be filled in of a text and is not in another.
fn lost<'a>(like: &'a str, own: &str) -> BTreeSet<&'a str> {
    placeholders(like).filter(|name| !own.contains(name)).collect()
}

/// `{time}` and its like.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let name = |range: Range<usize>| {
        let inner = &text[range.start + 1..range.end - 1];
        let is_name = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_lowercase());
        is_name.then(|| &text[range])
    };
    text.match_indices('{').filter_map(move |(start, _)| {
        let length = text[start..].find('}')?;
        name(start..start + length + 1)
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Page, Placed};
    use crate::diagnose::{Code, FixId, Languages};

    fn page(languages: &[&str], files: &[&str]) -> Page {
        let placed = |tag: &&str| Placed { value: (*tag).to_owned(), span: 0..0 };
        let file = |text: &&str| TextFile { path: PathBuf::from("/w.toml"), text: (*text).into() };
        Page {
            languages: languages.iter().map(placed).collect(),
            words: files.iter().map(file).collect(),
            ..Page::default()
        }
    }

    /// The messages about one file, each as `line: message (nearest)`.
    fn messages(file: &str) -> Vec<String> {
        let Err(objections) = Languages::of(&page(&[], &[file])) else { return Vec::new() };
        let told = objections.iter().map(|Objection { problem, .. }| {
            let line = file[..problem.span.start].matches('\n').count() + 1;
            let near = problem.nearest.as_ref().map(|near| format!(" ({near})"));
            format!("{line}: {}{}", problem.message, near.unwrap_or_default())
        });
        told.collect()
    }

    #[test]
    fn a_file_changes_a_language() {
        let file = "language = \"en\"\n[page]\nyou = \"Thou\"\n\
            [cause.connection_refused]\ntitle = \"Nobody is in\"\n\
            [fix.reload]\nsteps = [\"Wait.\", { system = \"macos\", text = \"Press Cmd+R.\" }]\n";
        let languages = Languages::of(&page(&[], &[file])).unwrap();
        assert_eq!(&*languages.tags()[0], "en");
        let (own, ours) = (languages.words(0), crate::diagnose::english());
        assert_eq!((own.page.you.as_str(), &own.page.gateway), ("Thou", &ours.page.gateway));
        let cause = own.cause(Code::ConnectionRefused);
        assert_eq!(cause.title, "Nobody is in");
        assert_eq!(cause.visitor, ours.cause(Code::ConnectionRefused).visitor);
        let fix = own.fix(FixId::Reload);
        assert_eq!((fix.steps.len(), &fix.title), (2, &ours.fix(FixId::Reload).title));
        assert_eq!(fix.steps[1].for_any(), "macOS: Press Cmd+R.");
        assert!(languages.partial().is_empty());
    }

    #[test]
    fn a_file_adds_a_language_and_a_second_one_goes_on() {
        let first = "language = \"de\"\n[page]\nyou = \"Sie\"\n[page.days_ago]\n\
            one = \"vor {n} Tag\"\nother = \"vor {n} Tagen\"\n";
        let second = "language = \"DE\"\n[page]\nsite = \"Website\"\n";
        let third = "language = \"de-AT\"\nbase = \"de\"\n[page]\nyou = \"Servus\"\n";
        let languages = Languages::of(&page(&["de-at", "de"], &[first, second, third])).unwrap();
        assert_eq!(languages.tags(), [Box::from("de-AT"), Box::from("de")]);
        let [austrian, german] = [0, 1].map(|at| &languages.words(at).page);
        assert_eq!((austrian.you.as_str(), austrian.site.as_str()), ("Servus", "Website"));
        assert_eq!((german.you.as_str(), german.site.as_str()), ("Sie", "Website"));
        let ago = languages.words(1).ago(std::time::Duration::from_secs(90_000));
        assert_eq!(ago, "vor 1 Tag");
        let [german, austrian] = languages.partial() else { panic!("{:?}", languages.partial()) };
        assert_eq!((german.base.as_str(), austrian.base.as_str()), ("en", "de"));
        assert_eq!(german.missing + 2, austrian.missing);
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        let file = "language = \"ru\"\nbase = \"em\"\ncolour = 1\n\
            [page]\nyuo = \"x\"\nsite = 3\nfailing_since = \"since {tmie} ({ago})\"\n\
            [page.hours_ago]\none = \"{n} h\"\nfew = \"h\"\nother = \"{n} h\"\n\
            [cause.connection_refuse]\ntitle = \"x\"\n\
            [cause.dns_refused]\ntitel = \"x\"\nvisitor = [\"x\"]\n\
            [fix]\nreload = \"x\"\n\
            [fix.come_back]\nsteps = [1, { system = \"linus\", text = \"x\" }, { text = \"y\" }]\n\
            [fix.other_site]\nsteps = []\n";
        let mut told = messages(file);
        told.sort_by_key(|line| line.split(':').next().unwrap().parse::<u32>().unwrap());
        assert_eq!(
            told,
            [
                "2: no words for the language `em` (en)",
                "3: unknown key `colour`",
                "5: unknown member `yuo` (you)",
                "6: expected a string, found an integer",
                "7: `{time}` is lost",
                "8: `many` is missing",
                "10: `{n}` is lost",
                "12: no cause is called `connection_refuse` (connection_refused)",
                "15: unknown member `titel` (title)",
                "16: expected a string, found an array",
                "18: expected a table, found a string",
                "20: expected a string, found an integer",
                "20: unknown system `linus`",
                "20: a step of this kind has `system` and `text`",
                "22: an empty list",
            ]
        );
    }

    #[test]
    fn the_language_of_a_file_must_be_one() {
        assert_eq!(messages("[page]\n"), ["1: the file does not say its language"]);
        for (tag, message) in [
            ("d", "1: `d` is no language tag"),
            ("de_DE", "1: `de_DE` is no language tag"),
            ("", "1: `` is no language tag"),
        ] {
            assert_eq!(messages(&format!("language = \"{tag}\"")), [message]);
        }
        let based = "language = \"en\"\nbase = \"en\"";
        assert_eq!(messages(based), ["2: `base` is for a language that is not there yet"]);
        assert_eq!(messages("language = \"de\"\n[page\n").len(), 1);
    }

    #[test]
    fn languages_are_those_there_are() {
        let unknown = Languages::of(&page(&["en", "de", "EN"], &[])).unwrap_err();
        let told: Vec<_> = unknown.iter().map(|told| told.problem.message.as_str()).collect();
        assert_eq!(told, ["no words for the language `de`", "`EN` stands here twice"]);
        let all = Languages::of(&page(&[], &["language = \"de\""])).unwrap();
        assert_eq!(all.tags().len(), SOURCES.len() + 1);
        assert_eq!(&**all.tags().last().unwrap(), "de");
    }

    #[test]
    fn what_is_left_to_be_filled_in_is_found() {
        let found: Vec<_> = placeholders("a {time} {} {A} {ago} {x").collect();
        assert_eq!(found, ["{time}", "{ago}"]);
        assert_eq!(lost("{a} {b}", "{b}"), ["{a}"].into());
    }
}
