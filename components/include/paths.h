/* Files by path for components in C: the mount above a path, contents whole or in pieces, names in order.

   Decides nothing: a path goes to the host as it came, below the mounted directory with the longest matching name, and the
   host's error comes back by its WASI name. Rules: contents are read in pieces of CHUNK bytes, and what holds them is given
   back; a directory's names are read until NAMES_ROOM bytes or `deadline`, and who reads them learns when there were more. */
#pragma once
#include "wasi.h"

enum { CHUNK = 1 << 16, NAMES_ROOM = 32 << 20 };
enum { KIND_FILE, KIND_DIRECTORY, KIND_SYMBOLIC_LINK, KIND_OTHER };
enum { TYPE_DIRECTORY = 3, TYPE_SYMBOLIC_LINK = 5, TYPE_REGULAR_FILE = 6 };
enum { STREAM_CLOSED = 1 };

typedef struct { s32 handle; text name; } mount;
typedef struct { s32 directory; text rest; } place;
typedef struct { text name; u8 kind; } entry;

static area scratch, result;
static u64 deadline; /* of the monotonic clock; 0: none */

static void hurry(u64 milliseconds) { deadline = clock_now() + milliseconds * 1000000; }
static int is_late(void) { return deadline && clock_now() > deadline; }

static u8 kind_of(u8 type) {
  if (type == TYPE_REGULAR_FILE) return KIND_FILE;
  if (type == TYPE_DIRECTORY) return KIND_DIRECTORY;
  return type == TYPE_SYMBOLIC_LINK ? KIND_SYMBOLIC_LINK : KIND_OTHER;
}

/* --- results: the payload of a `result` lies at 4, or at 8 where it holds a u64 --- */
static void *fails(u32 at, text message) {
  result.b[0] = 1;
  *(text *)(result.b + at) = message;
  return &result;
}
static void *gives(u32 at, const void *list_at, u32 count) {
  result.b[0] = 0;
  *(text *)(result.b + at) = (text){list_at, count};
  return &result;
}
static void *option_at(u32 at, int some, u32 value) {
  result.b[at] = (u8)some;
  *(u32 *)(result.b + at + 4) = value;
  return &result;
}

/* What an error quotes of a text that may be long. */
static text brief(text t) {
  u32 size = 0, n;
  while (size < t.size && size < 200 && (n = utf8_at((const u8 *)t.at + size, t.size - size))) size += n;
  return size == t.size ? t : join((text){t.at, size}, T("…"));
}

/* ``cannot read `PATH`: WHY`` */
static text cannot(const char *verb, text path, text why) {
  return join(join(join(T("cannot "), T(verb)), join(T(" `"), brief(path))), join(T("`: "), why));
}

/* --- paths --- */
static int below(text path, text name) {
  if (!begins(path, name)) return 0;
  return name.size == 1 || path.size == name.size || path.at[name.size] == '/';
}

/* The mounted directory with the longest name above `path`; a relative path is taken from `/`. */
static int locate(text path, place *found) {
  text absolute = path.size && path.at[0] == '/' ? path : join(T("/"), path);
  fs_preopens(&scratch);
  mount *mounts = (mount *)scratch.w[0];
  int best = -1;
  for (u32 i = 0, n = scratch.w[1]; i < n; i++)
    if (below(absolute, mounts[i].name) && (best < 0 || mounts[i].name.size > mounts[best].name.size)) best = (int)i;
  if (best < 0) return 0;
  text rest = {absolute.at + mounts[best].name.size, absolute.size - mounts[best].name.size};
  while (rest.size && rest.at[0] == '/') rest.at++, rest.size--;
  *found = (place){mounts[best].handle, rest.size ? rest : T(".")};
  return 1;
}

static const char NOT_MOUNTED[] = "no-entry: no directory is mounted above it";

/* Opens `path`: the handle, or -1 with the reason. */
static s32 open_path(text path, s32 how, s32 flags, text *why) {
  place at;
  if (!locate(path, &at)) return *why = T(NOT_MOUNTED), -1;
  fs_open(at.directory, SYMLINK_FOLLOW, at.rest.at, at.rest.size, how, flags, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[4]), -1;
  return (s32)scratch.w[1];
}

/* The kind and the size of what is open; 0 with the reason where the host does not say. */
static int measure(s32 file, u8 *kind, u64 *size, text *why) {
  fs_stat(file, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[8]), 0;
  *kind = kind_of(scratch.b[8]);
  *size = scratch.d[3];
  return 1;
}

/* --- contents --- */

/* Takes a piece; 0 means that it needs no more. */
typedef int (*eater)(void *self, const u8 *at, u32 size);

/* Feeds an open file to `eat`, a piece at a time, in the same memory. An end of stream is `closed`; any other stream error is the file's. */
static int pour(s32 file, u64 offset, eater eat, void *self, text *why) {
  fs_read_stream(file, offset, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[4]), 0;
  s32 stream = (s32)scratch.w[1];
  u32 before = mark();
  int hungry = 1, whole = 1;
  while (hungry) {
    io_read(stream, CHUNK, &scratch);
    if (scratch.b[0]) {
      whole = scratch.b[4] == STREAM_CLOSED;
      break;
    }
    hungry = eat(self, (const u8 *)scratch.w[1], scratch.w[2]);
    rewind(before);
  }
  io_drop_input(stream);
  return whole ? 1 : (*why = T("io"), 0);
}

typedef struct { u8 *at; u32 size, room; } bucket;

static int fill(void *self, const u8 *at, u32 size) {
  bucket *b = self;
  u32 more = b->room - b->size < size ? b->room - b->size : size;
  memcpy(b->at + b->size, at, more);
  b->size += more;
  return b->size < b->room;
}

/* Reads at most `most` bytes of an open file. */
static int slurp(s32 file, u32 most, text *out, text *why) {
  u8 kind;
  u64 size;
  if (!measure(file, &kind, &size, why)) return 0;
  /* Room for a file that grows meanwhile. */
  bucket b = {0, 0, size + CHUNK < most ? (u32)size + CHUNK : most};
  b.at = take(b.room);
  if (!pour(file, 0, fill, &b, why)) return 0;
  *out = (text){(char *)b.at, b.size};
  return 1;
}

/* Writes `content` through an output stream that the host has just put into `scratch`. */
static int spill(text content, text *why) {
  if (scratch.b[0]) return *why = fs_error(scratch.b[4]), 0;
  s32 stream = (s32)scratch.w[1];
  int written = 1;
  for (u32 at = 0; at < content.size && written; at += 4096) { /* blocking-write-and-flush takes 4096 bytes at most */
    u32 left = content.size - at;
    io_write_flush(stream, content.at + at, left < 4096 ? left : 4096, &scratch);
    written = !scratch.b[0];
  }
  io_drop_output(stream);
  return written ? 1 : (*why = T("io: the file could not take all of it"), 0);
}
static int spill_at(s32 file, u64 offset, text content, text *why) {
  fs_write_stream(file, offset, &scratch);
  return spill(content, why);
}

/* --- names --- */
static int order(text a, text b) {
  for (u32 i = 0; i < a.size && i < b.size; i++)
    if (a.at[i] != b.at[i]) return (u8)a.at[i] < (u8)b.at[i] ? -1 : 1;
  return a.size == b.size ? 0 : a.size < b.size ? -1 : 1;
}

static void sort(entry *all, u32 count) {
  for (u32 gap = count / 2; gap; gap /= 2)
    for (u32 i = gap; i < count; i++) {
      entry one = all[i];
      u32 j = i;
      for (; j >= gap && order(one.name, all[j - gap].name) < 0; j -= gap) all[j] = all[j - gap];
      all[j] = one;
    }
}

/* The names of an open directory, sorted; `*more` says that there was no room or no time for all of them. */
static int entries_of(s32 directory, list *out, int *more, text *why) {
  fs_read_directory(directory, &scratch);
  if (scratch.b[0]) return *why = fs_error(scratch.b[4]), 0;
  s32 stream = (s32)scratch.w[1];
  u32 room = (u32)&__heap_base + NAMES_ROOM;
  for (;;) {
    fs_entry(stream, &scratch);
    if (scratch.b[0] || !scratch.b[4]) break;
    if (arena_at > room || (out->count % 256 == 255 && is_late())) {
      *more = 1;
      break;
    }
    entry one = {{(char *)scratch.w[3], scratch.w[4]}, kind_of(scratch.b[8])};
    *(entry *)push(out, sizeof one) = one;
  }
  int whole = !scratch.b[0];
  if (!whole) *why = fs_error(scratch.b[4]);
  fs_drop_entries(stream);
  sort((entry *)out->at, out->count);
  return whole;
}
