/* Speaks over tcp as programs do: looks up, subscribes before it connects, reads and writes by the native streams, closes. */
#include "wasi.h"

#define ADDRESS s32 family, s32 a, s32 b, s32 c, s32 d, s32 e, s32 f, s32 g, s32 h, s32 i, s32 j, s32 k
WASI("sockets/instance-network", "instance-network") s32 the_network(void);
WASI("sockets/ip-name-lookup", "resolve-addresses") void lookup(s32 network, const char *name, u32 size, void *ret);
WASI("sockets/ip-name-lookup", "[method]resolve-address-stream.subscribe") s32 lookup_subscribe(s32 self);
WASI("sockets/ip-name-lookup", "[method]resolve-address-stream.resolve-next-address") void lookup_next(s32 self, void *ret);
WASI("sockets/ip-name-lookup", "[resource-drop]resolve-address-stream") void lookup_drop(s32 self);
WASI("sockets/tcp-create-socket", "create-tcp-socket") void tcp_new(s32 family, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.start-connect") void tcp_connect(s32 self, s32 network, ADDRESS, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.finish-connect") void tcp_connected(s32 self, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.shutdown") void tcp_shutdown(s32 self, s32 how, void *ret);
WASI("sockets/tcp", "[method]tcp-socket.subscribe") s32 tcp_subscribe(s32 self);
WASI("sockets/tcp", "[resource-drop]tcp-socket") void tcp_drop(s32 self);
WASI("io/streams", "[method]output-stream.subscribe") s32 io_writable(s32 self);
WASI("io/streams", "[method]input-stream.blocking-skip") void io_skip(s32 self, u64 length, void *ret);

enum { KEPT = 1 << 16, PIECE = 4096, WOULD_BLOCK = 8 };

static const char *const ERRORS[] = {
    "unknown", "access-denied", "not-supported", "invalid-argument", "out-of-memory", "timeout", "concurrency-conflict",
    "not-in-progress", "would-block", "invalid-state", "new-socket-limit", "address-not-bindable", "address-in-use",
    "remote-unreachable", "connection-refused", "connection-reset", "connection-aborted", "datagram-too-large",
    "name-unresolvable", "temporary-resolver-failure", "permanent-resolver-failure"};

typedef struct { const u16 *at; u32 count; } address;
typedef struct { s32 socket, ready, in, out; } connection;
static area scratch, result;
static const char *why;
static u8 piece[PIECE];

static const char *error_at(u32 at) { return scratch.b[at] < LENGTH(ERRORS) ? ERRORS[scratch.b[at]] : "?"; }

static int failed(const char *by, u32 at) {
  if (!scratch.b[0]) return 0;
  text told = join(T(by), T(error_at(at)));
  char *ended = take(told.size + 1);
  memcpy(ended, told.at, told.size);
  ended[told.size] = 0;
  why = ended;
  return 1;
}

static void *refused(void) {
  result.b[0] = 1;
  *(text *)(result.b + 4) = T(why);
  return &result;
}

/* --- names --- */
static int next_address(s32 names, address *found) {
  for (;;) {
    lookup_next(names, &scratch);
    if (!scratch.b[0]) break;
    if (scratch.b[2] != WOULD_BLOCK) return failed("lookup: ", 2), -1;
    s32 ready = lookup_subscribe(names);
    io_block(ready);
    io_drop_pollable(ready);
  }
  if (!scratch.b[2]) return 0;
  u32 count = scratch.b[4] ? 8 : 4;
  u16 *at = take(count * 2);
  for (u32 n = 0; n < count; n++) at[n] = count == 4 ? scratch.b[6 + n] : *(u16 *)(scratch.b + 6 + 2 * n);
  *found = (address){at, count};
  return 1;
}

static int begin_lookup(const char *name, u32 size, s32 *names) {
  lookup(the_network(), name, size, &scratch);
  if (failed("lookup: ", 4)) return 0;
  *names = (s32)scratch.w[1];
  return 1;
}

EXPORT("look-up") void *look_up(const char *name, u32 size) {
  s32 names;
  if (!begin_lookup(name, size, &names)) return refused();
  list found = {0};
  int more;
  address one;
  while ((more = next_address(names, &one)) > 0) *(address *)push(&found, sizeof(address)) = one;
  lookup_drop(names);
  if (more < 0) return refused();
  result.b[0] = 0;
  result.w[1] = (u32)found.at;
  result.w[2] = found.count;
  return &result;
}

/* --- connections --- */
static int start(s32 socket, address to, s32 port) {
  const u16 *n = to.at;
  if (to.count == 4) tcp_connect(socket, the_network(), 0, port, n[0], n[1], n[2], n[3], 0, 0, 0, 0, 0, 0, &scratch);
  else tcp_connect(socket, the_network(), 1, port, 0, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], 0, &scratch);
  return !failed("connect: ", 1);
}

static int opened(address to, s32 port, connection *made) {
  tcp_new(to.count == 4 ? 0 : 1, &scratch);
  if (failed("create: ", 4)) return 0;
  /* As wasi-libc does: one pollable of the socket, taken before it is connected. */
  *made = (connection){(s32)scratch.w[1], tcp_subscribe((s32)scratch.w[1]), -1, -1};
  return start(made->socket, to, port);
}

static int finished(connection *made) {
  for (;;) {
    tcp_connected(made->socket, &scratch);
    if (!scratch.b[0] || scratch.b[4] != WOULD_BLOCK) break;
    io_block(made->ready);
  }
  if (failed("connect: ", 4)) return 0;
  made->in = (s32)scratch.w[1];
  made->out = (s32)scratch.w[2];
  return 1;
}

static void closed(connection *made) {
  if (made->in >= 0) io_drop_input(made->in);
  if (made->out >= 0) io_drop_output(made->out);
  io_drop_pollable(made->ready);
  tcp_drop(made->socket);
}

static int connected(address to, s32 port, connection *made) {
  if (!opened(to, port, made)) return made->socket ? closed(made), 0 : 0;
  if (finished(made)) return 1;
  closed(made);
  return 0;
}

static int said(connection *to, const u8 *at, u64 size) {
  while (size) {
    u32 now = size < PIECE ? (u32)size : PIECE;
    io_write_flush(to->out, at, now, &scratch);
    if (scratch.b[0]) return why = scratch.b[4] ? "write: closed" : "write: failed", 0;
    size -= now;
    if (at != piece) at += now;
  }
  return 1;
}

/* As wasi-libc writes: as much as the stream takes, and then wait for it. */
static int poured(connection *to, u64 size) {
  static u8 nothing[1 << 16];
  while (size) {
    io_check_write(to->out, &scratch);
    if (scratch.b[0]) return why = "write: failed", 0;
    u64 room = scratch.d[1];
    if (!room) {
      s32 ready = io_writable(to->out);
      io_block(ready);
      io_drop_pollable(ready);
      continue;
    }
    u32 now = (u32)(room < size ? room : size);
    if (now > sizeof nothing) now = sizeof nothing;
    io_write(to->out, nothing, now, &scratch);
    if (scratch.b[0]) return why = "write: failed", 0;
    size -= now;
  }
  return 1;
}

static void *spoken(connection *to, text say, text shut, u32 most) {
  if (!said(to, (const u8 *)say.at, say.size)) return closed(to), refused();
  if (shut.size) {
    tcp_shutdown(to->socket, same(shut, T("receive")) ? 0 : same(shut, T("send")) ? 1 : 2, &scratch);
    if (failed("shutdown: ", 1)) return closed(to), refused();
  }
  char *kept = take(KEPT);
  u32 size = 0;
  const char *ended = "enough";
  while (size < most) {
    u32 before = mark();
    io_read(to->in, most - size < KEPT - size ? most - size : KEPT - size, &scratch);
    if (scratch.b[0]) {
      ended = scratch.b[4] ? "closed" : "failed";
      break;
    }
    memcpy(kept + size, (void *)scratch.w[1], scratch.w[2]);
    size += scratch.w[2];
    rewind(before);
  }
  closed(to);
  result.b[0] = 0;
  *(text *)(result.b + 4) = (text){kept, size};
  *(text *)(result.b + 12) = T(ended);
  return &result;
}

EXPORT("ask") void *ask(const u16 *at, u32 count, s32 port, const char *say, u32 say_size, const char *shut, u32 shut_size, u32 most) {
  connection made = {0};
  if (!connected((address){at, count}, port, &made)) return refused();
  return spoken(&made, (text){say, say_size}, (text){shut, shut_size}, most);
}

EXPORT("ask-name") void *ask_name(const char *name, u32 size, s32 port, const char *say, u32 say_size, u32 most) {
  s32 names;
  address first;
  if (!begin_lookup(name, size, &names)) return refused();
  int found = next_address(names, &first);
  lookup_drop(names);
  if (!found) why = "lookup: nothing";
  if (found <= 0) return refused();
  connection made = {0};
  if (!connected(first, port, &made)) return refused();
  return spoken(&made, (text){say, say_size}, T(""), most);
}

EXPORT("carry") void *carry(const u16 *at, u32 count, s32 port, u64 up, u64 down) {
  connection made = {0};
  if (!connected((address){at, count}, port, &made)) return refused();
  if (!poured(&made, up)) return closed(&made), refused();
  u64 got = 0;
  while (got < down) {
    io_skip(made.in, down - got, &scratch);
    if (scratch.b[0]) break;
    got += scratch.d[1];
  }
  closed(&made);
  result.b[0] = 0;
  result.d[1] = got;
  return &result;
}

EXPORT("back-and-forth") void *back_and_forth(const u16 *at, u32 count, s32 port, u32 times) {
  connection made = {0};
  if (!connected((address){at, count}, port, &made)) return refused();
  u32 answered = 0;
  for (u32 got = 0; answered < times; answered++) {
    if (!said(&made, piece, 16)) return closed(&made), refused();
    for (got = 0; got < 16; got += (u32)scratch.d[1]) {
      io_skip(made.in, 16 - got, &scratch);
      if (scratch.b[0]) break;
    }
    if (got < 16) break;
  }
  closed(&made);
  result.b[0] = 0;
  result.w[1] = answered;
  return &result;
}

EXPORT("again-and-again") void *again_and_again(const u16 *at, u32 count, s32 port, u32 times) {
  u32 answered = 0;
  for (u32 n = 0; n < times; n++) {
    u32 before = mark();
    ask(at, count, port, "hello\n", 6, "", 0, 6);
    if (result.b[0]) return &result;
    answered += result.w[2] > 0;
    rewind(before);
  }
  result.b[0] = 0;
  result.w[1] = answered;
  return &result;
}

EXPORT("drop-first") void drop_first(const u16 *at, u32 count, s32 port) {
  connection made = {0};
  if (connected((address){at, count}, port, &made)) tcp_drop(made.socket);
}

EXPORT("at-once") void *at_once(const u16 *at, u32 count, s32 port, u32 times) {
  connection *made = take(times * sizeof(connection));
  list told = {0};
  for (u32 n = 0; n < times; n++)
    if (!opened((address){at, count}, port, &made[n])) made[n].out = -2;
  for (u32 n = 0; n < times; n++) {
    int well = made[n].out != -2 && finished(&made[n]);
    *(text *)push(&told, sizeof(text)) = T(well ? "ok" : why);
  }
  for (u32 n = 0; n < times; n++) {
    if (made[n].out == -2) made[n].out = -1;
    closed(&made[n]);
  }
  result.w[0] = (u32)told.at;
  result.w[1] = told.count;
  return &result;
}

RELEASES("look-up") after_look_up(void *at) { (void)at; release_all(); }
RELEASES("ask") after_ask(void *at) { (void)at; release_all(); }
RELEASES("ask-name") after_ask_name(void *at) { (void)at; release_all(); }
RELEASES("carry") after_carry(void *at) { (void)at; release_all(); }
RELEASES("back-and-forth") after_back_and_forth(void *at) { (void)at; release_all(); }
RELEASES("again-and-again") after_again(void *at) { (void)at; release_all(); }
RELEASES("at-once") after_at_once(void *at) { (void)at; release_all(); }
