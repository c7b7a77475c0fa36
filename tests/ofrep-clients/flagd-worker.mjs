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

async function isKnown(headers) {
  const token = /^bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? headers.get("x-api-key");
  if (token === null) return false;
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(token));
  return crypto.subtle.timingSafeEqual(digest, secret);
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

// Returns the headers that tell a browser who may read the response.
function sharing(origin, isPreflight) {
  if (origins.length === 0) return undefined;
  if (!origins.includes(origin)) return { vary: "origin" };
  const shared = { vary: "origin", "access-control-allow-origin": origin };
  if (!isPreflight) return { ...shared, "access-control-expose-headers": "etag, retry-after" };
  return {
    ...shared,
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "authorization, content-type, if-none-match, x-api-key",
  };
}

function answer(status, body, more) {
  const headers = { "content-type": "application/json", "cache-control": "no-store", ...more };
  return new Response(JSON.stringify(body), { status, headers });
}

function refusal(status, more) {
  return new Response(null, { status, headers: { "cache-control": "no-store", ...more } });
}

export default {
  async fetch(request) {
    const { url, method, headers } = request;
    if (url.slice(url.indexOf("/", 8)) !== PATH) return answer(404, { errorDetails: "there is no such endpoint" });
    const shared = sharing(headers.get("origin"), method === "OPTIONS");
    if (method === "OPTIONS") return new Response(null, { status: 204, headers: { allow: METHODS, ...shared } });
    if (method !== "POST") return answer(405, { errorDetails: "use POST" }, { allow: METHODS, ...shared });
    if (!(await isKnown(headers))) return refusal(401, { "www-authenticate": "Bearer", ...shared });
    if (isTooFast(Date.now())) return refusal(429, { "retry-after": "1", ...shared });
    const text = await textOf(request, headers);
    if (text === undefined) return answer(413, { errorDetails: "the body is too large" }, shared);
    const etag = tagOf(text);
    // Only a text that was answered before has a tag.
    if (headers.get("if-none-match") === etag) return refusal(304, { etag, ...shared });
    let context;
    try {
      context = JSON.parse(text).context ?? {};
    } catch {
      return answer(400, { errorCode: "PARSE_ERROR" }, shared);
    }
    const isObject = typeof context === "object" && !Array.isArray(context);
    if (!isObject || isOverLimit(context)) return answer(400, { errorCode: "INVALID_CONTEXT" }, shared);
    const evaluated = flags.resolveAll(context);
    const results = evaluated.map(({ flagKey, value, reason, variant }) => ({ key: flagKey, value, reason, variant }));
    return answer(200, { flags: results, metadata: { revision: 1 } }, { etag, ...shared });
  },
};
