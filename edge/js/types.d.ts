// Types that several modules name in their JSDoc, and the two modules that wasm-bindgen writes.

/** Variables and secrets of the Worker, see wrangler.toml. */
interface Env extends IdentityProvider {
  LEGACY_ORIGIN?: string;
  INGEST_URL: string;
  STRIP_REQUEST_HEADERS?: string;
  CUTOVER_INGEST_SECRET?: string;
}

interface IdentityProvider {
  JWT_JWKS_URL?: string;
  JWT_ISSUER?: string;
  JWT_AUDIENCE?: string;
}

/** A request as the runtime hands it over. */
type ClientRequest = Request<unknown, IncomingRequestCfProperties>;

/** The base URL of an origin, its time limit in milliseconds, and the requests built for it. */
type Origin = [base: string, ms: number, built?: Map<string, Request>];

/** The headers and the claims that the adapters of a route read. */
type AdapterInputs = [headers: string[], claims: string[]];

/** The path of an adapter's endpoint, and the headers that it passes on in both directions. */
type AdapterProgram = [endpoint: string, forwarded: string[], kept: string[]];

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
  /** Milliseconds; 0 if nothing is reported. */
  report_interval: number;
  /** Bits of the decision headers that responses carry. */
  headers: number;
  /** Names of the reasons, by code. */
  reasons: string[];
  /** Not from the core: the inputs include the user of a token. */
  readsTokens: boolean;
}

/** A request that cannot be decided yet. */
interface UndecidedRequest {
  request: ClientRequest;
  env: Env;
  context: ExecutionContext;
  url: string;
  packed: string;
  decision: number;
}

/** A request whose responses are compared. */
interface ComparedRequest {
  request: Request;
  env: Env;
  context: ExecutionContext;
  url: string;
  table: Table;
  decision: number;
}

/** A request that its origin did not answer. */
interface FailedRequest {
  env: Env;
  context: ExecutionContext;
  url: string;
  table: Table;
  decision: number;
  /** Milliseconds since 1970. */
  started: number;
  /** The request as it can be sent to legacy; null if it cannot. */
  kept: Request | null;
  /** The id of a newly identified user. */
  cookie: string | undefined;
}

/** A request for an adapter. */
interface AdapterCall {
  request: Request;
  env: IdentityProvider;
  url: string;
  table: Table;
  route: number;
  origin: Origin;
  /** Milliseconds since 1970. */
  deadline: number;
  /** No other backend can answer, so the adapter answers for a backend that does not respond. */
  isLast: boolean;
  /** The request's body if it was read before. */
  body: Uint8Array<ArrayBuffer> | undefined;
}

/** A request that goes through an adapter, or whose response may hide an error. */
interface ForwardedRequest extends AdapterCall, ComparedRequest, FailedRequest {
  env: Env;
}

/** Takes an adapter's response, see `adapt` in adapter.js. */
type AdapterEnd = (response: Response | null | undefined, status?: number) => void;

/** Takes the client's response, undefined if there is none, and compares it behind the request. */
type CompareResponse = (response: Response | undefined) => void;

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
  claims: Record<string, unknown> | undefined;
}

interface CoreExports {
  memory: WebAssembly.Memory;
  __wbindgen_start?: () => void;
}

declare module "#wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** The functions with `#[wasm_bindgen]` in edge/src. */
declare module "#glue" {
  export function __wbg_set_wasm(exports: CoreExports): void;

  export function decide(packed: string, now: number, generation: number): number;
  export function decide_with(packed: string, now: number): number;
  export function inputs_for(packed: string): string;
  export function minted(): string | undefined;
  export function table(): string;
  export function boot(env: Env, context: ExecutionContext): number;
  export function is_worth_waiting(): boolean;
  export function refresh(env: Env, context: ExecutionContext): void;
  export function own_path(packed: string, authorization: string | undefined, env: Env): Response;

  export function record(outcomes: Uint32Array, windowStart: number): void;
  export function next_batch(isAtRest: boolean): string | undefined;
  export function sequence(): number;
  export function finish_batch(sequence: number, status: number, body: string): boolean;
  export function question(): string | undefined;
  export function answered(status: number, body: string): void;
  export function is_asking(): boolean;
  export function must_announce(ms: number): boolean;

  export function begun(): number;
  export function adapt(
    packed: string,
    route: number,
    generation: number,
    headers: string,
    claims: string,
    body: Uint8Array,
    isTooLarge: boolean,
  ): number;
  export function adapt_answered(number: number, status: number, body: Uint8Array): number;
  export function adapt_failed(number: number, late: boolean): number;
  export function adapter(): number;
  export function adapted_more(): string;
  export function adapted_body(): number;
  export function adapted_body_length(): number;

  export function begin_comparison(route: number, generation: number, isSafe: boolean): number;
  export function skip_comparison(route: number, generation: number, reason: number): void;
  export function finish_comparison(
    route: number,
    generation: number,
    heads: string,
    legacy: Uint8Array,
    fresh: Uint8Array,
    noise: Uint8Array,
  ): void;
  export function hides_error(route: number, generation: number, body: Uint8Array): boolean;
}
