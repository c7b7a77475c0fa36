// Comparing the responses of both backends, behind the client's response. The core decides which
// requests are compared and how two responses differ.
import { adapt } from "./adapter.js";
import { NO_BYTES, readBytes, TOO_LARGE } from "./body.js";
import { HOLD_BACK, LATE, MAX_KEPT_BODY, repeatable, SHADOW, sleep, withTimeout } from "./http.js";
import { send } from "./origin.js";
import { reportIfDue } from "./report.js";
import { core } from "./wasm.js";
import {
  ABSENT,
  EVIDENCE,
  HEAD_SEPARATOR,
  NEW,
  NO_ROUTE,
  SKIPPED_CONDITIONAL,
  SKIPPED_SIZE,
  SKIPPED_TIMEOUT,
  SKIPPED_UNADAPTED,
  SKIPPED_UNREACHABLE,
  TICKET_KIND,
  TICKET_NONE,
  TICKET_WITH_NOISE,
  VERDICT_MISMATCH,
  VERDICT_NONE,
} from "./wire.js";

// Headers by which one backend may answer 304 or 206 and the other one 200, without a difference between them.
const CONDITIONS = [
  "if-none-match",
  "if-modified-since",
  "if-match",
  "if-unmodified-since",
  "if-range",
  "range",
];

const UNADAPTED = new Error("the adapter has no route for this request");

/** @type {Map<unknown, number>} */
const SKIPPED = new Map([
  [LATE, SKIPPED_TIMEOUT],
  [TOO_LARGE, SKIPPED_SIZE],
  [UNADAPTED, SKIPPED_UNADAPTED],
]);

/**
 * A claimed comparison.
 *
 * @typedef {object} Comparison
 * @property {Request} request
 * @property {Request | null} copy the request in a form whose body can be read
 * @property {Env} env
 * @property {string} url
 * @property {Table} table
 * @property {number} decision
 * @property {number} route
 * @property {ComparePolicy} policy
 * @property {number} ticket
 * @property {Core} begunBy the core that knows the ticket
 * @property {OpenRequest} open
 *
 * @typedef {object} Captured
 * @property {string} head
 * @property {Uint8Array} body
 * @property {string} [unfit] the reason, if the response says that the backend's own does not fit its adapter
 */

/**
 * Claims a comparison, before the request is sent and while it can still be copied. Returns the
 * function that takes the client's response; undefined if this request is not compared. Neither throws: no request fails
 * because it was to be compared.
 *
 * @param {ComparedRequest} compared
 * @returns {CompareResponse | undefined}
 */
export function claimComparison({ request, env, context, url, table, decision, open }) {
  try {
    // A WebSocket has no response to compare.
    if (request.headers.has("upgrade")) return undefined;
    const route = decision & NO_ROUTE;
    if (CONDITIONS.some((name) => request.headers.has(name))) {
      core.refuse_comparison(route, table.generation, SKIPPED_CONDITIONAL);
      return undefined;
    }
    const policy = /** @type {ComparePolicy[]} */ (table.compare)[route];
    const key = policy[3];
    const isSafe = request.method === "GET" || request.method === "HEAD";
    const copy = request.body === null ? request : repeatable(request);
    const mayRepeat = isSafe || (key !== null && request.headers.has(key) && copy !== null);
    const ticket = core.begin_comparison(route, table.generation, mayRepeat);
    if (ticket === TICKET_NONE) return undefined;
    /** @type {Comparison} */
    const comparison = { request, copy, env, url, table, decision, route, policy, ticket, begunBy: core, open };
    return (response, unfit) => compareBehind(comparison, context, response, unfit);
  } catch (error) {
    console.error("a request is not compared because the edge failed:", error);
    return undefined;
  }
}

/**
 * Compares a response behind the client's.
 *
 * @param {Comparison} comparison
 * @param {ExecutionContext} context
 * @param {Response | undefined} response
 * @param {string | undefined} unfit
 */
function compareBehind(comparison, context, response, unfit) {
  const { route, table, env, ticket, begunBy } = comparison;
  /** @param {unknown} error */
  const skip = (error) => {
    if (begunBy !== core) return;
    core.skip_comparison(route, table.generation, ticket, SKIPPED.get(error) ?? SKIPPED_UNREACHABLE);
  };
  try {
    if (response === undefined || response.status < 200) return skip(undefined);
    const ended = compareWith(comparison, response.clone(), unfit).catch(skip);
    // All requests may be answered and reported by now: the result would wait for the next one.
    context.waitUntil(ended.then(() => reportIfDue(env, context, Date.now())));
  } catch (error) {
    console.error("a request is not compared because the edge failed:", error);
  }
}

/**
 * Compares the client's response with the other backend's.
 *
 * @param {Comparison} comparison
 * @param {Response} response
 * @param {string | undefined} unfit
 */
async function compareWith(comparison, response, unfit) {
  const { copy, table, decision, route, policy, ticket, begunBy, open } = comparison;
  await sleep(HOLD_BACK);
  const own = await capture(response, policy, unfit);
  if (copy === null) throw new Error("the body of the request was not kept");
  const body = copy.body === null ? undefined : await readBytes(copy, MAX_KEPT_BODY);
  const isNew = (decision & NEW) !== 0;
  const other = await (isNew ? fetchLegacy(comparison, body) : fetchNew(comparison, body));
  const [legacy, fresh] = isNew ? [other, own] : [own, other];
  const noise =
    (ticket & TICKET_KIND) === TICKET_WITH_NOISE ? await fetchLegacy(comparison, body) : { head: "", body: NO_BYTES };
  if (begunBy !== core) return;
  const heads = [legacy.head, fresh.head, noise.head, fresh.unfit ?? ""].join(HEAD_SEPARATOR);
  const { generation } = table;
  const verdict = core.finish_comparison(
    route,
    generation,
    ticket,
    heads,
    legacy.body,
    fresh.body,
    noise.body,
  );
  if (verdict === VERDICT_NONE || (decision & EVIDENCE) === 0) return;
  core.note_compared(route, generation, open.userLow, open.userHigh, open.begun, verdict === VERDICT_MISMATCH);
}

/**
 * @param {Comparison} comparison
 * @param {Uint8Array<ArrayBuffer> | undefined} body
 */
async function fetchLegacy(comparison, body) {
  const { table, route } = comparison;
  return fetchFrom(comparison, table.origins[table.arms[route << 1]], body);
}

/**
 * @param {Comparison} comparison
 * @param {Uint8Array<ArrayBuffer> | undefined} body
 */
async function fetchNew(comparison, body) {
  const { request, env, url, table, route, policy } = comparison;
  const origin = table.origins[table.arms[(route << 1) | 1]];
  if (table.adapt?.[route]) {
    /** @type {AdapterCall} */
    const call = {
      request: shadowOf(request, body),
      env,
      url,
      table,
      route,
      origin,
      open: undefined,
      limit: policy[0],
      isLast: false,
      body: body ?? NO_BYTES,
      events: undefined,
      marks: policy[3] === null ? [SHADOW] : [SHADOW, policy[3]],
    };
    /** @type {{ response: Response | null | undefined, unfit: string | undefined }} */
    const adapted = await new Promise((resolve, reject) =>
      adapt(call, (response, _, unfit) => resolve({ response, unfit }), reject),
    );
    if (adapted.response === undefined) throw UNADAPTED;
    if (adapted.response !== null) return capture(adapted.response, policy, adapted.unfit);
  }
  return fetchFrom(comparison, origin, body);
}

/**
 * @param {Comparison} comparison
 * @param {Origin} origin
 * @param {Uint8Array<ArrayBuffer> | undefined} body
 */
function fetchFrom({ request, env, url, policy }, origin, body) {
  const response = send(origin, url, shadowOf(request, body), env);
  return withTimeout(
    response.then((response) => capture(response, policy)),
    policy[0],
  );
}

/**
 * Reads a response: the status and the compared headers, one per line, and the body.
 *
 * @param {Response} response
 * @param {ComparePolicy} policy
 * @param {string} [unfit]
 * @returns {Promise<Captured>}
 */
async function capture(response, [, limit, names], unfit) {
  const headers = ["content-type", ...names].map((name) => response.headers.get(name) ?? ABSENT);
  const head = [response.status, ...headers].join("\n");
  return { head, body: await readBytes(response, limit), unfit };
}

/**
 * Returns the same request once more, with a header by which backends can recognise it.
 *
 * @param {Request} request
 * @param {Uint8Array<ArrayBuffer> | undefined} body
 */
function shadowOf(request, body) {
  const headers = new Headers(request.headers);
  headers.set(SHADOW, "1");
  return new Request(request.url, { method: request.method, headers, body, redirect: "manual" });
}
