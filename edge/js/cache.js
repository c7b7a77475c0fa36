// Responses of cached routes. The cache is the platform's, in front of the entrypoint `Answers` below: it is asked behind
// the decision, by a key that has everything that a backend gets of the request. So no response can be given to a request
// that the backend could tell from the one that it answered.
import { WorkerEntrypoint } from "cloudflare:workers";
import { LATE, withTimeout } from "./http.js";
import { send } from "./origin.js";
import { core } from "./wasm.js";
import {
  ABSENT,
  ADAPT,
  ARM_SHIFT,
  COMPARE,
  EVIDENCE,
  REASON,
  REASON_CACHED,
  REASON_ROLLOUT,
  UNCACHED,
} from "./wire.js";

// Changes whenever what a key is made of does.
const FORMAT = 1;

// The host of the URLs under which responses are kept. No request leaves for it.
const HOST = "https://cached.invalid/";

// The header by which a question to the cache says how the response is had if it is not there. It can hold credentials:
// headers with `token` in their names are left out of traces.
const WANTED = "x-cutover-wanted-token";

// The header by which the platform is told what to keep, and the one by which it says what it did.
const DIRECTIVE = "cloudflare-cdn-cache-control";
const RESULT = "cf-cache-status";

const TAGS = "cache-tag";

// The header by which the entrypoint says that the backend did not answer, with one of the two reasons below it.
const FAILED = "x-cutover-failed";
const WAS_LATE = "late";
const UNREACHED = "unreached";

// Results with which no backend was asked before the response, and the one with which it only said that it is the same.
const FROM_CACHE = /^(?:hit|stale|updating)$/i;
const UNCHANGED = /^revalidated$/i;

// The header by which a backend reports events of one user.
const EVENT = "x-cutover-event";

// The headers that a directive is made from, in the order of `cache_directive` in edge/src/bindings/caching.rs.
const HEAD = ["cache-control", "cdn-cache-control", "expires", "date", "age", "vary"];

/**
 * Milliseconds that the cache has beside the backend's time limit. The entrypoint behind it answers when that is over, so
 * a question without an answer is the cache's own failure.
 */
export const CACHE_GRACE = 1000;

// Milliseconds for which a cache that failed is not asked.
const PAUSE = 10000;

let asksAgainAt = 0;

// The headers of a 304 (RFC 9110, section 15.4.5), with the age, without which it would look new.
const OF_UNCHANGED = ["age", "cache-control", "content-location", "date", "etag", "expires", "vary"];

/**
 * Returns true if a request goes through the cache, and takes it out of the evidence then: what a cache has depends on the
 * share of its arm. Comparisons ask the backends; parts of responses and sockets are nobody else's; and credentials that the
 * route does not name are not left out, but sent to the backend.
 *
 * @param {ForwardedRequest} forwarded
 */
export function enterCache(forwarded) {
  const { request, table, route, decision, open } = forwarded;
  const rules = table.caches?.[route];
  if (!rules || (decision & (ADAPT | COMPARE | UNCACHED)) !== 0 || Date.now() < asksAgainAt) return false;
  const { method, headers } = request;
  if (method !== "GET" && method !== "HEAD") return false;
  if (headers.has("range") || headers.has("upgrade")) return false;
  if (headers.has("authorization") && !rules.headers.includes("authorization")) return false;
  const isByBucket = (decision & REASON) === REASON_ROLLOUT;
  forwarded.decision = (isByBucket ? (decision & ~REASON) | REASON_CACHED : decision) & ~EVIDENCE;
  open.decision = forwarded.decision;
  open.userLow = 0;
  open.userHigh = 0;
  return true;
}

/**
 * Notes that the cache did not answer a question in time.
 *
 * @param {ForwardedRequest} forwarded
 */
export function noteSilentCache(forwarded) {
  console.error("the cache did not answer, so backends are asked without it");
  forwarded.isFromCache = true;
  asksAgainAt = Date.now() + PAUSE;
}

/**
 * Asks the cache for a response, and the backend if there is none, or if the cache fails. Marks the request if a cache gave
 * the response.
 *
 * @param {ForwardedRequest} forwarded
 * @returns {Promise<Response>}
 */
export async function sendCached(forwarded) {
  const { request, env, context, url, table, route, origin, groups } = forwarded;
  const rules = /** @type {CacheRules} */ (table.caches?.[route]);
  /** @type {HeaderPair[]} */
  const headers = [];
  for (const name of rules.headers) {
    const value = request.headers.get(name);
    if (value !== null) headers.push([name, value]);
  }
  if (groups !== undefined) headers.push(["x-test-group", groups.ofBackend]);
  const arm = (forwarded.decision >> ARM_SHIFT) & 1;
  const key = JSON.stringify([FORMAT, rules, arm, origin[0], origin[2], url, headers]);
  /** @type {WantedResponse} */
  const wanted = {
    url,
    origin: [origin[0], origin[1], origin[2]],
    headers,
    ttl: rules.ttl ?? -1,
    stale: rules.stale,
    tags: rules.tags,
  };
  const question = new Request(HOST + (await hashOf(key)), {
    method: request.method,
    headers: { [WANTED]: encodeURIComponent(JSON.stringify(wanted)) },
  });
  /** @type {Response} */
  let response;
  try {
    response = await cacheOf(env, context).fetch(question);
  } catch (error) {
    console.error("the cache failed, so backends are asked without it:", error);
    asksAgainAt = Date.now() + PAUSE;
    return send(origin, url, request, env);
  }
  const failure = response.headers.get(FAILED);
  if (failure !== null) throw failure === WAS_LATE ? LATE : new Error("the backend could not be reached");
  const result = response.headers.get(RESULT) ?? "";
  forwarded.isFromCache = FROM_CACHE.test(result);
  return given(request, response, result, table.headers !== 0);
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
 * without its body if the cache had it and the client has it too.
 *
 * @param {Request} request
 * @param {Response} response
 * @param {string} result what the cache did
 * @param {boolean} isTold true if the client is to know that
 */
function given(request, response, result, isTold) {
  const { status } = response;
  if (status < 200 || status > 599) return response;
  const isFromCache = FROM_CACHE.test(result);
  const isUnchanged = (isFromCache || UNCHANGED.test(result)) && status === 200 && isHeld(request.headers, response.headers);
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
  if (isTold) headers.append("cache-status", `cutover; ${isFromCache ? "hit" : "fwd=miss"}`);
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
 *
 * @extends {WorkerEntrypoint<Env>}
 */
export class Answers extends WorkerEntrypoint {
  /**
   * @override
   * @param {Request} question
   */
  async fetch(question) {
    // Only the entrypoint behind a cache can remove what is in it.
    if (question.method === "POST") return removed(await question.json(), this.ctx);
    const text = question.headers.get(WANTED);
    if (text === null) return new Response(null, { status: 404, headers: { [DIRECTIVE]: "no-store" } });
    /** @type {WantedResponse} */
    const wanted = JSON.parse(decodeURIComponent(text));
    const headers = new Headers(wanted.headers);
    // What is kept is given to clients that can read no coding, too.
    headers.set("accept-encoding", "identity");
    // The platform's own conditions, by which it asks if what it holds is still the same. Those of clients stay outside.
    for (const name of ["if-none-match", "if-modified-since"]) {
      const value = question.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    const request = new Request(wanted.url, { method: question.method, headers, redirect: "manual" });
    /** @type {Response} */
    let response;
    try {
      response = await withTimeout(send(wanted.origin, wanted.url, request, this.env), wanted.origin[1]);
    } catch (error) {
      console.error("a backend failed behind the cache:", error);
      const failure = error === LATE ? WAS_LATE : UNREACHED;
      return new Response(null, { status: 502, headers: { [FAILED]: failure, [DIRECTIVE]: "no-store" } });
    }
    return told(response, wanted);
  }
}

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
  const told = new Response(response.body, response);
  const { headers } = told;
  const own = headers.get(TAGS);
  const directive = directiveOf(response, ttl, stale);
  // Headers of the connection to the backend, the word of another cache, and what is one user's, are no part of it.
  for (const name of headers.get("connection")?.match(/[\w-]+/g) ?? []) headers.delete(name);
  for (const name of [FAILED, RESULT, EVENT]) headers.delete(name);
  if (response.status === 304) headers.delete("set-cookie");
  if (directive === undefined) headers.delete(DIRECTIVE);
  else headers.set(DIRECTIVE, directive);
  const all = own === null ? tags : [...tags, own];
  if (all.length > 0) headers.set(TAGS, all.join(","));
  return told;
}

/**
 * Returns the directive by which the platform keeps a response; undefined if that of the kept one goes on. What a backend
 * says to this very platform counts first.
 *
 * @param {Response} response
 * @param {number} ttl
 * @param {number} stale
 */
function directiveOf({ status, headers }, ttl, stale) {
  const head = HEAD.map((name) => headers.get(name) ?? ABSENT);
  head[1] = headers.get(DIRECTIVE) ?? head[1];
  try {
    return core.cache_directive(head.join("\n"), status, headers.has("set-cookie"), ttl, stale);
  } catch (error) {
    console.error("a response is not cached because the edge failed:", error);
    return "no-store";
  }
}
