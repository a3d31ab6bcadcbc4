//! The doors by name: the label of each in the metrics, and the door to which a path leads.
//!
//! Decides nothing about a request: routes and error shapes are elsewhere.

/// The door by which a call of a function came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Native,
    PassThrough,
    CloudEvents,
    Lambda,
    OpenFaas,
}

impl Door {
    pub(crate) const ALL: [Door; 5] =
        [Door::Native, Door::PassThrough, Door::CloudEvents, Door::Lambda, Door::OpenFaas];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Door::Native => "native",
            Door::PassThrough => "fn",
            Door::CloudEvents => "cloudevents",
            Door::Lambda => "lambda",
            Door::OpenFaas => "openfaas",
        }
    }
}

/// The part of the broker that a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    Native,
    PassThrough,
    Lambda,
    OpenFaas,
    /// Definitions, market data, accounts, the operator's commands.
    Api,
    /// Health, metrics, the OpenAPI document.
    Health,
    Page,
}

impl Entrance {
    pub(crate) const ALL: [Entrance; 7] = [
        Entrance::Native,
        Entrance::PassThrough,
        Entrance::Lambda,
        Entrance::OpenFaas,
        Entrance::Api,
        Entrance::Health,
        Entrance::Page,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Entrance::Native => "native",
            Entrance::PassThrough => "fn",
            Entrance::Lambda => "lambda",
            Entrance::OpenFaas => "openfaas",
            Entrance::Api => "api",
            Entrance::Health => "state",
            Entrance::Page => "page",
        }
    }

    /// Returns the entrance at this path.
    pub(crate) fn of(path: &str) -> Entrance {
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        match first {
            "v1" if path.ends_with("/invocations") => Entrance::Native,
            "v1" => Entrance::Api,
            "fn" => Entrance::PassThrough,
            "2015-03-31" | "2021-11-15" => Entrance::Lambda,
            "function" | "async-function" | "system" => Entrance::OpenFaas,
            "healthz" | "readyz" | "metrics" | "openapi.json" => Entrance::Health,
            _ => Entrance::Page,
        }
    }
}

/// Returns true where a plain GET, such as that of a picture or a link, calls a function.
pub(crate) fn calls_by_link(path: &str) -> bool {
    ["/fn/", "/function/"].iter().any(|door| path.starts_with(door))
}

#[cfg(test)]
#[path = "../tests/unit/door_names.rs"]
mod tests;
