//! Lets a request in where there is room for it, and does not let it stay for ever. What differs from route to route is said
//! in the route's own description.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::Method;
use shop_core::Fault;
use shop_mesh::{Load, Priority};
use tokio::time::timeout;
use utoipa::openapi::{OpenApi, RefOr, path::Operation};

use super::{Problem, document::operations, problem::Logged};
use crate::Limits;

/// The extension of a route's description that names its priority.
const PRIORITY: &str = "x-priority";
const CHECKOUT: &str = "checkout";
const FORM: &str = "multipart/form-data";

#[derive(Clone, Copy)]
struct Route {
    priority: Priority,
    answer: Duration,
}

/// What [`admit`] knows of the process and its routes.
#[derive(Clone)]
pub(super) struct Gate {
    load: Load,
    limits: Limits,
    /// Only the routes that are not like all others.
    routes: Arc<HashMap<String, Vec<(Method, Route)>>>,
}

impl Gate {
    pub(super) fn new(load: Load, limits: Limits, openapi: &OpenApi) -> Self {
        let mut routes = HashMap::<String, Vec<(Method, Route)>>::new();
        for (path, item) in &openapi.paths.paths {
            for (method, operation) in operations(item) {
                let checkout = extension(operation, PRIORITY) == Some(CHECKOUT);
                let takes_form = takes_form(operation);
                if checkout || takes_form {
                    let route = Route {
                        priority: if checkout { Priority::Checkout } else { Priority::Other },
                        answer: if takes_form { limits.upload } else { limits.answer },
                    };
                    routes.entry(path.clone()).or_default().push((method, route));
                }
            }
        }
        Self { load, limits, routes: Arc::new(routes) }
    }

    fn route(&self, request: &Request) -> Route {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let methods = path.and_then(|path| self.routes.get(path)).map(Vec::as_slice).unwrap_or_default();
        let known = methods.iter().find(|(method, _)| method == request.method()).map(|(_, route)| *route);
        known.unwrap_or(Route { priority: Priority::Other, answer: self.limits.answer })
    }
}

fn extension<'a>(operation: &'a Operation, name: &str) -> Option<&'a str> {
    operation.extensions.as_ref()?.get(name)?.as_str()
}

fn takes_form(operation: &Operation) -> bool {
    matches!(&operation.request_body, Some(RefOr::T(body)) if body.content.contains_key(FORM))
}

pub(super) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Route { priority, answer } = gate.route(&request);
    let _permit = match gate.load.enter(priority) {
        Ok(permit) => permit,
        Err(fault) => {
            let mut refusal = Problem::from(fault).into_response();
            // It is counted; a line for each would make the overload worse.
            refusal.extensions_mut().remove::<Logged>();
            return refusal;
        }
    };
    request.extensions_mut().insert(gate.limits);
    timeout(answer, shop_mesh::within(answer, next.run(request))).await.unwrap_or_else(|_| {
        let fault = Fault::unavailable("The answer").caused_by(format!("not done within {answer:?}"));
        Problem::from(fault).into_response()
    })
}
