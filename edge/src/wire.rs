//! The formats that cross between JavaScript and WebAssembly, once per request.
//!
//! In: one string of lines with the method, the URL, and one value for each input that the isolate
//! announced, in the announced order. Neither a method, a URL nor a header value can hold a line
//! feed. An input that the request lacks is a NUL ([`ABSENT`]), which a header value cannot hold
//! either.
//!
//! Out: one number, see [`PackedDecision`]. While an experiment runs, JavaScript also reads the variants of the user from
//! memory, in the same turn: four numbers at the address that the table names, which are address and length of what the
//! backend is told, and of what the client is told.
//!
//! Back, when the request has ended: seven numbers, see [`PackedOutcome`]. Many outcomes cross in one
//! call.
//!
//! For example, a request with the announced inputs `cookie`, `x-user-id` and `:country`, and the
//! decision that it goes to the new origin of route 3 while the snapshot is due for a refresh:
//!
//! ```text
//! GET LF https://api.example.com/api/v1/reviews?page=2 LF NUL LF u1 LF NO
//! │      │                                             │      │     └ :country
//! │      │                                             │      └ x-user-id
//! │      │                                             └ cookie: absent
//! │      └ URL, as it was sent
//! └ method
//!
//! 0x0033_0003
//!   bits 0 to 14    0x0003   route 3
//!   bits 15 to 19   0x6      Reason::Rollout
//!   bit 20          1        PackedDecision::NEW
//!   bits 21 to 31   1        PackedDecision::REFRESH
//! ```

use cutover_core::{
    Facts, Reason,
    adapter::Unfit,
    decision::{decide::Decision, input::Input},
    measurement::counts::Outcome,
    vocabulary::arm::Arm,
};

/// Value of an input or a header that is absent.
pub const ABSENT: &str = "\0";

/// Separator of the heads of compared responses; no header can hold it.
pub const HEAD_SEPARATOR: char = '\u{1}';

/// Beginning of the paths below which flags are evaluated, if the configuration has an endpoint for that.
pub const EVALUATIONS: &str = "/ofrep/";

/// A request, packed in lines.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent, without the question mark.
    pub query: &'a str,
    /// The arm that a signed header asks for.
    pub forced: Option<Arm>,
    /// Answers of limiters about this request.
    pub answers: LimiterAnswers,
    values: &'a str,
}

impl<'a> Packed<'a> {
    /// Splits the lines of a packed request.
    pub fn new(text: &'a str) -> Self {
        let (method, rest) = text.split_once('\n').unwrap_or((text, ""));
        let (url, values) = rest.split_once('\n').unwrap_or((rest, ""));
        let (path, query) = path_and_query(url);
        Self { method, path, query, forced: None, answers: LimiterAnswers::default(), values }
    }

    /// Iterates over the values, `None` for those that are absent.
    pub fn values(&self) -> impl Iterator<Item = Option<&'a str>> {
        self.values.split('\n').map(|value| Some(value).filter(|value| *value != ABSENT))
    }

    /// Calls `with` with the facts of the request. `inputs` are in the order in which they were
    /// announced.
    pub fn facts<T>(&self, inputs: &[Input], with: impl FnOnce(&Facts<'_>) -> T) -> T {
        let Self { method, path, query, forced, .. } = *self;
        let mut facts = Facts { method, path, query, forced, ..Facts::default() };
        if inputs.is_empty() {
            return with(&facts);
        }
        let mut headers = Vec::with_capacity(inputs.len());
        for (input, value) in inputs.iter().zip(self.values.split('\n')).filter(|(_, v)| *v != ABSENT) {
            match input {
                Input::Header(name) => headers.push((&**name, value)),
                Input::Country => facts.country = Some(value),
                Input::Ip => facts.ip = Some(value),
            }
        }
        facts.headers = &headers;
        with(&facts)
    }
}

/// Returns the path and the query of an absolute URL. Anything else is taken for a path.
fn path_and_query(url: &str) -> (&str, &str) {
    let target = match url.split_once("://") {
        Some((_, rest)) if !url.starts_with('/') => {
            rest.find('/').and_then(|start| rest.get(start..)).unwrap_or("/")
        }
        _ => url,
    };
    let target = target.split_once('#').map_or(target, |(before, _)| before);
    target.split_once('?').unwrap_or((target, ""))
}

/// Returns the name by which JavaScript reads an input: a header name, `:country`, `:ip` or `:jwt`.
pub fn input_name(input: &Input) -> &str {
    match input {
        Input::Header(name) => name,
        Input::Country => ":country",
        Input::Ip => ":ip",
    }
}

/// A decision, packed in one number: bits 0 to 14 are the route, 15 to 19 the reason, 20 the arm, and from 21 on the
/// instructions to JavaScript. If nothing is decided yet ([`PackedDecision::UNDECIDED`]), the lowest bits say which thing
/// is lacking instead. The layout is shared with `js/wire.js`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedDecision(pub u32);

impl PackedDecision {
    /// Route number that means "no route of the snapshot": the configured legacy origin answers.
    pub const NO_ROUTE: u32 = 0x7FFF;
    /// First bit of the reason.
    pub const REASON_SHIFT: u32 = 15;
    /// Mask of the reason, behind the shift.
    const REASON_MASK: u32 = 0x1F;
    /// The new arm answers.
    pub const NEW: u32 = 1 << 20;
    /// The snapshot is due for a refresh.
    pub const REFRESH: u32 = 1 << 21;
    /// An anonymous id was minted; fetch it.
    pub const MINTED: u32 = 1 << 22;
    /// The user is evidence in the run of a canary, or counts for an experiment; fetch the hash (`evidence_low` and
    /// `evidence_high`) and the number of the ticket (`experiment_ticket`) in the same turn, and hand them back with the
    /// outcome.
    pub const EVIDENCE: u32 = 1 << 23;
    /// The request is not decided: something is lacking first, [`OWN_PATH`](Self::OWN_PATH), [`BOOT`](Self::BOOT),
    /// [`TABLE`](Self::TABLE), [`ASK`](Self::ASK) or [`LIMIT`](Self::LIMIT).
    pub const UNDECIDED: u32 = 1 << 24;
    /// Lacking: nothing, the Worker answers this path itself.
    pub const OWN_PATH: u32 = 1;
    /// Lacking: the isolate holds no snapshot yet; wait for one.
    pub const BOOT: u32 = 1 << 1;
    /// Lacking: JavaScript's table belongs to another generation; read it again and decide again.
    pub const TABLE: u32 = 1 << 2;
    /// Lacking: the control plane has been silent for too long; send it a question before any request goes to the new
    /// arm.
    pub const ASK: u32 = 1 << 3;
    /// The secondary of the arm's origin gets the request, because the origin fails.
    pub const SECONDARY: u32 = 1 << 25;
    /// The request goes past the cache of its route, because it is evidence.
    pub const UNCACHED: u32 = 1 << 29;
    /// The request is a probe of the origin that gets it: its end is told, whatever it is.
    pub const PROBE: u32 = 1 << 26;
    /// Lacking: an answer of the limiter; ask the questions of `limit_questions` first.
    pub const LIMIT: u32 = 1 << 4;
    /// The snapshot is older than its hard limit.
    pub const STALE: u32 = 1 << 27;
    /// Legacy may answer if the new origin cannot.
    pub const RETRYABLE: u32 = 1 << 28;
    /// An adapter translates between the client and the origin.
    pub const ADAPT: u32 = 1 << 30;
    /// The response is compared with the other backend's.
    pub const COMPARE: u32 = 1 << 31;
    /// Mask of the bits that identify a kind of request in an outcome: the route, the reason and
    /// the arm.
    pub const KIND: u32 = 0x1F_FFFF;

    /// Returns the answer that the request is not decided, because something is lacking.
    pub fn undecided(lacking: u32) -> Self {
        Self(Self::UNDECIDED | lacking)
    }

    /// Returns true if the request is not decided, because something is lacking.
    pub fn lacks(self, lacking: u32) -> bool {
        self.0 & Self::UNDECIDED != 0 && self.0 & lacking != 0
    }

    /// Returns the answer that sends a request to the configured legacy origin.
    pub fn legacy(reason: Reason) -> Self {
        Self(Self::NO_ROUTE | (reason as u32) << Self::REASON_SHIFT)
    }

    /// Returns the answer that a rate limit of the decided route refuses the request.
    pub fn limited(decision: &Decision<'_>) -> Self {
        let route = Self::of(decision).0 & Self::NO_ROUTE;
        Self(route | (Reason::Limited as u32) << Self::REASON_SHIFT)
    }

    /// Packs a decision.
    pub fn of(decision: &Decision<'_>) -> Self {
        let route = decision
            .route_position
            .and_then(|route| u32::try_from(route).ok())
            .filter(|route| *route < Self::NO_ROUTE);
        match route {
            // More routes than the number can address: fail safe.
            None => Self::legacy(decision.verdict.reason),
            Some(route) => {
                let arm = if decision.verdict.arm == Arm::New { Self::NEW } else { 0 };
                Self(route | (decision.verdict.reason as u32) << Self::REASON_SHIFT | arm)
            }
        }
    }

    /// Adds instructions for JavaScript.
    pub fn with(self, bits: u32) -> Self {
        Self(self.0 | bits)
    }

    /// Returns the arm that answers.
    pub fn arm(self) -> Arm {
        if self.0 & Self::NEW == 0 { Arm::Legacy } else { Arm::New }
    }

    /// Returns the reason of the decision.
    pub fn reason(self) -> Reason {
        let code = (self.0 >> Self::REASON_SHIFT) & Self::REASON_MASK;
        usize::try_from(code).ok().and_then(|i| Reason::ALL.get(i)).copied().unwrap_or(Reason::Internal)
    }

    /// Returns the position of the route, or `None` if the configured legacy origin answers.
    pub fn route(self) -> Option<usize> {
        Some(self.0 & Self::NO_ROUTE).filter(|route| *route != Self::NO_ROUTE)?.try_into().ok()
    }
}

/// Answers of limiters about one request, packed by JavaScript: a bit for each policy, by its position on the
/// route, in three groups, and two bits of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimiterAnswers(pub u32);

impl LimiterAnswers {
    /// First bit of the policies that have granted a token to this request.
    pub const GRANTED: u32 = 1;
    /// First bit of those that have refused one.
    pub const REFUSED: u32 = 1 << 8;
    /// First bit of those whose limiter has failed.
    pub const FAILED: u32 = 1 << 16;
    /// The time for which a request waits for limiters is over.
    pub const GAVE_UP: u32 = 1 << 24;
    /// The request was decided before, and counted.
    pub const AGAIN: u32 = 1 << 25;

    fn has(self, group: u32, position: usize) -> bool {
        u32::try_from(position).is_ok_and(|position| position < 8 && self.0 & (group << position) != 0)
    }

    /// Returns true if the policy at a position has granted a token to this request.
    pub fn granted(self, position: usize) -> bool {
        self.has(Self::GRANTED, position)
    }

    /// Returns true if the policy at a position has refused a token.
    pub fn refused(self, position: usize) -> bool {
        self.has(Self::REFUSED, position)
    }

    /// Returns true if the limiter of the policy at a position has failed.
    pub fn failed(self, position: usize) -> bool {
        self.has(Self::FAILED, position)
    }

    /// Returns true if the request waits no longer.
    pub fn gave_up(self) -> bool {
        self.0 & Self::GAVE_UP != 0
    }

    /// Returns true if the request is decided for the first time.
    pub fn is_first(self) -> bool {
        self.0 & Self::AGAIN == 0
    }
}

/// The kind of a request in its outcome, packed by JavaScript: bits 0 to 20 are those of the
/// [`PackedDecision`], and bits 21 to 31 the low bits of the generation that decided the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutcomeKind(pub u32);

impl OutcomeKind {
    /// Number of bits by which generations are distinguished.
    const GENERATION_BITS: u32 = 11;
    /// First bit of the generation.
    pub const GENERATION_SHIFT: u32 = 21;

    /// Returns the part of a generation's number that an outcome carries.
    pub fn tag(generation: u32) -> u32 {
        generation & ((1 << Self::GENERATION_BITS) - 1)
    }

    /// Returns the low bits of the generation.
    pub fn generation(self) -> u32 {
        self.0 >> Self::GENERATION_SHIFT
    }

    /// Returns the decision.
    pub fn decision(self) -> PackedDecision {
        PackedDecision(self.0 & PackedDecision::KIND)
    }
}

/// The outcome of a request, packed by JavaScript in seven numbers:
///
/// - 0: the [`OutcomeKind`]
/// - 1: the milliseconds in bits 0 to 19, and in bits 20 to 31 the status, or 0 if the connection
///   was refused or broken off, or 1 if no response began in time
/// - 2 and 3: the lower and the upper half of the user's hash in the run of a canary; both 0 if the request is no evidence
/// - 4: the start of the request, in seconds since 1970
/// - 5: the flags [`PackedOutcome::MINTED_USER`], [`PackedOutcome::GAVE_UP`], [`PackedOutcome::UNINSPECTED`] and
///   [`PackedOutcome::FOLLOWED`]
/// - 6: the number of the ticket by which experiments count the request; 0 if none does
///
/// For example, a response with status 503 after 5 ms on the new origin of route 3, decided in
/// generation 1 by the bucket of a user who is evidence:
///
/// ```text
/// [0x0033_0003, 503 << 20 | 5, 0x89ab_cdef, 0x0123_4567, 1767225600, 0, 0]
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedOutcome {
    /// The decision and its generation.
    pub kind: OutcomeKind,
    /// The status and the duration.
    pub end: u32,
    /// Hash of the user; 0 if the request is no evidence of a canary.
    pub user: u64,
    /// Start of the request, in seconds since 1970.
    pub begun: u32,
    /// Flags of the request and its user.
    pub flags: u32,
    /// Number of the request's ticket, see [`Tickets`](crate::counting::tickets::Tickets); 0 if it has none.
    pub ticket: u32,
}

impl PackedOutcome {
    /// Number of numbers that one outcome takes.
    pub const LENGTH: usize = 7;
    /// First bit of the status in the second number.
    pub const STATUS_SHIFT: u32 = 20;
    /// Longest duration that an outcome can carry, in milliseconds.
    pub const MAX_MS: u32 = 0xF_FFFF;
    /// In place of a status if no backend responded.
    pub const UNREACHABLE: u32 = 0;
    /// In place of a status if the backend did not respond in time.
    pub const TIMEOUT: u32 = 1;
    /// Flag: the user id was minted for this very request.
    pub const MINTED_USER: u32 = 1;
    /// Flag: the client left before the response. The status does not count then.
    pub const GAVE_UP: u32 = 1 << 1;
    /// Flag: the route has `error_when`, but the response was not inspected, so its status alone counts.
    pub const UNINSPECTED: u32 = 1 << 2;
    /// Flag: legacy is asked in the place of the failed new backend. Its outcome follows with the same ticket.
    pub const FOLLOWED: u32 = 1 << 3;

    /// Reads the numbers of one outcome; `None` if there are more or fewer than seven.
    pub fn read(numbers: &[u32]) -> Option<Self> {
        match *numbers {
            [kind, end, low, high, begun, flags, ticket] => Some(Self {
                kind: OutcomeKind(kind),
                end,
                user: u64::from(high) << 32 | u64::from(low),
                begun,
                flags,
                ticket,
            }),
            _ => None,
        }
    }

    /// Returns the status, or the kind of failure; 499 if the client left.
    pub fn outcome(self) -> Outcome {
        match self.end >> Self::STATUS_SHIFT {
            _ if self.gave_up() => Outcome::Status(499),
            Self::UNREACHABLE => Outcome::Unreachable,
            Self::TIMEOUT => Outcome::Timeout,
            status => Outcome::Status(status),
        }
    }

    /// Returns the milliseconds from the request's arrival to its end.
    pub fn ms(self) -> u32 {
        self.end & Self::MAX_MS
    }

    /// Returns the hash of the user; `None` if the request is no evidence of a canary.
    pub fn user(self) -> Option<u64> {
        // One user in 2^64 has the hash 0, and is left out.
        Some(self.user).filter(|user| *user != 0)
    }

    /// Returns the start of the request, in milliseconds since 1970.
    pub fn begun_ms(self) -> i64 {
        i64::from(self.begun) * 1_000
    }

    /// Returns true if the user id was minted for this very request.
    pub fn is_minted(self) -> bool {
        self.flags & Self::MINTED_USER != 0
    }

    /// Returns true if the response may hide an error and was not inspected.
    pub fn is_uninspected(self) -> bool {
        self.flags & Self::UNINSPECTED != 0
    }

    /// Returns true if another outcome of the same request follows.
    pub fn is_followed(self) -> bool {
        self.flags & Self::FOLLOWED != 0
    }

    /// Returns true if the client left before the response.
    pub fn gave_up(self) -> bool {
        self.flags & Self::GAVE_UP != 0
    }
}

/// Returns true if the Worker answers a path itself.
pub fn is_own_path(path: &str) -> bool {
    path.starts_with("/_cutover/")
}

/// Returns the reason of an unfit response as JavaScript receives it: five lines of printable ASCII, which
/// are the whole sentence, the route, the path, and the expected and the found form. The sentence can be the
/// value of a header.
pub fn unfit_lines(unfit: &Unfit) -> String {
    let sentence = unfit.to_string();
    let lines = [&sentence, &unfit.route, &unfit.path, &unfit.expected, &unfit.found];
    let printable = |line: &String| -> String {
        line.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
    };
    lines.map(printable).join("\n")
}

/// Reads the lines of [`unfit_lines`]; `None` if there are too few.
pub fn read_unfit(lines: &str) -> Option<Unfit> {
    let mut lines = lines.split('\n').skip(1).map(str::to_owned);
    let mut line = || lines.next();
    Some(Unfit { route: line()?, path: line()?, expected: line()?, found: line()? })
}

/// Instructions to JavaScript, packed in one number because strings are the expensive part of a
/// call. Bits 0 to 2 are the instruction, bit 3 means that there is a body (`adapted_body`), bit
/// 4 that there is more to read (`adapted_more`), bit 5 that the response is unfit for a reason
/// (`adapted_unfit`), and from bit 6 on follows the number of the exchange or the status of the
/// response.
pub mod step {
    /// The exchange is unknown.
    pub const GONE: u32 = 0;
    /// The request passes through unchanged.
    pub const PASS: u32 = 1;
    /// The adapter has no route for the request.
    pub const UNKNOWN: u32 = 2;
    /// Send a request to the backend: `POST` to the adapter's endpoint unless [`MORE`] is set,
    /// which then holds `method LF target`.
    pub const UPSTREAM: u32 = 3;
    /// Send the response to the client. If [`MORE`] is set, it holds the headers: `name LF value LF
    /// name …`.
    pub const RESPOND: u32 = 4;
    /// Mask of the instruction.
    pub const KIND: u32 = 7;
    /// There is a body.
    pub const BODY: u32 = 1 << 3;
    /// There is more to read.
    pub const MORE: u32 = 1 << 4;
    /// The response is that for a backend's response that cannot be used; it is an error of the new
    /// arm, whatever its status.
    pub const UNFIT: u32 = 1 << 5;
    /// First bit of the exchange number or the status.
    pub const SHIFT: u32 = 6;
    /// Mask of an exchange number: the bits that remain for it.
    pub const NUMBERS: u32 = u32::MAX >> SHIFT;
}

/// Verdicts of comparisons, as JavaScript gets them.
pub mod verdict {
    /// The responses could not be compared.
    pub const NONE: u32 = 0;
    /// They do not differ in more than noise.
    pub const EQUAL: u32 = 1;
    /// They differ.
    pub const MISMATCH: u32 = 2;
}

/// Verdicts of guards, as JavaScript gets them: bits 0 to 9 are the status of the refusal, 0 if a backend may get the
/// request, and from bit 10 on follows the number of its documents that are not trusted.
pub mod guard_verdict {
    /// In place of a status if the rules that decided the request are not held any more, so that nothing was checked.
    pub const GONE: u32 = 1;
    /// Mask of the status.
    pub const STATUS: u32 = 0x3ff;
    /// First bit of the number of documents.
    pub const UNTRUSTED_SHIFT: u32 = 10;
}

/// Tickets of comparisons, as JavaScript gets them and gives them back: bits 0 and 1 are the kind, and from bit 2 on
/// follows the number of the claim.
pub mod ticket {
    /// The request is not compared.
    pub const NONE: u32 = 0;
    /// The other backend gets the request too.
    pub const COMPARE: u32 = 1;
    /// Like [`COMPARE`], and legacy gets it a second time, to measure noise.
    pub const WITH_NOISE: u32 = 2;
    /// Mask of the kind.
    pub const KIND: u32 = 3;
    /// First bit of the claim's number.
    pub const SHIFT: u32 = 2;
    /// Mask of a claim's number: the bits that remain for it.
    pub const NUMBERS: u32 = u32::MAX >> SHIFT;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_cut_without_being_changed() {
        let cases = [
            ("https://a.example/x/%2F?b=%20&&c", ("/x/%2F", "b=%20&&c")),
            ("http://a.example", ("/", "")),
            ("http://a/?", ("/", "")),
            ("http://a/b#c?d", ("/b", "")),
            ("/plain?q=http://x/y", ("/plain", "q=http://x/y")),
            ("", ("", "")),
        ];
        for (url, expected) in cases {
            assert_eq!(path_and_query(url), expected, "{url}");
        }
    }

    #[test]
    fn inputs_are_read_in_their_order() {
        let inputs =
            [Input::Header("cookie".into()), Input::Header("x-user-id".into()), Input::Country, Input::Ip];
        let packed = Packed::new("GET\nhttp://h/p?q\n\0\nu1\nNO\n");
        packed.facts(&inputs, |facts| {
            assert_eq!((facts.method, facts.path, facts.query), ("GET", "/p", "q"));
            assert_eq!(facts.header("x-user-id"), Some("u1"));
            assert_eq!(facts.header("cookie"), None);
            assert_eq!((facts.country, facts.ip), (Some("NO"), Some("")));
        });
    }

    #[test]
    fn values_are_iterated_in_their_order() {
        let packed = Packed::new("POST\nhttp://h/p\n\"a\", \"b\"\n\0\n");
        assert_eq!(packed.values().collect::<Vec<_>>(), [Some("\"a\", \"b\""), None, Some("")]);
    }

    #[test]
    fn an_outcome_is_read_from_seven_numbers() {
        let new = 3 | (Reason::Rollout as u32) << PackedDecision::REASON_SHIFT | PackedDecision::NEW;
        let kind = new | 7 << OutcomeKind::GENERATION_SHIFT;
        let numbers = [kind, 503 << 20 | 5, 0x89ab_cdef, 0x0123_4567, 1_767_225_600, 0, 9];
        let read = PackedOutcome::read(&numbers).unwrap();
        assert_eq!((read.kind.decision(), read.kind.generation()), (PackedDecision(new), 7));
        assert_eq!((read.outcome(), read.ms()), (Outcome::Status(503), 5));
        assert_eq!((read.user(), read.ticket), (Some(0x0123_4567_89ab_cdef), 9));
        assert_eq!(read.begun_ms(), 1_767_225_600_000);
        assert_eq!((read.is_minted(), read.gave_up(), read.is_uninspected()), (false, false, false));
        let with = |index: usize, number: u32| {
            let mut numbers = numbers;
            numbers[index] = number;
            PackedOutcome::read(&numbers).unwrap()
        };
        assert_eq!(with(1, 9).outcome(), Outcome::Unreachable);
        assert_eq!(with(1, 1 << 20).outcome(), Outcome::Timeout);
        assert!(with(5, PackedOutcome::MINTED_USER).is_minted());
        assert!(with(5, PackedOutcome::UNINSPECTED).is_uninspected());
        assert_eq!(with(5, PackedOutcome::GAVE_UP).outcome(), Outcome::Status(499));
        assert_eq!(PackedOutcome::read(&[kind, 0, 0, 0, 0, 0, 9]).unwrap().user(), None);
        assert_eq!(PackedOutcome::read(&numbers[..6]), None);
    }

    #[test]
    fn the_reason_of_an_unfit_response_is_five_lines_that_a_header_can_hold() {
        let unfit = Unfit {
            route: "GET /api/x/{id}".to_owned(),
            path: "results[].pr\u{e9}nom".to_owned(),
            expected: "a number, or a string that holds one".to_owned(),
            found: "\"x\nx\u{1}\"".to_owned(),
        };
        let lines = unfit_lines(&unfit);
        let sentence = "GET /api/x/{id}: results[].pr?nom: expected a number, or a string that holds one, found \"x?x?\"";
        assert_eq!(lines.split('\n').next(), Some(sentence));
        assert_eq!(read_unfit(&lines).unwrap().to_string(), sentence);
        assert_eq!(read_unfit("a\nb\nc\nd"), None);
        assert_eq!(read_unfit(""), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_is_no_reason_to_panic(text in "\\PC*|[a-z:/?#\n\0]*") {
            Packed::new(&text).facts(&[Input::Ip, Input::Country], |facts| {
                assert!(facts.path.len() <= text.len().max(1));
            });
        }
    }
}
