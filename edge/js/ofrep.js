// Evaluations of flags over OFREP. The core answers them. A request for all flags takes some tens of microseconds, so
// JavaScript does as little as it can for it: one wait, for the body; one call with strings into WebAssembly; and a
// response that is a copy of an earlier one of its kind. Only after a rest does it wait for the control plane too.
import { NO_BYTES, readBuffer, TOO_LARGE } from "./body.js";
import { ask } from "./question.js";
import { noteUncounted } from "./report.js";
import { replaceBrokenCore } from "./table.js";
import { core, evaluated } from "./wasm.js";
import { ABSENT, ASK, EVALUATION_STATUS, EVALUATION_TAGGED, REFRESH } from "./wire.js";

// Bytes of the longest body.
const MAX_BODY = 65536;

// URLs of the endpoints. Those that `plainUrl` would change are left to the core, with all others.
const ENDPOINT = /^[^/\\]*\/\/[^/\\]*\/ofrep\/v1\/evaluate\/flags(?:\/(?!\.|%2[eE])[^/\\?#]+)?(?:[?#]|$)/;

/**
 * A response of each kind, with its headers. Only the entity tag differs from one to the next.
 *
 * @type {Map<number, [response: Response, headers: Headers]>}
 */
const built = new Map();

// The generation whose responses were built.
let builtFor = -1;

/**
 * Returns true if flags are evaluated at a URL, provided that the table in force has the endpoints.
 *
 * @param {string} url as it was sent
 */
export function isEvaluation(url) {
  return ENDPOINT.test(url);
}

/**
 * Answers a request for evaluations.
 *
 * @param {ClientRequest} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} url
 * @param {number} todo the work in front of it, as bits of a decision
 * @returns {Promise<Response>}
 */
export function evaluate(request, env, context, url, todo) {
  if (todo & REFRESH) core.refresh(env, context);
  // In front of the turn of reporting, which would send the same question and leave this request to look for its end.
  const asked = todo & ASK ? askFirst(env, context) : undefined;
  noteUncounted(env, context, Date.now());
  return answer(request, url, asked);
}

/**
 * Asks the control plane. If it does not answer within a second, flags are evaluated by the state that is held.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 */
async function askFirst(env, context) {
  try {
    await ask(env, context);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) replaceBrokenCore();
    console.error("the control plane could not be asked before an evaluation:", error);
  }
}

/**
 * @param {ClientRequest} request
 * @param {string} url
 * @param {Promise<void> | undefined} asked
 * @returns {Promise<Response>}
 */
async function answer(request, url, asked) {
  try {
    const { method, headers } = request;
    let body = NO_BYTES;
    let isTooLarge = false;
    if (method === "POST") {
      try {
        body = new Uint8Array(await readBuffer(request, headers, MAX_BODY));
      } catch (error) {
        // A body that broke off is empty: it is no JSON.
        isTooLarge = error === TOO_LARGE;
      }
    }
    if (asked !== undefined) await asked;
    const held = headers.get("if-none-match") ?? ABSENT;
    const origin = headers.get("origin") ?? ABSENT;
    const token = tokenIn(headers) ?? ABSENT;
    const packed = method + "\n" + url + "\n" + held + "\n" + origin + "\n" + token;
    // Not looked up before the wait: the core may have been replaced meanwhile.
    return responseAt(core.evaluate(packed, body, isTooLarge, Date.now()));
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) replaceBrokenCore();
    console.error("flags could not be evaluated:", error);
    return new Response('{"errorDetails":"the flags could not be evaluated"}', {
      status: 500,
      headers: { "content-type": "application/json", "cache-control": "no-store" },
    });
  }
}

/**
 * Returns the caller's token; undefined if the caller sends none. Other credentials than a token are a token that nobody
 * has.
 *
 * @param {Headers} headers of the request
 */
function tokenIn(headers) {
  const authorization = headers.get("authorization");
  if (authorization === null) return headers.get("x-api-key") ?? undefined;
  return /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? headers.get("x-api-key") ?? "";
}

/**
 * Builds the response at an address of the core, in the turn in which the core has written it.
 *
 * @param {number} address
 */
function responseAt(address) {
  const { kind, generation, body, high, low } = evaluated(address);
  // Nothing could be evaluated, nor will it be by this instance.
  if (generation === 0) replaceBrokenCore();
  if (generation !== builtFor) {
    // Origins of pages are known by their positions, which another configuration may have changed.
    built.clear();
    builtFor = generation;
  }
  const [response, headers] = built.get(kind) ?? build(kind);
  if (kind & EVALUATION_TAGGED) headers.set("etag", '"' + digits(high) + digits(low) + '"');
  return new Response(body, response);
}

/** @param {number} half of an entity tag */
function digits(half) {
  return half.toString(16).padStart(8, "0");
}

/**
 * Builds the first response of a kind, which has no body.
 *
 * @param {number} kind
 * @returns {[response: Response, headers: Headers]}
 */
function build(kind) {
  const headers = new Headers();
  const lines = core.evaluation_headers(kind).split("\n");
  for (let index = 0; index < lines.length - 1; index += 2) headers.set(lines[index], lines[index + 1]);
  const response = new Response(null, { status: kind & EVALUATION_STATUS, headers });
  /** @type {[response: Response, headers: Headers]} */
  const first = [response, response.headers];
  built.set(kind, first);
  return first;
}
