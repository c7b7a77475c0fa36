// Events of users that clients and servers send to the Worker. The core reads them and knows who the user is.
import { readBytes, TOO_LARGE } from "./body.js";
import { pathAndQuery, problem } from "./http.js";
import { identify } from "./identity.js";
import { pack } from "./pack.js";
import { reportIfDue } from "./report.js";
import { currentTable, renewTable } from "./table.js";
import { core } from "./wasm.js";
import { MAX_EVENT_BODY, TABLE } from "./wire.js";

const TRACK = /^\/_cutover\/track(?:[?#]|$)/;

/**
 * Returns true if a request is for the path of events.
 *
 * @param {string} url
 */
export function isTracked(url) {
  return TRACK.test(pathAndQuery(url));
}

/**
 * Takes an event, after the first snapshot was waited for.
 *
 * @param {ClientRequest} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} url of the request
 * @returns {Promise<Response>}
 */
export async function track(request, env, context, url) {
  const { method, headers } = request;
  // A preflight allows nothing: pages of the API's own host do not send any.
  if (method === "OPTIONS") return new Response(null, { status: 204, headers: { "cache-control": "no-store" } });
  if (method !== "POST") {
    const response = problem(405, "Method Not Allowed", "method_not_allowed", "Send events with POST.");
    response.headers.set("allow", "OPTIONS, POST");
    return response;
  }
  if (!isOwnOrigin(headers.get("origin"), url)) {
    const detail = "Events are taken from pages of this host only.";
    return problem(403, "Forbidden", "origin_foreign", detail);
  }
  let body;
  try {
    body = await readBytes(request, MAX_EVENT_BODY);
  } catch (error) {
    // A client that breaks off its upload is no fault of the edge.
    if (error !== TOO_LARGE) {
      return problem(400, "Bad Request", "event_invalid", "The event broke off before its end.");
    }
    const detail = `An event has at most ${MAX_EVENT_BODY} bytes.`;
    return problem(413, "Content Too Large", "event_too_large", detail);
  }
  takeTable(method, url);
  if (currentTable.readsTokens) {
    await identify(request, env);
    // Another request may have renewed the core's rules meanwhile.
    takeTable(method, url);
  }
  const table = currentTable;
  const packed = pack(request, headers, url, table);
  const authorization = headers.get("authorization") ?? undefined;
  const response = core.track(packed, table.generation, authorization, body, env);
  // No other request may come to report it.
  reportIfDue(env, context, Date.now());
  return response;
}

/**
 * Returns true if a request was sent by no page, or by one of the host that it is for.
 *
 * @param {string | null} origin the header of the request
 * @param {string} url of the request
 */
function isOwnOrigin(origin, url) {
  if (origin === null) return true;
  return URL.canParse(origin) && new URL(origin).host === new URL(url).host;
}

/**
 * Puts the table of the core in force, unless it is.
 *
 * @param {string} method
 * @param {string} url of a request for a path of the Worker's own
 */
function takeTable(method, url) {
  if (core.decide(method + "\n" + url, Date.now(), currentTable.generation) & TABLE) renewTable();
}
