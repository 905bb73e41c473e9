//! Regular expressions of locations, as far as they are the common ones.
//!
//! Pure. Knows which run PHP, which guard hidden names, and which name files by a list of words;
//! the last become elements of `deny`. Whatever else an expression can say is not understood here.

/// Alternatives beyond this are no list that somebody wrote by hand.
const ALTERNATIVES_MAX: usize = 64;

/// Stands for `.*` while an expression is read.
const ANYTHING: char = '\u{1}';

/// Whether an expression covers scripts: `\.php$`, `[^/]\.php(/|$)`, `^(.+\.php)(.*)$`.
pub fn runs_php(pattern: &str) -> bool {
    pattern.contains(r"\.php") || pattern.contains("[.]php") || pattern.contains(r"\.(php")
}

/// The one script that an expression covers: `^/index\.php(/|$)`.
pub fn single_script(pattern: &str) -> Option<String> {
    let rest = pattern.strip_prefix("^/")?;
    let end = rest.find(r"\.php")?;
    let name = &rest[..end];
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    let tail = &rest[end + r"\.php".len()..];
    let whole = matches!(tail, "" | "$" | "(/|$)" | "(?:/|$)" | "(?:$|/)" | "($|/)");
    (whole && name.chars().all(plain)).then(|| format!("/{name}.php"))
}

/// Whether an expression guards names that begin with a dot, which Causeway never sends.
pub fn guards_hidden(pattern: &str) -> bool {
    let pattern = pattern.trim_start_matches(['^', '*', '.']);
    [r"/\.", r"(^|/)\.", r"(?:^|/)\.", "/[.]", r"(/\."].iter().any(|head| pattern.starts_with(head))
}

/// The names and paths that an expression covers, as elements of `deny`; `None` if it is more than
/// words, alternatives and `.*`.
pub fn names(pattern: &str) -> Option<Vec<String>> {
    let anchored = pattern.starts_with('^');
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let ends = inner.ends_with('$') && !inner.ends_with(r"\$");
    let inner = if ends { &inner[..inner.len() - 1] } else { inner };
    let mut patterns = Vec::new();
    for text in expand(inner, 0)? {
        patterns.push(glob(&text, anchored, ends)?);
    }
    Some(patterns)
}

/// Every text that an expression stands for.
fn expand(pattern: &str, depth: usize) -> Option<Vec<String>> {
    let mut texts = vec![String::new()];
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let choices: Vec<String> = match c {
            '(' if depth < 4 => {
                let end = group_end(rest)?;
                let inner = rest[..end].strip_prefix("?:").unwrap_or(&rest[..end]);
                rest = &rest[end + 1..];
                let mut choices = Vec::new();
                for choice in top_level(inner) {
                    choices.extend(expand(choice, depth + 1)?);
                }
                if let Some(after) = rest.strip_prefix('?') {
                    rest = after;
                    choices.push(String::new());
                }
                choices
            }
            '.' if rest.starts_with(['*', '+']) => {
                rest = rest[1..].strip_prefix('?').unwrap_or(&rest[1..]);
                vec![ANYTHING.to_string()]
            }
            '\\' => {
                let escaped = rest.chars().next().filter(|c| !c.is_ascii_alphanumeric())?;
                rest = &rest[escaped.len_utf8()..];
                vec![escaped.to_string()]
            }
            '(' | ')' | '[' | ']' | '{' | '}' | '*' | '+' | '?' | '^' | '$' | '|' => return None,
            c if c.is_control() => return None,
            c => vec![c.to_string()],
        };
        if rest.starts_with(['*', '+', '?', '{']) || choices.len() * texts.len() > ALTERNATIVES_MAX
        {
            return None;
        }
        let longer = |text: &String| -> Vec<String> {
            choices.iter().map(|choice| format!("{text}{choice}")).collect()
        };
        texts = texts.iter().flat_map(longer).collect();
    }
    Some(texts)
}

/// Where the `)` stands that belongs to a group which has begun.
fn group_end(text: &str) -> Option<usize> {
    let (mut depth, mut escaped) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The alternatives of a group.
fn top_level(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut escaped) = (0_usize, 0, false);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// One text as a pattern of `deny`: a name at any depth, or a path from the root.
fn glob(text: &str, anchored: bool, ends: bool) -> Option<String> {
    let bare = text.trim_matches(ANYTHING);
    if bare.is_empty() || bare == "/" {
        return None;
    }
    let mut text = match text.strip_prefix('/') {
        Some(_) if anchored => text.to_owned(),
        Some(rest) if rest.contains('/') => format!("/**/{rest}"),
        Some(rest) => rest.to_owned(),
        None if anchored && !text.starts_with(ANYTHING) => return None,
        None if text.contains('/') => return None,
        None => format!("*{}", text.trim_start_matches(ANYTHING)),
    };
    if !ends && !text.ends_with(['/', ANYTHING]) {
        text.push('*');
    }
    // What lies below a folder is covered with it.
    let text = text.trim_end_matches([ANYTHING, '/']);
    let text = text.replace(&format!("/{ANYTHING}/"), "/**/");
    let text = text.replace(&format!("/{ANYTHING}"), "/**/*").replace(ANYTHING, "*");
    Some(text.replace("**/**", "**"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts() {
        for pattern in
            [r"\.php$", r"\.php(/|$)", r"[^/]\.php(/|$)", r"^(.+\.php)(.*)$", r"\.(php|phtml)$"]
        {
            assert!(runs_php(pattern), "{pattern}");
            assert_eq!(single_script(pattern), None, "{pattern}");
        }
        assert!(!runs_php(r"\.css$"));
        assert_eq!(single_script(r"^/index\.php(/|$)").as_deref(), Some("/index.php"));
        assert_eq!(single_script(r"^/(index|app)\.php(/|$)"), None);
    }

    #[test]
    fn hidden() {
        for pattern in [r"/\.", r"/\.ht", r"/\.(?!well-known).*", r"(^|/)\.", r".*/\.git"] {
            assert!(guards_hidden(pattern), "{pattern}");
        }
        assert!(!guards_hidden(r"\.php$"));
    }

    #[test]
    fn lists_of_names() {
        let cases: [(&str, Option<&[&str]>); 14] = [
            (r"\.(env|sql)$", Some(&["*.env", "*.sql"])),
            (r"\.(?:bak|sw[op])$", None),
            (r"/(?:uploads|files)/.*\.php$", Some(&["/**/uploads/**/*.php", "/**/files/**/*.php"])),
            (r"^/wp-content/uploads/.*\.php$", Some(&["/wp-content/uploads/**/*.php"])),
            (r"/readme.html$", Some(&["readme.html"])),
            (r"^/(vendor|node_modules)/", Some(&["/vendor", "/node_modules"])),
            (r"^/private", Some(&["/private*"])),
            (r"\.php$", Some(&["*.php"])),
            (r"wp-config\.php", Some(&["*wp-config.php*"])),
            (r"^/a?$", None),
            (r"\d+", None),
            (r".*", None),
            (r"^.*\.log$", Some(&["*.log"])),
            (r"(a|b", None),
        ];
        for (pattern, expected) in cases {
            let found = names(pattern);
            let found: Option<Vec<&str>> =
                found.as_ref().map(|list| list.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), expected, "{pattern}");
        }
        let many = "(a|b|c|d)".repeat(8);
        assert_eq!(names(&many), None);
    }
}
