// What a good engineer writes by hand to answer OFREP for all flags with flagd's evaluation core, with the same work for
// each request as our Worker: it tells pages of other origins what they may send, knows the token, keeps it to its pace, reads
// the body within a limit and the context within others, spares the evaluation if the client holds the answer, evaluates,
// and answers with an entity tag. It is configured when it starts. COMPILED is `true` for rules as functions: a Worker may
// make functions of strings only while it starts, so flags that change without a deployment cannot be compiled. The bench
// holds its answers against those of Cutover before it measures anything.
import { env } from "cloudflare:workers";
import { FlagdCore } from "@openfeature/flagd-core";

const PATH = "/ofrep/v1/evaluate/flags";
const METHODS = "OPTIONS, POST";
const MAX_BODY = 65536;
const MAX_ATTRIBUTES = 256;
const MAX_NAME = 256;
const MAX_VALUE = 4096;
const encoder = new TextEncoder();
const secret = Uint8Array.from(env.TOKEN_SHA256.match(/../g), (digits) => parseInt(digits, 16));
const origins = (env.ORIGINS ?? "").split(" ").filter((origin) => origin !== "");
const cost = 1000 / Number(env.REQUESTS_PER_SECOND);
const flags = new FlagdCore(undefined, undefined, { disableDynamicCodeGeneration: env.COMPILED !== "true" });
flags.setConfigurations(env.FLAGS);
const seeds = [hash(env.FLAGS, 0x811c9dc5), hash(env.FLAGS, 0x9747b28c)];

function hash(text, seed) {
  let h = seed;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

// The flags depend on nothing but their configuration and the context.
function tagOf(text) {
  return `"${hash(text, seeds[0]).toString(16)}-${hash(text, seeds[1]).toString(16)}"`;
}

// The last token that was known: nearly always that of the next request too, and a digest costs a promise.
let known;

function tokenIn(headers) {
  return /^bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? headers.get("x-api-key");
}

async function isKnown(token) {
  if (token === null) return false;
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(token));
  if (!crypto.subtle.timingSafeEqual(digest, secret)) return false;
  known = token;
  return true;
}

// The time up to which the requests so far are paid for. Each costs its part of a second, and the debt is at most a
// second.
let paid = 0;

function isTooFast(now) {
  const next = Math.min(Math.max(paid, now), now + 1000) + cost;
  if (next > now + 1000) return true;
  paid = next;
  return false;
}

function isOverLimit(context) {
  let attributes = 0;
  for (const name in context) {
    const value = context[name];
    if (name.length > MAX_NAME || (typeof value === "string" && value.length > MAX_VALUE)) return true;
    attributes++;
  }
  return attributes > MAX_ATTRIBUTES;
}

// Returns the text of a body; undefined if it is over the limit.
async function textOf(request, headers) {
  const length = headers.get("content-length");
  if (Number(length) > MAX_BODY) return undefined;
  if (length !== null) return request.text();
  const decoder = new TextDecoder();
  let size = 0;
  let text = "";
  for await (const part of request.body ?? []) {
    size += part.length;
    if (size > MAX_BODY) return undefined;
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

// Returns the position of the page that may read the response; -1 if none may.
function pageOf(headers) {
  return origins.length === 0 ? -1 : origins.indexOf(headers.get("origin"));
}

// Returns the headers of a response except the entity tag.
function headersOf(status, page) {
  const headers = new Headers();
  if (status !== 204) headers.set("cache-control", "no-store");
  if (![204, 304, 401, 429].includes(status)) headers.set("content-type", "application/json");
  if (status === 204 || status === 405) headers.set("allow", METHODS);
  if (status === 401) headers.set("www-authenticate", "Bearer");
  if (status === 429) headers.set("retry-after", "1");
  if (origins.length > 0) headers.set("vary", "origin");
  if (page < 0) return headers;
  headers.set("access-control-allow-origin", origins[page]);
  if (status === 204) {
    headers.set("access-control-allow-methods", "POST");
    headers.set("access-control-allow-headers", "authorization, content-type, if-none-match, x-api-key");
    headers.set("access-control-max-age", "600");
  } else {
    headers.set("access-control-expose-headers", "etag, retry-after");
  }
  return headers;
}

// A response of each status and page with its headers, from which the others are copied: only the entity tag differs.
const kept = new Map();

function respond(status, page, body, etag) {
  const kind = (page + 1) * 1000 + status;
  let first = kept.get(kind);
  if (first === undefined) {
    const response = new Response(null, { status, headers: headersOf(status, page) });
    first = [response, response.headers];
    kept.set(kind, first);
  }
  if (etag !== undefined) first[1].set("etag", etag);
  return new Response(body, first[0]);
}

function answer(status, page, body, etag) {
  return respond(status, page, JSON.stringify(body), etag);
}

export default {
  async fetch(request) {
    const { url, method, headers } = request;
    const page = pageOf(headers);
    const path = url.slice(url.indexOf("/", 8));
    if (path !== PATH) return answer(404, page, { errorDetails: "there is no such endpoint" });
    if (method === "OPTIONS") return respond(204, page, null);
    if (method !== "POST") return answer(405, page, { errorDetails: "evaluations are requested by POST" });
    const token = tokenIn(headers);
    if (token !== known && !(await isKnown(token))) return respond(401, page, null);
    if (isTooFast(Date.now())) return respond(429, page, null);
    const text = await textOf(request, headers);
    if (text === undefined) return answer(413, page, { errorDetails: "the body is larger than the limit" });
    const etag = tagOf(text);
    // Only a text that was answered before has a tag.
    if (headers.get("if-none-match") === etag) return respond(304, page, null, etag);
    let context;
    try {
      context = JSON.parse(text).context ?? {};
    } catch {
      return answer(400, page, { errorCode: "PARSE_ERROR" });
    }
    const isObject = typeof context === "object" && !Array.isArray(context);
    if (!isObject || isOverLimit(context)) return answer(400, page, { errorCode: "INVALID_CONTEXT" });
    const evaluated = flags.resolveAll(context);
    const results = evaluated.map(({ flagKey, value, reason, variant }) => ({ key: flagKey, value, reason, variant }));
    return answer(200, page, { flags: results, metadata: { revision: 1 } }, etag);
  },
};
