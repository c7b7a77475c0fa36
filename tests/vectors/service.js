// A Worker that tells the method, the path and the body of a request.
export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    return Response.json({ received: `${request.method} ${pathname}${search} ${await request.text()}` });
  },
};
