// Answers for each of a list of tokens whether the Worker's own code takes its signature for good.
import { verified } from "./jwt.js";

export default {
  async fetch(request) {
    const results = [];
    for (const { jws, key } of await request.json()) {
      results.push(await verified(jws, [key]).then(() => "valid", () => "invalid"));
    }
    return Response.json(results);
  },
};
