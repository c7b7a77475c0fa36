// Requests that are answered through an adapter. The core decides each step, and returns it as one
// number, see `step` in edge/src/wire.rs; the steps are carried out here.
import { NO_BYTES, readBuffer, readBytes, TOO_LARGE } from "./body.js";
import { CLIENT_LEFT, eventsIn, LATE, TEST_GROUP } from "./http.js";
import { claimsIn } from "./identity.js";
import { sendWith } from "./origin.js";
import { logUnfit, UNFIT_STATUS } from "./unfit.js";
import { copyFromMemory, core } from "./wasm.js";
import {
  ABSENT,
  STEP_BODY,
  STEP_GONE,
  STEP_KIND,
  STEP_MORE,
  STEP_PASS,
  STEP_RESPOND,
  STEP_SHIFT,
  STEP_UNFIT,
  STEP_UPSTREAM,
  TIMEOUT,
  UNREACHABLE,
} from "./wire.js";

const MAX_REQUEST_BODY = 1048576;
const MAX_RESPONSE_BODY = 4194304;

// Built once, as far as it is always the same: the runtime copies its own objects faster than it
// reads the properties of ours.
const JSON_TYPE = { "content-type": "application/json" };
const ACCEPT = { accept: "application/json" };
const REQUEST_HEADERS = new Headers(ACCEPT);
const REQUEST_HEADERS_WITH_BODY = new Headers({ ...ACCEPT, ...JSON_TYPE });
const RESPONSE_HEADERS = new Headers();
const RESPONSE_HEADERS_WITH_BODY = new Headers(JSON_TYPE);
/** @type {BuiltHeaders} */
const PLAIN = { headers: RESPONSE_HEADERS, pairs: [] };
/** @type {BuiltHeaders} */
const PLAIN_WITH_BODY = { headers: RESPONSE_HEADERS_WITH_BODY, pairs: Object.entries(JSON_TYPE) };
const OK = new Response(null, { headers: JSON_TYPE });

// The headers by which a trace that the client began goes on, at an origin that asks for traces.
const TRACE_HEADERS = ["traceparent", "tracestate"];

/**
 * An adapted request on its way: the call, and its state after the last step.
 *
 * @typedef {object} Exchange
 * @property {AdapterCall} call
 * @property {AdapterEnd} end
 * @property {(error: unknown) => void} fail
 * @property {AdapterProgram | undefined} program
 * @property {Headers} keptHeaders the headers of the backend's response that the client gets
 * @property {number} deadline milliseconds since 1970; 0 until the backend is called
 * @property {number | undefined} lostStatus UNREACHABLE or TIMEOUT, if the adapter answers for a
 *   backend that did not respond
 */

/**
 * Answers a request through its adapter.
 *
 * Calls `end` with the response, with the status to count if it is not the response's own, and with
 * the reason if the backend's response does not fit the adapter; with null if the request passes
 * unchanged; with undefined if the adapter has no route for it. Calls `fail` if the backend does not
 * respond and another one can take over; otherwise the adapter has a response of its own for that.
 * Throws, instead of calling `fail`, if the first step fails.
 *
 * If nothing has to be read first, everything up to the backend's response happens in the turn in
 * which the request was decided.
 *
 * @param {AdapterCall} call
 * @param {AdapterEnd} end
 * @param {(error: unknown) => void} fail
 */
export function adapt(call, end, fail) {
  const keptHeaders = RESPONSE_HEADERS;
  /** @type {Exchange} */
  const exchange = { call, end, fail, program: undefined, keptHeaders, deadline: 0, lostStatus: undefined };
  // The decision may have begun the exchange already.
  const step = call.body === undefined ? core.begun() : STEP_GONE;
  if (step === STEP_GONE) {
    beginWithBody(exchange).catch(fail);
  } else {
    exchange.program = call.table.adapters[core.adapter()];
    proceed(exchange, step);
  }
}

/**
 * Begins an exchange for which the body or the token has to be read.
 *
 * @param {Exchange} exchange
 */
async function beginWithBody(exchange) {
  const { request, env, url, table, route, open } = exchange.call;
  const { method, headers } = request;
  const [names, claimNames] = /** @type {AdapterInputs[]} */ (table.adapt)[route];
  const values = names.map((name) => headers.get(name) ?? ABSENT).join("\n");
  let body = exchange.call.body;
  let isTooLarge = false;
  if (body === undefined && method !== "GET" && method !== "HEAD" && request.body !== null) {
    const since = Date.now();
    body = await readBytes(request, MAX_REQUEST_BODY).catch((error) => {
      if (error !== TOO_LARGE) throw CLIENT_LEFT;
      isTooLarge = true;
      return undefined;
    });
    // The time of the upload is the client's.
    if (open !== undefined) open.started += Date.now() - since;
  }
  const claims = await claimsIn(request, env, claimNames);
  const packed = method + "\n" + url;
  const step = core.adapt(packed, route, table.generation, values, claims, body ?? NO_BYTES, isTooLarge);
  exchange.program = table.adapters[core.adapter()];
  proceed(exchange, step);
}

/**
 * Carries out a step.
 *
 * @param {Exchange} exchange
 * @param {number} step
 */
function proceed(exchange, step) {
  switch (step & STEP_KIND) {
    case STEP_RESPOND:
      respond(exchange, step);
      break;
    case STEP_UPSTREAM:
      callUpstream(exchange, step);
      break;
    case STEP_GONE:
      throw new Error("the adapter is gone");
    case STEP_PASS:
      exchange.end(null);
      break;
    default:
      exchange.end(undefined);
  }
}

/**
 * Ends an exchange with a response.
 *
 * @param {Exchange} exchange
 * @param {number} step
 */
function respond(exchange, step) {
  const response = responseOf(exchange, step);
  if ((step & STEP_UNFIT) === 0) {
    exchange.end(response, exchange.lostStatus ?? step >>> STEP_SHIFT, undefined, exchange.deadline === 0);
    return;
  }
  const unfit = core.adapted_unfit();
  logUnfit(unfit);
  exchange.end(response, UNFIT_STATUS, unfit);
}

/**
 * Sends a request to the backend, and proceeds when it has responded.
 *
 * @param {Exchange} exchange
 * @param {number} step
 */
function callUpstream(exchange, step) {
  const { request, env, url, table, origin, limit, isLast, marks } = exchange.call;
  // All steps share the time limit, which begins when the client's body has been read.
  if (exchange.deadline === 0) exchange.deadline = Date.now() + limit;
  const [endpoint, forwarded, kept] = /** @type {AdapterProgram} */ (exchange.program);
  const hasBody = (step & STEP_BODY) !== 0;
  const plain = hasBody ? REQUEST_HEADERS_WITH_BODY : REQUEST_HEADERS;
  const options = origin[2];
  let names = marks === undefined ? forwarded : [...forwarded, ...marks];
  if (options?.trace) names = [...names, ...TRACE_HEADERS];
  if (table.groups !== null) names = [...names, TEST_GROUP];
  const headers = pickHeaders(request.headers, names, plain);
  /** @type {RequestInit} */
  const init = hasBody ? { body: stepBody() } : {};
  let upstream;
  if (step & STEP_MORE) {
    const [method, target] = core.adapted_more().split("\n");
    upstream = new Request(origin[0] + target, { method, headers, redirect: "manual" });
  } else {
    upstream = endpointRequest(origin, endpoint);
    if (headers !== plain) init.headers = headers;
  }
  const number = step >>> STEP_SHIFT;
  exchange.keptHeaders = RESPONSE_HEADERS;
  const own = core;
  let status = 0;
  /** @type {<T>(take: (reply: T) => number, reply: T) => void} */
  const next = (take, reply) => {
    if (timer === 0) return;
    clearTimeout(timer);
    timer = 0;
    try {
      if (own !== core) throw new Error("the core that began this exchange was replaced");
      proceed(exchange, take(reply));
    } catch (error) {
      exchange.fail(error);
    }
  };
  /** @param {ArrayBuffer} bytes */
  const takeBody = (bytes) => core.adapt_answered(number, status, new Uint8Array(bytes));
  /** @param {unknown} error */
  const takeError = (error) => {
    if (error === TOO_LARGE) return core.adapt_answered(number, status, NO_BYTES);
    if (!isLast) {
      core.adapt_abandoned(number);
      throw error;
    }
    exchange.lostStatus = error === LATE ? TIMEOUT : UNREACHABLE;
    return core.adapt_failed(number, error === LATE);
  };
  let timer = setTimeout(() => next(takeError, LATE), Math.max(exchange.deadline - Date.now(), 1));
  /** @param {unknown} error */
  const failed = (error) => next(takeError, error);
  const responded =
    options === null
      ? fetch(upstream, init)
      : sendWith(options, origin, upstream.url, url, new Request(upstream, init), env);
  responded.then((response) => {
    const headers = response.headers;
    status = response.status;
    if (table.groups !== null) keepEvents(exchange.call, eventsIn(headers));
    exchange.keptHeaders = pickHeaders(headers, kept, RESPONSE_HEADERS);
    readBuffer(response, headers, MAX_RESPONSE_BODY).then((bytes) => next(takeBody, bytes), failed);
  }, failed);
}

/**
 * Keeps the events of a backend's response, beside those of the exchange's other responses.
 *
 * @param {AdapterCall} call
 * @param {string | null} events
 */
function keepEvents(call, events) {
  if (events !== null) call.events = call.events === undefined ? events : call.events + "," + events;
}

/**
 * Returns the request for an adapter's endpoint, without its body.
 *
 * @param {Origin} origin
 * @param {string} endpoint
 * @returns {Request}
 */
function endpointRequest(origin, endpoint) {
  const built = (origin[3] ??= new Map());
  let request = built.get(endpoint);
  if (request === undefined) {
    const headers = REQUEST_HEADERS_WITH_BODY;
    request = new Request(origin[0] + endpoint, { method: "POST", headers, redirect: "manual" });
    built.set(endpoint, request);
  }
  return request;
}

/** Returns the body of the last step. */
function stepBody() {
  return copyFromMemory(core.adapted_body(), core.adapted_body_length());
}

/**
 * Adds the named headers to a copy of the base; returns the base itself if there are none.
 *
 * @param {Headers} from
 * @param {string[]} names
 * @param {Headers} base
 */
function pickHeaders(from, names, base) {
  let picked = base;
  for (let index = 0; index < names.length; index++) {
    const value = from.get(names[index]);
    if (value === null) continue;
    if (picked === base) picked = new Headers(base);
    picked.set(names[index], value);
  }
  return picked;
}

/**
 * Returns the headers that an adapter's responses of one kind have in common. They are built for the
 * first of these responses.
 *
 * @param {AdapterProgram | undefined} program
 * @param {boolean} isError
 * @param {boolean} hasBody
 * @returns {BuiltHeaders}
 */
function commonHeaders(program, isError, hasBody) {
  const common = program?.[3];
  if (!program || !common) return hasBody ? PLAIN_WITH_BODY : PLAIN;
  const built = (program[4] ??= []);
  const kind = (isError ? 2 : 0) + (hasBody ? 1 : 0);
  return (built[kind] ??= buildHeaders(common, isError, hasBody));
}

/**
 * @param {CommonHeaders} common
 * @param {boolean} isError
 * @param {boolean} hasBody
 * @returns {BuiltHeaders}
 */
function buildHeaders([contentType, ofSuccesses, ofErrors], isError, hasBody) {
  const headers = new Headers();
  if (hasBody) headers.set("content-type", contentType || JSON_TYPE["content-type"]);
  for (const [name, value] of isError ? ofErrors : ofSuccesses) headers.set(name, value);
  return { headers, pairs: [...headers] };
}

/**
 * Builds the client's response.
 *
 * @param {Exchange} exchange
 * @param {number} step
 */
function responseOf({ call, program, keptHeaders }, step) {
  const hasBody = (step & STEP_BODY) !== 0;
  const status = step >>> STEP_SHIFT;
  const common = commonHeaders(program, status >= 400, hasBody);
  let headers = common.headers;
  if (keptHeaders !== RESPONSE_HEADERS || step & STEP_MORE) {
    headers = new Headers(keptHeaders);
    for (const [name, value] of common.pairs) headers.set(name, value);
    const lines = step & STEP_MORE ? core.adapted_more().split("\n") : [];
    for (let index = 0; index < lines.length - 1; index += 2) headers.set(lines[index], lines[index + 1]);
  }
  const body = hasBody && call.request.method !== "HEAD" ? stepBody() : null;
  const isPlain = status === 200 && headers === RESPONSE_HEADERS_WITH_BODY;
  return new Response(body, isPlain ? OK : { status, headers });
}
