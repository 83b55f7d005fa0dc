/* WASI 0.2 for freestanding C: the imports by hand, the canonical ABI's memory, growing text.

   No libc, no preview1 adapter: a component calls the WASI function that its source names, with the bytes that its source
   gives. `wasm-tools component embed --dummy` prints the core signature of every import declared here.

   Rules: one arena, given back whole when the host has read a result (`RELEASES`); a failed allocation traps. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define WASI(interface, function) __attribute__((import_module("wasi:" interface "@0.2.12"), import_name(function)))
#define EXPORT(function) __attribute__((export_name(function)))
#define RELEASES(function) \
  __attribute__((export_name("cabi_post_" function))) void
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* --- wasi:filesystem --- */
enum { SYMLINK_FOLLOW = 1 };
enum { OPEN_CREATE = 1, OPEN_DIRECTORY = 2, OPEN_EXCLUSIVE = 4, OPEN_TRUNCATE = 8 };
enum { FLAG_READ = 1, FLAG_WRITE = 2, FLAG_MUTATE_DIRECTORY = 32 };

WASI("filesystem/preopens", "get-directories") void fs_preopens(void *ret);
WASI("filesystem/types", "[method]descriptor.open-at")
void fs_open(s32 directory, s32 path_flags, const char *path, u32 length, s32 open_flags, s32 flags, void *ret);
WASI("filesystem/types", "[method]descriptor.read") void fs_read(s32 self, u64 length, u64 offset, void *ret);
WASI("filesystem/types", "[method]descriptor.write") void fs_write(s32 self, const void *data, u32 length, u64 offset, void *ret);
WASI("filesystem/types", "[method]descriptor.read-via-stream") void fs_read_stream(s32 self, u64 offset, void *ret);
WASI("filesystem/types", "[method]descriptor.write-via-stream") void fs_write_stream(s32 self, u64 offset, void *ret);
WASI("filesystem/types", "[method]descriptor.append-via-stream") void fs_append_stream(s32 self, void *ret);
WASI("filesystem/types", "[method]descriptor.get-flags") void fs_flags(s32 self, void *ret);
WASI("filesystem/types", "[method]descriptor.get-type") void fs_type(s32 self, void *ret);
WASI("filesystem/types", "[method]descriptor.set-size") void fs_set_size(s32 self, u64 size, void *ret);
WASI("filesystem/types", "[method]descriptor.set-times")
void fs_set_times(s32 self, s32 atime, s64 aseconds, s32 ananoseconds, s32 mtime, s64 mseconds, s32 mnanoseconds, void *ret);
WASI("filesystem/types", "[method]descriptor.set-times-at")
void fs_set_times_at(s32 directory, s32 path_flags, const char *path, u32 length, s32 atime, s64 aseconds, s32 ananoseconds, s32 mtime,
                     s64 mseconds, s32 mnanoseconds, void *ret);
WASI("filesystem/types", "[method]descriptor.read-directory") void fs_read_directory(s32 self, void *ret);
WASI("filesystem/types", "[method]descriptor.create-directory-at") void fs_mkdir(s32 directory, const char *path, u32 length, void *ret);
WASI("filesystem/types", "[method]descriptor.stat") void fs_stat(s32 self, void *ret);
WASI("filesystem/types", "[method]descriptor.stat-at")
void fs_stat_at(s32 directory, s32 path_flags, const char *path, u32 length, void *ret);
WASI("filesystem/types", "[method]descriptor.link-at")
void fs_link(s32 directory, s32 path_flags, const char *old, u32 old_length, s32 to, const char *path, u32 length, void *ret);
WASI("filesystem/types", "[method]descriptor.readlink-at") void fs_readlink(s32 directory, const char *path, u32 length, void *ret);
WASI("filesystem/types", "[method]descriptor.remove-directory-at") void fs_rmdir(s32 directory, const char *path, u32 length, void *ret);
WASI("filesystem/types", "[method]descriptor.rename-at")
void fs_rename(s32 directory, const char *old, u32 old_length, s32 to, const char *path, u32 length, void *ret);
WASI("filesystem/types", "[method]descriptor.symlink-at")
void fs_symlink(s32 directory, const char *target, u32 target_length, const char *path, u32 length, void *ret);
WASI("filesystem/types", "[method]descriptor.unlink-file-at") void fs_unlink(s32 directory, const char *path, u32 length, void *ret);
WASI("filesystem/types", "[method]directory-entry-stream.read-directory-entry") void fs_entry(s32 self, void *ret);
WASI("filesystem/types", "[resource-drop]descriptor") void fs_drop(s32 self);
WASI("filesystem/types", "[resource-drop]directory-entry-stream") void fs_drop_entries(s32 self);

/* --- wasi:io, wasi:clocks, wasi:random, wasi:cli --- */
WASI("io/streams", "[method]input-stream.blocking-read") void io_read(s32 self, u64 length, void *ret);
WASI("io/streams", "[method]output-stream.check-write") void io_check_write(s32 self, void *ret);
WASI("io/streams", "[method]output-stream.write") void io_write(s32 self, const void *data, u32 length, void *ret);
WASI("io/streams", "[method]output-stream.blocking-write-and-flush")
void io_write_flush(s32 self, const void *data, u32 length, void *ret);
WASI("io/streams", "[resource-drop]input-stream") void io_drop_input(s32 self);
WASI("io/streams", "[resource-drop]output-stream") void io_drop_output(s32 self);
WASI("io/poll", "[method]pollable.block") void io_block(s32 self);
WASI("io/poll", "[resource-drop]pollable") void io_drop_pollable(s32 self);
WASI("clocks/monotonic-clock", "now") u64 clock_now(void);
WASI("clocks/wall-clock", "now") void clock_wall(void *ret);
WASI("clocks/monotonic-clock", "subscribe-duration") s32 clock_after(u64 nanoseconds);
WASI("random/random", "get-random-bytes") void random_bytes(u64 length, void *ret);
WASI("random/insecure-seed", "insecure-seed") void random_seed(void *ret);
WASI("cli/environment", "get-environment") void cli_environment(void *ret);
WASI("cli/environment", "get-arguments") void cli_arguments(void *ret);
WASI("cli/environment", "initial-cwd") void cli_cwd(void *ret);
WASI("cli/stdin", "get-stdin") s32 cli_stdin(void);
WASI("cli/stdout", "get-stdout") s32 cli_stdout(void);
WASI("cli/stderr", "get-stderr") s32 cli_stderr(void);
WASI("cli/exit", "exit") void cli_exit(s32 is_error);

/* --- memory --- */
extern u8 __heap_base;
static u32 arena_at;

static u32 arena_take(u32 size, u32 align) {
  if (!arena_at) arena_at = (u32)&__heap_base;
  u32 at = (arena_at + align - 1) & ~(align - 1);
  u64 end = (u64)at + size, have = (u64)__builtin_wasm_memory_size(0) << 16;
  if (end > have && __builtin_wasm_memory_grow(0, (u32)((end - have + 0xffff) >> 16)) == (u32)-1) __builtin_trap();
  arena_at = (u32)end;
  return at;
}

/* The canonical ABI's allocator. The newest block grows in place, so reading a file in pieces does not copy it. */
EXPORT("cabi_realloc") void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
  if (old && (u32)old + old_size == arena_at && size >= old_size) {
    arena_take(size - old_size, 1);
    return old;
  }
  u8 *made = (u8 *)arena_take(size, align ? align : 1);
  if (old) __builtin_memcpy(made, old, old_size < size ? old_size : size);
  return made;
}

static void *take(u32 size) { return (void *)arena_take(size, 8); }
static void release_all(void) { arena_at = 0; }

/* What was taken since `mark()` is given back by `rewind()`: for a loop that would otherwise grow with its input. */
static u32 mark(void) { return arena_take(0, 8); }
static void rewind(u32 at) { arena_at = at; }

/* With bulk memory the builtins are single instructions, no calls. */
void *memcpy(void *to, const void *from, unsigned long n) { return __builtin_memcpy(to, from, n); }
void *memset(void *to, int value, unsigned long n) { return __builtin_memset(to, value, n); }

/* --- text: the canonical ABI's string is exactly this pair --- */
typedef struct { const char *at; u32 size; } text;

static u32 c_size(const char *s) { u32 n = 0; while (s[n]) n++; return n; }
static text T(const char *s) { text t = {s, c_size(s)}; return t; }
static int same(text a, text b) {
  if (a.size != b.size) return 0;
  for (u32 i = 0; i < a.size; i++) if (a.at[i] != b.at[i]) return 0;
  return 1;
}
static int begins(text whole, text with) { return whole.size >= with.size && same((text){whole.at, with.size}, with); }
static text join(text a, text b) {
  char *at = take(a.size + b.size);
  memcpy(at, a.at, a.size);
  memcpy(at + a.size, b.at, b.size);
  return (text){at, a.size + b.size};
}
static text number(u64 n) {
  char *at = take(20);
  u32 i = 20;
  do at[--i] = (char)('0' + n % 10); while (n /= 10);
  return (text){at + i, 20 - i};
}

/* The length of the UTF-8 sequence that begins at `at`, or 0 where the bytes are no UTF-8 (RFC 3629). */
static u32 utf8_at(const u8 *at, u32 left) {
  u8 c = at[0];
  if (c < 0x80) return 1;
  u32 n = c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
  if (!n || left < n) return 0;
  for (u32 i = 1; i < n; i++) if ((at[i] & 0xc0) != 0x80) return 0;
  if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) || (c == 0xf4 && at[1] > 0x8f)) return 0;
  return n;
}
static int is_utf8(text t) {
  for (u32 i = 0, n; i < t.size; i += n) if (!(n = utf8_at((const u8 *)t.at + i, t.size - i))) return 0;
  return 1;
}

/* --- growing lists of fixed-size items: the canonical ABI's list is `at` and `count` --- */
typedef struct { u8 *at; u32 count, room; } list;

static void *push(list *l, u32 size) {
  if (l->count == l->room) {
    u32 room = l->room ? l->room * 2 : 16;
    l->at = cabi_realloc(l->at, l->count * size, 8, room * size);
    l->room = room;
  }
  return l->at + size * l->count++;
}

/* --- names of wasi:filesystem/types.error-code, in its order --- */
static const char *const FS_ERRORS[] = {
    "access", "would-block", "already", "bad-descriptor", "busy", "deadlock", "quota", "exist", "file-too-large",
    "illegal-byte-sequence", "in-progress", "interrupted", "invalid", "io", "is-directory", "loop", "too-many-links",
    "message-size", "name-too-long", "no-device", "no-entry", "no-lock", "insufficient-memory", "insufficient-space",
    "not-directory", "not-empty", "not-recoverable", "unsupported", "no-tty", "no-such-device", "overflow", "not-permitted",
    "pipe", "read-only", "invalid-seek", "text-file-busy", "cross-device"};
static text fs_error(u8 code) { return code < LENGTH(FS_ERRORS) ? T(FS_ERRORS[code]) : T("unknown"); }

static const char *const FS_TYPES[] = {"unknown", "block-device", "character-device", "directory",
                                       "fifo", "symbolic-link", "regular-file", "socket"};

/* A return area: aligned for every result of these interfaces, and larger than all of them. */
typedef union { u8 b[256]; u32 w[64]; u64 d[32]; } area;
