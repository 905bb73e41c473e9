//! The import of nginx's configuration: from bytes as they are, and from a tree that they choose.

use std::path::Path;

use crate::config;
use crate::import;

/// Blocks that a tree is made of.
const BLOCKS: &[&str] = &[
    "server",
    "location /",
    "location /a",
    "location /a/b/",
    "location ^~ /c",
    "location = /a.php",
    "location ~ \\.php$",
    "location ~ ^/index\\.php(/|$)",
    "location ~ /(a|b)/.*\\.php$",
    "location ~* \\.(css|sql)$",
    "location @b",
    "upstream u",
    "http",
    "if ($scheme = http)",
    "if (!-e $request_filename)",
    "if ($arg_a)",
    "limit_except GET",
    "stream",
    "map $a $b",
];

/// Directives that stand in them; a word that no value may hold stands among them.
const LINES: &[&str] = &[
    "listen 80",
    "listen 81 default_server",
    "listen [::]:443 ssl",
    "listen 127.0.0.1:443 ssl default_server",
    "listen unix:/run/a proxy_protocol",
    "listen name.example:80",
    "server_name a.b *.b .c ~x _",
    "server_name b.example \"\" 10.0.0.1 b_:80",
    "root /srv/a",
    "root /srv/../a",
    "root srv",
    "index index.php x/y $z",
    "index a.html",
    "try_files $uri $uri/ /index.php?q=$uri",
    "try_files $uri @b",
    "try_files $uri/index.php /a//b =403",
    "proxy_pass http://u",
    "proxy_pass https://h:1/a",
    "proxy_pass http://unix:/run/b:/",
    "proxy_pass http://[::1]:99999",
    "fastcgi_pass unix:/run/php.sock",
    "fastcgi_pass u",
    "fastcgi_pass nowhere",
    "fastcgi_param SCRIPT_FILENAME /x$fastcgi_script_name",
    "fastcgi_param SCRIPT_FILENAME $document_root/index.php",
    "fastcgi_keep_conn on",
    "fastcgi_intercept_errors on",
    "server 10.0.0.1:80 weight=2 backup",
    "server h",
    "server unix:/run/s down",
    "keepalive 1600",
    "keepalive_timeout 0",
    "keepalive_timeout 999y",
    "client_body_timeout 3s",
    "client_max_body_size 99999999999999g",
    "client_max_body_size 3m",
    "large_client_header_buffers 4 16k",
    "large_client_header_buffers 99999999999 99999999999g",
    "proxy_read_timeout 1h30m",
    "fastcgi_connect_timeout 0",
    "proxy_buffer_size 1g",
    "fastcgi_buffer_size 128k",
    "error_page 404 502 =200 /x",
    "error_page 502 503 /x",
    "proxy_intercept_errors on",
    "return 301 https://$host$request_uri",
    "return 301 https://www.a.b$request_uri",
    "return 403",
    "deny all",
    "allow 10.0.0.0/8",
    "auth_basic x",
    "internal",
    "ssl_certificate a.pem",
    "ssl_certificate_key a.key",
    "ssl_protocols TLSv1.3",
    "proxy_ssl_verify on",
    "proxy_ssl_name \"a b\"",
    "proxy_set_header X-Real-IP $remote_addr",
    "proxy_set_header Host x",
    "add_header Strict-Transport-Security max-age=1",
    "set_real_ip_from 10.0.0.1",
    "set_real_ip_from unix:",
    "real_ip_header X-Forwarded-For",
    "access_log /var/log/a.log",
    "access_log relative long",
    "rewrite ^ /index.php?q=$1",
    "worker_processes 99999",
    "include x",
    "gzip on",
    "nonsense \"\u{7}\u{2028}\u{7f}\n[x]\\\"\"",
];

const DEPTH_MAX: usize = 5;

/// What is made of any text is TOML, and such as Causeway takes.
pub fn nginx(bytes: &[u8]) {
    import(&String::from_utf8_lossy(bytes));
    let mut text = String::new();
    tree(&mut bytes.iter(), 0, &mut text);
    import(&text);
}

/// Each byte is a directive, the beginning of a block, or its end.
fn tree(bytes: &mut std::slice::Iter<'_, u8>, depth: usize, text: &mut String) {
    while let Some(&byte) = bytes.next() {
        let number = usize::from(byte);
        match number.checked_sub(LINES.len()) {
            None => text.push_str(&format!("{};\n", LINES[number])),
            Some(block) if block < 4 * BLOCKS.len() && depth < DEPTH_MAX => {
                text.push_str(&format!("{} {{\n", BLOCKS[block % BLOCKS.len()]));
                tree(bytes, depth + 1, text);
                text.push_str("}\n");
            }
            Some(_) if depth > 0 => return,
            Some(_) => {}
        }
    }
}

/// What is not there is not the import's fault: certificates that no line names, and files.
fn import(text: &str) {
    let Some(import) = import::nginx_text(text) else { return };
    assert!(import.lost <= import.notes.len());
    let toml = &import.toml;
    assert!(toml::de::DeTable::parse(toml).is_ok(), "{text}\n{toml}");
    if let Err(problems) = config::parse(toml, Path::new("import.toml")) {
        let absent = ["cannot read", "`certificates` is empty"];
        let ours =
            |problem: &config::Problem| !absent.iter().any(|not| problem.message.starts_with(not));
        assert!(!problems.list().any(ours), "{text}\n{problems}\n{toml}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::nginx;

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(600)
        })]

        #[test]
        fn any_configuration_of_nginx_is_carried_over_or_refused(
            bytes in vec(any::<u8>(), 0..120),
        ) {
            nginx(&bytes);
        }

        #[test]
        fn any_noise_is_carried_over_or_refused(
            text in "[a-z{};\"'\\\\#\\$ \n]{0,80}",
        ) {
            nginx(text.as_bytes());
        }
    }
}
