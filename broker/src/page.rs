//! The market page: its built files, from a folder or from the binary.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::response::{Html, IntoResponse, Response};
use http::header;

/// The place of the built page.
#[derive(Clone, Debug)]
pub enum Page {
    /// A folder, read at each request: a page that is built later is served without a restart.
    Folder(PathBuf),
    /// The files by their paths, from inside the binary.
    Embedded(&'static [(&'static str, &'static [u8])]),
}

const MISSING: &str = "<!doctype html><meta charset=utf-8><title>Merit</title><h1>Merit is running</h1>\
<p>The market page was not found. Build it with npm in the source tree and reload:</p>\
<pre>cd broker/dashboard &amp;&amp; npm ci &amp;&amp; npm run build</pre>\
<p>A binary elsewhere takes its folder by --page, or has it inside, made by <code>make dist</code>.</p>\
<p>The market itself: <a href=/v1/markets>/v1/markets</a>, <a href=/v1/providers>/v1/providers</a>, \
<a href=/metrics>/metrics</a>.</p>";

/// Content-Security-Policy of the page: its own files and its own stream only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Page {
    /// Returns the file at a request's path, `index.html` at the root; none where there is no such file.
    pub(crate) async fn serve(&self, path: &str) -> Option<Response> {
        let path = match path.strip_prefix('/')? {
            "" => "index.html",
            path => path,
        };
        match self.read(path).await {
            Some(bytes) => {
                let kind = mime_guess::from_path(path).first_or_octet_stream();
                let kind = match kind.type_() {
                    mime_guess::mime::TEXT => format!("{kind}; charset=utf-8"),
                    _ => kind.to_string(),
                };
                let headers = [
                    (header::CONTENT_TYPE, kind.as_str()),
                    (header::CONTENT_SECURITY_POLICY, POLICY),
                    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                    (header::CACHE_CONTROL, "no-cache"),
                ];
                Some((headers, Body::from(bytes)).into_response())
            }
            None if path == "index.html" => Some(Html(MISSING).into_response()),
            None => None,
        }
    }

    async fn read(&self, path: &str) -> Option<Vec<u8>> {
        let relative = Path::new(path);
        // A path must not lead out of the folder.
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        match self {
            Page::Folder(folder) => tokio::fs::read(folder.join(relative)).await.ok(),
            Page::Embedded(files) => {
                let found = files.iter().find(|(name, _)| Path::new(name) == relative);
                found.map(|(_, bytes)| bytes.to_vec())
            }
        }
    }
}
