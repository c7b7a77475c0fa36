// The provider for browsers: it requests all flags at once and evaluates from what it holds.
import assert from "node:assert/strict";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { answerWith, baseUrl, bearer, given, run, sleep, token, webToken } from "./cases.mjs";

// Milliseconds between two requests of a provider that polls.
const POLL = 200;

/** @typedef {"disabled" | "network-first" | "local-cache-first"} CacheMode */

// The store of a browser, as far as the provider uses it.
const stored = new Map();
Object.defineProperty(globalThis, "localStorage", {
  value: {
    getItem: (/** @type {string} */ key) => stored.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void stored.set(key, value),
    removeItem: (/** @type {string} */ key) => void stored.delete(key),
  },
});

/** @type {Set<string>} */
const domains = new Set();

/**
 * Returns a client of a provider of its own.
 *
 * @param {string} domain
 * @param {{ secret?: string, pollInterval?: number, cacheMode?: CacheMode }} options
 */
async function clientOf(domain, { secret = token, pollInterval = 0, cacheMode = "disabled" } = {}) {
  // A second provider of a domain has the context that is there: setting it again has the first one ask.
  if (!domains.has(domain)) await OpenFeature.setContext(domain, { targetingKey: "ann" });
  domains.add(domain);
  const provider = new OFREPWebProvider({ baseUrl, headers: bearer(secret), pollInterval, cacheMode });
  await OpenFeature.setProviderAndWait(domain, provider);
  return OpenFeature.getClient(domain);
}

/**
 * Waits until the proxy has given a status.
 *
 * @param {(statuses: number[]) => boolean} isThere
 */
async function until(isThere) {
  for (let turn = 0; turn < 100; turn++) {
    if (isThere(await given())) return;
    await sleep(50);
  }
  assert.fail(`not in ${JSON.stringify(await given())}`);
}

await run({
  async "evaluates values of each type from one request"() {
    const client = await clientOf("types");
    assert.equal(client.getBooleanValue("switch", false), true);
    assert.equal(client.getStringValue("colour", "none"), "#00f");
    assert.equal(client.getNumberValue("shop.discount", 0), 2.5);
    assert.deepEqual(client.getObjectValue("limits", {}), { items: 3 });
    assert.equal(client.getStringDetails("shop.split", "none").reason, "SPLIT");
    assert.equal(client.getStringDetails("none", "default").errorCode, "FLAG_NOT_FOUND");
    assert.equal(client.getStringDetails("switch", "default").errorCode, "TYPE_MISMATCH");
    assert.deepEqual(await given(), [200]);
  },

  async "sees the flags of its token only"() {
    const client = await clientOf("scope", { secret: webToken });
    assert.equal(client.getStringValue("colour", "none"), "#00f");
    assert.equal(client.getStringDetails("limits", "default").errorCode, "FLAG_NOT_FOUND");
  },

  // It keeps its entity tag if only attributes change, so a tag without them would leave the old values.
  async "follows a change of its context"() {
    const client = await clientOf("context");
    await OpenFeature.setContext("context", { targetingKey: "ann", plan: "gold" });
    assert.equal(client.getStringValue("colour", "none"), "#0f0");
    await OpenFeature.setContext("context", { targetingKey: "bob" });
    assert.equal(client.getStringValue("colour", "none"), "#00f");
    assert.deepEqual(await given(), [200, 200, 200]);
  },

  async "is told that it holds the answer"() {
    const client = await clientOf("poll", { pollInterval: POLL });
    await until((statuses) => statuses.filter((status) => status === 304).length >= 2);
    assert.deepEqual((await given()).filter((status) => status === 200), [200]);
    assert.equal(client.getStringValue("colour", "none"), "#00f");
    // Ends the polling, and waits for a request that is under way.
    await OpenFeature.clearProviders();
    await sleep(POLL);
  },

  async "fails for good without a token"() {
    await OpenFeature.setContext("stranger", { targetingKey: "ann" });
    const provider = new OFREPWebProvider({ baseUrl, headers: bearer("wrong"), cacheMode: "disabled" });
    await assert.rejects(OpenFeature.setProviderAndWait("stranger", provider));
    const client = OpenFeature.getClient("stranger");
    assert.equal(client.providerStatus, "FATAL");
    assert.equal(client.getStringValue("colour", "default"), "default");
    assert.deepEqual(await given(), [401]);
  },

  async "waits as Retry-After says, and keeps its values"() {
    const client = await clientOf("pace");
    let isStale = false;
    client.addHandler(ProviderEvents.Stale, () => {
      isStale = true;
    });
    await answerWith(429);
    await OpenFeature.setContext("pace", { targetingKey: "ann", plan: "gold" });
    assert.equal(client.getStringValue("colour", "none"), "#00f");
    await sleep(10);
    assert.ok(isStale);
    // Within the second nothing is sent.
    await OpenFeature.setContext("pace", { targetingKey: "ann", plan: "silver" });
    assert.deepEqual(await given(), [429]);
    await sleep(1_100);
    await OpenFeature.setContext("pace", { targetingKey: "ann", plan: "gold" });
    assert.equal(client.getStringValue("colour", "none"), "#0f0");
    assert.deepEqual(await given(), [429, 200]);
  },

  async "keeps its values while the Worker fails, and recovers"() {
    const client = await clientOf("failure");
    await answerWith(503);
    await OpenFeature.setContext("failure", { targetingKey: "ann", plan: "gold" });
    assert.equal(client.getStringValue("colour", "none"), "#00f");
    await OpenFeature.setContext("failure", { targetingKey: "ann", plan: "gold", turn: "2" });
    assert.equal(client.getStringValue("colour", "none"), "#0f0");
    assert.deepEqual(await given(), [503, 200]);
  },

  async "starts from its cache while the Worker fails"() {
    await clientOf("kept", { cacheMode: "network-first" });
    await answerWith(503);
    const client = await clientOf("kept", { cacheMode: "network-first" });
    assert.equal(client.getStringValue("colour", "none"), "#00f");
    assert.deepEqual(await given(), [503]);
  },

  async "starts from its cache, and is told that it holds the answer"() {
    const client = await clientOf("kept", { cacheMode: "local-cache-first" });
    assert.equal(client.getStringValue("colour", "none"), "#00f");
    await until((statuses) => statuses.length > 0);
    assert.deepEqual(await given(), [304]);
  },

  async "does not hide from a caller without a token that it has none"() {
    await OpenFeature.setContext("refused", { targetingKey: "ann" });
    const provider = new OFREPWebProvider({ baseUrl, headers: bearer("wrong"), cacheMode: "network-first" });
    await assert.rejects(OpenFeature.setProviderAndWait("refused", provider));
    assert.equal(OpenFeature.getClient("refused").getStringValue("colour", "default"), "default");
  },
});
