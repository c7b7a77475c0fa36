// The instance of the compiled core, and the functions that it exports.
//
// The build maps `#glue` to a module that makes the functions of one instance, and `#wasm` to index.wasm. Each instance
// has functions of its own, because those that wasm-bindgen writes keep views of its memory.
import makeGlue from "#glue";
import wasm from "#wasm";

/** @type {WebAssembly.Memory} */
let memory;

let view = new Uint8Array(0);
let numbers = new Uint32Array(0);

const decoder = new TextDecoder();

// The shortest time between two replacements, in milliseconds: a request that breaks every instance must not cost the
// others their snapshot each time.
const REPLACE_AGAIN = 1000;

let replacedAt = -Infinity;

/**
 * The core's functions.
 *
 * @type {Core}
 */
export let core = instantiate();

function instantiate() {
  const glue = makeGlue();
  const instance = new WebAssembly.Instance(wasm, { "./index_bg.js": glue });
  const exported = /** @type {CoreExports} */ (/** @type {unknown} */ (instance.exports));
  memory = exported.memory;
  view = new Uint8Array(0);
  numbers = new Uint32Array(0);
  glue.__wbg_set_wasm(exported);
  exported.__wbindgen_start?.();
  return glue;
}

/**
 * Replaces a core that has broken: after a trap, its memory is in no known state. Returns false if one was replaced a
 * moment ago. Whatever it had counted since its last report is lost.
 *
 * @param {number} generation the first one of the new core. Requests that the old one decided are still under way, and what
 *   they bring back must not be taken for the new one's.
 */
export function replaceCore(generation) {
  const now = Date.now();
  if (now - replacedAt < REPLACE_AGAIN) return false;
  replacedAt = now;
  console.error("the core has broken and is replaced; its counts since the last report are lost");
  core = instantiate();
  core.begin_generations(generation);
  return true;
}

/**
 * Copies bytes out of the core's memory.
 *
 * @param {number} start
 * @param {number} length
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function copyFromMemory(start, length) {
  // A view loses its length when the memory grows, and has to be made again.
  if (view.length === 0) view = new Uint8Array(memory.buffer);
  return view.slice(start, start + length);
}

/**
 * Returns the response to the evaluation that was requested last, see edge/src/bindings/ofrep.rs: its kind, the
 * generation that answered, its body, and the halves of its entity tag.
 *
 * @param {number} address that `core.evaluate` returned in this turn
 */
export function evaluated(address) {
  if (numbers.length === 0) numbers = new Uint32Array(memory.buffer);
  const first = address >>> 2;
  const length = numbers[first + 3];
  return {
    kind: numbers[first],
    generation: numbers[first + 1],
    body: length === 0 ? null : copyFromMemory(numbers[first + 2], length),
    high: numbers[first + 4],
    low: numbers[first + 5],
  };
}

/**
 * Returns the variants of the user that was decided last, as the backend and as the client are told them; undefined if there
 * are none. They are read from memory in the turn of the decision, see edge/src/bindings/groups.rs.
 *
 * @param {number} address
 * @returns {TestGroups | undefined}
 */
export function testGroups(address) {
  if (numbers.length === 0) numbers = new Uint32Array(memory.buffer);
  const first = address >>> 2;
  // Whatever the client is told, the backend is told too.
  if (numbers[first + 1] === 0) return undefined;
  const ofBackend = copyFromMemory(numbers[first], numbers[first + 1]);
  const ofClient = copyFromMemory(numbers[first + 2], numbers[first + 3]);
  return { ofBackend: decoder.decode(ofBackend), ofClient: decoder.decode(ofClient) };
}
