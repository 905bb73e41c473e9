//! The media type of a file, by its extension.
//!
//! Pure. An own table: a few types matter on a site, and what is not here is sent as bytes that
//! nobody is to guess at. Names without a type are no reason to look into a file.

/// What nothing is known of (RFC 2046 §4.5.1).
pub const UNKNOWN: &str = "application/octet-stream";

/// Sorted by extension, in small letters. What is text is UTF-8: it is sent as it lies there, and
/// a page in another charset says so inside.
const TYPES: [(&str, &str); 113] = [
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apk", "application/vnd.android.package-archive"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml; charset=utf-8"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("br", "application/x-brotli"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("cur", "image/x-icon"),
    ("deb", "application/vnd.debian.binary-package"),
    ("dmg", "application/x-apple-diskimage"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eot", "application/vnd.ms-fontobject"),
    ("eps", "application/postscript"),
    ("epub", "application/epub+zip"),
    ("exe", "application/octet-stream"),
    ("flac", "audio/flac"),
    ("flv", "video/x-flv"),
    ("geojson", "application/geo+json; charset=utf-8"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("gpx", "application/gpx+xml; charset=utf-8"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("iso", "application/octet-stream"),
    ("jar", "application/java-archive"),
    ("jfif", "image/jpeg"),
    ("jpe", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json; charset=utf-8"),
    ("jsonld", "application/ld+json; charset=utf-8"),
    ("jxl", "image/jxl"),
    ("kml", "application/vnd.google-earth.kml+xml; charset=utf-8"),
    ("kmz", "application/vnd.google-earth.kmz"),
    ("less", "text/plain; charset=utf-8"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml; charset=utf-8"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("msi", "application/octet-stream"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("ps", "application/postscript"),
    ("psd", "image/vnd.adobe.photoshop"),
    ("rar", "application/vnd.rar"),
    ("rss", "application/rss+xml; charset=utf-8"),
    ("rtf", "application/rtf"),
    ("scss", "text/plain; charset=utf-8"),
    ("svg", "image/svg+xml; charset=utf-8"),
    ("swf", "application/x-shockwave-flash"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ts", "video/mp2t"),
    ("tsv", "text/tab-separated-values; charset=utf-8"),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json; charset=utf-8"),
    ("webp", "image/webp"),
    ("wma", "audio/x-ms-wma"),
    ("wmv", "video/x-ms-wmv"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml; charset=utf-8"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml; charset=utf-8"),
    ("xsl", "application/xml; charset=utf-8"),
    ("xz", "application/x-xz"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The longest extension of the table: `webmanifest`.
const EXTENSION_BYTES_MAX: usize = 11;

/// The type of a file of this name, if its extension is known.
pub fn known(name: &[u8]) -> Option<&'static str> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let extension = &name[dot + 1..];
    let mut small = [0; EXTENSION_BYTES_MAX];
    let small = small.get_mut(..extension.len())?;
    small.copy_from_slice(extension);
    small.make_ascii_lowercase();
    let at = TYPES.binary_search_by(|(known, _)| known.as_bytes().cmp(small)).ok()?;
    Some(TYPES[at].1)
}

/// Whether a file of this name is something that browsers show, play or run, and not text or an
/// archive in which anything may be.
pub fn is_shown(name: &[u8]) -> bool {
    let Some(media) = known(name) else { return false };
    const FAMILIES: [&str; 8] = [
        "image/",
        "audio/",
        "video/",
        "font/",
        "text/css",
        "text/html",
        "text/javascript",
        "application/pdf",
    ];
    FAMILIES.iter().any(|family| media.starts_with(family))
}

/// Whether a compressed copy of such a file would be smaller.
pub fn is_compressible(media: &str) -> bool {
    const FAMILIES: [&str; 12] = [
        "text/",
        "application/json",
        "application/ld+json",
        "application/manifest+json",
        "application/geo+json",
        "application/xml",
        "application/rss+xml",
        "application/atom+xml",
        "image/svg+xml",
        "application/wasm",
        "font/ttf",
        "font/otf",
    ];
    FAMILIES.iter().any(|family| media.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        for (name, expected) in [
            ("a.css", "text/css; charset=utf-8"),
            ("A.JPG", "image/jpeg"),
            ("a.b.WOFF2", "font/woff2"),
            ("site.webmanifest", "application/manifest+json; charset=utf-8"),
            ("a.7z", "application/x-7z-compressed"),
            ("a.zst", "application/zstd"),
            (".css", "text/css; charset=utf-8"),
            ("a", "none"),
            ("a.", "none"),
            ("a.unheardofextension", "none"),
            ("a.cs", "none"),
        ] {
            assert_eq!(known(name.as_bytes()).unwrap_or("none"), expected, "{name}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_each_of_it_found() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
        for (extension, media) in TYPES {
            assert!(extension.len() <= EXTENSION_BYTES_MAX);
            assert_eq!(known(format!("x.{extension}").as_bytes()), Some(media));
            let text = media.starts_with("text/") || media.contains("xml");
            let other = media.contains("officedocument") || media.contains("json");
            assert!(media.contains("charset") == text || other, "{extension}");
        }
    }

    #[test]
    fn kinds() {
        let compressible = |name: &str| is_compressible(known(name.as_bytes()).unwrap());
        for name in ["a.css", "a.js", "a.svg", "a.json", "a.wasm", "a.ttf", "a.xml", "a.txt"] {
            assert!(compressible(name), "{name}");
        }
        for name in ["a.jpg", "a.woff2", "a.gz", "a.mp4", "a.pdf", "a.zip"] {
            assert!(!compressible(name), "{name}");
        }
    }
}
