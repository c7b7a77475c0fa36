// The Worker's entry point. It reads what the rules ask for, makes one call into WebAssembly, and returns what
// `fetch` returns. It holds no rule: which origin, why, and what may be retried all come back in one number,
// whose layout is documented in src/wire.rs.
//
// worker-build bundles this file with the generated glue (CUSTOM_SHIM) and fills in the two $ lines.
import * as core from "./index_bg.js";
import wasm from "./index.wasm";
import { subjectOf, verified } from "./jwt.js";
import { adapted, compared, judged } from "./beside.js";
$SNIPPET_JS_IMPORTS

const instance = new WebAssembly.Instance(wasm, {
  "./index_bg.js": core,
  $SNIPPET_WASM_IMPORTS
});
core.__wbg_set_wasm(instance.exports);
instance.exports.__wbindgen_start?.();

const NO_ROUTE = 0xffff;
const REASON = 0xf << 16;
const NEW = 1 << 20;
const KIND = 0x1fffff;
const REFRESH = 1 << 21;
const MINTED = 1 << 22;
const NEED_INPUTS = 1 << 23;
const OWN_PATH = 1 << 24;
const BOOT = 1 << 25;
const TABLE = 1 << 26;
const STALE = 1 << 27;
const RETRYABLE = 1 << 28;
const ASK = 1 << 29;
const ADAPT = 1 << 30;
const COMPARE = 1 << 31;
// Anything here leaves the short way through `fetch` below.
const ASIDE = NEED_INPUTS | OWN_PATH | BOOT | TABLE | ASK;

const REASON_NO_SNAPSHOT = 8 << 16;
const REASON_FALLBACK = 9 << 16;
const REASON_INTERNAL = 10 << 16;

// What an outcome has in the place of a status where there was no answer.
const UNREACHABLE = 0;
const TIMEOUT = 1;

// A request body up to this many bytes is kept, so that legacy can answer where the new origin could not.
const MAX_KEPT_BODY = 65536;

const ABSENT = "\0";

let table = {
  generation: -1,
  revision: 0,
  inputs: [],
  cookies_unless: null,
  origins: [],
  arms: [],
  report_interval: 0,
  headers: 0,
  reasons: [],
};

// Outcomes of one window wait here, two numbers each, and cross into WebAssembly in one call.
const outcomes = new Uint32Array(1024);
const WINDOW_MS = 10000;
let waiting = 0;
let windowEnd = 0;
// Requests that were begun, and outcomes that were counted, since the isolate began.
let begun = 0;
let counted = 0;
// When a request has to begin a turn of reporting; and which turn is the newest.
let reportAt = Infinity;
let turn = 0;

function count(held, answer, status, started, env, context) {
  const now = Date.now();
  if (now >= windowEnd || waiting === outcomes.length) drain(now);
  counted++;
  outcomes[waiting] = (answer & KIND) | (held.generation << 21);
  outcomes[waiting + 1] = (status << 20) | Math.min(now - started, 0xfffff);
  waiting += 2;
  reportIfDue(env, context, now);
}

function drain(now) {
  const at = windowEnd - WINDOW_MS;
  if (now >= windowEnd) windowEnd = now - (now % WINDOW_MS) + WINDOW_MS;
  if (waiting === 0) return;
  const length = waiting;
  waiting = 0;
  try {
    core.record(outcomes.subarray(0, length), at);
  } catch (error) {
    console.error("outcomes could not be counted:", error);
  }
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Reporting goes on behind the requests, for as long as there is something to tell. Work behind a request may take
// 30 seconds, so a turn is handed over to a later request before that.
function reportIfDue(env, context, now) {
  if (now < reportAt) return;
  reportAt = now + 30000;
  context.waitUntil(takeTurn(env, ++turn, table.report_interval, now));
}

const HAND_OVER_MS = 12000;
const LONGEST_TURN_MS = 24000;

async function takeTurn(env, mine, interval, since) {
  try {
    if (core.must_announce(interval)) await ask(env);
    let before = -1;
    while (turn === mine) {
      await sleep(interval);
      if (turn !== mine) return;
      const now = Date.now();
      drain(now);
      // At rest: nothing is under way, and nothing was counted since the last look.
      const atRest = begun === counted && before === counted;
      before = counted;
      const told = await flush(env, atRest);
      if (atRest && told && before === counted && begun === counted) break;
      if (now - since > LONGEST_TURN_MS) break;
      reportAt = now - since > HAND_OVER_MS ? 0 : now + 30000;
    }
  } catch (error) {
    console.error("reporting broke off:", error);
  } finally {
    if (turn === mine) reportAt = 0;
  }
}

// Sends what there is to send. Whether all of it is stored.
async function flush(env, atRest) {
  for (let batches = 0; batches < 16; batches++) {
    const body = core.next_batch(atRest);
    if (body === undefined) return true;
    const sequence = core.sequence();
    const [status, text] = await post(env, body);
    if (!core.finish_batch(sequence, status, text)) return false;
  }
  return false;
}

// Brings the first snapshot, or gives up after the configured wait. A request cannot await what another one began,
// so each looks for itself whether it has come.
async function boot(env, context) {
  const since = Date.now();
  const patience = core.boot(env, context);
  while (Date.now() - since < patience && core.is_worth_waiting()) await sleep(2);
}

// Asks the control plane how things stand, or waits while another request does.
async function ask(env) {
  const body = core.question();
  if (body === undefined) {
    while (core.is_asking()) await sleep(2);
    return;
  }
  const [status, text] = await post(env, body, 1000);
  core.answered(status, text);
}

const encoder = new TextEncoder();
let signing = { secret: undefined, key: undefined };

async function post(env, body, patience = 4000) {
  try {
    const secret = env.CUTOVER_INGEST_SECRET ?? "";
    if (signing.secret !== secret) {
      const algorithm = { name: "HMAC", hash: "SHA-256" };
      const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
      signing = { secret, key };
    }
    const at = String(Date.now());
    const mac = await crypto.subtle.sign("HMAC", signing.key, encoder.encode(at + "." + body));
    const hex = Array.from(new Uint8Array(mac), (byte) => byte.toString(16).padStart(2, "0")).join("");
    // A trace of its own for every report, so that the function's log can be found.
    const trace = crypto.randomUUID().replace(/-/g, "");
    const response = await fetch(env.INGEST_URL.replace(/\/+$/, "") + "/v1/batches", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: `00-${trace}-${trace.slice(16)}-01`,
        "x-cutover-timestamp": at,
        "x-cutover-signature": "v1=" + hex,
      },
      body,
      signal: AbortSignal.timeout(patience),
    });
    return [response.status, await response.text()];
  } catch (error) {
    return [0, ""];
  }
}

// Tokens that were looked at, with whom they are for (nobody, where they were refused) and until when that holds; and the
// provider's keys.
const tokens = new Map();
const MAX_TOKENS = 2000;
let keys = [];
let keysAt = -Infinity;
let askedAt = -Infinity;
let asking = false;
const KEYS_PATIENCE = 2000;
const KEYS_KEPT = 600000;
const KEYS_AGAIN = 30000;
const TOKEN_KEPT = 300000;

// The token that a request brings, if it has the form of one.
function bearer(headers) {
  return /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(headers.get("authorization"))?.[1];
}

// Looks at the token of a request before its user is asked for. Without a provider, or where it does not answer, nobody is
// known by a token, and the route's next source is asked.
async function identify(request, env, inputs) {
  if (!inputs.includes(":jwt")) return;
  const token = bearer(request.headers);
  const now = Date.now();
  if (!token || tokens.get(token)?.[1] > now) return;
  if (tokens.size >= MAX_TOKENS) tokens.delete(tokens.keys().next().value);
  let held = ["", now + KEYS_AGAIN];
  try {
    if (token.length < 8192 && env.JWT_JWKS_URL) {
      const look = () => verified(token, keys);
      if (now - keysAt > KEYS_KEPT) await fetchKeys(env, now);
      const payload = await look().catch(async (error) => {
        // A provider that rotates its keys signs with one that is not held here.
        if (error !== verified) throw error;
        await fetchKeys(env, now);
        return look();
      });
      held = subjectOf(payload, env.JWT_ISSUER, env.JWT_AUDIENCE, now);
    }
  } catch {
    // Whatever was wrong with it: it names nobody.
  }
  tokens.set(token, [held[0], Math.min(held[1], now + TOKEN_KEPT), held[2]]);
}

// Asks the provider for its keys, or waits while another request does. One that is down is not asked by every request.
async function fetchKeys(env, now) {
  while (asking && Date.now() - askedAt < KEYS_PATIENCE) await sleep(2);
  if (now - askedAt < KEYS_AGAIN) return;
  askedAt = now;
  asking = true;
  try {
    const response = await fetch(env.JWT_JWKS_URL, {
      signal: AbortSignal.timeout(KEYS_PATIENCE),
      cf: { cacheTtl: 60, cacheEverything: true },
    });
    const found = (await response.json()).keys;
    if (!response.ok || !Array.isArray(found)) throw response.status;
    keys = found;
    keysAt = now;
  } catch (error) {
    console.error("the keys of the identity provider could not be read:", error);
  } finally {
    asking = false;
  }
}

function read(request, headers, input) {
  switch (input) {
    case ":jwt":
      return tokens.get(bearer(headers))?.[0] || ABSENT;
    case ":country":
      return request.cf?.country ?? ABSENT;
    case ":ip":
      return headers.get("cf-connecting-ip") ?? ABSENT;
    default:
      return headers.get(input) ?? ABSENT;
  }
}

// `url` is handed around because every look at `request.url` makes a new text.
function pack(request, url, inputs) {
  let packed = request.method + "\n" + url;
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

const entry = {
  fetch(request, env, context) {
    const started = Date.now();
    let url, answer;
    try {
      url = request.url;
      if (table.jwt && needsLook(request)) return identified(request, env, context);
      const packed = pack(request, url, table.inputs);
      answer = core.decide(packed, started, table.generation);
      if (answer & ASIDE) return aside(request, env, context, url, packed, answer);
      if (answer & REFRESH) core.refresh(env, context);
    } catch (error) {
      return withoutCore(request, env, context, error);
    }
    return forward(request, env, context, url, answer, started);
  },
};
export default entry;

// Whether the user of a request is in a token that was not looked at yet, or too long ago.
function needsLook(request) {
  const token = bearer(request.headers);
  return token && !(tokens.get(token)?.[1] > Date.now());
}

async function identified(request, env, context) {
  await identify(request, env, table.inputs);
  return entry.fetch(request, env, context);
}

// Every way that is not the short one. Ends in `forward`, or in an answer of the Worker's own.
async function aside(request, env, context, url, packed, answer) {
  let started = Date.now();
  try {
    let read_again = () => core.decide(packed, started, table.generation);
    for (let turns = 0; turns < 6 && answer & ASIDE; turns++) {
      if (answer & OWN_PATH) {
        drain(started);
        await boot(env, context);
        return core.own_path(packed, request.headers.get("authorization") ?? undefined, env);
      }
      if (answer & BOOT) {
        if (turns > 1) break;
        await boot(env, context);
      }
      if (answer & ASK) {
        await ask(env);
      } else if (answer & NEED_INPUTS) {
        const inputs = core.inputs_for(packed).split("\n");
        await identify(request, env, inputs);
        packed = pack(request, url, inputs);
        read_again = () => core.decide_with(packed, started);
      } else {
        // Outcomes that wait carry the generation that they were decided in.
        table = JSON.parse(core.table());
        if (table.report_interval > 0 && reportAt === Infinity) reportAt = 0;
        table.jwt = table.inputs.includes(":jwt");
        await identify(request, env, table.inputs);
        packed = pack(request, url, table.inputs);
      }
      started = Date.now();
      answer = read_again();
    }
    if (answer & ASIDE) answer = NO_ROUTE | REASON_NO_SNAPSHOT;
    if (answer & REFRESH) core.refresh(env, context);
  } catch (error) {
    return withoutCore(request, env, context, error);
  }
  return forward(request, env, context, url, answer, started);
}

function forward(request, env, context, url, answer, started) {
  // The table that the request was decided with; another may be in force when it ends.
  const held = table;
  const route = answer & NO_ROUTE;
  const origin = held.origins[held.arms[(route << 1) | ((answer >> 20) & 1)]];
  if (origin === undefined) return toLegacy(request, env, context, answer, started);
  begun++;
  reportIfDue(env, context, started);
  request = cleaned(request, env);
  if (answer & ADAPT || (held.hides !== null && held.hides[route])) {
    return beside(request, env, context, url, held, answer, started);
  }
  let kept = null;
  if ((answer & (NEW | RETRYABLE)) === (NEW | RETRYABLE)) kept = keep(request);
  const cookie = answer & MINTED ? core.minted() : undefined;
  // A body has to be copied before it is sent; without one there is time while the backend works.
  let compare = answer & COMPARE && request.body !== null ? compared(request, env, context, url, held, answer) : null;
  return new Promise((resolve) => {
    let timer = setTimeout(() => {
      timer = 0;
      compare?.(undefined);
      resolve(recover(env, context, url, held, answer, started, kept, cookie, true));
    }, origin[1]);
    const asked = fetch(origin[0] + target(url), request);
    if (answer & COMPARE && request.body === null) compare = compared(request, env, context, url, held, answer);
    asked.then(
      (response) => {
        if (timer === 0) return;
        clearTimeout(timer);
        count(held, answer, response.status, started, env, context);
        compare?.(response);
        resolve(held.headers || cookie ? decorate(held, response, answer, cookie) : response);
      },
      () => {
        if (timer === 0) return;
        clearTimeout(timer);
        compare?.(undefined);
        resolve(recover(env, context, url, held, answer, started, kept, cookie, false));
      },
    );
  });
}

// Requests that go through an adapter, or whose answers may hide errors. The client waits for nothing of that but the
// adapter.
function beside(request, env, context, url, held, answer, started) {
  const cookie = answer & MINTED ? core.minted() : undefined;
  const route = answer & NO_ROUTE;
  const hides = held.hides !== null && held.hides[route];
  const compare = answer & COMPARE ? compared(request, env, context, url, held, answer) : undefined;
  const method = request.method;
  const isRead = method === "GET" || method === "HEAD";
  const kept = (answer & (NEW | RETRYABLE)) !== (NEW | RETRYABLE) ? null : isRead ? request : keep(request);
  const origin = held.origins[held.arms[(route << 1) | ((answer >> 20) & 1)]];
  const failed = (error) => {
    compare?.(undefined);
    return recover(env, context, url, held, answer, started, kept, cookie, error === LATE);
  };
  const answered = (response, counted) => {
    // Decided for an adapter that then has no word for it: nobody but legacy can answer.
    if (!response) return failed();
    // An adapter answers in the place of a backend that did not.
    const status = counted ?? response.status;
    if (hides && response.ok && response.body !== null) {
      const ms = Date.now();
      const copy = response.clone();
      context.waitUntil(
        judged(copy, route, held.generation).then((error) => {
          count(held, answer, error ? 500 : status, Date.now() - (ms - started), env, context);
        }),
      );
    } else {
      count(held, answer, status, started, env, context);
    }
    compare?.(status > TIMEOUT ? response : undefined);
    return held.headers || cookie ? decorate(held, response, answer, cookie) : response;
  };
  return new Promise((resolve) => {
    const end = (response, counted) => resolve(answered(response, counted));
    const fail = (error) => resolve(failed(error));
    try {
      if (answer & ADAPT) {
        adapted(request, env, url, held, route, origin, started + origin[1], kept === null, undefined, end, fail);
      } else {
        inTime(fetch(origin[0] + target(url), request), origin[1]).then(end, fail);
      }
    } catch (error) {
      fail(error);
    }
  });
}

// The request as it can be sent a second time; null where its body cannot be.
function keep(request) {
  if (request.body === null) return request;
  const length = Number(request.headers.get("content-length") ?? Infinity);
  return length <= MAX_KEPT_BODY ? request.clone() : null;
}

// Headers of a client that no backend shall see: names and beginnings of names, as STRIP_REQUEST_HEADERS lists them.
let stripped;

// Looking at every name costs a request some hundredths, so it is only done where somebody asked for it.
function cleaned(request, env) {
  if (stripped === undefined) {
    const words = (env.STRIP_REQUEST_HEADERS ?? "").toLowerCase().match(/[\w-]+/g);
    stripped = words && new RegExp("^(?:" + words.map((word) => (word.endsWith("-") ? word : word + "$")).join("|") + ")");
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

// The path and query, byte for byte.
function target(url) {
  return url.slice(url.indexOf("/", 8));
}

// An origin refused, or did not begin to answer in time.
async function recover(env, context, url, held, answer, started, kept, cookie, late) {
  count(held, answer, late ? TIMEOUT : UNREACHABLE, started, env, context);
  if (kept !== null) {
    const again = Date.now();
    const legacy = (answer & ~(REASON | NEW)) | REASON_FALLBACK;
    const origin = held.origins[held.arms[(legacy & NO_ROUTE) << 1]];
    begun++;
    try {
      const response = await inTime(fetch(origin[0] + target(url), kept), origin[1]);
      count(held, legacy, response.status, again, env, context);
      return held.headers || cookie ? decorate(held, response, legacy, cookie) : response;
    } catch (error) {
      late = error === LATE;
      count(held, legacy, late ? TIMEOUT : UNREACHABLE, again, env, context);
      answer = legacy;
    }
  }
  return decorate(held, unanswered(late), answer, cookie);
}

const LATE = new Error("the origin did not begin to answer in time");

function inTime(promise, ms) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(LATE), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
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
async function toLegacy(request, env, context, answer, started) {
  const held = table;
  begun++;
  reportIfDue(env, context, started);
  let response;
  try {
    const base = env.LEGACY_ORIGIN;
    request = cleaned(request, env);
    response = await (base ? fetch(base.replace(/\/+$/, "") + target(request.url), request) : fetch(request));
    count(held, answer, response.status, started, env, context);
  } catch {
    count(held, answer, UNREACHABLE, started, env, context);
    response = unanswered(false);
  }
  return held.headers ? decorate(held, response, answer, undefined) : response;
}

// Something of ours failed. The request is legacy's, whatever it was.
function withoutCore(request, env, context, error) {
  console.error("legacy answers because the edge failed:", error);
  return toLegacy(request, env, context, NO_ROUTE | REASON_INTERNAL, Date.now());
}

function decorate(held, response, answer, cookie) {
  // A WebSocket answer cannot be built again, and nobody reads headers of it.
  if (response.status === 101) return response;
  const decorated = new Response(response.body, response);
  const headers = decorated.headers;
  const shown = held.headers;
  if (shown & 1) headers.set("x-cutover-arm", answer & NEW ? "new" : "legacy");
  if (shown & 2) headers.set("x-cutover-reason", held.reasons[(answer >> 16) & 15] ?? "INTERNAL");
  if (shown & 4) headers.set("x-cutover-revision", String(held.revision));
  if (shown && answer & STALE) headers.set("x-cutover-stale", "1");
  if (cookie) {
    headers.append(
      "set-cookie",
      `cutover_uid=${cookie}; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax`,
    );
  }
  return decorated;
}
