// Responses of cached routes. The cache is the platform's, in front of the entrypoint `Answers` below: it is asked behind
// the decision, by a key that has everything that a backend gets of the request. So no response can be given to a request
// that the backend could tell from the one that it answered.
import { LATE, withTimeout } from "./http.js";
import { send } from "./origin.js";
import { core } from "./wasm.js";
import { ABSENT, ADAPT, ARM_SHIFT, COMPARE, REASON, REASON_CACHED } from "./wire.js";

// Changes whenever what a key is made of does.
const FORMAT = 1;

// The host of the URLs under which responses are kept. No request leaves for it.
const HOST = "https://cached.invalid/";

// The header by which a question to the cache says how the response is had if it is not there. No backend gets it.
const WANTED = "x-cutover-wanted";

// The header by which the platform is told what to keep, and the one by which it says what it did.
const DIRECTIVE = "cloudflare-cdn-cache-control";
const RESULT = "cf-cache-status";

const TAGS = "cache-tag";

// The header by which the entrypoint says that the backend did not answer, with one of the two reasons below it.
const FAILED = "x-cutover-failed";
const WAS_LATE = "late";
const UNREACHED = "unreached";

// Results with which no backend was asked before the response.
const FROM_CACHE = /^(?:hit|stale|updating)$/i;

// The headers that a directive is made from, in the order of `cache_directive` in edge/src/bindings/caching.rs.
const HEAD = ["cache-control", "cdn-cache-control", "expires", "date", "age", "vary"];

// The headers of a 304 (RFC 9110, section 15.4.5), with the age, without which it would look new.
const OF_UNCHANGED = ["age", "cache-control", "content-location", "date", "etag", "expires", "vary"];

/**
 * Returns true if the response to a request may come from the cache. Comparisons ask the backends; parts of responses and
 * sockets are nobody else's; and credentials that the route does not name are not left out, but sent to the backend.
 *
 * @param {ForwardedRequest} forwarded
 */
export function mayCache({ request, table, route, decision }) {
  if (table.caches === null || table.caches[route] === null || (decision & (ADAPT | COMPARE)) !== 0) return false;
  const { method, headers } = request;
  if (method !== "GET" && method !== "HEAD") return false;
  if (headers.has("range") || headers.has("upgrade")) return false;
  return !headers.has("authorization") || table.caches[route].headers.includes("authorization");
}

/**
 * Asks the cache for a response, and the backend if there is none, or if the cache fails. Marks the request if a cache gave
 * the response.
 *
 * @param {ForwardedRequest} forwarded
 * @returns {Promise<Response>}
 */
export async function sendCached(forwarded) {
  const { request, env, context, url, table, route, origin, groups, open } = forwarded;
  const rules = /** @type {CacheRules} */ (table.caches?.[route]);
  /** @type {HeaderPair[]} */
  const headers = [];
  for (const name of rules.headers) {
    const value = request.headers.get(name);
    if (value !== null) headers.push([name, value]);
  }
  if (groups !== undefined) headers.push(["x-test-group", groups.ofBackend]);
  const arm = (forwarded.decision >> ARM_SHIFT) & 1;
  const key = JSON.stringify([FORMAT, rules.version, arm, origin[0], url, headers]);
  /** @type {WantedResponse} */
  const wanted = { url, origin: [origin[0], origin[1], origin[2]], headers, ttl: rules.ttl ?? -1, stale: rules.stale, tags: rules.tags };
  const question = new Request(HOST + (await hashOf(key)), {
    method: request.method,
    headers: { [WANTED]: encodeURIComponent(JSON.stringify(wanted)) },
  });
  /** @type {Response} */
  let response;
  try {
    response = await cacheOf(env, context).fetch(question);
  } catch (error) {
    console.error("the cache failed, so the backend is asked without it:", error);
    return send(origin, url, request, env);
  }
  const failure = response.headers.get(FAILED);
  if (failure !== null) throw failure === WAS_LATE ? LATE : new Error("the backend could not be reached");
  const result = response.headers.get(RESULT) ?? "";
  if (FROM_CACHE.test(result)) {
    forwarded.decision = (forwarded.decision & ~REASON) | REASON_CACHED;
    open.decision = forwarded.decision;
  }
  return given(request, response, table.headers !== 0 ? result : undefined);
}

/**
 * @param {Env} env
 * @param {ExecutionContext} context
 */
function cacheOf(env, context) {
  const exports = /** @type {Record<string, Fetcher>} */ (/** @type {unknown} */ (context.exports));
  return env.CACHE_STANDIN ?? exports.Answers;
}

/**
 * Removes the responses with any of the tags from the cache, in all locations. Returns what the platform says against it;
 * empty if it did so.
 *
 * @param {string[]} tags
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Promise<string>}
 */
export async function purgeTags(tags, env, context) {
  const question = new Request(HOST + "purge", { method: "POST", body: JSON.stringify(tags) });
  const response = await cacheOf(env, context).fetch(question);
  return response.ok ? "" : `${response.status} ${await response.text()}`;
}

/** @param {string} text */
async function hashOf(text) {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(hash).toHex();
}

/**
 * Returns a response of the cache as a client gets it: without what was said between the Worker and the platform, and
 * without its body if the client has that.
 *
 * @param {Request} request
 * @param {Response} response
 * @param {string | undefined} result what the cache did; undefined if the client is not to be told
 */
function given(request, response, result) {
  if (response.status < 200 || response.status > 599) return response;
  const isUnchanged = response.status === 200 && isHeld(request.headers, response.headers);
  const kept = isUnchanged ? new Response(null, { status: 304 }) : new Response(response.body, response);
  const { headers } = kept;
  if (isUnchanged) {
    response.body?.cancel().catch(() => {});
    for (const name of OF_UNCHANGED) {
      const value = response.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
  }
  for (const name of [DIRECTIVE, RESULT, TAGS]) headers.delete(name);
  if (result) headers.append("cache-status", `cutover; ${FROM_CACHE.test(result) ? "hit" : "fwd=miss"}`);
  return kept;
}

/**
 * Returns true if a client holds a response already, by the conditions of its request (RFC 9110, section 13).
 *
 * @param {Headers} asked
 * @param {Headers} found
 */
function isHeld(asked, found) {
  const tags = asked.get("if-none-match");
  if (tags !== null) {
    const tag = found.get("etag")?.replace(/^W\//, "");
    if (tag === undefined) return false;
    return tags.trim() === "*" || (tags.match(/(?:W\/)?"[^"]*"/g) ?? []).some((held) => held.replace(/^W\//, "") === tag);
  }
  const since = Date.parse(asked.get("if-modified-since") ?? "");
  return Date.parse(found.get("last-modified") ?? "") <= since;
}

/**
 * The entrypoint behind the platform's cache. It may run in another place than the Worker that asked, with another
 * revision: everything that it needs is in the question.
 */
export const Answers = {
  /**
   * @param {Request} question
   * @param {Env} env
   * @param {ExecutionContext} context
   */
  async fetch(question, env, context) {
    // Only the entrypoint behind a cache can remove what is in it.
    if (question.method === "POST") return removed(await question.json(), context);
    const text = question.headers.get(WANTED);
    if (text === null) return new Response(null, { status: 404, headers: { [DIRECTIVE]: "no-store" } });
    /** @type {WantedResponse} */
    const wanted = JSON.parse(decodeURIComponent(text));
    const headers = new Headers(wanted.headers);
    // The platform's own conditions, by which it asks if what it holds is still the same. Those of clients stay outside.
    for (const name of ["if-none-match", "if-modified-since"]) {
      const value = question.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    const request = new Request(wanted.url, { method: question.method, headers, redirect: "manual" });
    try {
      const response = await withTimeout(send(wanted.origin, wanted.url, request, env), wanted.origin[1]);
      return told(response, wanted);
    } catch (error) {
      console.error("a backend failed behind the cache:", error);
      const failure = error === LATE ? WAS_LATE : UNREACHED;
      return new Response(null, { status: 502, headers: { [FAILED]: failure, [DIRECTIVE]: "no-store" } });
    }
  },
};

/**
 * @param {string[]} tags
 * @param {ExecutionContext} context
 */
async function removed(tags, { cache }) {
  if (cache?.purge === undefined) return new Response("there is no cache", { status: 503 });
  const { success, errors } = await cache.purge({ tags });
  return new Response(success ? null : JSON.stringify(errors), { status: success ? 204 : 503 });
}

/**
 * Returns a backend's response with the directive and the tags for the platform.
 *
 * @param {Response} response
 * @param {WantedResponse} wanted
 */
function told(response, { ttl, stale, tags }) {
  // With a status that no standard knows it cannot be built again. The platform keeps none of those.
  if (response.status < 200 || response.status > 599) return response;
  const head = HEAD.map((name) => response.headers.get(name) ?? ABSENT).join("\n");
  const cookies = response.headers.has("set-cookie");
  const told = new Response(response.body, response);
  told.headers.delete(FAILED);
  // Headers of the connection to the backend are no part of a kept response.
  for (const name of told.headers.get("connection")?.match(/[\w-]+/g) ?? []) told.headers.delete(name);
  const directive = core.cache_directive(head, response.status, cookies, ttl, stale);
  if (directive === undefined) told.headers.delete(DIRECTIVE);
  else told.headers.set(DIRECTIVE, directive);
  const own = response.headers.get(TAGS);
  const all = own === null ? tags : [...tags, own];
  if (all.length > 0) told.headers.set(TAGS, all.join(","));
  return told;
}
