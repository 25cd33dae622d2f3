//! A plain page that names the endpoints of an API.

use axum::response::Html;

use super::describe::Endpoint;
use crate::text::Language;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
    td{padding:.2em 1em .2em 0;vertical-align:top}code{white-space:nowrap}";

/// The page. All that it holds is our own, or an identifier: nothing needs escaping.
pub fn page(title: &str, intro: &str, endpoints: &[Endpoint], language: Language) -> Html<String> {
    let lang = language.pick("en", "zh-CN");
    let name = language.pick("Lineside", "线边");
    Html(format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{name} {title}</title>\
         <style>{STYLE}</style></head>\n<body>\n<h1>{name} {title}</h1>\n<p>{intro}</p>\n\
         <table>\n{}</table>\n</body>\n</html>\n",
        rows(endpoints, language)
    ))
}

fn rows(endpoints: &[Endpoint], language: Language) -> String {
    let mut rows = String::new();
    for endpoint in endpoints {
        let path = endpoint.path;
        let summary = language.pick(endpoint.summary, endpoint.summary_zh);
        let method = endpoint.method.to_uppercase();
        let shown = if endpoint.method == "get" && !path.contains('{') {
            format!("<a href=\"{path}\">{path}</a>")
        } else {
            path.to_owned()
        };
        rows += &format!("<tr><td><code>{method} {shown}</code></td><td>{summary}</td></tr>\n");
    }
    rows
}
