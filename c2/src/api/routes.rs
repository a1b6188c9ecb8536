// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every call, its path and the permission that it needs, read from the descriptors: what is not
//! there cannot be called.

use percent_encoding::percent_decode_str;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor, ReflectMessage,
    ServiceDescriptor, Value,
};

use super::pb::DESCRIPTORS;
use crate::domain::Permission;

/// A method and how it is called.
#[derive(Clone, Debug)]
pub struct Route {
    /// The method.
    pub method: MethodDescriptor,
    /// What a caller needs; `None` where the interface says nothing, which lets nobody in.
    pub permission: Option<Permission>,
    /// GET, PUT, POST, DELETE or PATCH.
    pub verb: &'static str,
    /// Path template.
    pub template: String,
    /// Whether the body is the request.
    pub body: bool,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// Field, by its path.
    One(String),
    /// Field, and it takes one segment or more.
    Rest(String),
}

/// The routes of a service.
#[derive(Clone, Debug)]
pub struct Routes {
    routes: Vec<Route>,
    service: ServiceDescriptor,
}

/// What a path was found to be.
#[derive(Debug)]
pub enum Found<'a> {
    /// A route, and fields with their values.
    Route(&'a Route, Vec<(String, String)>),
    /// A path, but not with this method.
    OtherVerb,
    /// Nothing.
    Nothing,
}

/// The interface.
pub const C2: &str = "pb.C2";
/// The automation interface of earlier servers.
pub const AUTOMATION: &str = "pb.C2AutomationEngine";

impl Routes {
    /// Reads those of the interface.
    ///
    /// # Errors
    /// The descriptors are broken: a mistake of the build.
    pub fn load() -> Result<Self, String> {
        Self::of(C2)
    }

    /// Reads those of a service.
    ///
    /// # Errors
    /// The descriptors are broken: a mistake of the build.
    pub fn of(service: &str) -> Result<Self, String> {
        let pool = DescriptorPool::decode(DESCRIPTORS).map_err(|error| error.to_string())?;
        let service = pool.get_service_by_name(service).ok_or("no service")?;
        let http =
            pool.get_extension_by_name("google.api.http").ok_or("no option google.api.http")?;
        let permission = pool.get_extension_by_name("e4.permission").ok_or("no e4.permission")?;
        let routes = service
            .methods()
            .map(|method| route(method, &http, &permission))
            .collect::<Result<_, _>>()?;
        Ok(Self { routes, service })
    }

    /// All of them.
    pub fn all(&self) -> &[Route] {
        &self.routes
    }

    /// The route of a gRPC path, `/pb.C2/NewClient`.
    pub fn by_call(&self, path: &str) -> Option<&Route> {
        let name = path.strip_prefix('/')?.strip_prefix(self.service.full_name())?;
        let name = name.strip_prefix('/')?;
        self.routes.iter().find(|route| route.method.name() == name)
    }

    /// The route of an HTTP path. Segments are decoded one by one, so `%2F` is part of a name.
    pub fn by_path(&self, verb: &str, path: &str) -> Found<'_> {
        let Some(parts) = parts(path) else { return Found::Nothing };
        let matching =
            self.routes.iter().filter_map(|route| Some((route, matches(route, &parts)?)));
        // Of templates that fit, the one that says most in words: `/clients/count` before `**`.
        let words = |route: &Route| {
            route.segments.iter().filter(|at| matches!(at, Segment::Literal(_))).count()
        };
        let mut found: Vec<_> = matching.collect();
        let any = !found.is_empty();
        found.retain(|(route, _)| route.verb == verb);
        match found.into_iter().max_by_key(|(route, _)| words(route)) {
            Some((route, fields)) => Found::Route(route, fields),
            None if any => Found::OtherVerb,
            None => Found::Nothing,
        }
    }

    /// The methods of a path.
    pub fn verbs(&self, path: &str) -> Vec<&'static str> {
        let parts = parts(path).unwrap_or_default();
        let fits = self.routes.iter().filter(|route| matches(route, &parts).is_some());
        fits.map(|route| route.verb).collect()
    }
}

fn parts(path: &str) -> Option<Vec<String>> {
    let decode = |segment| percent_decode_str(segment).decode_utf8().map(String::from);
    path.strip_prefix('/').unwrap_or(path).split('/').map(decode).collect::<Result<_, _>>().ok()
}

impl Route {
    /// The gRPC path.
    pub fn call(&self) -> String {
        format!("/{}/{}", self.method.parent_service().full_name(), self.method.name())
    }

    /// Fields that the path holds.
    pub fn path_fields(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::One(field) | Segment::Rest(field) => Some(field.as_str()),
        })
    }
}

fn route(
    method: MethodDescriptor,
    http: &ExtensionDescriptor,
    permission: &ExtensionDescriptor,
) -> Result<Route, String> {
    let options = method.options();
    let name = method.name().to_string();
    let Value::Message(rule) = options.get_extension(http).into_owned() else {
        return Err(format!("{name}: no route"));
    };
    let (verb, template) = ["get", "put", "post", "delete", "patch"]
        .into_iter()
        .find_map(|verb| Some((verb, text(&rule, verb)?)))
        .ok_or_else(|| format!("{name}: no route"))?;
    let verb = match verb {
        "get" => "GET",
        "put" => "PUT",
        "post" => "POST",
        "delete" => "DELETE",
        _ => "PATCH",
    };
    let permission = match options.get_extension(permission).as_enum_number() {
        Some(1) => Some(Permission::Read),
        Some(2) => Some(Permission::Provision),
        Some(3) => Some(Permission::Operate),
        Some(4) => Some(Permission::Admin),
        Some(5) => Some(Permission::Messages),
        _ => None,
    };
    let segments = template.trim_start_matches('/').split('/').map(segment).collect();
    let body = text(&rule, "body").is_some_and(|body| body == "*");
    Ok(Route { method, permission, verb, template, body, segments })
}

fn text(message: &DynamicMessage, field: &str) -> Option<String> {
    let field = message.descriptor().get_field_by_name(field)?;
    message.has_field(&field).then(|| message.get_field(&field).as_str().map(String::from))?
}

fn segment(text: &str) -> Segment {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        None => Segment::Literal(text.into()),
        Some(field) => match field.strip_suffix("=**") {
            Some(field) => Segment::Rest(field.into()),
            None => Segment::One(field.into()),
        },
    }
}

fn matches(route: &Route, parts: &[String]) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    let mut parts = parts;
    let mut segments = route.segments.as_slice();
    while let Some((first, rest)) = segments.split_first() {
        segments = rest;
        // No template has two of them.
        let take = match first {
            Segment::Rest(_) => parts.len().checked_sub(rest.len()).filter(|count| *count > 0)?,
            Segment::Literal(_) | Segment::One(_) => 1,
        };
        let (taken, left) = parts.split_at_checked(take)?;
        parts = left;
        let taken = taken.join("/");
        match first {
            Segment::Literal(word) if *word == taken => {}
            Segment::Literal(_) => return None,
            Segment::One(field) | Segment::Rest(field) => fields.push((field.clone(), taken)),
        }
    }
    parts.is_empty().then_some(fields)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn found(verb: &str, path: &str) -> (String, Vec<String>) {
        let routes = Routes::load().unwrap();
        match routes.by_path(verb, path) {
            Found::Route(route, fields) => {
                let values = fields.into_iter().map(|(_, value)| value).collect();
                (route.method.name().into(), values)
            }
            other => panic!("{verb} {path}: {other:?}"),
        }
    }

    #[test]
    fn paths_lead_to_calls() {
        let cases: [(&str, &str, &str, &[&str]); 12] = [
            ("POST", "/e4/client/pump-1", "NewClient", &["pump-1"]),
            ("POST", "/e4/client/a%2Fb%20c", "NewClient", &["a/b c"]),
            ("DELETE", "/e4/topic/plant/pressure", "RemoveTopic", &["plant/pressure"]),
            ("POST", "/e4/topic//lead/", "NewTopic", &["/lead/"]),
            ("GET", "/e4/topic/plant/a/clients", "GetClientsForTopic", &["plant/a"]),
            ("GET", "/e4/topic/plant/clients/clients", "GetClientsForTopic", &["plant/clients"]),
            ("GET", "/e4/topic/x/clients/count", "CountClientsForTopic", &["x"]),
            ("GET", "/e4/clients/count", "CountClients", &[]),
            ("PUT", "/e4/client/c/topic/a/b", "NewTopicClient", &["c", "a/b"]),
            ("PUT", "/e4/client/c", "ResetClient", &["c"]),
            ("POST", "/e4/client/t/link/s", "LinkClient", &["t", "s"]),
            ("DELETE", "/e4/client/t/unlink/s", "UnlinkClient", &["t", "s"]),
        ];
        for (verb, path, call, values) in cases {
            assert_eq!(
                found(verb, path),
                (call.into(), values.iter().map(|at| (*at).into()).collect())
            );
        }
        let routes = Routes::load().unwrap();
        assert!(matches!(routes.by_path("PATCH", "/e4/clients"), Found::OtherVerb));
        for path in ["/e4", "/e4/topic", "/", "", "/e4/client/%ff", "/e4/clients/count/x"] {
            assert!(matches!(routes.by_path("GET", path), Found::Nothing), "{path}");
        }
    }

    #[test]
    fn every_call_says_who_may_and_has_a_path_of_its_own() {
        for service in [C2, AUTOMATION] {
            let routes = Routes::of(service).unwrap();
            let mut seen = std::collections::HashSet::new();
            for route in routes.all() {
                assert!(route.permission.is_some(), "{}", route.method.name());
                assert!(seen.insert((route.verb, route.template.clone())), "{}", route.template);
                let rests = route.segments.iter().filter(|at| matches!(at, Segment::Rest(_)));
                assert!(rests.count() <= 1);
            }
        }
    }
}
