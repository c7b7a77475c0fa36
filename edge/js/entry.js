// The Worker's entry point. It packs the inputs that the rules read, makes one call into
// WebAssembly, and returns the backend's response. It holds no rule: the origin, the reason and the
// permission to retry come back in one number, see wire.js.
import { asksForArm, forcedArm } from "./force.js";
import { forward, forwardAfterError } from "./forward.js";
import { pathAndQuery, plainUrl, sleep } from "./http.js";
import { identify, needsVerification } from "./identity.js";
import { answersOf, askLimiters } from "./limits.js";
import { evaluate, isEvaluation } from "./ofrep.js";
import { pack } from "./pack.js";
import { isPurge, purge } from "./purge.js";
import { ask } from "./question.js";
import { drain } from "./report.js";
import { currentTable, renewTable, replaceBrokenCore } from "./table.js";
import { isTracked, track } from "./track.js";
import { core } from "./wasm.js";
import {
  ASK,
  BOOT,
  EVALUATIONS,
  LIMIT,
  NO_ROUTE,
  OWN_PATH,
  REASON_INTERNAL,
  REASON_NO_SNAPSHOT,
  REFRESH,
  TABLE,
  UNDECIDED,
} from "./wire.js";

const MAX_PREPARATIONS = 6;

/**
 * Answers a request.
 *
 * @param {ClientRequest} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Response | Promise<Response>}
 */
function handle(request, env, context) {
  const started = Date.now();
  const table = currentTable;
  let url = "";
  let decision = NO_ROUTE | REASON_INTERNAL;
  try {
    url = request.url;
    if (table.evaluates && isEvaluation(url)) {
      const todo = core.before_evaluation(started, table.generation);
      if ((todo & TABLE) === 0) return evaluate(request, env, context, url, todo);
    }
    url = plainUrl(url);
    const { headers } = request;
    if (isUnverified(headers) || asksForArm(headers, env)) {
      return prepareAndForward(request, env, context, url, UNDECIDED | TABLE);
    }
    decision = core.decide(pack(request, headers, url, table), started, table.generation);
    if (decision & UNDECIDED) return prepareAndForward(request, env, context, url, decision);
    if (decision & REFRESH) core.refresh(env, context);
    return forward(request, headers, env, context, url, table, decision, started);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError && replaceBrokenCore()) {
      return prepareAndForward(request, env, context, url, UNDECIDED | BOOT);
    }
    return forwardAfterError(request, env, context, url, table, decision, error);
  }
}

export { Answers } from "./cache.js";
export { CutoverLimiter } from "./limiter.js";

export default { fetch: handle };

/**
 * Fetches whatever a decision lacks, decides again from the beginning, and forwards the request; or
 * answers it, if its path belongs to the Worker itself.
 *
 * @param {ClientRequest} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {string} url
 * @param {number} decision what is lacking
 */
async function prepareAndForward(request, env, context, url, decision) {
  try {
    const { headers } = request;
    const isForced = asksForArm(headers, env) ? await forcedArm(headers, env) : undefined;
    /** @type {LimitedRequest | undefined} */
    let limited;
    for (let turn = 0; turn < MAX_PREPARATIONS && decision & UNDECIDED; ) {
      // Limiters have a time limit of their own, after which the core lacks no answer of them.
      if ((decision & LIMIT) === 0) turn++;
      if (decision & OWN_PATH) {
        if (pathAndQuery(url).startsWith(EVALUATIONS)) {
          const todo = core.before_evaluation(Date.now(), currentTable.generation);
          return evaluate(request, env, context, url, todo);
        }
        drain();
        if (isTracked(url)) {
          // Reading all settings again would be most of the work for an event.
          if (currentTable.revision === 0) await boot(env, context);
          else core.refresh(env, context);
          return await track(request, env, context, url);
        }
        if (isPurge(url)) return await purge(request, env, context);
        await boot(env, context);
        const authorization = headers.get("authorization") ?? undefined;
        return core.own_path(request.method + "\n" + url, authorization, env);
      }
      if (decision & BOOT) {
        if (turn > 2) break;
        await boot(env, context);
      } else if (decision & ASK) {
        await ask(env, context);
      } else if (decision & LIMIT) {
        limited = await askLimiters(env, context, limited);
      }
      if (isUnverified(headers)) await identify(request, env);
      decision = decideNow(request, url, isForced, limited);
      if (decision & UNDECIDED && decision & TABLE) {
        renewTable();
        if (!isUnverified(headers)) decision = decideNow(request, url, isForced, limited);
      }
    }
    if (decision & UNDECIDED) decision = NO_ROUTE | REASON_NO_SNAPSHOT;
    if (decision & REFRESH) core.refresh(env, context);
    // In the same turn as the decision, so with its table.
    return forward(request, headers, env, context, url, currentTable, decision, Date.now());
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) replaceBrokenCore();
    return forwardAfterError(request, env, context, url, currentTable, decision, error);
  }
}

/**
 * Returns true if the rules read tokens, and the request brings one that was not verified yet.
 *
 * @param {Headers} headers of the request
 */
function isUnverified(headers) {
  return currentTable.readsTokens && needsVerification(headers);
}

/**
 * Packs a request for the table in force and decides it.
 *
 * @param {ClientRequest} request
 * @param {string} url
 * @param {boolean | undefined} isForced true if a tester may have the new arm, false if legacy
 * @param {LimitedRequest | undefined} limited
 */
function decideNow(request, url, isForced, limited) {
  const table = currentTable;
  const packed = pack(request, request.headers, url, table);
  const now = Date.now();
  if (limited !== undefined) {
    const answers = answersOf(limited, table.generation, now);
    return core.decide_limited(packed, now, table.generation, isForced === undefined ? -1 : Number(isForced), answers);
  }
  return isForced === undefined
    ? core.decide(packed, now, table.generation)
    : core.decide_forced(packed, now, table.generation, isForced);
}

/**
 * Fetches the first snapshot, or gives up after the configured wait. A request cannot await what
 * another one began, so each looks for itself whether the snapshot is there.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 */
async function boot(env, context) {
  const since = Date.now();
  const patience = core.boot(env, context);
  while (Date.now() - since < patience && core.is_worth_waiting()) await sleep(2);
}
