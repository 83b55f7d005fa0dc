/* Sends one request, and ends in a way that leaves no time to look at what became of it. */
#include "wasi.h"

#define HTTP(name) WASI("http/types", name)
HTTP("[constructor]fields") s32 fields_new(void);
HTTP("[constructor]outgoing-request") s32 request_new(s32 headers);
HTTP("[method]outgoing-request.set-scheme") s32 set_scheme(s32 self, s32 some, s32 tag, const char *other, u32 size);
HTTP("[method]outgoing-request.set-authority") s32 set_authority(s32 self, s32 some, const char *at, u32 size);
HTTP("[method]future-incoming-response.subscribe") s32 future_subscribe(s32 self);
WASI("http/outgoing-handler", "handle") void http_handle(s32 request, s32 some, s32 options, void *ret);

static area scratch;

/* The future answer, or -1. */
static s32 ask(const char *authority, u32 size) {
  s32 request = request_new(fields_new());
  set_scheme(request, 1, 0, 0, 0);
  set_authority(request, 1, authority, size);
  http_handle(request, 0, 0, &scratch);
  return scratch.b[0] ? -1 : (s32)scratch.w[2];
}

static void answered(const char *authority, u32 size) {
  s32 future = ask(authority, size);
  if (future >= 0) io_block(future_subscribe(future));
}

EXPORT("trap-after") void trap_after(const char *authority, u32 size) {
  answered(authority, size);
  __builtin_trap();
}

EXPORT("loop-after") void loop_after(const char *authority, u32 size) {
  answered(authority, size);
  for (volatile u32 i = 0;; i++) {}
}

EXPORT("leave") s32 leave(const char *authority, u32 size) { return ask(authority, size) >= 0; }
