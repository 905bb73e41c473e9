//! What a site puts in place of our page, or over it: a template, a style sheet, and the policies
//! that allow what stands in them. Proven when the configuration is loaded. Pure.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;

use crate::diagnose::{Languages, Report, Words};

use super::template::Template;
use super::values::Values;
use super::{View, assets, policy, trial};

/// A page or style of the operator's own.
#[derive(Debug)]
pub struct Own {
    style: Option<Box<str>>,
    policy: HeaderValue,
    template: Option<(Template, HeaderValue)>,
}

/// A page that is the same for everybody.
#[derive(Debug)]
pub struct Fixed {
    pub(super) body: Bytes,
    /// Allows what stands in it.
    pub(super) policy: HeaderValue,
}

/// Which of the two files a fault stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Template,
    Style,
}

/// What is wrong with one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFault {
    pub part: Part,
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    pub message: String,
    /// What would be right.
    pub expected: Option<String>,
}

impl Own {
    /// Reads both and tries the template on every kind of page; `None` if there is neither.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(
        template: Option<&str>,
        style: Option<&str>,
        languages: &Languages,
    ) -> Result<Option<Own>, Vec<OwnFault>> {
        if template.is_none() && style.is_none() {
            return Ok(None);
        }
        let mut faults: Vec<OwnFault> = style.into_iter().flat_map(leaves_its_element).collect();
        let css = style.unwrap_or_default();
        let template = template.and_then(|source| {
            let (styles, scripts) = sources(source, css, &mut faults);
            let policy = header(&policy::policy(&styles, &scripts));
            match Template::new(source, css) {
                Ok(template) => {
                    faults.extend(trial::faults(&template, source, languages));
                    Some((template, policy))
                }
                Err(fault) => {
                    faults.push(fault);
                    None
                }
            }
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let ours = assets::policy();
        let policy = match style {
            Some(style) => {
                let sources = format!("style-src {} ", policy::source(style));
                header(&ours.replacen("style-src ", &sources, 1))
            }
            None => HeaderValue::from_static(ours),
        };
        Ok(Some(Own { style: style.map(Into::into), policy, template }))
    }

    /// The style sheet that follows ours.
    pub fn style(&self) -> Option<&str> {
        self.style.as_deref()
    }

    /// The policy of our page with that style sheet.
    pub fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// Whether a template takes the place of our page.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// The page by the template, and its policy; `None` if there is none, or it failed.
    pub fn html(
        &self,
        report: &Report,
        words: &Words,
        view: &View<'_>,
        values: &Values,
    ) -> Option<(String, HeaderValue)> {
        let (template, policy) = self.template.as_ref()?;
        Some((template.html(report, words, view, values)?, policy.clone()))
    }
}

impl Fixed {
    pub fn new(page: &str) -> Fixed {
        let sources = |name| -> Vec<String> {
            policy::blocks(page, name).map(|block| policy::source(&page[block])).collect()
        };
        let policy = policy::policy(&sources("style"), &sources("script"));
        Fixed { body: Bytes::copy_from_slice(page.as_bytes()), policy: header(&policy) }
    }
}

/// What stands in the template's style sheets and scripts, as the policy names it.
fn sources(template: &str, style: &str, faults: &mut Vec<OwnFault>) -> (Vec<String>, Vec<String>) {
    let mut named = |name| -> Vec<String> {
        let blocks = policy::blocks(template, name);
        let known = blocks.filter_map(|span| {
            let text = template[span.clone()].replace("{{ style }}", style);
            // What changes from page to page has no hash that could be known.
            let changes = |mark| text.contains(mark) && !style.contains(mark);
            if ["{{", "{%", "{#"].into_iter().any(changes) {
                let message = format!("a `<{name}>` whose text is not the same on every page");
                let expected = "a text without `{{`, `{%` and `{#`; `{{ style }}` is allowed";
                faults.push(OwnFault::template(span, message).expected(expected));
                return None;
            }
            Some(policy::source(&text))
        });
        known.collect()
    };
    (named("style"), named("script"))
}

/// In HTML a style sheet ends at the first `</style`, wherever that stands.
fn leaves_its_element(style: &str) -> Option<OwnFault> {
    let at = style.to_ascii_lowercase().find("</style")?;
    let span = at..at + "</style".len();
    let message = "`</style` ends the style sheet".to_owned();
    Some(OwnFault { part: Part::Style, span, message, expected: None })
}

fn header(policy: &str) -> HeaderValue {
    HeaderValue::try_from(policy).expect("words and base64 are printable ASCII")
}

impl OwnFault {
    pub fn template(span: Range<usize>, message: String) -> OwnFault {
        OwnFault { part: Part::Template, span, message, expected: None }
    }

    pub fn expected(self, expected: impl Into<String>) -> OwnFault {
        OwnFault { expected: Some(expected.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(template: &str, style: &str) -> Result<Option<Own>, Vec<OwnFault>> {
        let style = Some(style).filter(|style| !style.is_empty());
        Own::new(Some(template), style, &Languages::default())
    }

    /// The messages about a template, each with what it is about.
    fn faults(template: &str) -> Vec<(String, String)> {
        let faults = own(template, "").err().unwrap_or_default();
        let told = |fault: OwnFault| (template[fault.span].to_owned(), fault.message);
        faults.into_iter().map(told).collect()
    }

    #[test]
    fn every_mistake_has_its_place() {
        for (template, place, message) in [
            ("{{ titel }}", "titel", "`titel` is not there"),
            ("{% if evidense %}x{% endif %}", "evidense", "`evidense` is not there"),
            ("{% for f in fixes %}{{ f.tilte }}{% endfor %}", "f.tilte", "`f.tilte` is not there"),
            (
                "{% if cause == 'maintenance' or status == 431 %}{{ x }}{% endif %}",
                "x",
                "`x` is not there",
            ),
            ("{{ words.yuo }}", "words.yuo", "`words.yuo` is not there"),
            ("a\n{% for f in fixes %}", "", "unexpected end of input, expected end of block"),
            ("{{ title|shout }}", "shout", "filter shout is unknown"),
            ("{% include 'x' %}", "include", "unknown statement include"),
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                "",
                "the page takes more than 250000 steps",
            ),
            ("{{ 'x' * 300000 }}", "{{ 'x' * 300000 }}", "the page is larger than 256 KiB"),
            (
                "<style>a{color:{{ status }}}</style>",
                "a{color:{{ status }}}",
                "a `<style>` whose text is not the same on every page",
            ),
        ] {
            let told = faults(template);
            let [(where_to, what)] = told.as_slice() else { panic!("{template}: {told:?}") };
            assert_eq!(what, message, "{template}");
            assert!(place.is_empty() || where_to == place, "{template}: {where_to}");
        }
        let two = faults("{{ a }}{% if audience == 'operator' %}{{ b }}{% endif %}");
        assert_eq!(two.len(), 1, "one page has one: {two:?}");
        let two = faults("{% if audience == 'operator' %}{{ b }}{% else %}{{ a }}{% endif %}");
        assert_eq!(two.len(), 2, "{two:?}");
        let style = own("x", "a{}</STYLE>").unwrap_err();
        assert_eq!((style[0].part, style[0].span.clone()), (Part::Style, 3..10));
        assert!(
            own("{{ titel }}", "").unwrap_err()[0].expected.as_ref().unwrap().contains("title")
        );
    }

    #[test]
    fn the_policies_allow_what_stands_there() {
        let (css, script) = ("a{color:red}", "let a = 1;");
        let page =
            format!("<style>{{{{ style }}}}</style><style>b</style><script>{script}</script>");
        let own = own(&page, css).unwrap().unwrap();
        let (_, of_template) = own.template.as_ref().unwrap();
        let of_template = of_template.to_str().unwrap();
        let expected = format!(
            "style-src {} {}; script-src {};",
            policy::source(css),
            policy::source("b"),
            policy::source(script)
        );
        assert!(of_template.contains(&expected), "{of_template}");
        let ours = own.policy();
        let ours = ours.to_str().unwrap();
        assert!(ours.contains(&format!("style-src {} ", policy::source(css))), "{ours}");
        assert!(Own::new(None, None, &Languages::default()).unwrap().is_none());
    }
}
