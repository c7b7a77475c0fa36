// In front of the Worker: limiters that answer late (mode=late, after delay= milliseconds), not at all or with an error,
// as /__limiters?mode= says, and a rate limit binding of the platform with a quota. GET /__limiters returns the names of
// the objects that were asked.
import worker from "./shim.mjs";

export * from "./shim.mjs";

let mode = "kind";
let delay = 0;
let quota = 3;
/** @type {string[]} */
let asked = [];

const unkind = (env) => ({
  ...env,
  CUTOVER_LIMITS: {
    idFromName: (name) => {
      asked.push(name);
      return env.CUTOVER_LIMITS.idFromName(name);
    },
    get: (id) => ({
      async take(...tokens) {
        if (mode === "throwing") throw new Error("the object is overloaded");
        if (mode === "late") {
          const taken = await env.CUTOVER_LIMITS.get(id).take(...tokens);
          await new Promise((resolve) => setTimeout(resolve, delay));
          return taken;
        }
        if (mode === "slow") await new Promise((resolve) => setTimeout(resolve, 10000));
        return env.CUTOVER_LIMITS.get(id).take(...tokens);
      },
    }),
  },
  LIMIT_PLATFORM: {
    async limit({ key }) {
      asked.push(key);
      if (mode === "throwing") throw new Error("the platform does not answer");
      return { success: quota-- > 0 };
    },
  },
});

export default {
  fetch(request, env, context) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== "/__limiters") return worker.fetch(request, unkind(env), context);
    mode = searchParams.get("mode") ?? mode;
    delay = Number(searchParams.get("delay") ?? delay);
    const names = asked;
    asked = [];
    return Response.json(names);
  },
};
