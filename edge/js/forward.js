// Sending a decided request to its backend, and the response back to the client.
import { adapt } from "./adapter.js";
import { claimComparison, hidesError } from "./compare.js";
import {
  decorate,
  gatewayProblem,
  LATE,
  pathAndQuery,
  repeatable,
  stripHeaders,
  withTimeout,
} from "./http.js";
import { begin, count, reportIfDue } from "./report.js";
import { currentTable } from "./table.js";
import * as core from "./wasm.js";
import {
  ADAPT,
  ARM_SHIFT,
  COMPARE,
  MINTED,
  NEW,
  NO_ROUTE,
  REASON,
  REASON_FALLBACK,
  REASON_INTERNAL,
  RETRYABLE,
  TIMEOUT,
  UNREACHABLE,
} from "./wire.js";

/**
 * Forwards a request. Nothing but the time limit is between the client and the backend, unless the
 * decision says so.
 *
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} url of the request, because every look at `request.url` builds another string
 * @param {number} decision
 * @param {number} started
 * @returns {Response | Promise<Response>}
 */
// eslint-disable-next-line max-params -- an object would be one more allocation for every request
export function forward(request, env, context, url, decision, started) {
  // Another table may be in force when the request ends.
  const table = currentTable;
  const route = decision & NO_ROUTE;
  const origin = table.origins[table.arms[(route << 1) | ((decision >> ARM_SHIFT) & 1)]];
  if (origin === undefined) return forwardToLegacy(request, env, context, decision, started);
  begin();
  reportIfDue(env, context, started);
  request = stripHeaders(request, env);
  if (decision & ADAPT || (table.hides !== null && table.hides[route])) {
    return forwardInspected({
      request,
      env,
      context,
      url,
      table,
      route,
      origin,
      decision,
      started,
      deadline: started + origin[1],
      isLast: false,
      body: undefined,
      kept: null,
      cookie: undefined,
    });
  }
  let kept = null;
  if ((decision & (NEW | RETRYABLE)) === (NEW | RETRYABLE)) kept = repeatable(request);
  const cookie = decision & MINTED ? core.minted() : undefined;
  // A body has to be copied before it is sent; without one there is time while the backend works.
  /** @type {CompareResponse | null | undefined} */
  let compare =
    decision & COMPARE && request.body !== null
      ? claimComparison({ request, env, context, url, table, decision })
      : null;
  return new Promise((resolve) => {
    let timer = setTimeout(() => {
      timer = 0;
      compare?.(undefined);
      resolve(recover({ env, context, url, table, decision, started, kept, cookie }, true));
    }, origin[1]);
    const response = fetch(origin[0] + pathAndQuery(url), request);
    if (decision & COMPARE && request.body === null) {
      compare = claimComparison({ request, env, context, url, table, decision });
    }
    response.then(
      (response) => {
        if (timer === 0) return;
        clearTimeout(timer);
        reportIfDue(env, context, count(table, decision, response.status, started));
        compare?.(response);
        resolve(table.headers || cookie ? decorate(table, response, decision, cookie) : response);
      },
      () => {
        if (timer === 0) return;
        clearTimeout(timer);
        compare?.(undefined);
        resolve(recover({ env, context, url, table, decision, started, kept, cookie }, false));
      },
    );
  });
}

/**
 * Forwards a request that goes through an adapter, or whose response may hide an error. The client
 * waits for the adapter only.
 *
 * @param {ForwardedRequest} forwarded
 * @returns {Promise<Response>}
 */
function forwardInspected(forwarded) {
  const { request, url, origin, decision } = forwarded;
  forwarded.cookie = decision & MINTED ? core.minted() : undefined;
  const compare = decision & COMPARE ? claimComparison(forwarded) : undefined;
  const mayFallBack = (decision & (NEW | RETRYABLE)) === (NEW | RETRYABLE);
  const isRead = request.method === "GET" || request.method === "HEAD";
  forwarded.kept = !mayFallBack ? null : isRead ? request : repeatable(request);
  forwarded.isLast = forwarded.kept === null;
  return new Promise((resolve) => {
    /** @param {unknown} error */
    const fail = (error) => {
      compare?.(undefined);
      resolve(recover(forwarded, error === LATE));
    };
    /** @type {AdapterEnd} */
    const end = (response, status) => {
      // Decided for an adapter that has no route for it after all: only legacy can answer.
      if (!response) return fail(undefined);
      // An adapter's own response may stand in for a backend that did not respond.
      resolve(finish(forwarded, response, status ?? response.status, compare));
    };
    try {
      if (decision & ADAPT) {
        adapt(forwarded, end, fail);
      } else {
        withTimeout(fetch(origin[0] + pathAndQuery(url), request), origin[1]).then(end, fail);
      }
    } catch (error) {
      fail(error);
    }
  });
}

/**
 * Counts a request, claims its response for a comparison, and returns what the client gets.
 *
 * @param {ForwardedRequest} forwarded
 * @param {Response} response
 * @param {number} status the one to count
 * @param {CompareResponse | undefined} compare
 */
function finish(forwarded, response, status, compare) {
  const { env, context, table, route, decision, started, cookie } = forwarded;
  if (table.hides !== null && table.hides[route] && response.ok && response.body !== null) {
    const responded = Date.now();
    context.waitUntil(
      hidesError(response.clone(), route, table.generation).then((isError) => {
        // The time that the inspection took is not the backend's.
        const inspection = Date.now() - responded;
        reportIfDue(env, context, count(table, decision, isError ? 500 : status, started + inspection));
      }),
    );
  } else {
    reportIfDue(env, context, count(table, decision, status, started));
  }
  compare?.(status > TIMEOUT ? response : undefined);
  return table.headers || cookie ? decorate(table, response, decision, cookie) : response;
}

/**
 * Answers a request that its origin refused, or did not begin to answer in time: by legacy if the
 * request can be sent again, otherwise with a problem.
 *
 * @param {FailedRequest} failed
 * @param {boolean} late
 */
async function recover({ env, context, url, table, decision, started, kept, cookie }, late) {
  reportIfDue(env, context, count(table, decision, late ? TIMEOUT : UNREACHABLE, started));
  if (kept !== null) {
    const restarted = Date.now();
    const fallback = (decision & ~(REASON | NEW)) | REASON_FALLBACK;
    const origin = table.origins[table.arms[(fallback & NO_ROUTE) << 1]];
    begin();
    try {
      const response = await withTimeout(fetch(origin[0] + pathAndQuery(url), kept), origin[1]);
      reportIfDue(env, context, count(table, fallback, response.status, restarted));
      return table.headers || cookie ? decorate(table, response, fallback, cookie) : response;
    } catch (error) {
      late = error === LATE;
      reportIfDue(env, context, count(table, fallback, late ? TIMEOUT : UNREACHABLE, restarted));
      decision = fallback;
    }
  }
  return decorate(table, gatewayProblem(late), decision, cookie);
}

/**
 * Forwards a request without a route, or without a snapshot, to the configured legacy origin; if
 * none is configured, to where the zone points without a Worker.
 *
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {number} decision
 * @param {number} started
 * @returns {Promise<Response>}
 */
async function forwardToLegacy(request, env, context, decision, started) {
  const table = currentTable;
  begin();
  reportIfDue(env, context, started);
  let response;
  try {
    const base = env.LEGACY_ORIGIN;
    request = stripHeaders(request, env);
    response = await (base
      ? fetch(base.replace(/\/+$/, "") + pathAndQuery(request.url), request)
      : fetch(request));
    reportIfDue(env, context, count(table, decision, response.status, started));
  } catch {
    reportIfDue(env, context, count(table, decision, UNREACHABLE, started));
    response = gatewayProblem(false);
  }
  return table.headers ? decorate(table, response, decision, undefined) : response;
}

/**
 * Forwards a request that the edge itself failed to decide. It goes to legacy, whatever it was.
 *
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {unknown} error
 */
export function forwardAfterError(request, env, context, error) {
  console.error("legacy answers because the edge failed:", error);
  return forwardToLegacy(request, env, context, NO_ROUTE | REASON_INTERNAL, Date.now());
}
