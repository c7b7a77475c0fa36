// Cases that the JavaScript providers share: the proxy that gives other statuses, and the end of a program.
import assert from "node:assert/strict";

/**
 * Returns the value of a variable that the tests set.
 *
 * @param {string} name
 */
function variable(name) {
  const value = process.env[name];
  assert.ok(value, `${name} is not set`);
  return value;
}

export const baseUrl = variable("OFREP_URL");
export const token = variable("OFREP_TOKEN");
export const webToken = variable("OFREP_WEB_TOKEN");

/**
 * Returns the headers of a caller.
 *
 * @param {string} secret
 * @returns {[string, string][]}
 */
export function bearer(secret) {
  return [["Authorization", `Bearer ${secret}`]];
}

/**
 * Sets the statuses with which the next requests are answered, and forgets those that were given.
 *
 * @param {number[]} statuses
 */
export async function answerWith(...statuses) {
  const response = await fetch(`${baseUrl}/statuses`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(statuses),
  });
  assert.equal(response.status, 200);
}

/**
 * Returns the statuses that were given since `answerWith` was called last.
 *
 * @returns {Promise<number[]>}
 */
export async function given() {
  return (await fetch(`${baseUrl}/statuses`)).json();
}

/** @param {number} ms */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Runs the cases of a program one after the other. A case that fails ends it.
 *
 * @param {Record<string, () => Promise<void>>} cases
 */
export async function run(cases) {
  for (const [name, body] of Object.entries(cases)) {
    await answerWith();
    try {
      await body();
    } catch (error) {
      console.error(`${name}:`, error);
      process.exit(1);
    }
    console.log(`passed: ${name}`);
  }
  console.log("all cases passed");
  process.exit(0);
}
