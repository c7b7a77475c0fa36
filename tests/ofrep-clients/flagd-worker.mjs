// What a good engineer writes by hand to answer OFREP for all flags with flagd's evaluation core: know the token, read the
// context within a limit, spare the evaluation if the client holds the answer, evaluate, answer with an entity tag. It is
// configured when it starts. COMPILED is `true` for rules as functions: a Worker may make functions of strings only while it
// starts, so flags that change without a deployment cannot be compiled. The bench holds its answers against those of Cutover
// before it measures anything.
import { env } from "cloudflare:workers";
import { FlagdCore } from "@openfeature/flagd-core";

const PATH = "/ofrep/v1/evaluate/flags";
const MAX_BODY = 65536;
const encoder = new TextEncoder();
const secret = Uint8Array.from(env.TOKEN_SHA256.match(/../g), (digits) => parseInt(digits, 16));
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

function answer(status, body, more = {}) {
  const headers = { "content-type": "application/json", "cache-control": "no-store", ...more };
  return new Response(JSON.stringify(body), { status, headers });
}

export default {
  async fetch(request) {
    const { url, headers } = request;
    if (url.slice(url.indexOf("/", 8)) !== PATH) return answer(404, { errorDetails: "there is no such endpoint" });
    if (request.method !== "POST") return answer(405, { errorDetails: "use POST" }, { allow: "POST" });
    if (!(await isKnown(headers))) return new Response(null, { status: 401 });
    if (Number(headers.get("content-length")) > MAX_BODY) return answer(413, { errorDetails: "the body is too large" });
    const text = await request.text();
    let context;
    try {
      context = JSON.parse(text).context ?? {};
    } catch {
      return answer(400, { errorCode: "PARSE_ERROR" });
    }
    if (typeof context !== "object" || Array.isArray(context)) return answer(400, { errorCode: "INVALID_CONTEXT" });
    const etag = tagOf(text);
    if (headers.get("if-none-match") === etag) {
      return new Response(null, { status: 304, headers: { etag, "cache-control": "no-store" } });
    }
    const evaluated = flags.resolveAll(context);
    const results = evaluated.map(({ flagKey, value, reason, variant }) => ({ key: flagKey, value, reason, variant }));
    return answer(200, { flags: results, metadata: { revision: 1 } }, { etag });
  },
};
