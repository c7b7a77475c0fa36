// The yardstick: the least that a Worker in front of an origin can do.
export default {
  fetch(request, env) {
    return fetch(env.ORIGIN + request.url.slice(request.url.indexOf("/", 8)), request);
  },
};
