// Functions over requests and responses. Their only state is the list of headers to strip.
import { NEW, REASON_SHIFT, SHOW_ARM, SHOW_REASON, SHOW_REVISION, STALE } from "./wire.js";

// A request body of up to this many bytes is kept, so that the request can be sent a second time.
export const MAX_KEPT_BODY = 65536;

export const LATE = new Error("the origin did not begin to respond in time");

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
 * Returns path and query of an absolute URL, byte for byte.
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

/**
 * Matches the headers of a client that no backend may see; null if all may pass.
 *
 * @type {RegExp | null | undefined}
 */
let stripped;

/**
 * Removes the headers that STRIP_REQUEST_HEADERS lists: names, and beginnings of names, which end
 * in a hyphen. Looking at every name costs some hundredths of a request, so it is only done if that
 * variable is set.
 *
 * @param {Request} request
 * @param {Env} env
 * @returns {Request}
 */
export function stripHeaders(request, env) {
  if (stripped === undefined) {
    const words = (env.STRIP_REQUEST_HEADERS ?? "").toLowerCase().match(/[\w-]+/g);
    const patterns = words?.map((word) => (word.endsWith("-") ? word : word + "$"));
    stripped = patterns ? new RegExp("^(?:" + patterns.join("|") + ")") : null;
  }
  if (stripped === null) return request;
  let clean = request;
  for (const name of request.headers.keys()) {
    if (!stripped.test(name)) continue;
    if (clean === request) clean = new Request(request);
    clean.headers.delete(name);
  }
  return clean;
}

/**
 * Builds the response for a request that no backend answered.
 *
 * @param {boolean} late
 */
export function gatewayProblem(late) {
  const status = late ? 504 : 502;
  const problem = {
    type: "about:blank",
    title: late ? "Gateway Timeout" : "Bad Gateway",
    status,
    code: late ? "origin_timeout" : "origin_unreachable",
    detail: late
      ? "The backend did not begin to answer in time. The request may have been carried out."
      : "The backend could not be reached. The request was not answered.",
  };
  return new Response(JSON.stringify(problem), {
    status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store" },
  });
}

/**
 * Adds the decision headers and the cookie of a newly identified user.
 *
 * @param {Table} table
 * @param {Response} response
 * @param {number} decision
 * @param {string | undefined} cookie
 */
export function decorate(table, response, decision, cookie) {
  // A WebSocket response cannot be built again, and no client reads its headers.
  if (response.status === 101) return response;
  const decorated = new Response(response.body, response);
  const headers = decorated.headers;
  const shown = table.headers;
  if (shown & SHOW_ARM) headers.set("x-cutover-arm", decision & NEW ? "new" : "legacy");
  if (shown & SHOW_REASON) {
    headers.set("x-cutover-reason", table.reasons[(decision >> REASON_SHIFT) & 15] ?? "INTERNAL");
  }
  if (shown & SHOW_REVISION) headers.set("x-cutover-revision", String(table.revision));
  if (shown && decision & STALE) headers.set("x-cutover-stale", "1");
  if (cookie) {
    headers.append(
      "set-cookie",
      `cutover_uid=${cookie}; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax`,
    );
  }
  return decorated;
}
