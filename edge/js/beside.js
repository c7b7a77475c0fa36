// What happens beside the short way: adapters, and comparisons behind the requests. Which adapter, what is compared and what is
// different about two answers is decided in WebAssembly; here it is asked for and carried out.

const MAX_ADAPTED_BODY = 1048576;
const MAX_ADAPTED_ANSWER = 4194304;

// Reasons not to compare, by their place in Skipped::ALL.
const SKIPPED_SIZE = 2;
const SKIPPED_TIMEOUT = 4;
const SKIPPED_UNREACHABLE = 5;
const SKIPPED_UNSAFE = 7;
const SKIPPED_UNADAPTED = 8;

// Milliseconds that work behind a request is held back.
const HOLD_BACK = 5;

const NOTHING = new Uint8Array(0);

// What adapters send is made of what was made once, as far as it is always the same: the runtime copies its own objects faster
// than it reads the properties of ours.
const JSON_TYPE = { "content-type": "application/json" };
const ACCEPT = { accept: "application/json" };
const ASKED = new Headers(ACCEPT);
const ASKED_WITH_BODY = new Headers({ ...ACCEPT, ...JSON_TYPE });
const ANSWERED = new Headers();
const ANSWERED_WITH_BODY = new Headers(JSON_TYPE);
const OK = new Response(null, { headers: JSON_TYPE });

// The question to an adapter's endpoint, without its body.
function question(origin, endpoint) {
  const made = (origin[2] ??= new Map());
  let request = made.get(endpoint);
  if (request === undefined) {
    request = new Request(origin[0] + endpoint, { method: "POST", headers: ASKED_WITH_BODY, redirect: "manual" });
    made.set(endpoint, request);
  }
  return request;
}
const TOO_LARGE = new Error("a body is larger than is read");

// All bytes of a body, up to so many, as an ArrayBuffer.
function bufferOf(message, headers, most) {
  const length = headers.get("content-length");
  // Announced to be small: no need to count on the way, nor to look at the stream.
  if (length !== null && Number(length) <= most) return message.arrayBuffer();
  return bytesCounted(message, most, Number(length));
}

async function bytesCounted(message, most, length) {
  if (length > most) {
    message.body.cancel().catch(() => {});
    throw TOO_LARGE;
  }
  if (message.body === null) return NOTHING.buffer;
  const parts = [];
  let size = 0;
  const reader = message.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > most) {
      reader.cancel().catch(() => {});
      throw TOO_LARGE;
    }
    parts.push(value);
  }
  const all = new Uint8Array(size);
  size = 0;
  for (const part of parts) {
    all.set(part, size);
    size += part.length;
  }
  return all.buffer;
}

async function bytesOf(message, most) {
  return new Uint8Array(await bufferOf(message, message.headers, most));
}

// The claims of the request's token that adapters look at, as JSON.
async function claimsOf(request, env, names) {
  if (names.length === 0) return "";
  await identify(request, env, [":jwt"]);
  const claims = tokens.get(bearer(request.headers))?.[2] ?? {};
  return JSON.stringify(Object.fromEntries(names.filter((name) => name in claims).map((name) => [name, claims[name]])));
}

// What WebAssembly tells to do next, in one number: see src/adapting.rs.
const TOLD = 7;
const PASS = 1;
const UPSTREAM = 3;
const RESPOND = 4;
const TOLD_BODY = 1 << 3;
const TOLD_MORE = 1 << 4;

// Answers a request through its adapter. `end` gets a response and what is counted as its status, null where the request goes
// through as it is, or undefined where the adapter has no word for it; `fail` is called where the backend gives no answer and
// another one can take its place, otherwise the adapter has its own answer to that. Where nothing has to be read first, all up to
// the backend's answer happens in the turn in which the request was decided.
export function adapted(request, env, url, held, route, origin, deadline, isLast, known, end, fail) {
  const exchange = { request, origin, deadline, isLast, end, fail, adapter: null, kept: ANSWERED, lost: null };
  // What was decided a moment ago may have begun already.
  const told = known === undefined ? core.begun() : 0;
  if (told !== 0) {
    exchange.adapter = held.adapters[core.adapter()];
    proceed(exchange, told);
  } else {
    prepared(exchange, env, url, held, route, known).catch(fail);
  }
}

// Reads the body and the token first.
async function prepared(exchange, env, url, held, route, body) {
  const { method, headers } = exchange.request;
  const [reads, claims] = held.adapt[route];
  const values = reads.map((name) => headers.get(name) ?? ABSENT).join("\n");
  let isTooLarge = false;
  if (body === undefined && method !== "GET" && method !== "HEAD" && exchange.request.body !== null) {
    body = await bytesOf(exchange.request, MAX_ADAPTED_BODY).catch((error) => {
      if (error !== TOO_LARGE) throw error;
      isTooLarge = true;
    });
  }
  const said = await claimsOf(exchange.request, env, claims);
  const told = core.adapt(method + "\n" + url, route, held.generation, values, said, body ?? NOTHING, isTooLarge);
  exchange.adapter = held.adapters[core.adapter()];
  proceed(exchange, told);
}

// WebAssembly's memory. Where that grew, a look at it ends.
let memory = NOTHING;

// The body that belongs to what was told last.
function toldBody() {
  if (memory.length === 0) memory = new Uint8Array(instance.exports.memory.buffer);
  const at = core.adapted_body();
  return memory.slice(at, at + core.adapted_body_length());
}

function proceed(exchange, told) {
  const { request, origin, end } = exchange;
  const kind = told & TOLD;
  if (kind === RESPOND) return end(answerOf(exchange, told), exchange.lost ?? told >>> 5);
  if (kind === 0) throw new Error("the adapter is gone");
  if (kind !== UPSTREAM) return end(kind === PASS ? null : undefined);
  const [endpoint, forward, keep] = exchange.adapter;
  const hasBody = (told & TOLD_BODY) !== 0;
  const plain = hasBody ? ASKED_WITH_BODY : ASKED;
  const headers = picked(request.headers, forward, plain);
  const init = hasBody ? { body: toldBody() } : {};
  let asked;
  if (told & TOLD_MORE) {
    const [method, target] = core.adapted_more().split("\n");
    asked = new Request(origin[0] + target, { method, headers, redirect: "manual" });
  } else {
    asked = question(origin, endpoint);
    if (headers !== plain) init.headers = headers;
  }
  const number = told >>> 5;
  exchange.kept = ANSWERED;
  let status = 0;
  const next = (step, reply) => {
    if (timer === 0) return;
    clearTimeout(timer);
    timer = 0;
    try {
      proceed(exchange, step(reply));
    } catch (error) {
      exchange.fail(error);
    }
  };
  const failed = (error) => {
    if (error === TOO_LARGE) return core.adapt_answered(number, status, NOTHING);
    if (!exchange.isLast) throw error;
    exchange.lost = error === LATE ? TIMEOUT : UNREACHABLE;
    return core.adapt_failed(number, error === LATE);
  };
  const answered = (bytes) => core.adapt_answered(number, status, new Uint8Array(bytes));
  let timer = setTimeout(() => next(failed, LATE), Math.max(exchange.deadline - Date.now(), 1));
  const lost = (error) => next(failed, error);
  fetch(asked, init).then((answer) => {
    const headers = answer.headers;
    status = answer.status;
    exchange.kept = picked(headers, keep, ANSWERED);
    bufferOf(answer, headers, MAX_ADAPTED_ANSWER).then((bytes) => next(answered, bytes), lost);
  }, lost);
}

// Headers with those of these names; the same ones where there is none.
function picked(from, names, headers) {
  let own = headers;
  for (let at = 0; at < names.length; at++) {
    const value = from.get(names[at]);
    if (value === null) continue;
    if (own === headers) own = new Headers(headers);
    own.set(names[at], value);
  }
  return own;
}

function answerOf({ request, kept }, told) {
  const hasBody = (told & TOLD_BODY) !== 0;
  let headers = hasBody ? ANSWERED_WITH_BODY : ANSWERED;
  if (kept !== ANSWERED || told & TOLD_MORE) {
    headers = new Headers(kept);
    const lines = told & TOLD_MORE ? core.adapted_more().split("\n") : [];
    for (let at = 0; at < lines.length - 1; at += 2) headers.set(lines[at], lines[at + 1]);
    if (hasBody) headers.set("content-type", "application/json");
  }
  const body = hasBody && request.method !== "HEAD" ? toldBody() : null;
  const status = told >>> 5;
  const isPlain = status === 200 && headers === ANSWERED_WITH_BODY;
  return new Response(body, isPlain ? OK : { status, headers });
}

// Whether an answer that looks like a success hides an error.
export async function judged(response, route, generation) {
  try {
    await sleep(HOLD_BACK);
    return core.hides_error(route, generation, await bytesOf(response, MAX_ADAPTED_ANSWER));
  } catch {
    return false;
  }
}

// Claims a comparison before the request is sent, while it can still be copied. What is returned takes the answer of the
// client, and asks the other backend when that is through.
export function compared(request, env, context, url, held, answer) {
  const route = answer & NO_ROUTE;
  const [patience, most, names, key] = held.compare[route];
  const isSafe = request.method === "GET" || request.method === "HEAD";
  const again = request.body === null ? request : keep(request);
  const mayRepeat = isSafe || (key !== null && request.headers.has(key) && again !== null);
  const ticket = core.begin_comparison(route, held.generation, mayRepeat);
  if (ticket === 0) return undefined;
  const skip = (reason) => core.skip_comparison(route, held.generation, reason);
  return (response) => {
    if (response === undefined) return skip(SKIPPED_UNREACHABLE);
    const work = compareLater(request, again, url, held, answer, response.clone(), ticket, [patience, most, names]);
    const ended = work.catch((error) => {
      const reasons = new Map([[LATE, SKIPPED_TIMEOUT], [TOO_LARGE, SKIPPED_SIZE], [UNADAPTED, SKIPPED_UNADAPTED]]);
      skip(reasons.get(error) ?? SKIPPED_UNREACHABLE);
    });
    // The requests may all be answered and told of by now: what came of this would wait for the next one.
    context.waitUntil(ended.then(() => reportIfDue(env, context, Date.now())));
  };
}

const UNADAPTED = new Error("the adapter is not for this request");

async function compareLater(request, again, url, held, answer, copy, ticket, [patience, most, names]) {
  const route = answer & NO_ROUTE;
  const headOf = (response) =>
    [response.status, ...["content-type", ...names].map((name) => response.headers.get(name) ?? ABSENT)].join("\n");
  // First the client's answer goes out: what is done here would stand in its way.
  await sleep(HOLD_BACK);
  const mine = [headOf(copy), await bytesOf(copy, most)];
  const body = again.body === null ? undefined : await bytesOf(again, MAX_KEPT_BODY);
  const legacy = async () => {
    const origin = held.origins[held.arms[route << 1]];
    return read(fetch(origin[0] + target(url), shadow(request, body)));
  };
  const fresh = async () => {
    const origin = held.origins[held.arms[(route << 1) | 1]];
    if (held.adapt?.[route]) {
      const deadline = Date.now() + patience;
      const sent = shadow(request, body);
      const made = await new Promise((resolve, reject) =>
        adapted(sent, {}, url, held, route, origin, deadline, false, body ?? NOTHING, resolve, reject),
      );
      if (made === undefined) throw UNADAPTED;
      if (made !== null) return [headOf(made), await bytesOf(made, most)];
    }
    return read(fetch(origin[0] + target(url), shadow(request, body)));
  };
  const read = (asked) =>
    inTime(
      asked.then(async (response) => [headOf(response), await bytesOf(response, most)]),
      patience,
    );
  const isNew = (answer & NEW) !== 0;
  const other = await (isNew ? legacy() : fresh());
  const [old, next] = isNew ? [other, mine] : [mine, other];
  const noise = ticket === 2 ? await legacy() : ["", NOTHING];
  const heads = [old[0], next[0], noise[0]].join("\u0001");
  core.finish_comparison(route, held.generation, heads, old[1], next[1], noise[1]);
}

// The same request once more. Backends can tell it by its header.
function shadow(request, body) {
  const headers = new Headers(request.headers);
  headers.set("x-cutover-shadow", "1");
  return new Request(request.url, { method: request.method, headers, body, redirect: "manual" });
}
