//! What tells one stored response from another (RFC 9111 §2, §4).

/// What a rule puts into the key beside method class, scheme, host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySpec {
    /// The query.
    pub query: QuerySpec,
    /// Request header fields whose values are part of the key, lower case.
    pub headers: Vec<String>,
    /// Cookies whose values are part of the key.
    pub cookies: Vec<String>,
    /// Who is asking: partitions the store per caller.
    pub identity: Option<Identity>,
}

/// How the query enters the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuerySpec {
    /// Parameters left out; a trailing `*` matches any ending.
    pub ignore: Vec<String>,
    /// If given, the only parameters let in; a trailing `*` matches any ending.
    pub allow: Option<Vec<String>>,
    /// Whether the parameters' order is forgotten.
    pub sort: bool,
}

impl Default for QuerySpec {
    fn default() -> Self {
        Self { ignore: Vec::new(), allow: None, sort: true }
    }
}

/// Where the caller's identity is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// In this request header field, lower case.
    Header(String),
    /// In this cookie.
    Cookie(String),
}
