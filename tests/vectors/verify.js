// Verifies a list of tokens with the Worker's own code; responds with `valid` or `invalid` for each.
import { verify } from "./jwt.js";

export default {
  async fetch(request) {
    const results = [];
    for (const { jws, key } of await request.json()) {
      results.push(await verify(jws, [key]).then(() => "valid", () => "invalid"));
    }
    return Response.json(results);
  },
};
