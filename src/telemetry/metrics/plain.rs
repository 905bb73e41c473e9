//! The older text format, 0.0.4, from OpenMetrics 1.0.0: for readers that know no other. Pure.
//!
//! Counters and infos are named there with their suffix in HELP and TYPE too, an info is a gauge,
//! and there are no units, exemplars or end.

/// The same metrics in the older format.
pub fn plain(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text;
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|text| text.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                other => ("", other),
            };
            let help = help.strip_prefix(name).unwrap_or_default();
            out.push_str(&format!("# HELP {name}{suffix}{help}\n# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(without_exemplar(line));
            out.push('\n');
        }
    }
    out
}

/// An exemplar follows ` # ` after the labels, in whose values such a thing may stand too.
fn without_exemplar(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line[..at].trim_end(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_older_form() {
        let open = "# HELP a Help of a.\n# TYPE a counter\n\
                    a_total{x=\"1 # {\\\" # \"} 3 # {incident=\"AB\"} 1.0 5.5\na_total 4\n\
                    # HELP b_info_not B.\n# TYPE b_info_not gauge\nb_info_not 1\n\
                    # HELP c C.\n# TYPE c info\nc_info{version=\"1\"} 1\n\
                    # HELP d_seconds D.\n# TYPE d_seconds histogram\n# UNIT d_seconds seconds\n\
                    d_seconds_sum 1.5\n# EOF\n";
        let older = "# HELP a_total Help of a.\n# TYPE a_total counter\n\
                     a_total{x=\"1 # {\\\" # \"} 3\na_total 4\n\
                     # HELP b_info_not B.\n# TYPE b_info_not gauge\nb_info_not 1\n\
                     # HELP c_info C.\n# TYPE c_info gauge\nc_info{version=\"1\"} 1\n\
                     # HELP d_seconds D.\n# TYPE d_seconds histogram\n\
                     d_seconds_sum 1.5\n";
        assert_eq!(plain(open), older);
    }
}
