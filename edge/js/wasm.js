// The instance of the compiled core, and the functions that it exports.
//
// The build maps `#glue` to index_bg.js and `#wasm` to index.wasm, both written by wasm-bindgen.
// Other modules import this one as a namespace: esbuild resolves `core.decide` of a namespace to
// the function itself, whereas an exported object would cost every call a getter.
import * as glue from "#glue";
import wasm from "#wasm";
export * from "#glue";

const instance = new WebAssembly.Instance(wasm, { "./index_bg.js": glue });
const coreExports = /** @type {CoreExports} */ (/** @type {unknown} */ (instance.exports));
glue.__wbg_set_wasm(coreExports);
coreExports.__wbindgen_start?.();

let view = new Uint8Array(0);

/**
 * Copies bytes out of the core's memory.
 *
 * @param {number} start
 * @param {number} length
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function copyFromMemory(start, length) {
  // A view loses its length when the memory grows, and has to be made again.
  if (view.length === 0) view = new Uint8Array(coreExports.memory.buffer);
  return view.slice(start, start + length);
}
