// Rate limits: the questions of the core to limiters, and what clients are told. The core decides, see
// edge/src/limiting.rs; it asks only if it holds neither a token nor a refusal.
import { LATE, sleep, withTimeout } from "./http.js";
import { mac } from "./post.js";
import { currentTable } from "./table.js";
import { core } from "./wasm.js";
import { LIMIT_AGAIN, LIMIT_FAILED, LIMIT_GAVE_UP, LIMIT_GRANTED, LIMIT_REFUSED } from "./wire.js";

// Microseconds for which a refusal of the platform's binding is remembered, which does not tell for how long it holds.
const REFUSED_US = 1e6;

// Milliseconds: the first and the longest pause between two looks at the question of another request, and the pause
// between two log lines.
const FIRST_LOOK = 1;
const LAST_LOOK = 8;
const LOG_PAUSE = 1000;

const ABSENT_LIMITER = new Error("the Worker has no binding for it");

let nextLine = 0;

/**
 * Asks the questions of the last decision, which must have been made in this turn, or waits for their answers if other
 * requests have asked. Returns what is known of the request's limits after that.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {LimitedRequest | undefined} limited what was known before
 * @returns {Promise<LimitedRequest>}
 */
export async function askLimiters(env, context, limited) {
  const { patience, questions } = /** @type {LimiterQuestions} */ (JSON.parse(core.limit_questions()));
  const { generation } = currentTable;
  const until = limited === undefined ? Date.now() + patience : limited.until;
  // The positions of answers are those of one generation.
  const known = limited?.generation === generation ? limited.answers : 0;
  /** @type {LimitedRequest} */
  const now = { until, generation, answers: known | LIMIT_AGAIN };
  // Never without a wait: another request would have taken the questions.
  if (questions.length === 0) now.answers |= LIMIT_GAVE_UP;
  await Promise.all(
    questions.map((question) =>
      question.policy === undefined ? waitForOther(question.number, until) : askOne(env, context, question, now),
    ),
  );
  return now;
}

/**
 * Returns the answers of limiters, as the core takes them.
 *
 * @param {LimitedRequest} limited
 * @param {number} generation the one that decides
 * @param {number} now
 */
export function answersOf(limited, generation, now) {
  const answers = limited.generation === generation ? limited.answers : LIMIT_AGAIN;
  return now < limited.until ? answers : answers | LIMIT_GAVE_UP;
}

/**
 * Waits until the question of another request is answered, or the time is up. A request cannot await what another one
 * began.
 *
 * @param {number} number
 * @param {number} until
 */
async function waitForOther(number, until) {
  let pause = FIRST_LOOK;
  do {
    await sleep(Math.max(FIRST_LOOK, Math.min(pause, until - Date.now())));
    pause = Math.min(2 * pause, LAST_LOOK);
  } while (Date.now() < until && core.limit_is_awaited(number));
}

/**
 * @param {Env} env
 * @param {ExecutionContext} context
 * @param {LimiterQuestion} question
 * @param {LimitedRequest} limited gets the answer
 */
async function askOne(env, context, question, limited) {
  const { position, number } = question;
  const told = ask(env, question).then(([granted, remaining, reset, retry]) => {
    core.limit_answered(number, granted, remaining, reset, retry);
    return granted > 0;
  });
  // An answer that comes late is good for later requests.
  context.waitUntil(
    told.catch((error) => {
      if (error !== ABSENT_LIMITER && !(error instanceof WebAssembly.RuntimeError)) core.limit_failed(number);
    }),
  );
  try {
    const isGranted = await withTimeout(told, Math.max(0, limited.until - Date.now()));
    limited.answers |= (isGranted ? LIMIT_GRANTED : LIMIT_REFUSED) << position;
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    if (error === LATE) {
      // A limiter that is slow has not failed: what it grants late must not be admitted twice.
      core.limit_gave_up(number);
      limited.answers |= LIMIT_GAVE_UP;
    } else {
      if (error === ABSENT_LIMITER) core.limit_absent(number);
      limited.answers |= LIMIT_FAILED << position;
    }
    const now = Date.now();
    if (now < nextLine) return;
    nextLine = now + LOG_PAUSE;
    const known = error === ABSENT_LIMITER ? "limiter_absent" : "limiter_failed";
    const [event, reason] = error === LATE ? ["limiter_late", "it did not answer in time"] : [known, String(error)];
    console.warn(JSON.stringify({ event, policy: question.policy, error: reason }));
  }
}

/**
 * Asks a limiter. Returns the granted and the remaining tokens, which are -1 if they are not known, and the microseconds
 * until all are there again and until one is.
 *
 * @param {Env} env
 * @param {LimiterQuestion} question
 * @returns {Promise<number[]>}
 */
async function ask(env, { policy, key = "", wanted = 1, interval = 0, burst = 0, binding }) {
  // Never the key itself, which may be a person's.
  const name = policy + ":" + (await mac(env, `cutover limit\n${policy}\n${key}`));
  if (binding !== undefined) {
    const limiter = /** @type {Record<string, RateLimit | undefined>} */ (/** @type {unknown} */ (env))[binding];
    if (limiter === undefined) throw ABSENT_LIMITER;
    const { success } = await limiter.limit({ key: name });
    return success ? [1, -1, 0, 0] : [0, -1, 0, REFUSED_US];
  }
  const limiters = env.CUTOVER_LIMITS;
  if (limiters === undefined) throw ABSENT_LIMITER;
  // A stub of its own for each question: one that has failed is broken.
  return limiters.get(limiters.idFromName(name)).take(interval, burst, wanted);
}

/**
 * Returns what the client of the last decision is told, which must have been made in this turn.
 *
 * @returns {ToldLimits}
 */
export function toldLimits() {
  const [policies, limits, status, retry, body] = core.limit_lines().split("\n");
  return { policies, limits, refusal: status === undefined ? undefined : { status: Number(status), retry, body } };
}

/**
 * Builds the response to a request that a limit refuses.
 *
 * @param {ToldLimits | undefined} told
 */
export function limitedResponse(told) {
  const { status, retry, body } = told?.refusal ?? { status: 429, retry: "1", body: "{}" };
  const headers = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "retry-after": retry,
  };
  return new Response(body, { status, headers });
}
