/* wasi:cli/exit never returns. */
#include "wasi.h"

EXPORT("leave") u32 leave(s32 failing) {
  cli_exit(failing);
  return 7;
}
