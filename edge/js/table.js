// The table that the core publishes to JavaScript: origins, inputs and policies of one generation.
import { INPUT_JWT } from "./wire.js";

/**
 * The table in force. A request keeps the one that it was decided with, because another may be in
 * force when it ends.
 *
 * @type {Table}
 */
export let currentTable = {
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
  report_interval: 0,
  headers: 0,
  reasons: [],
  readsTokens: false,
};

/**
 * Puts another table in force.
 *
 * @param {string} json the table as the core wrote it
 */
export function replaceTable(json) {
  currentTable = JSON.parse(json);
  currentTable.readsTokens = currentTable.inputs.includes(INPUT_JWT);
}
