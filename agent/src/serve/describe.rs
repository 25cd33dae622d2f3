//! The published description of an API (OpenAPI 3.1), generated from the types that it sends and takes.

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::problem::ProblemDocument;

/// How a type is described.
pub type Described = fn(&mut SchemaGenerator) -> Schema;

/// What an endpoint gives: a document by its schema, or something else by its media type.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// A document.
    Json(Described),
    /// Documents one after the other, as this media type has it.
    Many(&'static str, Described),
    /// What is no document.
    Other(&'static str),
}

/// Plain text.
pub const TEXT: Content = Content::Other("text/plain");
/// Bytes.
pub const BYTES: Content = Content::Other("application/octet-stream");

/// What may be asked for behind the `?` of a path, or by a header.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its type.
    pub takes: Described,
    /// Whether it must be there.
    pub is_required: bool,
}

/// What a request's body is.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// A document.
    Json(Described),
    /// What is no document.
    Other(&'static str),
}

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// `get` or `post`.
    pub method: &'static str,
    /// Its path; what is in braces is a parameter.
    pub path: &'static str,
    /// What it does, in English.
    pub summary: &'static str,
    /// The same in Chinese.
    pub summary_zh: &'static str,
    /// What may be asked for.
    pub query: &'static [Query],
    /// Headers by which more may be asked for.
    pub headers: &'static [Query],
    /// What it takes.
    pub takes: Option<Body>,
    /// What it gives.
    pub gives: Content,
    /// Statuses of refusals besides those that every endpoint has.
    pub refuses: &'static [&'static str],
    /// Of refusals, those that are said in plain text, as a foreign protocol has it.
    pub plainly: &'static [&'static str],
}

/// An endpoint that only reads.
pub const fn get(
    path: &'static str,
    summary: &'static str,
    summary_zh: &'static str,
    gives: Content,
) -> Endpoint {
    Endpoint {
        method: "get",
        path,
        summary,
        summary_zh,
        query: &[],
        headers: &[],
        takes: None,
        gives,
        refuses: &["404", "503"],
        plainly: &[],
    }
}

/// What holds beside every operation.
const ELSE: &str = "What is asked for at another path is refused by 404, and by another method at one of these by 405; \
                    both with the document of every refusal, `ProblemDocument`.";

/// An API.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// What it is.
    pub summary: &'static str,
    /// Its endpoints.
    pub endpoints: &'static [Endpoint],
    /// Statuses by which every endpoint may refuse.
    pub refuses: &'static [&'static str],
    /// Whether it may be behind a password.
    pub has_password: bool,
}

/// The OpenAPI 3.1 document of an API.
pub fn document(api: &Api) -> Value {
    let with_path = |settings: &mut SchemaSettings| {
        settings.definitions_path = "/components/schemas".into();
    };
    let mut sent = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(with_path)
        .into_generator();
    let mut taken = SchemaSettings::draft2020_12()
        .for_deserialize()
        .with(with_path)
        .into_generator();
    let problem = sent.subschema_for::<ProblemDocument>();
    let problem = json!({
        "description": "Why it was not done",
        "content": {"application/json": {"schema": problem}},
    });
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in api.endpoints {
        let operation = operation(api, endpoint, &mut sent, &mut taken);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(endpoint.method.to_owned(), operation);
        }
    }
    let mut schemas = taken.take_definitions(true);
    // What is both sent and taken is described as it is sent.
    schemas.extend(sent.take_definitions(true));
    let mut components = json!({"schemas": schemas, "responses": {"problem": problem}});
    let password = json!({"password": {"type": "http", "scheme": "basic"}});
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lineside",
            "version": "1",
            "summary": api.summary,
            "description": ELSE,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "paths": paths,
    });
    if api.has_password {
        put(&mut components, "securitySchemes", password);
        put(&mut document, "security", json!([{}, {"password": []}]));
    }
    put(&mut document, "components", components);
    document
}

/// Adds a member to an object.
fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

fn operation(
    api: &Api,
    endpoint: &Endpoint,
    sent: &mut SchemaGenerator,
    taken: &mut SchemaGenerator,
) -> Value {
    let gives = match endpoint.gives {
        Content::Json(schema) => json!({"application/json": {"schema": schema(sent)}}),
        Content::Many(kind, schema) => json!({kind: {"schema": schema(sent)}}),
        Content::Other(kind) => json!({kind: {}}),
    };
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({"description": "Done", "content": gives}),
    );
    for status in api.refuses.iter().chain(endpoint.refuses) {
        let problem = json!({"$ref": "#/components/responses/problem"});
        responses.insert((*status).into(), problem);
    }
    for status in endpoint.plainly {
        let text = json!({"description": "Why it was not done", "content": {"text/plain": {}}});
        responses.insert((*status).into(), text);
    }
    let in_path = endpoint
        .path
        .split('/')
        .filter_map(|part| part.split_once('{')?.1.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let mut parameters: Vec<Value> = in_path.collect();
    let asked = endpoint.query.iter().map(|query| ("query", query));
    let asked = asked.chain(endpoint.headers.iter().map(|header| ("header", header)));
    parameters.extend(asked.map(|(place, query)| {
        json!({
            "name": query.name,
            "in": place,
            "description": query.about,
            "required": query.is_required,
            "schema": (query.takes)(taken),
        })
    }));
    let mut operation = json!({
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let (Some(takes), Value::Object(operation)) = (endpoint.takes, &mut operation) {
        let content = match takes {
            Body::Json(schema) => json!({"application/json": {"schema": schema(taken)}}),
            Body::Other(kind) => json!({kind: {}}),
        };
        operation.insert(
            "requestBody".into(),
            json!({"required": true, "content": content}),
        );
    }
    operation
}

/// That a description refers to nothing that is not in it; it refers to more than so much.
#[cfg(test)]
pub(crate) fn check_references(document: &Value, more_than: usize) {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                let reference = map.get("$ref").and_then(Value::as_str);
                found.extend(reference.map(str::to_owned));
                map.values().for_each(|value| collect(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    collect(document, &mut found);
    assert!(found.len() > more_than, "{}", found.len());
    for reference in found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference}");
    }
}
