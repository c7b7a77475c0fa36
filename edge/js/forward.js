// Sending a decided request to its backend, and the response back to the client. Whatever fails between, the client gets
// a response: nothing here throws or rejects once a request is noted as begun.
import { adapt } from "./adapter.js";
import { NO_BYTES } from "./body.js";
import { CACHE_GRACE, enterCache, noteSilentCache, sendCached } from "./cache.js";
import { claimComparison } from "./compare.js";
import {
  checkAvoided,
  hasFailover,
  hasSecondChance,
  isWatched,
  noteStatus,
  noteUnknown,
  positionOf,
  RETRY_DELAY,
  secondPosition,
  substituteFor,
} from "./failover.js";
import { abandoned, check, unchecked } from "./guard.js";
import { holdUntil } from "./held.js";
import {
  CLIENT_LEFT,
  decorate,
  eventsIn,
  gatewayProblem,
  LATE,
  pathAndQuery,
  repeatable,
  requestFor,
  sendWithin,
  sleep,
  withoutEvents,
  withTimeout,
} from "./http.js";
import { hidesError } from "./inspect.js";
import { limitedResponse, toldLimits } from "./limits.js";
import { send } from "./origin.js";
import { lastPacked } from "./pack.js";
import { begin, count, reportIfDue } from "./report.js";
import { replaceBrokenCore } from "./table.js";
import { reasonFor } from "./unfit.js";
import { core, testGroups } from "./wasm.js";
import {
  ADAPT,
  CLIENT_GONE,
  COMPARE,
  EVIDENCE,
  FALLBACK_NEVER,
  FALLBACK_UNAVAILABLE,
  FOLLOWED,
  MINTED,
  NEW,
  NO_ROUTE,
  PROBE,
  REASON,
  REASON_FALLBACK,
  REASON_GUARDED,
  REASON_INTERNAL,
  REASON_LIMITED,
  RETRYABLE,
  TIMEOUT,
  UNDECIDED,
  UNINSPECTED,
  UNREACHABLE,
} from "./wire.js";

// The beginning of the Worker's own paths.
const OWN_PATHS = "/_cutover/";

// The status by which a request is counted that a rate limit refuses.
const TOO_MANY = 429;

// The time limit of requests that no route describes, in milliseconds. The platform ends them soon after.
const UNROUTED_MS = 100000;

/**
 * Forwards a request. Nothing but the time limit is between the client and the backend, unless the
 * decision says so.
 *
 * @param {ClientRequest} request
 * @param {Headers} headers of the request, because every look at `request.headers` is a call into the runtime
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} url of the request, because every look at `request.url` builds another string
 * @param {Table} table the one that the request was decided with
 * @param {number} decision
 * @param {number} started
 * @returns {Response | Promise<Response>}
 */
// eslint-disable-next-line max-params -- an object would be one more allocation for every request
export function forward(request, headers, env, context, url, table, decision, started) {
  const route = decision & NO_ROUTE;
  const position = positionOf(table, decision);
  const origin = table.origins[position];
  if (origin === undefined) {
    // The core says so itself if it has broken before.
    if ((decision & REASON) === REASON_INTERNAL) replaceBrokenCore();
    return forwardToLegacy(request, env, context, url, table, decision, undefined);
  }
  const told = table.limits !== null && table.limits[route] ? toldLimits() : undefined;
  if ((decision & REASON) === REASON_LIMITED) return refuse(env, context, table, decision, started, told);
  const groups = table.groups === null ? undefined : testGroups(table.groups);
  const sent = requestFor(request, headers, env, groups);
  const cookie = decision & MINTED ? core.minted() : undefined;
  /** @type {ForwardedRequest} */
  const forwarded = {
    packed: table.groups === null ? undefined : lastPacked,
    request: sent,
    env,
    context,
    url,
    table,
    route,
    position,
    origin,
    decision,
    isRetry: false,
    isFromCache: false,
    first: undefined,
    cookie,
    groups,
    open: begin(table, decision, started),
    limit: origin[1],
    kept: sent,
    compare: undefined,
    isLast: false,
    body: undefined,
    events: undefined,
    told,
    adapted: decision & ADAPT ? { headers, unfit: undefined, reason: undefined, isOwn: false } : undefined,
  };
  reportIfDue(env, context, started);
  const isGuarded = table.guards !== null && table.guards[route];
  const answered = isGuarded ? forwardGuarded(forwarded) : forwardOn(forwarded);
  if (table.failover !== null) checkAvoided(table, decision, url, env, context);
  // A client may leave before its backend responds. What the backend does is evidence all the same.
  context.waitUntil(answered);
  return answered;
}

/**
 * Answers a request that a rate limit refuses.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {Table} table
 * @param {number} decision
 * @param {number} started
 * @param {ToldLimits | undefined} told
 */
// eslint-disable-next-line max-params -- as `forward`
function refuse(env, context, table, decision, started, told) {
  const open = begin(table, decision, started);
  // Whatever the client gets: no backend got the request, so it is no failure of one.
  reportIfDue(env, context, count(open, TOO_MANY));
  return decorate(limitedResponse(told), decision, { table, told });
}

/**
 * Forwards a request that no guard refuses.
 *
 * @param {ForwardedRequest} forwarded
 */
function forwardOn(forwarded) {
  const { request, table, route, decision } = forwarded;
  const isPlain =
    (decision & ADAPT) === 0 && request.body === null && (table.hides === null || !table.hides[route]);
  return isPlain ? forwardPlain(forwarded) : forwardInspected(forwarded);
}

/**
 * Forwards a request if the guard of its route allows it. A request that cannot be checked is not forwarded.
 *
 * @param {ForwardedRequest} forwarded
 * @returns {Promise<Response>}
 */
async function forwardGuarded(forwarded) {
  const { env, context, table, decision, open } = forwarded;
  /** @type {Response | number} */
  let checked;
  try {
    checked = await check(forwarded);
  } catch (error) {
    if (error === CLIENT_LEFT) {
      checked = abandoned();
    } else {
      console.error("a request is refused because the edge failed to check it:", error);
      if (error instanceof WebAssembly.RuntimeError) replaceBrokenCore();
      checked = unchecked();
    }
  }
  if (typeof checked === "number") return holdUntil(checked, forwardOn(forwarded));
  // No backend got it: for this reason the core counts it as evidence of nothing.
  const refused = (decision & ~(REASON | NEW | EVIDENCE)) | REASON_GUARDED;
  open.decision = refused;
  reportIfDue(env, context, count(open, checked.status));
  return decorate(checked, refused, { table, told: forwarded.told });
}

/**
 * Forwards a request without a body, whose response nobody looks into.
 *
 * @param {ForwardedRequest} forwarded
 * @returns {Promise<Response>}
 */
function forwardPlain(forwarded) {
  // On the way through a cache the backend has its time limit there.
  const isCached = forwarded.table.caches !== null && enterCache(forwarded);
  return new Promise((resolve) => {
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
      if (isCached) noteSilentCache(forwarded);
      resolve(recover(forwarded, LATE, undefined));
    }, isCached ? forwarded.limit + CACHE_GRACE : forwarded.limit);
    /** @param {unknown} error */
    const fail = (error) => {
      if (isOver) return;
      clearTimeout(timer);
      resolve(recover(forwarded, error, undefined));
    };
    try {
      const { origin, url, request, decision, env } = forwarded;
      const response = isCached ? sendCached(forwarded) : send(origin, url, request, env);
      // Without a body to copy there is time while the backend works.
      if (decision & COMPARE) forwarded.compare = claimComparison(forwarded);
      response.then((response) => {
        if (isOver) return;
        clearTimeout(timer);
        resolve(finish(forwarded, response, response.status));
      }, fail);
    } catch (error) {
      fail(error);
    }
  });
}

/**
 * Forwards a request with a body, one that goes through an adapter, or one whose response may hide an error. The client
 * waits for the adapter only.
 *
 * @param {ForwardedRequest} forwarded
 * @returns {Promise<Response>}
 */
function forwardInspected(forwarded) {
  return new Promise((resolve) => {
    /** @param {unknown} error */
    const fail = (error) => resolve(recover(forwarded, error, undefined));
    /** @type {AdapterEnd} */
    const end = (response, status, unfit, isOwn) => {
      // Decided for an adapter that has no route for it after all: only legacy can answer.
      if (!response) return fail(undefined);
      if (adapted !== undefined) {
        adapted.isOwn = isOwn === true;
        if (unfit !== undefined) {
          adapted.unfit = unfit;
          adapted.reason = reasonFor(unfit, adapted.headers, env);
        }
      }
      // An adapter's own response may stand in for a backend that did not respond, or not as it should.
      resolve(finish(forwarded, response, status ?? response.status));
    };
    const { request, env, url, origin, decision, limit, open, adapted } = forwarded;
    try {
      if (decision & COMPARE) forwarded.compare = claimComparison(forwarded);
      const mayRepeat = mayFallBack(forwarded, undefined) || mayRetry(forwarded, undefined);
      if (mayRepeat && !isRead(request)) forwarded.kept = repeatable(request);
      forwarded.isLast = !mayRepeat || forwarded.kept === null;
      if (decision & ADAPT) {
        adapt(forwarded, end, fail);
      } else {
        sendWithin((sent) => send(origin, url, sent, env), request, limit, open).then(end, fail);
      }
    } catch (error) {
      fail(error);
    }
  });
}

/** @param {Request} request */
function isRead(request) {
  return request.method === "GET" || request.method === "HEAD";
}

/**
 * Returns true if a request may be sent a second time after a failure. A request that changes something is sent a
 * second time only if there was no connection, and never past an adapter, which may have made it into something that
 * cannot be repeated.
 *
 * @param {ForwardedRequest} forwarded
 * @param {unknown} failure LATE, the backend's own response, or another error
 */
function isRepeatable({ decision, request }, failure) {
  if ((decision & RETRYABLE) === 0 || failure === CLIENT_LEFT) return false;
  return isRead(request) || ((decision & ADAPT) === 0 && !(failure instanceof Response) && failure !== LATE);
}

/**
 * Returns true if legacy may serve a request that the new backend failed to serve.
 *
 * @param {ForwardedRequest} forwarded
 * @param {unknown} failure as for `isRepeatable`
 */
function mayFallBack(forwarded, failure) {
  const { table, route, decision } = forwarded;
  const policy = table.fallback === null ? FALLBACK_UNAVAILABLE : table.fallback[route];
  if ((decision & NEW) === 0 || policy === FALLBACK_NEVER) return false;
  const isCovered = policy === FALLBACK_UNAVAILABLE || !(failure instanceof Response);
  return isCovered && isRepeatable(forwarded, failure);
}

/**
 * Returns true if an origin of the same arm may serve a request that one failed to serve.
 *
 * @param {ForwardedRequest} forwarded
 * @param {unknown} failure as for `isRepeatable`
 */
function mayRetry(forwarded, failure) {
  const { table, position, isRetry } = forwarded;
  return !isRetry && hasSecondChance(table, position) && isRepeatable(forwarded, failure);
}

/**
 * Counts a request, claims its response for a comparison, and returns what the client gets.
 *
 * @param {ForwardedRequest} forwarded
 * @param {Response} response
 * @param {number} status the one to count
 * @returns {Response | Promise<Response>}
 */
function finish(forwarded, response, status) {
  const { env, context, table, route, position, decision, open, compare, adapted, first } = forwarded;
  const unfit = adapted?.unfit;
  try {
    // Of an unfit response the file of the adapter says which status the client gets.
    const given = unfit === undefined ? status : response.status;
    if (given >= 502 && given <= 504 && (mayRetry(forwarded, response) || mayFallBack(forwarded, response))) {
      return recover(forwarded, undefined, response);
    }
    // What an adapter or a cache answers without the backend says nothing of that.
    const { isFromCache } = forwarded;
    if (adapted?.isOwn === true || isFromCache) noteUnknown(table, position, decision);
    else if (isWatched(table, position, decision)) noteStatus(table, position, decision, status);
    first?.body?.cancel().catch(() => {});
    if (table.hides !== null && table.hides[route] && response.ok && response.body !== null) {
      const responded = Date.now();
      context.waitUntil(
        hidesError(response, route, table.generation).then((isError) => {
          // The time that the inspection took is not the backend's.
          open.started += Date.now() - responded;
          const flags = isError === undefined ? UNINSPECTED : 0;
          reportIfDue(env, context, count(open, isError ? 500 : status, flags));
        }),
      );
    } else {
      reportIfDue(env, context, count(open, status));
    }
    compare?.(status > TIMEOUT ? response : undefined, unfit);
    if (table.groups !== null && !isFromCache) {
      // Of an adapted request the backend's own responses report them, which the client does not get.
      noteEvents(forwarded, decision & ADAPT ? forwarded.events : eventsIn(response.headers));
    }
    return decorate(response, decision, forwarded);
  } catch (error) {
    console.error("a response goes out as it came because the edge failed:", error);
    return withoutEvents(response);
  }
}

/**
 * Notes the events of a backend's response for the user that the request was decided for.
 *
 * @param {ForwardedRequest} forwarded
 * @param {string | null | undefined} events value of the header
 */
function noteEvents({ packed, table, cookie }, events) {
  if (packed === undefined || !events) return;
  try {
    if (core.note_header(packed, table.generation, cookie, events)) {
      console.warn(JSON.stringify({ event: "event_header_malformed", header: events.slice(0, 200) }));
    }
  } catch (error) {
    console.error("the events of a response could not be noted:", error);
  }
}

/**
 * Tells the core of a failure, and returns the request as another origin of its arm gets it, or the same one again;
 * undefined if none does. Does not throw.
 *
 * @param {ForwardedRequest} forwarded
 * @param {unknown} error
 * @param {Response | undefined} unavailable
 * @returns {ForwardedRequest | undefined}
 */
function secondAttempt(forwarded, error, unavailable) {
  const { request, table, position, decision, open, kept, limit, adapted } = forwarded;
  try {
    if (error === CLIENT_LEFT || forwarded.isFromCache) noteUnknown(table, position, decision);
    else if (isWatched(table, position, decision)) {
      noteStatus(table, position, decision, unavailable?.status ?? statusOf(error));
    }
    const failure = unavailable ?? error;
    // Another backend would not fit the adapter either.
    if (failure === undefined || adapted?.unfit !== undefined || !mayRetry(forwarded, failure)) return undefined;
    const again = isRead(request) ? request : kept;
    const second = again === null ? -1 : secondPosition(table, position, error);
    if (again === null || second < 0) return undefined;
    const origin = table.origins[second];
    const left = second === position ? limit - (Date.now() - open.started) : origin[1];
    if (second === position && left <= RETRY_DELAY) return undefined;
    return {
      ...forwarded,
      request: again,
      position: second,
      origin,
      limit: left,
      decision: decision & ~(PROBE | COMPARE),
      isRetry: true,
      isFromCache: false,
      first: unavailable,
      body: decision & ADAPT ? NO_BYTES : undefined,
      events: undefined,
      adapted: adapted && { ...adapted, unfit: undefined, reason: undefined, isOwn: false },
    };
  } catch (error) {
    console.error("a request is not sent again because the edge failed:", error);
    return undefined;
  }
}

/**
 * Answers a request that its backend did not serve, if the request can be sent again: by another origin of its arm, or
 * by legacy. Otherwise with a problem. Only the last attempt of an arm is counted: that is what the client gets of it.
 *
 * @param {ForwardedRequest} forwarded
 * @param {unknown} error
 * @param {Response | undefined} unavailable the backend's own response, which says that it cannot serve the request
 * @returns {Promise<Response>}
 */
async function recover(forwarded, error, unavailable) {
  const { request, env, context, url, table, route, decision, open, kept, compare, adapted, first } = forwarded;
  const unfit = adapted?.unfit;
  const second = secondAttempt(forwarded, error, unavailable);
  if (second !== undefined) {
    if (second.position === forwarded.position) await sleep(Math.random() * RETRY_DELAY);
    return forwardOn(second);
  }
  try {
    const status = unavailable !== undefined ? unavailable.status : statusOf(error);
    const again = isRead(request) ? request : kept;
    const fallsBack = again !== null && mayFallBack(forwarded, unavailable ?? error);
    reportIfDue(env, context, count(open, status, fallsBack ? FOLLOWED : 0));
    compare?.(unfit === undefined ? undefined : unavailable, unfit);
    if (fallsBack) {
      const legacy = (decision & ~(REASON | NEW | EVIDENCE)) | REASON_FALLBACK;
      const position = substituteFor(table, table.arms[route << 1]);
      const origin = table.origins[position];
      const fallback = begin(table, legacy, Date.now());
      // The response is the user's, whoever gave it. The core counts no more of a fallback.
      fallback.userTicket = open.userTicket;
      try {
        const response = await withTimeout(send(origin, url, again, env), origin[1]);
        reportIfDue(env, context, count(fallback, response.status));
        if (hasFailover(table, position)) noteStatus(table, position, 0, response.status);
        unavailable?.body?.cancel().catch(() => {});
        first?.body?.cancel().catch(() => {});
        if (table.groups !== null) noteEvents(forwarded, eventsIn(response.headers));
        return decorate(response, legacy, forwarded);
      } catch (error) {
        reportIfDue(env, context, count(fallback, statusOf(error)));
        if (hasFailover(table, position)) noteStatus(table, position, 0, statusOf(error));
        if (unavailable === undefined && first === undefined) {
          return decorate(gatewayProblem(error === LATE), legacy, forwarded);
        }
      }
    }
  } catch (error) {
    console.error("a request is answered with a problem because the edge failed:", error);
  }
  return decorate(unavailable ?? first ?? gatewayProblem(error === LATE), decision, forwarded);
}

/** @param {unknown} error */
function statusOf(error) {
  return error === LATE ? TIMEOUT : error === CLIENT_LEFT ? CLIENT_GONE : UNREACHABLE;
}

/**
 * Forwards a request that has no route, or no snapshot to be decided by, or that the edge failed to decide, to a legacy
 * origin: the given one, or that of LEGACY_ROUTES, or LEGACY_ORIGIN, or else where the zone points without a Worker.
 *
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} url
 * @param {Table} table
 * @param {number} decision
 * @param {Origin | undefined} origin
 * @returns {Promise<Response>}
 */
// eslint-disable-next-line max-params -- as `forward`
async function forwardToLegacy(request, env, context, url, table, decision, origin) {
  const open = begin(table, decision, Date.now());
  try {
    reportIfDue(env, context, open.started);
    // The Worker's own paths are no backend's, nor is the token that comes with them.
    if (pathAndQuery(url).startsWith(OWN_PATHS)) throw new Error("the Worker cannot answer its own path");
    const to = origin ?? legacyOf(url, env);
    /** @param {Request} sent */
    const forwardTo = (sent) => (to === undefined ? fetch(url, sent) : send(to, url, sent, env));
    const answered = sendWithin(forwardTo, requestFor(request, request.headers, env), to?.[1] ?? UNROUTED_MS, open);
    context.waitUntil(answered.catch(() => {}));
    const response = await answered;
    reportIfDue(env, context, count(open, response.status));
    return decorate(response, decision, { table });
  } catch (error) {
    reportIfDue(env, context, count(open, statusOf(error)));
    return decorate(gatewayProblem(error === LATE), decision, { table });
  }
}

/**
 * Forwards a request that the edge itself failed to decide. It goes to the legacy origin of its route, whatever it was.
 *
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} url
 * @param {Table} table
 * @param {number} decision
 * @param {unknown} error
 */
// eslint-disable-next-line max-params -- as `forward`
export function forwardAfterError(request, env, context, url, table, decision, error) {
  console.error("legacy answers because the edge failed:", error);
  const route = decision & UNDECIDED ? NO_ROUTE : decision & NO_ROUTE;
  let position = table.arms[route << 1];
  if (position === undefined) {
    try {
      position = core.legacy_origin(request.method + "\n" + url, table.generation);
    } catch (error) {
      console.error("the route of the request is not known:", error);
    }
  }
  const failed = NO_ROUTE | REASON_INTERNAL;
  return forwardToLegacy(request, env, context, url, table, failed, table.origins[position]);
}

/**
 * The legacy origins of LEGACY_ROUTES by the beginnings of paths, the longest first.
 *
 * @type {[prefix: string, origin: string][] | undefined}
 */
let legacyRoutes;

/**
 * Returns the legacy origin of a request for which there is no table.
 *
 * @param {string} url
 * @param {Env} env
 * @returns {Origin | undefined}
 */
function legacyOf(url, env) {
  legacyRoutes ??= (env.LEGACY_ROUTES ?? "")
    .split(/\s+/)
    .map((route) => route.split("="))
    .filter(([prefix, origin]) => prefix.startsWith("/") && origin !== undefined)
    .map(([prefix, ...origin]) => /** @type {[string, string]} */ ([prefix, origin.join("=")]))
    .sort(([one], [other]) => other.length - one.length);
  const path = pathAndQuery(url);
  const found = legacyRoutes.find(([prefix]) => path.startsWith(prefix))?.[1] || env.LEGACY_ORIGIN;
  return found ? [found.replace(/\/+$/, ""), UNROUTED_MS, null] : undefined;
}
