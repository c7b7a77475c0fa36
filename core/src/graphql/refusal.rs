//! Reasons for refusing a request.

/// Reason for which a guarded route refuses a request. The message is for the client: it says what to change, and
/// repeats nothing of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The document has too many bytes.
    #[error("the document has more than {0} bytes")]
    Bytes(u32),
    /// The document has too many tokens.
    #[error("the document has more than {0} tokens")]
    Tokens(u32),
    /// Fields are nested too deeply.
    #[error("fields are nested more than {0} levels deep")]
    Depth(u32),
    /// Selection sets, those of inline fragments included, are nested too deeply.
    #[error("selection sets are nested more than {0} levels deep")]
    SelectionSets(u32),
    /// A value or a type is nested too deeply.
    #[error("a value is nested more than {0} levels deep")]
    ValueNesting(u32),
    /// An operation has too many aliases.
    #[error("the operation has more than {0} aliases, counting fragments where they are spread")]
    Aliases(u32),
    /// An operation has too many fields at its root.
    #[error("the operation has more than {0} fields at its root, counting fragments where they are spread")]
    RootFields(u32),
    /// An operation has too many fields.
    #[error("the operation has more than {0} fields, counting fragments where they are spread")]
    Fields(u32),
    /// An operation has too many directives.
    #[error("the operation has more than {0} directives, counting fragments where they are spread")]
    Directives(u32),
    /// A field, fragment, operation or variable has too many directives.
    #[error("a field, fragment, operation or variable has more than {0} directives")]
    DirectivesPerNode(u32),
    /// The document has too many operations.
    #[error("the document has more than {0} operations")]
    Operations(u32),
    /// The document has too many fragments.
    #[error("the document has more than {0} fragments")]
    Fragments(u32),
    /// A fragment spreads itself, possibly through others.
    #[error("a fragment spreads itself, directly or through other fragments")]
    FragmentCycle,
    /// A fragment is spread and not defined.
    #[error("a fragment is spread that the document does not define")]
    UnknownFragment,
    /// Two fragments have one name.
    #[error("two fragments have the same name")]
    RepeatedFragment,
    /// The document asks for `__schema` or `__type`.
    #[error("introspection is not allowed")]
    Introspection,
    /// The text is not a document of GraphQL.
    #[error("the document is not GraphQL from byte {0} on")]
    Syntax(u32),
    /// The document defines a schema.
    #[error("the document defines types; only operations and fragments can be executed")]
    NotExecutable,
    /// The document has no operation.
    #[error("the document has no operation")]
    NoOperation,
    /// The method is none of GET, HEAD and POST.
    #[error("use POST, or GET for queries")]
    Method,
    /// The request asks for another protocol.
    #[error("the guard cannot read other protocols: send GraphQL by HTTP, without the header upgrade")]
    Upgrade,
    /// A GET request with a mutation or a subscription.
    #[error("GET executes queries only; send mutations and subscriptions by POST")]
    QueriesOnly,
    /// The body is not announced as JSON.
    #[error("send the request as application/json")]
    MediaType,
    /// The body is compressed.
    #[error("send the request without content-encoding")]
    Encoding,
    /// The body has more than [`MAX_BODY`](super::MAX_BODY) bytes.
    #[error("the request has more than {0} bytes")]
    Body(u32),
    /// A parameter of the URL is not UTF-8.
    #[error("a parameter of the URL is not UTF-8")]
    Url,
    /// The body is not JSON, or not that of a request.
    #[error("the request is not a JSON object with the document as a string in `query`")]
    Json,
    /// A parameter is there twice, or in another place or spelling too, so that backends may differ in which one they
    /// take.
    #[error("a parameter of the request is repeated, or not spelled as GraphQL over HTTP does")]
    Ambiguous,
    /// There is neither a document nor the hash of one.
    #[error("the request has no document: send it in `query`")]
    NoDocument,
    /// Batches are not allowed.
    #[error("batches are not allowed: send one operation per request")]
    Batch,
    /// The batch has too many operations.
    #[error("the batch has more than {0} operations")]
    BatchSize(u32),
    /// The document is not among the trusted ones.
    #[error("the document is not one of those that may be executed")]
    Untrusted,
}

impl Refusal {
    /// Returns the code of the error, in `extensions.code` of the response.
    pub fn code(self) -> &'static str {
        match self {
            Self::Bytes(_) => "DOCUMENT_TOO_LARGE",
            Self::Tokens(_) => "TOO_MANY_TOKENS",
            Self::Depth(_) | Self::SelectionSets(_) => "TOO_DEEP",
            Self::ValueNesting(_) => "VALUE_TOO_DEEP",
            Self::Aliases(_) => "TOO_MANY_ALIASES",
            Self::RootFields(_) => "TOO_MANY_ROOT_FIELDS",
            Self::Fields(_) => "TOO_MANY_FIELDS",
            Self::Directives(_) | Self::DirectivesPerNode(_) => "TOO_MANY_DIRECTIVES",
            Self::Operations(_) => "TOO_MANY_OPERATIONS",
            Self::Fragments(_) => "TOO_MANY_FRAGMENTS",
            Self::FragmentCycle => "FRAGMENT_CYCLE",
            Self::UnknownFragment => "UNKNOWN_FRAGMENT",
            Self::RepeatedFragment => "REPEATED_FRAGMENT",
            Self::Introspection => "INTROSPECTION_DISABLED",
            Self::Syntax(_) => "GRAPHQL_PARSE_FAILED",
            Self::NotExecutable => "NOT_EXECUTABLE",
            Self::NoOperation => "NO_OPERATION",
            Self::Method => "METHOD_NOT_ALLOWED",
            Self::Upgrade => "UPGRADE_NOT_ALLOWED",
            Self::QueriesOnly => "QUERIES_ONLY",
            Self::MediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::Encoding => "UNSUPPORTED_ENCODING",
            Self::Body(_) => "REQUEST_TOO_LARGE",
            Self::Url | Self::Json => "BAD_REQUEST",
            Self::Ambiguous => "AMBIGUOUS_REQUEST",
            Self::NoDocument => "NO_DOCUMENT",
            Self::Batch => "BATCH_NOT_ALLOWED",
            Self::BatchSize(_) => "BATCH_TOO_LARGE",
            Self::Untrusted => "UNTRUSTED_DOCUMENT",
        }
    }

    /// Returns the status of the response: 400, unless HTTP has a more precise one.
    pub fn status(self) -> u16 {
        match self {
            Self::Method | Self::QueriesOnly => 405,
            Self::Body(_) => 413,
            Self::MediaType | Self::Encoding => 415,
            _ => 400,
        }
    }

    /// Returns the body of the response, which is JSON.
    pub fn body(self) -> String {
        // No message has a character that JSON would escape.
        format!(r#"{{"errors":[{{"message":"{self}","extensions":{{"code":"{}"}}}}]}}"#, self.code())
    }
}
