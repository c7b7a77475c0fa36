// The numbers and strings that JavaScript and WebAssembly exchange. Each has a counterpart in Rust,
// and a test on the host reads this file to compare them. It expects one constant per line: a
// number, `number << number`, a string, or constants from above joined by `|`.
//
// esbuild puts the numbers in place of their names, in every module, so the names cost nothing.

// A decision is one number, see `PackedDecision` in edge/src/wire.rs: bits 0 to 14 are the route, 15 to 19
// the reason, 20 the arm, and the rest ask for further work. Bit operations in JavaScript are
// signed, so COMPARE is negative here and positive in Rust; the bits are the same.
export const NO_ROUTE = 0x7fff;
export const REASON_SHIFT = 15;
export const REASON = 0x1f << 15;
export const ARM_SHIFT = 20;
export const NEW = 1 << 20;
export const KIND = 0x1fffff;
export const REFRESH = 1 << 21;
export const MINTED = 1 << 22;
export const EVIDENCE = 1 << 23;
export const UNDECIDED = 1 << 24;
export const SECONDARY = 1 << 25;
export const PROBE = 1 << 26;
export const STALE = 1 << 27;
export const RETRYABLE = 1 << 28;
export const UNCACHED = 1 << 29;
export const ADAPT = 1 << 30;
export const COMPARE = 1 << 31;
// What an UNDECIDED request lacks, in place of a route.
export const OWN_PATH = 1 << 0;
export const BOOT = 1 << 1;
export const TABLE = 1 << 2;
export const ASK = 1 << 3;
export const LIMIT = 1 << 4;

// Reasons that JavaScript gives itself: codes of `Reason`, at their place in a decision.
export const REASON_NO_SNAPSHOT = 8 << 15;
export const REASON_FALLBACK = 9 << 15;
export const REASON_INTERNAL = 10 << 15;
export const REASON_DIVERTED = 12 << 15;
export const REASON_GUARDED = 15 << 15;
export const REASON_ROLLOUT = 6 << 15;
export const REASON_CACHED = 17 << 15;
// And one that the core gives, whose responses are made here.
export const REASON_LIMITED = 16 << 15;

// What limiters have answered about a request, see `LimiterAnswers` in edge/src/wire.rs: the first bits of three groups, and
// two bits of the request.
export const LIMIT_GRANTED = 1;
export const LIMIT_REFUSED = 1 << 8;
export const LIMIT_FAILED = 1 << 16;
export const LIMIT_GAVE_UP = 1 << 24;
export const LIMIT_AGAIN = 1 << 25;

// An outcome is OUTCOME_LENGTH numbers, see `PackedOutcome` in edge/src/wire.rs: the KIND of the decision with the low
// bits of its generation above it, the milliseconds with the status above them, the halves of the user's hash, the
// second in which the request began, bits, and the number of the ticket by which experiments count the request.
export const GENERATION_SHIFT = 21;
export const STATUS_SHIFT = 20;
export const MAX_MS = 0xfffff;
// In place of a status if no backend responded.
export const UNREACHABLE = 0;
export const TIMEOUT = 1;
// The status of a request whose upload the client broke off.
export const CLIENT_GONE = 499;
// Numbers of one outcome, and the bits of its sixth one.
export const OUTCOME_LENGTH = 7;
export const MINTED_USER = 1;
export const GAVE_UP = 2;
export const UNINSPECTED = 4;
export const FOLLOWED = 8;

// The result of a request to an origin, see `OriginResult` in edge/src/isolate/failover.rs.
export const RESULT_ANSWERED = 0;
export const RESULT_FAILED = 1;
export const RESULT_UNKNOWN = 2;
export const RESULT_PROBED = 4;

// In place of a value that a request or a response lacks. No header can hold it.
export const ABSENT = "\0";
// Between the heads of the compared responses. No header can hold it either.
export const HEAD_SEPARATOR = "\u0001";

// Beginning of the paths below which flags are evaluated.
export const EVALUATIONS = "/ofrep/";

// Parts of the kind of a response with evaluations, see `ResponseKind` in edge/src/isolate/ofrep.rs: the mask of the
// status, and the bit of an entity tag.
export const EVALUATION_STATUS = 0x3ff;
export const EVALUATION_TAGGED = 1 << 10;

// Inputs of a decision that are not headers, see `input_name` in edge/src/wire.rs.
export const INPUT_JWT = ":jwt";
export const INPUT_COUNTRY = ":country";
export const INPUT_IP = ":ip";
// The beginning of those that are claims of a token.
export const INPUT_CLAIM = ":claim:";

// Failures of the new backend after which legacy serves the request, codes of `Fallback`.
export const FALLBACK_NEVER = 0;
export const FALLBACK_UNAVAILABLE = 2;

// The decision headers that responses carry, see `DecisionHeaders::bits` in edge/src/settings.rs.
export const SHOW_ARM = 1 << 0;
export const SHOW_REASON = 1 << 1;
export const SHOW_REVISION = 1 << 2;

// The next step of an adapted request, see `step` in edge/src/wire.rs: bits 0 to 2 are the
// kind, and from STEP_SHIFT on there is the number of the exchange or the status of the response.
export const STEP_KIND = 7;
export const STEP_GONE = 0;
export const STEP_PASS = 1;
export const STEP_UNKNOWN = 2;
export const STEP_UPSTREAM = 3;
export const STEP_RESPOND = 4;
export const STEP_BODY = 1 << 3;
export const STEP_MORE = 1 << 4;
export const STEP_UNFIT = 1 << 5;
export const STEP_SHIFT = 6;

// Tickets, the return values of `begin_comparison` in edge/src/bindings/comparisons.rs: bits 0 and 1 are the kind, the
// others the number of the claim, by which the core knows the comparison when it ends.
export const TICKET_NONE = 0;
export const TICKET_COMPARE = 1;
export const TICKET_WITH_NOISE = 2;
export const TICKET_KIND = 3;

// Verdicts, the return values of `finish_comparison`.
export const VERDICT_NONE = 0;
export const VERDICT_MISMATCH = 2;

// Verdicts of guards, see `guard_verdict` in edge/src/wire.rs: the mask of the status, 1 in place of a status if nothing was
// checked, and the first bit of the number of documents that are not trusted.
export const GUARD_STATUS = 0x3ff;
export const GUARD_GONE = 1;
export const GUARD_UNTRUSTED_SHIFT = 10;

// The largest body of a guarded request, in bytes.
export const MAX_GUARDED_BODY = 65536;

// Reasons not to compare, by their index in `SkipReason::ALL`.
export const SKIPPED_SIZE = 2;
export const SKIPPED_TIMEOUT = 4;
export const SKIPPED_UNREACHABLE = 5;
export const SKIPPED_UNADAPTED = 8;
export const SKIPPED_CONDITIONAL = 9;

// The largest body of an event that is sent to the Worker, in bytes.
export const MAX_EVENT_BODY = 1024;
