/* Blocks in a host call: no fuel is used, no instruction is reached. */
#include "wasi.h"

static area scratch;

EXPORT("sleep") u64 sleep(u64 milliseconds) {
  u64 from = clock_now();
  s32 later = clock_after(milliseconds * 1000000);
  io_block(later);
  io_drop_pollable(later);
  return (clock_now() - from) / 1000000;
}

EXPORT("read-stdin") u64 read_stdin(void) {
  s32 in = cli_stdin();
  io_read(in, 1, &scratch);
  return scratch.b[0] ? 0 : scratch.w[2];
}
