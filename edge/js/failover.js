// Origins that fail: what the core is told of them, and which one gets a request that another one did not serve. The
// core decides both, see core/src/decision/failover.rs.
import { LATE, withTimeout } from "./http.js";
import { send } from "./origin.js";
import { core } from "./wasm.js";
import {
  ARM_SHIFT,
  NEW,
  NO_ROUTE,
  PROBE,
  REASON,
  REASON_DIVERTED,
  RESULT_ANSWERED,
  RESULT_FAILED,
  RESULT_MUTE,
  RESULT_PROBED,
  RESULT_UNKNOWN,
  SECONDARY,
  TIMEOUT,
} from "./wire.js";

// Milliseconds for which a request waits at most before it is sent to the same origin again, and that must remain for
// it.
export const RETRY_DELAY = 50;

// Milliseconds for which a success speaks against the word of others.
const SERVED_MS = 10000;

/**
 * The table by which the last request ended.
 *
 * @type {Table | undefined}
 */
let lastTable;

/**
 * Returns the position of the origin that gets a decided request.
 *
 * @param {Table} table
 * @param {number} decision
 */
export function positionOf(table, decision) {
  const position = table.arms[((decision & NO_ROUTE) << 1) | ((decision >> ARM_SHIFT) & 1)];
  return decision & SECONDARY ? /** @type {FailoverOptions[]} */ (table.failover)[position][0] : position;
}

/**
 * Returns true if the core is told how a request to an origin ended.
 *
 * @param {Table} table
 * @param {number} position
 * @param {number} decision
 */
export function isWatched(table, position, decision) {
  return (decision & (NEW | PROBE)) !== 0 || hasFailover(table, position);
}

/**
 * Returns true if an origin has help if it fails, or is such help itself.
 *
 * @param {Table} table
 * @param {number} position
 */
export function hasFailover(table, position) {
  return table.failover !== null && table.failover[position] !== null;
}

/**
 * Tells the core how a request to an origin ended. Successes of an origin that is well are counted, and told with the
 * next failure. The first response of a table is told in any case: the failures before it were told with another table.
 *
 * @param {Table} table
 * @param {number} position
 * @param {number} result bits
 * @param {number} begun time at which the request began
 */
export function noteResult(table, position, result, begun) {
  const origin = table.origins[position];
  const successes = origin[5] ?? 0;
  const now = Date.now();
  lastTable = table;
  if ((result & ~RESULT_PROBED) === RESULT_ANSWERED) origin[6] = now;
  if (result === RESULT_ANSWERED && origin[4] === false) {
    origin[5] = successes + 1;
    return;
  }
  origin[5] = 0;
  origin[4] = !core.note_result(position, table.generation, result, successes, Math.max(now - begun, 0));
}

/**
 * Tells the core which origins answered lately, if an answer of the control plane has the word of others about origins.
 *
 * @param {string} body of the answer
 */
export function noteServed(body) {
  const table = lastTable;
  if (table === undefined || !body.includes('"health"')) return;
  const since = Date.now() - SERVED_MS;
  table.origins.forEach((origin, position) => {
    if ((origin[6] ?? 0) > since) core.note_served(position, table.generation);
  });
}

/**
 * Tells the core of a response.
 *
 * @param {Table} table
 * @param {number} position
 * @param {number} decision
 * @param {number} status or UNREACHABLE or TIMEOUT
 * @param {number} begun
 */
export function noteStatus(table, position, decision, status, begun) {
  const result = isFailure(status) ? RESULT_FAILED : RESULT_ANSWERED;
  noteResult(table, position, decision & PROBE ? result | RESULT_PROBED : result, begun);
}

/**
 * Tells the core that a request ended without a word of its origin.
 *
 * @param {Table} table
 * @param {number} position
 * @param {number} decision
 */
export function noteUnknown(table, position, decision) {
  if (decision & PROBE) noteResult(table, position, RESULT_UNKNOWN | RESULT_PROBED, Date.now());
}

/**
 * Returns true for a status by which a backend says that it cannot serve anybody, or by which the platform says so: it
 * answers itself for a backend that refuses connections, is too slow, has no name or no certificate.
 *
 * @param {number} status
 */
export function isUnavailable(status) {
  return (status >= 502 && status <= 504) || (status >= 520 && status <= 526) || status === 530;
}

/** @param {number} status or UNREACHABLE or TIMEOUT */
function isFailure(status) {
  return status <= TIMEOUT || isUnavailable(status);
}

/**
 * Returns true if an origin's request may be sent a second time to this or another origin of its arm.
 *
 * @param {Table} table
 * @param {number} position
 */
export function hasSecondChance(table, position) {
  if (table.failover === null) return false;
  const options = table.failover[position];
  return options !== null && (options[0] >= 0 || options[1]);
}

/**
 * Returns the position of the origin that gets a request which one did not serve; -1 if there is none.
 *
 * @param {Table} table
 * @param {number} position of the origin that failed
 * @param {unknown} error
 */
export function secondPosition(table, position, error) {
  return core.second_origin(position, table.generation, error === LATE);
}

/**
 * Returns the position of the origin that serves what another arm could not.
 *
 * @param {Table} table
 * @param {number} position
 */
export function substituteFor(table, position) {
  return hasFailover(table, position) ? core.substitute(position, table.generation) : position;
}

/**
 * Asks the origins that a request was sent around how they are, behind the request, if that is due. Does not throw.
 *
 * @param {Table} table
 * @param {number} decision
 * @param {string} url that the client asked for
 * @param {Env} env
 * @param {ExecutionContext} context
 */
export function checkAvoided(table, decision, url, env, context) {
  // A secondary of the new arm serves diverted users too.
  const isDiverted = (decision & (REASON | NEW)) === REASON_DIVERTED;
  if (!isDiverted && (decision & SECONDARY) === 0) return;
  const arms = (decision & NO_ROUTE) << 1;
  const avoided = decision & SECONDARY ? [table.arms[arms | ((decision >> ARM_SHIFT) & 1)]] : [];
  if (isDiverted) avoided.push(table.arms[arms | 1]);
  try {
    for (const position of avoided) {
      if (!table.failover?.[position]?.[2]) continue;
      const path = core.claim_check(position, table.generation);
      if (path !== undefined) context.waitUntil(check(table, position, new URL(path, url).href, env));
    }
  } catch (error) {
    console.error("an origin could not be asked for its health:", error);
  }
}

/**
 * @param {Table} table
 * @param {number} position
 * @param {string} url
 * @param {Env} env
 */
async function check(table, position, url, env) {
  const origin = table.origins[position];
  const begun = Date.now();
  let result = RESULT_FAILED;
  try {
    const response = await withTimeout(send(origin, url, new Request(url, { redirect: "manual" }), env), origin[1]);
    const { ok, status } = response;
    if (ok) result = RESULT_ANSWERED;
    else if (!isUnavailable(status)) {
      // Not asked again for a minute, so not logged either.
      console.warn(JSON.stringify({ event: "health_path_useless", origin: origin[0], status }));
      result = RESULT_MUTE;
    }
    await response.body?.cancel().catch(() => {});
  } catch (error) {
    console.warn("an origin does not answer for its health:", error);
  }
  try {
    noteResult(table, position, result | RESULT_PROBED, begun);
  } catch (error) {
    console.error("the health of an origin could not be noted:", error);
  }
}
