/* Writes to standard output and error, in three bad ways. */
#include "wasi.h"

static area scratch;
static char piece[4096];

EXPORT("flood") u64 flood(u64 bytes) {
  s32 streams[] = {cli_stdout(), cli_stderr()};
  u64 done = 0;
  memset(piece, 'x', sizeof piece);
  for (u64 sent = 0; sent < bytes; sent += sizeof piece)
    for (u32 i = 0; i < 2; i++) {
      io_write_flush(streams[i], piece, sizeof piece, &scratch);
      done += !scratch.b[0];
    }
  return done;
}

EXPORT("write-nothing") u64 write_nothing(u32 times) {
  s32 out = cli_stdout();
  u64 done = 0;
  for (u32 i = 0; i < times; i++) {
    io_write_flush(out, piece, 0, &scratch);
    done += !scratch.b[0];
  }
  return done;
}

EXPORT("leave-unflushed") u64 leave_unflushed(void) {
  s32 out = cli_stdout();
  io_check_write(out, &scratch);
  if (scratch.b[0]) return 0;
  io_write(out, "left behind", 11, &scratch);
  return !scratch.b[0];
}
