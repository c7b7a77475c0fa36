// Types that several modules name in their JSDoc, and the two modules that wasm-bindgen writes.

/** Variables and secrets of the Worker, see wrangler.toml. */
interface Env extends IdentityProvider {
  LEGACY_ORIGIN?: string;
  /** Beginnings of paths with their legacy origins, such as `/api/=https://a.example /b/=https://b.example`. */
  LEGACY_ROUTES?: string;
  INGEST_URL: string;
  /** URL of the function that answers questions; ingest answers them too. */
  ASK_URL?: string;
  STRIP_REQUEST_HEADERS?: string;
  /** In place of the platform's cache where there is none: a service with the entrypoint `Answers` behind it. */
  CACHE_STANDIN?: Fetcher;
  CUTOVER_INGEST_SECRET?: string;
  CUTOVER_FORCE_SECRET?: string;
  /** The limiters of global rate limits; absent if the Worker has no such binding. */
  CUTOVER_LIMITS?: DurableObjectNamespace<import("./limiter.js").CutoverLimiter>;
}

interface IdentityProvider {
  JWT_JWKS_URL?: string;
  JWT_ISSUER?: string;
  JWT_AUDIENCE?: string;
}

/** A request as the runtime hands it over. */
type ClientRequest = Request<unknown, IncomingRequestCfProperties>;

/**
 * The base URL of an origin, its time limit in milliseconds, its options, the requests built for it, true if the core
 * wants to hear of its next success, the successes of which it was not told, and the time of the last success.
 */
type Origin = [
  base: string,
  ms: number,
  options: OriginOptions | null,
  built?: Map<string, Request>,
  isIll?: boolean,
  successes?: number,
  served?: number,
];

/** The position of an origin's secondary or -1, and true if it may get a request twice, and if it says how it is. */
type FailoverOptions = [secondary: number, retry: boolean, health: boolean];

/** Changes to the requests for an origin and to its responses, see `OriginOptions` in core/src/rules/origin.rs. */
interface OriginOptions {
  headers?: Record<string, string>;
  forwarded?: boolean;
  rewrite?: boolean;
  trace?: boolean;
  binding?: string;
}

/** Requests that began within some seconds. */
interface OpenPeriod {
  /** Milliseconds since 1970. */
  end: number;
  /** Those that have not ended. */
  open: number;
  /** They were given up: whatever ends later was counted as lost. */
  isGivenUp: boolean;
}

/** A request that was sent to a backend and has not ended. */
interface OpenRequest {
  /** The table that it was decided with. */
  table: Table;
  decision: number;
  /** Milliseconds since 1970. */
  begun: number;
  /** Milliseconds since 1970, later by the time for which the client let its upload wait. */
  started: number;
  period: OpenPeriod;
  /** The halves of the hash of a user who is evidence of a canary; both 0 otherwise. */
  userLow: number;
  userHigh: number;
  /** The number of the ticket by which experiments count the request; 0 if none does. */
  userTicket: number;
}

/** The headers and the claims that the adapters of a route read. */
type AdapterInputs = [headers: string[], claims: string[]];

/** The name of a header, and its value. */
type HeaderPair = [name: string, value: string];

/** The headers that an adapter's responses have in common. An empty content type stands for that of JSON. */
type CommonHeaders = [contentType: string, ofSuccesses: HeaderPair[], ofErrors: HeaderPair[]];

/** Headers, as the runtime copies them, and as they are added to others. */
interface BuiltHeaders {
  headers: Headers;
  pairs: HeaderPair[];
}

/**
 * The path of an adapter's endpoint, the headers that it passes on in both directions, those that its responses have in
 * common, and these as they were built, by the kind of response.
 */
type AdapterProgram = [
  endpoint: string,
  forwarded: string[],
  kept: string[],
  common: CommonHeaders | null,
  built?: BuiltHeaders[],
];

/**
 * Time limit, largest body in bytes, compared headers, and the header that makes a write safe to
 * repeat.
 */
type ComparePolicy = [ms: number, limit: number, headers: string[], key: string | null];

/** The part of the rules that JavaScript needs, see `Table` in edge/src/bindings/table.rs. */
interface Table {
  generation: number;
  revision: number;
  inputs: string[];
  /** The header whose presence makes cookies irrelevant. */
  cookies_unless: string | null;
  origins: Origin[];
  /** Indices of origins: legacy and new of the first route, of the second, and so on. */
  arms: number[];
  /** By route. Null as a whole if no route has an adapter. */
  adapt: (AdapterInputs | null)[] | null;
  adapters: AdapterProgram[];
  /** By route. Null as a whole if no route is compared. */
  compare: (ComparePolicy | null)[] | null;
  /** By route: responses may hide errors. */
  hides: boolean[] | null;
  /** By route: requests are checked by a guard. Null as a whole if no route has one. */
  guards: boolean[] | null;
  /** By route. Null as a whole if no route is cached. */
  caches: (CacheRules | null)[] | null;
  /** By route: requests are limited. Null as a whole if no route has limits. */
  limits: boolean[] | null;
  /** By route: codes of `Fallback`. Null if all routes have the default. */
  fallback: number[] | null;
  /** By origin. Null as a whole if none has help if it fails. */
  failover: (FailoverOptions | null)[] | null;
  /** Address of the variants of the user that was decided last, see `testGroups` in wasm.js. Null if no experiment runs. */
  groups: number | null;
  /** True if there are endpoints that evaluate flags. */
  evaluates: boolean;
  /** True if outcomes are reported. */
  reports: boolean;
  /** Bits of the decision headers that responses carry. */
  headers: number;
  /** Names of the reasons, by code. */
  reasons: string[];
  /** Not from the core: the inputs include the user of a token. */
  readsTokens: boolean;
}

/** The rules by which responses of a route are cached, see `CacheColumn` in edge/src/bindings/table.rs. */
interface CacheRules {
  /** Seconds for which a response is fresh if the backend does not say so; null if it is not cached then. */
  ttl: number | null;
  /** Seconds behind these for which it is given while another one is fetched. */
  stale: number;
  /** Request headers that a backend gets. */
  headers: string[];
  tags: string[];
  version: number;
}

/** What the entrypoint behind the cache must know to have a response. */
interface WantedResponse {
  url: string;
  origin: Origin;
  headers: HeaderPair[];
  /** Negative if the route has none. */
  ttl: number;
  stale: number;
  tags: string[];
}

/** A request whose responses are compared. */
interface ComparedRequest {
  open: OpenRequest;
  request: Request;
  env: Env;
  context: ExecutionContext;
  url: string;
  table: Table;
  decision: number;
}

/** The variants of a user in the running experiments: `EXPERIMENT=VARIANT, ...`. */
interface TestGroups {
  ofBackend: string;
  /** Empty if the client is told of no experiment. */
  ofClient: string;
}

/** What is added to the response of a client. */
interface Decoration {
  table: Table;
  /** The id of a newly identified user. */
  cookie?: string | undefined;
  groups?: TestGroups | undefined;
  adapted?: AdaptedRequest | undefined;
  told?: ToldLimits | undefined;
}

/** Questions of one request to limiters, and the milliseconds for which it waits. */
interface LimiterQuestions {
  patience: number;
  questions: LimiterQuestion[];
}

/** A question to a limiter; without a policy, to wait for the answer to that of another request. */
interface LimiterQuestion {
  /** Position of the policy on the route. */
  position: number;
  number: number;
  policy?: string;
  key?: string;
  /** Tokens. */
  wanted?: number;
  /** Microseconds between two tokens. */
  interval?: number;
  burst?: number;
  /** The platform's binding; without one a Durable Object is asked. */
  binding?: string;
}

/** A request that waits, or has waited, for limiters. */
interface LimitedRequest {
  /** Milliseconds since 1970. */
  until: number;
  /** The generation whose positions the answers have. */
  generation: number;
  /** See `LimiterAnswers` in edge/src/wire.rs. */
  answers: number;
}

/** The fields of a response about rate limits, and the refusal if there is one. */
interface ToldLimits {
  policies: string;
  limits: string;
  refusal: { status: number; retry: string; body: string } | undefined;
}

/** A request for an adapter. */
interface AdapterCall {
  request: Request;
  env: Env;
  url: string;
  table: Table;
  route: number;
  origin: Origin;
  /** Undefined for a request that is not counted. */
  open: OpenRequest | undefined;
  /** Milliseconds that the backend has for its responses. */
  limit: number;
  /** No other backend can answer, so the adapter answers for a backend that does not respond. */
  isLast: boolean;
  /** The request's body if it was read before. */
  body: Uint8Array<ArrayBuffer> | undefined;
  /** The events that the backend's responses have reported, as in their headers. */
  events: string | undefined;
  /** Headers that are forwarded although the adapter does not name them: the marks of a shadow. */
  marks?: string[];
}

/** A request on its way to its backend. */
interface ForwardedRequest extends AdapterCall, ComparedRequest {
  env: Env;
  /** The request as it was packed for its decision; undefined if no experiment runs. */
  packed: string | undefined;
  open: OpenRequest;
  /** The request as it can be sent to legacy; null if it cannot. */
  kept: Request | null;
  /** The position of its origin. */
  position: number;
  /** True if what the client gets is no word of the backend at this time: a cache gave it, or did not answer. */
  isFromCache: boolean;
  /** True if another origin of its arm, or the same one, failed to serve it before. */
  isRetry: boolean;
  /** The response by which that one said that it cannot serve it. */
  first: Response | undefined;
  /** The id of a newly identified user. */
  cookie: string | undefined;
  /** What the client is told about rate limits; undefined if the route has none. */
  told: ToldLimits | undefined;
  /** The variants of the user; undefined if there are none. */
  groups: TestGroups | undefined;
  /** Takes the client's response if it is compared. */
  compare: CompareResponse | undefined;
  /** What only requests for an adapter have. */
  adapted: AdaptedRequest | undefined;
}

/** A request on its way through an adapter. */
interface AdaptedRequest {
  /** The headers that the client sent, also those that no backend gets. */
  headers: Headers;
  /** The reason for which the backend's response does not fit its adapter, see unfit.js. */
  unfit: string | undefined;
  /** The same as a header, if the client may see it. */
  reason: string | undefined;
  /** True if the response is an adapter's own, for which it did not ask the backend. */
  isOwn: boolean;
}

/** Takes an adapter's response, see `adapt` in adapter.js. */
type AdapterEnd = (response: Response | null | undefined, status?: number, unfit?: string, isOwn?: boolean) => void;

/**
 * Takes the client's response, undefined if there is none, and compares it behind the request. `unfit` is the reason, if the
 * new backend's response does not fit its adapter.
 */
type CompareResponse = (response: Response | undefined, unfit: string | undefined) => void;

/** A key of a provider's JWKS. */
interface Jwk extends JsonWebKey {
  kid?: string;
}

/** The user that a token names. */
interface Identity {
  /** Empty if the token was refused. */
  subject: string;
  /** The time from which the token is verified again, in milliseconds since 1970. */
  until: number;
  /** The payload of the token as it was signed, which is JSON; empty if the token was refused. */
  payload: string;
  /** Values of claims that were looked up, by their paths. */
  claims?: Map<string, string | undefined>;
}

interface CoreExports {
  memory: WebAssembly.Memory;
  __wbindgen_start?: () => void;
}

declare module "#wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** Makes the functions with `#[wasm_bindgen]` in edge/src for one instance. */
declare module "#glue" {
  export default function makeGlue(): Core & WebAssembly.ModuleImports;
}

/** The functions with `#[wasm_bindgen]` in edge/src. */
interface Core {
  __wbg_set_wasm(exports: CoreExports): void;

  begin_generations(first: number): void;
  decide(packed: string, now: number, generation: number): number;
  decide_forced(packed: string, now: number, generation: number, isNew: boolean): number;
  decide_limited(packed: string, now: number, generation: number, forced: number, answers: number): number;
  limit_questions(): string;
  limit_lines(): string;
  limit_is_awaited(number: number): boolean;
  limit_answered(number: number, granted: number, remaining: number, reset: number, retry: number): void;
  limit_failed(number: number): void;
  limit_gave_up(number: number): void;
  limit_absent(number: number): void;
  limiter_take(tat: number, now: number, wanted: number, interval: number, burst: number): Float64Array;
  legacy_origin(packed: string, generation: number): number;
  note_result(origin: number, generation: number, result: number, successes: number, age: number): boolean;
  note_served(origin: number, generation: number): void;
  second_origin(failed: number, generation: number, isLate: boolean): number;
  substitute(origin: number, generation: number): number;
  claim_check(origin: number, generation: number): string | undefined;
  lose(outcomes: number): void;
  minted(): string | undefined;
  evidence_low(): number;
  evidence_high(): number;
  experiment_ticket(): number;
  table(): string;
  boot(env: Env, context: ExecutionContext): number;
  is_worth_waiting(): boolean;
  refresh(env: Env, context: ExecutionContext): void;
  own_path(packed: string, authorization: string | undefined, env: Env): Response;
  is_edge_token(given: string, env: Env): boolean;
  before_evaluation(now: number, generation: number): number;
  evaluate(packed: string, body: Uint8Array, isTooLarge: boolean, now: number): number;
  evaluation_headers(kind: number): string;
  track(
    packed: string,
    generation: number,
    authorization: string | undefined,
    body: Uint8Array,
    env: Env,
  ): Response;
  note_header(packed: string, generation: number, minted: string | undefined, header: string): boolean;

  record(outcomes: Uint32Array): void;
  question_is_due(lastRequest: number): boolean;
  report_is_due(): boolean;
  pause_ms(lastRequest: number): number;
  next_batch(isAtRest: boolean, open: number): string | undefined;
  sequence(): number;
  finish_batch(sequence: number, status: number, body: string): boolean;
  question(): string | undefined;
  answered(status: number, body: string): void;

  begun(): number;
  adapt(
    packed: string,
    route: number,
    generation: number,
    headers: string,
    claims: string,
    body: Uint8Array,
    isTooLarge: boolean,
  ): number;
  adapt_answered(number: number, status: number, body: Uint8Array): number;
  adapt_failed(number: number, late: boolean): number;
  adapt_abandoned(number: number): void;
  adapter(): number;
  adapted_more(): string;
  adapted_unfit(): string;
  adapted_body(): number;
  adapted_body_length(): number;

  begin_comparison(route: number, generation: number, isSafe: boolean): number;
  refuse_comparison(route: number, generation: number, reason: number): void;
  skip_comparison(route: number, generation: number, ticket: number, reason: number): void;
  finish_comparison(
    route: number,
    generation: number,
    ticket: number,
    heads: string,
    legacy: Uint8Array,
    fresh: Uint8Array,
    noise: Uint8Array,
  ): number;
  note_compared(
    route: number,
    generation: number,
    low: number,
    high: number,
    begun: number,
    isMismatch: boolean,
  ): void;
  hides_error(route: number, generation: number, body: Uint8Array): boolean;

  guard(packed: string, route: number, generation: number, body: Uint8Array, isTooLarge: boolean): number;
  guard_lines(): string;

  is_edge_holder(authorization: string | undefined, env: Env): boolean;
  cache_directive(head: string, status: number, setsCookie: boolean, ttl: number, stale: number): string | undefined;
}
