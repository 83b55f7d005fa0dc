/* Takes descriptors, bytes and names from the file system. */
#include "guest.h"

typedef struct { u64 times; text error; } ended;
static ended end;

static void *ends(u64 times, text error) {
  end = (ended){times, error};
  return &end;
}

static s32 open_new(s32 at, text path) {
  fs_open(at, 0, path.at, path.size, OPEN_CREATE, FLAG_WRITE, &scratch);
  return scratch.b[0] ? -1 : (s32)scratch.w[1];
}

EXPORT("open-until-error") void *open_until_error(const char *mounted, u32 size, const char *path, u32 path_size, u32 most) {
  s32 at = directory((text){mounted, size});
  for (u32 i = 0; i < most; i++) {
    fs_open(at, 0, path, path_size, 0, FLAG_READ, &scratch);
    if (scratch.b[0]) return ends(i, fs_error(scratch.b[4]));
  }
  return ends(most, T("ok"));
}

/* Through a stream, whose failure is an error of wasi:io: reported as `io`. */
EXPORT("fill") void *fill(const char *mounted, u32 size, const char *path, u32 path_size, u64 bytes) {
  static char piece[4096];
  s32 file = open_new(directory((text){mounted, size}), (text){path, path_size});
  if (file < 0) return ends(0, fs_error(scratch.b[4]));
  fs_write_stream(file, 0, &scratch);
  if (scratch.b[0]) return ends(0, fs_error(scratch.b[4]));
  s32 stream = (s32)scratch.w[1];
  for (u64 sent = 0; sent < bytes; sent += sizeof piece) {
    io_write_flush(stream, piece, sizeof piece, &scratch);
    if (scratch.b[0]) return ends(sent, T("io"));
  }
  return ends(bytes, T("ok"));
}

/* Into so many files in turn, all of them open: none is long, together they are. */
EXPORT("fill-several") void *fill_several(const char *mounted, u32 size, u32 files, u64 bytes) {
  static char piece[4096];
  s32 at = directory((text){mounted, size}), streams[64];
  for (u32 i = 0; i < files && i < 64; i++) {
    s32 file = open_new(at, join(T("several-"), number(i)));
    if (file < 0) return ends(i, fs_error(scratch.b[4]));
    fs_write_stream(file, 0, &scratch);
    if (scratch.b[0]) return ends(i, fs_error(scratch.b[4]));
    streams[i] = (s32)scratch.w[1];
  }
  for (u64 sent = 0; sent < bytes; sent += sizeof piece) {
    io_write_flush(streams[sent / sizeof piece % files], piece, sizeof piece, &scratch);
    if (scratch.b[0]) return ends(sent, T("io"));
  }
  return ends(bytes, T("ok"));
}

EXPORT("stretch") void *stretch(const char *mounted, u32 size, const char *path, u32 path_size, u64 bytes) {
  s32 file = open_new(directory((text){mounted, size}), (text){path, path_size});
  if (file < 0) return ends(0, fs_error(scratch.b[4]));
  fs_set_size(file, bytes, &scratch);
  return scratch.b[0] ? ends(0, fs_error(scratch.b[1])) : ends(bytes, T("ok"));
}

EXPORT("create-many") void *create_many(const char *mounted, u32 size, u32 most) {
  s32 at = directory((text){mounted, size});
  u32 mark = arena_at;
  for (u32 i = 0; i < most; i++) {
    arena_at = mark;
    s32 file = open_new(at, number(i));
    if (file < 0) return ends(i, fs_error(scratch.b[4]));
    fs_write(file, "x", 1, 0, &scratch);
    if (scratch.b[0]) return ends(i, fs_error(scratch.b[8]));
    fs_drop(file);
  }
  return ends(most, T("ok"));
}
