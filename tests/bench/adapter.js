// What a good engineer writes by hand for one endpoint of an old REST interface on a new GraphQL backend: match, check the
// input, decide the flag, ask with a time-out, map errors and fields, count. MODE is `one` or `list`.
const ONE = `query Review($id: ID!) { review(id: $id) { ...ReviewFields } } `;
const LIST = `query Reviews($offset: Int!, $limit: Int!) { reviews(offset: $offset, limit: $limit) { ...ReviewFields } } `;
const FIELDS = `fragment ReviewFields on Review { id offerId authorId rating text createdAt updatedAt isModerated }`;
const pattern = /^\/api\/v1\/reviews\/(\d+)(?:\?(.*))?$/;
const errors = {
  NOT_FOUND: [404, "not_found"],
  BAD_USER_INPUT: [422, "invalid"],
  UNAUTHENTICATED: [401, "unauthorized"],
  CONFLICT: [409, "conflict"],
};
const counts = { requests: 0, errors: 0, duration: 0 };

function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  return (h ^ (h >>> 16)) >>> 0;
}

function review(node) {
  return {
    id: Number(node.id),
    offer_id: Number(node.offerId),
    author_id: node.authorId,
    rating: node.rating,
    text: node.text,
    created_at: node.createdAt,
    updated_at: node.updatedAt,
    is_moderated: node.isModerated,
  };
}

function answer(status, body, backend = null) {
  body.timestamp = new Date().toISOString();
  const headers = { "content-type": "application/json" };
  if (backend !== null) headers["x-backend"] = backend;
  return new Response(JSON.stringify(body), { status, headers });
}

function failure(status, code, message) {
  return answer(status, { success: false, error: { code, message } });
}

export default {
  async fetch(request, env) {
    const started = Date.now();
    const url = request.url;
    const found = pattern.exec(url.slice(url.indexOf("/", 8)));
    if (!found) return failure(404, "not_found", "no such path");
    const user = request.headers.get("x-user-id");
    if (user === null || hash("reviews:" + user) % 1000000 >= 1000000) return fetch(env.ORIGIN, request);
    let query, variables;
    if (env.MODE === "list") {
      const search = new URLSearchParams(found[2]);
      const page = Number(search.get("page") ?? 1);
      const limit = Math.min(Number(search.get("limit") ?? 20), 100);
      if (!Number.isInteger(page) || page < 1) return failure(400, "invalid", "page is missing or not valid");
      if (!Number.isInteger(limit)) return failure(400, "invalid", "limit is missing or not valid");
      query = LIST + FIELDS;
      variables = { offset: (page - 1) * limit, limit };
    } else {
      query = ONE + FIELDS;
      variables = { id: found[1] };
    }
    const headers = { "content-type": "application/json", accept: "application/json" };
    const authorization = request.headers.get("authorization");
    if (authorization !== null) headers.authorization = authorization;
    let timer;
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("timeout")), 5000);
    });
    try {
      const asked = fetch(env.NEW + "/graphql", {
        method: "POST",
        headers,
        body: JSON.stringify({ query, variables }),
      });
      const response = await Promise.race([asked, limit]);
      const backend = response.headers.get("x-backend");
      const { data, errors: reported } = await response.json();
      counts.requests++;
      counts.duration += Date.now() - started;
      if (reported?.length) {
        const [status, code] = errors[reported[0].extensions?.code] ?? [500, "internal"];
        return failure(status, code, reported[0].message);
      }
      if (env.MODE === "list") return answer(200, { success: true, data: data.reviews.map(review) }, backend);
      if (data.review === null) return failure(404, "not_found", "no such review");
      return answer(200, { success: true, data: review(data.review) }, backend);
    } catch (error) {
      counts.errors++;
      return failure(502, "unreachable", "the service could not be reached");
    } finally {
      clearTimeout(timer);
    }
  },
};
