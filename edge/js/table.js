// The table that the core publishes to JavaScript: origins, inputs and policies of one generation.
import { core } from "./wasm.js";
import { INPUT_JWT } from "./wire.js";

/** @type {Table} */
const NO_TABLE = {
  generation: -1,
  revision: 0,
  inputs: [],
  cookies_unless: null,
  origins: [],
  arms: [],
  adapt: null,
  adapters: [],
  compare: null,
  hides: null,
  fallback: null,
  report_interval: 0,
  headers: 0,
  reasons: [],
  readsTokens: false,
  of: undefined,
};

/**
 * The table in force. A request is packed, decided and forwarded with the same table: it reads this variable once for
 * each attempt to decide it, and awaits nothing between that and forwarding.
 */
export let currentTable = NO_TABLE;

/**
 * Puts another table in force.
 *
 * @param {string} json the table as the core wrote it
 */
export function replaceTable(json) {
  currentTable = JSON.parse(json);
  currentTable.readsTokens = currentTable.inputs.includes(INPUT_JWT);
  currentTable.of = core;
}

/** Forgets the table of a core that was replaced. */
export function forgetTable() {
  currentTable = NO_TABLE;
}
