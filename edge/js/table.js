// The table that the core publishes to JavaScript: origins, inputs and policies of one generation.
import { enableReports } from "./report.js";
import { core, replaceCore } from "./wasm.js";
import { INPUT_CLAIM, INPUT_JWT } from "./wire.js";

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
  guards: null,
  caches: null,
  limits: null,
  fallback: null,
  failover: null,
  groups: null,
  evaluates: false,
  reports: false,
  headers: 0,
  reasons: [],
  readsTokens: false,
};

/**
 * The table in force. A request is packed, decided and forwarded with the same table: it reads this variable once for
 * each attempt to decide it, and awaits nothing between that and forwarding.
 */
export let currentTable = NO_TABLE;

/** Puts the table of the core in force. */
export function renewTable() {
  currentTable = JSON.parse(core.table());
  currentTable.readsTokens = currentTable.inputs.some(
    (input) => input === INPUT_JWT || input.startsWith(INPUT_CLAIM),
  );
  if (currentTable.reports) enableReports();
}

/** Replaces a core that has broken, with its table. Returns false if one was replaced a moment ago. */
export function replaceBrokenCore() {
  if (!replaceCore(currentTable.generation + 1)) return false;
  // Without its generation the next replacement would begin at the first one again.
  currentTable = { ...NO_TABLE, generation: currentTable.generation };
  return true;
}
