// A function for Google's functions framework: it answers with its request.
exports.tell = (request, response) => {
  response.set("x-own", "yes");
  response.status(request.query.status ? Number(request.query.status) : 200);
  response.send({ method: request.method, path: request.path, query: request.query, body: request.body });
};
