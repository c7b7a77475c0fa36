// The Worker's entry point. It packs the inputs that the rules read, makes one call into
// WebAssembly, and returns the backend's response. It holds no rule: the origin, the reason and the
// permission to retry come back in one number, see wire.js.
import { forward, forwardAfterError } from "./forward.js";
import { sleep } from "./http.js";
import { identify, needsVerification, subjectIn } from "./identity.js";
import { ask, drain, enableReports } from "./report.js";
import { currentTable, replaceTable } from "./table.js";
import * as core from "./wasm.js";
import {
  ABSENT,
  ASK,
  BOOT,
  INPUT_COUNTRY,
  INPUT_IP,
  INPUT_JWT,
  NEED_INPUTS,
  NO_ROUTE,
  OWN_PATH,
  REASON_NO_SNAPSHOT,
  REFRESH,
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
  let url, decision;
  try {
    url = request.url;
    if (currentTable.readsTokens && needsVerification(request)) {
      return identifyAndHandle(request, env, context);
    }
    const packed = pack(request, url, currentTable.inputs);
    decision = core.decide(packed, started, currentTable.generation);
    if (decision & UNDECIDED) return prepareAndForward({ request, env, context, url, packed, decision });
    if (decision & REFRESH) core.refresh(env, context);
  } catch (error) {
    return forwardAfterError(request, env, context, error);
  }
  return forward(request, env, context, url, decision, started);
}

export default { fetch: handle };

/**
 * @param {ClientRequest} request
 * @param {Env} env
 * @param {ExecutionContext} context
 */
async function identifyAndHandle(request, env, context) {
  await identify(request, env, currentTable.inputs);
  return handle(request, env, context);
}

/**
 * Fetches whatever a decision lacks, decides again, and forwards the request; or answers it, if its
 * path belongs to the Worker itself.
 *
 * @param {UndecidedRequest} undecided
 */
async function prepareAndForward({ request, env, context, url, packed, decision }) {
  let started = Date.now();
  try {
    let decideAgain = () => core.decide(packed, started, currentTable.generation);
    for (let turn = 0; turn < MAX_PREPARATIONS && decision & UNDECIDED; turn++) {
      if (decision & OWN_PATH) {
        drain(started);
        await boot(env, context);
        return core.own_path(packed, request.headers.get("authorization") ?? undefined, env);
      }
      if (decision & BOOT) {
        if (turn > 1) break;
        await boot(env, context);
      }
      if (decision & ASK) {
        await ask(env);
      } else if (decision & NEED_INPUTS) {
        const inputs = core.inputs_for(packed).split("\n");
        await identify(request, env, inputs);
        packed = pack(request, url, inputs);
        decideAgain = () => core.decide_with(packed, started);
      } else {
        // Outcomes that wait carry the generation that they were decided in.
        replaceTable(core.table());
        if (currentTable.report_interval > 0) enableReports();
        await identify(request, env, currentTable.inputs);
        packed = pack(request, url, currentTable.inputs);
      }
      started = Date.now();
      decision = decideAgain();
    }
    if (decision & UNDECIDED) decision = NO_ROUTE | REASON_NO_SNAPSHOT;
    if (decision & REFRESH) core.refresh(env, context);
  } catch (error) {
    return forwardAfterError(request, env, context, error);
  }
  return forward(request, env, context, url, decision, started);
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

/**
 * Packs a request into the string that the core decides it by, see edge/src/wire.rs.
 *
 * @param {ClientRequest} request
 * @param {string} url of the request, because every look at `request.url` builds another string
 * @param {string[]} inputs
 */
function pack(request, url, inputs) {
  let packed = request.method + "\n" + url;
  if (inputs.length === 0) return packed;
  const headers = request.headers;
  // If this header is present, the rules do not look at cookies.
  const unless = currentTable.cookies_unless;
  const user = unless === null ? null : headers.get(unless);
  for (let index = 0; index < inputs.length; index++) {
    const input = inputs[index];
    if (user !== null && user !== "") {
      const value = input === unless ? user : input === "cookie" ? ABSENT : read(request, headers, input);
      packed += "\n" + value;
    } else {
      packed += "\n" + read(request, headers, input);
    }
  }
  return packed;
}

/**
 * Reads an input of the decision.
 *
 * @param {ClientRequest} request
 * @param {Headers} headers
 * @param {string} input
 */
function read(request, headers, input) {
  switch (input) {
    case INPUT_JWT:
      return subjectIn(headers) || ABSENT;
    case INPUT_COUNTRY:
      return request.cf?.country ?? ABSENT;
    case INPUT_IP:
      return headers.get("cf-connecting-ip") ?? ABSENT;
    default:
      return headers.get(input) ?? ABSENT;
  }
}
