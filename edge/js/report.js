// Counting outcomes, and reporting them to the control plane.
import { noteServed } from "./failover.js";
import { sleep } from "./http.js";
import { gzip, post, urlOf } from "./post.js";
import { ask } from "./question.js";
import { core } from "./wasm.js";
import {
  CLIENT_GONE,
  EVIDENCE,
  GAVE_UP,
  GENERATION_SHIFT,
  KIND,
  MAX_MS,
  MINTED,
  MINTED_USER,
  OUTCOME_LENGTH,
  STATUS_SHIFT,
} from "./wire.js";

// Outcomes wait here and cross into WebAssembly in one call.
const outcomes = new Uint32Array(256 * OUTCOME_LENGTH);
let waiting = 0;

// Requests that are under way, by the time at which they began. A request whose end nobody will learn is given up with
// its period.
const PERIOD_MS = 5000;
// The longest time limit of an origin, and what may come on top of it.
export const LONGEST_REQUEST_MS = 130000;
/** @type {OpenPeriod[]} */
let periods = [];
let periodEnd = 0;

// The time at which the newest request was decided, or answered with evaluations.
let lastRequest = 0;

// The time from which a request has to begin a turn of reporting, and the number of the newest
// turn.
let turnAt = Infinity;
let turn = 0;

// Work behind a request may take 30 seconds, so a turn is over before that. Later requests take it over again and again,
// so that the last one of all has nearly the whole time.
const TURN_MS = 24000;
const HAND_OVER_MS = 2000;

const MAX_BATCHES_AT_ONCE = 16;

const BATCH_PATIENCE_MS = 4000;

// The type is that of bytes: the functions' platform hands over a body as text if its type is that of a text, whatever its
// encoding.
const PACKED_TYPE = { "content-type": "application/octet-stream", "content-encoding": "gzip" };

/**
 * The batch under way, and its bytes, which are the same each time that it is sent.
 *
 * @type {{ batch: string, bytes: Uint8Array<ArrayBuffer> } | undefined}
 */
let packed;

/**
 * Notes a request that is sent to a backend. Each is followed by one `count`. Called in the turn of the decision if that
 * has EVIDENCE.
 *
 * @param {Table} table the table that the request was decided with
 * @param {number} decision
 * @param {number} started
 * @returns {OpenRequest}
 */
export function begin(table, decision, started) {
  lastRequest = started;
  if (started >= periodEnd) {
    periodEnd = started + PERIOD_MS;
    periods.push({ end: periodEnd, open: 0, isGivenUp: false });
  }
  const period = periods[periods.length - 1];
  period.open++;
  const isEvidence = (decision & EVIDENCE) !== 0;
  const userLow = isEvidence ? core.evidence_low() : 0;
  const userHigh = isEvidence ? core.evidence_high() : 0;
  const userTicket = isEvidence ? core.experiment_ticket() : 0;
  return { table, decision, begun: started, started, period, userLow, userHigh, userTicket };
}

/**
 * Counts the outcome of a request. Returns the time, for `reportIfDue`.
 *
 * @param {OpenRequest} open
 * @param {number} status of the response, or UNREACHABLE or TIMEOUT
 * @param {number} flags UNINSPECTED, FOLLOWED or none
 */
export function count(open, status, flags = 0) {
  const { table, decision, begun, started, period, userLow, userHigh, userTicket } = open;
  const now = Date.now();
  if (waiting === outcomes.length) drain();
  period.open--;
  if (period.isGivenUp) return now;
  outcomes[waiting] = (decision & KIND) | (table.generation << GENERATION_SHIFT);
  outcomes[waiting + 1] = (status << STATUS_SHIFT) | Math.min(Math.max(now - started, 0), MAX_MS);
  outcomes[waiting + 2] = userLow;
  outcomes[waiting + 3] = userHigh;
  outcomes[waiting + 4] = begun / 1000;
  outcomes[waiting + 5] = flags | (decision & MINTED ? MINTED_USER : 0) | (status === CLIENT_GONE ? GAVE_UP : 0);
  outcomes[waiting + 6] = userTicket;
  waiting += OUTCOME_LENGTH;
  return now;
}

/**
 * Returns the number of requests under way. Gives up those that must have ended long ago.
 *
 * @param {number} now
 */
function openRequests(now) {
  let open = 0;
  let unknown = 0;
  periods = periods.filter((period) => {
    const isOver = now - period.end > LONGEST_REQUEST_MS;
    period.isGivenUp = isOver;
    if (isOver) unknown += period.open;
    else open += period.open;
    return !isOver && (period.open > 0 || period.end >= periodEnd);
  });
  if (unknown > 0) core.lose(unknown);
  return open;
}

/** Hands the waiting outcomes over to the core. */
export function drain() {
  if (waiting === 0) return;
  const length = waiting;
  waiting = 0;
  try {
    core.record(outcomes.subarray(0, length));
  } catch (error) {
    console.error("outcomes could not be counted:", error);
  }
}

/** Lets the next request begin a turn of reporting, unless there was one before. */
export function enableReports() {
  if (turnAt === Infinity) turnAt = 0;
}

/**
 * Notes a request that the Worker answers itself and that no count has: its isolate asks the control plane all the same.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {number} now
 */
export function noteUncounted(env, context, now) {
  lastRequest = now;
  reportIfDue(env, context, now);
}

/**
 * Begins a turn of reporting behind the request, unless a newer request has begun one a moment ago.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {number} now
 */
export function reportIfDue(env, context, now) {
  if (now < turnAt) return;
  turnAt = now + HAND_OVER_MS;
  context.waitUntil(takeTurn(env, context, ++turn, now));
}

/**
 * Asks and reports when the core says so, until a newer turn takes over or the time is up. The time of a turn is up some
 * seconds before the platform ends its work, with a last report: no other request may come.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {number} own the number of this turn
 * @param {number} since
 */
async function takeTurn(env, context, own, since) {
  try {
    while (turn === own) {
      const isLast = Date.now() - since >= TURN_MS;
      drain();
      // Neither waits for the other.
      if (core.question_is_due(lastRequest)) inBackground(context, ask(env, context));
      if (core.report_is_due() || isLast) inBackground(context, flush(env, context, isLast));
      if (isLast) break;
      await sleep(core.pause_ms(lastRequest));
    }
  } catch (error) {
    console.error("reporting broke off:", error);
  } finally {
    if (turn === own) turnAt = 0;
  }
}

/**
 * @param {ExecutionContext} context
 * @param {Promise<void>} work
 */
function inBackground(context, work) {
  context.waitUntil(work.catch((error) => console.error("an exchange with the control plane broke off:", error)));
}

/**
 * Sends the batches that are waiting, one after the other.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {boolean} isLast
 */
async function flush(env, context, isLast) {
  const url = urlOf(env.INGEST_URL, "/v1/batches");
  for (let batches = 0; batches < MAX_BATCHES_AT_ONCE; batches++) {
    const open = openRequests(Date.now());
    const batch = core.next_batch(isLast && open === 0, open);
    if (batch === undefined) return;
    const sequence = core.sequence();
    if (packed?.batch !== batch) packed = { batch, bytes: await gzip(batch) };
    const { status, body } = await post(env, url, packed.bytes, PACKED_TYPE, BATCH_PATIENCE_MS);
    noteServed(body);
    const mayGoOn = core.finish_batch(sequence, status, body);
    core.refresh(env, context);
    if (!mayGoOn) return;
  }
}
