//! What every operation of the OpenAPI document has in common: the problems that this crate answers with, whatever the route.

use http::Method;
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, HeaderBuilder, ObjectBuilder, OpenApi, PathItem, Ref, Response, ResponseBuilder,
        path::Operation,
        schema::{SchemaType, Type},
    },
};

use super::problem::{MEDIA_TYPE, ProblemBody, ProblemField};

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(ProblemBody, ProblemField)))]
struct Common;

/// Adds the answers that a route need not list itself. What it does list stays as it is.
pub(super) fn add_common_answers(openapi: &mut OpenApi) {
    openapi.merge(Common::openapi());
    for item in openapi.paths.paths.values_mut() {
        for operation in operations_mut(item) {
            let has_body = operation.request_body.is_some();
            let has_input = has_body || operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
            let has_security = operation.security.as_ref().is_some_and(|security| !security.is_empty());
            let answers = [
                (has_input, "400", "Malformed, or against a rule that `errors` names"),
                (has_security, "401", "No access token, or not a good one"),
                (has_body, "413", "The body is over its limit"),
                (has_body, "415", "The body's media type is not one that this route reads"),
                (true, "503", "Too busy, or something this needs is away: come back after Retry-After"),
            ];
            for (status, description) in
                answers.into_iter().filter_map(|(possible, status, text)| possible.then_some((status, text)))
            {
                let answer = || problem(status, description).into();
                operation.responses.responses.entry(status.to_owned()).or_insert_with(answer);
            }
            // Without a body: nothing of such a request is read.
            let oversized = ResponseBuilder::new().description("Address and headers together are over 16 KiB").build();
            operation.responses.responses.entry("431".to_owned()).or_insert_with(|| oversized.into());
        }
    }
}

fn problem(status: &str, description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("ProblemBody")));
    let answer = ResponseBuilder::new().description(description).content(MEDIA_TYPE, content);
    if status == "503" {
        let seconds = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).build();
        return answer.header("Retry-After", HeaderBuilder::new().schema(Some(seconds)).build()).build();
    }
    answer.build()
}

/// The operations of a path.
pub(super) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let known = [
        (Method::GET, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
        (Method::PATCH, &item.patch),
    ];
    known.into_iter().filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().filter_map(Option::as_mut)
}
