/* One request whose body is still being written while its answer is read. */
#include "wasi.h"

#define HTTP(name) WASI("http/types", name)
HTTP("[constructor]fields") s32 fields_new(void);
HTTP("[constructor]outgoing-request") s32 request_new(s32 headers);
HTTP("[constructor]request-options") s32 options_new(void);
HTTP("[method]request-options.set-connect-timeout") s32 set_connect_timeout(s32 self, s32 some, u64 nanoseconds);
HTTP("[method]outgoing-request.set-method") s32 set_method(s32 self, s32 tag, const char *other, u32 size);
HTTP("[method]outgoing-request.set-scheme") s32 set_scheme(s32 self, s32 some, s32 tag, const char *other, u32 size);
HTTP("[method]outgoing-request.set-authority") s32 set_authority(s32 self, s32 some, const char *at, u32 size);
HTTP("[method]outgoing-request.set-path-with-query") s32 set_path(s32 self, s32 some, const char *at, u32 size);
HTTP("[method]outgoing-request.body") void request_body(s32 self, void *ret);
HTTP("[method]outgoing-body.write") void body_write(s32 self, void *ret);
HTTP("[static]outgoing-body.finish") void body_finish(s32 self, s32 some, s32 trailers, void *ret);
HTTP("[method]future-incoming-response.subscribe") s32 future_subscribe(s32 self);
HTTP("[method]future-incoming-response.get") void future_get(s32 self, void *ret);
HTTP("[method]incoming-response.consume") void response_consume(s32 self, void *ret);
HTTP("[method]incoming-body.stream") void body_stream(s32 self, void *ret);
WASI("http/outgoing-handler", "handle") void http_handle(s32 request, s32 some, s32 options, void *ret);

enum { POST = 2, DENIED = 15 };
static union { u8 b[64]; u32 w[16]; u64 d[8]; } scratch, result;

static s32 request_for(const char *authority, u32 size) {
  s32 made = request_new(fields_new());
  set_method(made, POST, 0, 0);
  set_scheme(made, 1, 0, 0, 0);
  set_authority(made, 1, authority, size);
  set_path(made, 1, "/", 1);
  return made;
}

static s32 options(void) {
  s32 made = options_new();
  set_connect_timeout(made, 1, 5000000000ull);
  return made;
}

static void *failed(const char *why) {
  result.b[0] = 1;
  *(text *)(result.b + 8) = T(why);
  return &result;
}

/* Reads until `size` bytes have come; 0 where the stream ended before. */
static int read_back(s32 stream, u32 size) {
  for (u32 got = 0; got < size; got += scratch.w[2]) {
    u32 mark = arena_at;
    io_read(stream, size - got, &scratch);
    arena_at = mark;
    if (scratch.b[0]) return 0;
  }
  return 1;
}

EXPORT("duplex") void *duplex(const char *authority, u32 authority_size, u32 chunks, u32 size) {
  s32 made = request_for(authority, authority_size);
  request_body(made, &scratch);
  s32 body = (s32)scratch.w[1];
  body_write(body, &scratch);
  s32 out = (s32)scratch.w[1];
  http_handle(made, 1, options(), &scratch);
  if (scratch.b[0]) return failed("handle");
  s32 future = (s32)scratch.w[2], ready = future_subscribe(future);
  io_block(ready);
  io_drop_pollable(ready);
  future_get(future, &scratch);
  if (scratch.b[16]) return failed("answer");
  response_consume((s32)scratch.w[6], &scratch);
  body_stream((s32)scratch.w[1], &scratch);
  s32 in = (s32)scratch.w[1];
  u64 total = 0;
  const char *chunk = take(size);
  for (u32 i = 0; i < chunks; i++, total += size) {
    io_write_flush(out, chunk, size, &scratch);
    if (scratch.b[0]) return failed("write");
    if (!read_back(in, size)) return failed("read");
  }
  io_drop_output(out);
  body_finish(body, 0, 0, &scratch);
  result.b[0] = 0;
  result.d[1] = total;
  return &result;
}
RELEASES("duplex") duplex_done(void *at) {
  (void)at;
  release_all();
}

EXPORT("refused") u32 refused(const char *authority, u32 size, u32 times) {
  u32 count = 0;
  for (u32 i = 0; i < times; i++) {
    http_handle(request_for(authority, size), 1, options(), &scratch);
    if (scratch.b[0] && scratch.b[8] == DENIED) count++;
  }
  return count;
}
