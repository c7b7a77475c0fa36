// Functions over requests and responses. Their only state is the list of headers to strip.
import { FORCE } from "./force.js";
import {
  NEW,
  REASON,
  REASON_SHIFT,
  SHOW_ARM,
  SHOW_REASON,
  SHOW_REVISION,
  STALE,
} from "./wire.js";

// The header by which a client with the edge token asks why an adapted response is unfit. No backend gets it.
export const DEBUG = "x-cutover-debug";

// The header with the reason.
const UNFIT = "x-cutover-unfit";

// A request body of up to this many bytes is kept, so that the request can be sent a second time.
export const MAX_KEPT_BODY = 65536;

// Milliseconds that work behind a request is held back: first the client's response goes out.
export const HOLD_BACK = 5;

export const LATE = new Error("the origin did not begin to respond in time");

export const CLIENT_LEFT = new Error("the client broke off its upload");

// The header by which backends recognise the second request of a comparison.
export const SHADOW = "x-cutover-shadow";

// The header with the variants of a user. A client's own reaches nobody.
export const TEST_GROUP = "x-test-group";

// The header by which a backend reports events of the user. No client gets it.
const EVENT = "x-cutover-event";

// Results of a look into the platform's cache after which the response is one that the backend gave before.
const FROM_CACHE = /^(?:hit|stale|updating|revalidated)$/i;

/** @param {number} ms */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Passes the outcome of a promise on. Rejects with LATE if there is none in time.
 *
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @returns {Promise<T>}
 */
export function withTimeout(promise, ms) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(LATE), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * Sends a request to a backend. Rejects with LATE if the backend does not begin to respond in time, and with CLIENT_LEFT
 * if the client breaks off its upload. The time for which the client lets its upload wait is not the backend's: it is
 * not a part of the limit, and is added to the start of the request.
 *
 * @param {(request: Request) => Promise<Response>} send
 * @param {Request} request
 * @param {number} ms
 * @param {{ started: number } | undefined} open
 * @returns {Promise<Response>}
 */
export function sendWithin(send, request, ms, open) {
  const body = request.body;
  if (body === null) return withTimeout(send(request), ms);
  const length = request.headers.get("content-length");
  const { readable, writable } =
    length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
  return new Promise((resolve, reject) => {
    const reader = body.getReader();
    const writer = writable.getWriter();
    let isOver = false;
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const end = () => {
      isOver = true;
      clearTimeout(timer);
    };
    /** @param {unknown} error */
    const fail = (error) => {
      if (isOver) return;
      end();
      reject(error);
      writer.abort(error).catch(() => {});
      reader.cancel(error).catch(() => {});
    };
    const startTimer = () => {
      if (!isOver) timer = setTimeout(() => fail(LATE), ms);
    };
    const upload = async () => {
      for (;;) {
        const since = Date.now();
        const { done, value } = await reader.read().catch((error) => {
          console.warn("a client broke off its upload:", error);
          throw CLIENT_LEFT;
        });
        if (open !== undefined && !isOver) open.started += Date.now() - since;
        startTimer();
        if (done) return writer.close();
        await writer.write(value);
        clearTimeout(timer);
      }
    };
    send(new Request(request, { body: readable })).then(
      (response) => {
        if (isOver) return;
        // A backend may respond before it has read everything; the rest of the upload goes on.
        end();
        resolve(response);
      },
      // The failure of the upload, if there was one, is told by the upload itself.
      (error) => setTimeout(() => fail(error), 0),
    );
    upload().catch((error) => {
      // A backend that stops reading is noticed by its response, or by its silence.
      if (error === CLIENT_LEFT) fail(error);
    });
  });
}

/**
 * Returns a URL in the form in which a backend will get it. The runtime resolves dot segments and turns backslashes when
 * it sends a request, so a route has to be decided by the result.
 *
 * @param {string} url absolute
 */
export function plainUrl(url) {
  return SPECIAL.test(url) ? new URL(url).href : url;
}

// A backslash, or a segment that begins like a dot segment, before the query.
const SPECIAL = /^[^?#]*(?:\\|\/(?:\.|%2e))/i;

/**
 * Returns path and query of an absolute URL.
 *
 * @param {string} url
 */
export function pathAndQuery(url) {
  return url.slice(url.indexOf("/", 8));
}

/**
 * Returns the request in a form that can be sent after the original was; null if its body is too
 * large for that, or of unknown size.
 *
 * @param {Request} request
 */
export function repeatable(request) {
  if (request.body === null) return request;
  const length = Number(request.headers.get("content-length") ?? Infinity);
  return length <= MAX_KEPT_BODY ? request.clone() : null;
}

// The headers that no backend gets from a client.
const OWN = [SHADOW, FORCE, DEBUG, TEST_GROUP];

/**
 * Matches the headers of a client that no backend may see beside those; null if all may pass.
 *
 * @type {RegExp | null | undefined}
 */
let stripped;

/**
 * Returns a request as a backend gets it. The headers that clients may not send are removed: Cutover's own, and those that
 * STRIP_REQUEST_HEADERS lists, which are names, and beginnings of names, which end in a hyphen. Looking at every name costs
 * some hundredths of a request, so it is only done if that variable is set. The variants of the user are added.
 *
 * @param {Request} request
 * @param {Headers} headers of the request
 * @param {Env} env
 * @param {TestGroups} [groups]
 * @returns {Request}
 */
export function requestFor(request, headers, env, groups) {
  if (stripped === undefined) {
    const words = (env.STRIP_REQUEST_HEADERS ?? "").toLowerCase().match(/[\w-]+/g);
    const patterns = words?.map((word) => (word.endsWith("-") ? word : word + "$"));
    stripped = patterns ? new RegExp("^(?:" + patterns.join("|") + ")") : null;
  }
  let sent = groups === undefined ? request : new Request(request);
  // One by one, because a list would cost every request a closure.
  const isStripped =
    stripped !== null ||
    headers.has(SHADOW) ||
    headers.has(FORCE) ||
    headers.has(DEBUG) ||
    headers.has(TEST_GROUP);
  if (isStripped) {
    for (const name of headers.keys()) {
      if (!OWN.includes(name) && !stripped?.test(name)) continue;
      if (sent === request) sent = new Request(request);
      sent.headers.delete(name);
    }
  }
  if (groups !== undefined) sent.headers.set(TEST_GROUP, groups.ofBackend);
  return sent;
}

/**
 * Builds the response for a request that no backend answered.
 *
 * @param {boolean} late
 */
export function gatewayProblem(late) {
  return late
    ? problem(
        504,
        "Gateway Timeout",
        "origin_timeout",
        "The backend did not begin to answer in time. The request may have been carried out.",
      )
    : problem(
        502,
        "Bad Gateway",
        "origin_unreachable",
        "The backend could not be reached. The request was not answered.",
      );
}

/**
 * Builds a response that says what is wrong.
 *
 * @param {number} status
 * @param {string} title
 * @param {string} code
 * @param {string} detail
 */
export function problem(status, title, code, detail) {
  return new Response(JSON.stringify({ type: "about:blank", title, status, code, detail }), {
    status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store" },
  });
}

/**
 * Adds the decision headers, the cookie of a newly identified user, the variants that the client is told, and the reason for
 * which an adapted response is unfit, and the fields of rate limits. Removes the events that the backend reports.
 *
 * @param {Response} response
 * @param {number} decision
 * @param {Decoration} decoration
 */
export function decorate(response, decision, { table, cookie, groups, adapted, told: limits }) {
  const shown = table.headers;
  const reason = adapted?.reason;
  const told = groups?.ofClient;
  const hasEvents = response.headers.has(EVENT);
  if (!shown && !cookie && !told && !limits && reason === undefined && !hasEvents) return response;
  const { status } = response;
  // A WebSocket response cannot be built with other headers beside it, nor can one with a status that no standard knows.
  if (status < 200 || status > 599) return hasEvents ? withoutEvents(response) : response;
  const decorated = new Response(response.body, response);
  const headers = decorated.headers;
  if (hasEvents) headers.delete(EVENT);
  if (reason !== undefined) headers.set(UNFIT, reason);
  if (limits) addLimitFields(headers, limits);
  if (shown & SHOW_ARM) headers.set("x-cutover-arm", decision & NEW ? "new" : "legacy");
  if (shown & SHOW_REASON) {
    headers.set("x-cutover-reason", table.reasons[(decision & REASON) >> REASON_SHIFT] ?? "INTERNAL");
  }
  if (shown & SHOW_REVISION) headers.set("x-cutover-revision", String(table.revision));
  if (shown && decision & STALE) headers.set("x-cutover-stale", "1");
  // A 304 would give what is one user's to whoever gets the response that a cache holds.
  if (status === 304 || (!cookie && !told)) return decorated;
  if (cookie) {
    headers.append(
      "set-cookie",
      `cutover_uid=${cookie}; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax`,
    );
  }
  if (told) headers.set(TEST_GROUP, told);
  makePrivate(headers);
  return decorated;
}

/**
 * Returns the events that a backend reports with its response; null if there are none, or if a cache repeats a response
 * whose events were noted when the backend gave it.
 *
 * @param {Headers} headers of the response
 */
export function eventsIn(headers) {
  const events = headers.get(EVENT);
  if (events === null) return null;
  const isRepeated = FROM_CACHE.test(headers.get("cf-cache-status") ?? "") || Number(headers.get("age")) > 0;
  return isRepeated ? null : events;
}

/**
 * Returns a response without the events that the backend reports. One with a status that no standard knows cannot be built
 * again.
 *
 * @param {Response} response
 */
export function withoutEvents(response) {
  const { status, webSocket } = response;
  if (!response.headers.has(EVENT) || (!webSocket && (status < 200 || status > 599))) return response;
  const headers = new Headers(response.headers);
  headers.delete(EVENT);
  return webSocket
    ? new Response(null, { status, headers, webSocket })
    : new Response(response.body, { status, statusText: response.statusText, headers });
}

/**
 * Keeps a response with what is one user's out of caches that several users share.
 *
 * @param {Headers} headers
 */
function makePrivate(headers) {
  const directives = (headers.get("cache-control") ?? "").split(",").map((directive) => directive.trim());
  if (directives.some((directive) => /^no-store$/i.test(directive))) return;
  const kept = directives.filter(
    (directive) => directive !== "" && !/^(?:public|private|s-maxage=.*)$/i.test(directive),
  );
  headers.set("cache-control", ["private", ...kept].join(", "));
}

/**
 * Adds the fields of rate limits to a response. What its backend says of limits of its own stays, and if that has the name
 * of one of ours, ours is left out.
 *
 * @param {Headers} headers of the response
 * @param {ToldLimits} told
 */
function addLimitFields(headers, { policies, limits }) {
  const theirs = (headers.get("ratelimit-policy") ?? "") + "," + (headers.get("ratelimit") ?? "");
  // Preflights are counted by addresses only.
  if (policies === "") return;
  const names = policies.match(/"[^"]*"/g) ?? [];
  if (names.some((name) => theirs.includes(name))) return;
  headers.append("ratelimit-policy", policies);
  if (limits !== "") headers.append("ratelimit", limits);
}
