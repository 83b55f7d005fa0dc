/* Says something, and is still there: what it said can be heard before it has ended. */
#include "wasi.h"

static area scratch;

EXPORT("print") void print(const char *at, u32 size, u64 milliseconds) {
  s32 err = cli_stderr();
  io_write_flush(err, at, size, &scratch);
  io_write_flush(err, "\n", 1, &scratch);
  s32 later = clock_after(milliseconds * 1000000);
  io_block(later);
  io_drop_pollable(later);
  io_write_flush(err, "and then", 8, &scratch);
  io_drop_output(err);
}
