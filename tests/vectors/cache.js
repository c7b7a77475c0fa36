// A stand-in for the platform's cache, which no local runtime has. It is in front of one entrypoint of the Worker, keeps
// responses by the paths of their URLs as long as `cloudflare-cdn-cache-control` says, and nothing else.
//
// As unkind as the platform: it forgets whenever it is told to (`POST /forget`), fails or hangs when it is told to (`POST /fail`, `POST /hang`, until
// `POST /heal`), asks HEAD as GET, and takes part in no request of another client. `GET /counts` says what it did.

const DIRECTIVE = "cloudflare-cdn-cache-control";
const MAX_ENTRIES = 20000;

/** Entries by path: { response, body, since, fresh, stale, age, tags }. */
const entries = new Map();

/** Questions under way, by path. */
const asking = new Map();

const counts = { hit: 0, stale: 0, miss: 0, revalidated: 0, bypass: 0 };

let fails = false;
let hangs = false;

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (request.method === "POST") return steer(pathname, request);
    if (pathname === "/counts") return Response.json({ ...counts, entries: entries.size });
    if (fails) throw new Error("the cache is down");
    if (hangs) await new Promise((resolve) => setTimeout(resolve, 60000));
    const entry = entries.get(pathname);
    const now = Date.now();
    const age = entry === undefined ? 0 : (now - entry.since) / 1000;
    if (entry !== undefined && age < entry.fresh) {
      counts.hit++;
      return answer(entry, request, "HIT", age);
    }
    if (entry !== undefined && age < entry.fresh + entry.stale) {
      counts.stale++;
      context.waitUntil(collapsed(pathname, request, env, entry).catch(() => {}));
      return answer(entry, request, "UPDATING", age);
    }
    const isFollower = asking.has(pathname);
    const got = await collapsed(pathname, request, env, entry);
    if (isFollower && got.isKept) {
      counts.hit++;
      return answer(got, request, "HIT", 0);
    }
    // What is not kept is no one else's: whoever waited asks for themselves.
    const own = isFollower ? await fill(pathname, request, env, undefined) : got;
    counts[own.result.toLowerCase()]++;
    if (own.response.status > 599) return own.response;
    return answer(own, request, own.result, 0);
  },
};

async function steer(path, request) {
  if (path === "/fail") fails = true;
  else if (path === "/hang") hangs = true;
  else if (path === "/heal") fails = hangs = false;
  else if (fails) throw new Error("the cache is down");
  else if (path === "/forget") entries.clear();
  else if (path === "/purge") {
    const tags = new Set((await request.json()).map((tag) => tag.toLowerCase()));
    for (const [key, entry] of entries) if (entry.tags.some((tag) => tags.has(tag))) entries.delete(key);
  } else return new Response(null, { status: 404 });
  return new Response(null, { status: 204 });
}

function collapsed(path, request, env, entry) {
  const held = asking.get(path);
  if (held !== undefined) return held;
  const asked = fill(path, request, env, entry).finally(() => asking.delete(path));
  asking.set(path, asked);
  return asked;
}

async function fill(path, request, env, entry) {
  const headers = new Headers(request.headers);
  const etag = entry?.response.headers.get("etag");
  const modified = entry?.response.headers.get("last-modified");
  if (etag) headers.set("if-none-match", etag);
  else if (modified) headers.set("if-modified-since", modified);
  const response = await env.INNER.fetch(new Request(request.url, { headers }));
  if (response.status === 304 && entry !== undefined) {
    const merged = new Headers(entry.response.headers);
    for (const [name, value] of response.headers) if (name !== "content-length") merged.set(name, value);
    const told = directive(merged, 200);
    const renewed = kept(new Response(null, { status: entry.response.status, headers: merged }), entry.body, told);
    if (told.isKept) entries.set(path, renewed);
    else entries.delete(path);
    return { ...renewed, result: "REVALIDATED" };
  }
  // Of no standard: it passes as it came.
  if (response.status > 599) return { response, isKept: false, result: "BYPASS" };
  const body = await response.arrayBuffer();
  const told = directive(response.headers, response.status);
  const got = kept(response, body, told);
  if (told.isKept) {
    if (entries.size >= MAX_ENTRIES) entries.delete(entries.keys().next().value);
    entries.set(path, got);
  } else {
    entries.delete(path);
  }
  return { ...got, result: told.isKept ? "MISS" : "BYPASS" };
}

function directive(headers, status) {
  const text = headers.get(DIRECTIVE) ?? "";
  const seconds = (name) => Number(new RegExp(`(?:^|[, ])${name}=(\\d+)`).exec(text)?.[1] ?? 0);
  // The platform would keep a response without a directive for hours. The Worker must send one.
  if (text === "" && status <= 599) throw new Error("a response without a directive");
  return { isKept: text !== "" && !/no-store/.test(text), fresh: seconds("max-age"), stale: seconds("stale-while-revalidate") };
}

function kept(response, body, { isKept, fresh, stale }) {
  const tags = (response.headers.get("cache-tag") ?? "").toLowerCase().split(",").filter((tag) => tag !== "");
  const age = Number(response.headers.get("age") ?? 0) || 0;
  return { response, body, since: Date.now(), fresh, stale, age, tags, isKept };
}

function answer({ response, body, age }, request, result, resident) {
  const headers = new Headers(response.headers);
  headers.delete(DIRECTIVE);
  headers.delete("cache-tag");
  headers.set("cf-cache-status", result);
  const isFromCache = result === "HIT" || result === "UPDATING";
  if (isFromCache) headers.set("age", String(Math.floor(age + resident)));
  const hasBody = request.method !== "HEAD" && ![204, 205, 304].includes(response.status);
  return new Response(hasBody ? body : null, { status: response.status, statusText: response.statusText, headers });
}
