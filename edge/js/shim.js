// The Worker's entry point. It reads what the rules ask for, makes one call into WebAssembly, and returns what
// `fetch` returns. It holds no rule: which origin, why, and what may be retried all come back in one number,
// whose layout is documented in src/wire.rs.
//
// worker-build bundles this file with the generated glue (CUSTOM_SHIM) and fills in the two $ lines.
import * as core from "./index_bg.js";
import wasm from "./index.wasm";
$SNIPPET_JS_IMPORTS

const instance = new WebAssembly.Instance(wasm, {
  "./index_bg.js": core,
  $SNIPPET_WASM_IMPORTS
});
core.__wbg_set_wasm(instance.exports);
instance.exports.__wbindgen_start?.();

const NO_ORIGIN = 0xfff;
const NEW = 1 << 16;
const REFRESH = 1 << 17;
const MINTED = 1 << 18;
const NEED_INPUTS = 1 << 19;
const OWN_PATH = 1 << 20;
const BOOT = 1 << 21;
const TABLE = 1 << 22;
const STALE = 1 << 23;
const RETRYABLE = 1 << 24;
// Anything here leaves the short way through `fetch` below.
const ASIDE = NEED_INPUTS | OWN_PATH | BOOT | TABLE;

const REASON_NO_SNAPSHOT = 8 << 12;
const REASON_FALLBACK = 9 << 12;
const REASON_INTERNAL = 10 << 12;

// A request body up to this many bytes is kept, so that legacy can answer where the new origin could not.
const MAX_KEPT_BODY = 65536;

const ABSENT = "\0";

let table = { generation: -1, revision: 0, inputs: [], cookies_unless: null, origins: [], headers: 0, reasons: [] };

// Outcomes wait here and cross into WebAssembly in one call: bit 31 arm, 20 to 30 status, 0 to 19 milliseconds.
const outcomes = new Uint32Array(512);
let waiting = 0;

function count(answer, status, started) {
  if (waiting === outcomes.length) drain();
  const elapsed = Math.min(Date.now() - started, 0xfffff);
  outcomes[waiting++] = ((answer & NEW) << 15) | (status << 20) | elapsed;
}

function drain() {
  core.record(outcomes.subarray(0, waiting));
  waiting = 0;
}

function read(request, headers, input) {
  switch (input) {
    case ":country":
      return request.cf?.country ?? ABSENT;
    case ":ip":
      return headers.get("cf-connecting-ip") ?? ABSENT;
    default:
      return headers.get(input) ?? ABSENT;
  }
}

function pack(request, inputs) {
  let packed = request.method + "\n" + request.url;
  if (inputs.length === 0) return packed;
  const headers = request.headers;
  // Where this header is there, the rules say that nobody will look at a cookie.
  const unless = table.cookies_unless;
  const user = unless === null ? null : headers.get(unless);
  for (let at = 0; at < inputs.length; at++) {
    const input = inputs[at];
    if (user !== null && user !== "") {
      packed += "\n" + (input === unless ? user : input === "cookie" ? ABSENT : read(request, headers, input));
    } else {
      packed += "\n" + read(request, headers, input);
    }
  }
  return packed;
}

export default {
  fetch(request, env, context) {
    const started = Date.now();
    let packed, answer;
    try {
      packed = pack(request, table.inputs);
      answer = core.decide(packed, started, table.generation);
      if (answer & ASIDE) return aside(request, env, context, packed, answer);
      if (answer & REFRESH) core.refresh(env, context);
    } catch (error) {
      return withoutCore(request, env, error);
    }
    return forward(request, env, packed, answer, started);
  },
};

// Every way that is not the short one. Ends in `forward`, or in an answer of the Worker's own.
async function aside(request, env, context, packed, answer) {
  const started = Date.now();
  try {
    for (let turn = 0; turn < 4 && answer & ASIDE; turn++) {
      if (answer & OWN_PATH) {
        drain();
        await core.boot(env, context);
        return core.own_path(packed, request.headers.get("authorization") ?? undefined, env);
      }
      if (answer & BOOT) {
        if (turn > 1) break;
        await core.boot(env, context);
      }
      if (answer & NEED_INPUTS) {
        packed = pack(request, core.inputs_for(packed).split("\n"));
        answer = core.decide_with(packed, started);
        break;
      }
      table = JSON.parse(core.table());
      packed = pack(request, table.inputs);
      answer = core.decide(packed, started, table.generation);
    }
    if (answer & ASIDE) answer = NO_ORIGIN | REASON_NO_SNAPSHOT;
    if (answer & REFRESH) core.refresh(env, context);
  } catch (error) {
    return withoutCore(request, env, error);
  }
  return forward(request, env, packed, answer, started);
}

function forward(request, env, packed, answer, started) {
  const origin = table.origins[answer & NO_ORIGIN];
  if (origin === undefined) return toLegacy(request, env, answer, started);
  let kept = null;
  if ((answer & (NEW | RETRYABLE)) === (NEW | RETRYABLE)) kept = keep(request);
  const cookie = answer & MINTED ? core.minted() : undefined;
  return new Promise((resolve) => {
    let timer = setTimeout(() => {
      timer = 0;
      resolve(recover(request, env, packed, answer, started, kept, cookie, true));
    }, origin[1]);
    fetch(origin[0] + target(request.url), request).then(
      (response) => {
        if (timer === 0) return;
        clearTimeout(timer);
        count(answer, response.status, started);
        resolve(table.headers || cookie ? decorate(response, answer, cookie) : response);
      },
      () => {
        if (timer === 0) return;
        clearTimeout(timer);
        resolve(recover(request, env, packed, answer, started, kept, cookie, false));
      },
    );
  });
}

// The request as it can be sent a second time; null where its body cannot be.
function keep(request) {
  if (request.body === null) return request;
  const length = Number(request.headers.get("content-length") ?? Infinity);
  return length <= MAX_KEPT_BODY ? request.clone() : null;
}

// The path and query, byte for byte.
function target(url) {
  return url.slice(url.indexOf("/", 8));
}

// An origin refused, or did not begin to answer in time.
async function recover(request, env, packed, answer, started, kept, cookie, late) {
  count(answer, 0, started);
  if (kept !== null) {
    const again = Date.now();
    const legacy = (core.legacy_for(packed) | REASON_FALLBACK | (answer & STALE)) >>> 0;
    const origin = table.origins[legacy & NO_ORIGIN];
    if (origin !== undefined) {
      try {
        const response = await inTime(fetch(origin[0] + target(kept.url), kept), origin[1]);
        count(legacy, response.status, again);
        return table.headers || cookie ? decorate(response, legacy, cookie) : response;
      } catch (error) {
        count(legacy, 0, again);
        late = error === LATE;
        answer = legacy;
      }
    }
  }
  return decorate(unanswered(late), answer, cookie);
}

const LATE = new Error("the origin did not begin to answer in time");

function inTime(promise, ms) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(LATE), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

function unanswered(late) {
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

// No route, or no snapshot: the configured legacy origin, or where the zone points without a Worker.
async function toLegacy(request, env, answer, started) {
  let response;
  try {
    const base = env.LEGACY_ORIGIN;
    response = await (base ? fetch(base.replace(/\/+$/, "") + target(request.url), request) : fetch(request));
    count(answer, response.status, started);
  } catch {
    count(answer, 0, started);
    response = unanswered(false);
  }
  return table.headers ? decorate(response, answer, undefined) : response;
}

// Something of ours failed. The request is legacy's, whatever it was.
function withoutCore(request, env, error) {
  console.error("legacy answers because the edge failed:", error);
  return toLegacy(request, env, NO_ORIGIN | REASON_INTERNAL, Date.now());
}

function decorate(response, answer, cookie) {
  // A WebSocket answer cannot be built again, and nobody reads headers of it.
  if (response.status === 101) return response;
  const decorated = new Response(response.body, response);
  const headers = decorated.headers;
  const shown = table.headers;
  if (shown & 1) headers.set("x-cutover-arm", answer & NEW ? "new" : "legacy");
  if (shown & 2) headers.set("x-cutover-reason", table.reasons[(answer >> 12) & 15] ?? "INTERNAL");
  if (shown & 4) headers.set("x-cutover-revision", String(table.revision));
  if (shown && answer & STALE) headers.set("x-cutover-stale", "1");
  if (cookie) {
    headers.append(
      "set-cookie",
      `cutover_uid=${cookie}; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax`,
    );
  }
  return decorated;
}
