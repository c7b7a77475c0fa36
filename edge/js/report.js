// Counting outcomes, and reporting them to the control plane.
import { sleep } from "./http.js";
import { currentTable } from "./table.js";
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

// Outcomes counted since the isolate began.
let counted = 0;

// Requests that are under way, by the time at which they began. A request whose end nobody will learn is given up with
// its period.
const PERIOD_MS = 5000;
// The longest time limit of an origin, and what may come on top of it.
const LONGEST_REQUEST_MS = 130000;
/** @type {OpenPeriod[]} */
let periods = [];
let periodEnd = 0;

// The time from which a request has to begin a turn of reporting, and the number of the newest
// turn.
let reportAt = Infinity;
let turn = 0;

// Work behind a request may take 30 seconds, so a turn is handed over to a later request before
// that.
const TURN_MS = 30000;
const HAND_OVER_MS = 12000;
const LONGEST_TURN_MS = 24000;

const MAX_BATCHES_AT_ONCE = 16;

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
  if (started >= periodEnd) {
    periodEnd = started + PERIOD_MS;
    periods.push({ end: periodEnd, open: 0, isGivenUp: false });
  }
  const period = periods[periods.length - 1];
  period.open++;
  const isEvidence = (decision & EVIDENCE) !== 0;
  const userLow = isEvidence ? core.evidence_low() : 0;
  const userHigh = isEvidence ? core.evidence_high() : 0;
  return { table, decision, begun: started, started, period, userLow, userHigh };
}

/**
 * Counts the outcome of a request. Returns the time, for `reportIfDue`.
 *
 * @param {OpenRequest} open
 * @param {number} status of the response, or UNREACHABLE or TIMEOUT
 * @param {number} flags UNINSPECTED or none
 */
export function count({ table, decision, begun, started, period, userLow, userHigh }, status, flags = 0) {
  const now = Date.now();
  if (waiting === outcomes.length) drain();
  counted++;
  period.open--;
  if (period.isGivenUp) return now;
  outcomes[waiting] = (decision & KIND) | (table.generation << GENERATION_SHIFT);
  outcomes[waiting + 1] = (status << STATUS_SHIFT) | Math.min(Math.max(now - started, 0), MAX_MS);
  outcomes[waiting + 2] = userLow;
  outcomes[waiting + 3] = userHigh;
  outcomes[waiting + 4] = begun / 1000;
  outcomes[waiting + 5] = flags | (decision & MINTED ? MINTED_USER : 0) | (status === CLIENT_GONE ? GAVE_UP : 0);
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
  if (reportAt === Infinity) reportAt = 0;
}

/**
 * Begins a turn of reporting behind the request, if one is due.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {number} now
 */
export function reportIfDue(env, context, now) {
  if (now < reportAt) return;
  reportAt = now + TURN_MS;
  context.waitUntil(takeTurn(env, ++turn, currentTable.report_interval, now));
}

/**
 * Reports until there is nothing left to report, a newer turn takes over, or the time is up.
 *
 * @param {Env} env
 * @param {number} own the number of this turn
 * @param {number} interval milliseconds between two reports
 * @param {number} since
 */
async function takeTurn(env, own, interval, since) {
  try {
    if (core.must_announce(interval)) await ask(env);
    let before = -1;
    while (turn === own) {
      await sleep(interval);
      if (turn !== own) return;
      const now = Date.now();
      drain();
      // At rest: no request is under way, and none was counted since the last look.
      const isAtRest = openRequests(now) === 0 && before === counted;
      before = counted;
      const isStored = await flush(env, isAtRest);
      if (isAtRest && isStored && before === counted && openRequests(Date.now()) === 0) break;
      if (now - since > LONGEST_TURN_MS) break;
      reportAt = now - since > HAND_OVER_MS ? 0 : now + TURN_MS;
    }
  } catch (error) {
    console.error("reporting broke off:", error);
  } finally {
    if (turn === own) reportAt = 0;
  }
}

/**
 * Sends the batches that are waiting. Returns true if all of them are stored.
 *
 * @param {Env} env
 * @param {boolean} isAtRest
 */
async function flush(env, isAtRest) {
  const open = openRequests(Date.now());
  for (let batches = 0; batches < MAX_BATCHES_AT_ONCE; batches++) {
    const batch = core.next_batch(isAtRest, open);
    if (batch === undefined) return true;
    const sequence = core.sequence();
    const { status, body } = await post(env, batch);
    if (!core.finish_batch(sequence, status, body)) return false;
  }
  return false;
}

// The time until which requests wait for the question of another one.
let askedUntil = 0;

/**
 * Sends a question to the control plane, or waits while another request does.
 *
 * @param {Env} env
 */
export async function ask(env) {
  const question = core.question();
  if (question === undefined) {
    while (Date.now() < askedUntil) await sleep(2);
    return;
  }
  askedUntil = Date.now() + QUESTION_MS;
  const { status, body } = await post(env, question, QUESTION_MS);
  core.answered(status, body);
  askedUntil = 0;
}

// Milliseconds for which a question is waited for.
const QUESTION_MS = 1000;

const encoder = new TextEncoder();

/** @type {{ secret: string, key: CryptoKey } | undefined} */
let signing;

/**
 * Posts a signed batch. The status is 0 if there was no response.
 *
 * @param {Env} env
 * @param {string} batch
 * @param {number} patience milliseconds
 */
async function post(env, batch, patience = 4000) {
  try {
    const secret = env.CUTOVER_INGEST_SECRET ?? "";
    if (signing?.secret !== secret) {
      const algorithm = { name: "HMAC", hash: "SHA-256" };
      const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
      signing = { secret, key };
    }
    const timestamp = String(Date.now());
    const mac = await crypto.subtle.sign("HMAC", signing.key, encoder.encode(timestamp + "." + batch));
    const digits = Array.from(new Uint8Array(mac), (byte) => byte.toString(16).padStart(2, "0"));
    // A trace of its own for every report, so that it is found in the function's log.
    const trace = crypto.randomUUID().replace(/-/g, "");
    const response = await fetch(env.INGEST_URL.replace(/\/+$/, "") + "/v1/batches", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        traceparent: `00-${trace}-${trace.slice(16)}-01`,
        "x-cutover-timestamp": timestamp,
        "x-cutover-signature": "v1=" + digits.join(""),
      },
      body: batch,
      signal: AbortSignal.timeout(patience),
    });
    return { status: response.status, body: await response.text() };
  } catch {
    return { status: 0, body: "" };
  }
}
