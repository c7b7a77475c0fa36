// Questions to the control plane. Each is answered for all requests that wait.
import { noteServed } from "./failover.js";
import { sleep } from "./http.js";
import { encode, post, urlOf } from "./post.js";
import { core } from "./wasm.js";

// Milliseconds for which the answer to a question is waited for.
const PATIENCE_MS = 1000;

const JSON_TYPE = { "content-type": "application/json" };

// The time until which requests wait for the question of another one.
let askedUntil = 0;

/**
 * Sends a question to the control plane, or waits while another request does. An answer that names a newer revision has
 * Workers KV read behind the request.
 *
 * @param {Env} env
 * @param {ExecutionContext} context
 */
export async function ask(env, context) {
  const question = core.question();
  if (question === undefined) {
    while (Date.now() < askedUntil) await sleep(2);
    return;
  }
  askedUntil = Date.now() + PATIENCE_MS;
  const url = urlOf(env.ASK_URL || env.INGEST_URL, "/v1/questions");
  const { status, body } = await post(env, url, encode(question), JSON_TYPE, PATIENCE_MS);
  noteServed(body);
  core.answered(status, body);
  askedUntil = 0;
  core.refresh(env, context);
}
