// `POST /_cutover/purge` removes responses from the cache by their tags. For the holders of the edge token.
import { readBytes, TOO_LARGE } from "./body.js";
import { purgeTags } from "./cache.js";
import { problem } from "./http.js";
import { core } from "./wasm.js";

const PATH = /^[^/\\]*\/\/[^/\\]*\/_cutover\/purge(?:[?#]|$)/;

const MAX_BODY = 65536;

// The platform takes no more of them at once.
const MAX_TAGS = 100;

const TAG = /^[!-+\--~]{1,128}$/;

/**
 * Returns true for the URL at which responses are removed.
 *
 * @param {string} url
 */
export function isPurge(url) {
  return PATH.test(url);
}

/**
 * Answers a request to remove responses.
 *
 * @param {Request} request
 * @param {Env} env
 * @param {ExecutionContext} context
 * @returns {Promise<Response>}
 */
export async function purge(request, env, context) {
  if (!core.is_edge_holder(request.headers.get("authorization") ?? undefined, env)) {
    return problem(401, "Unauthorized", "token_invalid", "Send the edge token as a bearer token.");
  }
  if (request.method !== "POST") {
    const refused = problem(405, "Method Not Allowed", "method_not_allowed", "Responses are removed with POST.");
    refused.headers.set("allow", "POST");
    return refused;
  }
  const tags = await tagsOf(request);
  if (tags === undefined) {
    const detail = `Send {"tags": ["..."]}: 1 to ${MAX_TAGS} words of printable ASCII, without commas and spaces.`;
    return problem(422, "Unprocessable Content", "tags_invalid", detail);
  }
  try {
    const errors = await purgeTags(tags, env, context);
    if (errors === "") return Response.json({ purged: tags }, { headers: { "cache-control": "no-store" } });
    console.error("the platform refused to remove responses:", errors);
  } catch (error) {
    console.error("responses could not be removed from the cache:", error);
  }
  const detail = "The cache did not remove the responses. Send the request again, or raise cache.version of the route.";
  const refused = problem(503, "Service Unavailable", "purge_refused", detail);
  refused.headers.set("retry-after", "12");
  return refused;
}

/** @param {Request} request */
async function tagsOf(request) {
  try {
    const { tags } = JSON.parse(new TextDecoder().decode(await readBytes(request, MAX_BODY)));
    const isGood = Array.isArray(tags) && tags.length > 0 && tags.length <= MAX_TAGS;
    return isGood && tags.every((tag) => typeof tag === "string" && TAG.test(tag)) ? tags : undefined;
  } catch (error) {
    if (error !== TOO_LARGE) console.warn("a list of tags could not be read:", error);
    return undefined;
  }
}
