// Guards of GraphQL: a request is checked before a backend gets it. Only requests of guarded routes come here; the
// bodies of all others are not read. The core checks, see edge/src/guarding.rs.
import { NO_BYTES, readBuffer, TOO_LARGE } from "./body.js";
import { readWithin } from "./held.js";
import { CLIENT_LEFT, problem } from "./http.js";
import { core } from "./wasm.js";
import { ABSENT, CLIENT_GONE, GUARD_GONE, GUARD_STATUS, GUARD_UNTRUSTED_SHIFT, MAX_GUARDED_BODY } from "./wire.js";

// Milliseconds between two log lines about documents that are not trusted, and between two about the same one; and most
// documents that are remembered for that.
const PAUSE = 1000;
const PAUSE_OF_ONE = 60000;
const MAX_LOGGED = 1000;

/**
 * The times of the next log lines, by routes and documents.
 *
 * @type {Map<string, number>}
 */
const logged = new Map();

let nextLine = 0;
let suppressed = 0;

/**
 * Checks a request, and returns the response with which it is refused, or, if a backend may get it, the number of bytes
 * of its body that were read. Such a body is put into the request again, byte for byte. Rejects with CLIENT_LEFT if the
 * client breaks off its upload.
 *
 * @param {ForwardedRequest} forwarded
 * @returns {Promise<Response | number>}
 */
export async function check(forwarded) {
  const { request, url, table, route, open } = forwarded;
  const { method, headers } = request;
  const coding = headers.get("content-encoding") ?? "identity";
  // All others are refused if they have a body, whatever is in it.
  const isRead = method === "POST" && request.body !== null && coding.toLowerCase() === "identity";
  let body = NO_BYTES;
  let isTooLarge = !isRead && request.body !== null && headers.get("content-length") !== "0";
  if (isRead) {
    const since = Date.now();
    const reading = readWithin(mostBytes(headers), () => readBuffer(request, headers, MAX_GUARDED_BODY));
    if (reading === undefined) return busy(request);
    try {
      body = new Uint8Array(await reading);
    } catch (error) {
      if (error !== TOO_LARGE) throw CLIENT_LEFT;
      isTooLarge = true;
    }
    // The time of the upload is the client's.
    open.started += Date.now() - since;
  }
  const type = headers.get("content-type") ?? ABSENT;
  const accept = headers.get("accept") ?? ABSENT;
  const upgrade = headers.get("upgrade") ?? ABSENT;
  const packed = [method, url, type, coding, accept, upgrade].join("\n");
  const verdict = core.guard(packed, route, table.generation, body, isTooLarge);
  const status = verdict & GUARD_STATUS;
  if (status === GUARD_GONE) throw new Error("the rules that decided the request are not held any more");
  if (status !== 0) return refused(status);
  const untrusted = verdict >>> GUARD_UNTRUSTED_SHIFT;
  if (untrusted !== 0) logUntrusted(untrusted);
  if (isRead) forwarded.request = new Request(request, { body });
  return body.length;
}

/**
 * Returns the most bytes that are held while a body is read. One that is announced to be too large is not read.
 *
 * @param {Headers} headers
 */
function mostBytes(headers) {
  const length = Number(headers.get("content-length") ?? MAX_GUARDED_BODY);
  return length > MAX_GUARDED_BODY ? 0 : length;
}

/**
 * Builds the response of the last check.
 *
 * @param {number} status
 */
function refused(status) {
  const [type, body] = core.guard_lines().split("\n");
  const headers = new Headers({ "content-type": type, "cache-control": "no-store" });
  if (status === 405) headers.set("allow", "GET, HEAD, POST");
  return new Response(body, { status, headers });
}

/**
 * Builds the response to a request whose body has no room beside those that the isolate holds.
 *
 * @param {Request} request
 */
function busy(request) {
  request.body?.cancel().catch(() => {});
  const response = problem(
    503,
    "Service Unavailable",
    "guard_busy",
    "Too many requests are being checked, so this one was not read and no backend got it. Send it again.",
  );
  response.headers.set("retry-after", "1");
  return response;
}

/** Builds the response to a client that is not there any more. */
export function abandoned() {
  return problem(CLIENT_GONE, "Client Closed Request", "client_left", "The upload broke off, so no backend got it.");
}

/** Builds the response to a request that could not be checked. */
export function unchecked() {
  return problem(
    503,
    "Service Unavailable",
    "guard_unavailable",
    "The request could not be checked, so no backend got it. Send it again.",
  );
}

/**
 * Writes the documents of the last check into the log, unless there was a line a moment ago.
 *
 * @param {number} documents
 */
function logUntrusted(documents) {
  const lines = core.guard_lines();
  const now = Date.now();
  if (now < nextLine || now < (logged.get(lines) ?? 0)) {
    suppressed += documents;
    return;
  }
  nextLine = now + PAUSE;
  if (logged.size >= MAX_LOGGED) logged.clear();
  logged.set(lines, now + PAUSE_OF_ONE);
  const [route, sha256] = lines.split("\n");
  console.warn(JSON.stringify({ event: "graphql_untrusted", route, sha256, documents, suppressed }));
  suppressed = 0;
}
