// The provider for servers: each evaluation is a request.
import assert from "node:assert/strict";
import { OFREPApi } from "@openfeature/ofrep-core";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OpenFeature } from "@openfeature/server-sdk";
import { answerWith, baseUrl, bearer, given, run, sleep, token, webToken } from "./cases.mjs";

/**
 * Returns a client of a provider of its own.
 *
 * @param {string} domain
 * @param {string} secret
 */
async function clientOf(domain, secret = token) {
  await OpenFeature.setProviderAndWait(domain, new OFREPProvider({ baseUrl, headers: bearer(secret) }));
  return OpenFeature.getClient(domain);
}

const ann = { targetingKey: "ann" };

await run({
  async "evaluates values of each type"() {
    const client = await clientOf("types");
    assert.equal(await client.getBooleanValue("switch", false, ann), true);
    assert.equal(await client.getStringValue("colour", "none", ann), "#00f");
    assert.equal(await client.getNumberValue("shop.discount", 0, ann), 2.5);
    assert.deepEqual(await client.getObjectValue("limits", {}, ann), { items: 3 });
    const details = await client.getStringDetails("shop.split", "none", ann);
    assert.equal(details.reason, "SPLIT");
    assert.ok(["a", "b"].includes(details.variant ?? ""), details.variant);
    assert.equal(typeof details.flagMetadata.revision, "number");
    assert.deepEqual(new Set(await given()), new Set([200]));
  },

  async "follows the context of each evaluation"() {
    const client = await clientOf("context");
    assert.equal(await client.getStringValue("colour", "none", { ...ann, plan: "gold" }), "#0f0");
    assert.equal(await client.getStringValue("colour", "none", { ...ann, plan: "free" }), "#00f");
  },

  async "tells the errors of an evaluation apart"() {
    const client = await clientOf("errors");
    const code = async (/** @type {string} */ key, context = {}) =>
      (await client.getStringDetails(key, "default", context)).errorCode;
    assert.equal(await code("none", ann), "FLAG_NOT_FOUND");
    assert.equal(await code("shop.split"), "TARGETING_KEY_MISSING");
    assert.equal(await code("switch", ann), "TYPE_MISMATCH");
  },

  async "gives the default to a caller without a token or without the flag"() {
    const stranger = await clientOf("stranger", "wrong");
    assert.equal(await stranger.getStringValue("colour", "default", ann), "default");
    const web = await clientOf("web", webToken);
    assert.equal(await web.getBooleanValue("switch", false, ann), false);
    assert.equal(await web.getStringValue("colour", "default", ann), "#00f");
    assert.deepEqual(await given(), [401, 403, 200]);
  },

  async "waits as Retry-After says"() {
    const client = await clientOf("pace");
    await answerWith(429);
    assert.equal(await client.getStringValue("colour", "default", ann), "default");
    // Within the second nothing is sent.
    assert.equal(await client.getStringValue("colour", "default", ann), "default");
    assert.deepEqual(await given(), [429]);
    await sleep(1_100);
    assert.equal(await client.getStringValue("colour", "default", ann), "#00f");
    assert.deepEqual(await given(), [429, 200]);
  },

  async "gives the default while the Worker fails, and recovers"() {
    const client = await clientOf("failure");
    await answerWith(503, 500);
    assert.equal(await client.getStringValue("colour", "default", ann), "default");
    assert.equal(await client.getStringValue("colour", "default", ann), "default");
    assert.equal(await client.getStringValue("colour", "default", ann), "#00f");
    assert.deepEqual(await given(), [503, 500, 200]);
  },

  async "has an answer of both endpoints that the protocol's own types fit"() {
    // Versions 0.1 of ofrep-core take headers with each request, the entity tag among them.
    const api = new OFREPApi(baseUrl);
    const headers = bearer(token);
    const one = await api.postEvaluateFlags("colour", { context: ann }, { headers });
    assert.equal(one.httpStatus, 200);
    const all = await api.postBulkEvaluateFlags({ context: ann }, { headers });
    assert.equal(all.httpStatus, 200);
    const tag = all.httpResponse?.headers.get("etag");
    assert.ok(tag);
    /** @type {{ headers: [string, string][] }} */
    const held = { headers: [...headers, ["If-None-Match", tag]] };
    assert.equal((await api.postBulkEvaluateFlags({ context: ann }, held)).httpStatus, 304);
    assert.equal((await api.postBulkEvaluateFlags({ context: { targetingKey: "bob" } }, held)).httpStatus, 200);
  },
});
