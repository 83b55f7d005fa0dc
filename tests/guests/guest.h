/* What the hostile guests share: finding a mount, and a list of attempts with what became of each. */
#pragma once
#include "wasi.h"

typedef struct { s32 handle; text name; } mount;
typedef struct { text what, outcome; } attempt;

static area scratch, result;
static list attempts;

/* The mounted directory called `name` exactly; without one the guest traps, and the test has named it wrongly. */
static s32 directory(text name) {
  fs_preopens(&scratch);
  mount *mounts = (mount *)scratch.w[0];
  for (u32 i = 0, n = scratch.w[1]; i < n; i++)
    if (same(mounts[i].name, name)) return mounts[i].handle;
  __builtin_trap();
}

static void tried(text what, text outcome) { *(attempt *)push(&attempts, sizeof(attempt)) = (attempt){what, outcome}; }

/* A call whose result carries a wasi:filesystem error at `at`: `ok`, or the error's name. */
static int told(const char *verb, text path, u32 at) {
  text what = path.size ? join(join(T(verb), T(" ")), path) : T(verb);
  tried(what, scratch.b[0] ? fs_error(scratch.b[at]) : T("ok"));
  return !scratch.b[0];
}

static void *all_attempts(void) {
  result.w[0] = (u32)attempts.at;
  result.w[1] = attempts.count;
  return &result;
}

/* The first 200 bytes that `file` gives through its own stream: `read: …`, or the error's name. */
static text first_bytes(s32 file) {
  fs_read_stream(file, 0, &scratch);
  if (scratch.b[0]) return fs_error(scratch.b[4]);
  s32 stream = (s32)scratch.w[1];
  io_read(stream, 200, &scratch);
  text got = scratch.b[0] ? T(scratch.b[4] ? "" : "io") : (text){(char *)scratch.w[1], scratch.w[2]};
  got = is_utf8(got) ? join(T("read: "), got) : T("read: bytes");
  io_drop_input(stream);
  return got;
}

/* Opens `path` below `at`, closes it again: `read: …`, `directory`, or the error's name. */
static text opened(s32 at, s32 follow, text path, s32 how) {
  fs_open(at, follow, path.at, path.size, how, FLAG_READ, &scratch);
  if (scratch.b[0]) return fs_error(scratch.b[4]);
  s32 file = (s32)scratch.w[1];
  fs_type(file, &scratch);
  text got = !scratch.b[0] && scratch.b[1] == 3 ? T("directory") : first_bytes(file);
  fs_drop(file);
  return got;
}

/* The names in `directory`, separated by spaces. */
static text names_in(s32 at, text path) {
  fs_open(at, SYMLINK_FOLLOW, path.at, path.size, OPEN_DIRECTORY, FLAG_READ, &scratch);
  if (scratch.b[0]) return fs_error(scratch.b[4]);
  s32 handle = (s32)scratch.w[1];
  fs_read_directory(handle, &scratch);
  text names = T("names:");
  if (scratch.b[0]) names = fs_error(scratch.b[4]);
  else {
    s32 stream = (s32)scratch.w[1];
    for (fs_entry(stream, &scratch); !scratch.b[0] && scratch.b[4]; fs_entry(stream, &scratch))
      names = join(join(names, T(" ")), (text){(char *)scratch.w[3], scratch.w[4]});
    fs_drop_entries(stream);
  }
  fs_drop(handle);
  return names;
}
