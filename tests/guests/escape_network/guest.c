/* Tries http with every part as it is given, and the sockets of wasi:sockets. */
#include "wasi.h"

#define HTTP(name) WASI("http/types", name)
HTTP("[constructor]fields") s32 fields_new(void);
HTTP("[method]fields.append") void fields_append(s32 self, const char *name, u32 size, const char *value, u32 value_size, void *ret);
HTTP("[method]fields.entries") void fields_entries(s32 self, void *ret);
HTTP("[resource-drop]fields") void fields_drop(s32 self);
HTTP("[constructor]outgoing-request") s32 request_new(s32 headers);
HTTP("[method]outgoing-request.set-method") s32 set_method(s32 self, s32 tag, const char *other, u32 size);
HTTP("[method]outgoing-request.set-scheme") s32 set_scheme(s32 self, s32 some, s32 tag, const char *other, u32 size);
HTTP("[method]outgoing-request.set-authority") s32 set_authority(s32 self, s32 some, const char *at, u32 size);
HTTP("[method]outgoing-request.set-path-with-query") s32 set_path(s32 self, s32 some, const char *at, u32 size);
HTTP("[method]outgoing-request.body") void request_body(s32 self, void *ret);
HTTP("[method]outgoing-body.write") void body_write(s32 self, void *ret);
HTTP("[static]outgoing-body.finish") void body_finish(s32 self, s32 some, s32 trailers, void *ret);
HTTP("[method]future-incoming-response.subscribe") s32 future_subscribe(s32 self);
HTTP("[method]future-incoming-response.get") void future_get(s32 self, void *ret);
HTTP("[method]incoming-response.status") s32 response_status(s32 self);
HTTP("[method]incoming-response.headers") s32 response_headers(s32 self);
HTTP("[method]incoming-response.consume") void response_consume(s32 self, void *ret);
HTTP("[method]incoming-body.stream") void body_stream(s32 self, void *ret);
WASI("http/outgoing-handler", "handle") void http_handle(s32 request, s32 some, s32 options, void *ret);

#define ADDRESS s32 family, s32 a, s32 b, s32 c, s32 d, s32 e, s32 f, s32 g, s32 h, s32 i, s32 j, s32 k
WASI("sockets/instance-network", "instance-network") s32 the_network(void);
WASI("sockets/ip-name-lookup", "resolve-addresses") void lookup(s32 network, const char *name, u32 size, void *ret);
WASI("sockets/ip-name-lookup", "[method]resolve-address-stream.subscribe") s32 lookup_subscribe(s32 self);
WASI("sockets/ip-name-lookup", "[method]resolve-address-stream.resolve-next-address") void lookup_next(s32 self, void *ret);
WASI("sockets/tcp-create-socket", "create-tcp-socket") void tcp_new(s32 family, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.start-connect") void tcp_connect(s32 self, s32 network, ADDRESS, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.finish-connect") void tcp_connected(s32 self, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.start-bind") void tcp_bind(s32 self, s32 network, ADDRESS, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.finish-bind") void tcp_bound(s32 self, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.start-listen") void tcp_listen(s32 self, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.subscribe") s32 tcp_subscribe(s32 self);
WASI("sockets/udp-create-socket", "create-udp-socket") void udp_new(s32 family, void *ret);
WASI("sockets/udp", "[method]udp-socket.start-bind") void udp_bind(s32 self, s32 network, ADDRESS, void *ret);
WASI("sockets/udp", "[method]udp-socket.finish-bind") void udp_bound(s32 self, void *ret);
WASI("sockets/udp", "[method]udp-socket.stream")
void udp_stream(s32 self, s32 some, ADDRESS, void *ret);
WASI("sockets/udp", "[method]outgoing-datagram-stream.check-send") void udp_check(s32 self, void *ret);
WASI("sockets/udp", "[method]outgoing-datagram-stream.send") void udp_send(s32 self, const void *datagrams, u32 count, void *ret);

enum { KEPT = 1 << 16, METHOD_OTHER = 9, SCHEME_OTHER = 2 };

typedef struct { text what, outcome; } attempt;
typedef struct { text name, value; } pair;
static area scratch, result;
static list attempts;

static const char *const METHODS[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
static const char *const HTTP_ERRORS[] = {
    "DNS-timeout", "DNS-error", "destination-not-found", "destination-unavailable", "destination-IP-prohibited",
    "destination-IP-unroutable", "connection-refused", "connection-terminated", "connection-timeout", "connection-read-timeout",
    "connection-write-timeout", "connection-limit-reached", "TLS-protocol-error", "TLS-certificate-error", "TLS-alert-received",
    "HTTP-request-denied", "HTTP-request-length-required", "HTTP-request-body-size", "HTTP-request-method-invalid",
    "HTTP-request-URI-invalid", "HTTP-request-URI-too-long", "HTTP-request-header-section-size", "HTTP-request-header-size",
    "HTTP-request-trailer-section-size", "HTTP-request-trailer-size", "HTTP-response-incomplete",
    "HTTP-response-header-section-size", "HTTP-response-header-size", "HTTP-response-body-size",
    "HTTP-response-trailer-section-size", "HTTP-response-trailer-size", "HTTP-response-transfer-coding",
    "HTTP-response-content-coding", "HTTP-response-timeout", "HTTP-upgrade-failed", "HTTP-protocol-error", "loop-detected",
    "configuration-error", "internal-error"};
static const char *const SOCKET_ERRORS[] = {
    "unknown", "access-denied", "not-supported", "invalid-argument", "out-of-memory", "timeout", "concurrency-conflict",
    "not-in-progress", "would-block", "invalid-state", "new-socket-limit", "address-not-bindable", "address-in-use",
    "remote-unreachable", "connection-refused", "connection-reset", "connection-aborted", "datagram-too-large",
    "name-unresolvable", "temporary-resolver-failure", "permanent-resolver-failure"};
static const char *const HEADER_ERRORS[] = {"invalid-syntax", "forbidden", "immutable"};

/* --- http --- */
static void *refused(const char *by, const char *why) {
  result.b[0] = 1;
  *(text *)(result.b + 8) = join(T(by), T(why));
  return &result;
}

/* The header fields, or -1 with the error's name. */
static s32 fields_of(const pair *headers, u32 count, const char **why) {
  s32 fields = fields_new();
  for (u32 i = 0; i < count; i++) {
    fields_append(fields, headers[i].name.at, headers[i].name.size, headers[i].value.at, headers[i].value.size, &scratch);
    if (scratch.b[0]) return *why = HEADER_ERRORS[scratch.b[1]], -1;
  }
  return fields;
}

static int give_method(s32 request, text method) {
  for (u32 i = 0; i < LENGTH(METHODS); i++)
    if (same(method, T(METHODS[i]))) return set_method(request, (s32)i, 0, 0);
  return set_method(request, METHOD_OTHER, method.at, method.size);
}

static int give_scheme(s32 request, text scheme) {
  if (same(scheme, T("http"))) return set_scheme(request, 1, 0, 0, 0);
  if (same(scheme, T("https"))) return set_scheme(request, 1, 1, 0, 0);
  return set_scheme(request, scheme.size != 0, SCHEME_OTHER, scheme.at, scheme.size);
}

static void send_body(s32 request, text body) {
  request_body(request, &scratch);
  s32 outgoing = (s32)scratch.w[1];
  body_write(outgoing, &scratch);
  s32 stream = (s32)scratch.w[1];
  for (u32 at = 0; at < body.size; at += 4096) {
    u32 left = body.size - at;
    io_write_flush(stream, body.at + at, left < 4096 ? left : 4096, &scratch);
    if (scratch.b[0]) break;
  }
  io_drop_output(stream);
  body_finish(outgoing, 0, 0, &scratch);
}

/* Reads the body to its end: keeps the beginning, counts it all. */
static void read_body(s32 stream, text *kept, u64 *size, u8 *complete) {
  char *start = take(KEPT);
  *kept = (text){start, 0};
  for (*size = 0;;) {
    u32 mark = arena_at;
    io_read(stream, KEPT, &scratch);
    if (scratch.b[0]) break;
    u32 length = scratch.w[2], room = KEPT - kept->size, copied = length < room ? length : room;
    memcpy(start + kept->size, (void *)scratch.w[1], copied);
    kept->size += copied;
    *size += length;
    arena_at = mark;
  }
  *complete = scratch.b[4] == 1;
  if (!is_utf8(*kept)) *kept = T("bytes");
}

/* answer: status u16 @8, body @12, size u64 @24, complete @32, headers @36, all of it 32 bytes after the tag at 0. */
static void *answer_of(s32 response) {
  text body;
  u64 size;
  u8 complete;
  u32 status = (u32)response_status(response);
  s32 fields = response_headers(response);
  fields_entries(fields, &scratch);
  u32 headers = scratch.w[0], count = scratch.w[1];
  fields_drop(fields);
  response_consume(response, &scratch);
  if (scratch.b[0]) return refused("consume", "");
  body_stream((s32)scratch.w[1], &scratch);
  read_body((s32)scratch.w[1], &body, &size, &complete);
  result.b[0] = 0;
  result.w[2] = status;
  *(text *)(result.b + 12) = body;
  result.d[3] = size;
  result.w[8] = complete;
  result.w[9] = headers;
  result.w[10] = count;
  return &result;
}

/* The parameters flatten to 13 values: method, scheme, authority (3), path, headers, body. */
EXPORT("request")
void *request(const char *method, u32 method_size, const char *scheme, u32 scheme_size, s32 has_authority, const char *authority,
              u32 authority_size, const char *path, u32 path_size, const pair *headers, u32 count, const char *body, u32 body_size) {
  const char *why = "";
  s32 fields = fields_of(headers, count, &why);
  if (fields < 0) return refused("header: ", why);
  s32 made = request_new(fields);
  if (give_method(made, (text){method, method_size})) return refused("set-method", "");
  if (give_scheme(made, (text){scheme, scheme_size})) return refused("set-scheme", "");
  if (has_authority && set_authority(made, 1, authority, authority_size)) return refused("set-authority", "");
  if (set_path(made, 1, path, path_size)) return refused("set-path", "");
  if (body_size) send_body(made, (text){body, body_size});
  http_handle(made, 0, 0, &scratch);
  if (scratch.b[0]) return refused("handle: ", scratch.b[8] < LENGTH(HTTP_ERRORS) ? HTTP_ERRORS[scratch.b[8]] : "?");
  s32 future = (s32)scratch.w[2], ready = future_subscribe(future);
  io_block(ready);
  io_drop_pollable(ready);
  future_get(future, &scratch);
  if (scratch.b[16]) return refused("answer: ", scratch.b[24] < LENGTH(HTTP_ERRORS) ? HTTP_ERRORS[scratch.b[24]] : "?");
  return answer_of((s32)scratch.w[6]);
}

EXPORT("one-after-the-other") void *one_after_the_other(const char *authority, u32 size, u32 times) {
  for (u32 n = 0; n < times; n++) {
    request("GET", 3, "http", 4, 1, authority, size, "/", 1, 0, 0, "", 0);
    text became = result.b[0] ? *(text *)(result.b + 8) : T("answered");
    *(attempt *)push(&attempts, sizeof(attempt)) = (attempt){T("request"), became};
  }
  result.w[0] = (u32)attempts.at;
  result.w[1] = attempts.count;
  return &result;
}

/* --- sockets --- */
static int told(const char *what, u32 error_at) {
  u8 code = scratch.b[error_at];
  const char *name = !scratch.b[0] ? "ok" : code < LENGTH(SOCKET_ERRORS) ? SOCKET_ERRORS[code] : "?";
  *(attempt *)push(&attempts, sizeof(attempt)) = (attempt){T(what), T(name)};
  return !scratch.b[0];
}

static void look_up(s32 network, const char *name, u32 size) {
  lookup(network, name, size, &scratch);
  if (!told("lookup", 4)) return;
  s32 addresses = (s32)scratch.w[1], ready = lookup_subscribe(addresses);
  io_block(ready);
  io_drop_pollable(ready);
  lookup_next(addresses, &scratch);
  told("lookup answer", 4);
}

static s32 socket_of(void (*make)(s32, void *), const char *what) {
  make(0, &scratch);
  return told(what, 4) ? (s32)scratch.w[1] : -1;
}

#define V4(port, a, b, c, d) 0, port, a, b, c, d, 0, 0, 0, 0, 0, 0

static void try_tcp(s32 network, s32 port) {
  s32 out = socket_of(tcp_new, "tcp create"), in = socket_of(tcp_new, "tcp create");
  if (out >= 0) {
    tcp_connect(out, network, V4(port, 127, 0, 0, 1), &scratch);
    if (told("tcp connect", 1)) {
      s32 ready = tcp_subscribe(out);
      io_block(ready);
      io_drop_pollable(ready);
      tcp_connected(out, &scratch);
      told("tcp connected", 4);
    }
  }
  if (in < 0) return;
  tcp_bind(in, network, V4(0, 0, 0, 0, 0), &scratch);
  if (!told("tcp bind", 1)) return;
  tcp_bound(in, &scratch);
  if (!told("tcp bound", 1)) return;
  tcp_listen(in, &scratch);
  told("tcp listen", 1);
}

static void try_udp(s32 network, s32 port) {
  s32 socket = socket_of(udp_new, "udp create");
  if (socket < 0) return;
  udp_bind(socket, network, V4(0, 0, 0, 0, 0), &scratch);
  if (!told("udp bind", 1)) return;
  udp_bound(socket, &scratch);
  if (!told("udp bound", 1)) return;
  udp_stream(socket, 1, V4(port, 127, 0, 0, 1), &scratch);
  if (!told("udp connect", 4)) return;
  s32 out = (s32)scratch.w[2];
  udp_check(out, &scratch);
  if (!told("udp check-send", 8)) return;
  /* A datagram: data @0, remote address option @8, 44 bytes in all, aligned to 4. */
  static u32 datagram[11];
  datagram[0] = (u32)"ping";
  datagram[1] = 4;
  udp_send(out, datagram, 1, &scratch);
  told("udp send", 8);
}

EXPORT("sockets") void *sockets(s32 port, const char *name, u32 size) {
  s32 network = the_network();
  look_up(network, name, size);
  try_tcp(network, port);
  try_udp(network, port);
  result.w[0] = (u32)attempts.at;
  result.w[1] = attempts.count;
  return &result;
}
